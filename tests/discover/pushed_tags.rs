//! The list of tags, after pushes.

use super::*;

/// A registry where these tags were pushed in this order.
async fn registry_with(limits: Limits, tags: &[&str]) -> Writable {
    let registry = writable().limits(limits);
    let image = image("content");
    push_image(&registry, "demo", None, &image).await;
    for tag in tags {
        let answer = put_manifest(&registry, "demo", tag, image.manifest()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    registry
}

async fn tags_at(registry: &Writable, query: &str) -> (Vec<String>, Option<String>) {
    let answer = get(registry, &format!("/v2/demo/tags/list{query}")).await;
    assert_eq!(answer.status, 200, "{query}");
    let json = answer.json();
    assert_eq!(json["name"], "demo");
    let tags = strings(&json["tags"]).into_iter().map(ToOwned::to_owned);
    (tags.collect(), next(&answer))
}

async fn all_tags(registry: &Writable, query: &str) -> Vec<String> {
    let pages = pages(registry, &format!("/v2/demo/tags/list{query}")).await;
    let tags = pages.iter().flat_map(|page| {
        let json = page.json();
        let tags = strings(&json["tags"]).into_iter().map(ToOwned::to_owned);
        tags.collect::<Vec<_>>()
    });
    tags.collect()
}

/// Tags that differ in all that matters to an order, in byte order.
const TAGS: [&str; 10] = ["0", "1.10", "1.9", "A", "Z", "_", "a", "a-b", "a.b", "z"];

/// The same in an order that has nothing to do with theirs.
fn shuffled() -> Vec<&'static str> {
    let mut tags = TAGS.to_vec();
    tags.sort_by_key(|tag| Algorithm::Sha256.digest(tag));
    assert_ne!(tags, TAGS);
    tags
}

// protocol 46, section 3 item 14; pitfalls: tags in a set's order
#[tokio::test]
async fn tags_that_are_pushed_in_any_order_are_listed_in_byte_order() {
    let registry = registry_with(Limits::default(), &shuffled()).await;
    let mut in_byte_order = TAGS;
    in_byte_order.sort_unstable();
    assert_eq!(
        tags_at(&registry, "").await,
        (in_byte_order.map(String::from).to_vec(), None)
    );
    // A tag that moves stays where it is.
    push_image(&registry, "demo", Some("1.9"), &image("other")).await;
    assert_eq!(tags_at(&registry, "").await.0, in_byte_order);
}

// protocol 47 and 48
#[tokio::test]
async fn pages_of_every_size_continue_exactly() {
    let registry = registry_with(Limits::default(), &shuffled()).await;
    for n in 1..=TAGS.len() + 1 {
        let query = format!("?n={n}");
        let (first, link) = tags_at(&registry, &query).await;
        assert_eq!(first, TAGS[..n.min(TAGS.len())]);
        assert_eq!(link.is_some(), n < TAGS.len(), "n={n}");
        assert_eq!(all_tags(&registry, &query).await, TAGS);
        for (position, last) in TAGS.iter().enumerate() {
            let (page, _) = tags_at(&registry, &format!("?n={n}&last={last}")).await;
            let rest = &TAGS[position + 1..];
            assert_eq!(page, rest[..n.min(rest.len())], "n={n} last={last}");
        }
    }
    let (none, link) = tags_at(&registry, "?n=0").await;
    assert_eq!((none, link), (vec![], None));
    let (none, link) = tags_at(&registry, "?n=0&last=a").await;
    assert_eq!((none, link), (vec![], None));
    for n in ["-1", "many", ""] {
        let answer = get(&registry, &format!("/v2/demo/tags/list?n={n}")).await;
        answer.assert_error(400, "UNSUPPORTED");
    }
}

// protocol 48; pitfalls: last that names a deleted tag
#[tokio::test]
async fn last_may_name_a_tag_that_was_deleted_since() {
    let registry = registry_with(Limits::default(), &shuffled()).await;
    let (page, link) = tags_at(&registry, "?n=4").await;
    assert_eq!(page, TAGS[..4]);
    // The one that the link names, and the one that would be next.
    for tag in &TAGS[3..5] {
        delete(&registry, &format!("demo/manifests/{tag}")).await;
    }
    let query = link.unwrap().replace("/v2/demo/tags/list", "");
    assert_eq!(tags_at(&registry, &query).await.0, TAGS[5..9]);
    assert_eq!(
        tags_at(&registry, &format!("?last={}", TAGS[3])).await.0,
        TAGS[5..]
    );
    assert_eq!(all_tags(&registry, &query).await, TAGS[5..]);
}

// protocol 48: the server may have a cap of its own, with a Link
#[tokio::test]
async fn the_limits_bound_a_page_and_its_link_goes_on() {
    for (default_page, largest_page, query, first_page, link) in [
        (2, 3, "", 2, Some("?n=2&last=1.10")),
        (2, 3, "?n=1", 1, Some("?n=1&last=0")),
        (2, 3, "?n=5", 3, Some("?n=5&last=1.9")),
        (5, 3, "", 3, Some("?n=5&last=1.9")),
        (2, 100, "?n=10", 10, None),
        (100, 100, "", 10, None),
    ] {
        let mut limits = Limits::default();
        (limits.default_page, limits.largest_page) = (default_page, largest_page);
        let registry = registry_with(limits, &shuffled()).await;
        let (tags, next) = tags_at(&registry, query).await;
        let row = format!("{default_page} {largest_page} {query}");
        assert_eq!(tags, TAGS[..first_page], "{row}");
        let link = link.map(|link| format!("/v2/demo/tags/list{link}"));
        assert_eq!(next, link, "{row}");
        assert_eq!(all_tags(&registry, query).await, TAGS, "{row}");
    }
}

// A limit that makes no sense must not make a list end before its end.
#[tokio::test]
async fn a_page_limit_of_zero_loses_no_tag() {
    for (default_page, largest_page) in [(1_000, 0), (0, 10_000), (0, 0)] {
        let mut limits = Limits::default();
        (limits.default_page, limits.largest_page) = (default_page, largest_page);
        let registry = registry_with(limits, &shuffled()).await;
        let tags = all_tags(&registry, "").await;
        assert_eq!(tags, TAGS, "{default_page} {largest_page}");
    }
}

// protocol 43 and 45
#[tokio::test]
async fn only_what_was_accepted_is_listed() {
    let registry = registry_with(Limits::default(), &["a"]).await;
    let pushed = image("content");
    let by_digest = format!("{}?tag=c&tag=b&tag=c", pushed.digest());
    let answer = put_manifest(&registry, "demo", &by_digest, pushed.manifest()).await;
    assert_eq!(answer.status, 201);
    let refused = image("its blobs are not pushed");
    let answer = put_manifest(&registry, "demo", "d", refused.manifest()).await;
    assert_eq!(answer.status, 400);
    let answer = put(&registry, "PUT", "/v2/demo/manifests/e", &[], "no manifest").await;
    answer.assert_error(400, "MANIFEST_INVALID");
    let bad_tag = format!("{}?tag=f&tag=-", pushed.digest());
    let answer = put_manifest(&registry, "demo", &bad_tag, pushed.manifest()).await;
    answer.assert_error(400, "MANIFEST_INVALID");
    assert_eq!(tags_at(&registry, "").await.0, ["a", "b", "c"]);
}

// protocol 45: a repository of blobs has a list, which is empty
#[tokio::test]
async fn a_repository_without_manifests_has_an_empty_list() {
    let registry = writable();
    push_blob(&registry, "demo", "a blob").await;
    assert_eq!(tags_at(&registry, "").await, (vec![], None));
    let answer = get(&registry, "/v2/demo/blobs/tags/list").await;
    answer.assert_error(404, "NAME_UNKNOWN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_tags_that_are_pushed_at_once_none_is_lost() {
    let registry = registry_with(Limits::default(), &[]).await;
    let tags: Vec<String> = (0..200).map(|number| format!("{number:03}")).collect();
    let pushes = tags.clone().into_iter().map(|tag| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let image = image("content");
            let answer = put_manifest(&registry, "demo", &tag, image.manifest()).await;
            assert_eq!(answer.status, 201);
            let (listed, _) = tags_at(&registry, "").await;
            assert!(listed.contains(&tag), "acknowledged, and not listed");
        })
    });
    for push in pushes.collect::<Vec<_>>() {
        push.await.unwrap();
    }
    assert_eq!(tags_at(&registry, "").await.0, tags);
}
