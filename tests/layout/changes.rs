use super::*;

#[tokio::test]
async fn a_change_is_seen_within_a_second() {
    let (_directory, mut layout) = layout();
    let (first, _) = layout.add_image("first");
    layout.list(&first, "latest");
    let source = layout.open().await;
    for content in ["second", "third"] {
        let (image, layer) = layout.add_image(content);
        layout.list(&image, "latest");
        source.sees("latest", &image).await;
        assert_eq!(source.get_blob(&layer).await.unwrap(), content);
    }
    layout.entries.clear();
    layout.write_index();
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_missing(source.get("latest").await, MissingContent::Manifest);
    assert!(source.list_tags().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_change_is_seen_within_a_second_under_constant_requests() {
    let (_directory, mut layout) = layout();
    let (first, _) = layout.add_image("first");
    layout.list(&first, "latest");
    let source = layout.open().await;
    source.get("latest").await.unwrap();
    let (second, _) = layout.add_image("second");
    layout.list(&second, "latest");
    let changed = Instant::now();
    loop {
        let asked = changed.elapsed();
        let latest = source.get("latest").await.unwrap();
        if *latest.digest() == digest_of(&second) {
            break;
        }
        assert!(asked < Duration::from_secs(1), "stale after {asked:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_change_that_leaves_the_same_size_and_times_is_seen() {
    let (_directory, mut layout) = layout();
    let (first, _) = layout.add_image("1st");
    let (second, _) = layout.add_image("2nd");
    layout.list(&first, "latest");
    let source = layout.open().await;
    source.get("latest").await.unwrap();
    layout.entries.clear();
    let file = layout.path.join("index.json");
    let modified = fs::metadata(&file).unwrap().modified().unwrap();
    let index = fs::read_to_string(&file).unwrap();
    let index = index.replace(
        first["digest"].as_str().unwrap(),
        second["digest"].as_str().unwrap(),
    );
    // In place: the inode stays too.
    fs::write(&file, index).unwrap();
    let file = fs::File::options().write(true).open(file).unwrap();
    file.set_modified(modified).unwrap();
    source.sees("latest", &second).await;
}

#[tokio::test]
async fn a_torn_index_leaves_the_last_view_until_it_is_whole() {
    let (_directory, mut layout) = layout();
    let (first, first_layer) = layout.add_image("first");
    layout.list(&first, "latest");
    let source = layout.open().await;
    let (second, second_layer) = layout.add_image("second");
    layout.list(&second, "latest");
    let file = layout.path.join("index.json");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    source.sees("latest", &first).await;
    assert_eq!(source.get_blob(&first_layer).await.unwrap(), "first");
    fs::write(&file, &whole).unwrap();
    source.sees("latest", &second).await;
    assert_eq!(source.get_blob(&second_layer).await.unwrap(), "second");
}

#[tokio::test]
async fn a_layout_that_disappears_is_served_as_it_was_last() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "latest");
    let source = layout.open().await;
    let away = layout.path.with_extension("away");
    fs::rename(&layout.path, &away).unwrap();
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(source.list_tags().await.unwrap(), ["latest"]);
    assert_backend(source.get("latest").await, &layout.file(&image));
    fs::rename(&away, &layout.path).unwrap();
    source.sees("latest", &image).await;
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
}

#[tokio::test]
async fn what_was_missing_from_a_layout_is_found_when_it_comes() {
    let (_directory, mut layout) = layout();
    let (late, late_layer) = layout.add_image("late");
    let (sparse, sparse_layer) = layout.add_image("sparse");
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [sparse]});
    let index = layout.add_json(INDEX, &index);
    layout.list(&late, "late");
    layout.list(&index, "sparse");
    let away = |descriptor| layout.file(descriptor).with_extension("away");
    for manifest in [&late, &sparse] {
        fs::rename(layout.file(manifest), away(manifest)).unwrap();
    }
    let source = layout.open().await;
    for layer in [&late_layer, &sparse_layer] {
        assert!(source.get_blob(layer).await.is_err());
    }
    for manifest in [&late, &sparse] {
        fs::rename(away(manifest), layout.file(manifest)).unwrap();
    }
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(source.get_blob(&late_layer).await.unwrap(), "late");
    assert_eq!(source.get_blob(&sparse_layer).await.unwrap(), "sparse");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_mixes_two_versions_of_the_index() {
    let (_directory, mut layout) = layout();
    let images: Vec<Value> = (0..10)
        .map(|number| layout.add_image(format!("version {number}")).0)
        .collect();
    layout.list(&images[0], "a");
    layout.list(&images[0], "b");
    let source = layout.open().await;
    let started = Instant::now();
    for image in images.iter().cycle() {
        let mut entries = Vec::new();
        for tag in ["a", "b"] {
            let mut entry = image.clone();
            entry["annotations"] = json!({REF_NAME: tag});
            entries.push(entry);
        }
        layout.entries = entries;
        // In place, so that a reader may meet any part of it.
        let index = json!({"schemaVersion": 2, "manifests": layout.entries});
        fs::write(layout.path.join("index.json"), index.to_string()).unwrap();
        assert_eq!(source.list_tags().await.unwrap(), ["a", "b"]);
        let latest = source.get("a").await.unwrap();
        assert!(
            images
                .iter()
                .any(|image| digest_of(image) == *latest.digest())
        );
        if started.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
}
