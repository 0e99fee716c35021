//! A tower service on a socket, with the settings that a registry needs.

use std::{
    convert::Infallible,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::TcpListener,
    sync::mpsc,
    time::{sleep, timeout},
};
use tower::{Service, ServiceBuilder};
use tower_oci::{BoxError, Operation};

/// How long running requests may take to finish once the server was told to stop.
const GRACE: Duration = Duration::from_secs(30);

/// How long accepting connections pauses after an error that lasts, as too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a client may take for the head of a request, from the end of the one before.
const HEAD: Duration = Duration::from_secs(30);

/// How much hyper holds of what a connection has not taken yet, before it asks a body for more:
/// what slow readers cost. It is also the limit for the head of a request.
const MAX_BUFFER: usize = 16 << 10;

/// Serves `service` until `stop` says so, and then until running requests have finished.
///
/// Returns `false` if it did not wait for all of them: after [`GRACE`], or because `stop` said so
/// again (or its sender is gone).
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    mut stop: mpsc::Receiver<()>,
) -> bool
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let connections = GracefulShutdown::new();
    let http = http();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) if concerns_one_connection(&error) => continue,
                Err(error) => {
                    tracing::error!(%error, "cannot accept connections");
                    sleep(PAUSE).await;
                    continue;
                }
            },
            _ = stop.recv() => break,
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let begun = Arc::new(AtomicBool::new(false));
        let service = ServiceBuilder::new()
            .map_request({
                let begun = begun.clone();
                move |request: Request<Incoming>| {
                    begun.store(true, Ordering::Relaxed);
                    request
                }
            })
            .service(service.clone());
        let service = TowerToHyperService::new(service);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let connection = connections.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = unless_silent(connection, &begun).await {
                tracing::debug!(error, "a connection ended early");
            }
        });
    }
    // From here on a client is refused at once, instead of waiting for nobody.
    drop(listener);
    tracing::info!(connections = connections.count(), "stopping");
    tokio::select! {
        () = connections.shutdown() => true,
        _ = stop.recv() => false,
        () = sleep(GRACE) => false,
    }
}

/// Awaits `connection`, but not for longer than [`HEAD`] until its first request has `begun`.
///
/// hyper's own limit begins only when the client has sent enough to know its version of HTTP.
async fn unless_silent<F>(connection: F, begun: &AtomicBool) -> F::Output
where
    F: Future<Output = Result<(), BoxError>>,
{
    let mut connection = pin!(connection);
    match timeout(HEAD, connection.as_mut()).await {
        Ok(ended) => ended,
        Err(_) if begun.load(Ordering::Relaxed) => connection.await,
        Err(_) => Err("the client sent no request".into()),
    }
}

/// HTTP/1.1, and HTTP/2 for a client that begins with it.
fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .keep_alive(true)
        .max_buf_size(MAX_BUFFER)
        .header_read_timeout(HEAD)
        .timer(TokioTimer::new());
    http.http2()
        .max_concurrent_streams(64)
        .max_send_buf_size(MAX_BUFFER)
        .keep_alive_interval(Duration::from_secs(30))
        .timer(TokioTimer::new());
    http
}

/// Whether accepting failed because one client left, and the next may succeed at once.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};

    matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    )
}

/// Logs a response, in the span of its request.
pub(crate) fn log_response<B>(response: &Response<B>, latency: Duration, _: &tracing::Span) {
    let operation = response.extensions().get::<Operation>();
    let operation = operation.map_or("none", |operation| operation.as_str());
    let status = response.status().as_u16();
    tracing::info!(operation, status, ?latency, "answered");
}
