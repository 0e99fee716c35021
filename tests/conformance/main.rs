//! What the official conformance suite does, as a walk of our own: section 3 of the protocol, line
//! by line. What the suite would count as a skip fails here.

#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use bytes::Bytes;
use common::{Answer, ask, get, head, noise, put, send};
use http::{Request, Response};
use serde_json::{Value, json};
use tower::{ServiceExt, service_fn, util::BoxCloneService};
use tower_oci::{Algorithm, BoxError, Digest, Manifest, MemoryStore, OciRegistryService};

mod blobs;
mod chunks;
mod data;
mod deletes;
mod discovery;
mod manifests;
mod mounts;
mod ranges;
mod socket;
mod sparse;
mod upload;
mod walk;

use data::{Data, INDEX};
use upload::Upload;

/// A registry as a client sees it: in this process, or behind a socket.
type Registry = BoxCloneService<Request<Body>, Response<Body>, BoxError>;

const ALGORITHMS: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

/// The two repositories of the suite.
const REPO: &str = "conformance/repo1";
const REPO2: &str = "conformance/repo2";

/// A registry with everything on but sparse manifests.
fn everything() -> OciRegistryService<MemoryStore> {
    OciRegistryService::writable(MemoryStore::new()).allow_anonymous_mounts(true)
}

fn registry() -> Registry {
    in_process(everything())
}

fn in_process(service: OciRegistryService<MemoryStore>) -> Registry {
    BoxCloneService::new(service_fn(move |request: Request<Body>| {
        let service = service.clone();
        async move { Ok(service.oneshot(request).await?.map(Body::new)) }
    }))
}

/// Sends a body whose length nobody knows before its end, in several pieces.
async fn stream(
    registry: &Registry,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    content: &Bytes,
) -> Answer {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let piece = (content.len() / 3).clamp(1, 64 << 10);
    let pieces: Vec<_> = (0..content.len())
        .step_by(piece)
        .map(|start| content.slice(start..(start + piece).min(content.len())))
        .map(Ok::<_, BoxError>)
        .collect();
    let body = Body::from_stream(futures_util::stream::iter(pieces));
    send(registry, request.body(body).unwrap()).await
}

/// `uri` with one more parameter, encoded as Go's clients do.
fn with_parameter(uri: &str, name: &str, value: impl std::fmt::Display) -> String {
    let separator = if uri.contains('?') { '&' } else { '?' };
    let value = value.to_string();
    let value = value.replace('+', "%2B").replace('/', "%2F");
    format!("{uri}{separator}{name}={}", value.replace(':', "%3A"))
}

fn blob_uri(repository: &str, digest: &Digest) -> String {
    format!("/v2/{repository}/blobs/{digest}")
}

fn manifest_uri(reference: impl std::fmt::Display) -> String {
    format!("/v2/{REPO}/manifests/{reference}")
}

/// How the suite asks for a manifest: the types in two lines.
async fn ask_manifest(registry: &Registry, method: &str, uri: &str) -> Answer {
    let types = [("accept", INDEX), ("accept", data::IMAGE)];
    ask(registry, method, uri, &types).await
}

/// A blob that is in `repository` exactly like that.
async fn assert_blob(registry: &Registry, repository: &str, digest: &Digest, content: &[u8]) {
    for method in ["HEAD", "GET"] {
        let answer = ask(registry, method, &blob_uri(repository, digest), &[]).await;
        assert_eq!(answer.status, 200, "{method} {digest}");
        assert_eq!(answer.header("content-length"), content.len().to_string());
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        let body = if method == "GET" { content } else { b"" };
        assert!(answer.body == body, "{method} {digest} has other content");
    }
}

async fn assert_no_blob(registry: &Registry, repository: &str, digest: &Digest) {
    for method in ["HEAD", "GET"] {
        let answer = ask(registry, method, &blob_uri(repository, digest), &[]).await;
        assert_eq!(answer.status, 404, "{method} {digest}");
    }
}

/// A 201 for a blob: it says the digest that was asked for, and its location has the content.
// section 3, line 4
async fn assert_created(registry: &Registry, answer: &Answer, digest: &Digest, content: &[u8]) {
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    let location = answer.header("location");
    assert!(location.ends_with(&digest.to_string()), "{location}");
    let answer = get(registry, location).await;
    assert_eq!(answer.status, 200, "{location}");
    assert!(answer.body == content, "{location} has other content");
}
