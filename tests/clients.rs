//! Real clients, as Debian packages them, against a registry in this process: what arrives is
//! compared byte for byte with what was served.
//!
//! A client that is not installed is skipped, and stderr says so. With
//! `TOWER_OCI_REQUIRE_CLIENTS=1` it is a failure.

#![allow(clippy::unwrap_used, clippy::panic)] // a test fails by panicking

mod common;
#[path = "../examples/serve/server.rs"]
#[allow(dead_code)] // its logging
mod server;

use std::{
    convert::Infallible,
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use common::{name, noise, tag};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, channel::Channel};
use hyper::body::Incoming;
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, sync::mpsc, time::timeout};
use tower::{Service, ServiceBuilder};
use tower_oci::{
    BlobSource, BoxError, Image, LayoutSource, MediaType, MemoryStore, OciRegistryService,
    Platform,
    testing::{ImageBuilder, IndexBuilder},
};

/// How long one run of a client may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A registry on a socket of this machine, for as long as it is kept.
struct Server {
    address: String,
    _stop: mpsc::Sender<()>,
}

impl Server {
    async fn of<S: BlobSource>(source: S) -> Self {
        Self::of_service(OciRegistryService::new(source)).await
    }

    async fn of_service<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = mpsc::channel(1);
        tokio::spawn(server::serve(listener, service, stopped));
        Self {
            address,
            _stop: stop,
        }
    }

    /// An image as skopeo names it.
    fn image(&self, image: &str) -> String {
        format!("docker://{}/{image}", self.address)
    }
}

/// A program that pulls, with a folder of its own.
struct Client {
    program: &'static str,
    folder: TempDir,
}

impl Client {
    /// The client, or nothing if it is not installed and need not be.
    fn find(program: &'static str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path);
        if !folders.any(|folder| folder.join(program).is_file()) {
            let required = std::env::var_os("TOWER_OCI_REQUIRE_CLIENTS");
            assert!(required.is_none_or(|value| value != "1"), "no {program}");
            // Not eprintln, which the test harness keeps to itself.
            let skipped = format!("SKIPPED: {program} is not installed\n");
            std::io::stderr().write_all(skipped.as_bytes()).unwrap();
            return None;
        }
        let folder = TempDir::new().unwrap();
        let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        fs::write(folder.path().join("policy.json"), policy).unwrap();
        Some(Self { program, folder })
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    async fn try_run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Output {
        let mut command = Command::new(self.program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("TMPDIR", self.folder.path())
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY")
            .env_remove("all_proxy")
            .env_remove("ALL_PROXY")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await;
        output.unwrap().unwrap()
    }

    /// Runs the client, which has to succeed, and returns what it printed.
    async fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Vec<u8> {
        let arguments: Vec<A> = arguments.into_iter().collect();
        let output = self.try_run(&arguments).await;
        let shown: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        let status = output.status;
        assert!(
            status.success(),
            "{} {shown:?}: {status}\n{errors}",
            self.program
        );
        output.stdout
    }

    async fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_slice(&self.run(arguments).await).unwrap()
    }

    /// Skopeo's copy of `from` into a new folder.
    async fn skopeo_copy(&self, from: &str, options: &[&str]) -> PathBuf {
        self.skopeo_copy_to("dir:copy", from, options).await;
        self.path("copy")
    }

    async fn skopeo_copy_to(&self, to: &str, from: &str, options: &[&str]) {
        let arguments = ["--policy", "policy.json", "copy", "--src-tls-verify=false"];
        let arguments = arguments.iter().chain(options).copied();
        self.run(arguments.chain([from, to])).await;
    }
}

/// An index of two images that share a layer, one of which is of several megabytes.
fn two_platforms() -> Image {
    let mut index = IndexBuilder::new();
    for architecture in ["amd64", "arm64"] {
        let platform = Platform::new("linux", architecture);
        let image = ImageBuilder::new()
            .platform(platform.clone())
            .files([("etc/motd", "hello"), ("etc/hostname", "demo")])
            .files([(format!("lib/{architecture}"), noise(3 << 20))])
            .annotation("org.opencontainers.image.title", architecture);
        index = index.image_for(&image.build().unwrap(), platform);
    }
    index.build().unwrap()
}

fn store_with(repository: &str, image: &Image) -> MemoryStore {
    let store = MemoryStore::new();
    store.add_image(&name(repository), Some(&tag("latest")), image);
    store
}

/// Asserts that a folder, as skopeo's `dir:` writes it, has the very bytes of `image`: its
/// manifest in the file `manifest`, and every blob.
async fn assert_copied(folder: &Path, manifest: &str, image: &Image) {
    let copied = fs::read(folder.join(manifest)).unwrap();
    assert!(image.manifest().bytes() == &copied, "{manifest} differs");
    for descriptor in image.config().into_iter().chain(image.layers()) {
        let served = image.read_blob_verified(descriptor, 64 << 20).await;
        let copied = fs::read(folder.join(descriptor.digest.encoded())).unwrap();
        assert!(copied == served.unwrap(), "{} differs", descriptor.digest);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_inspects_the_bytes_that_are_served() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let index = two_platforms();
    let server = Server::of(store_with("team/demo", &index)).await;
    let image = server.image("team/demo:latest");

    let raw = ["inspect", "--raw", "--tls-verify=false", &image];
    assert_eq!(index.manifest().bytes(), &skopeo.run(raw).await);

    let options = ["--override-os=linux", "--override-arch=arm64", "inspect"];
    let arguments: Vec<&str> = options
        .into_iter()
        .chain(["--tls-verify=false", &image])
        .collect();
    let inspected = skopeo.json(&arguments).await;
    assert_eq!(inspected["Digest"], index.digest().to_string());
    assert_eq!(inspected["RepoTags"], serde_json::json!(["latest"]));
    let layers = index.children()[1].layers().iter();
    let layers: Vec<String> = layers.map(|layer| layer.digest.to_string()).collect();
    assert_eq!(inspected["Layers"], serde_json::json!(layers));
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_the_image_of_one_platform() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let index = two_platforms();
    let server = Server::of(store_with("demo", &index)).await;
    let options = ["--override-os=linux", "--override-arch=arm64"];
    let copy = skopeo
        .skopeo_copy(&server.image("demo:latest"), &options)
        .await;
    assert_copied(&copy, "manifest.json", &index.children()[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_all_platforms_of_an_index() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let index = two_platforms();
    let server = Server::of(store_with("v2/blobs/manifests", &index)).await;
    let from = server.image("v2/blobs/manifests:latest");
    let copy = skopeo.skopeo_copy(&from, &["--all"]).await;
    assert_copied(&copy, "manifest.json", &index).await;
    for child in index.children() {
        let manifest = format!("{}.manifest.json", child.digest().encoded());
        assert_copied(&copy, &manifest, child).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_by_digest_what_no_tag_names() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let index = two_platforms();
    let server = Server::of(store_with("demo", &index)).await;
    let child = &index.children()[0];
    let from = server.image(&format!("demo@{}", child.digest()));
    let copy = skopeo.skopeo_copy(&from, &[]).await;
    assert_copied(&copy, "manifest.json", child).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_copies_an_artifact_that_refers_to_an_image() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let image = ImageBuilder::new().file("a", "hello").build().unwrap();
    let artifact = ImageBuilder::artifact("application/vnd.example.notes".parse().unwrap())
        .layer("text/plain".parse().unwrap(), "some notes")
        .subject(&image)
        .build()
        .unwrap();
    let store = store_with("demo", &image);
    store.add_image(&name("demo"), Some(&tag("notes")), &artifact);
    let server = Server::of(store).await;
    let copy = skopeo.skopeo_copy(&server.image("demo:notes"), &[]).await;
    assert_copied(&copy, "manifest.json", &artifact).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_that_skopeo_wrote_is_copied_back_byte_for_byte() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let server = Server::of(store_with("demo", &two_platforms())).await;
    let from = server.image("demo:latest");
    // On the way into a layout skopeo compresses the layers.
    skopeo
        .skopeo_copy_to("oci:layout:stable", &from, &["--all"])
        .await;

    let layout = skopeo.path("layout");
    let source = LayoutSource::open([(name("team/demo"), &layout)]).await;
    let server = Server::of(source.unwrap()).await;
    let from = server.image("team/demo:stable");
    let copy = skopeo.skopeo_copy(&from, &["--all"]).await;

    let index = fs::read(layout.join("index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
    let tagged = index["manifests"][0]["digest"].as_str().unwrap();
    let mut files = 0;
    for blob in fs::read_dir(layout.join("blobs/sha256")).unwrap() {
        let blob = blob.unwrap();
        let encoded = blob.file_name().into_string().unwrap();
        let names = [encoded.clone(), format!("{encoded}.manifest.json")];
        let names = if tagged.ends_with(&encoded) {
            &["manifest.json".to_owned()][..]
        } else {
            &names
        };
        let copied = names.iter().find_map(|name| fs::read(copy.join(name)).ok());
        let copied = copied.unwrap_or_else(|| panic!("{encoded} was not copied"));
        assert!(
            copied == fs::read(blob.path()).unwrap(),
            "{encoded} differs"
        );
        files += 1;
    }
    // The index; for each of two platforms a manifest, a configuration and a layer of its own; and
    // a layer that they share.
    assert_eq!(files, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_lists_all_tags_page_by_page() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let image = ImageBuilder::new().file("a", "hello").build().unwrap();
    let store = MemoryStore::new();
    // More than one page has.
    let tags: Vec<String> = (0..2345).map(|number| format!("v{number:05}")).collect();
    for listed in &tags {
        store.add_image(&name("team/demo"), Some(&tag(listed)), &image);
    }
    let server = Server::of(store).await;
    let repository = server.image("team/demo");
    let listed = skopeo
        .json(&["list-tags", "--tls-verify=false", &repository])
        .await;
    assert_eq!(listed["Tags"], serde_json::json!(tags));
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_reports_what_is_not_there() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let server = Server::of(store_with("demo", &two_platforms())).await;
    for missing in ["demo:other", "unknown:latest"] {
        let image = server.image(missing);
        let output = skopeo
            .try_run(["inspect", "--tls-verify=false", &image])
            .await;
        assert!(!output.status.success());
        let errors = String::from_utf8(output.stderr).unwrap();
        // protocol 96
        let known = ["manifest unknown", "name unknown", "the repository"];
        assert!(known.iter().any(|known| errors.contains(known)), "{errors}");
    }
}

/// Podman and buildah pull into a store of their own, and give back what is in it.
async fn pulls_into_its_storage(program: &'static str, push_options: &[&str]) {
    let Some(client) = Client::find(program) else {
        return;
    };
    let index = two_platforms();
    let server = Server::of(store_with("team/demo", &index)).await;
    let image = format!("{}/team/demo:latest", server.address);
    let (root, runroot) = (client.path("root"), client.path("runroot"));
    let storage = [
        "--root".as_ref(),
        root.as_os_str(),
        "--runroot".as_ref(),
        runroot.as_os_str(),
        "--storage-driver=vfs".as_ref(),
    ];
    let run = |arguments: &[&str]| {
        let arguments = arguments.iter().map(|argument| OsStr::new(*argument));
        let arguments: Vec<&OsStr> = storage.into_iter().chain(arguments).collect();
        let arguments: Vec<_> = arguments.into_iter().map(OsStr::to_owned).collect();
        client.run(arguments)
    };
    let policy = "--signature-policy=policy.json";
    run(&[
        "pull",
        policy,
        "--tls-verify=false",
        "--os=linux",
        "--arch=arm64",
        &image,
    ])
    .await;
    let stored = client.path("stored");
    let target = format!("dir:{}", stored.display());
    let push = [&["push", policy], push_options, &[&image, &target]];
    run(&push.concat()).await;
    assert_copied(&stored, "manifest.json", &index.children()[1]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pulls() {
    pulls_into_its_storage("podman", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_pulls() {
    // What it pushes it compresses, unless told not to.
    pulls_into_its_storage("buildah", &["--disable-compression"]).await;
}

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

/// A service that sends half of its first answer, and then breaks the connection.
fn breaking_once<S, B>(
    service: S,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Channel<Bytes, BoxError>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let broken = std::sync::Arc::new(AtomicBool::new(false));
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
