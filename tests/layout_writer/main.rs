//! Images written into layouts on disk: what is there afterwards, and what is there when it went
//! wrong.
#![cfg(feature = "fs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;

use std::{
    collections::BTreeSet,
    fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use common::{name, noise, tag};
use futures_util::{StreamExt, stream};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower_oci::{
    Algorithm, Blob, BlobContent, BlobProgress, BlobSource, BlobState, Descriptor, Digest, DynBody,
    DynSource, Found, GetBlob, GetManifest, Image, LayoutSource, LayoutWriteError, LayoutWriter,
    Manifest, MediaType, MemoryStore, Platform, Reference, RepositoryName, SourceError,
    WrittenLayout,
    testing::{ImageBuilder, IndexBuilder},
};

mod archive;
mod directory;
mod dropped;
mod index_json;
mod mistakes;
#[cfg(unix)]
mod processes;
mod progress;
mod skopeo;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A source that counts, and hands blobs out in small pieces with pauses between them.
#[derive(Clone, Default)]
struct Counting {
    store: MemoryStore,
    asked: Arc<Mutex<Vec<Digest>>>,
    open: Arc<AtomicUsize>,
    most_open: Arc<AtomicUsize>,
}

/// Counts a body that is open.
struct OpenBody(Arc<AtomicUsize>);

impl Drop for OpenBody {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Counting {
    /// The blobs that were asked for since this was called the last time.
    fn asked(&self) -> Vec<Digest> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The image as this source hands it out.
    async fn load(&self, image: &Image) -> Image {
        self.store.add_image(&name("demo"), None, image);
        let source = DynSource::new(self.clone());
        let reference = Reference::Digest(*image.digest());
        Image::load(&source, &name("demo"), &reference)
            .await
            .unwrap()
    }
}

impl BlobSource for Counting {
    type Body = DynBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        self.store.manifest(repository, reference, options).await
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<DynBody>, SourceError> {
        self.asked.lock().unwrap().push(*digest);
        let now = self.open.fetch_add(1, SeqCst) + 1;
        let open = OpenBody(self.open.clone());
        self.most_open.fetch_max(now, SeqCst);
        let Blob::Content(content) = self.store.blob(repository, digest, options).await? else {
            return Err(SourceError::Unsupported);
        };
        let BlobContent {
            info, range, body, ..
        } = content;
        let bytes = body
            .collect()
            .await
            .map_err(SourceError::backend)?
            .to_bytes();
        let pieces: Vec<Bytes> = bytes.chunks(50_000).map(Bytes::copy_from_slice).collect();
        let pieces = stream::iter(pieces).then(move |piece| {
            let _ = &open;
            async move {
                tokio::task::yield_now().await;
                Ok::<_, SourceError>(Frame::data(piece))
            }
        });
        let body = DynBody::new(StreamBody::new(Box::pin(pieces)));
        Ok(Blob::Content(BlobContent::new(info, range, body)))
    }
}

/// An index of two images that share a layer, one of which has several pieces.
fn two_platforms() -> Image {
    let mut index = IndexBuilder::new();
    for architecture in ["amd64", "arm64"] {
        let image = ImageBuilder::new()
            .layer(MediaType::OCI_LAYER, noise(700_000))
            .layer(MediaType::OCI_LAYER, "")
            .file("architecture", architecture);
        let platform = Platform::new("linux", architecture);
        index = index.image_for(&image.build().unwrap(), platform);
    }
    index.build().unwrap()
}

fn small(text: &str) -> Image {
    ImageBuilder::new().file("text", text).build().unwrap()
}

fn artifact(subject: &Image) -> Image {
    let artifact = ImageBuilder::artifact("application/vnd.example.notes".parse().unwrap());
    let artifact = artifact.layer("text/plain".parse().unwrap(), "some notes");
    artifact.subject(subject).build().unwrap()
}

/// A directory of its own, and the path of a layout in it that is not there yet.
fn place(file: &str) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(file);
    (directory, path)
}

async fn source_of(layout: &Path) -> DynSource {
    let source = LayoutSource::open([(name("demo"), layout)]).await;
    DynSource::new(source.unwrap())
}

/// The image that a layout serves at `reference`, with every blob verified.
async fn read_back(layout: &Path, reference: &str) -> Image {
    let source = source_of(layout).await;
    let reference = reference.parse().unwrap();
    let image = Image::load(&source, &name("demo"), &reference)
        .await
        .unwrap();
    assert_verified(&image).await;
    image
}

async fn assert_verified(image: &Image) {
    for child in image.children() {
        Box::pin(assert_verified(child)).await;
    }
    let config = image.config().into_iter();
    for blob in config.chain(image.layers()) {
        image.read_blob_verified(blob, 1 << 30).await.unwrap();
    }
}

/// What lies in a layout's directory by its digest. All of it has the content that it should have.
fn contents(layout: &Path) -> BTreeSet<Digest> {
    let mut found = BTreeSet::new();
    for algorithm in ["sha256", "sha512"] {
        let Ok(folder) = fs::read_dir(layout.join("blobs").join(algorithm)) else {
            continue;
        };
        for file in folder {
            let file = file.unwrap();
            let encoded = file.file_name().into_string().unwrap();
            if encoded.starts_with(".layout-part-") {
                continue;
            }
            let digest: Digest = format!("{algorithm}:{encoded}").parse().unwrap();
            assert!(digest.verifies(fs::read(file.path()).unwrap()), "{digest}");
            found.insert(digest);
        }
    }
    found
}

/// Every path below a directory.
fn all_paths(directory: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(all_paths(&path));
        }
        found.insert(path.display().to_string());
    }
    found
}

/// No file of a writer is left: no part, no lock.
#[track_caller]
fn assert_tidy(directory: &Path) {
    for path in all_paths(directory) {
        let is_left = path.contains(".layout-part-") || path.ends_with(".lock");
        assert!(!is_left, "{path} is left");
    }
}

fn index_json(layout: &Path) -> Value {
    serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap()
}

/// What the entry of an image is.
fn listed(image: &Image, tag: Option<&str>) -> Value {
    let manifest = image.manifest();
    let mut entry = json!({
        "mediaType": manifest.media_type(),
        "digest": manifest.digest(),
        "size": manifest.size(),
    });
    if let Some(tag) = tag {
        entry["annotations"] = json!({REF_NAME: tag});
    }
    entry
}
