//! Content management: what is deleted, what goes with it, and what stays.

#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;

use axum::body::Body;
use common::{
    Answer, ask, get, head, name, noise, push_blob, push_image, put, put_manifest, start, tag,
};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_oci::{
    Algorithm, BlobStore, Digest, DynBody, Image, Manifest, MediaType, MemoryStore,
    OciRegistryService, ResponseBody,
    testing::{ImageBuilder, IndexBuilder},
};

mod added;
mod blobs;
mod blobs_in_use;
mod conditions;
mod manifests;
mod refused;
mod tags;

type Registry = OciRegistryService<MemoryStore>;

fn registry() -> Registry {
    OciRegistryService::writable(MemoryStore::new())
}

/// An image with one layer of its own.
fn image(content: &str) -> Image {
    ImageBuilder::new().file("a", content).build().unwrap()
}

async fn delete<S: BlobStore>(registry: &OciRegistryService<S>, path: &str) -> Answer {
    ask(registry, "DELETE", &format!("/v2/{path}"), &[]).await
}

/// Deletes what is there.
async fn deleted<S: BlobStore>(registry: &OciRegistryService<S>, path: &str) {
    let answer = delete(registry, path).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.len()),
        (202, 0),
        "{path}"
    );
}

/// Asserts that nothing is found at `path`, whatever a client has of it already.
async fn assert_gone<S: BlobStore>(registry: &OciRegistryService<S>, path: &str, code: &str) {
    let uri = format!("/v2/{path}");
    get(registry, &uri).await.assert_error(404, code);
    let answer = head(registry, &uri).await;
    assert_eq!(answer.status, 404, "{path}");
    // pitfalls: 304 is answered for content that does not exist
    for condition in ["if-none-match", "if-match"] {
        let answer = ask(registry, "GET", &uri, &[(condition, "*")]).await;
        answer.assert_error(404, code);
    }
}

/// Asserts that `path` has exactly this content, and that HEAD and GET agree.
// pitfalls: HEAD says yes after the blob is gone
async fn assert_there<S: BlobStore>(registry: &OciRegistryService<S>, path: &str, content: &[u8]) {
    let uri = format!("/v2/{path}");
    let answer = get(registry, &uri).await;
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.body, content, "{path}");
    let answer = head(registry, &uri).await;
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.header("content-length"), content.len().to_string());
}

async fn assert_manifest_there(registry: &Registry, reference: &str, image: &Image) {
    let path = format!("demo/manifests/{reference}");
    assert_there(registry, &path, image.manifest().bytes()).await;
}

async fn tags<S: BlobStore>(registry: &OciRegistryService<S>, repository: &str) -> Vec<String> {
    let answer = get(registry, &format!("/v2/{repository}/tags/list")).await;
    assert_eq!(answer.status, 200, "{repository}");
    strings(&answer.json()["tags"])
}

async fn catalog<S: BlobStore>(registry: &OciRegistryService<S>) -> Vec<String> {
    let answer = get(registry, "/v2/_catalog").await;
    strings(&answer.json()["repositories"])
}

/// The digests of the referrers of `subject` in `demo`.
async fn referrers(registry: &Registry, subject: &Image) -> Vec<String> {
    let answer = get(
        registry,
        &format!("/v2/demo/referrers/{}", subject.digest()),
    )
    .await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    let entries = json["manifests"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["digest"].as_str().unwrap().to_owned())
        .collect()
}

fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().unwrap().iter();
    items
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}
