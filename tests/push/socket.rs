//! Pushes over a socket: what clients see that are still sending, that wait, and that stall.

use tokio::time::timeout;

use super::{
    wire::{Connection, SOON, Server},
    *,
};

const KIB: usize = 1 << 10;

// protocol 88, RFC 9110 §10.1.1
#[tokio::test]
async fn a_client_that_waits_with_its_body_is_asked_for_it() {
    let server = Server::start(|_| {}).await;
    let mut client = server.connect().await;
    let digest = sha256("hello");
    let location = client.start("demo").await;
    let finish = format!("{location}?digest={}", sha256("hello"));
    let manifest = format!("/v2/demo/manifests/{}", sha256("{\"a\":0}"));
    for (method, uri, headers, body, status) in [
        ("PATCH", &*location, "content-length: 3\r\n", "hel", 202),
        ("PUT", &finish, "content-length: 2\r\n", "lo", 201),
        (
            "PUT",
            &manifest,
            "content-length: 7\r\ncontent-type: a/b\r\n",
            "{\"a\":0}",
            201,
        ),
    ] {
        let headers = format!("{headers}expect: 100-continue\r\n");
        client.send_head(method, uri, &headers).await;
        let head = timeout(SOON, client.head()).await.unwrap();
        assert_eq!(head, "HTTP/1.1 100 Continue\r\n\r\n");
        client.send(body).await;
        assert_eq!(client.read().await.status, status, "{method}");
        client.assert_usable().await;
    }
    let got = client
        .ask("GET", &format!("/v2/demo/blobs/{digest}"), "")
        .await;
    assert_eq!(got.body, "hello");
}

/// A push that is refused by its head.
#[derive(Clone, Copy, Debug)]
enum Refused {
    /// A chunk that does not begin where the upload goes on.
    Gap,
    LastGap,
    UnknownUpload,
    NoDigest,
    /// These go to a registry that takes no byte.
    LargeChunk,
    LargeBlob,
    LargeManifest,
}

impl Refused {
    const ALL: [Self; 7] = [
        Self::Gap,
        Self::LastGap,
        Self::UnknownUpload,
        Self::NoDigest,
        Self::LargeChunk,
        Self::LargeBlob,
        Self::LargeManifest,
    ];

    async fn server(self) -> Server {
        let takes_nothing = matches!(
            self,
            Self::LargeChunk | Self::LargeBlob | Self::LargeManifest
        );
        Server::start(|limits| {
            if takes_nothing {
                limits.uploads.blob_size = 0;
                limits.manifest_size = 0;
            }
        })
        .await
    }

    fn expected(self) -> (u16, &'static str) {
        match self {
            Self::Gap | Self::LastGap => (416, "BLOB_UPLOAD_INVALID"),
            Self::UnknownUpload => (404, "BLOB_UPLOAD_UNKNOWN"),
            Self::NoDigest => (400, "DIGEST_INVALID"),
            Self::LargeChunk | Self::LargeBlob | Self::LargeManifest => (413, "SIZE_INVALID"),
        }
    }

    /// Sends the head of the request, whose body has `length` bytes.
    async fn send_head(self, client: &mut Connection, length: usize, framing: &str) {
        let location = client.start("demo").await;
        let finish = format!("{location}?digest={}", sha256("hello"));
        let single = format!("/v2/demo/blobs/uploads/?digest={}", sha256("hello"));
        let gap = format!("content-range: 5-{}\r\n", 4 + length);
        let (method, uri, headers) = match self {
            Self::Gap => ("PATCH", &*location, &*gap),
            Self::LastGap => ("PUT", &*finish, &*gap),
            Self::UnknownUpload => ("PATCH", "/v2/demo/blobs/uploads/unknown", ""),
            Self::NoDigest => ("PUT", &*location, ""),
            Self::LargeChunk => ("PATCH", &*location, ""),
            Self::LargeBlob => ("POST", &*single, ""),
            Self::LargeManifest => ("PUT", "/v2/demo/manifests/a", "content-type: a/b\r\n"),
        };
        let headers = format!("{headers}{framing}");
        client.send_head(method, uri, &headers).await;
    }
}

// protocol 88: a body of up to 256 KiB is read before the answer
#[tokio::test]
async fn an_early_error_resets_no_client_that_is_still_sending() {
    for refused in Refused::ALL {
        let server = refused.server().await;
        let mut client = server.connect().await;
        for length in [1, 100 * KIB, 256 * KIB] {
            let (status, code) = refused.expected();
            let body = vec![b'x'; length];
            let (first, second) = body.split_at(length / 2);

            let announced = format!("content-length: {length}\r\n");
            refused.send_head(&mut client, length, &announced).await;
            client.send(first).await;
            client.send(second).await;
            client.read().await.assert_error(status, code);
            client.assert_usable().await;

            let chunked = "transfer-encoding: chunked\r\n";
            refused.send_head(&mut client, length, chunked).await;
            client.send(format!("{length:x}\r\n")).await;
            client.send(&body).await;
            client.send("\r\n0\r\n\r\n").await;
            client.read().await.assert_error(status, code);
            client.assert_usable().await;
        }
    }
}

// protocol 88, RFC 9110 §10.1.1
#[tokio::test]
async fn a_client_that_waits_with_its_body_reads_the_early_error_instead() {
    for refused in Refused::ALL {
        let server = refused.server().await;
        let mut client = server.connect().await;
        let waits = "content-length: 5\r\nexpect: 100-continue\r\n";
        refused.send_head(&mut client, 5, waits).await;
        // The first head that arrives is not that of a 100.
        let (status, code) = refused.expected();
        client.read().await.assert_error(status, code);
    }
}

// protocol 80, section 3 item 5: without a Content-Length
#[tokio::test]
async fn bodies_arrive_in_chunked_encoding() {
    let server = Server::start(|_| {}).await;
    let mut client = server.connect().await;
    let location = client.start("demo").await;
    let finish = format!("{location}?digest={}", sha256("hellohello"));
    let chunked = "content-type: a/b\r\ntransfer-encoding: chunked\r\n";
    for (method, uri, status) in [
        ("PATCH", &*location, 202),
        ("PUT", &finish, 201),
        ("PUT", "/v2/demo/manifests/latest", 400),
    ] {
        client.send_head(method, uri, chunked).await;
        client
            .send("2\r\nhe\r\n3;extension\r\nllo\r\n0\r\ntrailer: x\r\n\r\n")
            .await;
        assert_eq!(client.read().await.status, status, "{method} {uri}");
    }
    let manifest = "/v2/demo/manifests/latest";
    client.send_head("PUT", manifest, chunked).await;
    client.send("1\r\n{\r\n1\r\n}\r\n0\r\n\r\n").await;
    assert_eq!(client.read().await.status, 201);
    assert_eq!(client.ask("GET", manifest, "").await.body, "{}");
}

// protocol 81; pitfalls: a client leaves in the middle
#[tokio::test]
async fn a_connection_that_breaks_leaves_the_upload_as_it_was() {
    let server = Server::start(|_| {}).await;
    let mut client = server.connect().await;
    let location = client.start("demo").await;
    assert_eq!(
        client.ask("PATCH", &location, "say ").await.header("range"),
        "0-3"
    );
    let before = server.store.used_bytes();
    let finish = format!("{location}?digest={}", sha256("say hello"));
    for (method, uri) in [("PATCH", &location), ("PUT", &finish)] {
        for (headers, beginning) in [
            ("content-length: 5\r\n", "hel"),
            ("content-length: 5\r\ncontent-range: 4-8\r\n", "hel"),
            ("transfer-encoding: chunked\r\n", "5\r\nhel"),
            ("transfer-encoding: chunked\r\n", "5\r\nhello\r\n"),
        ] {
            let mut broken = server.connect().await;
            broken.send_head(method, uri, headers).await;
            broken.send(beginning).await;
            server.holds(before + 3).await;
            drop(broken);
            let forgotten = async {
                while server.store.used_bytes() > before {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            timeout(SOON, forgotten).await.unwrap();
            let status = client.ask("GET", &location, "").await;
            assert_eq!((status.status, status.header("range")), (204, "0-3"));
        }
    }
    let answer = client.ask("PUT", &finish, "hello").await;
    assert_eq!(answer.status, 201, "{answer:?}");
}

/// A client that has sent ten of a million bytes, and where.
async fn stalled(server: &Server, repository: &str, method: &str) -> (Connection, String) {
    let mut client = server.connect().await;
    let location = client.start(repository).await;
    let digest = sha256(noise(1_000_000));
    let uri = match method {
        "PATCH" => location.clone(),
        "PUT" => format!("{location}?digest={digest}"),
        _ => format!("/v2/{repository}/blobs/uploads/?digest={digest}"),
    };
    let length = "content-length: 1000000\r\n";
    client.send_head(method, &uri, length).await;
    client.send(noise(10)).await;
    (client, location)
}

// pitfalls: one lock for the store, and a slow client stops everybody
#[tokio::test]
async fn clients_that_stall_slow_nobody() {
    let server = Server::start(|_| {}).await;
    let mut stalling = Vec::new();
    for method in ["PATCH", "PUT", "POST"].repeat(10) {
        stalling.push(stalled(&server, "demo", method).await);
    }
    // Each of them is in the middle of its body: 30 sessions, 10 single POSTs, and ten bytes each.
    server.holds(40 * 256 + 300).await;

    let others = async {
        let mut client = server.connect().await;
        for number in 0..50 {
            let blob = format!("blob {number}");
            let location = client.start("demo").await;
            let finish = format!("{location}?digest={}", sha256(&blob));
            client.ask("PATCH", &location, &blob).await;
            assert_eq!(client.ask("PUT", &finish, "").await.status, 201);
            let uri = format!("/v2/demo/blobs/{}", sha256(&blob));
            assert_eq!(client.ask("GET", &uri, "").await.body, blob);
        }
        // Also for the blob and for the sessions that the others hold open.
        let blob = noise(1_000_000);
        let single = format!("/v2/demo/blobs/uploads/?digest={}", sha256(&blob));
        assert_eq!(client.ask("POST", &single, &blob).await.status, 201);
        for (_, location) in &stalling[..10] {
            assert_eq!(client.ask("GET", location, "").await.header("range"), "0-0");
        }
        let taken = client.ask("PATCH", &stalling[0].1, "hello").await;
        assert_eq!((taken.status, taken.header("range")), (202, "0-4"));
    };
    timeout(SOON, others).await.unwrap();

    // They were not forgotten either.
    for (mut client, _) in stalling.split_off(1) {
        client.send(noise(1_000_000).slice(10..)).await;
        let status = client.read().await.status;
        assert!([201, 202].contains(&status), "{status}");
    }
}

// issue 3; protocol 9
#[tokio::test]
async fn a_thousand_open_uploads_cost_what_the_limits_say_and_one_more_is_429() {
    let server = Server::start(|_| {}).await;
    let mut client = server.connect().await;
    let mut locations = Vec::new();
    for _ in 0..1_000 {
        let location = client.start("demo").await;
        assert_eq!(
            client.ask("PATCH", &location, "some data").await.status,
            202
        );
        locations.push(location);
    }
    // 256 bytes for each, as the documentation of the store says, and what has arrived.
    assert_eq!(server.store.used_bytes(), 1_000 * (256 + 9));

    let uploads = "/v2/demo/blobs/uploads/";
    let answer = client.ask("POST", uploads, "").await;
    answer.assert_error(429, "TOOMANYREQUESTS");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
    assert_eq!(server.store.used_bytes(), 1_000 * (256 + 9));
    client.start("other").await;

    for location in &locations {
        assert_eq!(client.ask("DELETE", location, "").await.status, 204);
    }
    assert_eq!(server.store.used_bytes(), 256);
    client.start("demo").await;
}
