//! A tag is deleted alone.

use super::*;

// protocol 57
#[tokio::test]
async fn a_deleted_tag_is_gone_at_once_and_its_manifest_and_other_tags_stay() {
    let registry = registry();
    let image = image("content");
    for tag in ["a", "b", "c"] {
        push_image(&registry, "demo", Some(tag), &image).await;
    }
    deleted(&registry, "demo/manifests/b").await;
    assert_gone(&registry, "demo/manifests/b", "MANIFEST_UNKNOWN").await;
    assert_eq!(tags(&registry, "demo").await, ["a", "c"]);
    let digest = image.digest().to_string();
    for reference in ["a", "c", &digest] {
        assert_manifest_there(&registry, reference, &image).await;
    }
    let again = delete(&registry, "demo/manifests/b").await;
    again.assert_error(404, "MANIFEST_UNKNOWN");
}

// protocol 57 and 101; pitfalls: untagged is not garbage by itself
#[tokio::test]
async fn the_last_tag_leaves_an_empty_list_a_manifest_and_a_repository_in_the_catalog() {
    let registry = registry();
    let image = image("content");
    push_image(&registry, "demo", Some("latest"), &image).await;
    deleted(&registry, "demo/manifests/latest").await;
    let answer = get(&registry, "/v2/demo/tags/list").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, r#"{"name":"demo","tags":[]}"#);
    assert_eq!(catalog(&registry).await, ["demo"]);
    assert_manifest_there(&registry, &image.digest().to_string(), &image).await;
    for blob in image.descriptors() {
        let answer = get(&registry, &format!("/v2/demo/blobs/{}", blob.digest)).await;
        assert!(blob.digest.verifies(&answer.body));
    }
}

// A tag may point at anything, also after it was deleted.
#[tokio::test]
async fn a_deleted_tag_can_be_pushed_again() {
    let registry = registry();
    let first = image("first");
    push_image(&registry, "demo", Some("latest"), &first).await;
    deleted(&registry, "demo/manifests/latest").await;
    let second = IndexBuilder::new().image(&image("second")).build().unwrap();
    push_image(&registry, "demo", Some("latest"), &second).await;
    assert_manifest_there(&registry, "latest", &second).await;
    assert_eq!(tags(&registry, "demo").await, ["latest"]);
    // The tag is the second's now: the first takes it along no more.
    deleted(&registry, &format!("demo/manifests/{}", first.digest())).await;
    assert_manifest_there(&registry, "latest", &second).await;
}

#[tokio::test]
async fn a_tag_of_another_case_or_in_another_repository_stays() {
    let registry = registry();
    let image = image("content");
    for (repository, tag) in [
        ("demo", "v1"),
        ("demo", "V1"),
        ("demo/v1", "v1"),
        ("other", "v1"),
    ] {
        push_image(&registry, repository, Some(tag), &image).await;
    }
    deleted(&registry, "demo/manifests/v1").await;
    assert_eq!(tags(&registry, "demo").await, ["V1"]);
    assert_eq!(tags(&registry, "demo/v1").await, ["v1"]);
    assert_eq!(tags(&registry, "other").await, ["v1"]);
}

// protocol 56
#[tokio::test]
async fn a_tag_like_a_digest_is_deleted_as_a_tag() {
    let registry = registry();
    let image = image("content");
    let like_digest = image.digest().to_string().replace(':', "-");
    push_image(&registry, "demo", Some(&like_digest), &image).await;
    deleted(&registry, &format!("demo/manifests/{like_digest}")).await;
    assert_manifest_there(&registry, &image.digest().to_string(), &image).await;
    assert_eq!(tags(&registry, "demo").await, [""; 0]);
}

// protocol 100: skopeo looks the digest up and deletes that, so all tags of it go
#[tokio::test]
async fn skopeo_deletes_the_digest_that_a_tag_points_at() {
    let registry = registry();
    let [image, other] = ["content", "other"].map(image);
    for tag in ["a", "b"] {
        push_image(&registry, "demo", Some(tag), &image).await;
    }
    push_image(&registry, "demo", Some("c"), &other).await;
    for method in ["GET", "HEAD"] {
        let answer = ask(&registry, method, "/v2/demo/manifests/a", &[]).await;
        let digest = answer.header("docker-content-digest").to_owned();
        assert_eq!(digest, image.digest().to_string());
    }
    deleted(&registry, &format!("demo/manifests/{}", image.digest())).await;
    assert_eq!(tags(&registry, "demo").await, ["c"]);
}

// protocol 100: where a tag cannot be deleted, `regctl tag rm` pushes a dummy to it and deletes the
// digest of that
#[tokio::test]
async fn a_tag_goes_with_a_dummy_that_was_pushed_to_it_and_what_it_pointed_at_stays() {
    let registry = registry();
    let image = image("content");
    for tag in ["kept", "removed"] {
        push_image(&registry, "demo", Some(tag), &image).await;
    }
    let config = push_blob(&registry, "demo", r#"{"created":"now"}"#).await;
    let layer = push_blob(&registry, "demo", "").await;
    let dummy = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST.as_str(),
        "config": {
            "mediaType": MediaType::OCI_CONFIG.as_str(),
            "digest": config.to_string(),
            "size": 17,
        },
        "layers": [{
            "mediaType": MediaType::OCI_LAYER.as_str(),
            "digest": layer.to_string(),
            "size": 0,
        }],
    });
    let dummy = Manifest::new(MediaType::OCI_MANIFEST, dummy.to_string());
    let answer = put_manifest(&registry, "demo", "removed", &dummy).await;
    assert_eq!(answer.status, 201);
    deleted(&registry, &format!("demo/manifests/{}", dummy.digest())).await;
    assert_gone(&registry, "demo/manifests/removed", "MANIFEST_UNKNOWN").await;
    assert_eq!(tags(&registry, "demo").await, ["kept"]);
    assert_manifest_there(&registry, "kept", &image).await;
    assert_manifest_there(&registry, &image.digest().to_string(), &image).await;
}

// An immutable tag does not move. To delete it is a matter of the right to delete.
#[tokio::test]
async fn an_immutable_tag_can_be_deleted_and_then_pushed_anew() {
    let registry = registry().immutable_tags(|_, tag| tag.as_str().starts_with('v'));
    let [first, second] = ["first", "second"].map(image);
    push_image(&registry, "demo", Some("v1"), &first).await;
    push_image(&registry, "demo", None, &second).await;
    let refused = put_manifest(&registry, "demo", "v1", second.manifest()).await;
    refused.assert_error(403, "DENIED");
    deleted(&registry, "demo/manifests/v1").await;
    push_image(&registry, "demo", Some("v1"), &second).await;
    assert_manifest_there(&registry, "v1", &second).await;
}
