//! Images: loading, building, their blobs, and the store that serves them.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/scripted.rs"]
mod scripted;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use bytes::Bytes;
use common::*;
use futures_util::FutureExt;
use http_body_util::BodyExt;
use scripted::{Scripted, held, pieces, unseekable};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tower_oci::{
    Algorithm, Blob, BlobContent, BlobInfo, BlobSource, Descriptor, Digest, DynBody, DynSource,
    Found, GetBlob, Image, ImageError, InvalidDescriptor, InvalidManifest, Manifest, MediaType,
    MemoryStore, MissingContent, OciRegistryService, Platform, Reference, RepositoryName,
    SourceError, Tag,
    testing::{ImageBuilder, IndexBuilder},
};

mod builders;
mod indexes;
mod loading;
mod store;
mod time;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn sha256(content: impl AsRef<[u8]>) -> Digest {
    Algorithm::Sha256.digest(content)
}

/// Manifests by tag and by digest, and blobs.
#[derive(Clone, Default)]
struct Shelf {
    manifests: Arc<Mutex<HashMap<String, Manifest>>>,
    blobs: Arc<Mutex<HashMap<Digest, Bytes>>>,
}

impl Shelf {
    /// Keeps a manifest under its digest, and gives its descriptor.
    fn manifest(&self, document: &Value) -> Value {
        let manifest = Manifest::parse(document.to_string()).unwrap();
        let descriptor = json!({
            "mediaType": manifest.media_type(),
            "digest": manifest.digest(),
            "size": manifest.size(),
        });
        let digest = manifest.digest().to_string();
        self.manifests.lock().unwrap().insert(digest, manifest);
        descriptor
    }

    fn tag(&self, tag: &str, manifest: Manifest) {
        self.manifests
            .lock()
            .unwrap()
            .insert(tag.to_owned(), manifest);
    }

    /// Keeps a blob, and gives its descriptor.
    fn blob(&self, content: impl Into<Bytes>) -> Value {
        let content = content.into();
        let digest = sha256(&content);
        let descriptor = descriptor(&digest, content.len());
        self.blobs.lock().unwrap().insert(digest, content);
        descriptor
    }

    fn source(&self) -> Scripted {
        let (manifests, blobs) = (self.manifests.clone(), self.blobs.clone());
        Scripted::new()
            .on_manifest(move |(reference, _)| {
                let manifests = manifests.lock().unwrap();
                let manifest = manifests.get(&reference.to_string()).cloned();
                let manifest = manifest.ok_or(SourceError::NotFound(MissingContent::Manifest))?;
                Ok(manifest.into())
            })
            .on_blob(move |(digest, options)| {
                let blobs = blobs.lock().unwrap();
                let blob = blobs.get(&digest).cloned();
                let blob = blob.ok_or(SourceError::NotFound(MissingContent::Blob))?;
                Ok(Blob::from_bytes(blob, &options)?.map_body(DynBody::new))
            })
            .on_stat_blob({
                let blobs = self.blobs.clone();
                move |digest| {
                    let blobs = blobs.lock().unwrap();
                    let blob = blobs.get(&digest);
                    let blob = blob.ok_or(SourceError::NotFound(MissingContent::Blob))?;
                    Ok(BlobInfo::seekable(blob.len() as u64))
                }
            })
    }

    /// The image of this document, with everything else from the shelf.
    async fn image(&self, document: &Value) -> Result<Image, ImageError> {
        let manifest = Manifest::parse(document.to_string())?;
        self.tag("latest", manifest);
        load(self.source(), "latest").await
    }
}

async fn load(source: impl BlobSource, reference: &str) -> Result<Image, ImageError> {
    let reference: Reference = reference.parse().unwrap();
    Image::load(&DynSource::new(source), &name("demo"), &reference).await
}

fn descriptor(digest: &Digest, size: usize) -> Value {
    json!({ "mediaType": "text/plain", "digest": digest, "size": size })
}

fn image_document(layers: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": layers })
}

fn index_document(entries: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries })
}

fn registry(
    images: &[(&str, Option<&str>, &Image)],
) -> OciRegistryService<tower_oci::ReadOnly<MemoryStore>> {
    let store = MemoryStore::new();
    for (repository, a_tag, image) in images {
        store.add_image(&name(repository), a_tag.map(tag).as_ref(), image);
    }
    OciRegistryService::new(store)
}
