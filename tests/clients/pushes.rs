//! What skopeo pushes.

use std::path::Path;

use http::Method;
use serde_json::Value;
use tower_oci::{Algorithm, Image, MediaType, testing::ImageBuilder};

use crate::{
    client::Client,
    images::{
        assert_all_copied, assert_blobs_copied, assert_copied, assert_layout_copied, store_with,
        two_platforms,
    },
    layouts::write_layout,
    registry::Server,
};

/// Skopeo, with a layout in its folder that has `image` as `stable`.
async fn skopeo_with(image: &Image) -> Option<Client> {
    let skopeo = Client::find("skopeo")?;
    write_layout(&skopeo.path("layout"), "stable", image).await;
    Some(skopeo)
}

/// What keeps skopeo from compressing layers on the way.
const AS_IT_IS: &[&str] = &["--all", "--preserve-digests"];

/// Every push of a manifest was answered with 201, and there was one.
fn assert_manifests_created(server: &Server, count: usize) {
    let answers = server.answers(&Method::PUT, "/manifests/");
    assert_eq!(answers, vec![201; count]);
}

// protocol 35, 80 and 82
#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_all_platforms_and_pulls_them_back_byte_for_byte() {
    let index = two_platforms();
    let Some(skopeo) = skopeo_with(&index).await else {
        return;
    };
    let server = Server::empty().await;
    let image = server.image("team/demo:stable");
    skopeo
        .skopeo_copy_to(&image, "oci:layout:stable", AS_IT_IS)
        .await;
    // Both images by digest, and the index by its tag.
    assert_manifests_created(&server, 3);
    let copy = skopeo.skopeo_copy(&image, &["--all"]).await;
    assert_all_copied(&copy, &index).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layout_that_skopeo_wrote_is_pushed_and_pulled_back_byte_for_byte() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let origin = Server::of(store_with("demo", &two_platforms())).await;
    let from = origin.image("demo:latest");
    // On the way into a layout skopeo compresses the layers.
    skopeo
        .skopeo_copy_to("oci:layout:stable", &from, &["--all"])
        .await;
    let server = Server::empty().await;
    let image = server.image("team/demo:stable");
    skopeo
        .skopeo_copy_to(&image, "oci:layout:stable", &["--all"])
        .await;
    let copy = skopeo.skopeo_copy(&image, &["--all"]).await;
    // As in the layout that is pulled.
    assert_eq!(assert_layout_copied(&skopeo.path("layout"), &copy), 8);
}

// protocol 80: the length of what is compressed while it is sent is not known
#[tokio::test(flavor = "multi_thread")]
async fn skopeo_compresses_layers_while_it_pushes_them() {
    let image = two_platforms().children()[0].clone();
    let Some(skopeo) = skopeo_with(&image).await else {
        return;
    };
    let server = Server::empty().await;
    let pushed = server.image("demo:latest");
    skopeo
        .skopeo_copy_to(&pushed, "oci:layout:stable", &[])
        .await;
    let pieces = server.requests(&Method::PATCH, "/v2/demo/blobs/uploads/");
    let chunked = pieces.iter().filter(|piece| {
        let encoding = piece.headers.get("transfer-encoding");
        piece.status == 202 && encoding.is_some_and(|encoding| encoding == "chunked")
    });
    assert_eq!(chunked.count(), image.layers().len());
    let copy = skopeo.skopeo_copy(&pushed, &["--dest-decompress"]).await;
    assert_blobs_copied(&copy, &image).await;
}

// protocol 73
#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_docker_schema_2_images_and_lists() {
    let index = two_platforms();
    let Some(skopeo) = skopeo_with(&index).await else {
        return;
    };
    let server = Server::empty().await;
    let docker = "application/vnd.docker.distribution.manifest";
    for (options, kind) in [
        (&["--format=v2s2"][..], ""),
        (&["--format=v2s2", "--all"], ".list"),
    ] {
        let image = server.image(&format!("docker{kind}:latest"));
        skopeo
            .skopeo_copy_to(&image, "oci:layout:stable", options)
            .await;
        let raw = ["inspect", "--raw", "--tls-verify=false", &image];
        let manifest = skopeo.run(raw).await;
        let media_type = format!("{docker}{kind}.v2+json");
        let json: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(json["mediaType"], media_type.as_str());
        let pulled = server.requests(&Method::GET, "/manifests/latest");
        let pulled = pulled.last().unwrap();
        assert_eq!(pulled.answered["content-type"], media_type.as_str());
        let to = format!("dir:copy{kind}");
        skopeo.skopeo_copy_to(&to, &image, &["--all"]).await;
        let copied = skopeo.read(&format!("copy{kind}/manifest.json"));
        assert!(manifest == copied, "{media_type} differs");
    }
    let copy = skopeo.path("copy.list");
    for child in index.children() {
        let config = child.config().unwrap();
        let encoded = config.digest.encoded();
        assert!(copy.join(&encoded).is_file(), "{encoded} was not copied");
    }
}

// protocol 38, 42, 49 and 51
#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_skopeo_pushed_is_listed_with_its_subject() {
    let subject = two_platforms();
    let artifact = ImageBuilder::artifact("application/vnd.example.notes".parse().unwrap())
        .layer("text/plain".parse().unwrap(), "some notes")
        .annotation("org.example.author", "somebody")
        .subject(&subject)
        .build()
        .unwrap();
    let (Some(skopeo), Some(curl)) = (skopeo_with(&artifact).await, Client::find("curl")) else {
        return;
    };
    write_layout(&skopeo.path("subject"), "stable", &subject).await;
    let server = Server::empty().await;
    // The artifact comes first: its subject need not be there.
    for (from, to) in [("layout", "notes"), ("subject", "latest")] {
        let (from, to) = (
            format!("oci:{from}:stable"),
            server.image(&format!("demo:{to}")),
        );
        skopeo.skopeo_copy_to(&to, &from, AS_IT_IS).await;
    }
    let pushed = server.requests(&Method::PUT, "/v2/demo/manifests/notes");
    let digest = subject.digest().to_string();
    assert_eq!(pushed[0].answered["oci-subject"], digest.as_str());

    let url = server.url(&format!("/v2/demo/referrers/{digest}"));
    let listed = curl.json(&["--silent", "--fail", &url]).await;
    assert_eq!(
        listed["manifests"],
        serde_json::json!([{
            "mediaType": MediaType::OCI_MANIFEST.as_str(),
            "digest": artifact.digest().to_string(),
            "size": artifact.manifest().size(),
            "artifactType": "application/vnd.example.notes",
            "annotations": {"org.example.author": "somebody"},
        }])
    );
    let copy = skopeo.skopeo_copy(&server.image("demo:notes"), &[]).await;
    assert_copied(&copy, "manifest.json", &artifact).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_pushes_and_pulls_a_layer_without_a_byte() {
    let image = ImageBuilder::new()
        .layer(MediaType::OCI_LAYER, "")
        .file("etc/motd", "hello");
    let image = image.build().unwrap();
    let Some(skopeo) = skopeo_with(&image).await else {
        return;
    };
    let server = Server::empty().await;
    let pushed = server.image("demo:latest");
    skopeo
        .skopeo_copy_to(&pushed, "oci:layout:stable", AS_IT_IS)
        .await;
    let copy = skopeo.skopeo_copy(&pushed, &[]).await;
    assert_copied(&copy, "manifest.json", &image).await;
    let empty = Algorithm::Sha256.digest("").encoded();
    assert_eq!(length(&copy.join(empty)), 0);
}

fn length(file: &Path) -> u64 {
    file.metadata().unwrap().len()
}

// protocol 57, 58 and 100
#[tokio::test(flavor = "multi_thread")]
async fn what_skopeo_deletes_is_gone_and_can_be_pushed_again() {
    let index = two_platforms();
    let Some(skopeo) = skopeo_with(&index).await else {
        return;
    };
    let server = Server::empty().await;
    let image = |tag: &str| server.image(&format!("demo:{tag}"));
    for tag in ["one", "two"] {
        skopeo
            .skopeo_copy_to(&image(tag), "oci:layout:stable", AS_IT_IS)
            .await;
    }
    skopeo
        .run(["delete", "--tls-verify=false", &image("one")])
        .await;
    // It deletes what the tag points at, and so both tags.
    for tag in ["one", "two"] {
        let raw = ["inspect", "--raw", "--tls-verify=false", &image(tag)];
        let errors = skopeo.fail(raw).await;
        assert!(errors.contains("manifest unknown"), "{errors}");
    }
    let tags = ["list-tags", "--tls-verify=false", &server.image("demo")];
    assert_eq!(skopeo.json(&tags).await["Tags"], serde_json::json!([]));

    skopeo
        .skopeo_copy_to(&image("three"), "oci:layout:stable", AS_IT_IS)
        .await;
    let copy = skopeo.skopeo_copy(&image("three"), &["--all"]).await;
    assert_all_copied(&copy, &index).await;
}
