//! What clients pull.

use tower_oci::{LayoutSource, testing::ImageBuilder};

use crate::{
    client::Client,
    common::{name, tag},
    images::{assert_all_copied, assert_copied, assert_layout_copied, store_with, two_platforms},
    registry::Server,
};

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
    assert_all_copied(&copy, &index).await;
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

    // The index; for each of two platforms a manifest, a configuration and a layer of its own; and
    // a layer that they share.
    assert_eq!(assert_layout_copied(&layout, &copy), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_reports_what_is_not_there() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let server = Server::of(store_with("demo", &two_platforms())).await;
    for missing in ["demo:other", "unknown:latest"] {
        let image = server.image(missing);
        let errors = skopeo.fail(["inspect", "--tls-verify=false", &image]).await;
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
    client
        .storage_pull(&image, &["--os=linux", "--arch=arm64"])
        .await;
    client
        .storage_push(&image, "dir:stored", push_options)
        .await;
    let stored = client.path("stored");
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
