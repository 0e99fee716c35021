//! What clients say to their users when something cannot be done.

use tower_oci::{MemoryStore, OciRegistryService};

use crate::{
    client::Client,
    images::{store_with, two_platforms},
    layouts::write_layout,
    registry::Server,
};

/// Skopeo, with a layout in its folder that has an image for two platforms as `stable`.
async fn skopeo_with_layout() -> Option<Client> {
    let skopeo = Client::find("skopeo")?;
    write_layout(&skopeo.path("layout"), "stable", &two_platforms()).await;
    Some(skopeo)
}

async fn push(skopeo: &Client, to: &str) -> String {
    let copy = Client::copy_arguments(to, "oci:layout:stable", &["--all"]);
    skopeo.fail(copy).await
}

fn delete(image: &str) -> [&str; 3] {
    ["delete", "--tls-verify=false", image]
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_says_that_a_layout_takes_no_pushes_and_no_deletes() {
    let Some(skopeo) = skopeo_with_layout().await else {
        return;
    };
    let server = Server::with_layout("demo", &skopeo.path("layout")).await;
    let errors = push(&skopeo, &server.image("demo:other")).await;
    assert!(errors.contains("this repository is read-only"), "{errors}");
    let errors = skopeo.fail(delete(&server.image("demo:stable"))).await;
    assert!(
        errors.contains("this repository deletes nothing"),
        "{errors}"
    );
    let tags = ["list-tags", "--tls-verify=false", &server.image("demo")];
    let tags = skopeo.json(&tags).await;
    assert_eq!(tags["Tags"], serde_json::json!(["stable"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_says_why_it_cannot_push() {
    let Some(skopeo) = skopeo_with_layout().await else {
        return;
    };
    let full = MemoryStore::builder().max_bytes(1 << 20).build();
    let fixed = store_with("demo", two_platforms().children().first().unwrap());
    let fixed = OciRegistryService::writable(fixed).immutable_tags(|_, _| true);
    for (server, refusal) in [
        (
            Server::of(MemoryStore::new()).await,
            "this registry is read-only",
        ),
        (Server::writable(full).await, "507 Insufficient Storage"),
        (Server::of_service(fixed).await, "denied"),
    ] {
        let errors = push(&skopeo, &server.image("demo:latest")).await;
        assert!(errors.contains(refusal), "{refusal}: {errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn skopeo_says_that_nothing_is_deleted() {
    let Some(skopeo) = Client::find("skopeo") else {
        return;
    };
    let store = store_with("demo", &two_platforms());
    let registry = OciRegistryService::writable(store).allow_deletes(false);
    let server = Server::of_service(registry).await;
    let errors = skopeo.fail(delete(&server.image("demo:latest"))).await;
    assert!(errors.contains("this registry deletes nothing"), "{errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_without_a_tag_is_one_to_latest() {
    let Some(skopeo) = skopeo_with_layout().await else {
        return;
    };
    let server = Server::empty().await;
    let to = server.image("demo");
    skopeo.skopeo_copy_to(&to, "oci:layout:stable", &[]).await;
    let tags = skopeo.json(&["list-tags", "--tls-verify=false", &to]).await;
    assert_eq!(tags["Tags"], serde_json::json!(["latest"]));
}

// protocol 2, 3, 25 and 39: what curl prints is all that its user learns
#[tokio::test(flavor = "multi_thread")]
async fn curl_shows_what_is_wrong_with_a_request() {
    let Some(curl) = Client::find("curl") else {
        return;
    };
    let store = MemoryStore::new();
    let server = Server::writable(store.clone()).await;
    let manifest = r#"{"schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
            "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
        "layers": []}"#;
    let zeros = format!("sha256:{}", "0".repeat(64));
    let with_other_digest = format!("/v2/demo/blobs/uploads/?digest={zeros}");
    for (method, path, body, code, message) in [
        (
            "POST",
            "/v2/Demo/blobs/uploads/",
            "",
            "NAME_INVALID",
            "Demo",
        ),
        (
            "PUT",
            "/v2/demo/manifests/",
            manifest,
            "UNSUPPORTED",
            "/demo/manifests/",
        ),
        (
            "PUT",
            "/v2/demo/manifests/.x",
            manifest,
            "MANIFEST_INVALID",
            ".x",
        ),
        (
            "PUT",
            "/v2/demo/manifests/x",
            "no json",
            "MANIFEST_INVALID",
            "JSON",
        ),
        (
            "PUT",
            "/v2/demo/manifests/x",
            manifest,
            "MANIFEST_BLOB_UNKNOWN",
            "44136fa355b3",
        ),
        (
            "POST",
            &with_other_digest,
            "hello",
            "DIGEST_INVALID",
            &zeros,
        ),
        ("POST", "/demo/blobs/uploads/", "", "UNSUPPORTED", "/v2"),
    ] {
        let url = server.url(path);
        let headers = [
            "--header",
            "Content-Type: application/vnd.oci.image.manifest.v1+json",
        ];
        let send = ["--silent", "--request", method, "--data-binary", body, &url];
        let shown = curl.run(headers.iter().chain(&send)).await;
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains(code), "{method} {path}: {shown}");
        assert!(shown.contains(message), "{method} {path}: {shown}");
    }
    assert_eq!(store.used_bytes(), 0);
    let all = tower_oci::Page::first(1);
    let repositories = tower_oci::BlobSource::repositories(&store, all).await;
    assert!(repositories.unwrap().items.is_empty());
}
