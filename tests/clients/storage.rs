//! Podman and buildah, which pull into a storage of their own and push out of it.

use std::fs;

use http::Method;

use crate::{
    client::Client,
    images::{assert_blobs_copied, store_with, two_platforms},
    registry::Server,
};

/// Pushes an image from the storage into an empty registry, and pulls it back.
///
/// On the way the layers are compressed, unless `uncompressed` says otherwise.
async fn pushes_and_pulls_back(program: &'static str, uncompressed: &[&str]) {
    let Some(client) = Client::find(program) else {
        return;
    };
    let index = two_platforms();
    let image = &index.children()[1];
    // The registries are two, so that nothing can be mounted.
    let origin = Server::of(store_with("demo", &index)).await;
    let server = Server::empty().await;
    let first = format!("{}/demo:latest", origin.address);
    let platform = ["--os=linux", "--arch=arm64"];
    let id = client.storage_pull(&first, &platform).await;
    assert_eq!(id, image.config().unwrap().digest.encoded());

    let second = format!("{}/team/demo:latest", server.address);
    let target = format!("docker://{second}");
    client.storage_push(&first, &target, &[]).await;
    assert_eq!(server.answers(&Method::PUT, "/manifests/"), [201]);
    client.in_storage(&["rmi", "--all", "--force"]).await;
    // An image's id is the digest of its configuration.
    assert_eq!(client.storage_pull(&second, &[]).await, id);
    client
        .storage_push(&second, "dir:stored", uncompressed)
        .await;
    assert_blobs_copied(&client.path("stored"), image).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn podman_pushes_and_pulls_back() {
    pushes_and_pulls_back("podman", &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_pushes_and_pulls_back() {
    pushes_and_pulls_back("buildah", &["--disable-compression"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_buildah_built_is_pushed_and_pulled_back() {
    let Some(buildah) = Client::find("buildah") else {
        return;
    };
    let server = Server::empty().await;
    let image = format!("{}/built:1.0", server.address);
    buildah.write("motd", "built here");
    let container = buildah.in_storage(&["from", "scratch"]).await;
    buildah
        .in_storage(&["add", &container, "motd", "/etc/motd"])
        .await;
    buildah.in_storage(&["commit", &container, &image]).await;
    let target = format!("docker://{image}");
    buildah.storage_push(&image, &target, &[]).await;
    buildah.in_storage(&["rmi", "--all", "--force"]).await;

    buildah.storage_pull(&image, &[]).await;
    let pulled = buildah.in_storage(&["from", "--pull-never", &image]).await;
    let root = buildah.in_storage(&["mount", &pulled]).await;
    let motd = fs::read(format!("{root}/etc/motd")).unwrap();
    assert_eq!(motd, b"built here");
    buildah.in_storage(&["umount", &pulled]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn buildah_pushes_all_images_of_a_list() {
    let (Some(buildah), Some(skopeo)) = (Client::find("buildah"), Client::find("skopeo")) else {
        return;
    };
    let index = two_platforms();
    let origin = Server::of(store_with("demo", &index)).await;
    let server = Server::empty().await;
    buildah
        .in_storage(&["manifest", "create", "multi:latest"])
        .await;
    let from = origin.image("demo:latest");
    let add = ["manifest", "add", "--tls-verify=false", "--all"];
    buildah
        .in_storage(&[&add[..], &["multi:latest", &from]].concat())
        .await;
    let to = server.image("team/multi:latest");
    let push = ["manifest", "push", "--tls-verify=false", "--all"];
    let policy = ["--signature-policy=policy.json"];
    buildah
        .in_storage(&[&push[..], &policy, &["multi:latest", &to]].concat())
        .await;
    assert_eq!(server.answers(&Method::PUT, "/manifests/"), [201; 3]);
    // It compresses the layers.
    let options = ["--all", "--dest-decompress"];
    let copy = skopeo.skopeo_copy(&to, &options).await;
    for child in index.children() {
        assert_blobs_copied(&copy, child).await;
    }
}
