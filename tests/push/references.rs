//! What a manifest refers to: its parts, which have to be there, and its subject, which need not.

use super::*;

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The digests in the details of an error, each asserted to be a blob that is unknown.
fn unknown(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 400, "{answer:?}");
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    let digest = |error: &Value| {
        assert_eq!(error["code"], "MANIFEST_BLOB_UNKNOWN");
        error["detail"]["digest"].as_str().unwrap().to_owned()
    };
    errors.iter().map(digest).collect()
}

fn image(config: &Value, layers: &[Value]) -> String {
    json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers })
        .to_string()
}

fn index(entries: &[Value]) -> String {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string()
}

fn type_of(document: &str) -> &'static str {
    if document.contains("layers") {
        MANIFEST
    } else {
        INDEX
    }
}

/// Pushes a document by tag and by digest, and asserts that it is refused for what is missing, and
/// that nothing of it is there.
async fn assert_missing(registry: &Registry, document: &str, missing: &[String]) {
    let digest = sha256(document);
    for reference in [
        "refused".to_owned(),
        digest.to_string(),
        format!("{digest}?tag=refused"),
    ] {
        let target = ("demo", &*reference);
        let document = document.to_owned();
        let answer = push_document(registry, target, type_of(&document), document).await;
        assert_eq!(unknown(&answer), missing);
        assert_eq!(answer.header("oci-subject"), "");
    }
    assert_no_manifest(registry, "demo", "refused").await;
    assert_no_manifest(registry, "demo", digest).await;
}

async fn assert_accepted(registry: &Registry, document: &str) {
    let target = ("demo", "accepted");
    let content_type = type_of(document);
    let answer = push_document(registry, target, content_type, document.to_owned()).await;
    let pushed = (content_type, document.as_bytes());
    assert_pushed(registry, &answer, ("demo", sha256(document)), pushed).await;
}

// protocol 39
#[tokio::test]
async fn every_part_that_is_missing_is_told_once() {
    let registry = registry();
    let there = push_blob(&registry, "demo", "there").await;
    let there = descriptor(LAYER, there, 5);
    let [a, b] = ["a", "b"].map(|missing| descriptor(LAYER, sha512(missing), 1));
    let [of_a, of_b] = ["a", "b"].map(|missing| sha512(missing).to_string());
    let layers = [there.clone(), b.clone(), a.clone(), b.clone()];
    let document = image(&a, &layers);
    assert_missing(&registry, &document, &[of_a.clone(), of_b.clone()]).await;
    let document = image(&there, &layers);
    assert_missing(&registry, &document, &[of_b.clone(), of_a.clone()]).await;
    assert_missing(&registry, &image(&b, &[]), std::slice::from_ref(&of_b)).await;
    assert_missing(&registry, &index(&[a, b]), &[of_a, of_b]).await;
    assert_accepted(&registry, &image(&there, &[])).await;
}

// protocol 39
#[tokio::test]
async fn at_most_100_parts_that_are_missing_are_told() {
    let registry = registry();
    let config = push_blob(&registry, "demo", "{}").await;
    let config = descriptor(LAYER, config, 2);
    for count in [99, 100, 101, 1_000] {
        let digests: Vec<_> = (0..count).map(|layer| sha256(format!("{layer}"))).collect();
        let layers: Vec<_> = digests
            .iter()
            .map(|digest| descriptor(LAYER, digest, 1))
            .collect();
        let told: Vec<_> = digests.iter().take(100).map(ToString::to_string).collect();
        assert_missing(&registry, &image(&config, &layers), &told).await;
    }
}

// protocol 39; pitfalls: membership per repository
#[tokio::test]
async fn parts_have_to_be_in_the_same_repository_and_of_their_kind() {
    let registry = registry();
    let [blob, child] = ["blob".to_owned(), empty_index("child")];
    push_blob(&registry, "other", blob.clone()).await;
    push_document(&registry, ("other", "child"), INDEX, child.clone()).await;
    let of_blob = descriptor(LAYER, sha256(&blob), blob.len());
    let of_child = descriptor(INDEX, sha256(&child), child.len());
    let missing = sha256(&blob).to_string();
    assert_missing(&registry, &image(&of_blob, &[]), &[missing]).await;
    let missing = sha256(&child).to_string();
    assert_missing(
        &registry,
        &index(std::slice::from_ref(&of_child)),
        std::slice::from_ref(&missing),
    )
    .await;

    push_document(&registry, ("demo", "child"), INDEX, child.clone()).await;
    assert_accepted(&registry, &index(std::slice::from_ref(&of_child))).await;
    // A manifest is no layer.
    assert_missing(&registry, &image(&of_child, &[]), &[missing]).await;

    push_blob(&registry, "demo", blob).await;
    assert_accepted(&registry, &image(&of_blob, &[])).await;
}

// protocol 39 and 59
#[tokio::test]
async fn a_part_that_was_deleted_is_missing_again() {
    let registry = registry();
    let digest = push_blob(&registry, "demo", "{}").await;
    let config = descriptor(LAYER, digest, 2);
    let document = image(&config, &[]);
    assert_accepted(&registry, &document).await;
    let uri = format!("/v2/demo/blobs/{digest}");
    assert_eq!(ask(&registry, "DELETE", &uri, &[]).await.status, 202);
    let changed = image(&config, std::slice::from_ref(&config));
    assert_missing(&registry, &changed, &[digest.to_string()]).await;
}

// protocol 39, section 3 item 12
#[tokio::test]
async fn layers_that_are_elsewhere_may_be_missing() {
    let registry = registry();
    let config = push_blob(&registry, "demo", "{}").await;
    let config = descriptor(LAYER, config, 2);
    let oci = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    let elsewhere: Vec<_> = [
        oci,
        &format!("{oci}+gzip"),
        &format!("{oci}+zstd"),
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        LAYER,
    ]
    .into_iter()
    .map(|media_type| {
        let mut layer = descriptor(media_type, sha256(media_type), 1);
        layer["urls"] = json!(["https://example.com/layer"]);
        layer
    })
    .collect();
    assert_accepted(&registry, &image(&config, &elsewhere)).await;
    let mut layers = elsewhere;
    layers.push(descriptor(LAYER, sha256("missing"), 7));
    let missing = [sha256("missing").to_string()];
    assert_missing(&registry, &image(&config, &layers), &missing).await;
}

// protocol 76
#[tokio::test]
async fn an_index_may_list_plain_blobs_as_the_caches_of_buildkit_do() {
    let registry = registry();
    let [layer, config] = ["layer", "{}"].map(|content| (content.len(), sha256(content)));
    let entries = [
        descriptor(
            "application/vnd.oci.image.layer.v1.tar+gzip",
            layer.1,
            layer.0,
        ),
        descriptor(
            "application/vnd.buildkit.cacheconfig.v0",
            config.1,
            config.0,
        ),
    ];
    let document = index(&entries);
    let missing = [layer.1.to_string(), config.1.to_string()];
    assert_missing(&registry, &document, &missing).await;
    push_blob(&registry, "demo", "layer").await;
    assert_missing(&registry, &document, &missing[1..]).await;
    push_blob(&registry, "demo", "{}").await;
    assert_accepted(&registry, &document).await;
}

// protocol 39, section 3 item 12
#[tokio::test]
async fn a_sparse_manifest_is_an_option() {
    let registry = registry();
    let missing = descriptor(LAYER, sha256("missing"), 7);
    let child = descriptor(MANIFEST, sha256("child"), 5);
    for document in [
        image(&missing, std::slice::from_ref(&missing)),
        index(&[child]),
    ] {
        let sparse = registry.clone().allow_sparse_manifests(true);
        let whole = registry.clone().allow_sparse_manifests(false);
        let digest = sha256(if document.contains("layers") {
            "missing"
        } else {
            "child"
        });
        for registry in [&registry, &whole] {
            assert_missing(registry, &document, &[digest.to_string()]).await;
        }
        assert_accepted(&sparse, &document).await;
        // What makes no sense is refused all the same.
        let broken = document.replace("sha256:", "sha256:0");
        let target = ("demo", "broken");
        let answer = push_document(&sparse, target, type_of(&broken), broken).await;
        answer.assert_error(400, "MANIFEST_INVALID");
    }
}

// protocol 38 and 42, section 3 items 3 and 13; pitfalls: sha512
#[tokio::test]
async fn the_subject_need_not_exist_and_the_answer_names_it_by_tag_and_by_digest() {
    let registry = registry();
    let config = push_blob(&registry, "demo", "{}").await;
    let config = descriptor(LAYER, config, 2);
    for subject in [sha256("subject"), sha512("subject")] {
        let of_subject = descriptor(MANIFEST, subject, 7);
        let thing = "application/vnd.example.thing";
        let documents = [
            json!({ "mediaType": MANIFEST, "config": config, "layers": [], "subject": of_subject }),
            json!({ "mediaType": INDEX, "manifests": [], "subject": of_subject }),
            json!({ "mediaType": thing, "subject": of_subject }),
        ];
        let mut referrers = Vec::new();
        for document in documents {
            let media_type = document["mediaType"].as_str().unwrap().to_owned();
            let document = document.to_string();
            let digest = sha256(&document);
            for reference in ["a", &digest.to_string(), &format!("{digest}?tag=b")] {
                let target = ("demo", reference);
                let answer = push_document(&registry, target, &media_type, document.clone()).await;
                assert_eq!(answer.status, 201);
                assert_eq!(answer.header("oci-subject"), subject.to_string());
            }
            referrers.push(digest.to_string());
        }
        let listed = get(&registry, &format!("/v2/demo/referrers/{subject}"))
            .await
            .json();
        let listed = listed["manifests"].as_array().unwrap().clone();
        let mut listed: Vec<_> = listed.iter().map(|entry| entry["digest"].clone()).collect();
        listed.sort_by_key(ToString::to_string);
        referrers.sort();
        assert_eq!(listed, referrers);
    }
    let target = ("demo", "alone");
    let answer = push_document(&registry, target, INDEX, empty_index("alone")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("oci-subject")),
        (201, "")
    );
}

// protocol 39: the subject is no part
#[tokio::test]
async fn a_missing_subject_is_not_told_among_the_missing_parts() {
    let registry = registry();
    let part = descriptor(MANIFEST, sha256("part"), 4);
    let subject = descriptor(MANIFEST, sha256("subject"), 7);
    let document = json!({ "manifests": [part], "subject": subject }).to_string();
    assert_missing(&registry, &document, &[sha256("part").to_string()]).await;
    let uri = format!("/v2/demo/referrers/{}", sha256("subject"));
    assert_eq!(get(&registry, &uri).await.json()["manifests"], json!([]));
}

// pitfalls: concurrent pushes lose one
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn referrers_that_are_pushed_at_once_are_all_listed() {
    let registry = registry();
    let subject = sha256("subject");
    let pushes = (0..50).map(|number| {
        let registry = registry.clone();
        tokio::spawn(async move {
            let subject = descriptor(MANIFEST, subject, 7);
            let document = json!({ "subject": subject, "annotations": { "number": number } });
            let reference = format!("tag{number}");
            let target = ("demo", &*reference);
            let answer = push_document(&registry, target, INDEX, document.to_string()).await;
            assert_eq!(answer.header("oci-subject"), sha256("subject").to_string());
            answer.header("docker-content-digest").to_owned()
        })
    });
    let pushes: Vec<_> = pushes.collect();
    let mut pushed = Vec::new();
    for push in pushes {
        pushed.push(push.await.unwrap());
    }
    pushed.sort();
    let listed = get(&registry, &format!("/v2/demo/referrers/{subject}"))
        .await
        .json();
    let listed = listed["manifests"].as_array().unwrap().iter();
    let listed: Vec<_> = listed
        .map(|entry| entry["digest"].as_str().unwrap())
        .collect();
    assert_eq!(listed, pushed);
}
