//! Image layouts on disk, as `LayoutSource` serves them.
#![cfg(feature = "fs")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test fails by panicking

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower_oci::{
    Algorithm, Blob, BlobContent, BlobSource, ByteRange, Cursor, Digest, FileBody, Found, GetBlob,
    GetManifest, LayoutSource, ListReferrers, Manifest, MissingContent, Page, Reference,
    RepositoryName, SourceError, Tag,
};

mod archive_changes;
mod archives;
mod blobs;
mod changes;
#[path = "../common/mod.rs"]
mod common;
mod fallback;
mod hostile_archives;
#[cfg(target_os = "linux")] // elsewhere nothing stays open
mod kept;
#[cfg(unix)]
mod links;
#[cfg(feature = "tracing")]
mod log;
mod manifests;
mod pieces;
mod reached;
mod referrers;
mod start;
mod tags;
mod tree;
mod untyped;
mod verified;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A layout that a test writes.
struct OnDisk {
    path: PathBuf,
    entries: Vec<Value>,
}

impl OnDisk {
    /// An empty layout in a directory that is made for it.
    fn create(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        let entries = Vec::new();
        let layout = Self { path, entries };
        layout.write_index();
        layout
    }

    /// Writes content, and gives its descriptor.
    fn add(&self, media_type: &str, content: impl AsRef<[u8]>) -> Value {
        let descriptor = describe(media_type, content.as_ref());
        fs::write(self.file(&descriptor), content).unwrap();
        descriptor
    }

    fn add_json(&self, media_type: &str, content: &Value) -> Value {
        self.add(media_type, content.to_string())
    }

    /// Writes an image with one layer, and gives the descriptors of image and layer.
    fn add_image(&self, layer: impl AsRef<[u8]>) -> (Value, Value) {
        let layer = self.add("application/vnd.oci.image.layer.v1.tar", layer);
        let image = self.add_json(MANIFEST, &self.image_of(&layer));
        (image, layer)
    }

    fn image_of(&self, layer: &Value) -> Value {
        let config = self.add("application/vnd.oci.image.config.v1+json", "{}");
        json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]})
    }

    /// Lists a descriptor in `index.json`.
    fn list(&mut self, descriptor: &Value, tag: impl Into<Option<&'static str>>) {
        let mut entry = descriptor.clone();
        if let Some(tag) = tag.into() {
            entry["annotations"] = json!({REF_NAME: tag});
        }
        self.entries.push(entry);
        self.write_index();
    }

    /// Replaces `index.json` as careful tools do.
    fn write_index(&self) {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": self.entries});
        let new = self.path.join("index.json.new");
        fs::write(&new, index.to_string()).unwrap();
        fs::rename(new, self.path.join("index.json")).unwrap();
    }

    fn file(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().unwrap();
        self.path.join("blobs").join(digest.replace(':', "/"))
    }

    async fn open(&self) -> LayoutSource {
        LayoutSource::open([(name("demo"), &self.path)])
            .await
            .unwrap()
    }
}

/// An empty layout in a directory of its own.
fn layout() -> (TempDir, OnDisk) {
    let directory = tempfile::tempdir().unwrap();
    let layout = OnDisk::create(directory.path().join("demo"));
    (directory, layout)
}

fn describe(media_type: &str, content: &[u8]) -> Value {
    let digest = Algorithm::Sha256.digest(content);
    json!({"mediaType": media_type, "digest": digest, "size": content.len()})
}

fn name(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

fn digest_of(descriptor: &Value) -> Digest {
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

/// Bytes that differ at every place that a piece could be mixed up with.
fn bytes(length: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// How many of the open files of this process are the one at `path`, or lie below it.
#[cfg(target_os = "linux")]
fn open_files(path: &Path) -> usize {
    let path = fs::canonicalize(path).unwrap();
    let links = fs::read_dir("/proc/self/fd").unwrap();
    let targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    targets.filter(|target| target.starts_with(&path)).count()
}

/// What the tests ask of the repository `demo`.
trait Demo {
    async fn get(&self, reference: &str) -> Result<Manifest, SourceError>;
    async fn get_blob(&self, descriptor: &Value) -> Result<Bytes, SourceError>;
    async fn get_range(&self, descriptor: &Value, range: ByteRange) -> Result<Part, SourceError>;
    async fn list_tags(&self) -> Result<Vec<String>, SourceError>;
    async fn list_referrers(&self, subject: &Value) -> Vec<Value>;
    /// Asks a second after a change, when it has to be seen.
    async fn sees(&self, tag: &str, descriptor: &Value);
}

type Part = BlobContent<FileBody>;

impl Demo for LayoutSource {
    async fn get(&self, reference: &str) -> Result<Manifest, SourceError> {
        let reference: Reference = reference.parse().unwrap();
        let (demo, options) = (name("demo"), GetManifest::default());
        match self.manifest(&demo, &reference, options).await? {
            Found::Content(manifest) => Ok(manifest),
            Found::NotModified(_) => panic!("the request was not conditional"),
        }
    }

    async fn get_blob(&self, descriptor: &Value) -> Result<Bytes, SourceError> {
        let part = self.get_range(descriptor, ByteRange::From(0)).await?;
        Ok(part.body.collect().await.unwrap().to_bytes())
    }

    async fn get_range(&self, descriptor: &Value, range: ByteRange) -> Result<Part, SourceError> {
        let options = GetBlob::default().range(range);
        let digest = digest_of(descriptor);
        match self.blob(&name("demo"), &digest, options).await? {
            Blob::Content(part) => Ok(part),
            Blob::Redirect { .. } => panic!("a layout never redirects"),
        }
    }

    async fn list_tags(&self) -> Result<Vec<String>, SourceError> {
        let tags = self.tags(&name("demo"), Page::first(100)).await?;
        Ok(tags.items.iter().map(Tag::to_string).collect())
    }

    async fn list_referrers(&self, subject: &Value) -> Vec<Value> {
        let options = ListReferrers::new(Page::first(100));
        let subject = digest_of(subject);
        let referrers = self.referrers(&name("demo"), &subject, options).await;
        let referrers = referrers.unwrap().items;
        referrers.iter().map(|entry| json!(entry)).collect()
    }

    async fn sees(&self, tag: &str, descriptor: &Value) {
        // The bound of the contract: what is served is never older than a second.
        tokio::time::sleep(Duration::from_millis(1001)).await;
        assert_eq!(
            *self.get(tag).await.unwrap().digest(),
            digest_of(descriptor)
        );
    }
}

#[track_caller]
fn assert_missing<T: std::fmt::Debug>(result: Result<T, SourceError>, what: MissingContent) {
    match result {
        Err(SourceError::NotFound(missing)) if missing == what => {}
        other => panic!("expected {what:?} to be missing, got {other:?}"),
    }
}

/// The storage failed: its text may name the file, and what the client sees does not.
#[track_caller]
fn assert_backend<T: std::fmt::Debug>(result: Result<T, SourceError>, file: &Path) {
    let error = result.expect_err("the storage should have failed");
    assert_eq!(error.to_string(), "the storage failed");
    let SourceError::Backend(cause) = error else {
        panic!("expected Backend, got {error:?}");
    };
    let file = file.display().to_string();
    assert!(cause.to_string().contains(&file), "{cause} names no {file}");
}
