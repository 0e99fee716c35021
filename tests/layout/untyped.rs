//! Entries of a nested index whose media type does not say what they are.

use tower_oci::MediaType;

use super::*;

/// Lists an index of `entries` as `latest`.
fn list_nested(layout: &mut OnDisk, entries: &[&Value]) {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    let index = layout.add_json(INDEX, &index);
    layout.list(&index, "latest");
}

/// Writes JSON whose descriptor has no media type.
fn add_untyped(layout: &OnDisk, content: &Value) -> Value {
    let mut untyped = layout.add_json("", content);
    untyped.as_object_mut().unwrap().remove("mediaType");
    untyped
}

async fn type_of(source: &LayoutSource, descriptor: &Value) -> MediaType {
    let digest = descriptor["digest"].as_str().unwrap();
    source.get(digest).await.unwrap().media_type().clone()
}

#[tokio::test]
async fn an_entry_that_says_itself_that_it_is_a_manifest_is_one() {
    let (_directory, mut layout) = layout();
    let layer = layout.add("text/plain", "layer");
    let declared = add_untyped(&layout, &layout.image_of(&layer));
    let second = layout.add("text/plain", "second");
    let mut undeclared = layout.image_of(&second);
    undeclared.as_object_mut().unwrap().remove("mediaType");
    let undeclared = layout.add_json("application/octet-stream", &undeclared);
    let third = layout.add("text/plain", "third");
    let of_third = layout.add_json(MANIFEST, &layout.image_of(&third));
    let index = json!({"schemaVersion": 2, "manifests": [of_third]});
    let index = add_untyped(&layout, &index);
    list_nested(&mut layout, &[&declared, &undeclared, &index]);
    let source = layout.open().await;
    assert_eq!(type_of(&source, &declared).await, MediaType::OCI_MANIFEST);
    assert_eq!(type_of(&source, &undeclared).await, MediaType::OCI_MANIFEST);
    assert_eq!(type_of(&source, &index).await, MediaType::OCI_INDEX);
    for (blob, content) in [(&layer, "layer"), (&second, "second"), (&third, "third")] {
        assert_eq!(source.get_blob(blob).await.unwrap(), content);
    }
    assert_missing(source.get_blob(&declared).await, MissingContent::Blob);
}

#[tokio::test]
async fn an_entry_that_does_not_say_so_is_a_blob() {
    let (_directory, mut layout) = layout();
    let object = add_untyped(&layout, &json!({"custom": true}));
    let text = layout.add("application/octet-stream", "text");
    let typed = layout.add("application/vnd.example+json", r#"{"layers":[]}"#);
    let large = layout.add("application/octet-stream", bytes(Manifest::USUAL_LIMIT + 1));
    let blobs = [&object, &text, &typed, &large];
    list_nested(&mut layout, &blobs);
    let source = layout.open().await;
    for blob in blobs {
        assert!(source.get_blob(blob).await.is_ok(), "{blob}");
        let found = source.get(blob["digest"].as_str().unwrap()).await;
        assert_missing(found, MissingContent::Manifest);
    }
}

#[tokio::test]
async fn an_entry_that_comes_later_is_looked_at_then() {
    let (_directory, mut layout) = layout();
    let layer = layout.add("text/plain", "layer");
    let late = add_untyped(&layout, &layout.image_of(&layer));
    list_nested(&mut layout, &[&late]);
    let (file, away) = (layout.file(&late), layout.path.join("away"));
    fs::rename(&file, &away).unwrap();
    let source = layout.open().await;
    assert_missing(source.get_blob(&layer).await, MissingContent::Blob);
    fs::rename(&away, &file).unwrap();
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(type_of(&source, &late).await, MediaType::OCI_MANIFEST);
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
}

#[tokio::test]
async fn what_an_entry_is_stays_known_when_the_layout_changes() {
    let (_directory, mut layout) = layout();
    let layer = layout.add("text/plain", "layer");
    let manifest = add_untyped(&layout, &layout.image_of(&layer));
    let blob = layout.add("application/octet-stream", "blob");
    list_nested(&mut layout, &[&manifest, &blob]);
    let source = layout.open().await;
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
    let (other, other_layer) = layout.add_image("other");
    layout.list(&other, "other");
    source.sees("other", &other).await;
    assert_eq!(source.get_blob(&other_layer).await.unwrap(), "other");
    assert_eq!(type_of(&source, &manifest).await, MediaType::OCI_MANIFEST);
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
    assert_eq!(source.get_blob(&blob).await.unwrap(), "blob");
}

#[tokio::test]
async fn an_entry_of_the_layout_itself_that_comes_later_gets_its_own_type() {
    let (_directory, mut layout) = layout();
    let layer = layout.add("text/plain", "layer");
    let late = add_untyped(&layout, &layout.image_of(&layer));
    layout.list(&late, "late");
    let (file, away) = (layout.file(&late), layout.path.join("away"));
    fs::rename(&file, &away).unwrap();
    let source = layout.open().await;
    assert_backend(source.get("late").await, &file);
    fs::rename(&away, &file).unwrap();
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(type_of(&source, &late).await, MediaType::OCI_MANIFEST);
}

#[tokio::test]
async fn a_broken_entry_that_an_index_lists_very_often_is_read_once() {
    let (_directory, mut layout) = layout();
    let mut large = json!({"layers": [], "filler": "a".repeat(2 << 20)}).to_string();
    let entry = layout.add("application/octet-stream", &large);
    large.replace_range(..1, " ");
    fs::write(layout.file(&entry), large).unwrap();
    list_nested(&mut layout, &vec![&entry; 2000]);
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "image");
    let source = layout.open().await;
    let started = Instant::now();
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
    // Reading it for each entry would be to read 4 GB.
    assert!(started.elapsed() < Duration::from_secs(10));
}
