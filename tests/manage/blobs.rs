//! A blob is deleted in one repository.

use super::*;

fn path_of(repository: &str, digest: &Digest) -> String {
    format!("{repository}/blobs/{digest}")
}

/// Mounts the blob, and says whether that was possible.
async fn mount(registry: &Registry, repository: &str, digest: &Digest, from: &str) -> bool {
    let from = match from {
        "" => String::new(),
        from => format!("&from={from}"),
    };
    let uri = format!("/v2/{repository}/blobs/uploads/?mount={digest}{from}");
    let answer = put(registry, "POST", &uri, &[], "").await;
    assert!([201, 202].contains(&answer.status.as_u16()), "{answer:?}");
    answer.status == 201
}

// protocol 59; pitfalls: any repository can read any blob by digest
#[tokio::test]
async fn a_blob_is_gone_at_once_from_its_repository_and_shared_bytes_stay_in_the_others() {
    let registry = registry().allow_anonymous_mounts(true);
    let content = noise(3 << 20);
    let digest = push_blob(&registry, "pushed", content.clone()).await;
    assert!(mount(&registry, "mounted", &digest, "pushed").await);
    assert!(mount(&registry, "found", &digest, "").await);
    assert_eq!(
        push_blob(&registry, "pushed/too", content.clone()).await,
        digest
    );
    let mut there = vec!["found", "mounted", "pushed", "pushed/too"];
    // Whoever had it first is not the one that keeps it for the others.
    for gone in ["pushed", "found", "pushed/too", "mounted"] {
        there.retain(|repository| *repository != gone);
        deleted(&registry, &path_of(gone, &digest)).await;
        assert_gone(&registry, &path_of(gone, &digest), "BLOB_UNKNOWN").await;
        assert!(!mount(&registry, "elsewhere", &digest, gone).await);
        for repository in &there {
            assert_there(&registry, &path_of(repository, &digest), &content).await;
        }
        let again = delete(&registry, &path_of(gone, &digest)).await;
        again.assert_error(404, "BLOB_UNKNOWN");
    }
    assert!(!mount(&registry, "elsewhere", &digest, "").await);
    let all = ["found", "mounted", "pushed", "pushed/too"];
    assert_eq!(catalog(&registry).await, all);
}

#[tokio::test]
async fn a_deleted_blob_can_be_pushed_and_mounted_again() {
    let registry = registry();
    let digest = push_blob(&registry, "demo", "content").await;
    assert!(mount(&registry, "other", &digest, "demo").await);
    deleted(&registry, &path_of("demo", &digest)).await;
    assert!(mount(&registry, "demo", &digest, "other").await);
    assert_there(&registry, &path_of("demo", &digest), b"content").await;
    deleted(&registry, &path_of("demo", &digest)).await;
    deleted(&registry, &path_of("other", &digest)).await;
    push_blob(&registry, "demo", "content").await;
    assert_there(&registry, &path_of("demo", &digest), b"content").await;
    assert_gone(&registry, &path_of("other", &digest), "BLOB_UNKNOWN").await;
}

// pitfalls: sha512 content
#[tokio::test]
async fn the_same_bytes_under_another_algorithm_are_another_blob() {
    for content in ["content", "{}", ""] {
        let registry = registry();
        let digests = [Algorithm::Sha256, Algorithm::Sha512].map(|kind| kind.digest(content));
        for [gone, kept] in [digests, [digests[1], digests[0]]] {
            for digest in digests {
                let uri = format!("/v2/demo/blobs/uploads/?digest={digest}");
                let answer = put(&registry, "POST", &uri, &[], content).await;
                assert_eq!(answer.status, 201);
            }
            deleted(&registry, &path_of("demo", &gone)).await;
            assert_gone(&registry, &path_of("demo", &gone), "BLOB_UNKNOWN").await;
            assert_there(&registry, &path_of("demo", &kept), content.as_bytes()).await;
        }
    }
}

// A committed session answers its PUT again while the repository has the blob, and no longer.
#[tokio::test]
async fn the_end_of_an_upload_that_is_sent_again_does_not_bring_a_deleted_blob_back() {
    let registry = registry();
    let content = "content";
    let digest = Algorithm::Sha256.digest(content);
    let end = format!("{}?digest={digest}", start(&registry, "demo").await);
    for _ in 0..2 {
        let answer = put(&registry, "PUT", &end, &[], content).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    deleted(&registry, &path_of("demo", &digest)).await;
    let answer = put(&registry, "PUT", &end, &[], content).await;
    answer.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    assert_gone(&registry, &path_of("demo", &digest), "BLOB_UNKNOWN").await;
}

#[tokio::test]
async fn an_upload_that_is_under_way_goes_on_when_its_blob_is_deleted() {
    let registry = registry();
    let digest = push_blob(&registry, "demo", "content").await;
    let location = start(&registry, "demo").await;
    let answer = put(&registry, "PATCH", &location, &[], "cont").await;
    assert_eq!(answer.status, 202);
    deleted(&registry, &path_of("demo", &digest)).await;
    let answer = get(&registry, &location).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (204, "0-3")
    );
    let end = format!("{location}?digest={digest}");
    let answer = put(&registry, "PUT", &end, &[], "ent").await;
    assert_eq!(answer.status, 201);
    assert_there(&registry, &path_of("demo", &digest), b"content").await;
}

/// A download that has begun: what came in its first frames, and the rest.
async fn begin_download(
    registry: &Registry,
    path: &str,
    frames: usize,
) -> (Vec<u8>, ResponseBody<DynBody>) {
    let request = Request::get(format!("/v2/{path}"));
    let request = request.body(Body::empty()).unwrap();
    let response = registry.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut body = response.into_body();
    let mut received = Vec::new();
    for _ in 0..frames {
        let frame = body.frame().await.unwrap().unwrap();
        received.extend_from_slice(&frame.into_data().unwrap());
    }
    (received, body)
}

// The contract of `delete_blob`: downloads that have begun go on.
#[tokio::test]
async fn a_download_that_has_begun_goes_on_to_its_end_when_the_blob_is_deleted() {
    let content = noise(5 << 20);
    for frames in [0, 1, 2] {
        let registry = registry();
        let digest = push_blob(&registry, "demo", content.clone()).await;
        let path = path_of("demo", &digest);
        let (mut received, rest) = begin_download(&registry, &path, frames).await;
        assert!(received.len() < content.len(), "nothing is left to read");
        deleted(&registry, &path).await;
        assert_gone(&registry, &path, "BLOB_UNKNOWN").await;
        received.extend_from_slice(&rest.collect().await.unwrap().to_bytes());
        assert!(received == content, "{} bytes", received.len());
    }
}

// `MemoryStoreBuilder::max_bytes`: what is deleted while it is downloaded counts until that ends
#[tokio::test]
async fn what_is_deleted_makes_room_when_nobody_reads_it_any_more() {
    let store = MemoryStore::builder().max_bytes(3 << 20).build();
    let registry = OciRegistryService::writable(store.clone());
    push_blob(&registry, "demo", "what makes the repository").await;
    let before = store.used_bytes();
    let content = noise(2 << 20);
    let digest = push_blob(&registry, "demo", content.clone()).await;
    let path = path_of("demo", &digest);
    let other = noise((2 << 20) + 1);
    let uri = format!(
        "/v2/demo/blobs/uploads/?digest={}",
        Algorithm::Sha256.digest(&other)
    );

    let (_, download) = begin_download(&registry, &path, 1).await;
    deleted(&registry, &path).await;
    let answer = put(&registry, "POST", &uri, &[], other.clone()).await;
    answer.assert_error(507, "UNKNOWN");
    assert!(store.used_bytes() > 2 << 20);

    drop(download);
    assert_eq!(store.used_bytes(), before);
    let answer = put(&registry, "POST", &uri, &[], other).await;
    assert_eq!(answer.status, 201);
}
