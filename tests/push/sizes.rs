//! Lengths that are announced and do not come.

use super::*;

/// Headers of a request whose body is "hello" and that goes on at byte 0: they announce another
/// length, or two that differ.
const OTHER_LENGTHS: &[&[(&str, &str)]] = &[
    &[("content-range", "0-3")],
    &[("content-range", "0-5")],
    &[("content-length", "4")],
    &[("content-length", "6")],
    &[("content-range", "0-3"), ("content-length", "4")],
    &[("content-range", "0-5"), ("content-length", "6")],
    &[("content-range", "0-3"), ("content-length", "5")],
    &[("content-range", "0-5"), ("content-length", "5")],
    &[("content-range", "0-4"), ("content-length", "4")],
    &[("content-range", "0-4"), ("content-length", "6")],
    &[("content-range", "0-0")],
    &[("content-length", "0")],
    &[("content-range", "0-18446744073709551614")],
];

/// The last of them announces more than a blob may have.
fn code_of(headers: &[(&str, &str)]) -> u16 {
    let is_huge = headers.iter().any(|(_, value)| value.len() > 10);
    if is_huge { 413 } else { 400 }
}

// protocol 25 and 28; pitfalls: section 4, PATCH body ≠ Content-Range
#[tokio::test]
async fn a_piece_that_is_longer_or_shorter_than_announced_is_refused_and_nothing_of_it_stays() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let location = start(&registry, "demo").await;
    let before = store.used_bytes();
    for headers in OTHER_LENGTHS {
        for body in [&["hello"][..], &["he", "llo"], &["h", "e", "l", "l", "o"]] {
            let body = pieces(body.iter().copied());
            let answer = send_body(&registry, "PATCH", &location, headers, body).await;
            answer.assert_error(code_of(headers), "SIZE_INVALID");
            assert_open(&registry, &location, "0-0").await;
            assert_eq!(store.used_bytes(), before, "{headers:?}");
        }
    }
    let answer = patch(&registry, &location, "0-4", "hello").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (202, "0-4")
    );
}

// protocol 25 and 29
#[tokio::test]
async fn a_last_piece_that_is_longer_or_shorter_than_announced_commits_nothing() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let location = start(&registry, "demo").await;
    let before = store.used_bytes();
    // What came has the right digest, and so has what was announced of it.
    for content in ["hello", "hell", "h", ""] {
        let digest = sha256(content);
        let uri = format!("{location}?digest={digest}");
        for headers in OTHER_LENGTHS {
            let body = pieces(["hello"]);
            let answer = send_body(&registry, "PUT", &uri, headers, body).await;
            answer.assert_error(code_of(headers), "SIZE_INVALID");
            assert_open(&registry, &location, "0-0").await;
            assert_no_blob(&registry, "demo", digest).await;
            assert_eq!(store.used_bytes(), before, "{headers:?}");
        }
    }
    let digest = sha256("hello");
    let answer = finish(&registry, &location, digest, "0-4", "hello").await;
    assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
}

// protocol 28: behind what was acknowledged
#[tokio::test]
async fn a_later_piece_of_another_length_keeps_what_was_acknowledged() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    patch(&registry, &location, "", "say ").await;
    for range in ["4-7", "4-9", "4-4"] {
        let headers = [("content-range", range)];
        let body = pieces(["hel", "lo"]);
        let answer = send_body(&registry, "PATCH", &location, &headers, body).await;
        answer.assert_error(400, "SIZE_INVALID");
        assert_open(&registry, &location, "0-3").await;
    }
    let digest = sha256("say hello");
    let answer = finish(&registry, &location, digest, "4-8", "hello").await;
    assert_stored(&registry, &answer, ("demo", digest), b"say hello").await;
}

// protocol 26
#[tokio::test]
async fn a_single_post_that_is_longer_or_shorter_than_announced_stores_nothing() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    for content in ["hello", "hell", ""] {
        let digest = sha256(content);
        let uri = format!("/v2/demo/blobs/uploads/?digest={digest}");
        for length in ["0", "4", "6", "1000000"] {
            for body in [&["hello"][..], &["he", "llo"]] {
                let headers = [("content-length", length)];
                let body = pieces(body.iter().copied());
                let answer = send_body(&registry, "POST", &uri, &headers, body).await;
                answer.assert_error(400, "SIZE_INVALID");
                assert_no_blob(&registry, "demo", digest).await;
                assert_eq!(store.used_bytes(), 0);
            }
        }
    }
}

// protocol 35: so is a manifest
#[tokio::test]
async fn a_manifest_that_is_longer_or_shorter_than_announced_is_not_stored() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let document = empty_index("sizes");
    let digest = sha256(&document);
    for reference in ["latest".to_owned(), digest.to_string()] {
        let uri = format!("/v2/demo/manifests/{reference}");
        for length in [0, document.len() - 1, document.len() + 1] {
            let length = length.to_string();
            let headers = [("content-type", INDEX), ("content-length", &length)];
            let body = pieces([document.clone()]);
            let answer = send_body(&registry, "PUT", &uri, &headers, body).await;
            answer.assert_error(400, "SIZE_INVALID");
            assert_no_manifest(&registry, "demo", &reference).await;
            assert_eq!(store.used_bytes(), 0);
        }
    }
}

// protocol 25: the length that was announced is the most that is read, and a bit to drain
#[tokio::test]
async fn a_body_without_an_end_is_refused_where_its_announced_length_ends() {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    let location = start(&registry, "demo").await;
    let before = store.used_bytes();
    let digest = sha256("hello");
    for (method, uri) in [
        ("PATCH", location.clone()),
        ("PUT", format!("{location}?digest={digest}")),
        ("POST", format!("/v2/demo/blobs/uploads/?digest={digest}")),
        ("PUT", format!("/v2/demo/manifests/{digest}")),
    ] {
        let endless = stream::repeat_with(|| Ok::<_, BoxError>(Bytes::from_static(b"hello")));
        let body = Body::from_stream(endless);
        let headers = [("content-length", "5"), ("content-type", INDEX)];
        let answer = send_body(&registry, method, &uri, &headers, body).await;
        answer.assert_error(400, "SIZE_INVALID");
        assert_eq!(store.used_bytes(), before, "{method} {uri}");
    }
    assert_open(&registry, &location, "0-0").await;
    assert_no_blob(&registry, "demo", digest).await;
}
