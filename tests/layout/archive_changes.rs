//! Archives that change while they are served.

use super::{
    archives::{entry, open, pack},
    *,
};

/// Replaces a file as careful tools do.
fn replace(path: &Path, content: &[u8]) {
    let new = path.with_extension("new");
    fs::write(&new, content).unwrap();
    fs::rename(new, path).unwrap();
}

#[tokio::test]
async fn an_archive_that_is_replaced_is_seen_within_a_second_and_served_from_until_then() {
    let (directory, mut layout) = layout();
    let content = bytes(300_000);
    let (first, first_layer) = layout.add_image(&content);
    layout.list(&first, "latest");
    let file = directory.path().join("demo.tar");
    fs::write(&file, pack(&layout)).unwrap();
    let source = open(&file).await.unwrap();
    let begun = source
        .get_range(&first_layer, ByteRange::From(0))
        .await
        .unwrap();
    fs::remove_dir_all(&layout.path).unwrap();
    let mut layout = OnDisk::create(&layout.path);
    let (second, second_layer) = layout.add_image("second");
    layout.list(&second, "latest");
    replace(&file, &pack(&layout));
    // What was read last is not mixed with what is there now.
    let seen = source.get("latest").await.unwrap();
    if *seen.digest() == digest_of(&first) {
        assert!(source.get_blob(&first_layer).await.unwrap() == content);
    }
    source.sees("latest", &second).await;
    assert_eq!(source.get_blob(&second_layer).await.unwrap(), "second");
    assert_missing(source.get_blob(&first_layer).await, MissingContent::Blob);
    assert!(begun.body.collect().await.unwrap().to_bytes() == content);
}

#[tokio::test]
async fn an_archive_that_is_written_to_in_place_is_not_served_from_until_it_was_read_again() {
    let (directory, mut layout) = layout();
    let (first, first_layer) = layout.add_image(bytes(100_000));
    layout.list(&first, "latest");
    let file = directory.path().join("demo.tar");
    fs::write(&file, pack(&layout)).unwrap();
    let source = open(&file).await.unwrap();
    source.get_blob(&first_layer).await.unwrap();
    let (second, second_layer) = layout.add_image("second");
    layout.list(&second, "second");
    // Later than the file system can tell apart, and another order.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut moved = entry("before", bytes(1000));
    moved.extend(pack(&layout));
    fs::write(&file, &moved).unwrap();
    let early = source.get_blob(&first_layer).await;
    assert!(early.is_err() || early.unwrap() == bytes(100_000));
    source.sees("second", &second).await;
    assert!(source.get_blob(&first_layer).await.unwrap() == bytes(100_000));
    assert_eq!(source.get_blob(&second_layer).await.unwrap(), "second");
}

#[tokio::test]
async fn an_archive_that_is_cut_or_gone_leaves_the_last_view_until_it_is_whole() {
    let (directory, mut layout) = layout();
    let (image, layer) = layout.add_image(bytes(100_000));
    layout.list(&image, "latest");
    let file = directory.path().join("demo.tar");
    let whole = pack(&layout);
    fs::write(&file, &whole).unwrap();
    let source = open(&file).await.unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(source.list_tags().await.unwrap(), ["latest"]);
    assert_backend(source.get_blob(&layer).await, &file);
    fs::remove_file(&file).unwrap();
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(source.list_tags().await.unwrap(), ["latest"]);
    fs::write(&file, &whole).unwrap();
    source.sees("latest", &image).await;
    assert!(source.get_blob(&layer).await.unwrap() == bytes(100_000));
}

#[tokio::test]
async fn what_is_an_archive_now_may_be_a_directory_later() {
    let (directory, mut layout) = layout();
    let (first, _) = layout.add_image("first");
    layout.list(&first, "latest");
    let path = directory.path().join("served");
    fs::write(&path, pack(&layout)).unwrap();
    let source = open(&path).await.unwrap();
    let (second, layer) = layout.add_image("second");
    layout.list(&second, "latest");
    fs::remove_file(&path).unwrap();
    fs::rename(&layout.path, &path).unwrap();
    source.sees("latest", &second).await;
    assert_eq!(source.get_blob(&layer).await.unwrap(), "second");
}
