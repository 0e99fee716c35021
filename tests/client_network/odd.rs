//! Registries that do as others have been seen to do.

use std::convert::Infallible;

use futures_util::stream;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use tower::{ServiceExt, service_fn};
use tower_oci::{BoxError, ByteRange, BytesBody, DynBody, ErrorCode, Page, RemoteSource};

use super::*;
use crate::certificates::Authority;

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_refused_before_it_is_read_is_told_why() {
    let authority = Authority::new("ours");
    let tls = |protocols| Some(authority.server(&["localhost"]).serving(protocols, None));
    for tls in [None, tls(&["http/1.1"][..]), tls(&["h2"])] {
        let registry = OciRegistryService::writable(MemoryStore::new());
        let refusing = service_fn(move |request: Request<Incoming>| {
            let is_content = [Method::PUT, Method::PATCH].contains(request.method());
            let registry = registry.clone();
            async move {
                if is_content {
                    let status = StatusCode::PAYLOAD_TOO_LARGE;
                    let refusal = ErrorCode::SizeInvalid.response(status, "too large for us");
                    return Ok(refusal.map(DynBody::new));
                }
                registry
                    .oneshot(request)
                    .await
                    .map(|it| it.map(DynBody::new))
            }
        });
        let options = Options {
            tls,
            ..Options::default()
        };
        let server = Server::with(refusing, options).await;
        let network = Network::new().trust(authority.pem().as_bytes()).unwrap();
        let url = server.url().parse().unwrap();
        let client = RegistryClient::builder(url, network.build().unwrap());
        let client = client.retry(impatient()).bounded();
        for chunk in [None, Some(5 << 20)] {
            // An answer that is lost with its connection is asked for again.
            let error = push(&client, "demo", large(), &pieces(chunk))
                .await
                .unwrap_err();
            assert_eq!(
                error.status(),
                Some(StatusCode::PAYLOAD_TOO_LARGE),
                "{error}"
            );
            assert!(error.to_string().contains("too large for us"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_whose_size_is_not_told_is_there_all_the_same() {
    let registry = OciRegistryService::writable(store_with(&index()));
    let server = Server::of(service_fn(move |request: Request<Incoming>| {
        let is_head = request.method() == Method::HEAD;
        let registry = registry.clone();
        async move {
            let response = registry.oneshot(request).await?.map(DynBody::new);
            if !is_head {
                return Ok(response);
            }
            let (mut parts, _) = response.into_parts();
            parts.headers.remove(header::CONTENT_LENGTH);
            // Of this the server does not know the length.
            let unknown = StreamBody::new(stream::empty::<Result<Frame<Bytes>, BoxError>>());
            Ok::<_, Infallible>(Response::from_parts(parts, DynBody::new(unknown)))
        }
    }))
    .await;
    let client = connect(&server.url()).bounded();
    let pushed = push(&client, "demo", &index(), &pieces(None))
        .await
        .unwrap();
    assert_eq!((pushed.sent, pushed.present), (0, 5));
}

/// A registry that answers everything with this.
async fn answering(status: StatusCode, body: &'static str) -> Server {
    Server::of(service_fn(move |request: Request<Incoming>| async move {
        let mut answer = Response::new(BytesBody::new(body));
        if request.method() != Method::HEAD {
            *answer.status_mut() = status;
        }
        Ok(answer)
    }))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_that_is_refused_without_a_size_is_looked_up() {
    let server = answering(StatusCode::RANGE_NOT_SATISFIABLE, "hello").await;
    let client = connect(&server.url()).bounded();
    let (demo, digest) = (name("demo"), tower_oci::Algorithm::Sha256.digest("hello"));
    let error = client
        .blob_range(&demo, &digest, ByteRange::From(5))
        .await
        .unwrap_err();
    assert_eq!(
        error.status(),
        Some(StatusCode::RANGE_NOT_SATISFIABLE),
        "{error}"
    );
    let error = client
        .blob_range(&demo, &digest, ByteRange::From(4))
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::Protocol(_)),
        "{error}"
    );

    let proxy = OciRegistryService::new(RemoteSource::new(client));
    let range = [("range", "bytes=5-")];
    let answer = common::ask(&proxy, "GET", &format!("/v2/demo/blobs/{digest}"), &range).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-range")),
        (416, "bytes */5")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_pages_is_read_page_by_page() {
    // Not in the order of their bytes, as a file system has them.
    let server = answering(StatusCode::OK, r#"{"tags":["c","a","e","b","d"]}"#).await;
    let client = connect(&server.url()).bounded();
    for size in 1..=6 {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = Page::first(size).after(&after);
            let listing = client.tags(&name("demo"), page).await.unwrap();
            assert!(
                listing.items.len() <= size && found.len() <= 5,
                "{size}: {listing:?}"
            );
            found.extend(listing.items);
            after = listing.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, ["c", "a", "e", "b", "d"], "{size}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_as_large_as_numbers_go_are_asked_for_as_all_understand_them() {
    let server = Server::of(service_fn(|request: Request<Incoming>| async move {
        // As Go reads them.
        let range = request
            .headers()
            .get(header::RANGE)
            .unwrap()
            .to_str()
            .unwrap();
        let last = range.split_once('-').unwrap().1;
        let is_valid = last.is_empty() || last.parse::<i64>().is_ok();
        let answer = Response::builder().status(if is_valid { 206 } else { 416 });
        let answer = answer.header(header::CONTENT_RANGE, "bytes 1-4/5");
        Ok(answer.body(BytesBody::new("ello")).unwrap())
    }))
    .await;
    let client = connect(&server.url()).bounded();
    let digest = tower_oci::Algorithm::Sha256.digest("hello");
    for range in [
        ByteRange::FromTo(1, u64::MAX),
        ByteRange::FromTo(1, i64::MAX as u64 + 1),
    ] {
        let part = client
            .blob_range(&name("demo"), &digest, range)
            .await
            .unwrap();
        assert_eq!(part.body.collect().await.unwrap().to_bytes(), "ello");
    }
}
