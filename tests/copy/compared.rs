//! What is copied, and how layouts of it are compared.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::{Value, json};
use tower_oci::{
    Image, Platform,
    testing::{ImageBuilder, IndexBuilder},
};

use crate::common::noise;

/// An index of two images that share a layer.
pub(crate) fn two_platforms() -> Image {
    let mut index = IndexBuilder::new();
    for architecture in ["amd64", "arm64"] {
        let platform = Platform::new("linux", architecture);
        let image = ImageBuilder::new()
            .platform(platform.clone())
            .files([("etc/motd", "hello")])
            .files([(format!("lib/{architecture}"), noise(100_000))]);
        index = index.image_for(&image.build().unwrap(), platform);
    }
    index.build().unwrap()
}

/// Asserts that two layouts have the same content, and list it in the same way.
#[track_caller]
pub(crate) fn assert_same(one: &Path, other: &Path) {
    let (expected, copied) = (blobs(one), blobs(other));
    assert!(copied.keys().eq(expected.keys()), "{:?}", copied.keys());
    for (name, content) in expected {
        assert!(copied[&name] == content, "{name} differs");
    }
    assert_eq!(listed(other), listed(one));
}

/// Asserts that a layout lists `image` with this tag and has all its blobs, and nothing else.
#[track_caller]
pub(crate) fn assert_only(layout: &Path, tag: &str, image: &Image) {
    let manifest = image.manifest();
    let expected = json!([{
        "mediaType": manifest.media_type().as_str(),
        "digest": manifest.digest().to_string(),
        "size": manifest.size(),
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }]);
    assert_eq!(listed(layout), expected);
    let mut digests: Vec<String> = image
        .descriptors()
        .chain(image.children().iter().flat_map(Image::descriptors))
        .map(|descriptor| descriptor.digest)
        .chain([*image.digest()])
        .map(|digest| digest.encoded())
        .collect();
    digests.sort_unstable();
    digests.dedup();
    assert!(blobs(layout).into_keys().eq(digests), "{layout:?}");
}

/// The files of a layout's blobs by their names; those on their way too.
pub(crate) fn blobs(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(files) = fs::read_dir(layout.join("blobs/sha256")) else {
        return BTreeMap::new();
    };
    let files = files.map(|file| file.unwrap());
    let files = files.filter_map(|file| {
        let name = file.file_name().into_string().unwrap();
        // One that is on its way may have got there meanwhile.
        Some((name, fs::read(file.path()).ok()?))
    });
    files.collect()
}

/// The entries of `index.json`.
pub(crate) fn listed(layout: &Path) -> Value {
    let index = fs::read(layout.join("index.json")).unwrap();
    let mut index: Value = serde_json::from_slice(&index).unwrap();
    index["manifests"].take()
}
