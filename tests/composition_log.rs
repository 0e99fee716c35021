//! What the axum example logs of a request.
//!
//! It is alone in its file because `tracing` remembers, for the whole process, whether anybody
//! wants what a place in the code logs. While there is one subscriber only, a thread that does not
//! have it and gets to such a place first decides that nobody does.

#![allow(clippy::unwrap_used)] // a test fails by panicking

#[path = "../examples/axum.rs"]
#[allow(dead_code)] // its main
mod example;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{body::Body, extract::ConnectInfo};
use example::{Limits, app};
use http::Request;
use tower::ServiceExt;
use tower_governor::governor::GovernorConfig;
use tower_oci::MemoryStore;
use tracing_subscriber::fmt::format::FmtSpan;

#[tokio::test]
async fn the_span_of_a_request_names_its_operation_and_status() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let limits = Limits {
        body: 0,
        requests: 1,
        rate: GovernorConfig::default(),
    };
    let app = app(MemoryStore::new(), ("user", "password"), limits);
    let request = Request::get("/v2/demo/tags/list")
        .header("authorization", "Basic dXNlcjpwYXNzd29yZA==")
        .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))))
        .body(Body::empty())
        .unwrap();

    let subscribed = tracing::subscriber::set_default(subscriber);
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 404);
    drop(response);
    drop(subscribed);
    let log = log.text();
    for said in [
        "method=GET",
        r#"path="/v2/demo/tags/list""#,
        r#"operation="list_tags""#,
        "status=404",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
}

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
