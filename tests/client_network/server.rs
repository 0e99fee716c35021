//! A small server on a socket of this machine, with or without TLS, which counts what it meets.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
use tower::{Service, ServiceExt};
use tower_oci::BoxError;

/// What a server does besides answering.
#[derive(Clone, Default)]
pub(crate) struct Options {
    /// Its certificate, and the protocols that it speaks; none is plain HTTP/1.1.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// After this time it closes a connection on which nothing is asked.
    pub(crate) idle: Option<Duration>,
}

/// A running server, which ends with this.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    is_tls: bool,
    accepted: Arc<AtomicUsize>,
    seen: Seen,
    running: AbortHandle,
}

/// What was asked, as `HTTP/1.1 GET /v2/`.
type Seen = Arc<Mutex<Vec<(Version, String)>>>;

impl Server {
    pub(crate) async fn of<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        Self::with(service, Options::default()).await
    }

    pub(crate) async fn with<S, B>(service: S, options: Options) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let is_tls = options.tls.is_some();
        let (accepted, seen) = (Arc::<AtomicUsize>::default(), Seen::default());
        let (counted, noted) = (accepted.clone(), seen.clone());
        let running = tokio::spawn(async move {
            // They end when this one is ended.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                stream.set_nodelay(true).unwrap();
                let (service, options) = (service.clone(), options.clone());
                connections.spawn(serve(stream, service, options, noted.clone()));
            }
        });
        Self {
            address,
            is_tls,
            accepted,
            seen,
            running: running.abort_handle(),
        }
    }

    /// Where a client finds it: by a name, which its certificate has.
    pub(crate) fn url(&self) -> String {
        let (scheme, port) = (
            if self.is_tls { "https" } else { "http" },
            self.address.port(),
        );
        format!("{scheme}://localhost:{port}")
    }

    /// How many connections it has accepted.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// The versions of HTTP that it was asked in.
    pub(crate) fn versions(&self) -> Vec<Version> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(version, _)| *version).collect()
    }

    /// What it was asked, as `GET /v2/`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|(_, request)| request.clone()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Serves one connection. One that breaks is the business of the client.
async fn serve<S, B>(stream: tokio::net::TcpStream, service: S, options: Options, seen: Seen)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let Some(tls) = options.tls else {
        return speak(stream, service, options.idle, false, seen).await;
    };
    match TlsAcceptor::from(tls).accept(stream).into_fallible().await {
        Ok(stream) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            speak(stream, service, options.idle, is_http2, seen).await;
        }
        Err((_, mut refused)) => {
            // The client is to hear why, and not that the connection was reset.
            _ = refused.shutdown().await;
            _ = tokio::io::copy(&mut refused, &mut tokio::io::sink()).await;
        }
    }
}

async fn speak<T, S, B>(stream: T, service: S, idle: Option<Duration>, is_http2: bool, seen: Seen)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let noting = service_fn(move |request: Request<Incoming>| {
        let asked = request.uri().path_and_query().map_or("", |it| it.as_str());
        let asked = format!("{} {asked}", request.method());
        seen.lock().unwrap().push((request.version(), asked));
        service.clone().oneshot(request)
    });
    let stream = TokioIo::new(stream);
    if is_http2 {
        let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(stream, noting);
        _ = connection.await;
    } else {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(idle);
        _ = http.serve_connection(stream, noting).await;
    }
}
