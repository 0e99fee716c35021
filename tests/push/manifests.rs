//! Manifests: what is taken, and what becomes of it.

use super::*;

const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image of one layer, all of which is in `demo`.
async fn image(registry: &Registry) -> Value {
    let config = push_blob(registry, "demo", "{}").await;
    let layer = push_blob(registry, "demo", "layer").await;
    json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(OCI_CONFIG, config, 2),
        "layers": [descriptor(OCI_LAYER, layer, 5)],
    })
}

/// A copy of `document`, with these fields.
fn with(document: &Value, fields: &Value) -> Value {
    let mut document = document.clone();
    let fields = fields.as_object().unwrap().clone();
    document.as_object_mut().unwrap().extend(fields);
    document
}

/// Pushes a document by tag and by both kinds of digest, and asserts that it can be pulled.
async fn assert_accepted(registry: &Registry, content_type: &str, document: &str) {
    for (reference, digest) in [
        ("latest".to_owned(), sha256(document)),
        (sha256(document).to_string(), sha256(document)),
        (sha512(document).to_string(), sha512(document)),
    ] {
        let target = ("demo", &*reference);
        let answer = push_document(registry, target, content_type, document.to_owned()).await;
        let pushed = (content_type, document.as_bytes());
        assert_pushed(registry, &answer, ("demo", digest), pushed).await;
    }
    let latest = tagged(registry, "demo", "latest").await;
    assert_eq!(latest, sha256(document).to_string());
}

// protocol 35, 36, 38, 78 and 79, section 3 items 4 and 12
#[tokio::test]
async fn images_of_every_kind_are_accepted_and_come_back_in_their_exact_bytes() {
    let registry = registry();
    let image = image(&registry).await;
    let (config, layer) = (&image["config"], &image["layers"][0]);
    let empty = descriptor(OCI_LAYER, push_blob(&registry, "demo", "").await, 0);
    let missing = descriptor(MANIFEST, sha256("missing"), 7);
    let of_helm = json!({ "mediaType": "application/vnd.cncf.helm.config.v1+json" });
    for fields in [
        json!({}),
        json!({ "layers": [layer, empty] }),
        json!({ "layers": [] }),
        json!({ "layers": [layer, layer] }),
        json!({ "layers": [with(layer, &json!({ "size": 9_999 }))] }),
        json!({ "layers": [with(layer, &json!({ "annotations": { "a": 5 }, "new": {} }))] }),
        json!({ "config": with(config, &json!({ "data": "e30=" })) }),
        json!({ "config": with(config, &of_helm), "annotations": { "a": "b" } }),
        json!({ "artifactType": "text/x-a" }),
        json!({ "subject": missing }),
        json!({ "new": [1.50, null, { "x": "\u{e4}" }] }),
    ] {
        let document = with(&image, &fields).to_string();
        assert_accepted(&registry, MANIFEST, &document).await;
    }
}

// protocol 73 and 78
#[tokio::test]
async fn images_of_docker_and_those_that_do_not_say_what_they_are_are_accepted() {
    let registry = registry();
    let image = image(&registry).await;
    let (config, layers) = (&image["config"], &image["layers"]);
    let docker = json!({ "mediaType": "application/vnd.docker.container.image.v1+json" });
    let docker = json!({ "mediaType": DOCKER_MANIFEST, "config": with(config, &docker) });
    for (content_type, document) in [
        (DOCKER_MANIFEST, with(&image, &docker)),
        // Old charts of helm.
        (
            MANIFEST,
            json!({ "schemaVersion": 2, "config": config, "layers": layers }),
        ),
        (
            DOCKER_MANIFEST,
            json!({ "config": config, "layers": layers }),
        ),
    ] {
        assert_accepted(&registry, content_type, &document.to_string()).await;
    }
}

// protocol 35, 38, 73 and 77, section 3 item 12
#[tokio::test]
async fn indexes_of_every_kind_are_accepted_and_come_back_in_their_exact_bytes() {
    let registry = registry();
    let child = image(&registry).await.to_string();
    push_document(&registry, ("demo", "child"), MANIFEST, child.clone()).await;
    let bare = descriptor(MANIFEST, sha256(&child), child.len());
    let on_arm = json!({ "platform": { "os": "linux", "architecture": "arm64", "new": true } });
    let attestation = json!({
        "platform": { "os": "unknown", "architecture": "unknown" },
        "annotations": { "vnd.docker.reference.type": "attestation-manifest" },
    });
    let entries = [with(&bare, &on_arm), with(&bare, &attestation)];
    let inner = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries });
    let inner_text = inner.to_string();
    push_document(&registry, ("demo", "inner"), INDEX, inner_text.clone()).await;
    let nested = descriptor(INDEX, sha256(&inner_text), inner_text.len());
    let missing = descriptor(MANIFEST, sha256("missing"), 7);
    for fields in [
        json!({}),
        json!({ "manifests": [] }),
        json!({ "manifests": [bare] }),
        json!({ "manifests": [nested, bare], "annotations": { "a": "b" } }),
        json!({ "artifactType": "text/x-a", "unknown": {} }),
        json!({ "subject": missing }),
    ] {
        let document = with(&inner, &fields).to_string();
        assert_accepted(&registry, INDEX, &document).await;
    }
    let list = with(&inner, &json!({ "mediaType": DOCKER_LIST })).to_string();
    assert_accepted(&registry, DOCKER_LIST, &list).await;
    let bare = json!({ "schemaVersion": 2, "manifests": [bare] }).to_string();
    assert_accepted(&registry, INDEX, &bare).await;
}

// protocol 36 and 68; pitfalls: digest changed by re-serializing a manifest
#[tokio::test]
async fn odd_whitespace_order_and_escapes_stay_as_they_are() {
    let registry = registry();
    for document in [
        "\n {\t\"manifests\" :[ ],\r\n \"schemaVersion\":2, \"b\":1.0e0,\"a\":\"\\u0041\\/\" }\n\n",
        "{}",
        "{\"annotations\":{\"z\":\"1\",\"a\":\"2\"},\"schemaVersion\":2}",
    ] {
        assert_accepted(&registry, INDEX, document).await;
    }
}

// protocol 41, 73 and 78; pitfalls: a media type that is not on a list
#[tokio::test]
async fn a_manifest_may_have_any_media_type() {
    let registry = registry();
    for content_type in [
        "application/vnd.oci.artifact.manifest.v1+json",
        "application/vnd.example.thing",
        "application/json",
        "text/plain",
        "a/b",
    ] {
        // Nobody here knows what it is made of, nor which version it has.
        let layers = [descriptor("a/b", sha256("missing"), 7)];
        let document = match content_type {
            "application/vnd.oci.artifact.manifest.v1+json" => json!({ "blobs": [] }),
            _ => json!({ "mediaType": content_type, "schemaVersion": "1.0", "layers": layers }),
        };
        assert_accepted(&registry, content_type, &document.to_string()).await;
    }
}

// protocol 36; section 4: Content-Type with charset
#[tokio::test]
async fn parameters_of_the_content_type_are_ignored() {
    let registry = registry();
    let document = empty_index("parameters");
    for parameters in ["; charset=utf-8", ";charset=\"utf-8\" ; q=1", " ;", ";"] {
        let content_type = format!("{INDEX}{parameters}");
        let target = ("demo", "latest");
        let answer = push_document(&registry, target, &content_type, document.clone()).await;
        let digest = sha256(&document);
        let pushed = (INDEX, document.as_bytes());
        assert_pushed(&registry, &answer, ("demo", digest), pushed).await;
    }
}

// protocol 41; section 4: manifest without Content-Type
#[tokio::test]
async fn without_a_content_type_that_of_the_document_counts() {
    let registry = registry();
    for media_type in [INDEX, DOCKER_LIST, "application/vnd.example.thing"] {
        let document = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": [] });
        let document = document.to_string();
        let target = ("demo", "latest");
        let answer = push_document(&registry, target, "", document.clone()).await;
        let pushed = (media_type, document.as_bytes());
        assert_pushed(&registry, &answer, ("demo", sha256(&document)), pushed).await;
    }
}

// protocol 35; pitfalls: a tag cannot move from an image to an index
#[tokio::test]
async fn a_tag_moves_to_whatever_is_pushed_to_it_and_the_old_manifest_stays() {
    let registry = registry();
    let documents = [
        (MANIFEST, image(&registry).await.to_string()),
        (INDEX, empty_index("an index")),
        ("application/vnd.example.thing", "{}".to_owned()),
    ];
    for (content_type, document) in documents.iter().chain(&documents) {
        let target = ("demo", "latest");
        push_document(&registry, target, content_type, document.clone()).await;
        let got = get(&registry, "/v2/demo/manifests/latest").await;
        assert_eq!(got.header("content-type"), *content_type);
        assert_eq!(got.body, document);
    }
    for (content_type, document) in &documents {
        let uri = format!("/v2/demo/manifests/{}", sha256(document));
        assert_eq!(
            get(&registry, &uri).await.header("content-type"),
            *content_type
        );
    }
    // With those that it has left it has nothing to do any more.
    for (_, document) in &documents[..2] {
        let uri = format!("/v2/demo/manifests/{}", sha256(document));
        assert_eq!(ask(&registry, "DELETE", &uri, &[]).await.status, 202);
    }
    let tags = get(&registry, "/v2/demo/tags/list").await;
    assert_eq!(tags.body, r#"{"name":"demo","tags":["latest"]}"#);
    let last = sha256(&documents[2].1).to_string();
    assert_eq!(tagged(&registry, "demo", "latest").await, last);
}

#[tokio::test]
async fn the_same_bytes_with_another_type_have_the_newest() {
    let registry = registry();
    for content_type in [INDEX, DOCKER_LIST, INDEX] {
        let document = r#"{"schemaVersion":2,"manifests":[]}"#;
        let answer = push_document(&registry, ("demo", "a"), content_type, document).await;
        let pushed = (content_type, document.as_bytes());
        assert_pushed(&registry, &answer, ("demo", sha256(document)), pushed).await;
    }
}

// protocol 81
#[tokio::test]
async fn a_manifest_that_broke_off_is_not_stored_and_can_be_sent_again() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let headers = [("content-type", INDEX)];
    let uri = "/v2/demo/manifests/latest";
    // What has arrived is a manifest by itself.
    let answer = send_body(&registry, "PUT", uri, &headers, broken("{}")).await;
    answer.assert_error(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(store.used_bytes(), 0);
    let answer = send_body(&registry, "PUT", uri, &headers, pieces(["{", "}"])).await;
    assert_pushed(&registry, &answer, ("demo", sha256("{}")), (INDEX, b"{}")).await;
}
