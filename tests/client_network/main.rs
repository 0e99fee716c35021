//! The client over real sockets: to a registry that others wrote, over TLS, over bad networks, and
//! with the tokens of a token server.
//!
//! What needs a program that is not installed is skipped, and stderr says so. With
//! `TOWER_OCI_REQUIRE_CLIENTS=1` it is a failure.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

#[path = "../clients/client.rs"]
#[allow(dead_code)] // what only other programs need
mod client;
#[path = "../common/mod.rs"]
mod common;

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use bytes::Bytes;
use common::{name, noise, tag};
use tower_oci::{
    Descriptor, Image, MemoryStore, OciRegistryService, Reference,
    client::{
        ClientBuilder, ClientError, ClientErrorKind, HttpService, Network, PushOptions, Pushed,
        RegistryClient, RetryPolicy,
    },
    testing::{ImageBuilder, IndexBuilder},
};

mod certificates;
mod distribution;
mod faults;
mod logins;
mod odd;
mod others;
mod server;
mod tls;
mod tokens;
mod uploads;
mod wire;

use server::{Options, Server};

/// What is not over by then never ends.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pauses that a test can wait for.
fn impatient() -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    policy.first_pause = Duration::from_millis(5);
    policy.longest_pause = Duration::from_millis(20);
    policy
}

/// A client of the registry at `url`, with the usual settings of the network.
fn connect(url: &str) -> ClientBuilder<HttpService> {
    let client = RegistryClient::connect(url.parse().unwrap()).unwrap();
    client.retry(impatient())
}

/// The same, until a moment that no test reaches if all is well.
trait Bounded {
    fn bounded(self) -> RegistryClient;
}

impl Bounded for ClientBuilder<HttpService> {
    fn bounded(self) -> RegistryClient {
        self.build().until(Instant::now() + PATIENCE)
    }
}

fn latest() -> Reference {
    Reference::Tag(tag("latest"))
}

/// An index of two images that share a layer.
fn index() -> Image {
    let mut index = IndexBuilder::new();
    for seed in 1..=2 {
        let image = ImageBuilder::new()
            .file("shared", "the same")
            .files([("own", noise(100_000 + seed))]);
        index = index.image(&image.build().unwrap());
    }
    index.build().unwrap()
}

/// An image with a layer of 20 MB.
fn large() -> &'static Image {
    static LARGE: OnceLock<Image> = OnceLock::new();
    LARGE.get_or_init(|| {
        let image = ImageBuilder::new();
        let image = image.layer(tower_oci::MediaType::OCI_LAYER, noise(20 << 20));
        image.build().unwrap()
    })
}

/// A registry with `image` as `demo:latest`.
fn store_with(image: &Image) -> MemoryStore {
    let store = MemoryStore::new();
    store.add_image(&name("demo"), Some(&tag("latest")), image);
    store
}

/// Pushes `image` as the latest of a repository.
async fn push(
    client: &RegistryClient,
    repository: &str,
    image: &Image,
    options: &PushOptions,
) -> Result<Pushed, ClientError> {
    let (repository, latest) = (name(repository), tag("latest"));
    client
        .push_image(&repository, Some(&latest), image, options)
        .await
}

/// Blobs in pieces of so many bytes, or whole.
fn pieces(chunk: Option<u64>) -> PushOptions {
    let mut options = PushOptions::default();
    options.chunk = chunk;
    options
}

/// The verified bytes of a blob, as the client gets them.
async fn download(client: &RegistryClient, repository: &str, blob: &Descriptor) -> Bytes {
    use http_body_util::BodyExt;

    let download = client.blob(&name(repository), &blob.digest).await.unwrap();
    assert_eq!(download.info.size, blob.size);
    let bytes = download.body.collect().await.unwrap().to_bytes();
    assert_eq!(bytes.len() as u64, blob.size);
    assert!(blob.digest.verifies(&bytes));
    bytes
}

/// Asserts that `client` gets `image` from a repository, byte for byte.
async fn assert_pulled(client: &RegistryClient, repository: &str, image: &Image) {
    let pulled = client.image(&name(repository), &latest()).await.unwrap();
    assert_same(&pulled, image).await;
}

/// Asserts that two images have the same manifests, and that the first one has the blobs.
async fn assert_same(one: &Image, other: &Image) {
    assert_eq!(one.manifest().bytes(), other.manifest().bytes());
    assert_eq!(one.manifest().media_type(), other.manifest().media_type());
    assert_eq!(one.children().len(), other.children().len());
    let blobs = other.descriptors();
    for blob in blobs.filter(|it| !it.media_type.is_manifest()) {
        let bytes = one.read_blob_verified(blob, 64 << 20).await.unwrap();
        assert!(blob.digest.verifies(&bytes));
    }
    for (child, same) in one.children().iter().zip(other.children()) {
        Box::pin(assert_same(child, same)).await;
    }
}
