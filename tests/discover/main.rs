//! Content discovery: tags, referrers and the catalog.

#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;

use std::collections::BTreeSet;

use common::{Answer, ask, get, head, name, push_blob, push_image, put, put_manifest, start, tag};
use http::Request;
use serde_json::{Value, json};
use tower_oci::{
    Algorithm, ArtifactType, BlobStore, Descriptor, Digest, Image, Limits, Manifest, MediaType,
    MemoryStore, OciRegistryService, ReadOnly, Tag, Visibility,
    testing::{ImageBuilder, IndexBuilder},
};

mod catalog;
mod fallback_tags;
mod pushed_referrers;
mod pushed_repositories;
mod pushed_tags;
mod referrer_pages;
mod referrers;
mod tags;

type Registry = OciRegistryService<ReadOnly<MemoryStore>>;
type Writable = OciRegistryService<MemoryStore>;

const SBOM: &str = "application/vnd.example.sbom.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn writable() -> Writable {
    OciRegistryService::writable(MemoryStore::new())
}

fn image(content: &str) -> Image {
    ImageBuilder::new().file("a", content).build().unwrap()
}

fn artifact(artifact_type: &str, subject: &Image, content: &str) -> Image {
    ImageBuilder::artifact(artifact_type.parse().unwrap())
        .layer("text/plain".parse().unwrap(), content.to_owned())
        .subject(subject)
        .annotation("org.example.content", content)
        .build()
        .unwrap()
}

/// Pushes `json` as a manifest of this type by its digest, and returns both.
async fn push_json(registry: &Writable, media_type: &str, json: &Value) -> (Manifest, Answer) {
    let manifest = Manifest::new(media_type.parse().unwrap(), json.to_string());
    let reference = manifest.digest().to_string();
    let answer = put_manifest(registry, "demo", &reference, &manifest).await;
    (manifest, answer)
}

async fn delete(registry: &Writable, path: &str) {
    let answer = ask(registry, "DELETE", &format!("/v2/{path}"), &[]).await;
    assert_eq!(answer.status, 202, "{path}");
}

/// Where the referrers of `subject` are listed.
fn uri(subject: &Image) -> String {
    format!("/v2/demo/referrers/{}", subject.digest())
}

/// The digests of the entries of a list of referrers.
fn digests(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    let entries = json["manifests"].as_array().unwrap().iter();
    let digests = entries.map(|entry| entry["digest"].as_str().unwrap().to_owned());
    digests.collect()
}

/// The digests of these images in the order of a list of referrers.
fn sorted<'a>(images: impl IntoIterator<Item = &'a Image>) -> Vec<String> {
    let digests = images.into_iter().map(|image| image.digest().to_string());
    digests.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The page at `uri` and all that follow it.
async fn pages<S: BlobStore>(registry: &OciRegistryService<S>, uri: &str) -> Vec<Answer> {
    let mut pages = Vec::new();
    let mut uri = Some(uri.to_owned());
    while let Some(page) = uri {
        let answer = get(registry, &page).await;
        assert_eq!(answer.status, 200, "{page}");
        uri = next(&answer);
        pages.push(answer);
        assert!(pages.len() < 1_000, "a list without end");
    }
    pages
}

/// The target of the link to the next page, if there is one.
fn next(answer: &Answer) -> Option<String> {
    let link = answer.header("link");
    let target = link.strip_prefix('<')?.strip_suffix(">; rel=\"next\"");
    Some(target.unwrap().to_owned())
}

fn strings(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item.as_str().unwrap()).collect()
}
