//! The server: how it stops, and what it refuses.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::channel::Sender;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tower_oci::{BoxError, OciRegistryService};

use crate::{
    scripted::{Hand, held},
    server,
};

const SOON: Duration = Duration::from_secs(10);
const PING: &str = "GET /v2/ HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// A server over a source whose only blob is [`held`].
struct Running {
    address: SocketAddr,
    hand: Hand,
    stop: mpsc::Sender<()>,
    /// Whether it finished all requests.
    finished: JoinHandle<bool>,
}

async fn start() -> Running {
    start_with_blob(8).await
}

async fn start_with_blob(size: u64) -> Running {
    let (source, hand) = held(size);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = mpsc::channel(1);
    let registry = OciRegistryService::new(source);
    Running {
        address,
        hand,
        stop,
        finished: tokio::spawn(server::serve(listener, registry, stopped)),
    }
}

impl Running {
    async fn connect(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    /// A download whose first half has arrived, and the hand that holds the second.
    async fn download(&self) -> (TcpStream, Sender<Bytes, BoxError>) {
        let zeros = "0".repeat(64);
        let request = format!("GET /v2/a/blobs/sha256:{zeros} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        let mut stream = self.connect(&request).await;
        read_until(&mut stream, "\r\n\r\n").await;
        let mut body = self.hand.take();
        body.send_data(Bytes::from_static(b"half")).await.unwrap();
        read_until(&mut stream, "half").await;
        (stream, body)
    }

    /// Waits until no connection is accepted any more.
    async fn refuses(&self) {
        let refused = async {
            while let Ok(stream) = TcpStream::connect(self.address).await {
                drop(stream);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, refused).await.unwrap();
        let refused = TcpStream::connect(self.address).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }

    async fn finished(self) -> bool {
        timeout(SOON, self.finished).await.unwrap().unwrap()
    }
}

/// Reads until what arrived ends with `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut arrived = Vec::new();
    while !arrived.ends_with(end.as_bytes()) {
        let byte = timeout(SOON, stream.read_u8()).await.unwrap();
        arrived.push(byte.unwrap());
    }
    String::from_utf8(arrived).unwrap()
}

#[tokio::test]
async fn a_stop_refuses_new_connections_and_lets_a_download_finish() {
    let server = start().await;
    let (mut stream, mut body) = server.download().await;
    server.stop.send(()).await.unwrap();
    server.refuses().await;
    assert!(!server.finished.is_finished());

    body.send_data(Bytes::from_static(b"rest")).await.unwrap();
    drop(body);
    let mut rest = String::new();
    let read = stream.read_to_string(&mut rest);
    timeout(SOON, read).await.unwrap().unwrap();
    assert_eq!(rest, "rest");
    assert!(server.finished().await);
}

#[tokio::test]
async fn a_second_stop_waits_for_nobody() {
    let server = start().await;
    let (_stream, _body) = server.download().await;
    server.stop.send(()).await.unwrap();
    server.refuses().await;
    server.stop.send(()).await.unwrap();
    assert!(!server.finished().await);
}

#[tokio::test]
async fn connections_without_a_request_do_not_hold_up_a_stop() {
    let server = start().await;
    let _silent = server.connect("").await;
    let mut kept = server.connect(PING).await;
    read_until(&mut kept, "{}").await;
    server.stop.send(()).await.unwrap();
    assert!(server.finished().await);
}

#[tokio::test]
async fn a_connection_that_has_sent_a_body_does_not_hold_up_a_stop() {
    let server = start().await;
    let head = "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: localhost\r\n";
    let bodies = [
        "content-length: 5\r\n\r\nbytes",
        "transfer-encoding: chunked\r\n\r\n5\r\nbytes\r\n0\r\n\r\n",
    ];
    let mut kept = Vec::new();
    for body in bodies {
        let mut stream = server.connect(&format!("{head}{body}")).await;
        read_until(&mut stream, "}]}").await;
        kept.push(stream);
    }
    server.stop.send(()).await.unwrap();
    let stopped = timeout(Duration::from_secs(2), server.finished).await;
    assert!(stopped.unwrap().unwrap());
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request() {
    let server = start().await;
    let mut stream = server.connect(PING).await;
    for _ in 0..3 {
        let answer = read_until(&mut stream, "{}").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        stream.write_all(PING.as_bytes()).await.unwrap();
    }
}

// The clock of these tests stands still while something is going on, and else jumps to where the
// next timeout ends.

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_no_request_is_let_go() {
    let server = start().await;
    // Nothing; the beginning of HTTP/1.1, and that of HTTP/2.
    for beginning in ["", "GET /v2/ HTTP/1.1\r\nhost:", "PRI * HT"] {
        let mut stream = server.connect(beginning).await;
        let mut answer = String::new();
        let read = stream.read_to_string(&mut answer);
        timeout(SOON * 6, read).await.unwrap().unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408 "),
            "{answer}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_kept_for_nothing_is_let_go() {
    let server = start().await;
    let mut stream = server.connect(PING).await;
    read_until(&mut stream, "{}").await;
    let read = stream.read_u8();
    let end = timeout(SOON * 6, read).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test(start_paused = true)]
async fn a_download_may_take_as_long_as_it_takes() {
    let server = start().await;
    let (mut stream, mut body) = server.download().await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    body.send_data(Bytes::from_static(b"rest")).await.unwrap();
    drop(body);
    read_until(&mut stream, "rest").await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn little_of_a_download_waits_in_the_system_for_a_reader_that_stalls() {
    const PIECE: &[u8] = &[0; 16 << 10];

    let server = start_with_blob(64 << 20).await;
    let (_stalled, mut body) = server.download().await;
    let mut taken = 0;
    while let Ok(sent) = timeout(Duration::from_millis(500), body.send_data(PIECE.into())).await {
        sent.unwrap();
        taken += PIECE.len();
    }
    // What is on its way to the reader is the least part of it.
    assert!(taken < 1 << 20, "{taken} bytes");
}

// protocol 88
#[tokio::test]
async fn a_client_that_is_still_sending_reads_why_it_is_refused() {
    let server = start().await;
    let length = 8 << 20;
    let head = format!(
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n"
    );
    let mut stream = server.connect(&head).await;
    // It reads no answer before it has sent everything.
    let body = vec![0; length];
    timeout(SOON, stream.write_all(&body))
        .await
        .unwrap()
        .unwrap();
    let mut answer = String::new();
    let read = stream.read_to_string(&mut answer);
    timeout(SOON, read).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_refused_and_stays_is_let_go() {
    let server = start().await;
    let head = format!(
        "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
        1 << 20
    );
    let mut stream = server.connect(&head).await;
    stream.write_all(&vec![0; 512 << 10]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    // It closes nothing, and the server does not wait for it for long.
    server.stop.send(()).await.unwrap();
    assert!(server.finished().await);
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let server = start().await;
    let long = "x".repeat(64 << 10);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The server may close before it has read all of it.
    let head = format!("GET /v2/ HTTP/1.1\r\nhost: localhost\r\nlong: {long}\r\n\r\n");
    let _ = stream.write_all(head.as_bytes()).await;
    let answer = read_until(&mut stream, "\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}
