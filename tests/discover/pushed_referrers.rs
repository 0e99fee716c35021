//! The list of referrers, after pushes.

use super::*;

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const TYPED: &str = "application/vnd.example.config.v1+json";

/// A registry whose repository `demo` has the blob `{}`, and the descriptor of that.
async fn with_empty_config() -> (Writable, Value) {
    let registry = writable();
    let digest = push_blob(&registry, "demo", "{}").await;
    let config = json!({"mediaType": TYPED, "digest": digest.to_string(), "size": 2});
    (registry, config)
}

/// What `subject` in a manifest says of content that need not exist.
fn subject_of(digest: &Digest) -> Value {
    json!({"mediaType": IMAGE, "digest": digest.to_string(), "size": 7})
}

/// A manifest of these fields, with a subject.
fn referrer(fields: Value, subject: &Digest) -> Value {
    let mut manifest = json!({"schemaVersion": 2, "subject": subject_of(subject)});
    let Value::Object(fields) = fields else {
        unreachable!("fields are an object")
    };
    manifest.as_object_mut().unwrap().extend(fields);
    manifest
}

/// The entries of the list of referrers of `subject`.
async fn entries(registry: &Writable, subject: &Digest) -> Vec<Value> {
    let answer = get(registry, &format!("/v2/demo/referrers/{subject}")).await;
    assert_eq!((answer.status.as_u16(), next(&answer)), (200, None));
    assert_eq!(answer.header("content-type"), INDEX);
    let json = answer.json();
    assert_eq!(
        (&json["schemaVersion"], &json["mediaType"]),
        (&2.into(), &INDEX.into())
    );
    json["manifests"].as_array().unwrap().clone()
}

// protocol 42, 49, 51, section 3 item 13
#[tokio::test]
async fn a_referrer_is_listed_as_soon_as_it_is_pushed_and_its_push_says_so() {
    let (registry, config) = with_empty_config().await;
    let subject = Algorithm::Sha256.digest("subject");
    assert_eq!(entries(&registry, &subject).await, [0; 0]);
    let fields = json!({
        "mediaType": IMAGE,
        "artifactType": SBOM,
        "config": config,
        "layers": [],
        "annotations": {"a": "1", "": "", "ключ": "значение \"\\\n\u{1F980}"},
    });
    let (manifest, answer) = push_json(&registry, IMAGE, &referrer(fields.clone(), &subject)).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("oci-subject"), subject.to_string());
    let expected = json!({
        "mediaType": IMAGE,
        "digest": manifest.digest().to_string(),
        "size": manifest.size(),
        "artifactType": SBOM,
        "annotations": fields["annotations"],
    });
    assert_eq!(entries(&registry, &subject).await, [expected]);
}

// protocol 51, 78 and 99; pitfalls: referrer's artifactType missing
#[tokio::test]
async fn the_artifact_type_is_that_of_the_manifest_or_of_an_images_config() {
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let artifact = "application/vnd.oci.artifact.manifest.v1+json";
    let opaque = "application/vnd.example.manifest.v1+json";
    let (registry, config) = with_empty_config().await;
    let rows = [
        (
            IMAGE,
            json!({"artifactType": SBOM, "config": config}),
            Some(SBOM),
        ),
        (IMAGE, json!({"config": config, "layers": []}), Some(TYPED)),
        (
            IMAGE,
            json!({"artifactType": "", "config": config}),
            Some(TYPED),
        ),
        (docker, json!({"config": config, "layers": []}), Some(TYPED)),
        (
            INDEX,
            json!({"artifactType": SBOM, "manifests": []}),
            Some(SBOM),
        ),
        (INDEX, json!({"manifests": []}), None),
        (INDEX, json!({"artifactType": "", "manifests": []}), None),
        (
            artifact,
            json!({"artifactType": SBOM, "blobs": []}),
            Some(SBOM),
        ),
        (opaque, json!({"artifactType": SBOM}), Some(SBOM)),
    ];
    for (number, (media_type, fields, expected)) in rows.into_iter().enumerate() {
        let subject = Algorithm::Sha256.digest(number.to_string());
        let json = referrer(fields, &subject);
        let (_, answer) = push_json(&registry, media_type, &json).await;
        assert_eq!(answer.status, 201, "{json}: {answer:?}");
        assert_eq!(answer.header("oci-subject"), subject.to_string());
        let entries = entries(&registry, &subject).await;
        assert_eq!(entries.len(), 1, "{json}");
        let listed = entries[0]
            .get("artifactType")
            .map(|kind| kind.as_str().unwrap());
        assert_eq!(listed, expected, "{json}");
        assert_eq!(entries[0]["mediaType"], media_type);
        assert_eq!(entries[0].get("annotations"), None, "{json}");
    }
}

// protocol 51: an index without artifactType has none, whatever other fields it has
#[tokio::test]
async fn an_index_takes_no_artifact_type_from_a_field_named_config() {
    let (registry, config) = with_empty_config().await;
    let subject = Algorithm::Sha256.digest("subject");
    let json = referrer(json!({"config": config, "manifests": []}), &subject);
    let (_, answer) = push_json(&registry, INDEX, &json).await;
    assert_eq!(answer.status, 201);
    let entries = entries(&registry, &subject).await;
    assert_eq!(entries[0].get("artifactType"), None);
}

#[tokio::test]
async fn a_referrer_that_is_pushed_again_and_under_tags_is_listed_once() {
    let registry = writable();
    let subject = image("subject");
    let sbom = artifact(SBOM, &subject, "sbom");
    for tag in [None, Some("a"), Some("b"), None, Some("a")] {
        push_image(&registry, "demo", tag, &sbom).await;
    }
    let by_digest = format!("{}?tag=c&tag=d", sbom.digest());
    let answer = put_manifest(&registry, "demo", &by_digest, sbom.manifest()).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("oci-subject"), subject.digest().to_string());
    let answer = get(&registry, &uri(&subject)).await;
    assert_eq!(digests(&answer), sorted([&sbom]));
}

// The type of a manifest is what it was pushed with last.
#[tokio::test]
async fn a_referrer_that_is_pushed_again_with_another_type_has_one_entry_with_that() {
    let (registry, _) = with_empty_config().await;
    let subject = Algorithm::Sha256.digest("subject");
    let json = referrer(json!({"artifactType": SBOM}), &subject);
    for media_type in ["application/vnd.example.a", "application/vnd.example.b"] {
        let (_, answer) = push_json(&registry, media_type, &json).await;
        assert_eq!(answer.status, 201);
        let entries = entries(&registry, &subject).await;
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0]["mediaType"], media_type);
    }
}

// protocol 38 and 49
#[tokio::test]
async fn a_subject_may_be_pushed_after_its_referrers() {
    let registry = writable();
    let subject = image("subject");
    let sbom = artifact(SBOM, &subject, "sbom");
    let of_sbom = artifact("application/vnd.example.signature", &sbom, "of the sbom");
    push_image(&registry, "demo", None, &of_sbom).await;
    push_image(&registry, "demo", None, &sbom).await;
    assert_eq!(
        digests(&get(&registry, &uri(&subject)).await),
        sorted([&sbom])
    );
    push_image(&registry, "demo", Some("latest"), &subject).await;
    assert_eq!(
        digests(&get(&registry, &uri(&subject)).await),
        sorted([&sbom])
    );
    assert_eq!(
        digests(&get(&registry, &uri(&sbom)).await),
        sorted([&of_sbom])
    );
    assert_eq!(digests(&get(&registry, &uri(&of_sbom)).await), sorted([]));
}

// section 3 item 3
#[tokio::test]
async fn subjects_and_referrers_may_have_digests_of_any_algorithm() {
    let registry = writable();
    for (of_subject, of_referrer) in [
        (Algorithm::Sha256, Algorithm::Sha512),
        (Algorithm::Sha512, Algorithm::Sha256),
        (Algorithm::Sha512, Algorithm::Sha512),
    ] {
        let content = format!("{of_subject} {of_referrer}");
        let subject = ImageBuilder::new()
            .algorithm(of_subject)
            .file("a", &content);
        let subject = subject.build().unwrap();
        let referrer = ImageBuilder::artifact(SBOM.parse().unwrap()).algorithm(of_referrer);
        let referrer = referrer.subject(&subject).build().unwrap();
        push_image(&registry, "demo", None, &subject).await;
        push_image(&registry, "demo", None, &referrer).await;
        let answer = get(&registry, &uri(&subject)).await;
        assert_eq!(digests(&answer), sorted([&referrer]));
    }
}

// Content belongs to a repository.
#[tokio::test]
async fn a_referrer_is_listed_in_its_own_repository_only() {
    let registry = writable();
    let subject = image("subject");
    let sbom = artifact(SBOM, &subject, "sbom");
    push_image(&registry, "demo", None, &subject).await;
    push_image(&registry, "other", None, &sbom).await;
    assert_eq!(digests(&get(&registry, &uri(&subject)).await), sorted([]));
    let in_other = uri(&subject).replace("/demo/", "/other/");
    assert_eq!(digests(&get(&registry, &in_other).await), sorted([&sbom]));
}

// protocol 39: what is refused is nowhere
#[tokio::test]
async fn a_referrer_that_is_refused_is_not_listed() {
    let registry = writable();
    let subject = image("subject");
    let sbom = artifact(SBOM, &subject, "its blobs are not pushed");
    let by_digest = sbom.digest().to_string();
    for reference in ["tag", &by_digest] {
        let answer = put_manifest(&registry, "demo", reference, sbom.manifest()).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("oci-subject"), "");
        assert_eq!(digests(&get(&registry, &uri(&subject)).await), sorted([]));
    }
}

// protocol 49 and 50
#[tokio::test]
async fn what_was_never_pushed_has_an_empty_list_and_a_malformed_digest_is_400() {
    let registry = writable();
    push_image(&registry, "demo", Some("latest"), &image("something")).await;
    start(&registry, "opened").await;
    let never = Algorithm::Sha512.digest("never pushed");
    for repository in ["demo", "opened", "unknown"] {
        let answer = get(&registry, &format!("/v2/{repository}/referrers/{never}")).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-type"), INDEX);
        assert_eq!(
            answer.json(),
            json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
        );
        let too_short = &never.to_string()[..30];
        for digest in ["latest", "sha256:abc", "md5:00", "sha512:", too_short] {
            let answer = get(&registry, &format!("/v2/{repository}/referrers/{digest}")).await;
            answer.assert_error(400, "DIGEST_INVALID");
        }
    }
}

// pitfalls: concurrent pushes lose one
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_referrers_that_are_pushed_at_once_none_is_lost() {
    let registry = writable();
    let subject = image("subject");
    push_image(&registry, "demo", Some("latest"), &subject).await;
    let artifacts: Vec<Image> = (0..100)
        .map(|number| artifact(SBOM, &subject, &number.to_string()))
        .collect();
    let (kept, deleted) = artifacts.split_at(75);
    let pushes = artifacts.iter().enumerate().map(|(number, artifact)| {
        let (registry, artifact, uri) = (registry.clone(), artifact.clone(), uri(&subject));
        tokio::spawn(async move {
            push_image(&registry, "demo", None, &artifact).await;
            let digest = artifact.digest().to_string();
            let listed = digests(&get(&registry, &uri).await);
            assert!(listed.contains(&digest), "acknowledged, and not listed");
            if number >= 75 {
                delete(&registry, &format!("demo/manifests/{digest}")).await;
                let listed = digests(&get(&registry, &uri).await);
                assert!(!listed.contains(&digest), "deleted, and still listed");
            }
        })
    });
    for push in pushes.collect::<Vec<_>>() {
        push.await.unwrap();
    }
    assert_eq!(deleted.len(), 25);
    assert_eq!(digests(&get(&registry, &uri(&subject)).await), sorted(kept));
}
