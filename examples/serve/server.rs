//! A tower service on a socket, with the settings that a registry needs.

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, server::conn::http1::Builder, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{net::TcpListener, sync::mpsc, time::sleep};
use tower::Service;
use tower_oci::{BoxError, Operation};

pub(crate) use self::connection::Arriving;
use self::connection::{Connection, Sending};

#[path = "connection.rs"]
mod connection;

/// How long running requests may take to finish once the server was told to stop.
const GRACE: Duration = Duration::from_secs(30);

/// How long accepting connections pauses after an error that lasts, as too many open files.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a client may take for the head of a request, from the end of the one before.
const HEAD: Duration = Duration::from_secs(30);

/// How much hyper holds of what a connection has not taken yet, before it asks a body for more. It is
/// also the limit for the head of a request.
const MAX_BUFFER: usize = 16 << 10;

/// Serves `service` until `stop` says so, and then until running requests have finished.
///
/// It has to be ready always, as [`tower_oci::OciRegistryService`] and what only stands around it
/// are: nobody asks it before a request.
///
/// Returns `false` if it did not wait for all of them: after [`GRACE`], or because `stop` said so
/// again (or its sender is gone).
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    mut stop: mpsc::Receiver<()>,
) -> bool
where
    S: Service<Request<Arriving>, Response = Response<B>, Error = Infallible>,
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
        if let Err(error) = connection::set_options(&stream) {
            tracing::debug!(%error, "cannot set the options of a connection");
        }
        let sending = Sending::default();
        let stream = TokioIo::new(Connection::new(stream, sending.clone()));
        let service = service.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            // An answer may come before all of the body was read, whether it is one of refusal or
            // not: a client that is still sending then has not read it yet.
            let request = request.map(|body| Arriving::new(body, sending.clone()));
            service.clone().call(request)
        });
        let connection = http.serve_connection(stream, service);
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a connection broke"
                );
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

/// HTTP/1.1 alone: it is what clients of a registry speak without TLS. On one connection of HTTP/2 a
/// client can hold many downloads open at once, and the memory of each.
fn http() -> Builder {
    let mut http = Builder::new();
    http.max_buf_size(MAX_BUFFER)
        .header_read_timeout(HEAD)
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
