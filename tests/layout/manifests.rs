use tower_oci::{DynSource, Image, MediaType, MemoryStore};

use super::*;

#[tokio::test]
async fn an_image_is_served_by_tag_and_by_digest_in_its_exact_bytes() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "1.0");
    let source = layout.open().await;
    let stored = fs::read(layout.file(&image)).unwrap();
    for reference in ["1.0", image["digest"].as_str().unwrap()] {
        let manifest = source.get(reference).await.unwrap();
        assert_eq!(manifest.bytes(), &stored);
        assert_eq!(manifest.media_type(), &MediaType::OCI_MANIFEST);
        let reference = reference.parse().unwrap();
        let info = source.stat_manifest(&name("demo"), &reference).await;
        let info = info.unwrap();
        assert_eq!(info.digest, digest_of(&image));
        assert_eq!(info.media_type, MediaType::OCI_MANIFEST);
        assert_eq!(info.size, stored.len() as u64);
    }
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
    let info = source.stat_blob(&name("demo"), &digest_of(&layer)).await;
    let info = info.unwrap();
    assert_eq!((info.size, info.seekable), (5, true));
}

#[tokio::test]
async fn what_the_client_has_is_not_read_again_but_must_be_there() {
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    layout.list(&image, "latest");
    let source = layout.open().await;
    let has = [digest_of(&image)];
    let file = layout.file(&image);
    // Other bytes of the same length: reading them would fail.
    fs::write(&file, vec![b'x'; fs::read(&file).unwrap().len()]).unwrap();
    let ask = || async {
        let options = GetManifest::default().unless(&has);
        let latest = Reference::Tag("latest".parse().unwrap());
        source.manifest(&name("demo"), &latest, options).await
    };
    let found = ask().await.unwrap();
    assert!(matches!(found, Found::NotModified(digest) if digest == has[0]));
    fs::remove_file(&file).unwrap();
    assert_backend(ask().await, &file);
}

#[tokio::test]
async fn an_unknown_repository_tag_manifest_or_blob_is_missing() {
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    layout.list(&image, "latest");
    let stray = layout.add("text/plain", "stray");
    let source = layout.open().await;
    let other = name("other");
    let latest = "latest".parse().unwrap();
    let found = source.manifest(&other, &latest, GetManifest::default());
    assert_missing(found.await, MissingContent::Repository);
    let tags = source.tags(&other, Page::first(1)).await;
    assert_missing(tags, MissingContent::Repository);
    assert_missing(source.get("1.0").await, MissingContent::Manifest);
    let nothing = describe(MANIFEST, b"nothing");
    let found = source.get(nothing["digest"].as_str().unwrap()).await;
    assert_missing(found, MissingContent::Manifest);
    assert_missing(source.get_blob(&nothing).await, MissingContent::Blob);
    // Lies in the directory, and nothing leads to it.
    assert_missing(source.get_blob(&stray).await, MissingContent::Blob);
    let found = source.get(stray["digest"].as_str().unwrap()).await;
    assert_missing(found, MissingContent::Manifest);
}

#[tokio::test]
async fn manifests_are_no_blobs_and_blobs_are_no_manifests() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("{}\n");
    layout.list(&image, "latest");
    let source = layout.open().await;
    assert_missing(source.get_blob(&image).await, MissingContent::Blob);
    let found = source.get(layer["digest"].as_str().unwrap()).await;
    assert_missing(found, MissingContent::Manifest);
}

#[tokio::test]
async fn nested_indexes_are_served_down_to_their_blobs() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("deep");
    let mut top = image.clone();
    for depth in 0..40 {
        let index = json!({"schemaVersion": 2, "manifests": [top], "annotations": {"depth": depth.to_string()}});
        top = layout.add_json(INDEX, &index);
    }
    layout.list(&top, "latest");
    let source = layout.open().await;
    let manifest = source.get(image["digest"].as_str().unwrap()).await.unwrap();
    assert_eq!(manifest.media_type(), &MediaType::OCI_MANIFEST);
    assert_eq!(source.get_blob(&layer).await.unwrap(), "deep");
}

#[tokio::test]
async fn entries_of_a_buildkit_cache_are_blobs() {
    let (_directory, mut layout) = layout();
    let layer = layout.add("application/vnd.oci.image.layer.v1.tar+gzip", "cached");
    let config = layout.add(
        "application/vnd.buildkit.cacheconfig.v0",
        r#"{"layers":[]}"#,
    );
    let cache = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [layer, config]});
    let cache = layout.add_json(INDEX, &cache);
    layout.list(&cache, "cache");
    let source = layout.open().await;
    assert_eq!(source.get_blob(&layer).await.unwrap(), "cached");
    assert_eq!(source.get_blob(&config).await.unwrap(), r#"{"layers":[]}"#);
    let found = source.get(config["digest"].as_str().unwrap()).await;
    assert_missing(found, MissingContent::Manifest);
}

#[tokio::test]
async fn an_entry_of_unknown_type_is_a_manifest_if_it_is_a_json_object() {
    let (_directory, mut layout) = layout();
    let image = layout.image_of(&layout.add("text/plain", "layer"));
    let mut untyped = layout.add_json("", &image);
    untyped.as_object_mut().unwrap().remove("mediaType");
    let custom = layout.add("application/vnd.example+json", r#"{"custom":true}"#);
    let text = layout.add("text/plain", "some text");
    let mut large = b"{\"a\":\"".to_vec();
    large.resize(Manifest::USUAL_LIMIT, b'a');
    large.extend(b"\"}");
    let large = layout.add("application/vnd.example+json", large);
    for (entry, tag) in [
        (&untyped, "untyped"),
        (&custom, "custom"),
        (&text, "text"),
        (&large, "large"),
    ] {
        layout.list(entry, tag);
    }
    let source = layout.open().await;
    let manifest = source.get("untyped").await.unwrap();
    assert_eq!(manifest.media_type(), &MediaType::OCI_MANIFEST);
    let manifest = source.get("custom").await.unwrap();
    assert_eq!(
        manifest.media_type().as_str(),
        "application/vnd.example+json"
    );
    assert_missing(source.get_blob(&custom).await, MissingContent::Blob);
    assert_missing(source.get("text").await, MissingContent::Manifest);
    assert_eq!(source.get_blob(&text).await.unwrap(), "some text");
    assert_missing(source.get("large").await, MissingContent::Manifest);
    assert!(source.get_blob(&large).await.is_ok());
}

#[tokio::test]
async fn a_missing_or_wrong_manifest_fails_alone() {
    let (_directory, mut layout) = layout();
    let (good, good_layer) = layout.add_image("good");
    let (missing, _) = layout.add_image("missing");
    let (longer, longer_layer) = layout.add_image("longer");
    let (other, _) = layout.add_image("other");
    for (image, tag) in [
        (&good, "good"),
        (&missing, "missing"),
        (&longer, "longer"),
        (&other, "other"),
    ] {
        layout.list(image, tag);
    }
    fs::remove_file(layout.file(&missing)).unwrap();
    let length = fs::read(layout.file(&other)).unwrap().len();
    fs::write(layout.file(&other), vec![b' '; length]).unwrap();
    let content = fs::read_to_string(layout.file(&longer)).unwrap() + "\n";
    fs::write(layout.file(&longer), content).unwrap();
    let source = layout.open().await;
    for (image, tag) in [
        (&missing, "missing"),
        (&longer, "longer"),
        (&other, "other"),
    ] {
        assert_backend(source.get(tag).await, &layout.file(image));
    }
    let reference = "longer".parse().unwrap();
    let stat = source.stat_manifest(&name("demo"), &reference).await;
    assert_backend(stat, &layout.file(&longer));
    assert!(source.get("good").await.is_ok());
    assert_eq!(source.get_blob(&good_layer).await.unwrap(), "good");
    // It is there, and nobody can tell whether the repository has it. What is not there is absent.
    assert_backend(source.get_blob(&longer_layer).await, &layout.path);
    let absent = describe("text/plain", b"absent");
    assert_missing(source.get_blob(&absent).await, MissingContent::Blob);
}

#[tokio::test]
async fn a_manifest_beyond_4_mib_is_not_read() {
    let (_directory, mut layout) = layout();
    let large = json!({"schemaVersion": 2, "filler": "a".repeat(Manifest::USUAL_LIMIT)});
    let large = layout.add_json(MANIFEST, &large);
    layout.list(&large, "large");
    let source = layout.open().await;
    assert_backend(source.get("large").await, &layout.file(&large));
}

#[tokio::test]
async fn an_image_is_loaded_from_a_layout_and_served_from_memory() {
    let (_directory, mut layout) = layout();
    let content = bytes(300_000);
    let (image, layer) = layout.add_image(&content);
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [image]});
    let index = layout.add_json(INDEX, &index);
    layout.list(&index, "latest");
    let source = DynSource::new(layout.open().await);
    let latest = "latest".parse().unwrap();
    let loaded = Image::load(&source, &name("demo"), &latest).await.unwrap();
    let store = MemoryStore::new();
    store.add_image(&name("copy"), Some(&"new".parse().unwrap()), &loaded);
    let new = "new".parse().unwrap();
    let (copy, options) = (name("copy"), GetManifest::default());
    let Ok(Found::Content(served)) = store.manifest(&copy, &new, options).await else {
        panic!("the image was added");
    };
    assert_eq!(*served.digest(), digest_of(&index));
    let (layer, options) = (digest_of(&layer), GetBlob::default());
    let Ok(Blob::Content(part)) = store.blob(&copy, &layer, options).await else {
        panic!("the layer was added");
    };
    let read = part.body.collect().await.unwrap().to_bytes();
    assert!(read == content);
}
