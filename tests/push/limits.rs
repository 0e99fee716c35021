//! Limits of size: of manifests and of blobs.

use http_body_util::{Full, Limited};

use super::*;

const KIB: usize = 1 << 10;

/// An index of exactly this size.
fn index_of(size: usize) -> String {
    let around = empty_index("").len();
    empty_index(&"x".repeat(size - around))
}

/// A body of these bytes that nobody announces, in pieces of 64 KiB.
fn chunked(content: impl Into<Bytes>) -> Body {
    let content: Bytes = content.into();
    let starts = (0..content.len()).step_by(64 * KIB);
    let pieces_of = starts.map(|start| content.slice(start..content.len().min(start + 64 * KIB)));
    pieces(pieces_of.collect::<Vec<_>>())
}

// protocol 40; pitfalls: limits that ignore chunked bodies
#[tokio::test]
async fn a_manifest_of_exactly_the_limit_is_stored_and_one_byte_more_is_413() {
    let (small, _) = limited(|limits| limits.manifest_size = 1_000);
    let (large, _) = limited(|limits| limits.manifest_size = 5 << 20);
    for (registry, limit) in [(small, 1_000), (registry(), 4 << 20), (large, 5 << 20)] {
        for is_announced in [true, false] {
            for (size, is_stored) in [(limit, true), (limit + 1, false)] {
                let document = index_of(size);
                let digest = sha256(&document);
                let length = size.to_string();
                let mut headers = vec![("content-type", INDEX)];
                if is_announced {
                    headers.push(("content-length", &length));
                }
                let uri = format!("/v2/demo{limit}/manifests/{digest}");
                let body = chunked(document.clone());
                let answer = send_body(&registry, "PUT", &uri, &headers, body).await;
                let repository = format!("demo{limit}");
                if is_stored {
                    let pushed = (INDEX, document.as_bytes());
                    assert_pushed(&registry, &answer, (&repository, digest), pushed).await;
                } else {
                    answer.assert_error(413, "SIZE_INVALID");
                    assert_no_manifest(&registry, &repository, digest).await;
                }
            }
        }
    }
}

// protocol 40
#[tokio::test]
async fn a_manifest_that_is_too_large_moves_no_tag_and_is_not_read_to_its_end() {
    let (registry, store) = limited(|limits| limits.manifest_size = 1_000);
    push_document(&registry, ("demo", "latest"), INDEX, empty_index("small")).await;
    let before = store.used_bytes();
    for reference in [
        "latest".to_owned(),
        format!("{}?tag=latest", sha256(index_of(1_001))),
    ] {
        let uri = format!("/v2/demo/manifests/{reference}");
        // It never ends; of what is no use 256 KiB are taken at most.
        let endless = stream::repeat_with(|| Ok::<_, BoxError>(Bytes::from_static(&[b' '; 1024])));
        let body = Body::from_stream(endless);
        let headers = [("content-type", INDEX)];
        let answer = send_body(&registry, "PUT", &uri, &headers, body).await;
        answer.assert_error(413, "SIZE_INVALID");
        let latest = tagged(&registry, "demo", "latest").await;
        assert_eq!(latest, sha256(empty_index("small")).to_string());
        assert_eq!(store.used_bytes(), before);
    }
}

// section 3 item 5
#[tokio::test]
async fn a_manifest_with_3_9_mb_of_annotations_comes_chunked() {
    let registry = registry();
    let annotations: serde_json::Map<_, _> = (0..390)
        .map(|number| {
            (
                format!("org.example.{number:03}"),
                "x".repeat(10_000).into(),
            )
        })
        .collect();
    let document = json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [], "annotations": annotations,
    });
    let document = document.to_string();
    assert!(document.len() > 3_900_000);
    for reference in ["latest".to_owned(), sha256(&document).to_string()] {
        let uri = format!("/v2/demo/manifests/{reference}");
        let headers = [("content-type", INDEX), ("transfer-encoding", "chunked")];
        let body = chunked(document.clone());
        let answer = send_body(&registry, "PUT", &uri, &headers, body).await;
        let pushed = (INDEX, document.as_bytes());
        assert_pushed(&registry, &answer, ("demo", sha256(&document)), pushed).await;
    }
}

#[tokio::test]
async fn a_blob_of_exactly_the_limit_is_stored_and_one_byte_more_is_413_in_every_way() {
    for way in Way::ALL {
        let (registry, store) = limited(|limits| limits.uploads.blob_size = 1_000);
        let large = noise(1_001);
        // Two halves fit by themselves: the last of several requests is refused.
        let location = start(&registry, "demo").await;
        let answer = match way {
            Way::Single | Way::SingleStreamed => {
                way.upload(&registry, "demo", sha256(&large), &large).await
            }
            Way::Put | Way::PutStreamed | Way::LastChunkInPut | Way::RestInPut => {
                let digest = sha256(&large);
                way.continue_at(&registry, &location, digest, &large).await
            }
            Way::Chunks | Way::Streams => {
                patch(&registry, &location, "", large.slice(..500)).await;
                let range = if way == Way::Chunks { "500-1000" } else { "" };
                patch(&registry, &location, range, large.slice(500..)).await
            }
            Way::Stream => {
                let body = pieces([large.clone()]);
                send_body(&registry, "PATCH", &location, &[], body).await
            }
        };
        answer.assert_error(413, "SIZE_INVALID");
        assert_no_blob(&registry, "demo", sha256(&large)).await;
        let range = match way {
            Way::Chunks | Way::LastChunkInPut | Way::Streams | Way::RestInPut => "0-499",
            _ => "0-0",
        };
        assert_open(&registry, &location, range).await;
        ask(&registry, "DELETE", &location, &[]).await;
        assert_eq!(store.used_bytes(), 0, "{way:?}");

        let fitting = large.slice(..1_000);
        let digest = sha256(&fitting);
        let answer = way.upload(&registry, "demo", digest, &fitting).await;
        assert_stored(&registry, &answer, ("demo", digest), &fitting).await;
    }
}

// The session lives on, and so does what was acknowledged.
#[tokio::test]
async fn an_upload_that_was_refused_for_its_size_can_still_be_finished_within_the_limit() {
    let (registry, _) = limited(|limits| limits.uploads.blob_size = 5);
    let location = start(&registry, "demo").await;
    patch(&registry, &location, "", "hel").await;
    for (method, uri) in [
        ("PATCH", location.clone()),
        ("PUT", format!("{location}?digest={}", sha256("hello!"))),
    ] {
        for range in ["", "3-5"] {
            let answer = put(&registry, method, &uri, &of_range(&range), "lo!").await;
            answer.assert_error(413, "SIZE_INVALID");
            assert_open(&registry, &location, "0-2").await;
        }
    }
    let digest = sha256("hello");
    let answer = finish(&registry, &location, digest, "3-4", "lo").await;
    assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
}

// design: a body that fails with a length limit in its error chain is 413
#[tokio::test]
async fn a_body_that_a_layer_cuts_at_a_limit_is_413() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let location = start(&registry, "demo").await;
    let before = store.used_bytes();
    let single = format!("/v2/demo/blobs/uploads/?digest={}", sha256("hello"));
    let finish = format!("{location}?digest={}", sha256("hello"));
    for (method, uri) in [
        ("POST", &*single),
        ("PATCH", &location),
        ("PUT", &finish),
        ("PUT", "/v2/demo/manifests/latest"),
    ] {
        let body = Body::new(Limited::new(Full::new(Bytes::from("hello")), 4));
        let headers = [("content-type", INDEX)];
        let answer = send_body(&registry, method, uri, &headers, body).await;
        answer.assert_error(413, "SIZE_INVALID");
        assert_eq!(store.used_bytes(), before, "{method} {uri}");
    }
    assert_open(&registry, &location, "0-0").await;
    assert_no_blob(&registry, "demo", sha256("hello")).await;
    assert_no_manifest(&registry, "demo", "latest").await;
}

#[tokio::test]
async fn the_limits_of_blobs_and_of_manifests_are_not_each_others() {
    let (registry, _) = limited(|limits| {
        limits.manifest_size = 200;
        limits.uploads.blob_size = 100;
    });
    let document = index_of(200);
    let answer = push_document(&registry, ("demo", "a"), INDEX, document.clone()).await;
    let digest = sha256(&document);
    let pushed = (INDEX, document.as_bytes());
    assert_pushed(&registry, &answer, ("demo", digest), pushed).await;
    let (registry, _) = limited(|limits| limits.manifest_size = 10);
    let content = noise(1_000);
    for way in Way::ALL {
        let digest = sha256(&content);
        let answer = way.upload(&registry, "demo", digest, &content).await;
        assert_stored(&registry, &answer, ("demo", digest), &content).await;
    }
}
