//! What is chosen to be copied: by tag, by digest, for a platform.

use http::Method;
use tower_oci::{Algorithm, Image, testing::ImageBuilder};

use crate::{
    common::{name, tag},
    compared::{assert_only, two_platforms},
    images::store_with,
    layouts::write_layout,
    program::Program,
    registry::Server,
};

fn arm() -> Image {
    two_platforms().children()[1].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_platform_is_copied_alone_and_nothing_else_is_asked_for() {
    let program = Program::new();
    let server = Server::of(store_with("demo", &two_platforms())).await;
    let index = format!("{}/demo:latest", server.address);
    for (platform, to) in [
        ("linux/arm64", "oci:one:arm"),
        ("linux/arm64/v8", "oci:two:arm"),
    ] {
        program.copy(&["--platform", platform, &index, to]).await;
    }
    for layout in ["one", "two"] {
        assert_only(&program.path(layout), "arm", &arm());
    }
    // Each time the index, the image and its three blobs.
    assert_eq!(server.requests(&Method::GET, "/v2/demo/").len(), 2 * 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_in_no_index_is_copied_if_it_is_for_the_platform() {
    let program = Program::new();
    write_layout(&program.path("from"), "v1", &arm()).await;
    program
        .copy(&["--platform", "linux/arm64", "oci:from:v1", "oci:to:v1"])
        .await;
    assert_only(&program.path("to"), "v1", &arm());
    let error = program
        .fail(&["--platform", "linux/amd64", "oci:from:v1", "oci:no:v1"])
        .await;
    assert_eq!(
        error,
        "oci:from:v1: it is for linux/arm64, and not for linux/amd64"
    );
    assert!(!program.path("no").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_that_an_index_does_not_list_is_told_with_those_that_it_lists() {
    let program = Program::new();
    write_layout(&program.path("from"), "v1", &two_platforms()).await;
    for platform in ["linux/s390x", "windows/amd64", "linux/amd64/v3"] {
        let error = program
            .fail(&["--platform", platform, "oci:from:v1", "oci:to:v1"])
            .await;
        let expected = format!(
            "oci:from:v1: the index has no image for {platform}: it has linux/amd64, linux/arm64"
        );
        assert_eq!(error, expected);
    }
    assert!(!program.path("to").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_stands_in_place_of_a_tag() {
    let (program, child) = (Program::new(), arm());
    let (from, to) = (
        Server::of(store_with("demo", &two_platforms())).await,
        Server::empty().await,
    );
    let digest = child.digest();
    let source = format!("{}/demo@{digest}", from.address);
    let destination = format!("{}/demo@{digest}", to.address);
    program.copy(&[&source, &destination]).await;
    program
        .copy(&[&destination, &format!("oci:layout@{digest}")])
        .await;
    program
        .copy(&[&format!("oci:layout@{digest}"), "oci:tagged:v1"])
        .await;
    assert_only(&program.path("tagged"), "v1", &child);
    // Nothing has a tag before that.
    let puts = to.requests(&Method::PUT, "/v2/demo/manifests/");
    let paths: Vec<&str> = puts.iter().map(|put| put.uri.path()).collect();
    assert_eq!(paths, [format!("/v2/demo/manifests/{digest}")]);
    let entry = &crate::compared::listed(&program.path("layout"))[0];
    assert!(entry["annotations"].is_null(), "{entry}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_has_to_lead_to_the_digest_that_is_given_with_it() {
    let (program, index) = (Program::new(), two_platforms());
    let (from, to) = (
        Server::of(store_with("demo", &index)).await,
        Server::empty().await,
    );
    let right = index.digest();
    let wrong = Algorithm::Sha256.digest("something else");
    let also_right = Algorithm::Sha512.digest(index.manifest().bytes());
    let source = |digest| format!("{}/demo:latest@{digest}", from.address);
    let destination = |digest| format!("{}/demo:v1@{digest}", to.address);

    for digest in [right, &also_right] {
        program
            .copy(&[&source(*digest), &destination(*digest)])
            .await;
    }
    // The tag was asked for.
    assert!(
        from.requests(&Method::GET, "/v2/demo/manifests/latest")
            .len()
            == 2
    );
    let count = || to.requests(&Method::PUT, "").len();
    let before = count();
    for (one, other, wrong_one) in [
        (source(wrong), destination(*right), source(wrong)),
        (source(*right), destination(wrong), destination(wrong)),
    ] {
        let error = program.fail(&[&one, &other]).await;
        assert_eq!(
            error,
            format!("{wrong_one}: the image has the digest {right}")
        );
    }
    assert_eq!(count(), before);
    let platform = ["--platform", "linux/amd64", &source(wrong), "oci:layout:v1"];
    let error = program.fail(&platform).await;
    assert!(
        error.ends_with(&format!("the image has the digest {right}")),
        "{error}"
    );
    assert!(!program.path("layout").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_moved() {
    let (program, store) = (Program::new(), store_with("demo", &two_platforms()));
    let server = Server::writable(store.clone()).await;
    let image = format!("{}/demo:latest", server.address);
    program.copy(&[&image, "oci:layout:v1"]).await;
    let newer = ImageBuilder::new().file("new", "new").build().unwrap();
    store.add_image(&name("demo"), Some(&tag("latest")), &newer);
    program.copy(&[&image, "oci:layout:v1"]).await;
    let entries = crate::compared::listed(&program.path("layout"));
    assert_eq!(entries.as_array().unwrap().len(), 1);
    assert_eq!(entries[0]["digest"], newer.digest().to_string());
}
