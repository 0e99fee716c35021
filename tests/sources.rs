//! What the service asks of a source, and what it makes of the answers, broken promises included.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod common;
#[path = "common/scripted.rs"]
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
    Algorithm, ArtifactType, Blob, BlobContent, BlobInfo, BlobSource, ByteRange, BytesBody, Cursor,
    Descriptor, Digest, DynBody, DynSource, Found, GetBlob, GetManifest, ListReferrers, Listing,
    Manifest, ManifestInfo, MediaType, MissingContent, OciRegistryService, Page, ReadOnly,
    Reference, RepositoryName, ResponseBody, SourceError, Tag,
};

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

// ---- wrappers -------------------------------------------------------------------------------

/// A source whose every method has an answer that no default gives.
fn spy() -> Scripted {
    let item = |text: &'static str| Listing {
        items: vec![text],
        next: Cursor::new("next"),
    };
    Scripted::new()
        .on_manifest(|_| Ok(Found::NotModified(digest(b"known"))))
        .on_blob(|_| {
            Ok(Blob::Redirect {
                to: "http://other/".parse().unwrap(),
                size: 7,
            })
        })
        .on_stat_blob(|_| Ok(BlobInfo::unseekable(8)))
        .on_stat_manifest(|_| {
            Ok(ManifestInfo::new(
                digest(b"stat"),
                MediaType::OCTET_STREAM,
                9,
            ))
        })
        .on_tags(move |_| {
            let Listing { items, next } = item("a-tag");
            Ok(Listing {
                items: items.into_iter().map(tag).collect(),
                next,
            })
        })
        .on_referrers(move |_| {
            let Listing { items, next } = item("referrer");
            let items = items
                .into_iter()
                .map(|text| descriptor(text.as_bytes()))
                .collect();
            Ok(Listing { items, next })
        })
        .on_repositories(move |_| {
            let Listing { items, next } = item("a/repository");
            Ok(Listing {
                items: items.into_iter().map(name).collect(),
                next,
            })
        })
}

/// Calls each method with arguments that are no defaults, and compares what came back and what
/// arrived.
async fn assert_forwards<S: BlobSource>(wrapper: &str, wrap: impl FnOnce(Scripted) -> S) {
    let spy = spy();
    let source = wrap(spy.clone());
    let repository = name("demo");
    let reference = Reference::Tag(tag("latest"));
    let subject = Algorithm::Sha512.digest(b"subject");
    let known = [digest(b"known"), digest(b"other")];
    let (cursor, artifact_type) = (
        Cursor::new("after"),
        "a/type".parse::<ArtifactType>().unwrap(),
    );
    let page = Page::first(13).after(&cursor);

    let options = GetManifest::default().unless(&known);
    let found = source
        .manifest(&repository, &reference, options)
        .await
        .unwrap();
    assert!(
        matches!(found, Found::NotModified(found) if found == known[0]),
        "{wrapper}"
    );
    let options = GetBlob::default()
        .range(ByteRange::Suffix(5))
        .redirects(true);
    let blob = source.blob(&repository, &subject, options).await.unwrap();
    assert!(matches!(blob, Blob::Redirect { size: 7, .. }), "{wrapper}");
    let info = source.stat_blob(&repository, &subject).await.unwrap();
    assert_eq!(info, BlobInfo::unseekable(8), "{wrapper}");
    let info = source.stat_manifest(&repository, &reference).await.unwrap();
    assert_eq!((info.digest, info.size), (digest(b"stat"), 9), "{wrapper}");
    let tags = source.tags(&repository, page).await.unwrap();
    assert_eq!(
        (tags.items, tags.next),
        (vec![tag("a-tag")], Cursor::new("next")),
        "{wrapper}"
    );
    let mut options = ListReferrers::new(page).artifact_type(&artifact_type);
    options.max_bytes = 77;
    let referrers = source
        .referrers(&repository, &subject, options)
        .await
        .unwrap();
    assert_eq!(referrers.items, [descriptor(b"referrer")], "{wrapper}");
    assert_eq!(referrers.next, Cursor::new("next"), "{wrapper}");
    let repositories = source.repositories(page).await.unwrap();
    assert_eq!(repositories.items, [name("a/repository")], "{wrapper}");

    let expected = [
        "manifest demo latest unless 2",
        "blob demo Some(Suffix(5)) redirects true",
        "stat_blob demo",
        "stat_manifest demo latest",
        "tags demo Some(\"after\") 13",
        "referrers demo Some(\"a/type\") Some(\"after\") 13 77",
        "repositories Some(\"after\") 13",
    ];
    assert_eq!(spy.calls(), expected, "{wrapper}");
}

#[tokio::test]
async fn every_wrapper_forwards_every_method_with_its_arguments() {
    assert_forwards("Arc", Arc::new).await;
    assert_forwards("ReadOnly", ReadOnly::new).await;
    assert_forwards("DynSource", DynSource::new).await;
    assert_forwards("Arc of Arc", |spy| Arc::new(Arc::new(spy))).await;
    assert_forwards("ReadOnly of Arc", |spy| ReadOnly::new(Arc::new(spy))).await;
    assert_forwards("Arc of DynSource", |spy| Arc::new(DynSource::new(spy))).await;
    assert_forwards("DynSource of all", |spy| {
        DynSource::new(ReadOnly::new(Arc::new(DynSource::new(Arc::new(
            ReadOnly::new(spy),
        )))))
    })
    .await;
    assert_forwards("unwrapped again", |spy| ReadOnly::new(spy).into_inner()).await;
}

#[tokio::test]
async fn the_service_asks_through_all_wrappers_for_no_more_than_it_needs() {
    let source = holding(b"0123456789");
    let wrapped = DynSource::new(ReadOnly::new(Arc::new(source.clone())));
    let service = OciRegistryService::new(wrapped);
    let uri = blob_uri(b"0123456789");
    let etag = format!("\"{}\"", digest(b"0123456789"));
    let manifest_etag = format!("\"{}\"", manifest().digest());
    type Row<'a> = (
        &'a str,
        &'a str,
        &'a [(&'a str, &'a str)],
        u16,
        &'a [&'a str],
    );
    let rows: &[Row<'_>] = &[
        // protocol 19: HEAD opens nothing.
        ("HEAD", &uri, &[], 200, &["stat_blob demo"]),
        (
            "HEAD",
            &uri,
            &[("range", "bytes=1-2")],
            200,
            &["stat_blob demo"],
        ),
        (
            "HEAD",
            "/v2/demo/manifests/a",
            &[],
            200,
            &["stat_manifest demo a"],
        ),
        // A 304 or 412 opens nothing either.
        (
            "GET",
            &uri,
            &[("if-none-match", &etag)],
            304,
            &["stat_blob demo"],
        ),
        (
            "GET",
            &uri,
            &[("if-none-match", "*")],
            304,
            &["stat_blob demo"],
        ),
        (
            "GET",
            &uri,
            &[("if-match", "\"x\"")],
            412,
            &["stat_blob demo"],
        ),
        (
            "GET",
            "/v2/demo/manifests/a",
            &[("if-none-match", "*")],
            304,
            &["stat_manifest demo a"],
        ),
        (
            "GET",
            "/v2/demo/manifests/a",
            &[("if-none-match", &manifest_etag)],
            304,
            &["manifest demo a unless 1"],
        ),
        ("GET", &uri, &[], 200, &["blob demo None redirects true"]),
        (
            "GET",
            &uri,
            &[("range", "bytes=2-4")],
            206,
            &["blob demo Some(FromTo(2, 4)) redirects true"],
        ),
        (
            "GET",
            &uri,
            &[("range", "bytes=-3")],
            206,
            &["blob demo Some(Suffix(3)) redirects true"],
        ),
        (
            "GET",
            &uri,
            &[("range", "bytes=99-")],
            416,
            &["blob demo Some(From(99)) redirects true"],
        ),
        (
            "GET",
            &uri,
            &[("range", "bytes=4-2")],
            416,
            &["stat_blob demo"],
        ),
        (
            "GET",
            &uri,
            &[("range", "bytes=0-1,5-6,-1")],
            206,
            &[
                "stat_blob demo",
                "blob demo Some(FromTo(0, 1)) redirects false",
                "blob demo Some(FromTo(5, 6)) redirects false",
                "blob demo Some(FromTo(9, 9)) redirects false",
            ],
        ),
    ];
    for (method, uri, headers, status, calls) in rows {
        let answer = ask(&service, method, uri, headers).await;
        assert_eq!(answer.status, *status, "{method} {uri} {headers:?}");
        assert_eq!(source.calls(), *calls, "{method} {uri} {headers:?}");
    }
}

// ---- defaults -------------------------------------------------------------------------------

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

#[tokio::test]
async fn a_source_with_the_two_required_methods_answers_head_through_them() {
    let source = holding(b"0123456789");
    let service = OciRegistryService::new(Minimal(source.clone()));
    let answer = head(&service, &blob_uri(b"0123456789")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-length")),
        (200, "10")
    );
    assert_eq!(answer.header("accept-ranges"), "bytes");
    assert_eq!(source.calls(), ["blob demo None redirects false"]);
    let answer = head(&service, "/v2/demo/manifests/a").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-length")),
        (200, "19")
    );
    assert_eq!(
        answer.header("content-type"),
        MediaType::OCI_MANIFEST.as_str()
    );
    assert_eq!(source.calls(), ["manifest demo a unless 0"]);
}

#[tokio::test]
async fn lists_that_a_source_does_not_have_answer_404_unsupported() {
    let service = OciRegistryService::new(Minimal(holding(b"")));
    for uri in [
        "/v2/demo/tags/list",
        "/v2/demo/tags/list?n=0",
        "/v2/_catalog",
    ] {
        get(&service, uri).await.assert_error(404, "UNSUPPORTED");
    }
}

fn digests_of(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    assert_eq!(json["schemaVersion"], 2);
    assert_eq!(json["mediaType"], MediaType::OCI_INDEX.as_str());
    let entries = json["manifests"].as_array().unwrap().iter();
    entries
        .map(|entry| entry["digest"].as_str().unwrap().to_owned())
        .collect()
}

// protocol 49 to 54 and 56
#[tokio::test]
async fn referrers_come_from_the_fallback_tag_filtered_and_in_pages() {
    let entries: Vec<Descriptor> = (0..5)
        .map(|number| {
            let mut entry = descriptor(format!("referrer {number}").as_bytes());
            let kind = if number % 2 == 0 {
                "a/even+json"
            } else {
                "a/odd"
            };
            entry.artifact_type = Some(kind.parse().unwrap());
            entry
                .annotations
                .insert("number".to_owned(), number.to_string());
            entry
        })
        .collect();
    let mut in_order: Vec<String> = entries
        .iter()
        .map(|entry| entry.digest.to_string())
        .collect();
    in_order.sort();
    // The index lists one referrer twice, as clients that race do.
    let mut listed = entries.clone();
    listed.push(entries[0].clone());
    let index = serde_json::json!({ "schemaVersion": 2, "manifests": listed });
    let index = Manifest::parse(index.to_string()).unwrap();

    for subject in [
        Algorithm::Sha256.digest(b"s"),
        Algorithm::Sha512.digest(b"s"),
    ] {
        let fallback = Tag::referrers_of(&subject);
        assert_eq!(fallback.as_str().len(), "sha256-".len() + 64);
        let text = subject.to_string().replace(':', "-");
        assert!(text.starts_with(fallback.as_str()));
        let index = index.clone();
        let source = Scripted::new().on_manifest(move |(reference, _)| match reference {
            Reference::Tag(tag) if tag == fallback => Ok(index.clone().into()),
            _ => Err(SourceError::NotFound(MissingContent::Manifest)),
        });
        let service = OciRegistryService::new(Minimal(source));
        let uri = format!("/v2/demo/referrers/{subject}");
        let answer = get(&service, &uri).await;
        assert_eq!(answer.header("content-type"), MediaType::OCI_INDEX.as_str());
        assert_eq!(answer.header("oci-filters-applied"), "");
        assert_eq!(digests_of(&answer), in_order);

        let mut found = Vec::new();
        let mut next = Some(format!("{uri}?n=1&artifactType=a/even%2Bjson"));
        while let Some(uri) = next {
            let answer = get(&service, &uri).await;
            assert_eq!(answer.header("oci-filters-applied"), "artifactType");
            let page = answer.json()["manifests"].clone();
            assert_eq!(page[0]["artifactType"], "a/even+json");
            assert!(page[0]["annotations"]["number"].is_string());
            found.extend(digests_of(&answer));
            next = link(&answer);
        }
        assert_eq!(found.len(), 3);
        assert!(found.is_sorted());

        let none = get(&service, &format!("{uri}?artifactType=none")).await;
        assert_eq!((none.status.as_u16(), digests_of(&none)), (200, vec![]));
        assert_eq!(none.header("oci-filters-applied"), "artifactType");
    }
}

fn link(answer: &Answer) -> Option<String> {
    let target = answer.header("link").strip_prefix('<')?;
    Some(target.strip_suffix(">; rel=\"next\"").unwrap().to_owned())
}

#[tokio::test]
async fn referrers_of_anything_unknown_are_an_empty_index() {
    let uri = format!("/v2/demo/referrers/{}", digest(b"unknown"));
    for missing in [MissingContent::Repository, MissingContent::Manifest] {
        let by_default = Scripted::new().on_manifest(move |_| Err(SourceError::NotFound(missing)));
        let by_default = get(&OciRegistryService::new(Minimal(by_default)), &uri).await;
        let own = Scripted::new().on_referrers(move |_| Err(SourceError::NotFound(missing)));
        let own = get(&OciRegistryService::new(own), &uri).await;
        for answer in [by_default, own] {
            assert_eq!((answer.status.as_u16(), digests_of(&answer)), (200, vec![]));
        }
    }
    // What is no index lists nothing, whoever pushed it to the fallback tag.
    let broken = Manifest::new(MediaType::OCI_INDEX, "no JSON");
    let broken = Scripted::new().on_manifest(move |_| Ok(broken.clone().into()));
    let answer = get(&OciRegistryService::new(Minimal(broken)), &uri).await;
    assert_eq!((answer.status.as_u16(), digests_of(&answer)), (200, vec![]));
    // Not knowing is not the same as knowing that there are none.
    let failing = Scripted::new().on_manifest(|_| Err(SourceError::backend(SECRET)));
    let answer = get(&OciRegistryService::new(Minimal(failing)), &uri).await;
    assert_backend_failure(&answer);
}

// ---- errors ---------------------------------------------------------------------------------

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

type Failure = fn() -> SourceError;

/// Every variant of [`SourceError`] with what a client gets.
const FAILURES: &[(Failure, u16, &str, &str)] = &[
    (
        || SourceError::NotFound(MissingContent::Repository),
        404,
        "NAME_UNKNOWN",
        "",
    ),
    (
        || SourceError::NotFound(MissingContent::Manifest),
        404,
        "MANIFEST_UNKNOWN",
        "",
    ),
    (
        || SourceError::NotFound(MissingContent::Blob),
        404,
        "BLOB_UNKNOWN",
        "",
    ),
    (
        || SourceError::RangeNotSatisfiable { size: 7 },
        416,
        "SIZE_INVALID",
        "",
    ),
    (|| SourceError::Denied, 403, "DENIED", ""),
    (|| SourceError::Unsupported, 404, "UNSUPPORTED", ""),
    (
        || SourceError::Busy { retry_after: None },
        503,
        "UNAVAILABLE",
        "1",
    ),
    (
        || SourceError::Busy {
            retry_after: Some(Duration::from_millis(1)),
        },
        503,
        "UNAVAILABLE",
        "1",
    ),
    (
        || SourceError::Busy {
            retry_after: Some(Duration::ZERO),
        },
        503,
        "UNAVAILABLE",
        "1",
    ),
    (
        || SourceError::Busy {
            retry_after: Some(Duration::from_millis(2001)),
        },
        503,
        "UNAVAILABLE",
        "3",
    ),
    // protocol 9
    (
        || SourceError::TooManyRequests { retry_after: None },
        429,
        "TOOMANYREQUESTS",
        "1",
    ),
    (
        || SourceError::TooManyRequests {
            retry_after: Some(Duration::from_secs(60)),
        },
        429,
        "TOOMANYREQUESTS",
        "60",
    ),
    (
        || SourceError::TooLarge { limit: 5 },
        413,
        "SIZE_INVALID",
        "",
    ),
    (|| SourceError::Full, 507, "UNKNOWN", ""),
    (
        || SourceError::DigestMismatch {
            expected: digest(b"x"),
        },
        400,
        "DIGEST_INVALID",
        "",
    ),
    (
        || SourceError::OffsetMismatch { current: 5 },
        416,
        "BLOB_UPLOAD_INVALID",
        "",
    ),
    (
        || SourceError::UploadUnknown,
        404,
        "BLOB_UPLOAD_UNKNOWN",
        "",
    ),
    (
        || SourceError::MissingReferences(vec![digest(b"x")]),
        400,
        "MANIFEST_BLOB_UNKNOWN",
        "",
    ),
    (|| SourceError::PreconditionFailed, 412, "DENIED", ""),
    (
        || SourceError::Invalid("what was wrong".to_owned()),
        400,
        "MANIFEST_INVALID",
        "",
    ),
    (
        || SourceError::RequestBody(SECRET.into()),
        400,
        "BLOB_UPLOAD_INVALID",
        "",
    ),
    (|| SourceError::backend(SECRET), 500, "UNKNOWN", ""),
];

/// A source that fails in every method.
fn failing(failure: Failure) -> Scripted {
    Scripted::new()
        .on_manifest(move |_| Err(failure()))
        .on_blob(move |_| Err(failure()))
        .on_stat_blob(move |_| Err(failure()))
        .on_stat_manifest(move |_| Err(failure()))
        .on_tags(move |_| Err(failure()))
        .on_referrers(move |_| Err(failure()))
        .on_repositories(move |_| Err(failure()))
}

#[tokio::test]
async fn every_error_of_a_source_has_its_status_and_code_in_every_operation() {
    let blob = blob_uri(b"x");
    let referrers = format!("/v2/demo/referrers/{}", digest(b"x"));
    for &(failure, status, code, retry_after) in FAILURES {
        let service = OciRegistryService::new(failing(failure));
        for (method, uri, headers) in [
            ("GET", "/v2/demo/manifests/a", None),
            ("HEAD", "/v2/demo/manifests/a", None),
            ("GET", "/v2/demo/manifests/a", Some(("if-none-match", "*"))),
            ("GET", &blob, None),
            ("GET", &blob, Some(("range", "bytes=99-"))),
            ("GET", &blob, Some(("range", "bytes=0-0,2-2"))),
            ("GET", &blob, Some(("if-none-match", "*"))),
            ("HEAD", &blob, None),
            ("GET", "/v2/demo/tags/list", None),
            ("GET", "/v2/demo/tags/list?n=0", None),
            ("GET", "/v2/_catalog", None),
            ("GET", &referrers, None),
        ] {
            let answer = ask(&service, method, uri, headers.as_slice()).await;
            if uri == referrers && matches!(failure(), SourceError::NotFound(_)) {
                assert_eq!(answer.status, 200);
                continue;
            }
            if uri == blob
                && headers.is_none()
                && matches!(
                    (method, failure()),
                    ("GET", SourceError::RangeNotSatisfiable { .. })
                )
            {
                continue; // none was asked for: a broken promise
            }
            let context = format!("{method} {uri} {headers:?} {:?}", failure());
            assert_eq!(answer.status, status, "{context}");
            assert_eq!(answer.header("retry-after"), retry_after, "{context}");
            assert_eq!(answer.header("cache-control"), "no-store", "{context}");
            if method == "GET" {
                answer.assert_error(status, code);
                let text = String::from_utf8(answer.body.to_vec()).unwrap();
                assert!(!text.contains(SECRET), "{context}: {text}");
            }
            match failure() {
                SourceError::RangeNotSatisfiable { .. } => {
                    assert_eq!(answer.header("content-range"), "bytes */7");
                }
                SourceError::Backend(_) => assert_eq!(assert_backend_failure(&answer), SECRET),
                _ => assert!(answer.extensions.get::<Arc<SourceError>>().is_none()),
            }
        }
    }
}

#[tokio::test]
async fn missing_references_are_listed_one_by_one_up_to_a_hundred() {
    let digests = |count: u32| {
        (0..count)
            .map(|number| digest(&number.to_be_bytes()))
            .collect()
    };
    for (count, shown) in [(2, 2), (100, 100), (5000, 100)] {
        let source = Scripted::new()
            .on_manifest(move |_| Err(SourceError::MissingReferences(digests(count))));
        let answer = get(&OciRegistryService::new(source), "/v2/demo/manifests/a").await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.error_codes(), vec!["MANIFEST_BLOB_UNKNOWN"; shown]);
        let first = &answer.json()["errors"][0]["detail"]["digest"];
        assert_eq!(first, &serde_json::json!(digest(&0_u32.to_be_bytes())));
    }
}

#[tokio::test]
async fn a_request_body_that_was_cut_by_a_length_limit_is_413() {
    let source = Scripted::new().on_blob(|_| {
        let limited = http_body_util::Limited::new(BytesBody::new("too long"), 3);
        let cut = pin!(limited.collect());
        let Poll::Ready(Err(cut)) = cut.poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("the body is longer than its limit");
        };
        Err(SourceError::RequestBody(cut))
    });
    let answer = get(&OciRegistryService::new(source), &blob_uri(b"x")).await;
    answer.assert_error(413, "SIZE_INVALID");
}

// ---- broken promises ------------------------------------------------------------------------

fn content(info: BlobInfo, range: std::ops::Range<u64>, body: DynBody) -> Blob<DynBody> {
    Blob::Content(BlobContent { info, range, body })
}

#[tokio::test]
async fn an_answer_that_a_source_may_not_give_is_a_failure_of_the_storage() {
    let redirect = || Blob::Redirect {
        to: "http://secret/".parse().unwrap(),
        size: 5,
    };
    let other = Manifest::new(MediaType::OCI_MANIFEST, "{}");
    let blob = blob_uri(b"01234");
    let by_digest = format!("/v2/demo/manifests/{}", digest(b"asked"));
    let many = |count: usize| (0..count).map(|number| tag(&number.to_string())).collect();
    let seekable = BlobInfo::seekable(5);

    let not_modified = |_| Ok(Found::NotModified(digest(b"x")));
    let listing = move |limit: usize| {
        Ok(Listing {
            items: many(limit + 1),
            next: None,
        })
    };
    type Row<'a> = (
        &'a str,
        Scripted,
        &'a str,
        &'a str,
        &'a [(&'a str, &'a str)],
    );
    let rows: Vec<Row<'_>> = vec![
        (
            "another manifest than asked for",
            Scripted::new().on_manifest(move |_| Ok(other.clone().into())),
            "GET",
            &by_digest,
            &[],
        ),
        (
            "another manifest than asked for, on HEAD",
            Scripted::new().on_stat_manifest(|_| Ok(ManifestInfo::of(&manifest()))),
            "HEAD",
            &by_digest,
            &[],
        ),
        (
            "another manifest than asked for, where that answers a condition",
            Scripted::new().on_manifest(move |_| Ok(Found::NotModified(digest(b"x")))),
            "GET",
            &by_digest,
            &[(
                "if-none-match",
                "\"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\"",
            )],
        ),
        (
            "NotModified unasked",
            Scripted::new().on_manifest(not_modified),
            "GET",
            "/v2/demo/manifests/a",
            &[],
        ),
        (
            "NotModified of what the client does not have",
            Scripted::new().on_manifest(not_modified),
            "GET",
            "/v2/demo/manifests/a",
            &[("if-none-match", "\"x\"")],
        ),
        (
            "another range than asked for",
            Scripted::new().on_blob(move |_| Ok(content(seekable, 1..3, pieces([Ok(b"12")])))),
            "GET",
            &blob,
            &[("range", "bytes=0-1")],
        ),
        (
            "a range where none was asked for",
            Scripted::new().on_blob(move |_| Ok(content(seekable, 1..3, pieces([Ok(b"12")])))),
            "GET",
            &blob,
            &[],
        ),
        (
            "a range beyond the end",
            Scripted::new().on_blob(move |_| Ok(content(seekable, 0..9, pieces([Ok(b"12")])))),
            "GET",
            &blob,
            &[("range", "bytes=0-8")],
        ),
        (
            "a range that cannot be served where none was asked for",
            Scripted::new().on_blob(|_| Err(SourceError::RangeNotSatisfiable { size: 5 })),
            "GET",
            &blob,
            &[],
        ),
        (
            "a range that cannot be served although it can",
            Scripted::new().on_blob(|_| Err(SourceError::RangeNotSatisfiable { size: 5 })),
            "GET",
            &blob,
            &[("range", "bytes=2-")],
        ),
        (
            "an empty blob has no range, and none was asked for",
            Scripted::new().on_blob(|_| Err(SourceError::RangeNotSatisfiable { size: 0 })),
            "GET",
            &blob,
            &[],
        ),
        (
            "more tags than asked for",
            Scripted::new().on_tags(listing),
            "GET",
            "/v2/demo/tags/list?n=3",
            &[],
        ),
        (
            "more repositories than asked for",
            Scripted::new().on_repositories(|limit| {
                let items = (0..=limit)
                    .map(|number| name(&number.to_string()))
                    .collect();
                Ok(Listing { items, next: None })
            }),
            "GET",
            "/v2/_catalog?n=2",
            &[],
        ),
        (
            "a redirect that leads nowhere",
            Scripted::new().on_blob(|_| {
                Ok(Blob::Redirect {
                    to: "/secret".parse().unwrap(),
                    size: 5,
                })
            }),
            "GET",
            &blob,
            &[],
        ),
    ];
    for (promise, source, method, uri, headers) in rows {
        let answer = ask(&OciRegistryService::new(source), method, uri, headers).await;
        assert_eq!(answer.status, 500, "{promise}: {answer:?}");
        let cause = assert_backend_failure(&answer);
        assert!(cause.contains("the source "), "{promise}: {cause}");
    }

    // A redirect where a stat needs the bytes, and in the default methods.
    let redirecting = Scripted::new().on_blob(move |_| Ok(redirect()));
    let answer = head(&OciRegistryService::new(Minimal(redirecting)), &blob).await;
    assert_backend_failure(&answer);
    let lying = Scripted::new().on_manifest(not_modified);
    let answer = head(
        &OciRegistryService::new(Minimal(lying)),
        "/v2/demo/manifests/a",
    )
    .await;
    assert_backend_failure(&answer);
}

#[tokio::test]
async fn more_referrers_than_asked_for_are_a_failure_of_the_storage() {
    let source = Scripted::new().on_referrers(|limit| {
        let items = (0..=limit)
            .map(|number| descriptor(&number.to_be_bytes()))
            .collect();
        Ok(Listing { items, next: None })
    });
    let uri = format!("/v2/demo/referrers/{}?n=2", digest(b"x"));
    assert_backend_failure(&get(&OciRegistryService::new(source), &uri).await);
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

async fn raw<S: BlobSource>(
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

#[tokio::test]
async fn a_body_that_breaks_its_promise_never_ends_cleanly() {
    type Make = fn() -> DynBody;
    let broken: &[(&str, Make, &str)] = &[
        ("empty", || pieces([]), "ended 10 bytes early"),
        (
            "short",
            || pieces([Ok(b"01234"), Ok(b"5678")]),
            "ended 1 bytes early",
        ),
        (
            "long by a piece",
            || pieces([Ok(b"01234"), Ok(b"56789"), Ok(b"x")]),
            "longer",
        ),
        (
            "long in one piece",
            || pieces([Ok(b"0123456789x")]),
            "longer",
        ),
        (
            "long after empty pieces",
            || pieces([Ok(b"0123456789"), Ok(b""), Ok(b"x")]),
            "longer",
        ),
        (
            "long without knowing its end",
            || DynBody::new(BytesBody::new("0123456789x")),
            "longer",
        ),
        (
            "an error at the beginning",
            || pieces([Err("broken off")]),
            "broken off",
        ),
        (
            "an error in the middle",
            || pieces([Ok(b"01234"), Err("broken off")]),
            "broken off",
        ),
        (
            "an error at the end",
            || pieces([Ok(b"0123456789"), Err("broken off")]),
            "broken off",
        ),
    ];
    for (how, make, expected) in broken {
        let make = *make;
        let source = Scripted::new()
            .on_stat_blob(|_| Ok(BlobInfo::seekable(30)))
            .on_blob(move |(_, options)| {
                let info = BlobInfo::seekable(30);
                let range = info.resolve(options.range)?;
                Ok(content(info, range, make()))
            });
        let service = OciRegistryService::new(source);
        let uri = blob_uri(b"x");
        let response = raw(&service, &uri, "bytes=10-19").await;
        assert_eq!(response.status(), 206);
        let (bytes, error) = drained(response).await;
        assert!(
            bytes.len() < 10,
            "{how}: the last byte came before the error"
        );
        assert!(
            error
                .as_deref()
                .is_some_and(|error| error.contains(expected)),
            "{how}: {error:?}"
        );

        let response = raw(&service, &uri, "bytes=0-9,20-29").await;
        assert_eq!(response.status(), 206);
        let length: usize = response.headers()["content-length"]
            .to_str()
            .unwrap()
            .parse()
            .unwrap();
        let (bytes, error) = drained(response).await;
        assert!(bytes.len() < length, "{how}");
        assert!(
            error
                .as_deref()
                .is_some_and(|error| error.contains(expected)),
            "{how}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_part_that_cannot_be_opened_ends_the_answer_with_an_error() {
    type Open = fn(GetBlob) -> Result<Blob<DynBody>, SourceError>;
    let openings: &[Open] = &[
        |_| Err(SourceError::backend("broken off")),
        |_| Err(SourceError::NotFound(MissingContent::Blob)),
        |_| {
            Ok(Blob::Redirect {
                to: "http://other/".parse().unwrap(),
                size: 10,
            })
        },
        |_| {
            Ok(content(
                BlobInfo::seekable(10),
                0..10,
                pieces([Ok(b"0123456789")]),
            ))
        },
    ];
    for &open in openings {
        let source = Scripted::new()
            .on_stat_blob(|_| Ok(BlobInfo::seekable(10)))
            .on_blob(move |(_, options)| match options.range {
                Some(ByteRange::FromTo(0, _)) => {
                    Ok(Blob::from_bytes("0123456789", &options)?.map_body(DynBody::new))
                }
                _ => open(options),
            });
        let service = OciRegistryService::new(source);
        let response = raw(&service, &blob_uri(b"x"), "bytes=0-1,5-6").await;
        assert_eq!(response.status(), 206);
        let (bytes, error) = drained(response).await;
        assert!(error.is_some());
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains("bytes 0-1/10\r\n\r\n01\r\n"), "{text}");
        assert!(!text.ends_with("--\r\n"), "{text}");
    }
}

#[tokio::test]
async fn a_blob_that_is_promised_empty_and_is_not_never_sends_a_byte() {
    let source = Scripted::new().on_blob(|_| {
        Ok(content(
            BlobInfo::seekable(0),
            0..0,
            pieces([Ok(b"too much")]),
        ))
    });
    let response = raw(&OciRegistryService::new(source), &blob_uri(b""), "bytes=0-").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-length"], "0");
    assert_eq!(drained(response).await.0, b"");
}

#[tokio::test]
async fn a_blob_of_an_absurd_size_does_no_harm() {
    let source = Scripted::new()
        .on_stat_blob(|_| Ok(BlobInfo::seekable(u64::MAX)))
        .on_blob(|_| {
            Ok(content(
                BlobInfo::seekable(u64::MAX),
                0..u64::MAX,
                pieces([]),
            ))
        });
    let service = OciRegistryService::new(source);
    for range in [
        "bytes=0-9223372036854775807,9223372036854775808-18446744073709551614",
        "bytes=0-18446744073709551615",
        "bytes=-18446744073709551615",
    ] {
        let response = raw(&service, &blob_uri(b"x"), range).await;
        assert_eq!(response.status(), 206, "{range}");
        assert!(drained(response).await.1.is_some(), "{range}");
    }
}

// ---- redirects, and sources that cannot seek ------------------------------------------------

// protocol 7
#[tokio::test]
async fn a_redirect_is_307_and_nobody_may_keep_it() {
    let to = "https://storage.example/signed?key=a%20b&x=%2F";
    let source = Scripted::new()
        .on_stat_blob(|_| Ok(BlobInfo::seekable(5)))
        .on_blob(move |_| {
            Ok(Blob::Redirect {
                to: to.parse().unwrap(),
                size: 5,
            })
        });
    let service = OciRegistryService::new(source.clone());
    let uri = blob_uri(b"01234");
    for headers in [&[][..], &[("range", "bytes=1-2")]] {
        let answer = ask(&service, "GET", &uri, headers).await;
        assert_eq!(answer.status, 307);
        assert_eq!(answer.header("location"), to);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(
            answer.header("docker-content-digest"),
            digest(b"01234").to_string()
        );
        for absent in ["etag", "accept-ranges", "content-range", "content-type"] {
            assert_eq!(answer.header(absent), "");
        }
    }
    // HEAD is answered here: some clients do not follow a redirect of HEAD.
    source.calls();
    let answer = head(&service, &uri).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-length")),
        (200, "5")
    );
    assert_eq!(source.calls(), ["stat_blob demo"]);
}

#[tokio::test]
async fn a_source_that_cannot_seek_answers_every_range_with_the_whole() {
    let bytes = noise(100);
    let uri = blob_uri(&bytes);
    let whole = bytes.clone();
    let source = Scripted::new()
        .on_stat_blob(|_| Ok(BlobInfo::unseekable(100)))
        .on_blob(move |_| Ok(unseekable(&whole)));
    let service = OciRegistryService::new(source);
    for range in [
        "bytes=0-0",
        "bytes=5-",
        "bytes=-5",
        "bytes=0-99",
        "bytes=0-1,5-6",
        "bytes=500-",
        "bytes=5-1",
        "bytes=x",
        "bytes=0-1,5-1",
        "lines=1-2",
    ] {
        let answer = ask(&service, "GET", &uri, &[("range", range)]).await;
        assert_eq!(answer.status, 200, "{range}");
        assert_eq!(answer.body, bytes, "{range}");
        assert_eq!(answer.header("accept-ranges"), "", "{range}");
        assert_eq!(answer.header("content-range"), "", "{range}");
    }
    let answer = head(&service, &uri).await;
    assert_eq!(
        (
            answer.header("accept-ranges"),
            answer.header("content-length")
        ),
        ("", "100")
    );
}

// ---- time ------------------------------------------------------------------------------------

#[tokio::test]
async fn parts_are_opened_one_after_another_and_only_when_their_turn_comes() {
    let source = holding(b"0123456789").pending(2);
    let service = OciRegistryService::new(source.clone());
    let response = raw(&service, &blob_uri(b"0123456789"), "bytes=0-1,5-6,8-9").await;
    assert_eq!(
        source.calls(),
        ["stat_blob demo"],
        "no part is opened before the body is read"
    );
    let mut body = response.into_body();
    let mut opened = 0;
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        let calls = source.calls().len();
        assert!(calls <= 1);
        opened += calls;
        let piece = frame.unwrap().into_data().unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
        let heads = text.matches("Content-Range").count();
        assert!(
            opened <= heads,
            "a part was opened before the one before it was sent"
        );
    }
    assert_eq!(opened, 3);
    assert!(text.contains("bytes 5-6/10\r\n\r\n56\r\n--"), "{text}");
}

#[tokio::test]
async fn a_response_can_be_dropped_at_every_point_and_the_next_one_is_whole() {
    let source = holding(b"0123456789").pending(3);
    let service = OciRegistryService::new(source);
    let blob = blob_uri(b"0123456789");
    for (uri, range) in [
        (blob.as_str(), None),
        (&blob, Some("bytes=1-3")),
        (&blob, Some("bytes=0-1,5-6")),
        ("/v2/demo/manifests/a", None),
    ] {
        let request = || {
            let mut request = Request::get(uri);
            if let Some(range) = range {
                request = request.header("range", range);
            }
            request.body(Body::empty()).unwrap()
        };
        let mut polls = 0;
        loop {
            let whole = {
                let whole = async {
                    let response = service.clone().oneshot(request()).await.unwrap();
                    assert!(response.status().is_success());
                    response.into_body().collect().await.unwrap().to_bytes()
                };
                polled(whole, polls).await
            };
            if let Some(whole) = whole {
                assert!(!whole.is_empty());
                break;
            }
            polls += 1;
        }
        assert!(polls >= 3, "{uri} was never pending");
    }
}

/// Polls `future` so often, and drops it if it has not ended by then.
async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future: Pin<Box<F>> = Box::pin(future);
    for _ in 0..=polls {
        let poll = std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await;
        if let Poll::Ready(output) = poll {
            return Some(output);
        }
        tokio::task::yield_now().await;
    }
    None
}
