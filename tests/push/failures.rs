//! What a client is told when the store cannot do it.

use tower_oci::{
    SourceError,
    testing::{Fault, Faulty, StoreMethod},
};

use super::*;

/// A registry over a store that fails to order.
fn faulty() -> (Registry<Faulty<MemoryStore>>, Faulty<MemoryStore>) {
    let store = Faulty::new(MemoryStore::new());
    (OciRegistryService::writable(store.clone()), store)
}

fn errors() -> Vec<(SourceError, u16, &'static str)> {
    let retry_after = Some(Duration::from_millis(1_500));
    vec![
        (SourceError::Denied, 403, "DENIED"),
        (SourceError::Busy { retry_after }, 503, "UNAVAILABLE"),
        (
            SourceError::TooManyRequests { retry_after },
            429,
            "TOOMANYREQUESTS",
        ),
        (SourceError::Full, 507, "UNKNOWN"),
        (SourceError::TooLarge { limit: 1 }, 413, "SIZE_INVALID"),
        (SourceError::Unsupported, 405, "UNSUPPORTED"),
        (
            SourceError::backend("a secret of the storage"),
            500,
            "UNKNOWN",
        ),
    ]
}

// protocol 8 and 9
#[tokio::test]
async fn every_failure_of_the_store_has_its_status_and_code() {
    let (registry, store) = faulty();
    let location = start(&registry, "demo").await;
    let digest = sha256("hello");
    let uploads = "/v2/demo/blobs/uploads/";
    for (method, uri, fails) in [
        ("POST", uploads.to_owned(), StoreMethod::BeginUpload),
        (
            "POST",
            format!("{uploads}?digest={digest}"),
            StoreMethod::PutBlob,
        ),
        ("PATCH", location.clone(), StoreMethod::AppendUpload),
        (
            "PUT",
            format!("{location}?digest={digest}"),
            StoreMethod::FinishUpload,
        ),
        ("DELETE", location.clone(), StoreMethod::CancelUpload),
        ("GET", location.clone(), StoreMethod::UploadStatus),
        (
            "PUT",
            "/v2/demo/manifests/a".to_owned(),
            StoreMethod::PutManifest,
        ),
    ] {
        for (error, status, code) in errors() {
            store.order(fails, Fault::Error(error));
            let headers = [("content-type", INDEX)];
            let answer = put(&registry, method, &uri, &headers, "{}").await;
            answer.assert_error(status, code);
            let retry_after = if [429, 503].contains(&status) {
                "2"
            } else {
                ""
            };
            assert_eq!(answer.header("retry-after"), retry_after);
            // RFC 9110 §15.5.6
            assert_eq!(answer.headers.contains_key("allow"), status == 405);
            let mut allowed = answer.header("allow").split(", ");
            assert!(allowed.all(|allowed| allowed != method), "{method} {uri}");
            let body = String::from_utf8_lossy(&answer.body);
            assert!(!body.contains("secret"), "{body}");
        }
    }
    assert_open(&registry, &location, "0-0").await;
    assert_no_blob(&registry, "demo", digest).await;
    assert_no_manifest(&registry, "demo", "a").await;
}

// protocol 32 and 93: what cannot be mounted is uploaded, unless the store cannot work at all
#[tokio::test]
async fn a_mount_that_the_store_refuses_opens_an_upload_and_one_that_fails_is_an_error() {
    let (registry, store) = faulty();
    let digest = push_blob(&registry, "source", "hello").await;
    let uri = format!("/v2/demo/blobs/uploads/?mount={digest}&from=source");
    let absent = SourceError::NotFound(tower_oci::MissingContent::Repository);
    for error in [SourceError::Denied, absent] {
        store.order(StoreMethod::MountBlob, Fault::Error(error));
        let answer = put(&registry, "POST", &uri, &[], "").await;
        assert_eq!(answer.status, 202);
        assert_open(&registry, answer.header("location"), "0-0").await;
        assert_no_blob(&registry, "demo", digest).await;
    }
    for (error, status, code) in errors() {
        if [503, 507, 500].contains(&status) {
            store.order(StoreMethod::MountBlob, Fault::Error(error));
            let answer = put(&registry, "POST", &uri, &[], "").await;
            answer.assert_error(status, code);
            assert_no_blob(&registry, "demo", digest).await;
        }
    }
    assert_eq!(put(&registry, "POST", &uri, &[], "").await.status, 201);
}

// protocol 81: what was done already succeeds again
#[tokio::test]
async fn a_push_whose_answer_was_lost_can_be_sent_again() {
    let (registry, store) = faulty();
    let digest = sha256("hello");
    let location = start(&registry, "demo").await;
    let uploads = "/v2/demo/blobs/uploads/";
    for (method, uri, loses) in [
        (
            "PUT",
            format!("{location}?digest={digest}"),
            StoreMethod::FinishUpload,
        ),
        (
            "POST",
            format!("{uploads}?digest={digest}"),
            StoreMethod::PutBlob,
        ),
        (
            "POST",
            format!("{uploads}?mount={digest}&from=demo"),
            StoreMethod::MountBlob,
        ),
    ] {
        let lost = SourceError::backend("the connection to the storage broke");
        store.order(loses, Fault::LostAnswer(lost));
        let answer = put(&registry, method, &uri, &[], "hello").await;
        answer.assert_error(500, "UNKNOWN");
        let answer = put(&registry, method, &uri, &[], "hello").await;
        assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
    }
    let lost = SourceError::backend("the connection to the storage broke");
    store.order(StoreMethod::PutManifest, Fault::LostAnswer(lost));
    let document = empty_index("a");
    let target = ("demo", "a");
    let answer = push_document(&registry, target, INDEX, document.clone()).await;
    answer.assert_error(500, "UNKNOWN");
    let answer = push_document(&registry, target, INDEX, document.clone()).await;
    let pushed = (INDEX, document.as_bytes());
    assert_pushed(&registry, &answer, ("demo", sha256(&document)), pushed).await;
}

// protocol 28 and 81: regctl asks after a 416 where the upload goes on
#[tokio::test]
async fn a_chunk_whose_answer_was_lost_is_not_taken_twice() {
    let (registry, store) = faulty();
    let location = start(&registry, "demo").await;
    let lost = SourceError::backend("the connection to the storage broke");
    store.order(StoreMethod::AppendUpload, Fault::LostAnswer(lost));
    assert_eq!(patch(&registry, &location, "0-2", "hel").await.status, 500);
    let answer = patch(&registry, &location, "0-2", "hel").await;
    answer.assert_error(416, "BLOB_UPLOAD_INVALID");
    assert_eq!(answer.header("range"), "0-2");
    let digest = sha256("hello");
    let answer = finish(&registry, &location, digest, "3-4", "lo").await;
    assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
}
