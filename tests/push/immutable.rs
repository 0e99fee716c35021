//! Tags that are created and never moved.

use super::*;

/// Releases stay what they are, in every repository but one.
fn with_releases() -> (Registry, MemoryStore) {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let registry = registry.immutable_tags(|repository, tag| {
        tag.as_str().starts_with('v') && repository.as_str() != "scratch"
    });
    (registry, store)
}

/// Pushes an index with this title.
async fn push(registry: &Registry, repository: &str, reference: &str, title: &str) -> Answer {
    push_document(registry, (repository, reference), INDEX, empty_index(title)).await
}

fn digest_of(title: &str) -> Digest {
    sha256(empty_index(title))
}

async fn assert_tag(registry: &Registry, repository: &str, tag: &str, title: &str) {
    let found = tagged(registry, repository, tag).await;
    assert_eq!(found, digest_of(title).to_string(), "{tag}");
}

// issue 3: the same image again is fine
#[tokio::test]
async fn an_immutable_tag_takes_the_same_manifest_again_and_no_other() {
    let registry = registry().immutable_tags(|_, _| true);
    for tag in ["latest", "v1"] {
        for _ in 0..2 {
            assert_eq!(push(&registry, "demo", tag, "one").await.status, 201);
        }
        let answer = push(&registry, "demo", tag, "two").await;
        answer.assert_error(403, "DENIED");
        assert_no_manifest(&registry, "demo", digest_of("two")).await;
        assert_tag(&registry, "demo", tag, "one").await;
    }
    let tags = get(&registry, "/v2/demo/tags/list").await;
    assert_eq!(tags.body, r#"{"name":"demo","tags":["latest","v1"]}"#);
}

#[tokio::test]
async fn which_tags_are_immutable_may_depend_on_tag_and_repository() {
    let (registry, _) = with_releases();
    for (repository, tag, status) in [
        ("demo", "v1", 403),
        ("demo", "latest", 201),
        ("scratch", "v1", 201),
    ] {
        push(&registry, repository, tag, "one").await;
        let answer = push(&registry, repository, tag, "two").await;
        assert_eq!(answer.status, status, "{repository} {tag}");
        let title = if status == 201 { "two" } else { "one" };
        assert_tag(&registry, repository, tag, title).await;
    }
}

// protocol 43
#[tokio::test]
async fn a_push_by_digest_that_would_move_an_immutable_tag_moves_none() {
    let (registry, store) = with_releases();
    for tag in ["latest", "v1"] {
        push(&registry, "demo", tag, "one").await;
    }
    let before = store.used_bytes();
    for tags in ["tag=v1", "tag=latest&tag=v1", "tag=a&tag=v1&tag=z"] {
        let reference = format!("{}?{tags}", digest_of("two"));
        let answer = push(&registry, "demo", &reference, "two").await;
        answer.assert_error(403, "DENIED");
        assert_eq!(answer.header("oci-tag"), "");
        assert_no_manifest(&registry, "demo", digest_of("two")).await;
        for tag in ["latest", "v1"] {
            assert_tag(&registry, "demo", tag, "one").await;
        }
        assert_eq!(store.used_bytes(), before);
    }
    let reference = format!("{}?tag=v2&tag=latest", digest_of("two"));
    let answer = push(&registry, "demo", &reference, "two").await;
    assert_eq!(answer.status, 201);
    assert_tag(&registry, "demo", "latest", "two").await;
    let again = format!("{}?tag=v1&tag=v3", digest_of("one"));
    let answer = push(&registry, "demo", &again, "one").await;
    assert_eq!(answer.status, 201);
    assert_tag(&registry, "demo", "v3", "one").await;
}

// The same content under another algorithm is another digest.
#[tokio::test]
async fn an_immutable_tag_does_not_move_to_another_digest_of_the_same_bytes() {
    let (registry, _) = with_releases();
    push(&registry, "demo", "v1", "one").await;
    let by_sha512 = format!("{}?tag=v1", sha512(empty_index("one")));
    let answer = push(&registry, "demo", &by_sha512, "one").await;
    answer.assert_error(403, "DENIED");
    assert_tag(&registry, "demo", "v1", "one").await;
}

#[tokio::test]
async fn without_its_tag_the_manifest_may_be_pushed() {
    let (registry, _) = with_releases();
    push(&registry, "demo", "v1", "one").await;
    let by_digest = digest_of("two").to_string();
    assert_eq!(push(&registry, "demo", &by_digest, "two").await.status, 201);
    assert_tag(&registry, "demo", "v1", "one").await;
}

// A 412 would send the client round in a circle: its condition does hold.
#[tokio::test]
async fn a_condition_that_holds_does_not_move_an_immutable_tag() {
    let (registry, _) = with_releases();
    push(&registry, "demo", "v1", "one").await;
    let current = format!("\"{}\"", digest_of("one"));
    for (condition, value, status) in [
        ("if-match", "*", 403),
        ("if-match", &*current, 403),
        ("if-none-match", "\"other\"", 403),
        ("if-none-match", "*", 412),
        ("if-match", "\"other\"", 412),
    ] {
        let headers = [("content-type", INDEX), (condition, value)];
        let document = empty_index("two");
        let answer = put(
            &registry,
            "PUT",
            "/v2/demo/manifests/v1",
            &headers,
            document,
        )
        .await;
        assert_no_manifest(&registry, "demo", digest_of("two")).await;
        assert_tag(&registry, "demo", "v1", "one").await;
        assert_eq!(answer.status, status, "{condition}: {value}");
        assert_eq!(answer.error_codes(), ["DENIED"]);
    }
}

// It is about pushes: to delete is another right.
#[tokio::test]
async fn an_immutable_tag_that_was_deleted_can_be_created_again() {
    let (registry, _) = with_releases();
    push(&registry, "demo", "v1", "one").await;
    let uri = "/v2/demo/manifests/v1";
    assert_eq!(ask(&registry, "DELETE", uri, &[]).await.status, 202);
    assert_eq!(push(&registry, "demo", "v1", "two").await.status, 201);
    assert_tag(&registry, "demo", "v1", "two").await;
    assert_eq!(push(&registry, "demo", "v1", "one").await.status, 403);
}
