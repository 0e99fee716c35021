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
    body::{BoxError, ResponseBody, drain},
    error::add_common_headers,
    handlers::{Answer, Call},
    mount::{InvalidMount, Location, Mount},
    operation::Operation,
    request::OciRequest,
    source::{BlobSource, ReadOnly},
};

/// An OCI registry over a [`BlobSource`], as a `tower::Service`.
///
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
/// Where it is mounted, it finds out: see [`Mount`].
pub struct OciRegistryService<S> {
    store: Arc<S>,
    config: Arc<Config>,
}

#[derive(Clone, Default)]
struct Config {
    mount: Option<Mount>,
    trust_forwarded_prefix: bool,
}

impl<S: BlobSource> OciRegistryService<ReadOnly<S>> {
    /// A registry to pull from: it serves what `source` has.
    pub fn new(source: S) -> Self {
        Self {
            store: Arc::new(ReadOnly::new(source)),
            config: Arc::default(),
        }
    }
}

impl<S> OciRegistryService<S> {
    /// Says that the service gets whole paths, which begin with `prefix`: `/registry/v2`.
    ///
    /// # Errors
    ///
    /// [`InvalidMount`] if that is not an absolute path of visible ASCII characters.
    pub fn served_at(self, prefix: &str) -> Result<Self, InvalidMount> {
        let mount = Some(Mount::served_at(prefix)?);
        Ok(self.configured(|config| config.mount = mount))
    }

    /// Says that the service gets paths from which `prefix` was taken away, in a way that it
    /// cannot see itself. Under axum's `nest_service` this is not needed.
    ///
    /// # Errors
    ///
    /// [`InvalidMount`] if that is not an absolute path of visible ASCII characters.
    pub fn nested_at(self, prefix: &str) -> Result<Self, InvalidMount> {
        let mount = Some(Mount::nested_at(prefix)?);
        Ok(self.configured(|config| config.mount = mount))
    }

    /// Says whether links begin with the request's `X-Forwarded-Prefix`. The default is no.
    ///
    /// Only for a service that nothing but a proxy can reach, which sets that header or takes it
    /// away: from anybody else it would put links into responses as they like.
    #[must_use]
    pub fn trust_forwarded_prefix(self, trust: bool) -> Self {
        self.configured(|config| config.trust_forwarded_prefix = trust)
    }

    fn configured(mut self, configure: impl FnOnce(&mut Config)) -> Self {
        configure(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S: BlobSource> OciRegistryService<S> {
    /// Answers one request. What goes wrong on the way is an answer too.
    async fn respond<B>(&self, request: Request<B>) -> Response<ResponseBody<S::Body>>
    where
        B: Body,
    {
        let (parts, body) = request.into_parts();
        let mut operation = Operation::Invalid;
        let mut response = match self.answer(&parts, &mut operation).await {
            Ok(response) => response,
            Err(error) => {
                if is_sending(&parts) {
                    drain(body).await;
                }
                error.into_response(operation).map(ResponseBody::bytes)
            }
        };
        add_common_headers(response.headers_mut());
        response.extensions_mut().insert(operation);
        if parts.method == Method::HEAD {
            // RFC 9110 §9.3.2: the headers of a GET, its length included, and no body.
            *response.body_mut() = ResponseBody::empty();
        }
        response
    }

    async fn answer(&self, parts: &Parts, operation: &mut Operation) -> Answer<S::Body> {
        let config = &self.config;
        let location = Location::of(parts, config.mount.as_ref(), config.trust_forwarded_prefix)?;
        let query = parts.uri.query().unwrap_or_default();
        let request = OciRequest::parse(&parts.method, location.path, query)?;
        *operation = request.operation();
        let call = Call {
            store: &self.store,
            parts,
            location: &location,
        };
        call.handle(request).await
    }
}

/// Whether the client sends a body without being asked for it. One that expects to be asked holds
/// it back, and polling it would ask (RFC 9110 §10.1.1).
fn is_sending(parts: &Parts) -> bool {
    let has_content = [Method::POST, Method::PUT, Method::PATCH].contains(&parts.method);
    let expectations = parts.headers.get_all(header::EXPECT).iter();
    let mut expectations =
        expectations.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let waits = expectations.any(|one| one.trim_ascii().eq_ignore_ascii_case(b"100-continue"));
    has_content && !waits
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
            .field("mount", &self.config.mount)
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for OciRegistryService<S>
where
    S: BlobSource,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ResponseBody<S::Body>>;
    type Error = Infallible;
    type Future = ResponseFuture<S::Body>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        ResponseFuture(Box::pin(async move { Ok(service.respond(request).await) }))
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
