//! Digests: of which algorithm, and whether they are those of the content.

use super::*;

// protocol 22 and 44
#[tokio::test]
async fn the_algorithm_may_be_announced_and_must_be_one_that_is_known() {
    let registry = registry();
    for algorithm in ["sha256", "sha512", "sha%35%31%32", ""] {
        let uri = format!("/v2/demo/blobs/uploads/?digest-algorithm={algorithm}");
        let answer = put(&registry, "POST", &uri, &[], "").await;
        assert_eq!(answer.status, 202, "{algorithm}");
    }
    for algorithm in [
        "sha384",
        "blake3",
        "md5",
        "SHA256",
        "sha256:",
        "nonsense!",
        "%ff",
    ] {
        let uri = format!("/v2/demo/blobs/uploads/?digest-algorithm={algorithm}");
        let answer = put(&registry, "POST", &uri, &[], "").await;
        answer.assert_error(400, "DIGEST_INVALID");
    }
}

// protocol 22, section 3 item 3: after POST, after chunks, after streams;
// pitfalls: sha512 content refused, or answered with a sha256 Docker-Content-Digest
#[tokio::test]
async fn whatever_was_announced_the_digest_at_the_end_counts() {
    for content in [Bytes::new(), Bytes::from("{}"), noise(70_000)] {
        for announced in ["", "?digest-algorithm=sha256", "?digest-algorithm=sha512"] {
            let registry = registry();
            for way in Way::with_session() {
                for digest in [sha512(&content), sha256(&content)] {
                    let uri = format!("/v2/demo/blobs/uploads/{announced}");
                    let answer = put(&registry, "POST", &uri, &[], "").await;
                    let location = answer.header("location");
                    let answer = way.continue_at(&registry, location, digest, &content).await;
                    assert_stored(&registry, &answer, ("demo", digest), &content).await;
                }
            }
        }
    }
}

// section 3 item 3: what has arrived is read again, as large as it may be
#[tokio::test]
async fn a_large_upload_may_end_with_another_algorithm_than_it_began_with() {
    let registry = registry();
    let content = noise(3_000_000);
    let digest = sha512(&content);
    let answer = Way::Streams
        .upload(&registry, "demo", digest, &content)
        .await;
    assert_stored(&registry, &answer, ("demo", digest), &content).await;
}

// protocol 16 and 44, section 3 item 3
#[tokio::test]
async fn a_blob_is_found_by_the_digest_it_was_pushed_with_and_by_no_other() {
    let registry = registry();
    let content = Bytes::from("hello");
    for way in Way::ALL {
        let repository = format!("{way:?}").to_lowercase();
        let (pushed, other) = (sha512(&content), sha256(&content));
        let answer = way.upload(&registry, &repository, pushed, &content).await;
        assert_stored(&registry, &answer, (&repository, pushed), &content).await;
        assert_no_blob(&registry, &repository, other).await;
        // There under both, each answers with itself.
        let answer = way.upload(&registry, &repository, other, &content).await;
        for digest in [pushed, other] {
            assert_eq!(answer.status, 201);
            let uri = format!("/v2/{repository}/blobs/{digest}");
            let found = head(&registry, &uri).await;
            assert_eq!(found.header("docker-content-digest"), digest.to_string());
        }
    }
}

// protocol 25 and 26, section 3 item 8
#[tokio::test]
async fn another_digest_than_that_of_the_content_is_400_and_nothing_is_visible() {
    let content = Bytes::from("hello");
    let algorithms = [Algorithm::Sha256, Algorithm::Sha512];
    for (way, algorithm) in Way::ALL.into_iter().zip(algorithms.into_iter().cycle()) {
        let registry = registry();
        for wrong in ["", "hell", "hello!", "Hello"] {
            let wrong = algorithm.digest(wrong);
            let answer = way.upload(&registry, "demo", wrong, &content).await;
            answer.assert_error(400, "DIGEST_INVALID");
            assert_no_blob(&registry, "demo", wrong).await;
            assert_no_blob(&registry, "demo", algorithm.digest(&content)).await;
        }
        let answer = get(&registry, "/v2/demo/tags/list").await;
        answer.assert_error(404, "NAME_UNKNOWN");
    }
}

// protocol 25, section 4: the session after a wrong digest
#[tokio::test]
async fn a_wrong_digest_keeps_the_upload_at_what_was_acknowledged() {
    for (way, range) in [
        (Way::Put, "0-0"),
        (Way::PutStreamed, "0-0"),
        (Way::Chunks, "0-5"),
        (Way::LastChunkInPut, "0-2"),
        (Way::Stream, "0-5"),
        (Way::Streams, "0-5"),
        (Way::RestInPut, "0-2"),
    ] {
        for wrong in [sha256("other"), sha512("other")] {
            let registry = registry();
            let content = Bytes::from("abcdef");
            let location = start(&registry, "demo").await;
            let answer = way.continue_at(&registry, &location, wrong, &content).await;
            answer.assert_error(400, "DIGEST_INVALID");
            assert_open(&registry, &location, range).await;
            let acknowledged = match range {
                "0-5" => 6,
                "0-2" => 3,
                _ => 0,
            };
            let digest = sha256(&content);
            let rest = content.slice(acknowledged..);
            let answer = finish(&registry, &location, digest, "", rest).await;
            assert_stored(&registry, &answer, ("demo", digest), &content).await;
        }
    }
}

/// No digests, or none that are known here.
fn bad_digests() -> Vec<String> {
    vec![
        // The one that the conformance suite sends.
        "sha256:baddigeststring".to_owned(),
        format!("sha256:{}", "A".repeat(64)),
        format!("sha256:{}", "0".repeat(63)),
        format!("sha256:{}", "0".repeat(65)),
        format!("sha512:{}", "0".repeat(64)),
        format!("sha384:{}", "0".repeat(96)),
        format!("md5:{}", "0".repeat(32)),
        format!("SHA256:{}", "0".repeat(64)),
        "0".repeat(64),
        "latest".to_owned(),
        "sha256:".to_owned(),
        ":".to_owned(),
        "%ff".to_owned(),
    ]
}

// protocol 25, 26 and 44, section 3 item 8
#[tokio::test]
async fn a_digest_that_is_malformed_or_of_an_unknown_algorithm_is_400_in_every_way_of_uploading() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let content = Bytes::from("abcdef");
    for digest in bad_digests() {
        for way in Way::ALL {
            let answer = way.upload(&registry, "demo", &digest, &content).await;
            answer.assert_error(400, "DIGEST_INVALID");
        }
    }
    let answer = get(&registry, "/v2/demo/tags/list").await;
    answer.assert_error(404, "NAME_UNKNOWN");
    let answer = get(&registry, "/v2/demo/blobs/sha256:baddigeststring").await;
    answer.assert_error(400, "DIGEST_INVALID");
}

// protocol 25
#[tokio::test]
async fn an_upload_survives_a_digest_that_is_malformed() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    patch(&registry, &location, "", "hel").await;
    for digest in bad_digests() {
        let answer = finish(&registry, &location, digest, "", "lo").await;
        answer.assert_error(400, "DIGEST_INVALID");
        assert_open(&registry, &location, "0-2").await;
    }
    let digest = sha256("hello");
    let answer = finish(&registry, &location, digest, "", "lo").await;
    assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
}

// protocol 37 and 44, section 3 items 3 and 8
#[tokio::test]
async fn a_manifest_by_digest_must_have_it() {
    let document = empty_index("digests");
    for right in [sha256(&document), sha512(&document)] {
        let registry = registry();
        for (reference, body) in [
            (right, empty_index("changed")),
            (right, format!("{document}\n")),
            (right.algorithm().digest("other"), document.clone()),
        ] {
            let named = reference.to_string();
            let named = ("demo", &*named);
            let answer = push_document(&registry, named, INDEX, body.clone()).await;
            answer.assert_error(400, "DIGEST_INVALID");
            for digest in [reference, sha256(&body), sha512(&body)] {
                assert_no_manifest(&registry, "demo", digest).await;
            }
        }
        let named = right.to_string();
        let named = ("demo", &*named);
        let answer = push_document(&registry, named, INDEX, document.clone()).await;
        let pushed = (INDEX, document.as_bytes());
        assert_pushed(&registry, &answer, ("demo", right), pushed).await;
    }
}

// protocol 37 and 44
#[tokio::test]
async fn a_manifest_by_a_malformed_or_unknown_digest_is_400() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let with_colon = |digest: &String| digest.contains(':') && digest.len() > 1;
    for digest in bad_digests().iter().filter(|digest| with_colon(digest)) {
        let answer = push_document(&registry, ("demo", digest), INDEX, empty_index("a")).await;
        answer.assert_error(400, "DIGEST_INVALID");
        assert_eq!(store.used_bytes(), 0);
    }
}

// protocol 16, section 3 item 3: children and subject may be sha512
#[tokio::test]
async fn an_image_of_sha512_digests_can_be_pushed_by_digest_and_pulled() {
    let registry = registry();
    let build = |image: ImageBuilder| image.algorithm(Algorithm::Sha512).build().unwrap();
    let image = build(ImageBuilder::new().file("a", "a"));
    let index = IndexBuilder::new().algorithm(Algorithm::Sha512);
    let index = index.image(&image).build().unwrap();
    let artifact = ImageBuilder::artifact("application/vnd.example".parse().unwrap());
    let artifact = build(artifact.subject(&index));
    for pushed in [&index, &artifact] {
        push_image(&registry, "demo", None, pushed).await;
    }
    for pushed in [&image, &index, &artifact] {
        let uri = format!("/v2/demo/manifests/{}", pushed.digest());
        let answer = get(&registry, &uri).await;
        assert_eq!(answer.body, pushed.manifest().bytes());
        let digest = answer.header("docker-content-digest");
        assert_eq!(digest, pushed.digest().to_string());
        let by_sha256 = sha256(pushed.manifest().bytes());
        assert_no_manifest(&registry, "demo", by_sha256).await;
    }
    let uri = format!("/v2/demo/referrers/{}", index.digest());
    let listed = get(&registry, &uri).await.json();
    assert_eq!(
        listed["manifests"][0]["digest"],
        artifact.digest().to_string()
    );
}
