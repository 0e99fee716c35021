//! Deletes that are refused, and that nothing is deleted then.

use super::*;

/// What a registry with `demo:latest` has, and which answer deleting it would get were it not
/// there.
fn paths(image: &Image) -> [(String, &'static str); 3] {
    [
        ("demo/manifests/latest".to_owned(), "MANIFEST_UNKNOWN"),
        (
            format!("demo/manifests/{}", image.digest()),
            "MANIFEST_UNKNOWN",
        ),
        (
            format!("demo/blobs/{}", image.layers()[0].digest),
            "BLOB_UNKNOWN",
        ),
    ]
}

async fn assert_all_there<S: BlobStore>(registry: &OciRegistryService<S>, image: &Image) {
    for (path, _) in paths(image) {
        let answer = get(registry, &format!("/v2/{path}")).await;
        assert_eq!(answer.status, 200, "{path}");
    }
    assert_eq!(tags(registry, "demo").await, ["latest"]);
}

// protocol 58 and 59
#[tokio::test]
async fn what_does_not_exist_cannot_be_deleted_and_the_code_says_what_is_missing() {
    let registry = registry();
    let image = image("content");
    push_image(&registry, "demo", Some("latest"), &image).await;
    start(&registry, "opened").await;
    let nothing = Algorithm::Sha256.digest("nothing");
    let nothing_512 = Algorithm::Sha512.digest("nothing");
    for (path, code) in [
        ("demo/manifests/missing".to_owned(), "MANIFEST_UNKNOWN"),
        ("demo/manifests/LATEST".to_owned(), "MANIFEST_UNKNOWN"),
        (format!("demo/manifests/{nothing}"), "MANIFEST_UNKNOWN"),
        (format!("demo/manifests/{nothing_512}"), "MANIFEST_UNKNOWN"),
        (format!("demo/blobs/{nothing}"), "BLOB_UNKNOWN"),
        (format!("demo/blobs/{nothing_512}"), "BLOB_UNKNOWN"),
        // A manifest is no blob, and a blob no manifest.
        (format!("demo/blobs/{}", image.digest()), "BLOB_UNKNOWN"),
        (
            format!("demo/manifests/{}", image.layers()[0].digest),
            "MANIFEST_UNKNOWN",
        ),
        // A malformed tag cannot exist.
        ("demo/manifests/-latest".to_owned(), "MANIFEST_UNKNOWN"),
        (
            format!("demo/manifests/{}", "a".repeat(129)),
            "MANIFEST_UNKNOWN",
        ),
    ] {
        delete(&registry, &path).await.assert_error(404, code);
    }
    // A repository that was never pushed to, and one in which only an upload was begun.
    for repository in ["unknown", "opened", "latest", "demo/manifests"] {
        for (path, _) in paths(&image) {
            let path = path.replacen("demo", repository, 1);
            delete(&registry, &path)
                .await
                .assert_error(404, "NAME_UNKNOWN");
        }
    }
    assert_all_there(&registry, &image).await;
    assert_eq!(catalog(&registry).await, ["demo"]);
}

#[tokio::test]
async fn what_is_malformed_is_400() {
    let registry = registry();
    let image = image("content");
    push_image(&registry, "demo", Some("latest"), &image).await;
    let digest = image.digest().to_string();
    for (path, code) in [
        (
            "demo/manifests/sha256:baddigeststring".to_owned(),
            "DIGEST_INVALID",
        ),
        (
            format!("demo/manifests/{}", digest.to_uppercase()),
            "DIGEST_INVALID",
        ),
        (
            "demo/manifests/md5:d41d8cd98f00b204e9800998ecf8427e".to_owned(),
            "DIGEST_INVALID",
        ),
        ("demo/blobs/latest".to_owned(), "DIGEST_INVALID"),
        ("demo/blobs/sha256:abc".to_owned(), "DIGEST_INVALID"),
        ("Demo/manifests/latest".to_owned(), "NAME_INVALID"),
        (format!("d%65mo/manifests/{digest}"), "NAME_INVALID"),
        (format!("../demo/blobs/{digest}"), "NAME_INVALID"),
    ] {
        delete(&registry, &path).await.assert_error(400, code);
    }
    assert_all_there(&registry, &image).await;
}

/// Asserts that a delete is refused because no such delete is possible here.
#[track_caller]
fn assert_not_allowed(answer: &Answer, allow: &str) {
    answer.assert_error(405, "UNSUPPORTED");
    assert_eq!(answer.header("allow"), allow);
}

// protocol 57 to 59: disabled
#[tokio::test]
async fn with_deletes_off_every_delete_is_405_with_the_methods_that_are_left() {
    let registry = registry().allow_deletes(false);
    let image = image("content");
    push_image(&registry, "demo", Some("latest"), &image).await;
    let allow = |path: &str| match path.contains("/blobs/") {
        true => "GET, HEAD",
        false => "GET, HEAD, PUT",
    };
    for (path, _) in paths(&image) {
        assert_not_allowed(&delete(&registry, &path).await, allow(&path));
        // Whether it exists, and what the client demands of it, is not even looked at.
        let unknown = path.replacen("demo", "unknown", 1);
        assert_not_allowed(&delete(&registry, &unknown).await, allow(&path));
        let headers = [("if-match", "\"other\"")];
        let answer = ask(&registry, "DELETE", &format!("/v2/{path}"), &headers).await;
        assert_not_allowed(&answer, allow(&path));
    }
    assert_all_there(&registry, &image).await;
    // Pushes go on.
    push_image(&registry, "demo", Some("latest"), &image).await;
}

// protocol 31 and 87: who may begin an upload may end it
#[tokio::test]
async fn with_deletes_off_an_upload_can_be_cancelled_all_the_same() {
    let registry = registry().allow_deletes(false);
    let location = start(&registry, "demo").await;
    let answer = put(&registry, "PATCH", &location, &[], "content").await;
    assert_eq!(answer.status, 202);
    let answer = ask(&registry, "POST", &location, &[]).await;
    assert_not_allowed(&answer, "GET, HEAD, PATCH, PUT, DELETE");
    let answer = ask(&registry, "DELETE", &location, &[("content-length", "0")]).await;
    assert_eq!(answer.status, 204);
    for method in ["GET", "PATCH", "DELETE"] {
        let answer = ask(&registry, method, &location, &[]).await;
        answer.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
}

// A registry that was made with `new` takes no writes at all.
#[tokio::test]
async fn in_a_read_only_registry_every_delete_is_405() {
    let image = image("content");
    let store = MemoryStore::new();
    store.add_image(&name("demo"), Some(&tag("latest")), &image);
    let read_only = OciRegistryService::new(store.clone());
    for (path, _) in paths(&image) {
        assert_not_allowed(&delete(&read_only, &path).await, "GET, HEAD");
        let unknown = path.replacen("demo", "unknown", 1);
        assert_not_allowed(&delete(&read_only, &unknown).await, "GET, HEAD");
    }
    // The same session, through a registry that takes writes and through one that does not.
    let writable = OciRegistryService::writable(store);
    let location = start(&writable, "demo").await;
    assert_not_allowed(&ask(&read_only, "DELETE", &location, &[]).await, "");
    assert_eq!(get(&writable, &location).await.status, 204);
    assert_all_there(&read_only, &image).await;
}

// RFC 9110 §15.5.6: what has no DELETE in the protocol
#[tokio::test]
async fn lists_and_roots_cannot_be_deleted() {
    let registry = registry();
    let image = image("content");
    push_image(&registry, "demo", Some("latest"), &image).await;
    for (path, allow) in [
        ("", "GET, HEAD"),
        ("_catalog", "GET, HEAD"),
        ("demo/tags/list", "GET, HEAD"),
        (&format!("demo/referrers/{}", image.digest()), "GET, HEAD"),
        ("demo/blobs/uploads/", "POST"),
    ] {
        assert_not_allowed(&delete(&registry, path).await, allow);
    }
    let nothing_there = delete(&registry, "demo").await;
    nothing_there.assert_error(404, "UNSUPPORTED");
    assert_all_there(&registry, &image).await;
}
