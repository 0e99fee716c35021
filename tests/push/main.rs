//! Push: uploads of blobs, mounts and manifests.

#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;
#[path = "../../examples/serve/server.rs"]
#[allow(dead_code)] // its logging
mod server;

use std::{
    fmt::Display,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use common::{Answer, ask, get, head, name, noise, push_blob, push_image, put, send, start, tag};
use futures_util::stream;
use http::Request;
use http_body_util::channel::{Channel, Sender};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower_oci::{
    Algorithm, BlobStore, BoxError, Clock, Digest, Limits, MediaType, MemoryStore,
    OciRegistryService,
    testing::{ImageBuilder, IndexBuilder},
};

mod chunks;
mod conditions;
mod digests;
mod early;
mod failures;
mod immutable;
mod limits;
mod malformed;
mod manifests;
mod mounts;
mod references;
mod room;
mod sessions;
mod sizes;
mod slots;
mod socket;
mod tags;
mod uploads;
mod ways;
mod wire;

use ways::Way;

type Registry<S = MemoryStore> = OciRegistryService<S>;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";

fn registry() -> Registry {
    OciRegistryService::writable(MemoryStore::new())
}

/// A registry with other limits, and its store.
fn limited(change: impl FnOnce(&mut Limits)) -> (Registry, MemoryStore) {
    let mut limits = Limits::default();
    change(&mut limits);
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    (registry.limits(limits), store)
}

fn sha256(content: impl AsRef<[u8]>) -> Digest {
    Algorithm::Sha256.digest(content)
}

fn sha512(content: impl AsRef<[u8]>) -> Digest {
    Algorithm::Sha512.digest(content)
}

/// Sends a request with these headers and no others.
async fn send_body<S: BlobStore>(
    registry: &Registry<S>,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(registry, request.body(body).unwrap()).await
}

/// A body in pieces that has no length before its end, as `Transfer-Encoding: chunked` brings it.
fn pieces<B: Into<Bytes>>(pieces: impl IntoIterator<Item = B>) -> Body {
    let pieces: Vec<_> = pieces
        .into_iter()
        .map(|piece| Ok::<Bytes, BoxError>(piece.into()))
        .collect();
    Body::from_stream(stream::iter(pieces))
}

/// A body that breaks off after `beginning`.
fn broken(beginning: &'static str) -> Body {
    let pieces = [Ok(beginning), Err("the connection broke")];
    Body::from_stream(stream::iter(pieces))
}

/// Sends the next piece of an upload, with its `Content-Range` unless that is empty.
async fn patch<S: BlobStore>(
    registry: &Registry<S>,
    location: &str,
    range: &str,
    piece: impl Into<Bytes>,
) -> Answer {
    put(registry, "PATCH", location, &of_range(&range), piece).await
}

/// Ends an upload with its last piece, with its `Content-Range` unless that is empty.
async fn finish<S: BlobStore>(
    registry: &Registry<S>,
    location: &str,
    digest: impl Display,
    range: &str,
    last: impl Into<Bytes>,
) -> Answer {
    let uri = format!("{location}?digest={digest}");
    put(registry, "PUT", &uri, &of_range(&range), last).await
}

fn of_range<'a>(range: &'a &'a str) -> Vec<(&'a str, &'a str)> {
    let header = ("content-range", *range);
    (!range.is_empty()).then_some(header).into_iter().collect()
}

/// Asserts that the upload at `location` is open, and has this `Range`.
async fn assert_open<S: BlobStore>(registry: &Registry<S>, location: &str, range: &str) {
    let answer = get(registry, location).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    assert_eq!(answer.header("range"), range);
    let bare = location.split('?').next().unwrap();
    assert_eq!(answer.header("location"), bare);
}

/// Asserts that there is no upload at `location`.
async fn assert_no_upload<S: BlobStore>(registry: &Registry<S>, location: &str) {
    let answer = get(registry, location).await;
    answer.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
}

/// Asserts that a blob was stored, and that it is where the answer says, byte for byte.
// protocol 24 to 26, section 3 items 3, 4 and 11
async fn assert_stored<S: BlobStore>(
    registry: &Registry<S>,
    answer: &Answer,
    (repository, digest): (&str, Digest),
    content: &[u8],
) {
    assert_eq!(answer.status, 201, "{answer:?}");
    let location = answer.header("location");
    assert_eq!(location, format!("/v2/{repository}/blobs/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    assert_eq!(answer.header("cache-control"), "no-store");
    let got = get(registry, location).await;
    assert_eq!(got.body, content);
    for got in [got, head(registry, location).await] {
        assert_eq!(got.status, 200);
        assert_eq!(got.header("docker-content-digest"), digest.to_string());
        assert_eq!(got.header("content-length"), content.len().to_string());
        assert_eq!(got.header("content-type"), "application/octet-stream");
    }
}

/// Asserts that `repository` has no such blob.
async fn assert_no_blob<S: BlobStore>(registry: &Registry<S>, repository: &str, digest: Digest) {
    let uri = format!("/v2/{repository}/blobs/{digest}");
    for method in ["GET", "HEAD"] {
        let answer = ask(registry, method, &uri, &[]).await;
        assert_eq!(answer.status, 404, "{method} {uri}");
    }
}

/// Pushes a manifest of this type, which is not sent if it is empty.
async fn push_document<S: BlobStore>(
    registry: &Registry<S>,
    (repository, reference): (&str, &str),
    content_type: &str,
    document: impl Into<Bytes>,
) -> Answer {
    let uri = format!("/v2/{repository}/manifests/{reference}");
    let header = ("content-type", content_type);
    let headers: Vec<_> = (!content_type.is_empty())
        .then_some(header)
        .into_iter()
        .collect();
    put(registry, "PUT", &uri, &headers, document).await
}

/// Asserts that a manifest was stored, and that it is where the answer says, byte for byte.
// protocol 35 to 37, section 3 item 4
async fn assert_pushed<S: BlobStore>(
    registry: &Registry<S>,
    answer: &Answer,
    (repository, digest): (&str, Digest),
    (content_type, document): (&str, &[u8]),
) {
    assert_eq!(answer.status, 201, "{answer:?}");
    let location = answer.header("location");
    assert_eq!(location, format!("/v2/{repository}/manifests/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    assert_eq!(answer.header("cache-control"), "no-store");
    let got = get(registry, location).await;
    assert_eq!(got.body, document);
    for got in [got, head(registry, location).await] {
        assert_eq!(got.status, 200);
        assert_eq!(got.header("docker-content-digest"), digest.to_string());
        assert_eq!(got.header("content-length"), document.len().to_string());
        assert_eq!(got.header("content-type"), content_type);
    }
}

/// Asserts that `repository` has no such manifest.
async fn assert_no_manifest<S: BlobStore>(
    registry: &Registry<S>,
    repository: &str,
    reference: impl Display,
) {
    let uri = format!("/v2/{repository}/manifests/{reference}");
    let answer = get(registry, &uri).await;
    assert_eq!(answer.status, 404, "{uri}");
}

/// The digest that a tag points at; empty if it points at nothing.
async fn tagged<S: BlobStore>(registry: &Registry<S>, repository: &str, tag: &str) -> String {
    let answer = head(registry, &format!("/v2/{repository}/manifests/{tag}")).await;
    assert!([200, 404].contains(&answer.status.as_u16()), "{answer:?}");
    answer.header("docker-content-digest").to_owned()
}

/// An index that is made of nothing, and is told from others by `title`.
fn empty_index(title: &str) -> String {
    let annotations = json!({ "title": title });
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": annotations })
        .to_string()
}

fn descriptor(media_type: &str, digest: impl Display, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest.to_string(), "size": size })
}

/// A request that is under way, whose body comes out of the test's hand.
struct Held {
    body: Sender<Bytes, BoxError>,
    answer: JoinHandle<Answer>,
}

impl Held {
    /// Sends a request and the beginning of its body, which the store has taken when this returns.
    async fn begin<S: BlobStore>(
        registry: &Registry<S>,
        method: &'static str,
        uri: impl Into<String>,
        beginning: &'static str,
    ) -> Self {
        let (mut body, receiver) = Channel::new(1);
        let (registry, uri) = (registry.clone(), uri.into());
        let answer = tokio::spawn(async move {
            send_body(&registry, method, &uri, &[], Body::new(receiver)).await
        });
        body.send_data(beginning.into()).await.unwrap();
        // There is room for this only once what came before was taken.
        body.send_data(Bytes::new()).await.unwrap();
        Self { body, answer }
    }

    /// Sends the rest of the body, and returns the answer.
    async fn end(mut self, rest: &'static str) -> Answer {
        // Nobody takes it any more if the request was refused.
        let _ = self.body.send_data(rest.into()).await;
        drop(self.body);
        self.answer.await.unwrap()
    }

    /// The client leaves.
    async fn leave(self) {
        self.answer.abort();
        assert!(self.answer.await.unwrap_err().is_cancelled());
    }
}

/// The time that a store goes by, which a test moves on.
#[derive(Clone)]
struct Hands(Arc<Mutex<Instant>>);

impl Hands {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    fn clock(&self) -> Clock {
        let now = self.0.clone();
        Clock::new(move || *now.lock().unwrap())
    }

    fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}
