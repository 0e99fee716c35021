//! A server on a socket of this machine, and a client that can stop anywhere.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::*;

pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The server of the serve example, for as long as this is kept.
pub(crate) struct Server {
    address: SocketAddr,
    pub(crate) store: MemoryStore,
    _stop: mpsc::Sender<()>,
}

impl Server {
    pub(crate) async fn start(change: impl FnOnce(&mut Limits)) -> Self {
        let (registry, store) = limited(change);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = mpsc::channel(1);
        tokio::spawn(server::serve(listener, registry, stopped));
        Self {
            address,
            store,
            _stop: stop,
        }
    }

    pub(crate) async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Connection(stream)
    }

    /// Waits until the store holds so many bytes.
    pub(crate) async fn holds(&self, bytes: u64) {
        let waiting = async {
            while self.store.used_bytes() < bytes {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, waiting).await.unwrap();
    }
}

pub(crate) struct Connection(TcpStream);

/// What a client reads of an answer.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Read {
    pub(crate) fn header(&self, name: &str) -> &str {
        let lines = self.head.lines();
        let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        values.next().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.body.contains(code), "{self:?}");
    }
}

impl Connection {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = timeout(SOON, self.0.write_all(bytes.as_ref())).await;
        sent.unwrap().unwrap();
    }

    /// Sends the head of a request; each header ends its own line.
    pub(crate) async fn send_head(&mut self, method: &str, uri: &str, headers: &str) {
        let head = format!("{method} {uri} HTTP/1.1\r\nhost: registry\r\n{headers}\r\n");
        self.send(head).await;
    }

    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    }

    pub(crate) async fn read(&mut self) -> Read {
        let read = async {
            let head = self.head().await;
            let mut read = Read {
                status: head[9..12].parse().unwrap(),
                head,
                body: String::new(),
            };
            let length = read.header("content-length").parse().unwrap_or(0);
            let mut body = vec![0; length];
            self.0.read_exact(&mut body).await.unwrap();
            read.body = String::from_utf8(body).unwrap();
            read
        };
        timeout(SOON, read).await.unwrap()
    }

    pub(crate) async fn ask(&mut self, method: &str, uri: &str, body: impl AsRef<[u8]>) -> Read {
        let body = body.as_ref();
        let length = format!("content-length: {}\r\n", body.len());
        self.send_head(method, uri, &length).await;
        self.send(body).await;
        self.read().await
    }

    pub(crate) async fn start(&mut self, repository: &str) -> String {
        let uri = format!("/v2/{repository}/blobs/uploads/");
        let answer = self.ask("POST", &uri, "").await;
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.header("location").to_owned()
    }

    /// Asserts that the connection can be used for another request.
    pub(crate) async fn assert_usable(&mut self) {
        assert_eq!(self.ask("GET", "/v2/", "").await.status, 200);
    }
}
