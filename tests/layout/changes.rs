use std::{
    collections::BTreeSet,
    io::{Seek, SeekFrom, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::SystemTime,
};

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

/// How `index.json` lists `image` as `latest`, always with the same length.
fn index_of(image: &Value) -> String {
    let mut entry = image.clone();
    entry["annotations"] = json!({REF_NAME: "latest"});
    json!({"schemaVersion": 2, "manifests": [entry]}).to_string()
}

/// Writes a file in place, and says that this was long ago.
fn write_aged(file: &Path, content: &str) {
    fs::write(file, content).unwrap();
    let file = fs::File::options().write(true).open(file).unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    file.set_modified(long_ago).unwrap();
}

#[tokio::test]
async fn a_change_that_leaves_the_same_size_and_modification_time_is_seen() {
    let (_directory, layout) = layout();
    let (first, _) = layout.add_image("1st");
    let (second, _) = layout.add_image("2nd");
    let file = layout.path.join("index.json");
    write_aged(&file, &index_of(&first));
    let source = layout.open().await;
    source.get("latest").await.unwrap();
    // In place: the inode stays too.
    write_aged(&file, &index_of(&second));
    source.sees("latest", &second).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_change_of_a_file_that_had_settled_is_seen_by_the_time_that_nobody_can_set() {
    use std::os::unix::fs::MetadataExt;
    let (_directory, layout) = layout();
    let (first, _) = layout.add_image("1st");
    let (second, _) = layout.add_image("2nd");
    let file = layout.path.join("index.json");
    write_aged(&file, &index_of(&first));
    // Until the file cannot change any more without another time.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let source = layout.open().await;
    source.sees("latest", &first).await;

    let before = fs::metadata(&file).unwrap();
    write_aged(&file, &index_of(&second));
    let after = fs::metadata(&file).unwrap();
    assert_eq!((before.len(), before.ino()), (after.len(), after.ino()));
    assert_eq!(before.modified().unwrap(), after.modified().unwrap());
    source.sees("latest", &second).await;
}

#[tokio::test]
async fn an_index_that_is_written_while_it_is_read_is_not_believed() {
    let (_directory, layout) = layout();
    let (image, _) = layout.add_image("layer");
    let file = layout.path.join("index.json");
    // It is always whole, and long enough for reading it to take longer than the times of files
    // are apart.
    let padding = " ".repeat(60 << 20);
    fs::write(&file, index_of(&image) + &padding).unwrap();
    let written = Arc::new(AtomicBool::new(true));
    let writer = std::thread::spawn({
        let (file, written) = (file.clone(), written.clone());
        move || {
            let mut file = fs::File::options().write(true).open(file).unwrap();
            while written.load(Relaxed) {
                file.seek(SeekFrom::End(-1)).unwrap();
                file.write_all(b" ").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    let open = || LayoutSource::open([(name("demo"), &layout.path)]);
    let opened = open().await;
    written.store(false, Relaxed);
    writer.join().unwrap();
    let error = opened.expect_err("the index was not the same");
    let error = error.to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");

    fs::write(&file, index_of(&image)).unwrap();
    let source = open().await.unwrap();
    assert_eq!(source.list_tags().await.unwrap(), ["latest"]);
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
    let subject = layout.add("text/plain", "subject");
    // Each version has three images of its own, which have tags of their own and refer to the same
    // subject.
    let versions: Vec<Vec<Value>> = (0..4)
        .map(|version| {
            let images = (0..3).map(|number| {
                let layer = layout.add("text/plain", format!("{version} {number}"));
                let mut image = layout.image_of(&layer);
                image["subject"] = subject.clone();
                let mut entry = layout.add_json(MANIFEST, &image);
                entry["annotations"] = json!({REF_NAME: format!("{version}-{number}")});
                entry
            });
            images.collect()
        })
        .collect();
    let tags_of = |version: &[Value]| -> Vec<String> {
        let tags = version.iter().map(|entry| &entry["annotations"][REF_NAME]);
        tags.map(|tag| tag.as_str().unwrap().to_owned()).collect()
    };
    let referrers_of = |version: &[Value]| -> BTreeSet<String> {
        let digests = version.iter().map(|entry| digest_of(entry).to_string());
        digests.collect()
    };
    layout.entries = versions[0].clone();
    layout.write_index();
    let source = layout.open().await;
    let (mut tags_seen, mut referrers_seen) = (BTreeSet::new(), BTreeSet::new());
    let started = Instant::now();
    for version in versions.iter().cycle() {
        layout.entries.clone_from(version);
        // In place, so that a reader may meet any part of it.
        let index = json!({"schemaVersion": 2, "manifests": layout.entries});
        fs::write(layout.path.join("index.json"), index.to_string()).unwrap();
        tokio::time::sleep(Duration::from_millis(3)).await;
        let tags = source.list_tags().await.unwrap();
        let is_one = |version: &Vec<Value>| tags_of(version) == tags;
        assert!(versions.iter().any(is_one), "{tags:?}");
        tags_seen.insert(tags);
        let referrers = source.list_referrers(&subject).await;
        let referrers = referrers_of(&referrers);
        let is_one = |version: &Vec<Value>| referrers_of(version) == referrers;
        assert!(versions.iter().any(is_one), "{referrers:?}");
        referrers_seen.insert(referrers);
        let has_seen_several = tags_seen.len() > 2 && referrers_seen.len() > 2;
        if has_seen_several && started.elapsed() > Duration::from_secs(2) {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{tags_seen:?}");
    }
}
