//! What is copied arrives as it was.

use std::fs;

use http::Method;
use tower_oci::{Digest, testing::ImageBuilder};

use crate::{
    common::noise,
    compared::{assert_only, assert_same, blobs, listed, two_platforms},
    images::store_with,
    layouts::write_layout,
    program::Program,
    registry::Server,
};

#[tokio::test(flavor = "multi_thread")]
async fn from_a_layout_through_a_registry_to_a_layout_it_is_the_same() {
    let (program, server) = (Program::new(), Server::empty().await);
    write_layout(&program.path("from"), "v1", &two_platforms()).await;
    let image = format!("{}/team/demo:v2", server.address);
    let printed = program.copy(&["oci:from:v1", &image]).await;
    let digest = two_platforms().digest().to_string();
    // Two layers that are not shared, one that is, and two configurations.
    assert_eq!(printed, format!("{image} is {digest}; blobs: 5 copied\n"));
    program.copy(&[&image, "oci:to:v1"]).await;
    assert_same(&program.path("from"), &program.path("to"));
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_archive_through_a_registry_to_an_archive_it_is_the_same() {
    let (program, server) = (Program::new(), Server::empty().await);
    write_layout(&program.path("layout"), "v1", &two_platforms()).await;
    program
        .copy(&["oci:layout:v1", "oci-archive:from.tar:v1"])
        .await;
    let image = format!("http://{}/demo:v1", server.address);
    program.copy(&["oci-archive:from.tar:v1", &image]).await;
    program.copy(&[&image, "oci-archive:to.tar:v1"]).await;
    let (from, to) = (
        fs::read(program.path("from.tar")),
        fs::read(program.path("to.tar")),
    );
    assert!(from.unwrap() == to.unwrap(), "the archives differ");
    program
        .copy(&["oci-archive:to.tar:v1", "oci:back:v1"])
        .await;
    assert_same(&program.path("layout"), &program.path("back"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_keeps_what_it_has_and_gets_what_it_lacks() {
    let program = Program::new();
    let (shared, server) = (noise(100_000), Server::empty().await);
    let image = |more: &str| {
        let image = ImageBuilder::new()
            .file("shared", &shared)
            .file("more", more);
        image.build().unwrap()
    };
    write_layout(&program.path("one"), "v1", &image("one")).await;
    write_layout(&program.path("two"), "v2", &image("two")).await;
    let printed = program.copy(&["oci:two:v2", "oci:one:v2"]).await;
    assert!(
        printed.ends_with("; blobs: 2 copied, 1 there already\n"),
        "{printed}"
    );
    let tags: Vec<String> = listed(&program.path("one"))
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["annotations"]["org.opencontainers.image.ref.name"].to_string())
        .collect();
    assert_eq!(tags, ["\"v1\"", "\"v2\""]);
    // So does a repository.
    for version in ["v1", "v2"] {
        let image = format!("{}/demo:{version}", server.address);
        program.copy(&[&format!("oci:one:{version}"), &image]).await;
    }
    let uploads = server.answers(&Method::PUT, "/v2/demo/blobs/uploads/");
    assert_eq!(uploads, [201; 5]);
}

// protocol 32
#[tokio::test(flavor = "multi_thread")]
async fn between_repositories_of_a_registry_blobs_are_mounted() {
    let program = Program::new();
    let server = Server::writable(store_with("one", &two_platforms())).await;
    let [one, two] = ["one:latest", "two:v2"].map(|it| format!("{}/{it}", server.address));
    let printed = program.copy(&[&one, &two]).await;
    assert!(
        printed.ends_with("; blobs: 0 copied, 5 mounted\n"),
        "{printed}"
    );
    assert_eq!(server.answers(&Method::POST, "from=one"), [201; 5]);
    assert!(server.requests(&Method::GET, "/blobs/").is_empty());
    program.copy(&[&two, "oci:back:latest"]).await;
    assert_only(&program.path("back"), "latest", &two_platforms());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tag_costs_no_upload() {
    let program = Program::new();
    let server = Server::writable(store_with("demo", &two_platforms())).await;
    let [old, new] = ["latest", "v2"].map(|it| format!("{}/demo:{it}", server.address));
    program.copy(&[&old, &new]).await;
    assert!(server.requests(&Method::POST, "").is_empty());
    let answers = server.answers(&Method::PUT, "/v2/demo/manifests/v2");
    assert_eq!(answers, [201]);
}

#[tokio::test(flavor = "multi_thread")]
async fn between_two_registries_blobs_flow_in_pieces_of_the_size_that_is_asked_for() {
    let program = Program::new();
    let image = ImageBuilder::new()
        .file("large", noise((2 << 20) + 5))
        .build()
        .unwrap();
    let from = Server::writable(store_with("demo", &image)).await;
    let to = Server::empty().await;
    let images = [&from, &to].map(|server| format!("{}/demo:latest", server.address));
    program
        .copy(&["--chunk", "1", "--jobs", "1", &images[0], &images[1]])
        .await;
    // The layer is an archive of the file, and larger; the configuration fits into one request.
    let pieces = to.requests(&Method::PATCH, "/v2/demo/blobs/uploads/");
    let ranges: Vec<&str> = pieces
        .iter()
        .map(|piece| piece.headers["content-range"].to_str().unwrap())
        .collect();
    let last = image.layers()[0].size - 1;
    let expected = ["0-1048575", "1048576-2097151", &format!("2097152-{last}")];
    assert_eq!(ranges, expected);
    program.copy(&[&images[1], "oci:back:latest"]).await;
    assert_only(&program.path("back"), "latest", &image);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_an_index_lists_and_the_source_lacks_is_left_out() {
    let (program, index) = (Program::new(), two_platforms());
    write_layout(&program.path("from"), "v1", &index).await;
    let [kept, gone] = [&index.children()[0], &index.children()[1]];
    let gone = format!("from/blobs/sha256/{}", gone.digest().encoded());
    fs::remove_file(program.path(&gone)).unwrap();
    let printed = program.copy(&["oci:from:v1", "oci:to:v1"]).await;
    assert!(printed.ends_with("; blobs: 3 copied\n"), "{printed}");
    let copied: Vec<String> = blobs(&program.path("to")).into_keys().collect();
    let kept = kept
        .descriptors()
        .map(|blob| &blob.digest)
        .chain([kept.digest(), index.digest()]);
    let mut kept: Vec<String> = kept.map(Digest::encoded).collect();
    kept.sort_unstable();
    assert_eq!(copied, kept);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_nothing_when_it_should_be_quiet() {
    let program = Program::new();
    write_layout(&program.path("from"), "v1", &two_platforms()).await;
    let printed = program.copy(&["--quiet", "oci:from:v1", "oci:to:v1"]).await;
    assert_eq!(printed, "");
    assert_same(&program.path("from"), &program.path("to"));
}
