//! What holds the images of the suite in other ways than a store that they were added to.

#[cfg(feature = "fs")]
use std::{fs, path::Path};

#[cfg(feature = "fs")]
use serde_json::json;
#[cfg(feature = "fs")]
use tower_oci::LayoutSource;
use tower_oci::{
    BlobStore, BytesBody, Image, MemoryStore, NewManifest, RepositoryName, Tag, UploadBody,
    testing::{Fixture, source_suite},
};

/// Puts an image with all that it lists, as a client pushes it.
async fn push(store: &MemoryStore, name: &RepositoryName, tag: Option<&Tag>, image: &Image) {
    for child in image.children() {
        Box::pin(push(store, name, None, child)).await;
    }
    for blob in image.descriptors() {
        if !blob.media_type.is_manifest() {
            let bytes = image.read_blob_verified(blob, 1 << 20).await.unwrap();
            let mut body = UploadBody::new(BytesBody::new(bytes));
            let stored = store.put_blob(name, &blob.digest, Default::default(), &mut body);
            stored.await.unwrap();
        }
    }
    let mut new = NewManifest::of(image.manifest().clone()).unwrap();
    if let Some(tag) = tag {
        new = new.tag(tag.clone());
    }
    store.put_manifest(name, new).await.unwrap();
}

#[tokio::test]
async fn what_was_pushed_keeps_the_contract_of_a_source() {
    let pushed = async |fixture: &Fixture| {
        let store = MemoryStore::new();
        for (tag, image) in &fixture.images {
            push(&store, &fixture.repository, tag.as_ref(), image).await;
        }
        store
    };
    source_suite(pushed).await.unwrap();
}

/// Writes an image with all that it lists into the blobs of a layout.
#[cfg(feature = "fs")]
async fn write(layout: &Path, image: &Image) {
    for child in image.children() {
        Box::pin(write(layout, child)).await;
    }
    let blobs = layout.join("blobs/sha256");
    for blob in image.descriptors() {
        if !blob.media_type.is_manifest() {
            let bytes = image.read_blob_verified(blob, 1 << 20).await.unwrap();
            fs::write(blobs.join(blob.digest.encoded()), bytes).unwrap();
        }
    }
    let file = blobs.join(image.digest().encoded());
    fs::write(file, image.manifest().bytes()).unwrap();
}

/// Writes the images of the suite as a layout.
#[cfg(feature = "fs")]
async fn write_layout(layout: &Path, fixture: &Fixture) {
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let version = json!({"imageLayoutVersion": "1.0.0"});
    fs::write(layout.join("oci-layout"), version.to_string()).unwrap();
    let mut entries = Vec::new();
    for (tag, image) in &fixture.images {
        write(layout, image).await;
        let annotations = match tag {
            Some(tag) => json!({"org.opencontainers.image.ref.name": tag.as_str()}),
            None => json!({}),
        };
        entries.push(json!({
            "mediaType": image.media_type(),
            "digest": image.digest(),
            "size": image.manifest().size(),
            "annotations": annotations,
        }));
    }
    let index = json!({"schemaVersion": 2, "manifests": entries});
    fs::write(layout.join("index.json"), index.to_string()).unwrap();
}

#[cfg(feature = "fs")]
#[tokio::test]
async fn a_layout_on_disk_keeps_the_contract_of_a_source() {
    let directory = tempfile::tempdir().unwrap();
    // The layout of this name, and one that is found in a tree under it.
    let layout = directory.path().join("suite/images");
    let opened = async |fixture: &Fixture| {
        write_layout(&layout, fixture).await;
        LayoutSource::open([(fixture.repository.clone(), &layout)])
            .await
            .unwrap()
    };
    source_suite(opened).await.unwrap();
    let found = async |_: &Fixture| LayoutSource::open_tree(directory.path()).await.unwrap();
    source_suite(found).await.unwrap();
}
