//! What becomes of the body of a request, which nothing here needs.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use common::send;
use http::Request;
use http_body::Frame;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tower::ServiceExt;
use tower_oci::{MemoryStore, OciRegistryService, ReadOnly};

const KIB: usize = 1 << 10;
/// How much is read before an error is answered.
const MOST: usize = 256 * KIB;
const SOON: Duration = Duration::from_secs(10);

fn registry() -> OciRegistryService<ReadOnly<MemoryStore>> {
    OciRegistryService::new(MemoryStore::new())
}

/// A body of so many frames, each of so many bytes, that counts how often it was polled.
struct Counted {
    frames: usize,
    size: usize,
    polls: Arc<AtomicUsize>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let poll = self.polls.fetch_add(1, SeqCst);
        let is_frame = poll < self.frames;
        Poll::Ready(is_frame.then(|| Ok(Frame::data(vec![0; self.size].into()))))
    }
}

/// Sends a request with a body of `frames` frames of `size` bytes, and gives the status of the
/// answer and how often the body was polled.
async fn polled(
    (method, uri): (&str, &str),
    expect: Option<&str>,
    (frames, size): (usize, usize),
) -> (u16, usize) {
    let mut request = Request::builder().method(method).uri(uri);
    if let Some(expect) = expect {
        request = request.header("expect", expect);
    }
    let polls = Arc::new(AtomicUsize::new(0));
    let body = Counted {
        frames,
        size,
        polls: polls.clone(),
    };
    let request = request.body(Body::new(body)).unwrap();
    let answer = send(&registry(), request).await;
    (answer.status.as_u16(), polls.load(SeqCst))
}

/// Requests that are refused, each with the status of the answer.
const REFUSED: &[((&str, &str), u16)] = &[
    (("PUT", "/v2/demo/manifests/latest"), 405),
    (("POST", "/v2/demo/blobs/uploads/"), 405),
    (("PATCH", "/v2/demo/blobs/uploads/1"), 405),
    (("PUT", "/v2/Demo/manifests/latest"), 400),
    (("POST", "/elsewhere"), 404),
];

// protocol 88
#[tokio::test]
async fn the_body_of_a_refused_request_is_read_up_to_256_kib_and_no_further() {
    for &(request, status) in REFUSED {
        for (frames, size, expected) in [
            (0, 0, 1),
            (1, 10, 2),
            // A last poll finds the end.
            (200, KIB, 201),
            (256, KIB, 257),
            // The piece that goes beyond is the last that is asked for.
            (1000, KIB, MOST / KIB + 1),
            (1000, 100 * KIB, 3),
            (1000, MOST + 1, 1),
        ] {
            let answer = polled(request, None, (frames, size)).await;
            let case = format!("{request:?} with {frames} frames of {size}");
            assert_eq!(answer, (status, expected), "{case}");
        }
    }
}

#[tokio::test]
async fn a_body_of_nothing_but_empty_frames_is_not_read_for_ever() {
    let endless = 4 * MOST;
    let (status, polls) = polled(REFUSED[0].0, None, (endless, 0)).await;
    assert_eq!(status, 405);
    assert!(polls <= MOST + 1, "polled {polls} times");
}

// protocol 88, RFC 9110 §10.1.1
#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_not_asked_for_its_body() {
    for &(request, status) in REFUSED {
        for expect in ["100-continue", "100-Continue", "x, 100-continue"] {
            let answer = polled(request, Some(expect), (10, KIB)).await;
            assert_eq!(answer, (status, 0), "{request:?} {expect}");
        }
        let answer = polled(request, Some("something-else"), (10, KIB)).await;
        assert_eq!(answer, (status, 11), "{request:?}");
    }
}

#[tokio::test]
async fn the_body_of_a_request_that_has_none_by_its_method_is_left_alone() {
    for (uri, status) in [("/v2/", 200), ("/v2/demo/manifests/latest", 404)] {
        for method in ["GET", "HEAD"] {
            let answer = polled((method, uri), None, (10, KIB)).await;
            assert_eq!(answer, (status, 0), "{method} {uri}");
        }
    }
}

#[tokio::test]
async fn a_read_is_answered_though_its_body_never_comes() {
    let body = Body::from_stream(futures_util::stream::pending::<Result<Bytes, Infallible>>());
    let request = Request::get("/v2/demo/manifests/latest")
        .body(body)
        .unwrap();
    let answer = timeout(SOON, registry().oneshot(request)).await.unwrap();
    assert_eq!(answer.unwrap().status(), 404);
}

/// A connection to a server of the registry.
async fn connect() -> TcpStream {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(registry());
        let server = hyper::server::conn::http1::Builder::new();
        server.serve_connection(TokioIo::new(socket), service).await
    });
    TcpStream::connect(address).await.unwrap()
}

/// Reads one answer: its head, and the body that the head gives the length of.
async fn read_answer(stream: &mut TcpStream) -> String {
    let read = async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let length = head.lines().find_map(|line| {
            let length = line.strip_prefix("content-length: ")?;
            length.parse().ok()
        });
        let mut body = vec![0; length.unwrap_or_default()];
        stream.read_exact(&mut body).await.unwrap();
        head
    };
    timeout(SOON, read).await.unwrap()
}

async fn assert_usable(stream: &mut TcpStream) {
    let ping = b"GET /v2/ HTTP/1.1\r\nhost: registry\r\n\r\n";
    stream.write_all(ping).await.unwrap();
    let answer = read_answer(stream).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

// protocol 88
#[tokio::test]
async fn a_client_that_is_still_sending_reads_the_error_and_keeps_its_connection() {
    let mut stream = connect().await;
    for _ in 0..2 {
        let half = vec![0; 100 * KIB];
        let head = "PUT /v2/demo/manifests/latest HTTP/1.1\r\nhost: registry\r\n";
        let head = format!("{head}content-length: {}\r\n\r\n", 2 * half.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&half).await.unwrap();
        let early = timeout(Duration::from_millis(50), stream.peek(&mut [0])).await;
        assert!(early.is_err(), "there is an answer to half a request");
        stream.write_all(&half).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert_usable(&mut stream).await;
    }
}

// protocol 88, RFC 9110 §10.1.1
#[tokio::test]
async fn a_client_that_waits_for_100_continue_reads_the_error_instead() {
    let mut stream = connect().await;
    let head = "PUT /v2/demo/manifests/latest HTTP/1.1\r\nhost: registry\r\n\
                expect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}
