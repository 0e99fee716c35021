//! Answers that need no body: it is not even asked for where the client waits with it.

use super::*;

/// A body that nobody may poll.
struct Untouchable;

impl http_body::Body for Untouchable {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        unreachable!("the body was asked for")
    }
}

const WAITS: (&str, &str) = ("expect", "100-continue");

/// Asserts what a client that waits for 100 is answered.
async fn assert_refused(
    registry: &Registry,
    (method, uri): (&str, &str),
    headers: &[(&str, &str)],
    (status, code): (u16, &str),
) {
    let headers: Vec<_> = headers.iter().copied().chain([WAITS]).collect();
    let body = Body::new(Untouchable);
    let answer = send_body(registry, method, uri, &headers, body).await;
    answer.assert_error(status, code);
}

// protocol 40 and 88, RFC 9110 §10.1.1
#[tokio::test]
async fn what_is_too_large_by_its_head_is_answered_without_its_body() {
    let (registry, _) = limited(|limits| {
        limits.manifest_size = 1_000;
        limits.uploads.blob_size = 1_000;
    });
    let location = start(&registry, "demo").await;
    let finish = format!("{location}?digest={}", sha256("hello"));
    let single = format!("/v2/demo/blobs/uploads/?digest={}", sha256("hello"));
    let length = [("content-length", "1001"), ("content-type", INDEX)];
    let range = [("content-range", "0-1000")];
    for (method, uri, headers) in [
        ("PATCH", &*location, &length[..]),
        ("PATCH", &location, &range),
        ("PUT", &finish, &length),
        ("PUT", &finish, &range),
        ("POST", &single, &length),
        ("PUT", "/v2/demo/manifests/latest", &length),
    ] {
        let expected = (413, "SIZE_INVALID");
        assert_refused(&registry, (method, uri), headers, expected).await;
    }
    assert_open(&registry, &location, "0-0").await;
}

// protocol 88, RFC 9110 §10.1.1
#[tokio::test]
async fn what_is_wrong_in_its_head_is_answered_without_its_body() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    let finish = format!("{location}?digest={}", sha256("hello"));
    let unknown = "/v2/demo/blobs/uploads/unknown";
    let gap = [("content-range", "5-9")];
    let upload = "BLOB_UPLOAD_INVALID";
    for (method, uri, headers, status, code) in [
        ("PATCH", &*location, &gap[..], 416, upload),
        ("PUT", &finish, &gap, 416, upload),
        ("PATCH", &location, &[("content-range", "x")], 400, upload),
        ("PUT", &location, &[], 400, "DIGEST_INVALID"),
        ("PATCH", unknown, &[], 404, "BLOB_UPLOAD_UNKNOWN"),
        (
            "PUT",
            "/v2/demo/manifests/a",
            &[("content-type", "x")],
            400,
            "MANIFEST_INVALID",
        ),
        ("PUT", "/v2/demo/manifests/-", &[], 400, "MANIFEST_INVALID"),
    ] {
        assert_refused(&registry, (method, uri), headers, (status, code)).await;
    }
    assert_open(&registry, &location, "0-0").await;
}

// protocol 81: what was committed before is answered at once
#[tokio::test]
async fn the_end_of_an_upload_that_is_sent_again_is_answered_without_its_body() {
    let registry = registry();
    let digest = sha256("hello");
    let location = start(&registry, "demo").await;
    finish(&registry, &location, digest, "", "hello").await;
    let uri = format!("{location}?digest={digest}");
    let answer = send_body(&registry, "PUT", &uri, &[WAITS], Body::new(Untouchable)).await;
    assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
}

// protocol 32: no blob comes with a POST that begins an upload
#[tokio::test]
async fn an_upload_begins_without_the_body_of_the_post() {
    let registry = registry();
    let digest = push_blob(&registry, "source", "hello").await;
    for (query, status) in [
        (String::new(), 202),
        ("?digest-algorithm=sha512".to_owned(), 202),
        (format!("?mount={digest}&from=source"), 201),
        (format!("?mount={digest}&from=other"), 202),
    ] {
        let uri = format!("/v2/demo/blobs/uploads/{query}");
        let answer = send_body(&registry, "POST", &uri, &[WAITS], Body::new(Untouchable)).await;
        assert_eq!(answer.status, status, "{query}");
    }
}

// What there is no room for is refused before it is sent.
#[tokio::test]
async fn a_push_to_one_repository_too_many_is_answered_without_its_body() {
    let store = MemoryStore::builder().max_repositories(1).build();
    let registry = OciRegistryService::writable(store);
    push_blob(&registry, "demo", "hello").await;
    let uri = format!("/v2/other/blobs/uploads/?digest={}", sha256("hello"));
    let expected = (507, "UNKNOWN");
    assert_refused(&registry, ("POST", &uri), &[], expected).await;
}
