//! A pull costs what it asks for: what lies on its way is found without a walk through the layout.

use tower_oci::MediaType;

use super::*;

/// An image that shows whether a layout was walked through: its blobs are found without its
/// manifest only if that was read before.
struct Canary {
    manifest: PathBuf,
    layer: Value,
}

impl Canary {
    fn list(layout: &mut OnDisk) -> Self {
        let (image, layer) = layout.add_image("canary");
        layout.list(&image, "canary");
        let manifest = layout.file(&image);
        Self { manifest, layer }
    }

    /// Whether there was a walk so far. There is one afterwards.
    async fn was_reached(&self, source: &LayoutSource) -> bool {
        fs::remove_file(&self.manifest).unwrap();
        match source.get_blob(&self.layer).await {
            Ok(_) => true,
            Err(SourceError::Backend(_)) => false,
            Err(other) => panic!("nobody can tell, and not {other:?}"),
        }
    }
}

fn add_index(layout: &OnDisk, entries: &[&Value]) -> Value {
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    layout.add_json(INDEX, &index)
}

fn reference(descriptor: &Value) -> &str {
    descriptor["digest"].as_str().unwrap()
}

async fn stat(source: &LayoutSource, reference: &str) -> u64 {
    let reference = reference.parse().unwrap();
    let info = source.stat_manifest(&name("demo"), &reference).await;
    info.unwrap().size
}

async fn type_of(source: &LayoutSource, descriptor: &Value) -> MediaType {
    let manifest = source.get(reference(descriptor)).await.unwrap();
    let asked = reference(descriptor).parse().unwrap();
    let info = source.stat_manifest(&name("demo"), &asked).await.unwrap();
    assert_eq!(info.media_type, *manifest.media_type());
    info.media_type
}

/// Makes the source walk through the layout.
async fn walk(source: &LayoutSource) {
    source.list_referrers(&describe(MANIFEST, b"none")).await;
}

#[tokio::test]
async fn from_a_tag_to_the_blobs_nothing_else_is_read() {
    let (_directory, mut layout) = layout();
    let canary = Canary::list(&mut layout);
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "latest");
    let source = layout.open().await;
    source.get("latest").await.unwrap();
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
    let config = describe("application/vnd.oci.image.config.v1+json", b"{}");
    assert_eq!(source.get_blob(&config).await.unwrap(), "{}");
    let info = source.stat_blob(&name("demo"), &digest_of(&layer)).await;
    assert_eq!(info.unwrap().size, 5);
    let past = source.get_range(&layer, ByteRange::From(5)).await;
    assert!(matches!(past, Err(SourceError::RangeNotSatisfiable { .. })));
    assert!(!canary.was_reached(&source).await);
}

#[tokio::test]
async fn from_the_head_of_a_manifest_to_the_blobs_nothing_else_is_read() {
    let (_directory, mut layout) = layout();
    let canary = Canary::list(&mut layout);
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, None);
    let source = layout.open().await;
    stat(&source, reference(&image)).await;
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
    assert!(!canary.was_reached(&source).await);
}

#[tokio::test]
async fn from_an_index_to_the_blobs_of_an_image_that_it_leads_to_nothing_else_is_read() {
    let (_directory, mut layout) = layout();
    let canary = Canary::list(&mut layout);
    let (image, layer) = layout.add_image("layer");
    let second = layout.add("application/vnd.oci.image.layer.v1.tar", "second");
    let mut undeclared = layout.image_of(&second);
    undeclared.as_object_mut().unwrap().remove("mediaType");
    let undeclared = layout.add_json(MANIFEST, &undeclared);
    let nested = add_index(&layout, &[&image, &undeclared]);
    let index = add_index(&layout, &[&nested]);
    layout.list(&index, "latest");
    let source = layout.open().await;
    source.get("latest").await.unwrap();
    stat(&source, reference(&nested)).await;
    for (image, layer, content) in [(&image, &layer, "layer"), (&undeclared, &second, "second")] {
        for _ in 0..2 {
            assert_eq!(type_of(&source, image).await, MediaType::OCI_MANIFEST);
        }
        assert_eq!(source.get_blob(layer).await.unwrap(), content);
    }
    assert!(!canary.was_reached(&source).await);
}

#[tokio::test]
async fn an_entry_of_an_index_that_was_read_is_absent_without_a_walk_until_it_comes() {
    let (_directory, mut layout) = layout();
    let canary = Canary::list(&mut layout);
    let (late, layer) = layout.add_image("late");
    let index = add_index(&layout, &[&late]);
    layout.list(&index, "sparse");
    let (file, away) = (layout.file(&late), layout.path.join("away"));
    fs::rename(&file, &away).unwrap();
    let source = layout.open().await;
    source.get("sparse").await.unwrap();
    let found = source.get(reference(&late)).await;
    assert_missing(found, MissingContent::Manifest);
    fs::rename(&away, &file).unwrap();
    source.get(reference(&late)).await.unwrap();
    assert_eq!(source.get_blob(&layer).await.unwrap(), "late");
    assert!(!canary.was_reached(&source).await);
}

#[tokio::test]
async fn what_no_manifest_that_was_read_leads_to_is_found_by_a_walk() {
    let (_directory, mut layout) = layout();
    let canary = Canary::list(&mut layout);
    let (image, _) = layout.add_image("layer");
    let (other, other_layer) = layout.add_image("other");
    layout.list(&other, "other");
    layout.list(&image, "latest");
    let source = layout.open().await;
    source.get("latest").await.unwrap();
    assert_eq!(source.get_blob(&other_layer).await.unwrap(), "other");
    assert!(canary.was_reached(&source).await);
}

#[tokio::test]
async fn a_blob_that_nothing_leads_to_is_missing_after_a_pull_as_before() {
    let (_directory, mut layout) = layout();
    let canary = Canary::list(&mut layout);
    let (image, _) = layout.add_image("layer");
    layout.list(&image, "latest");
    let stray = layout.add("text/plain", "stray");
    let source = layout.open().await;
    source.get("latest").await.unwrap();
    assert_missing(source.get_blob(&stray).await, MissingContent::Blob);
    assert_missing(source.get_blob(&image).await, MissingContent::Blob);
    assert!(canary.was_reached(&source).await);
}

#[tokio::test]
async fn referrers_are_found_by_a_walk_after_a_pull_as_before() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "latest");
    for kind in ["example/read", "example/unread"] {
        let mut artifact = layout.image_of(&layer);
        artifact["artifactType"] = json!(kind);
        artifact["subject"] = image.clone();
        let artifact = layout.add_json(MANIFEST, &artifact);
        layout.list(&artifact, (kind == "example/read").then_some("read"));
    }
    let source = layout.open().await;
    source.get("read").await.unwrap();
    assert_eq!(source.list_referrers(&image).await.len(), 2);
}

#[tokio::test]
async fn a_size_that_is_wrong_in_the_manifest_that_was_read_is_the_same_as_after_a_walk() {
    let (_directory, mut layout) = layout();
    let (right, layer) = layout.add_image("layer");
    let lonely = layout.add("application/vnd.oci.image.layer.v1.tar", "lonely");
    let resized = |blob: &Value| {
        let mut blob = blob.clone();
        blob["size"] = json!(99);
        layout.add_json(MANIFEST, &layout.image_of(&blob))
    };
    let (wrong, alone) = (resized(&layer), resized(&lonely));
    layout.list(&right, "right");
    layout.list(&wrong, "wrong");
    layout.list(&alone, "alone");
    for pulled in [&["wrong", "alone"][..], &["right"], &["right", "wrong"]] {
        let source = layout.open().await;
        for tag in pulled {
            source.get(tag).await.unwrap();
        }
        // Two descriptors disagree, so the file is trusted.
        assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
        let info = source.stat_blob(&name("demo"), &digest_of(&layer)).await;
        assert_eq!(info.unwrap().size, 5);
        assert_backend(source.get_blob(&lonely).await, &layout.file(&lonely));
    }
}

#[tokio::test]
async fn whether_a_blob_may_be_absent_is_told_by_all_manifests() {
    let (_directory, mut layout) = layout();
    let layer = |content| describe("application/vnd.oci.image.layer.v1.tar", content);
    let foreign = |mut layer: Value| {
        layer["urls"] = json!(["https://example.com/far"]);
        layer
    };
    let (shared, far) = (layer(b"shared"), layer(b"far"));
    for (layer, tag) in [
        (&foreign(shared.clone()), "foreign"),
        (&shared, "own"),
        (&foreign(far.clone()), "far"),
    ] {
        let image = layout.add_json(MANIFEST, &layout.image_of(layer));
        layout.list(&image, tag);
    }
    let source = layout.open().await;
    for tag in ["foreign", "far"] {
        source.get(tag).await.unwrap();
    }
    assert_backend(source.get_blob(&shared).await, &layout.file(&shared));
    assert_missing(source.get_blob(&far).await, MissingContent::Blob);
}

#[tokio::test]
async fn a_manifest_that_its_index_gives_another_type_has_that_one_whatever_was_read() {
    let (_directory, mut layout) = layout();
    let canary = Canary::list(&mut layout);
    let (image, layer) = layout.add_image("layer");
    let mut mistyped = image.clone();
    mistyped["mediaType"] = json!(MediaType::DOCKER_MANIFEST.as_str());
    let index = add_index(&layout, &[&mistyped]);
    layout.list(&index, "latest");
    let source = layout.open().await;
    source.get("latest").await.unwrap();
    for _ in 0..2 {
        assert_eq!(type_of(&source, &image).await, MediaType::DOCKER_MANIFEST);
    }
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
    assert!(canary.was_reached(&source).await);
}

#[tokio::test]
async fn where_indexes_disagree_on_a_type_the_manifest_has_its_own_whatever_was_read() {
    // The order in which a walk meets them goes by their digests.
    for number in 0..8 {
        let (_directory, mut layout) = layout();
        let subject = describe(MANIFEST, b"subject");
        let mut image = layout.image_of(&layout.add("text/plain", number.to_string()));
        image["subject"] = subject.clone();
        let image = layout.add_json(MANIFEST, &image);
        let mut mistyped = image.clone();
        mistyped["mediaType"] = json!(MediaType::DOCKER_MANIFEST.as_str());
        let right = add_index(&layout, &[&image]);
        let wrong = add_index(&layout, &[&mistyped]);
        layout.list(&right, "right");
        layout.list(&wrong, "wrong");
        for pulled in [&["right"][..], &["wrong"], &["right", "wrong"]] {
            let source = layout.open().await;
            for tag in pulled {
                source.get(tag).await.unwrap();
            }
            assert_eq!(type_of(&source, &image).await, MediaType::OCI_MANIFEST);
            walk(&source).await;
            assert_eq!(type_of(&source, &image).await, MediaType::OCI_MANIFEST);
            let referrers = source.list_referrers(&subject).await;
            let [referrer] = &referrers[..] else {
                panic!("one manifest refers to the subject: {referrers:?}");
            };
            assert_eq!(referrer["digest"], image["digest"]);
            assert_eq!(referrer["mediaType"], image["mediaType"]);
        }
    }
}

#[tokio::test]
async fn what_the_layout_lists_itself_has_the_type_that_is_given_there() {
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    let index = add_index(&layout, &[&image]);
    layout.list(&index, "index");
    let mut custom = image.clone();
    custom["mediaType"] = json!("application/vnd.example+json");
    layout.list(&custom, "custom");
    let source = layout.open().await;
    source.get("index").await.unwrap();
    for _ in 0..2 {
        let media_type = type_of(&source, &image).await;
        assert_eq!(media_type.as_str(), "application/vnd.example+json");
    }
}

#[tokio::test]
async fn a_manifest_with_other_bytes_leads_nowhere() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "latest");
    let file = layout.file(&image);
    let right = fs::read_to_string(&file).unwrap();
    let stray = layout.add("text/plain", "stray");
    // As long as before, and it would lead to something else.
    let other = right.replace(reference(&layer), reference(&stray));
    assert_eq!(other.len(), right.len());
    fs::write(&file, other).unwrap();
    let source = layout.open().await;
    assert_backend(source.get("latest").await, &file);
    assert_backend(source.get_blob(&stray).await, &file);
}

#[tokio::test]
async fn what_a_version_of_the_index_led_to_is_missing_from_the_next() {
    let (_directory, mut layout) = layout();
    let (first, first_layer) = layout.add_image("first");
    let index = add_index(&layout, &[&first]);
    layout.list(&index, "latest");
    let source = layout.open().await;
    source.get("latest").await.unwrap();
    source.get(reference(&first)).await.unwrap();
    assert_eq!(source.get_blob(&first_layer).await.unwrap(), "first");
    let (second, second_layer) = layout.add_image("second");
    layout.entries.clear();
    layout.list(&second, "latest");
    source.sees("latest", &second).await;
    assert_eq!(source.get_blob(&second_layer).await.unwrap(), "second");
    let found = source.get_blob(&first_layer).await;
    assert_missing(found, MissingContent::Blob);
    let found = source.get(reference(&first)).await;
    assert_missing(found, MissingContent::Manifest);
}

#[tokio::test]
async fn a_manifest_whose_file_is_open_leads_on_in_the_next_version_of_the_index_too() {
    let (_directory, mut layout) = layout();
    let canary = Canary::list(&mut layout);
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "latest");
    // A file that was just written is not kept open.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let source = layout.open().await;
    source.get("latest").await.unwrap();
    layout.list(&image, "next");
    while source.get("next").await.is_err() {
        source.get("latest").await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
    assert!(!canary.was_reached(&source).await);
}

#[tokio::test]
async fn a_manifest_that_a_walk_had_and_the_next_one_lost_leads_on_once_it_is_back() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "latest");
    // A file that is missing: each walk is done again.
    let missing = describe(MANIFEST, b"missing");
    layout.list(&missing, "missing");
    let source = layout.open().await;
    walk(&source).await;
    source.get("latest").await.unwrap();
    let bytes = fs::read(layout.file(&image)).unwrap();
    fs::remove_file(layout.file(&image)).unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    walk(&source).await;

    fs::write(layout.file(&image), bytes).unwrap();
    source.get("latest").await.unwrap();
    source.get_blob(&layer).await.unwrap();
}
