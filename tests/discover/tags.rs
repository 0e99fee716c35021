use super::*;

fn registry_with(tags: &[&str]) -> Registry {
    let store = MemoryStore::new();
    let image = image("content");
    store.add_image(&name("library/demo"), None, &image);
    for text in tags {
        store.add_image(&name("library/demo"), Some(&tag(text)), &image);
    }
    OciRegistryService::new(store)
}

// protocol 45, 46; pitfalls: tags in a set's order
#[tokio::test]
async fn all_tags_come_in_byte_order_with_the_name() {
    let registry = registry_with(&["b", "a", "B", "_", "10", "9"]);
    let answer = get(&registry, "/v2/library/demo/tags/list").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.body,
        r#"{"name":"library/demo","tags":["10","9","B","_","a","b"]}"#
    );
    assert_eq!(next(&answer), None);
}

// protocol 45, 101
#[tokio::test]
async fn a_repository_without_tags_has_an_empty_list_and_an_unknown_one_has_none() {
    let registry = registry_with(&[]);
    let answer = get(&registry, "/v2/library/demo/tags/list").await;
    assert_eq!(answer.body, r#"{"name":"library/demo","tags":[]}"#);
    let answer = get(&registry, "/v2/unknown/tags/list").await;
    answer.assert_error(404, "NAME_UNKNOWN");
}

// protocol 47, 64, 66
#[tokio::test]
async fn pages_are_linked_and_the_last_one_has_no_link() {
    let registry = registry_with(&["a", "b", "c", "d"]);
    let answer = get(&registry, "/v2/library/demo/tags/list?n=2").await;
    assert_eq!(strings(&answer.json()["tags"]), ["a", "b"]);
    assert_eq!(
        answer.header("link"),
        r#"</v2/library/demo/tags/list?n=2&last=b>; rel="next""#
    );
    let answer = get(&registry, &next(&answer).unwrap()).await;
    assert_eq!(strings(&answer.json()["tags"]), ["c", "d"]);
    assert_eq!(next(&answer), None);
}

// protocol 47; pitfalls: n=0 panics
#[tokio::test]
async fn no_entries_are_an_empty_list_without_link() {
    let registry = registry_with(&["a", "b"]);
    let answer = get(&registry, "/v2/library/demo/tags/list?n=0").await;
    assert_eq!(answer.body, r#"{"name":"library/demo","tags":[]}"#);
    assert_eq!(next(&answer), None);
    let answer = get(&registry, "/v2/unknown/tags/list?n=0").await;
    answer.assert_error(404, "NAME_UNKNOWN");
}

// protocol 47
#[tokio::test]
async fn a_page_size_that_is_no_number_is_400() {
    let registry = registry_with(&["a"]);
    for n in ["-1", "abc", "", "1.5", "+1", "%20"] {
        let answer = get(&registry, &format!("/v2/library/demo/tags/list?n={n}")).await;
        answer.assert_error(400, "UNSUPPORTED");
    }
    let uri = "/v2/library/demo/tags/list?n=99999999999999999999999999";
    assert_eq!(get(&registry, uri).await.status, 200);
}

// protocol 48, section 3 item 14; pitfalls: last names a deleted tag
#[tokio::test]
async fn last_is_a_position_and_needs_neither_n_nor_a_tag_of_that_name() {
    let registry = registry_with(&["a", "c", "e"]);
    for (last, expected) in [
        ("a", &["c", "e"][..]),
        ("b", &["c", "e"]),
        ("%63", &["e"]),
        ("e", &[]),
        ("zzz", &[]),
        ("", &["a", "c", "e"]),
        ("!%22%3C%3E", &["a", "c", "e"]),
        ("%ff", &[]),
    ] {
        let answer = get(
            &registry,
            &format!("/v2/library/demo/tags/list?last={last}"),
        )
        .await;
        assert_eq!(strings(&answer.json()["tags"]), expected, "{last}");
    }
}

#[tokio::test]
async fn a_page_has_at_most_1_000_tags_unless_asked_and_10_000_at_all() {
    let store = MemoryStore::new();
    let image = image("content");
    for number in 0..10_001 {
        let tag = tag(&format!("{number:05}"));
        store.add_image(&name("demo"), Some(&tag), &image);
    }
    let registry = OciRegistryService::new(store);
    let answer = get(&registry, "/v2/demo/tags/list").await;
    assert_eq!(strings(&answer.json()["tags"]).len(), 1_000);
    assert_eq!(
        next(&answer).unwrap(),
        "/v2/demo/tags/list?n=1000&last=00999"
    );
    let answer = get(&registry, "/v2/demo/tags/list?n=20000").await;
    assert_eq!(strings(&answer.json()["tags"]).len(), 10_000);
    assert_eq!(
        next(&answer).unwrap(),
        "/v2/demo/tags/list?n=20000&last=09999"
    );
}

#[tokio::test]
async fn head_of_a_list_has_its_length_and_link() {
    let registry = registry_with(&["a", "b"]);
    let answer = head(&registry, "/v2/library/demo/tags/list?n=1").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), "36");
    assert!(next(&answer).is_some());
}
