//! A manifest is deleted with all its tags, and with its entry among the referrers of its subject.

use super::*;

fn artifact(subject: &Image, content: &str) -> Image {
    ImageBuilder::artifact("application/vnd.example.sbom".parse().unwrap())
        .layer("text/plain".parse().unwrap(), content.to_owned())
        .subject(subject)
        .build()
        .unwrap()
}

fn path_of(image: &Image) -> String {
    format!("demo/manifests/{}", image.digest())
}

// protocol 58; pitfalls: delete by digest walks all tags
#[tokio::test]
async fn a_deleted_manifest_takes_all_its_tags_with_it_and_no_other() {
    let registry = registry();
    let [image, other] = ["content", "other"].map(image);
    push_image(&registry, "demo", Some("first"), &image).await;
    push_image(&registry, "demo", Some("other"), &other).await;
    for hundred in 0..5 {
        let parameters: Vec<String> = (0..100)
            .map(|number| format!("tag=t{hundred}-{number}"))
            .collect();
        let reference = format!("{}?{}", image.digest(), parameters.join("&"));
        let answer = put_manifest(&registry, "demo", &reference, image.manifest()).await;
        assert_eq!(answer.status, 201);
    }
    assert_eq!(tags(&registry, "demo").await.len(), 502);
    deleted(&registry, &path_of(&image)).await;
    assert_gone(&registry, &path_of(&image), "MANIFEST_UNKNOWN").await;
    for tag in ["first", "t0-0", "t4-99"] {
        assert_gone(
            &registry,
            &format!("demo/manifests/{tag}"),
            "MANIFEST_UNKNOWN",
        )
        .await;
    }
    assert_eq!(tags(&registry, "demo").await, ["other"]);
    assert_manifest_there(&registry, "other", &other).await;
    let again = delete(&registry, &path_of(&image)).await;
    again.assert_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_tag_that_has_moved_on_stays_and_one_that_came_back_goes() {
    let registry = registry();
    let [first, second] = ["first", "second"].map(image);
    for (tag, image) in [
        ("moved", &first),
        ("back", &first),
        ("moved", &second),
        ("back", &second),
        ("back", &first),
    ] {
        push_image(&registry, "demo", Some(tag), image).await;
    }
    deleted(&registry, &path_of(&first)).await;
    assert_eq!(tags(&registry, "demo").await, ["moved"]);
    assert_manifest_there(&registry, "moved", &second).await;
}

// Whoever pushes it again chooses its tags again.
#[tokio::test]
async fn a_deleted_manifest_can_be_pushed_again_and_has_no_tag_then() {
    let registry = registry();
    let image = image("content");
    push_image(&registry, "demo", Some("latest"), &image).await;
    deleted(&registry, &path_of(&image)).await;
    // Its blobs are still there.
    let reference = image.digest().to_string();
    let answer = put_manifest(&registry, "demo", &reference, image.manifest()).await;
    assert_eq!(answer.status, 201);
    assert_manifest_there(&registry, &reference, &image).await;
    assert_eq!(tags(&registry, "demo").await, [""; 0]);
    assert_gone(&registry, "demo/manifests/latest", "MANIFEST_UNKNOWN").await;
}

#[tokio::test]
async fn an_index_is_deleted_without_its_children_and_a_child_without_its_index() {
    let registry = registry();
    let children = ["1", "2"].map(image);
    let index = IndexBuilder::new().image(&children[0]).image(&children[1]);
    let index = index.build().unwrap();
    push_image(&registry, "demo", Some("latest"), &index).await;
    deleted(&registry, &path_of(&children[0])).await;
    assert_gone(&registry, &path_of(&children[0]), "MANIFEST_UNKNOWN").await;
    assert_manifest_there(&registry, "latest", &index).await;
    // protocol 39: it could not be pushed like that
    let refused = put_manifest(&registry, "demo", "again", index.manifest()).await;
    refused.assert_error(400, "MANIFEST_BLOB_UNKNOWN");
    let missing = children[0].digest().to_string();
    assert_eq!(refused.json()["errors"][0]["detail"]["digest"], missing);
    deleted(&registry, &path_of(&index)).await;
    assert_eq!(tags(&registry, "demo").await, [""; 0]);
    let child = children[1].digest().to_string();
    assert_manifest_there(&registry, &child, &children[1]).await;
}

// protocol 58, and content belongs to a repository
#[tokio::test]
async fn a_manifest_is_deleted_in_one_repository_and_stays_in_the_others() {
    let registry = registry();
    let image = image("content");
    for repository in ["demo", "demo/other", "other"] {
        push_image(&registry, repository, Some("latest"), &image).await;
    }
    deleted(&registry, &path_of(&image)).await;
    assert_gone(&registry, "demo/manifests/latest", "MANIFEST_UNKNOWN").await;
    for repository in ["demo/other", "other"] {
        for reference in ["latest", &image.digest().to_string()] {
            let path = format!("{repository}/manifests/{reference}");
            assert_there(&registry, &path, image.manifest().bytes()).await;
        }
    }
}

// protocol 43 and 58
#[tokio::test]
async fn the_same_bytes_under_another_algorithm_are_another_manifest() {
    let registry = registry();
    let image = ImageBuilder::new().algorithm(Algorithm::Sha512);
    let image = image.file("a", "content").build().unwrap();
    push_image(&registry, "demo", None, &image).await;
    let by_sha512 = format!("{}?tag=sha512&tag=both", image.digest());
    let answer = put_manifest(&registry, "demo", &by_sha512, image.manifest()).await;
    assert_eq!(answer.status, 201);
    let answer = put_manifest(&registry, "demo", "sha256", image.manifest()).await;
    assert_eq!(answer.status, 201);
    let sha256 = Algorithm::Sha256
        .digest(image.manifest().bytes())
        .to_string();
    assert_eq!(answer.header("docker-content-digest"), sha256);

    deleted(&registry, &path_of(&image)).await;
    assert_gone(&registry, &path_of(&image), "MANIFEST_UNKNOWN").await;
    assert_eq!(tags(&registry, "demo").await, ["sha256"]);
    assert_manifest_there(&registry, &sha256, &image).await;

    let answer = put_manifest(&registry, "demo", &by_sha512, image.manifest()).await;
    assert_eq!(answer.status, 201);
    deleted(&registry, &format!("demo/manifests/{sha256}")).await;
    assert_eq!(tags(&registry, "demo").await, ["both", "sha512"]);
    assert_manifest_there(&registry, "both", &image).await;
}

// protocol 55
#[tokio::test]
async fn deleting_a_subject_keeps_its_referrers() {
    let registry = registry();
    let subject = image("subject");
    let referrer = artifact(&subject, "sbom");
    let listed = [referrer.digest().to_string()];
    push_image(&registry, "demo", Some("latest"), &subject).await;
    push_image(&registry, "demo", Some("sbom"), &referrer).await;
    deleted(&registry, &path_of(&subject)).await;
    assert_gone(&registry, &path_of(&subject), "MANIFEST_UNKNOWN").await;
    assert_eq!(referrers(&registry, &subject).await, listed);
    assert_manifest_there(&registry, "sbom", &referrer).await;
    push_image(&registry, "demo", Some("latest"), &subject).await;
    assert_eq!(referrers(&registry, &subject).await, listed);
}

// protocol 55
#[tokio::test]
async fn deleting_a_referrer_removes_its_entry_and_no_other() {
    let registry = registry();
    let subject = image("subject");
    let [first, second] = ["first", "second"].map(|content| artifact(&subject, content));
    let of_first = artifact(&first, "refers to a referrer");
    for pushed in [&subject, &first, &second, &of_first] {
        push_image(&registry, "demo", None, pushed).await;
    }
    push_image(&registry, "demo", Some("sbom"), &first).await;
    assert_eq!(referrers(&registry, &subject).await.len(), 2);

    // The tag alone says nothing of the manifest.
    deleted(&registry, "demo/manifests/sbom").await;
    assert_eq!(referrers(&registry, &subject).await.len(), 2);

    deleted(&registry, &path_of(&first)).await;
    assert_eq!(
        referrers(&registry, &subject).await,
        [second.digest().to_string()]
    );
    assert_eq!(
        referrers(&registry, &first).await,
        [of_first.digest().to_string()]
    );
    deleted(&registry, &path_of(&second)).await;
    assert_eq!(referrers(&registry, &subject).await, [""; 0]);
    assert_manifest_there(&registry, &subject.digest().to_string(), &subject).await;

    push_image(&registry, "demo", None, &first).await;
    assert_eq!(
        referrers(&registry, &subject).await,
        [first.digest().to_string()]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_deletes_at_once_one_succeeds_and_the_others_find_nothing() {
    let registry = registry();
    let image = image("content");
    push_image(&registry, "demo", Some("latest"), &image).await;
    let layer = image.layers()[0].digest;
    let of_manifest = path_of(&image);
    for (path, code) in [
        ("demo/manifests/latest", "MANIFEST_UNKNOWN"),
        (&of_manifest, "MANIFEST_UNKNOWN"),
        (&format!("demo/blobs/{layer}"), "BLOB_UNKNOWN"),
    ] {
        let deletes = (0..16).map(|_| {
            let (registry, path) = (registry.clone(), path.to_owned());
            tokio::spawn(async move { delete(&registry, &path).await })
        });
        let mut accepted = 0;
        for answer in deletes.collect::<Vec<_>>() {
            let answer = answer.await.unwrap();
            match answer.status.as_u16() {
                202 => accepted += 1,
                _ => answer.assert_error(404, code),
            }
        }
        assert_eq!(accepted, 1, "{path}");
    }
}
