//! What curl downloads, and uploads in every way that it can.

use std::{
    convert::Infallible,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, channel::Channel};
use tower::{Service, ServiceBuilder};
use tower_oci::{
    Algorithm, BoxError, Digest, Limits, MediaType, MemoryStore, OciRegistryService,
    testing::ImageBuilder,
};

use crate::{
    client::Client, common::noise, images::store_with, registry::Server, server::Arriving,
};

#[tokio::test(flavor = "multi_thread")]
async fn curl_resumes_a_download_that_broke_off() {
    let Some(curl) = Client::find("curl") else {
        return;
    };
    let layer = noise(5 << 20);
    let image = ImageBuilder::new().layer(MediaType::OCI_LAYER, layer.clone());
    let image = image.build().unwrap();
    let store = store_with("demo", &image);
    let server = Server::of_service(breaking_once(OciRegistryService::new(store))).await;
    let digest = image.layers()[0].digest;
    let url = format!("http://{}/v2/demo/blobs/{digest}", server.address);
    let file = curl.path("layer");
    let get = [
        "--silent",
        "--show-error",
        "--fail",
        "-C",
        "-",
        "-o",
        "layer",
        &url,
    ];

    let broken = curl.try_run(get).await;
    assert_eq!(broken.status.code(), Some(18), "curl: partial file");
    let length = fs::metadata(&file).unwrap().len();
    assert!(length > 0 && length < layer.len() as u64, "{length}");

    curl.run(get).await;
    assert!(fs::read(&file).unwrap() == layer);
}

/// What curl says of an answer: its status, and how many bytes it sent for it.
const ANSWER: &str = "%{http_code} %{size_upload}";

/// Curl, with a blob in its folder, and how it sends that blob as the body of a request.
struct Uploader {
    curl: Client,
    blob: Bytes,
    digest: Digest,
}

impl Uploader {
    fn find(size: usize) -> Option<Self> {
        let curl = Client::find("curl")?;
        let blob = noise(size);
        curl.write("blob", &blob);
        let digest = Algorithm::Sha256.digest(&blob);
        Some(Self { curl, blob, digest })
    }

    /// Opens an upload in the repository `demo`, and returns its URL.
    async fn session(&self, server: &Server) -> String {
        let url = server.url("/v2/demo/blobs/uploads/");
        self.curl
            .run(["--silent", "--fail", "--request", "POST", &url])
            .await;
        let opened = server.requests(&Method::POST, "/uploads/");
        server.url(
            opened.last().unwrap().answered["location"]
                .to_str()
                .unwrap(),
        )
    }

    /// The end of the upload at `session`.
    fn end(&self, session: &str) -> String {
        format!("{session}?digest={}", self.digest)
    }

    /// Sends the blob to `url`, and returns what curl says of the answer, and what it saw happen.
    async fn send(&self, method: &str, url: &str, options: &[&str]) -> (String, String) {
        let send = [
            "--silent",
            "--show-error",
            "--verbose",
            "--upload-file",
            "blob",
        ];
        let answer = ["--output", "answer", "--write-out", ANSWER];
        let to = ["--request", method, url];
        let sent = self
            .curl
            .try_run([&send[..], &answer, options, &to].concat());
        let sent = sent.await;
        let [answer, events] =
            [sent.stdout, sent.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(sent.status.success(), "{events}");
        (answer, events)
    }

    /// The answer to a request that stored the blob.
    fn created(&self) -> String {
        format!("201 {}", self.blob.len())
    }

    async fn assert_stored(&self, server: &Server) {
        let url = server.url(&format!("/v2/demo/blobs/{}", self.digest));
        let got = self.curl.run(["--silent", "--fail", &url]).await;
        assert!(got == self.blob);
    }
}

// protocol 88
#[tokio::test(flavor = "multi_thread")]
async fn curl_waits_until_the_registry_wants_the_blob() {
    let Some(uploader) = Uploader::find(3 << 20) else {
        return;
    };
    let server = Server::empty().await;
    let url = uploader.end(&uploader.session(&server).await);
    let expect = [
        "--header",
        "Expect: 100-continue",
        "--expect100-timeout",
        "100",
    ];
    let (answer, events) = uploader.send("PUT", &url, &expect).await;
    assert_eq!(answer, uploader.created());
    assert!(events.contains("< HTTP/1.1 100 Continue"), "{events}");
    uploader.assert_stored(&server).await;
}

// protocol 88
#[tokio::test(flavor = "multi_thread")]
async fn curl_hears_why_a_blob_is_refused_whether_it_waits_or_not() {
    let Some(uploader) = Uploader::find(3 << 20) else {
        return;
    };
    let mut limits = Limits::default();
    limits.uploads.blob_size = 1 << 20;
    let small = OciRegistryService::writable(MemoryStore::new()).limits(limits);
    let small = Server::of_service(small).await;
    let read_only = Server::of(MemoryStore::new()).await;
    for (server, status, code) in [
        (small, "413", "SIZE_INVALID"),
        (read_only, "405", "UNSUPPORTED"),
    ] {
        let path = format!("/v2/demo/blobs/uploads/x?digest={}", uploader.digest);
        let url = server.url(&path);
        let wait = [
            "--header",
            "Expect: 100-continue",
            "--expect100-timeout",
            "100",
        ];
        let (answer, events) = uploader.send("PUT", &url, &wait).await;
        assert_eq!(answer, format!("{status} 0"), "{events}");

        let (answer, events) = uploader.send("PUT", &url, &["--header", "Expect:"]).await;
        assert!(answer.starts_with(status), "{answer}: {events}");
        let error = String::from_utf8(uploader.curl.read("answer")).unwrap();
        assert!(error.contains(code), "{error}");
    }
}

// protocol 27, 29, 30 and 80
#[tokio::test(flavor = "multi_thread")]
async fn curl_streams_pieces_whose_length_it_does_not_say() {
    let Some(uploader) = Uploader::find(700_001) else {
        return;
    };
    let server = Server::empty().await;
    let session = uploader.session(&server).await;
    let twice = [&uploader.blob[..], &uploader.blob].concat();
    let digest = Algorithm::Sha256.digest(&twice);
    for last in [700_000, 1_400_001] {
        let chunked = ["--header", "Transfer-Encoding: chunked"];
        let (answer, events) = uploader.send("PATCH", &session, &chunked).await;
        assert!(answer.starts_with("202 "), "{answer}: {events}");
        assert!(
            !events.to_lowercase().contains("> content-length"),
            "{events}"
        );
        uploader.curl.run(["--silent", "--fail", &session]).await;
        let path = session.trim_start_matches(&server.url(""));
        for method in [Method::PATCH, Method::GET] {
            let answered = server.requests(&method, path);
            let range = &answered.last().unwrap().answered["range"];
            assert_eq!(range, &format!("0-{last}"));
        }
    }
    let end = format!("{session}?digest={digest}");
    let put = ["--silent", "--fail", "--request", "PUT", &end];
    uploader.curl.run(put).await;
    let url = server.url(&format!("/v2/demo/blobs/{digest}"));
    assert!(uploader.curl.run(["--silent", "--fail", &url]).await == twice);
}

// protocol 81
#[tokio::test(flavor = "multi_thread")]
async fn curl_repeats_an_upload_that_broke_off() {
    let Some(uploader) = Uploader::find(5 << 20) else {
        return;
    };
    let server = Server::empty().await;
    let session = uploader.session(&server).await;
    let url = uploader.end(&session);
    let slow = [
        "--limit-rate",
        "1M",
        "--max-time",
        "1",
        "--upload-file",
        "blob",
        &url,
    ];
    let broken = uploader
        .curl
        .try_run([&["--silent"][..], &slow].concat())
        .await;
    assert_eq!(broken.status.code(), Some(28), "curl: timeout");

    let (answer, events) = uploader.send("PUT", &url, &[]).await;
    assert_eq!(answer, uploader.created(), "{events}");
    uploader.assert_stored(&server).await;
}

/// A service that sends half of its first answer, and then breaks the connection.
fn breaking_once<S, B>(
    service: S,
) -> impl Service<
    Request<Arriving>,
    Response = Response<Channel<Bytes, BoxError>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static
where
    S: Service<Request<Arriving>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let broken = Arc::new(AtomicBool::new(false));
    ServiceBuilder::new()
        .and_then(move |response: Response<B>| {
            let breaks = !broken.swap(true, Ordering::Relaxed);
            async move {
                let (parts, body) = response.into_parts();
                let bytes = body.collect().await.map_err(Into::into).unwrap().to_bytes();
                let (mut sender, body) = Channel::new(1);
                tokio::spawn(async move {
                    if !breaks {
                        return sender.send_data(bytes).await.unwrap();
                    }
                    let half = bytes.slice(..bytes.len() / 2);
                    sender.send_data(half).await.unwrap();
                    // What was sent has to arrive before the connection goes.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    sender.abort("broken on purpose".into());
                });
                Ok(Response::from_parts(parts, body))
            }
        })
        .service(service)
}
