//! [`OciRegistryService`]: the registry as a [`tower_service::Service`].

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, header, request::Parts};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::{BoxError, ResponseBody},
    error::{Error, add_common_headers},
    handlers::{Answer, Call},
    mount::Location,
    operation::Operation,
    request::{InvalidRequest, OciRequest},
    source::{BlobSource, ReadOnly},
    store::{BlobStore, UploadBody},
};

mod config;

pub(crate) use config::Config;

/// An OCI registry over a [`BlobSource`] or a [`BlobStore`], as a `tower::Service`.
///
/// [`new`](Self::new) makes one to pull from, [`writable`](Self::writable) one that takes pushes too.
/// It is always ready, never fails (every failure is a response in the protocol's form), and
/// clones without copying. Mount it in axum, or give it to hyper:
///
/// ```
/// use tower_oci::{MemoryStore, OciRegistryService};
///
/// let registry = OciRegistryService::new(MemoryStore::new());
/// let app: axum::Router = axum::Router::new().nest_service("/v2", registry);
/// ```
///
/// On every response it leaves an [`Operation`] among the extensions, for metrics and logs, and if
/// the storage failed an `Arc<`[`SourceError`](crate::SourceError)`>` with the cause.
///
/// Where it is mounted, it finds out: see [`Mount`](crate::Mount).
pub struct OciRegistryService<S> {
    store: Arc<S>,
    config: Arc<Config>,
}

impl<S: BlobSource> OciRegistryService<ReadOnly<S>> {
    /// A registry to pull from: it serves what `source` has, and every write is answered with 405.
    pub fn new(source: S) -> Self {
        Self {
            store: Arc::new(ReadOnly::new(source)),
            config: Arc::new(Config::new(false)),
        }
    }
}

impl<S: BlobStore> OciRegistryService<S> {
    /// A whole registry: it serves what `store` has, and takes pushes and deletes.
    ///
    /// Nothing asks who the caller is: that is a layer's work, see [`Access`](crate::Access).
    pub fn writable(store: S) -> Self {
        Self {
            store: Arc::new(store),
            config: Arc::new(Config::new(true)),
        }
    }
}

impl<S: BlobStore> OciRegistryService<S> {
    /// Answers one request. What goes wrong on the way is an answer too.
    async fn respond(
        &self,
        parts: &Parts,
        body: &mut UploadBody,
    ) -> Response<ResponseBody<S::Body>> {
        let mut operation = Operation::Invalid;
        let answer = self.answer(parts, body, &mut operation).await;
        finish(answer, operation, &parts.method)
    }

    async fn answer(
        &self,
        parts: &Parts,
        body: &mut UploadBody,
        operation: &mut Operation,
    ) -> Answer<S::Body> {
        let (call, request) = self.read(parts)?;
        *operation = request.operation();
        call.handle(&request, body).await
    }

    /// Finds out what is asked for.
    fn read<'a>(&'a self, parts: &'a Parts) -> Result<(Call<'a, S>, OciRequest), Error> {
        let config = &self.config;
        let location = Location::of(parts, config.mount.as_ref(), config.trust_forwarded_prefix)?;
        let path = location.path;
        let call = Call {
            store: &*self.store,
            shared: &self.store,
            config,
            parts,
            location,
        };
        match OciRequest::parse(&parts.method, path, parts.uri.query().unwrap_or_default()) {
            Ok(request) => Ok((call, request)),
            Err(invalid @ InvalidRequest::Method { .. }) => {
                Err(call.not_allowed(invalid.to_string()))
            }
            Err(invalid) => Err(invalid.into()),
        }
    }
}

/// What every answer to a request with `method` has.
fn finish<B>(
    answer: Answer<B>,
    operation: Operation,
    method: &Method,
) -> Response<ResponseBody<B>> {
    let mut response =
        answer.unwrap_or_else(|error| error.into_response(operation).map(ResponseBody::bytes));
    add_common_headers(response.headers_mut());
    response.extensions_mut().insert(operation);
    if method == Method::HEAD {
        // RFC 9110 §9.3.2: the headers of a GET, its length included, and no body.
        *response.body_mut() = ResponseBody::empty();
    }
    response
}

/// Whether the client holds its body back until it is asked for it. Polling it would ask
/// (RFC 9110 §10.1.1).
fn is_waiting(parts: &Parts) -> bool {
    let expectations = parts.headers.get_all(header::EXPECT).iter();
    let mut expectations =
        expectations.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    expectations.any(|one| one.trim_ascii().eq_ignore_ascii_case(b"100-continue"))
}

impl<S> Clone for OciRegistryService<S> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            config: self.config.clone(),
        }
    }
}

impl<S> fmt::Debug for OciRegistryService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OciRegistryService")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for OciRegistryService<S>
where
    S: BlobStore,
    B: Body<Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody<S::Body>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Body>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let service = self.clone();
        let has_content = [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method);
        if !has_content {
            return ResponseFuture(Box::pin(async move {
                Ok(service.respond(&parts, &mut UploadBody::empty()).await)
            }));
        }
        let mut body = UploadBody::new(body);
        ResponseFuture(Box::pin(async move {
            let response = service.respond(&parts, &mut body).await;
            // protocol 88
            body.drain(is_waiting(&parts)).await;
            Ok(response)
        }))
    }
}

/// The future of [`OciRegistryService`].
pub struct ResponseFuture<B>(BoxFuture<'static, Result<Response<ResponseBody<B>>, Infallible>>);

impl<B> fmt::Debug for ResponseFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> Future for ResponseFuture<B> {
    type Output = Result<Response<ResponseBody<B>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}
