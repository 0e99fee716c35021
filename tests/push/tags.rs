//! Tags that are set beside a push by digest: `?tag=` and `OCI-Tag`.

use super::*;

/// The tags that the answer names, over all lines and in their order.
fn named(answer: &Answer) -> Vec<String> {
    let lines = answer.headers.get_all("oci-tag").iter();
    let tags = lines.flat_map(|line| line.to_str().unwrap().split(','));
    tags.map(|tag| tag.trim().to_owned()).collect()
}

async fn push_with_tags(
    registry: &Registry,
    digest: Digest,
    document: &str,
    tags: &[String],
) -> Answer {
    let tags: Vec<_> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let reference = format!("{digest}?{}", tags.join("&"));
    push_document(registry, ("demo", &reference), INDEX, document.to_owned()).await
}

fn tags(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("v{number:03}")).collect()
}

async fn listed(registry: &Registry) -> Vec<String> {
    let list = get(registry, "/v2/demo/tags/list").await;
    serde_json::from_value(list.json()["tags"].clone()).unwrap()
}

// protocol 43, section 3 item 3: a tag on a sha512 digest keeps answering sha512
#[tokio::test]
async fn a_push_by_digest_sets_its_tags_and_names_each() {
    for count in [0, 1, 10, 100] {
        let registry = registry();
        let document = empty_index("tags");
        for digest in [sha256(&document), sha512(&document)] {
            let tags = tags(0..count);
            let answer = push_with_tags(&registry, digest, &document, &tags).await;
            let pushed = (INDEX, document.as_bytes());
            assert_pushed(&registry, &answer, ("demo", digest), pushed).await;
            assert_eq!(named(&answer), tags);
            assert_eq!(listed(&registry).await, tags);
            for tag in &tags {
                let found = tagged(&registry, "demo", tag).await;
                assert_eq!(found, digest.to_string());
            }
        }
    }
}

// protocol 43
#[tokio::test]
async fn more_tags_than_allowed_are_414_and_nothing_is_stored() {
    let (few, store) = limited(|limits| limits.tags_per_request = 10);
    for (registry, most) in [(registry(), 100), (few, 10)] {
        let document = empty_index("tags");
        let digest = sha256(&document);
        let answer = push_with_tags(&registry, digest, &document, &tags(0..most + 1)).await;
        answer.assert_error(414, "MANIFEST_INVALID");
        assert_eq!(answer.header("oci-tag"), "");
        assert_no_manifest(&registry, "demo", digest).await;
        assert_no_manifest(&registry, "demo", "v000").await;
        assert_eq!(store.used_bytes(), 0);
        let answer = push_with_tags(&registry, digest, &document, &tags(0..most)).await;
        assert_eq!((answer.status.as_u16(), named(&answer).len()), (201, most));
    }
}

// protocol 43
#[tokio::test]
async fn a_tag_that_is_named_twice_is_set_once() {
    let registry = registry();
    let document = empty_index("tags");
    let digest = sha256(&document);
    let twice = ["b", "a", "b", "%61"].map(ToOwned::to_owned);
    let answer = push_with_tags(&registry, digest, &document, &twice).await;
    assert_eq!(answer.status, 201);
    let mut named = named(&answer);
    named.sort();
    assert_eq!(named, ["a", "b"]);
    assert_eq!(listed(&registry).await, ["a", "b"]);
}

// protocol 43
#[tokio::test]
async fn a_malformed_tag_is_400_and_nothing_is_stored() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let document = empty_index("tags");
    let digest = sha256(&document);
    for bad in [
        "-a",
        "",
        "a%20b",
        "a%2Cb",
        "sha256:a",
        "%ff",
        &"a".repeat(129),
    ] {
        for tags in [vec![bad], vec!["good", bad], vec![bad, "good"]] {
            let tags: Vec<_> = tags.into_iter().map(ToOwned::to_owned).collect();
            let answer = push_with_tags(&registry, digest, &document, &tags).await;
            answer.assert_error(400, "MANIFEST_INVALID");
            assert_no_manifest(&registry, "demo", digest).await;
            assert_no_manifest(&registry, "demo", "good").await;
            assert_eq!(store.used_bytes(), 0);
        }
    }
}

// protocol 43
#[tokio::test]
async fn tags_beside_a_push_by_tag_are_ignored_and_not_named() {
    let registry = registry();
    let document = empty_index("tags");
    for tags in [
        "?tag=other",
        &format!("?tag={}", tags(0..101).join("&tag=")),
    ] {
        let reference = format!("latest{tags}");
        let target = ("demo", &*reference);
        let answer = push_document(&registry, target, INDEX, document.clone()).await;
        assert_eq!(answer.status, 201);
        assert_eq!(named(&answer), [] as [&str; 0]);
        assert_eq!(listed(&registry).await, ["latest"]);
    }
}

// protocol 43
#[tokio::test]
async fn tags_move_also_when_the_manifest_is_there_already() {
    let registry = registry();
    let [old, new] = ["old", "new"].map(empty_index);
    push_document(&registry, ("demo", "a"), INDEX, old.clone()).await;
    push_with_tags(&registry, sha256(&new), &new, &[]).await;
    assert_eq!(
        tagged(&registry, "demo", "a").await,
        sha256(&old).to_string()
    );
    let answer = push_with_tags(&registry, sha256(&new), &new, &["a".to_owned()]).await;
    assert_eq!(named(&answer), ["a"]);
    assert_eq!(
        tagged(&registry, "demo", "a").await,
        sha256(&new).to_string()
    );
}

// RFC 9110 §5.3: many clients take no more than a hundred headers.
#[tokio::test]
async fn many_tags_are_named_in_few_lines() {
    let registry = registry();
    for (count, lines) in [(1, 1), (10, 10), (11, 6), (100, 10)] {
        let document =
            format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[],"n":{count}}}"#);
        let tags: Vec<_> = (0..count).map(|number| format!("t{number:03}")).collect();
        let answer = push_with_tags(&registry, sha256(&document), &document, &tags).await;
        assert_eq!(answer.status, 201);
        assert_eq!(named(&answer), tags);
        assert_eq!(answer.headers.get_all("oci-tag").iter().count(), lines);
    }
}
