//! Pull, the category that every registry has: the ping, manifests and blobs.

#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/scripted.rs"]
mod scripted;

use common::{Answer, ask, get, head, name, noise, tag};
use scripted::Scripted;
use tower_oci::{
    Algorithm, Image, Manifest, ManifestInfo, MediaType, MemoryStore, OciRegistryService,
    Operation, Platform, ReadOnly,
    testing::{ImageBuilder, IndexBuilder},
};

mod conditional;
mod manifests;
mod names;
mod ping;
mod ranges;

type Registry = OciRegistryService<ReadOnly<MemoryStore>>;

/// A registry with `library/demo:latest`, whose one layer is `layer`, and that image.
fn registry_with(layer: impl Into<bytes::Bytes>) -> (Registry, Image) {
    let image = ImageBuilder::new()
        .layer(MediaType::OCI_LAYER, layer)
        .build()
        .unwrap();
    let store = MemoryStore::new();
    store.add_image(&name("library/demo"), Some(&tag("latest")), &image);
    (OciRegistryService::new(store), image)
}

fn layer_uri(image: &Image) -> String {
    format!("/v2/library/demo/blobs/{}", image.layers()[0].digest)
}

fn quoted(digest: impl std::fmt::Display) -> String {
    format!("\"{digest}\"")
}
