use super::*;

#[tokio::test]
async fn a_name_that_is_no_tag_leaves_the_manifest_to_its_digest() {
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    layout.list(&image, "docker.io/library/demo:1.0");
    let source = layout.open().await;
    assert!(source.list_tags().await.unwrap().is_empty());
    let digest = image["digest"].as_str().unwrap();
    assert!(source.get(digest).await.is_ok());
}

#[tokio::test]
async fn of_two_entries_with_one_tag_the_last_wins_and_both_are_served() {
    let (_directory, mut layout) = layout();
    let (first, _) = layout.add_image("first");
    let (last, _) = layout.add_image("last");
    layout.list(&first, "latest");
    layout.list(&last, "latest");
    let source = layout.open().await;
    let latest = source.get("latest").await.unwrap();
    assert_eq!(*latest.digest(), digest_of(&last));
    assert!(source.get(first["digest"].as_str().unwrap()).await.is_ok());
    assert_eq!(source.list_tags().await.unwrap(), ["latest"]);
}

#[tokio::test]
async fn broken_entries_are_left_out_and_the_others_served() {
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    layout.list(
        &json!({"mediaType": MANIFEST, "digest": "sha256:short", "size": 3}),
        "a",
    );
    layout.list(
        &json!({"mediaType": MANIFEST, "digest": image["digest"], "size": -1}),
        "b",
    );
    layout.list(&json!({"mediaType": MANIFEST}), "c");
    layout.list(&image, "d");
    let source = layout.open().await;
    assert_eq!(source.list_tags().await.unwrap(), ["d"]);
}

#[tokio::test]
async fn tags_come_in_byte_order_and_in_pages() {
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    for tag in ["b", "Z", "a", "_", "10", "9"] {
        layout.list(&image, tag);
    }
    let source = layout.open().await;
    let mut seen = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = Page::first(4).after(&after);
        let listing = source.tags(&name("demo"), page).await.unwrap();
        seen.extend(listing.items.iter().map(Tag::to_string));
        after = listing.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["10", "9", "Z", "_", "a", "b"]);
}
