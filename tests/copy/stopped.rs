//! Copies that are stopped in the middle, and run again; and registries that fail for a while.

use std::{
    convert::Infallible,
    fs,
    path::Path,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};
use tower::{ServiceExt, service_fn};
use tower_oci::{Digest, DynBody, Image, OciRegistryService, testing::ImageBuilder};

use crate::{
    common::noise,
    compared::{assert_only, blobs},
    images::store_with,
    program::{Program, finished, texts},
    registry::Server,
    server::Arriving,
};

const SOON: Duration = Duration::from_secs(30);

/// An image of three layers, of which a slow registry does not give the last.
fn image() -> Image {
    let layer = |at: usize| (format!("layer{at}"), noise(100_000 + at));
    let image = ImageBuilder::new()
        .files([layer(0)])
        .files([layer(1)])
        .files([layer(2)]);
    image.build().unwrap()
}

fn slow_layer() -> Digest {
    image().layers()[2].digest
}

/// The blobs that do come: the configuration and two layers.
fn other_blobs() -> Vec<Digest> {
    let image = image();
    let blobs = image.descriptors().map(|blob| blob.digest);
    blobs.filter(|digest| *digest != slow_layer()).collect()
}

/// Whether a layout has all blobs that do come.
fn have_arrived(layout: &Path) -> bool {
    let arrived = blobs(layout);
    let mut others = other_blobs().into_iter();
    others.all(|digest| arrived.contains_key(&digest.encoded()))
}

/// A registry that sends the first half of one blob, and the rest once it is not slow any more.
#[derive(Clone)]
struct Slow(Arc<AtomicBool>);

impl Slow {
    async fn serving() -> (Server, Self) {
        let slow = Self(Arc::new(AtomicBool::new(true)));
        let registry = OciRegistryService::new(store_with("demo", &image()));
        let half = slow.clone();
        let service = service_fn(move |request: Request<Arriving>| {
            let is_slow = request.uri().path().ends_with(&slow_layer().to_string());
            let (half, answer) = (half.clone(), registry.clone().oneshot(request));
            async move {
                let response = answer.await?;
                Ok::<_, Infallible>(match is_slow && half.0.load(Ordering::SeqCst) {
                    true => halved(response).await,
                    false => response.map(DynBody::new),
                })
            }
        });
        (Server::of_service(service).await, slow)
    }

    fn hurry(&self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

async fn halved<B>(response: Response<B>) -> Response<DynBody>
where
    B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let (parts, body) = response.into_parts();
    let whole = body.collect().await.unwrap().to_bytes();
    let half = Frame::data(whole.slice(..whole.len() / 2));
    let pieces = stream::iter([Ok::<_, Infallible>(half)]).chain(stream::pending());
    Response::from_parts(parts, DynBody::new(StreamBody::new(pieces)))
}

/// Waits until `is_so`.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(SOON, waiting).await.unwrap();
}

/// Ends a copy that had no time to do anything about it.
async fn kill(mut copy: Child) {
    copy.start_kill().unwrap();
    copy.wait().await.unwrap();
}

/// Every blob that had arrived was asked for once, and the slow one twice.
fn assert_fetched_once(server: &Server) {
    let times = |digest: &Digest| server.requests(&Method::GET, &digest.to_string()).len();
    for digest in other_blobs() {
        assert_eq!(times(&digest), 1, "{digest}");
    }
    assert_eq!(times(&slow_layer()), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_into_a_layout_that_was_killed_goes_on_after_what_had_arrived() {
    let (program, (server, slow)) = (Program::new(), Slow::serving().await);
    let (layout, from) = (
        program.path("to"),
        format!("{}/demo:latest", server.address),
    );
    let copy = program.start(&[&from, "oci:to:v1"]);
    until(|| have_arrived(&layout) && blobs(&layout).len() == 4).await;
    kill(copy).await;
    assert!(!layout.join("index.json").exists());
    assert!(!blobs(&layout).contains_key(&slow_layer().encoded()));

    slow.hurry();
    let printed = program.copy(&[&from, "oci:to:v1"]).await;
    assert!(
        printed.ends_with("; blobs: 1 copied, 3 there already\n"),
        "{printed}"
    );
    assert_fetched_once(&server);
    // What the first had of the slow one is gone.
    assert_only(&layout, "v1", &image());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_into_a_registry_that_was_killed_goes_on_after_what_had_arrived() {
    let (program, (server, slow)) = (Program::new(), Slow::serving().await);
    let destination = Server::empty().await;
    let [from, to] = [&server, &destination].map(|it| format!("{}/demo:latest", it.address));
    let copy = program.start(&[&from, &to]);
    let sent = || destination.answers(&Method::PUT, "/blobs/uploads/");
    until(|| sent() == [201; 3]).await;
    until(|| {
        !server
            .requests(&Method::GET, &slow_layer().to_string())
            .is_empty()
    })
    .await;
    kill(copy).await;
    assert!(destination.requests(&Method::PUT, "/manifests/").is_empty());

    slow.hurry();
    let printed = program.copy(&[&from, &to]).await;
    assert!(
        printed.ends_with("; blobs: 1 copied, 3 there already\n"),
        "{printed}"
    );
    assert_fetched_once(&server);
    let sent = sent().into_iter().filter(|status| *status == 201);
    assert_eq!(sent.count(), 4);
    program.copy(&[&to, "oci:back:latest"]).await;
    assert_only(&program.path("back"), "latest", &image());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_what_it_was_until_all_has_arrived() {
    let (program, (server, slow)) = (Program::new(), Slow::serving().await);
    let before = ImageBuilder::new()
        .file("before", "before")
        .build()
        .unwrap();
    crate::layouts::write_layout(&program.path("before"), "v0", &before).await;
    program
        .copy(&["oci:before:v0", "oci-archive:a.tar:v0"])
        .await;
    let archive = fs::read(program.path("a.tar")).unwrap();
    let from = format!("{}/demo:latest", server.address);
    let arguments = [&*from, "oci-archive:a.tar:v1"];
    let copy = program.start(&arguments);
    until(|| {
        !server
            .requests(&Method::GET, &slow_layer().to_string())
            .is_empty()
    })
    .await;
    kill(copy).await;
    assert!(fs::read(program.path("a.tar")).unwrap() == archive);

    slow.hurry();
    program.copy(&arguments).await;
    for (tag, image) in [("v0", &before), ("v1", &image())] {
        let (from, to) = (
            format!("oci-archive:a.tar:{tag}"),
            format!("oci:{tag}:{tag}"),
        );
        program.copy(&[&from, &to]).await;
        assert_only(&program.path(tag), tag, image);
    }
    let left = fs::read_dir(program.path("")).unwrap();
    let mut left: Vec<_> = left.map(|file| file.unwrap().file_name()).collect();
    left.sort_unstable();
    assert_eq!(left, ["a.tar", "before", "v0", "v1"]);
}

/// Sends a signal to a copy, and waits for its end.
async fn signalled(signal: &str, copy: Child) -> Output {
    let kill = format!("kill -{signal} {}", copy.id().unwrap());
    let sent = Command::new("sh").args(["-c", &kill]).status().await;
    assert!(sent.unwrap().success());
    finished(copy).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_and_sigterm_leave_nothing_that_is_half_written() {
    for (signal, expected) in [
        ("INT", "copy: interrupted\n"),
        ("TERM", "copy: terminated\n"),
    ] {
        let (program, (server, _slow)) = (Program::new(), Slow::serving().await);
        let from = format!("{}/demo:latest", server.address);
        let layout = program.path("to");
        let copy = program.start(&[&from, "oci:to:v1"]);
        until(|| have_arrived(&layout) && blobs(&layout).len() == 4).await;
        let output = signalled(signal, copy).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(texts(&output), (String::new(), expected.to_owned()));
        let mut finished: Vec<String> = other_blobs().iter().map(Digest::encoded).collect();
        finished.sort_unstable();
        assert!(blobs(&layout).into_keys().eq(finished), "{signal}");
        assert!(!layout.join("index.json").exists());
    }
}

/// A registry that is not available for the first `failures` requests.
async fn failing(failures: usize) -> Server {
    let registry = OciRegistryService::new(store_with("demo", &image()));
    let left = Arc::new(AtomicUsize::new(failures));
    let service = service_fn(move |request: Request<Arriving>| {
        let fewer = |left: usize| left.checked_sub(1);
        let fails = left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer)
            .is_ok();
        let answer = registry.clone().oneshot(request);
        async move {
            let mut response = answer.await?;
            if fails {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            Ok::<_, Infallible>(response)
        }
    });
    Server::of_service(service).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_again_is_told_on_stderr() {
    let program = Program::new();
    let server = failing(2).await;
    let from = format!("{}/demo:latest", server.address);
    let output = program.run(&[&from, "oci:to:v1"]).await;
    let (_, stderr) = texts(&output);
    assert!(output.status.success(), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    let expected = format!(
        "copy: GET http://{}/v2/demo/manifests/latest: 503 ",
        server.address
    );
    for line in lines {
        assert!(line.starts_with(&expected), "{line}");
        assert!(line.contains("; trying again in "), "{line}");
    }
    assert_only(&program.path("to"), "v1", &image());
    let server = failing(1).await;
    let from = format!("{}/demo:latest", server.address);
    assert_eq!(program.copy(&["--quiet", &from, "oci:quiet:v1"]).await, "");
}
