//! Copies between two repositories of one registry, where layers need not be sent.

use http::Method;
use tower_oci::OciRegistryService;

use crate::{
    client::Client,
    images::{assert_all_copied, store_with, two_platforms},
    layouts::write_layout,
    registry::Server,
};

const ALL: &[&str] = &["--all", "--preserve-digests"];

/// Copies `one:latest` to `two:latest` in `server`, after skopeo has learnt what `one` has, and
/// compares what `two` has then with what was sent.
async fn copy_between(skopeo: &Client, server: &Server) {
    let one = server.image("one:latest");
    skopeo.skopeo_copy_to("dir:seen", &one, ALL).await;
    let two = server.image("two:latest");
    skopeo.skopeo_copy_to(&two, &one, ALL).await;
    let copy = skopeo.skopeo_copy(&two, ALL).await;
    assert_all_copied(&copy, &two_platforms()).await;
}

// protocol 32 and 87
#[tokio::test(flavor = "multi_thread")]
async fn skopeo_mounts_layers_from_the_repository_that_it_copies_from() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let store = store_with("one", &two_platforms());
    let server = Server::writable(store).await;
    copy_between(&skopeo, &server).await;
    // One that both platforms share, and one of each; configurations are sent.
    let mounts = server.answers(&Method::POST, "from=one");
    assert_eq!(mounts, [201, 201, 201]);
    let uploads = server.answers(&Method::PUT, "/v2/two/blobs/uploads/");
    assert_eq!(uploads, [201, 201]);
}

// protocol 32 and 87: what cannot be mounted is a session, which skopeo gives up, and uploads
#[tokio::test(flavor = "multi_thread")]
async fn skopeo_uploads_layers_that_cannot_be_mounted_from_a_layout() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let layout = skopeo.path("layout");
    write_layout(&layout, "latest", &two_platforms()).await;
    let server = Server::with_layout("one", &layout).await;
    copy_between(&skopeo, &server).await;
    let mounts = server.requests(&Method::POST, "from=one");
    assert_eq!(server.answers(&Method::POST, "from=one"), [202, 202, 202]);
    for mount in &mounts {
        let session = mount.answered["location"].to_str().unwrap();
        assert_eq!(server.answers(&Method::DELETE, session), [204], "{session}");
    }
    let uploads = server.answers(&Method::PUT, "/v2/two/blobs/uploads/");
    assert_eq!(uploads, [201; 5]);
}

// protocol 33: curl, because no client that Debian packages mounts without a name
#[tokio::test(flavor = "multi_thread")]
async fn a_mount_without_a_name_finds_what_was_pushed() {
    let Some(curl) = Client::find("curl") else {
        return;
    };
    let index = two_platforms();
    let registry = OciRegistryService::writable(store_with("one", &index));
    let server = Server::of_service(registry.allow_anonymous_mounts(true)).await;
    let layer = index.children()[0].layers()[0].digest;
    let url = server.url(&format!("/v2/two/blobs/uploads/?mount={layer}"));
    curl.run(["--silent", "--fail", "--request", "POST", &url])
        .await;
    assert_eq!(server.answers(&Method::POST, "mount="), [201]);
    let url = server.url(&format!("/v2/two/blobs/{layer}"));
    let got = curl.run(["--silent", "--fail", &url]).await;
    assert!(layer.verifies(got));
}
