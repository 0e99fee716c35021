//! [`Faulty`] behind the service: what clients see of each fault, and that it is over after it.

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tower_oci::{
    Algorithm, Image, MemoryStore, OciRegistryService, SourceError,
    testing::{Fault, Faulty, ImageBuilder, StoreMethod as Method},
};

use super::common::{
    Answer, ask, get, head, name, push_blob, push_image, put, put_manifest, send, start, tag,
};

type Registry = OciRegistryService<Faulty<MemoryStore>>;

const CONTENT: &str = "0123456789";
const SECRET: &str = "the name of a disk";

fn image() -> Image {
    ImageBuilder::new().file("a", "one").build().unwrap()
}

fn digest() -> String {
    Algorithm::Sha256.digest(CONTENT).to_string()
}

/// A registry with an image and a blob, the store that has them, and what faults are ordered from.
fn registry() -> (Registry, MemoryStore, Faulty<MemoryStore>) {
    let store = MemoryStore::new();
    let faults = Faulty::new(store.clone());
    let registry = OciRegistryService::writable(faults.clone());
    (registry, store, faults)
}

async fn filled() -> (Registry, Faulty<MemoryStore>) {
    let (registry, store, faults) = registry();
    store.add_image(&name("demo"), Some(&tag("latest")), &image());
    push_blob(&registry, "demo", CONTENT).await;
    (registry, faults)
}

fn busy() -> SourceError {
    SourceError::Busy {
        retry_after: Some(Duration::from_secs(7)),
    }
}

/// Asserts what is said of a store that is busy, and then of one that has failed.
// protocol 9
fn assert_failed(is_busy: bool, answer: &Answer) {
    if is_busy {
        answer.assert_error(503, "UNAVAILABLE");
        assert_eq!(answer.header("retry-after"), "7");
    } else {
        answer.assert_error(500, "UNKNOWN");
        assert_eq!(answer.header("retry-after"), "");
        let message = &answer.json()["errors"][0]["message"];
        assert_eq!(message, "the storage failed");
        assert!(!String::from_utf8_lossy(&answer.body).contains(SECRET));
    }
}

/// Sends a request that meets both kinds of failure and then none, and returns the last answer.
async fn after_failures(
    registry: &Registry,
    faults: &Faulty<MemoryStore>,
    method: Method,
    (verb, uri, headers, body): (&str, &str, &[(&str, &str)], Bytes),
) -> Answer {
    faults.order(method, Fault::Error(busy()));
    faults.order(method, Fault::Error(SourceError::backend(SECRET)));
    for is_busy in [true, false] {
        let answer = put(registry, verb, uri, headers, body.clone()).await;
        assert_failed(is_busy, &answer);
    }
    put(registry, verb, uri, headers, body).await
}

#[tokio::test]
async fn a_read_that_fails_says_so_and_the_next_one_succeeds() {
    let (registry, faults) = filled().await;
    let blob = format!("/v2/demo/blobs/{}", digest());
    let referrers = format!("/v2/demo/referrers/{}", image().digest());
    for (method, uri) in [
        (Method::Manifest, "/v2/demo/manifests/latest"),
        (Method::Blob, &blob),
        (Method::Tags, "/v2/demo/tags/list"),
        (Method::Referrers, &referrers),
        (Method::Repositories, "/v2/_catalog"),
    ] {
        let request = ("GET", uri, &[][..], Bytes::new());
        let answer = after_failures(&registry, &faults, method, request).await;
        assert_eq!(answer.status, 200, "{uri}: {answer:?}");
    }
    for (method, uri) in [
        (Method::StatManifest, "/v2/demo/manifests/latest"),
        (Method::StatBlob, &blob),
    ] {
        faults.order(method, Fault::Error(busy()));
        faults.order(method, Fault::Error(SourceError::backend(SECRET)));
        for (status, retry_after) in [(503, "7"), (500, ""), (200, "")] {
            let answer = head(&registry, uri).await;
            assert_eq!(answer.status, status, "{uri}");
            assert_eq!(answer.header("retry-after"), retry_after);
        }
    }
}

#[tokio::test]
async fn an_upload_that_fails_says_so_and_the_same_request_succeeds() {
    let (registry, _, faults) = registry();
    let uploads = "/v2/demo/blobs/uploads/";
    let request = ("POST", uploads, &[][..], Bytes::new());
    let answer = after_failures(&registry, &faults, Method::BeginUpload, request).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let location = answer.header("location").to_owned();
    let range = [("content-range", "0-3")];
    let finish = format!("{location}?digest={}", digest());
    let single = format!("{uploads}?digest={}", digest());
    let mount = format!("/v2/other/blobs/uploads/?mount={}&from=demo", digest());
    let none: &[(&str, &str)] = &[];
    for (method, verb, uri, headers, body, status) in [
        (
            Method::AppendUpload,
            "PATCH",
            &location,
            &range[..],
            &CONTENT[..4],
            202,
        ),
        (Method::UploadStatus, "GET", &location, none, "", 204),
        (
            Method::FinishUpload,
            "PUT",
            &finish,
            none,
            &CONTENT[4..],
            201,
        ),
        (Method::PutBlob, "POST", &single, none, CONTENT, 201),
        (Method::MountBlob, "POST", &mount, none, "", 201),
    ] {
        let request = (verb, &**uri, headers, Bytes::from_static(body.as_bytes()));
        let answer = after_failures(&registry, &faults, method, request).await;
        assert_eq!(answer.status, status, "{verb} {uri}: {answer:?}");
    }
    let location = start(&registry, "demo").await;
    let request = ("DELETE", &*location, none, Bytes::new());
    let answer = after_failures(&registry, &faults, Method::CancelUpload, request).await;
    assert_eq!(answer.status, 204, "{answer:?}");
    for name in ["demo", "other"] {
        let answer = get(&registry, &format!("/v2/{name}/blobs/{}", digest())).await;
        assert_eq!(answer.body, CONTENT);
    }
}

#[tokio::test]
async fn a_manifest_that_is_not_put_or_deleted_is_as_it_was() {
    let (registry, faults) = filled().await;
    let (uri, image) = ("/v2/demo/manifests/new", image());
    let by_digest = format!("/v2/demo/manifests/{}", image.digest());
    let blob = format!("/v2/demo/blobs/{}", digest());
    let of_type = [("content-type", image.media_type().as_str())];
    let bytes = image.manifest().bytes();
    faults.order(Method::PutManifest, Fault::Error(busy()));
    let answer = put(&registry, "PUT", uri, &of_type, bytes.clone()).await;
    assert_failed(true, &answer);
    get(&registry, uri)
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");
    let request = ("PUT", uri, &of_type[..], bytes.clone());
    let answer = after_failures(&registry, &faults, Method::PutManifest, request).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    for (method, uri) in [
        (Method::DeleteTag, uri),
        (Method::DeleteManifest, &by_digest),
        (Method::DeleteBlob, &blob),
    ] {
        faults.order(method, Fault::Error(busy()));
        let answer = ask(&registry, "DELETE", uri, &[]).await;
        assert_failed(true, &answer);
        assert_eq!(get(&registry, uri).await.status, 200, "{uri}");
        let request = ("DELETE", uri, &[][..], Bytes::new());
        let answer = after_failures(&registry, &faults, method, request).await;
        assert_eq!(answer.status, 202, "{uri}: {answer:?}");
        assert_eq!(get(&registry, uri).await.status, 404, "{uri}");
    }
}

/// The bytes of a download, and whether it ended with an error.
async fn download(registry: &Registry, range: Option<&str>) -> (StatusCode, Bytes, bool) {
    let mut request = Request::get(format!("/v2/demo/blobs/{}", digest()));
    if let Some(range) = range {
        request = request.header("range", range);
    }
    let request = request.body(Body::empty()).unwrap();
    let response = registry.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let mut body = response.into_body();
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => bytes.extend_from_slice(&frame.into_data().unwrap()),
            Err(_) => return (status, bytes.into(), true),
        }
    }
    (status, bytes.into(), false)
}

#[tokio::test]
async fn a_download_that_is_cut_ends_with_an_error_and_the_next_one_is_whole() {
    let (registry, faults) = filled().await;
    for after in [0, 1, 9] {
        faults.order(Method::Blob, Fault::CutBody(after));
        let (status, bytes, is_cut) = download(&registry, None).await;
        let length = usize::try_from(after).unwrap();
        assert_eq!((status.as_u16(), is_cut), (200, true));
        assert_eq!(bytes, CONTENT[..length]);
        let whole = download(&registry, None).await;
        assert_eq!(whole, (StatusCode::OK, CONTENT.into(), false));
    }
    faults.order(Method::Blob, Fault::CutBody(2));
    let part = download(&registry, Some("bytes=3-7")).await;
    assert_eq!(part, (StatusCode::PARTIAL_CONTENT, "34".into(), true));
    // Longer than the blob is no cut, and neither is one where no body is.
    faults.order(Method::Blob, Fault::CutBody(11));
    assert!(!download(&registry, None).await.2);
    faults.order(Method::StatBlob, Fault::CutBody(0));
    let uri = format!("/v2/demo/blobs/{}", digest());
    assert_eq!(head(&registry, &uri).await.status, 200);
}

// protocol 81
#[tokio::test]
async fn an_upload_that_is_cut_is_400_and_the_same_request_succeeds_after_it() {
    let (registry, _, faults) = registry();
    let location = start(&registry, "demo").await;
    let finish = format!("{location}?digest={}", digest());
    let single = format!("/v2/other/blobs/uploads/?digest={}", digest());
    for (method, verb, uri, range, body, status) in [
        (
            Method::AppendUpload,
            "PATCH",
            &location,
            "0-5",
            &CONTENT[..6],
            202,
        ),
        (
            Method::FinishUpload,
            "PUT",
            &finish,
            "6-9",
            &CONTENT[6..],
            201,
        ),
        (Method::PutBlob, "POST", &single, "", CONTENT, 201),
    ] {
        let headers = [("content-range", range)];
        let headers = &headers[usize::from(range.is_empty())..];
        for after in [0, 1, 3] {
            let before = get(&registry, &location).await;
            faults.order(method, Fault::CutBody(after));
            let answer = put(&registry, verb, uri, headers, body).await;
            answer.assert_error(400, "BLOB_UPLOAD_INVALID");
            let now = get(&registry, &location).await;
            assert_eq!(now.header("range"), before.header("range"));
            assert_eq!(now.status, before.status);
        }
        let answer = put(&registry, verb, uri, headers, body).await;
        assert_eq!(answer.status, status, "{verb}: {answer:?}");
    }
    for name in ["demo", "other"] {
        let answer = get(&registry, &format!("/v2/{name}/blobs/{}", digest())).await;
        assert_eq!(answer.body, CONTENT);
    }
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_was_done_and_can_be_repeated() {
    let (registry, _, faults) = registry();
    let lost = || Fault::LostAnswer(busy());
    let blob = format!("/v2/demo/blobs/{}", digest());
    let location = start(&registry, "demo").await;
    // A piece that has arrived already is out of order, and the answer says where to go on.
    let range = [("content-range", "0-3")];
    faults.order(Method::AppendUpload, lost());
    let answer = put(&registry, "PATCH", &location, &range, &CONTENT[..4]).await;
    assert_failed(true, &answer);
    let answer = put(&registry, "PATCH", &location, &range, &CONTENT[..4]).await;
    answer.assert_error(416, "BLOB_UPLOAD_INVALID");
    assert_eq!(answer.header("range"), "0-3");

    let finish = format!("{location}?digest={}", digest());
    faults.order(Method::FinishUpload, lost());
    let answer = put(&registry, "PUT", &finish, &[], &CONTENT[4..]).await;
    assert_failed(true, &answer);
    assert_eq!(get(&registry, &blob).await.body, CONTENT);
    let answer = put(&registry, "PUT", &finish, &[], &CONTENT[4..]).await;
    assert_eq!(answer.status, 201, "{answer:?}");

    let image = image();
    push_image(&registry, "demo", None, &image).await;
    faults.order(Method::PutManifest, lost());
    let answer = put_manifest(&registry, "demo", "latest", image.manifest()).await;
    assert_failed(true, &answer);
    assert_eq!(
        get(&registry, "/v2/demo/manifests/latest").await.status,
        200
    );
    let answer = put_manifest(&registry, "demo", "latest", image.manifest()).await;
    assert_eq!(answer.status, 201, "{answer:?}");

    faults.order(Method::DeleteBlob, lost());
    let answer = ask(&registry, "DELETE", &blob, &[]).await;
    assert_failed(true, &answer);
    let answer = ask(&registry, "DELETE", &blob, &[]).await;
    answer.assert_error(404, "BLOB_UNKNOWN");
    // What fails by itself tells its own error.
    faults.order(Method::DeleteBlob, lost());
    let answer = ask(&registry, "DELETE", &blob, &[]).await;
    answer.assert_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn a_delay_holds_only_the_request_that_meets_it() {
    let (registry, faults) = filled().await;
    let blob = format!("/v2/demo/blobs/{}", digest());
    let single = format!("/v2/demo/blobs/uploads/?digest={}", digest());
    for (method, verb, uri, body, status) in [
        (Method::Blob, "GET", &blob, "", 200),
        (Method::PutBlob, "POST", &single, CONTENT, 201),
    ] {
        let gate = Arc::new(Semaphore::new(0));
        let opens = gate.clone();
        let end = async move { drop(opens.acquire().await) };
        faults.order(method, Fault::delay(end));
        let (held, other) = (registry.clone(), registry.clone());
        let request = Request::builder().method(verb).uri(uri);
        let request = request.body(Body::from(body)).unwrap();
        let held = tokio::spawn(async move { send(&held, request).await });
        tokio::task::yield_now().await;
        // The same request is not held, and neither are others.
        for _ in 0..2 {
            let answer = put(&other, verb, uri, &[], body).await;
            assert_eq!(answer.status, status, "{answer:?}");
        }
        assert_eq!(get(&other, "/v2/demo/tags/list").await.status, 200);
        assert!(!held.is_finished(), "{verb} was not held");
        gate.add_permits(1);
        let answer = held.await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn faults_are_met_in_the_order_in_which_they_were_ordered_and_once_each() {
    let (registry, faults) = filled().await;
    let uri = "/v2/demo/tags/list";
    // From any handle to the orders.
    let orders = [busy(), SourceError::Denied, SourceError::Full];
    for error in orders {
        faults.clone().order(Method::Tags, Fault::Error(error));
    }
    // Another method meets none of them.
    assert_eq!(
        get(&registry, "/v2/demo/manifests/latest").await.status,
        200
    );
    for status in [503, 403, 507, 200, 200] {
        assert_eq!(get(&registry, uri).await.status, status);
    }
}
