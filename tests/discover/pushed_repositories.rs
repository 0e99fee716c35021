//! The catalog, after pushes: a repository exists from its first commit.

use super::*;

async fn catalog(registry: &Writable, query: &str) -> (Vec<String>, Option<String>) {
    let answer = get(registry, &format!("/v2/_catalog{query}")).await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    let names = strings(&json["repositories"]).into_iter();
    (names.map(ToOwned::to_owned).collect(), next(&answer))
}

/// Asserts that all answers agree on whether there is such a repository.
#[track_caller]
fn assert_known(listed: &[String], tags: &Answer, repository: &str, is_known: bool) {
    let is_listed = listed.iter().any(|name| name == repository);
    assert_eq!(is_listed, is_known, "{repository}");
    match is_known {
        true => assert_eq!(tags.status, 200, "{repository}"),
        false => tags.assert_error(404, "NAME_UNKNOWN"),
    }
}

async fn check(registry: &Writable, repository: &str, is_known: bool) {
    let (listed, _) = catalog(registry, "").await;
    let tags = get(registry, &format!("/v2/{repository}/tags/list")).await;
    assert_known(&listed, &tags, repository, is_known);
    let nothing = Algorithm::Sha256.digest("nothing");
    let referrers = get(registry, &format!("/v2/{repository}/referrers/{nothing}")).await;
    assert_eq!(digests(&referrers), sorted([]));
}

#[tokio::test]
async fn an_upload_makes_a_repository_when_it_is_committed_and_not_when_it_is_begun() {
    let registry = writable();
    let content = "content";
    let digest = Algorithm::Sha256.digest(content);
    check(&registry, "demo", false).await;
    let location = start(&registry, "demo").await;
    check(&registry, "demo", false).await;
    let answer = put(&registry, "PATCH", &location, &[], content).await;
    assert_eq!(answer.status, 202);
    check(&registry, "demo", false).await;
    let wrong = Algorithm::Sha256.digest("other content");
    let answer = put(
        &registry,
        "PUT",
        &format!("{location}?digest={wrong}"),
        &[],
        "",
    )
    .await;
    answer.assert_error(400, "DIGEST_INVALID");
    check(&registry, "demo", false).await;
    let answer = put(
        &registry,
        "PUT",
        &format!("{location}?digest={digest}"),
        &[],
        "",
    )
    .await;
    assert_eq!(answer.status, 201);
    check(&registry, "demo", true).await;
}

#[tokio::test]
async fn every_kind_of_commit_makes_a_repository() {
    let registry = writable();
    let digest = push_blob(&registry, "single/post", "content").await;
    check(&registry, "single/post", true).await;

    let uri = format!("/v2/mounted/blobs/uploads/?mount={digest}&from=single/post");
    let answer = put(&registry, "POST", &uri, &[], "").await;
    assert_eq!(answer.status, 201);
    check(&registry, "mounted", true).await;

    let index = IndexBuilder::new().build().unwrap();
    for (repository, reference) in [
        ("manifest/by-tag", "latest".to_owned()),
        ("manifest/by-digest", index.digest().to_string()),
    ] {
        let answer = put_manifest(&registry, repository, &reference, index.manifest()).await;
        assert_eq!(answer.status, 201);
        check(&registry, repository, true).await;
    }
    let all = [
        "manifest/by-digest",
        "manifest/by-tag",
        "mounted",
        "single/post",
    ];
    assert_eq!(catalog(&registry, "").await.0, all);
}

#[tokio::test]
async fn what_is_refused_or_given_up_makes_no_repository() {
    let registry = writable();
    let digest = push_blob(&registry, "there", "content").await;
    let location = start(&registry, "cancelled").await;
    put(&registry, "PATCH", &location, &[], "content").await;
    let answer = ask(&registry, "DELETE", &location, &[]).await;
    assert_eq!(answer.status, 204);

    let wrong = Algorithm::Sha256.digest("other content");
    let uri = format!("/v2/wrong-digest/blobs/uploads/?digest={wrong}");
    let answer = put(&registry, "POST", &uri, &[], "content").await;
    answer.assert_error(400, "DIGEST_INVALID");

    for (repository, query) in [
        ("mount-of-nothing", format!("mount={wrong}&from=there")),
        ("mount-from-nowhere", format!("mount={digest}&from=nowhere")),
        ("mount-without-from", format!("mount={digest}")),
    ] {
        let uri = format!("/v2/{repository}/blobs/uploads/?{query}");
        let answer = put(&registry, "POST", &uri, &[], "").await;
        assert_eq!(answer.status, 202, "{repository}");
    }

    let sparse = image("its blobs are not pushed");
    let answer = put_manifest(&registry, "sparse", "latest", sparse.manifest()).await;
    assert_eq!(answer.status, 400);
    let index = IndexBuilder::new().build().unwrap();
    let headers = [("content-type", INDEX), ("if-match", "*")];
    let bytes = index.manifest().bytes().clone();
    let uri = "/v2/conditional/manifests/latest";
    let answer = put(&registry, "PUT", uri, &headers, bytes).await;
    answer.assert_error(412, "DENIED");

    for path in [
        "deleted/manifests/latest".to_owned(),
        format!("deleted/manifests/{digest}"),
        format!("deleted/blobs/{digest}"),
    ] {
        let answer = ask(&registry, "DELETE", &format!("/v2/{path}"), &[]).await;
        answer.assert_error(404, "NAME_UNKNOWN");
    }
    for unknown in [
        "cancelled",
        "wrong-digest",
        "mount-of-nothing",
        "mount-from-nowhere",
        "mount-without-from",
        "sparse",
        "conditional",
        "deleted",
    ] {
        check(&registry, unknown, false).await;
    }
    assert_eq!(catalog(&registry, "").await.0, ["there"]);
}

// protocol 64 and 66
#[tokio::test]
async fn repositories_that_are_pushed_in_any_order_come_in_linked_pages() {
    let mut limits = Limits::default();
    (limits.default_page, limits.largest_page) = (3, 4);
    let registry = writable().limits(limits);
    let names = ["a", "a-b", "a/b", "a/b/c", "a_b", "b", "tags/list"];
    for name in ["b", "a/b/c", "a", "tags/list", "a_b", "a-b", "a/b"] {
        push_blob(&registry, name, "content").await;
    }
    for (query, count, link) in [
        ("", 3, Some("?n=3&last=a%2Fb")),
        ("?n=2", 2, Some("?n=2&last=a-b")),
        ("?n=100", 4, Some("?n=100&last=a%2Fb%2Fc")),
        ("?last=a_b", 2, None),
        ("?n=0", 0, None),
    ] {
        let (listed, next) = catalog(&registry, query).await;
        let first = if query.contains("last") { 5 } else { 0 };
        assert_eq!(listed, names[first..first + count], "{query}");
        let link = link.map(|link| format!("/v2/_catalog{link}"));
        assert_eq!(next, link, "{query}");
    }
    for query in ["", "?n=1", "?n=5"] {
        let pages = pages(&registry, &format!("/v2/_catalog{query}")).await;
        let listed = pages.iter().flat_map(|page| {
            let json = page.json();
            let names = strings(&json["repositories"]).into_iter();
            names.map(ToOwned::to_owned).collect::<Vec<_>>()
        });
        assert_eq!(listed.collect::<Vec<_>>(), names, "{query}");
    }
}

// protocol 101
#[tokio::test]
async fn a_repository_stays_when_everything_in_it_is_deleted() {
    let registry = writable();
    let image = image("content");
    push_image(&registry, "demo", Some("latest"), &image).await;
    delete(&registry, &format!("demo/manifests/{}", image.digest())).await;
    for blob in image.descriptors() {
        delete(&registry, &format!("demo/blobs/{}", blob.digest)).await;
    }
    check(&registry, "demo", true).await;
    let answer = get(&registry, "/v2/demo/tags/list").await;
    assert_eq!(answer.body, r#"{"name":"demo","tags":[]}"#);
}
