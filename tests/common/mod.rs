//! What the tests share: a request in, a response with its whole body out.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // every test uses a part, and fails by panicking

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};
use tower_oci::{Algorithm, BoxError, Digest, Image, Manifest, RepositoryName, Tag};

/// A response whose body was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub extensions: http::Extensions,
    pub body: Bytes,
}

impl Answer {
    /// The value of a header that is there at most once, as text; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next().map_or("", |value| value.to_str().unwrap());
        assert_eq!(values.next(), None, "{name} is there more than once");
        value
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The codes in the envelope of an error.
    pub fn error_codes(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["errors"].as_array().unwrap();
        let codes = errors.iter().map(|error| error["code"].as_str().unwrap());
        codes.map(ToOwned::to_owned).collect()
    }

    /// Asserts that this is an error in the protocol's form, with this status and code.
    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(self.error_codes(), [code], "{self:?}");
    }
}

/// Sends `request` to a copy of `service`, and checks what holds for every response.
pub async fn send<S, B>(service: &S, request: Request<Body>) -> Answer
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let method = request.method().clone();
    let response = service.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map_err(Into::into).unwrap().to_bytes();
    let answer = Answer {
        status: parts.status,
        headers: parts.headers,
        extensions: parts.extensions,
        body,
    };
    assert_well_formed(&method, &answer);
    answer
}

/// Sends a request without a body: `GET /v2/`.
pub async fn ask<S, B>(service: &S, method: &str, uri: &str, headers: &[(&str, &str)]) -> Answer
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(service, request.body(Body::empty()).unwrap()).await
}

pub async fn get<S, B>(service: &S, uri: &str) -> Answer
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    ask(service, "GET", uri, &[]).await
}

pub async fn head<S, B>(service: &S, uri: &str) -> Answer
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    ask(service, "HEAD", uri, &[]).await
}

/// Sends a request with a body whose length is announced, as most clients do.
pub async fn put<S, B>(
    service: &S,
    method: &str,
    uri: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let body = body.into();
    let mut request = Request::builder().method(method).uri(uri);
    request = request.header("content-length", body.len());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(service, request.body(Body::from(body)).unwrap()).await
}

/// Opens an upload session, and returns its location.
pub async fn start<S, B>(service: &S, repository: &str) -> String
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let uri = format!("/v2/{repository}/blobs/uploads/");
    let answer = put(service, "POST", &uri, &[], "").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.header("location").to_owned()
}

/// Pushes a blob in one request, and returns its digest.
pub async fn push_blob<S, B>(service: &S, repository: &str, content: impl Into<Bytes>) -> Digest
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let content = content.into();
    let digest = Algorithm::Sha256.digest(&content);
    let uri = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    let answer = put(service, "POST", &uri, &[], content).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    digest
}

/// Pushes the blobs and the manifests of an image, children first, and points `tag` at it.
pub async fn push_image<S, B>(service: &S, repository: &str, tag: Option<&str>, image: &Image)
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    for child in image.children() {
        Box::pin(push_image(service, repository, None, child)).await;
    }
    for blob in image.descriptors() {
        if !blob.media_type.is_manifest() {
            let content = image.read_blob_verified(blob, 1 << 30).await.unwrap();
            let uri = format!("/v2/{repository}/blobs/uploads/?digest={}", blob.digest);
            let answer = put(service, "POST", &uri, &[], content).await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
    }
    let reference = tag.map_or_else(|| image.digest().to_string(), ToOwned::to_owned);
    let answer = put_manifest(service, repository, &reference, image.manifest()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// Pushes a manifest whose content is there.
pub async fn put_manifest<S, B>(
    service: &S,
    repository: &str,
    reference: &str,
    manifest: &Manifest,
) -> Answer
where
    S: Service<Request<Body>, Response = http::Response<B>, Error: std::fmt::Debug> + Clone,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let uri = format!("/v2/{repository}/manifests/{reference}");
    let headers = [("content-type", manifest.media_type().as_str())];
    put(service, "PUT", &uri, &headers, manifest.bytes().clone()).await
}

/// What holds for every response of the registry, whatever was asked.
#[track_caller]
fn assert_well_formed(method: &Method, answer: &Answer) {
    // protocol 61
    assert_eq!(
        answer.header("docker-distribution-api-version"),
        "registry/2.0"
    );
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(
        answer.header("content-security-policy"),
        "default-src 'none'; sandbox"
    );
    let length = answer.header("content-length");
    if answer.status == StatusCode::NO_CONTENT || answer.status == StatusCode::NOT_MODIFIED {
        assert_eq!((length, answer.body.len()), ("", 0), "{answer:?}");
    } else if method == Method::HEAD {
        assert!(!length.is_empty() && answer.body.is_empty(), "{answer:?}");
    } else {
        assert_eq!(length, answer.body.len().to_string(), "{answer:?}");
    }
}

pub fn name(name: &str) -> RepositoryName {
    name.parse().unwrap()
}

pub fn tag(tag: &str) -> Tag {
    tag.parse().unwrap()
}

/// Bytes that look like nothing and are the same on every run.
pub fn noise(length: usize) -> Bytes {
    let mut state = 0x9e37_79b9_u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[1]
    };
    (0..length).map(|_| next()).collect::<Vec<_>>().into()
}
