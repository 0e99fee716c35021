//! The layers of the axum example: that each of them acts, and that none is in the way.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;
#[path = "../examples/axum.rs"]
#[allow(dead_code)] // its main
mod example;
#[path = "common/scripted.rs"]
mod scripted;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::ConnectInfo};
use bytes::Bytes;
use common::{Answer, name, noise, tag};
use example::{Limits, Rate, app};
use http::{Request, Response};
use http_body_util::BodyExt;
use scripted::{Scripted, held};
use tokio::{sync::Semaphore, time::timeout};
use tower::ServiceExt;
use tower_governor::governor::GovernorConfigBuilder;
use tower_oci::{
    BlobSource, Digest, Image, MediaType, MemoryStore, Operation, testing::ImageBuilder,
};

const SOON: Duration = Duration::from_secs(10);

/// `user:password` as a client sends it.
const CREDENTIALS: &str = "Basic dXNlcjpwYXNzd29yZA==";

fn limits() -> Limits {
    Limits {
        body: 1 << 20,
        requests: 100,
        rate: rate(100),
    }
}

/// A limit that lets `burst` requests through, and then none for as long as a test runs.
fn rate(burst: u32) -> Rate {
    let mut rate = GovernorConfigBuilder::default();
    rate.period(Duration::from_secs(600)).burst_size(burst);
    rate.finish().unwrap()
}

fn app_over<S: BlobSource>(source: S, limits: Limits) -> Router {
    app(source, ("user", "password"), limits)
}

/// One image, `demo:latest`, whose only layer compresses well.
fn demo() -> (MemoryStore, Image) {
    let layer = Bytes::from(vec![b'a'; 100_000]);
    let image = ImageBuilder::new().layer(MediaType::OCI_LAYER, layer);
    let image = image.build().unwrap();
    let store = MemoryStore::new();
    store.add_image(&name("demo"), Some(&tag("latest")), &image);
    (store, image)
}

/// A request from the client at `address`.
fn from_client(address: [u8; 4], uri: &str, credentials: Option<&str>) -> Request<Body> {
    let mut request = Request::get(uri).extension(ConnectInfo(SocketAddr::from((address, 1))));
    if let Some(credentials) = credentials {
        request = request.header("authorization", credentials);
    }
    request.body(Body::empty()).unwrap()
}

fn get(uri: &str) -> Request<Body> {
    from_client([127, 0, 0, 1], uri, Some(CREDENTIALS))
}

async fn send(app: &Router, request: Request<Body>) -> Answer {
    let (parts, body) = open(app, request).await.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        extensions: parts.extensions,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

async fn open(app: &Router, request: Request<Body>) -> Response<Body> {
    let response = timeout(SOON, app.clone().oneshot(request)).await;
    response.unwrap().unwrap()
}

#[tokio::test]
async fn an_image_is_pulled_through_all_layers() {
    let (store, image) = demo();
    let app = app_over(store, limits());
    let ping = send(&app, get("/v2/")).await;
    assert_eq!(ping.status, 200);

    let manifest = send(&app, get("/v2/demo/manifests/latest")).await;
    assert_eq!(&manifest.body, image.manifest().bytes());
    for descriptor in image.descriptors() {
        let uri = format!("/v2/demo/blobs/{}", descriptor.digest);
        let blob = send(&app, get(&uri)).await;
        assert!(descriptor.digest.verifies(&blob.body));
        assert_eq!(blob.header("content-length"), descriptor.size.to_string());
    }
}

#[tokio::test]
async fn without_credentials_everything_is_401_with_a_challenge_even_the_ping() {
    let app = app_over(demo().0, limits());
    for uri in [
        "/v2/",
        "/v2",
        "/v2/demo/manifests/latest",
        "/v2/unknown/tags/list",
        "/v2/_catalog",
        "/v2/nothing",
    ] {
        let answer = send(&app, from_client([127, 0, 0, 1], uri, None)).await;
        // protocol 63
        assert_eq!(answer.status, 401, "{uri}");
        // protocol 92
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, r#"Basic realm="registry""#, "{uri}");
        // protocol 8
        assert_eq!(answer.error_codes(), ["UNAUTHORIZED"], "{uri}");
        // protocol 61
        let version = answer.header("docker-distribution-api-version");
        assert_eq!(version, "registry/2.0", "{uri}");
    }
    // The app's own paths are not behind it.
    for (uri, status) in [("/", 200), ("/nothing", 404)] {
        let answer = send(&app, from_client([127, 0, 0, 1], uri, None)).await;
        assert_eq!(answer.status, status, "{uri}");
    }
}

#[tokio::test]
async fn wrong_credentials_are_401_whatever_is_wrong_about_them() {
    let app = app_over(demo().0, limits());
    for credentials in [
        "Basic dXNlcjp3cm9uZw==",      // user:wrong
        "Basic b3RoZXI6cGFzc3dvcmQ=",  // other:password
        "Basic dXNlcjpwYXNzd29yZHM=",  // user:passwords
        "Basic dXNlcjo=",              // user:
        "Basic dXNlcg==",              // user
        "Basic ***",                   // no base64
        "Bearer dXNlcjpwYXNzd29yZA==", // another scheme
        "dXNlcjpwYXNzd29yZA==",        // no scheme
        "",
    ] {
        let request = from_client([127, 0, 0, 1], "/v2/", Some(credentials));
        let answer = send(&app, request).await;
        assert_eq!(answer.status, 401, "{credentials}");
        assert_eq!(answer.error_codes(), ["UNAUTHORIZED"], "{credentials}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let app = app_over(demo().0, limits());
    let put = |length: usize| {
        let request = Request::put("/v2/demo/manifests/latest")
            .header("authorization", CREDENTIALS)
            .header("content-length", length)
            .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
        request.body(Body::from(noise(length))).unwrap()
    };
    assert_eq!(send(&app, put(limits().body + 1)).await.status, 413);
    // What fits gets as far as the registry, which takes no pushes.
    assert_eq!(send(&app, put(limits().body)).await.status, 405);
}

#[tokio::test]
async fn a_client_that_asks_too_often_gets_429_and_others_do_not() {
    let limits = Limits {
        rate: rate(3),
        ..limits()
    };
    let app = app_over(demo().0, limits);
    for _ in 0..3 {
        assert_eq!(send(&app, get("/v2/")).await.status, 200);
    }
    let refused = send(&app, get("/v2/")).await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.error_codes(), ["TOOMANYREQUESTS"]);
    // protocol 9
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 0);

    let other = from_client([127, 0, 0, 2], "/v2/", Some(CREDENTIALS));
    assert_eq!(send(&app, other).await.status, 200);
}

#[tokio::test]
async fn guessing_the_password_counts_against_the_rate_limit() {
    let limits = Limits {
        rate: rate(3),
        ..limits()
    };
    let app = app_over(demo().0, limits);
    let guess = || from_client([127, 0, 0, 1], "/v2/", Some("Basic dXNlcjp3cm9uZw=="));
    for _ in 0..3 {
        assert_eq!(send(&app, guess()).await.status, 401);
    }
    assert_eq!(send(&app, guess()).await.status, 429);
}

#[tokio::test]
async fn only_so_many_requests_reach_the_source_at_once_and_the_others_wait() {
    let gate = Arc::new(Semaphore::new(0));
    let source = Scripted::new().behind(&gate);
    let limits = Limits {
        requests: 2,
        ..limits()
    };
    let app = app_over(source.clone(), limits);
    let requests: Vec<_> = (0..5)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { send(&app, get("/v2/demo/manifests/latest")).await })
        })
        .collect();
    let mut arrived = 0;
    // Whenever one has its answer, the next arrives, and no other.
    for expected in 2..=5 {
        let arrives = async {
            while arrived < expected {
                tokio::time::sleep(Duration::from_millis(1)).await;
                arrived += source.calls().len();
            }
        };
        timeout(SOON, arrives).await.unwrap();
        // Everything that can happen has happened once the tasks had their turns.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        arrived += source.calls().len();
        assert_eq!(arrived, expected);
        gate.add_permits(1);
    }
    gate.add_permits(1);
    for request in requests {
        let answer = timeout(SOON, request).await.unwrap().unwrap();
        assert_eq!(answer.status, 404);
    }
}

#[tokio::test]
async fn a_blob_arrives_piece_by_piece_while_its_source_is_still_reading() {
    let (source, hand) = held(9);
    let app = app_over(source, limits());
    let digest: Digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
    let uri = format!("/v2/demo/blobs/{digest}");

    let mut body = open(&app, get(&uri)).await.into_body();
    let mut source = hand.take();
    for piece in [&b"one"[..], b"two"] {
        source.send_data(Bytes::from_static(piece)).await.unwrap();
        let arrived = timeout(SOON, body.frame()).await.unwrap();
        assert_eq!(arrived.unwrap().unwrap().into_data().unwrap(), piece);
    }
    let end = timeout(Duration::from_millis(50), body.frame()).await;
    assert!(end.is_err(), "the source has not ended");
    source.send_data(Bytes::from_static(b"end")).await.unwrap();
    drop(source);
    let rest = timeout(SOON, body.collect()).await.unwrap().unwrap();
    assert_eq!(rest.to_bytes(), "end");
}

#[tokio::test]
async fn blobs_are_never_compressed_and_the_page_beside_them_is() {
    let (store, image) = demo();
    let app = app_over(store, limits());
    let compressible = |uri: &str| {
        let mut request = get(uri);
        let codings = "zstd, gzip, deflate".parse().unwrap();
        request.headers_mut().insert("accept-encoding", codings);
        request
    };
    let page = send(&app, compressible("/")).await;
    assert_eq!(page.header("content-encoding"), "gzip");

    // protocol 72
    let layer = &image.layers()[0];
    for uri in [
        format!("/v2/demo/blobs/{}", layer.digest),
        "/v2/demo/manifests/latest".to_owned(),
    ] {
        let answer = send(&app, compressible(&uri)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), "");
        assert_eq!(
            answer.header("content-length"),
            answer.body.len().to_string()
        );
    }
}

#[tokio::test]
async fn the_operation_labels_every_response_of_the_registry() {
    let app = app_over(demo().0, limits());
    for (uri, operation) in [
        ("/v2/", Operation::Ping),
        ("/v2/demo/manifests/latest", Operation::GetManifest),
        ("/v2/nothing", Operation::Invalid),
    ] {
        let answer = send(&app, get(uri)).await;
        assert_eq!(answer.extensions.get(), Some(&operation), "{uri}");
    }
}
