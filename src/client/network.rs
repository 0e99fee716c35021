//! A connection for the client: HTTP/1.1 and HTTP/2, over TLS where the URL says so.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::time::timeout;
use tower_service::Service;

use self::refusal::{LastRefusal, Watched};
use super::{ClientBuilder, RegistryClient, RegistryUrl};
use crate::body::{BoxError, DynBody};

mod refusal;

pub(super) use refusal::is_refusal;

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(60);

/// How many bytes of an answer may be on their way over HTTP/2 before they are read.
const STREAM_WINDOW: u32 = 1 << 20;

/// How many of all answers on one connection: as many as the protocol allows. With less, a few
/// downloads that nobody reads would hold up all others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

impl RegistryClient {
    /// Makes a client of the registry at `registry`, over the network with the usual settings.
    ///
    /// ```no_run
    /// # use tower_oci::client::RegistryClient;
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let client = RegistryClient::connect("https://registry.example".parse()?)?.build();
    /// let tags = client.all_tags(&"library/alpine".parse()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`NetworkError`]: TLS cannot be set up.
    pub fn connect(registry: RegistryUrl) -> Result<ClientBuilder<HttpService>, NetworkError> {
        Ok(Self::builder(registry, Network::new().build()?))
    }
}

/// Settings of a connection.
#[must_use]
pub struct Network {
    roots: Vec<CertificateDer<'static>>,
    identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    connect_timeout: Duration,
    keep_alive: Duration,
}

impl Network {
    /// The usual settings: the certificate authorities of this machine, no client certificate, 30
    /// seconds to connect, and a question after 20 seconds of silence.
    pub fn new() -> Self {
        Self {
            roots: Vec::new(),
            identity: None,
            connect_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(20),
        }
    }

    /// Trusts these certificate authorities besides those of this machine. They are in PEM form.
    ///
    /// # Errors
    ///
    /// [`NetworkError`]: that is no PEM, or has no certificate.
    pub fn trust(mut self, pem: &[u8]) -> Result<Self, NetworkError> {
        self.roots.extend(certificates(pem)?);
        Ok(self)
    }

    /// Shows this certificate to registries that ask for one. Both are in PEM form; further
    /// certificates of the chain may follow the first.
    ///
    /// # Errors
    ///
    /// [`NetworkError`]: that is no PEM, or has no certificate or no key.
    pub fn identity(mut self, certificate: &[u8], key: &[u8]) -> Result<Self, NetworkError> {
        let key = PrivateKeyDer::from_pem_slice(key).map_err(NetworkError::new)?;
        self.identity = Some((certificates(certificate)?, key));
        Ok(self)
    }

    /// How long connecting may take, with all that TLS needs.
    pub fn connect_timeout(self, connect_timeout: Duration) -> Self {
        Self {
            connect_timeout,
            ..self
        }
    }

    /// After how long a silence on a connection that is waited for the other side is asked whether
    /// it is still there: over HTTP/2 itself, over HTTP/1.1 its system. If that is not answered
    /// within the same time, the connection is given up, and what waits for it fails as after a
    /// broken connection.
    pub fn keep_alive(self, keep_alive: Duration) -> Self {
        Self { keep_alive, ..self }
    }

    /// Makes the service. It connects when it is asked something, and keeps connections for what
    /// is asked next.
    ///
    /// # Errors
    ///
    /// [`NetworkError`]: the certificates or the key cannot be used.
    pub fn build(self) -> Result<HttpService, NetworkError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(self.connect_timeout));
        http.set_keepalive(Some(self.keep_alive));
        http.set_keepalive_interval(Some(self.keep_alive));
        http.set_keepalive_retries(Some(1));
        let (limit, keep_alive) = (self.connect_timeout, self.keep_alive);
        let last_refusal = LastRefusal::default();
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls()?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(keep_alive)
            .http2_keep_alive_timeout(keep_alive)
            .build(Connector {
                https,
                limit,
                last_refusal: last_refusal.clone(),
            });
        Ok(HttpService {
            client,
            last_refusal,
        })
    }

    fn tls(self) -> Result<ClientConfig, NetworkError> {
        let mut roots = RootCertStore::empty();
        // What cannot be read of them is not trusted; without any, https fails when it is tried.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for root in self.roots {
            roots.add(root).map_err(NetworkError::new)?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(NetworkError::new)?
            .with_root_certificates(roots);
        match self.identity {
            None => Ok(config.with_no_client_auth()),
            Some((chain, key)) => config
                .with_client_auth_cert(chain, key)
                .map_err(NetworkError::new),
        }
    }
}

impl Default for Network {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("connect_timeout", &self.connect_timeout)
            .field("keep_alive", &self.keep_alive)
            .finish_non_exhaustive()
    }
}

/// Connects, and gives up after a time: that of TLS has no limit of its own.
#[derive(Clone)]
struct Connector {
    https: Https,
    limit: Duration,
    last_refusal: LastRefusal,
}

type Https = HttpsConnector<HttpConnector>;

impl Service<Uri> for Connector {
    type Response = Watched<<Https as Service<Uri>>::Response>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let server = uri.authority().cloned();
        let connecting = timeout(self.limit, self.https.call(uri));
        let (limit, last_refusal) = (self.limit, self.last_refusal.clone());
        Box::pin(async move {
            let connected = connecting.await;
            let connected = connected.map_err(|_| format!("not connected within {limit:?}"))??;
            let server = server.ok_or("the URI has no host")?;
            Ok(last_refusal.watch(connected, server))
        })
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, NetworkError> {
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(NetworkError::new)?;
    match certificates.is_empty() {
        true => Err(NetworkError::new("the PEM has no certificate")),
        false => Ok(certificates),
    }
}

/// The network as a tower service: what [`Network`] makes.
#[derive(Clone)]
pub struct HttpService {
    client: Client<Connector, DynBody>,
    last_refusal: LastRefusal,
}

impl fmt::Debug for HttpService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").finish_non_exhaustive()
    }
}

impl Service<Request<DynBody>> for HttpService {
    type Response = Response<HttpBody>;
    type Error = NetworkError;
    type Future = BoxFuture<'static, Result<Response<HttpBody>, NetworkError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NetworkError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<DynBody>) -> Self::Future {
        let server = request.uri().authority().cloned();
        let response = self.client.request(request);
        let last_refusal = self.last_refusal.clone();
        Box::pin(async move {
            match response.await {
                Ok(response) => Ok(response.map(HttpBody)),
                Err(error) if error.is_connect() => Err(NetworkError::new(error)),
                Err(error) => Err(match last_refusal.take(server.as_ref()) {
                    Some(refusal) => NetworkError::new(refusal),
                    None => NetworkError::new(error),
                }),
            }
        })
    }
}

/// The body of an answer from the network.
#[derive(Debug)]
pub struct HttpBody(Incoming);

impl Body for HttpBody {
    type Data = Bytes;
    type Error = NetworkError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, NetworkError>>> {
        let frame = Pin::new(&mut self.0).poll_frame(cx);
        frame.map_err(NetworkError::new)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The network failed, or cannot be used with these settings.
#[derive(Debug, thiserror::Error)]
#[error("the network failed")]
pub struct NetworkError(#[source] BoxError);

impl NetworkError {
    fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }
}
