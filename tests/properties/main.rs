//! What holds for any input: properties, checked with generated ones.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/scripted.rs"]
mod scripted;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::Range,
    sync::{Arc, LazyLock, Mutex},
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use bytes::Bytes;
use common::*;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use proptest::{collection::vec, option, prelude::*, sample::select, string::string_regex};
use regex::Regex;
use scripted::Scripted;
use tower_oci::{
    Algorithm, ArtifactType, Blob, BlobContent, BlobInfo, Clock, Cursor, Digest, DynBody,
    DynSource, Image, InvalidDigest, Limits, Listing, Manifest, MediaType, MemoryStore, Mount,
    OciRegistryService, OciRequest, Page, PageRequest, ReadOnly, Reference, RepositoryName, Tag,
    UploadId, Visibility, testing::ImageBuilder,
};

mod anything;
mod conditions;
mod documents;
mod grammars;
mod manifests;
mod pages;
mod pieces;
mod ranges;
mod requests;

/// So many cases, and nothing written to disk.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Runs `future` to its end on this thread, but not for ever.
fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let limit = Duration::from_secs(20);
        tokio::time::timeout(limit, future).await.unwrap()
    })
}

/// The protocol's own words, which are also good names.
const WORDS: &[&str] = &[
    "v2",
    "blobs",
    "uploads",
    "manifests",
    "tags",
    "list",
    "referrers",
    "sha256",
    "a",
    "0",
];

fn matching(regex: &str) -> impl Strategy<Value = String> + Clone + use<> {
    string_regex(regex).unwrap().no_shrink().boxed()
}

fn name_text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        3 => select(WORDS).prop_map(ToOwned::to_owned),
        1 => matching(r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}"),
    ];
    vec(word, 1..6).prop_map(|words| words.join("/"))
}

fn repository() -> impl Strategy<Value = RepositoryName> {
    name_text().prop_map(|text| text.parse().unwrap())
}

fn a_tag() -> impl Strategy<Value = Tag> {
    let tag = prop_oneof![
        select(WORDS).prop_map(ToOwned::to_owned),
        matching("[a-zA-Z0-9_][a-zA-Z0-9._-]{0,12}"),
        matching("[a-zA-Z0-9_][a-zA-Z0-9._-]{127}"),
    ];
    tag.prop_map(|text| text.parse().unwrap())
}

fn a_digest() -> impl Strategy<Value = Digest> {
    (any::<u8>(), any::<bool>()).prop_map(|(content, is_long)| {
        let algorithm = if is_long {
            Algorithm::Sha512
        } else {
            Algorithm::Sha256
        };
        algorithm.digest([content])
    })
}

fn reference() -> impl Strategy<Value = Reference> {
    prop_oneof![
        a_tag().prop_map(Reference::Tag),
        a_digest().prop_map(Reference::Digest)
    ]
}

fn upload() -> impl Strategy<Value = UploadId> {
    let id = prop_oneof![
        select(WORDS).prop_map(ToOwned::to_owned),
        matching("[a-zA-Z0-9_-]{1,128}"),
    ];
    id.prop_map(|text| text.parse().unwrap())
}

fn artifact_type() -> impl Strategy<Value = ArtifactType> {
    matching("[ -~]{1,40}").prop_map(|text| text.parse().unwrap())
}

fn page_request() -> impl Strategy<Value = PageRequest> {
    let last = prop_oneof![any::<String>(), matching("[ -~]{1,20}"), name_text()];
    (option::of(any::<usize>()), option::of(last))
        .prop_map(|(n, last)| PageRequest::new(n, last.and_then(|last| Cursor::from_text(&last))))
}

fn request() -> impl Strategy<Value = OciRequest> {
    use OciRequest as R;
    let read = prop_oneof![
        Just(R::Ping),
        page_request().prop_map(|page| R::ListRepositories { page }),
        (repository(), reference()).prop_map(|(repository, reference)| R::GetManifest {
            repository,
            reference
        }),
        (repository(), reference()).prop_map(|(repository, reference)| R::HeadManifest {
            repository,
            reference
        }),
        (repository(), a_digest())
            .prop_map(|(repository, digest)| R::GetBlob { repository, digest }),
        (repository(), a_digest())
            .prop_map(|(repository, digest)| R::HeadBlob { repository, digest }),
        (repository(), page_request())
            .prop_map(|(repository, page)| R::ListTags { repository, page }),
        (
            repository(),
            a_digest(),
            option::of(artifact_type()),
            page_request()
        )
            .prop_map(
                |(repository, subject, artifact_type, page)| R::ListReferrers {
                    repository,
                    subject,
                    artifact_type,
                    page,
                }
            ),
    ];
    let algorithm = option::of(select(vec![Algorithm::Sha256, Algorithm::Sha512]));
    let write = prop_oneof![
        (repository(), algorithm).prop_map(|(repository, algorithm)| R::StartUpload {
            repository,
            algorithm
        }),
        (repository(), a_digest())
            .prop_map(|(repository, digest)| R::PushBlob { repository, digest }),
        (repository(), a_digest(), option::of(repository())).prop_map(
            |(repository, digest, from)| R::MountBlob {
                repository,
                digest,
                from
            }
        ),
        (repository(), upload())
            .prop_map(|(repository, upload)| R::UploadStatus { repository, upload }),
        (repository(), upload())
            .prop_map(|(repository, upload)| R::AppendUpload { repository, upload }),
        (repository(), upload(), a_digest()).prop_map(|(repository, upload, digest)| {
            R::FinishUpload {
                repository,
                upload,
                digest,
            }
        }),
        (repository(), upload())
            .prop_map(|(repository, upload)| R::CancelUpload { repository, upload }),
        (repository(), reference(), vec(a_tag(), 0..3)).prop_map(
            |(repository, reference, tags)| R::PutManifest {
                repository,
                reference,
                tags
            }
        ),
        (repository(), reference()).prop_map(|(repository, reference)| R::DeleteManifest {
            repository,
            reference
        }),
        (repository(), a_digest())
            .prop_map(|(repository, digest)| R::DeleteBlob { repository, digest }),
    ];
    prop_oneof![read, write]
}

/// `text` with a character put in, taken out or exchanged, so often.
fn mutated(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let strange = prop_oneof![
        3 => select(vec!['/', '.', '_', '-', ':', '%', 'A', 'a', '0', '+', '=', ' ', '\n', 'é', '\0']),
        1 => any::<char>(),
    ];
    (
        text,
        vec((any::<prop::sample::Index>(), 0..3, strange), 0..3),
    )
        .prop_map(|(text, changes)| {
            let mut characters: Vec<char> = text.chars().collect();
            for (index, change, strange) in changes {
                let at = index.index(characters.len() + 1);
                match change {
                    0 => characters.insert(at, strange),
                    1 if at < characters.len() => characters[at] = strange,
                    _ if at < characters.len() => drop(characters.remove(at)),
                    _ => {}
                }
            }
            characters.into_iter().collect()
        })
}

/// A registry with one blob and the URI of that.
fn blob_registry(content: &Bytes) -> (OciRegistryService<ReadOnly<MemoryStore>>, String) {
    let image = ImageBuilder::new()
        .layer(MediaType::OCI_LAYER, content.clone())
        .build()
        .unwrap();
    let store = MemoryStore::new();
    store.add_image(&name("demo"), Some(&tag("latest")), &image);
    let uri = format!("/v2/demo/blobs/{}", image.layers()[0].digest);
    (OciRegistryService::new(store), uri)
}
