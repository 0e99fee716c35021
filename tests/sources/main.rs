//! What the service asks of a source, and what it makes of the answers, broken promises included.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/scripted.rs"]
mod scripted;

use std::{
    error::Error as _,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use common::*;
use http::{Request, Response};
use http_body_util::BodyExt;
use scripted::{Scripted, pieces, unseekable};
use tower::ServiceExt;
use tower_oci::{
    Algorithm, Blob, BlobContent, BlobInfo, BlobSource, BlobStore, ByteRange, BytesBody, Cursor,
    Descriptor, Digest, DynBody, DynSource, Found, GetBlob, GetManifest, Listing, Manifest,
    ManifestInfo, MediaType, MissingContent, OciRegistryService, Page, ReadOnly, Reference,
    RepositoryName, ResponseBody, SourceError, Tag,
};

mod catalog;
mod defaults;
mod errors;
mod promises;
mod redirects;
mod time;
mod wrappers;

const SECRET: &str = "secret detail";

fn manifest() -> Manifest {
    Manifest::new(MediaType::OCI_MANIFEST, r#"{"schemaVersion":2}"#)
}

fn digest(content: &[u8]) -> Digest {
    Algorithm::Sha256.digest(content)
}

fn descriptor(content: &[u8]) -> Descriptor {
    Descriptor::new(
        MediaType::OCI_MANIFEST,
        digest(content),
        content.len() as u64,
    )
}

fn blob_uri(content: &[u8]) -> String {
    format!("/v2/demo/blobs/{}", digest(content))
}

/// A source that has one blob, whose parts can be asked for, and one manifest with the tag `a`.
fn holding(content: &'static [u8]) -> Scripted {
    let bytes = Bytes::from_static(content);
    let size = bytes.len() as u64;
    Scripted::new()
        .on_manifest(|_| Ok(manifest().into()))
        .on_stat_manifest(|_| Ok(ManifestInfo::of(&manifest())))
        .on_stat_blob(move |_| Ok(BlobInfo::seekable(size)))
        .on_blob(move |(_, options)| {
            Ok(Blob::from_bytes(bytes.clone(), &options)?.map_body(DynBody::new))
        })
}

/// A source with nothing but the two required methods, which hand on to another.
struct Minimal(Scripted);

impl BlobSource for Minimal {
    type Body = DynBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        self.0.manifest(repository, reference, options).await
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<DynBody>, SourceError> {
        self.0.blob(repository, digest, options).await
    }
}

/// The answer to a failed storage: 500, nothing of the cause, and the cause in the extensions.
#[track_caller]
fn assert_backend_failure(answer: &Answer) -> String {
    if answer.body.is_empty() {
        assert_eq!(answer.status, 500);
    } else {
        answer.assert_error(500, "UNKNOWN");
        let body = r#"{"errors":[{"code":"UNKNOWN","message":"the storage failed"}]}"#;
        assert_eq!(answer.body, body);
    }
    for value in answer.headers.values() {
        assert!(!value.to_str().unwrap().contains("secret"));
    }
    let error = answer.extensions.get::<Arc<SourceError>>().unwrap();
    error.source().unwrap().to_string()
}

/// The target of the link to the next page, if there is one.
fn link(answer: &Answer) -> Option<String> {
    let target = answer.header("link").strip_prefix('<')?;
    Some(target.strip_suffix(">; rel=\"next\"").unwrap().to_owned())
}

/// The bytes of a body up to its end, and the error that it ended with.
async fn drained<B>(response: Response<B>) -> (Vec<u8>, Option<String>)
where
    B: http_body::Body<Data = Bytes, Error = tower_oci::BoxError>,
{
    let mut body = pin!(response.into_body());
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Err(error) => {
                assert!(body.frame().await.is_none(), "an error is the end");
                return (bytes, Some(error.to_string()));
            }
        }
    }
    (bytes, None)
}

async fn raw<S: BlobStore>(
    service: &OciRegistryService<S>,
    uri: &str,
    range: &str,
) -> Response<ResponseBody<S::Body>> {
    let request = Request::get(uri)
        .header("range", range)
        .body(Body::empty())
        .unwrap();
    service.clone().oneshot(request).await.unwrap()
}
