//! What is pulled and pushed, and how it is compared.

use std::{fs, path::Path};

use tower_oci::{
    Image, MemoryStore, Platform,
    testing::{ImageBuilder, IndexBuilder},
};

use crate::common::{name, noise, tag};

/// An index of two images that share a layer, one of which is of several megabytes.
pub(crate) fn two_platforms() -> Image {
    let mut index = IndexBuilder::new();
    for architecture in ["amd64", "arm64"] {
        let platform = Platform::new("linux", architecture);
        let image = ImageBuilder::new()
            .platform(platform.clone())
            .files([("etc/motd", "hello"), ("etc/hostname", "demo")])
            .files([(format!("lib/{architecture}"), noise(3 << 20))])
            .annotation("org.opencontainers.image.title", architecture);
        index = index.image_for(&image.build().unwrap(), platform);
    }
    index.build().unwrap()
}

pub(crate) fn store_with(repository: &str, image: &Image) -> MemoryStore {
    let store = MemoryStore::new();
    store.add_image(&name(repository), Some(&tag("latest")), image);
    store
}

/// Asserts that a folder, as skopeo's `dir:` writes it, has the very bytes of `image`: its
/// manifest in the file `manifest`, and every blob.
pub(crate) async fn assert_copied(folder: &Path, manifest: &str, image: &Image) {
    let copied = fs::read(folder.join(manifest)).unwrap();
    assert!(image.manifest().bytes() == &copied, "{manifest} differs");
    assert_blobs_copied(folder, image).await;
}

/// The same, of an index and all images that it lists.
pub(crate) async fn assert_all_copied(folder: &Path, index: &Image) {
    assert_copied(folder, "manifest.json", index).await;
    for child in index.children() {
        let manifest = format!("{}.manifest.json", child.digest().encoded());
        assert_copied(folder, &manifest, child).await;
    }
}

/// Asserts that a folder has the configuration and all layers of `image`.
pub(crate) async fn assert_blobs_copied(folder: &Path, image: &Image) {
    for descriptor in image.config().into_iter().chain(image.layers()) {
        let sent = image.read_blob_verified(descriptor, 64 << 20).await;
        let copied = fs::read(folder.join(descriptor.digest.encoded())).unwrap();
        assert!(copied == sent.unwrap(), "{} differs", descriptor.digest);
    }
}

/// Asserts that a folder, as skopeo's `dir:` writes it, has every file of a layout with one tag,
/// and returns how many there are.
pub(crate) fn assert_layout_copied(layout: &Path, folder: &Path) -> usize {
    let index = fs::read(layout.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let tagged = index["manifests"][0]["digest"].as_str().unwrap();
    let mut files = 0;
    for blob in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        let encoded = blob.file_name().into_string().unwrap();
        let names = [encoded.clone(), format!("{encoded}.manifest.json")];
        let names = if tagged.ends_with(&encoded) {
            &["manifest.json".to_owned()][..]
        } else {
            &names
        };
        let copied = names
            .iter()
            .find_map(|name| fs::read(folder.join(name)).ok());
        let copied = copied.unwrap_or_else(|| panic!("{encoded} was not copied"));
        assert!(
            copied == fs::read(blob.path()).unwrap(),
            "{encoded} differs"
        );
        files += 1;
    }
    files
}
