//! The lying registry: each lie ends in a clear error, in bounded memory and time.

use super::*;

const EMPTY_INDEX: &[u8] =
    br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

fn latest() -> Reference {
    Reference::Tag(tag("latest"))
}

fn digest_of(content: &[u8]) -> tower_oci::Digest {
    tower_oci::Algorithm::Sha256.digest(content)
}

/// What the client says to a blob that is answered like this.
async fn blob_error(builder: Builder, content: &[u8]) -> String {
    let client = builder.retry(RetryPolicy::never()).build();
    let download = match client.blob(&name("demo"), &digest_of(content)).await {
        Ok(download) => download,
        Err(error) => return error.to_string(),
    };
    let mut body = std::pin::pin!(download.body);
    let mut received = 0;
    loop {
        match body.frame().await {
            Some(Ok(frame)) => received += frame.into_data().unwrap().len(),
            Some(Err(error)) => {
                assert!(
                    received < content.len().max(1),
                    "the last byte was handed on"
                );
                return error.to_string();
            }
            None => panic!("it looks complete after {received} bytes"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_blob_with_wrong_bytes_or_a_wrong_length_never_looks_complete() {
    let length = [("content-length", "5")];
    let error = blob_error(client_of_answer(200, &length, b"hullo"), b"hello").await;
    assert!(error.contains("does not have the digest"), "{error}");
    let error = blob_error(client_of_answer(200, &length, b"hell"), b"hello").await;
    assert!(error.contains("1 bytes early"), "{error}");
    let error = blob_error(client_of_answer(200, &length, b"hello!"), b"hello").await;
    assert!(error.contains("longer than it said"), "{error}");
    let error = blob_error(client_of_answer(200, &[], b"hello"), b"hello").await;
    assert!(error.contains("no Content-Length"), "{error}");
    let none = [("content-length", "0")];
    let error = blob_error(client_of_answer(200, &none, b""), b"hello").await;
    assert!(error.contains("does not have the digest"), "{error}");
    let encoded = [("content-length", "5"), ("content-encoding", "gzip")];
    let error = blob_error(client_of_answer(200, &encoded, b"hello"), b"hello").await;
    assert!(error.contains("Content-Encoding"), "{error}");
    let part = [("content-length", "5"), ("content-range", "bytes 0-4/9")];
    let error = blob_error(client_of_answer(206, &part, b"hello"), b"hello").await;
    assert!(error.contains("a part"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_range_that_is_another_part_is_refused() {
    let digest = digest_of(b"0123456789");
    let range = tower_oci::ByteRange::FromTo(2, 4);
    for (content_range, body) in [
        ("bytes 3-5/10", &b"345"[..]),
        ("bytes 2-4/*", b"234"),
        ("bytes 2-5/10", b"2345"),
        ("bytes 4-2/10", b"234"),
        ("items 2-4/10", b"234"),
        ("bytes 2-4/3", b"234"),
        ("", b"234"),
    ] {
        let builder = client_of_answer(206, &[("content-range", content_range)], body);
        let download = builder
            .build()
            .blob_range(&name("demo"), &digest, range)
            .await;
        let error = download.map(|download| download.range).unwrap_err();
        assert!(
            matches!(error.kind(), ClientErrorKind::Protocol(_)),
            "{content_range}: {error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_with_another_digest_is_an_error_and_never_content() {
    let other = digest_of(b"other").to_string();
    let told = [("docker-content-digest", other.as_str())];
    let client = client_of_answer(200, &told, EMPTY_INDEX).build();
    let error = client.manifest(&name("demo"), &latest()).await.unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::DigestMismatch(_)),
        "{error}"
    );

    let client = client_of_answer(200, &[], EMPTY_INDEX).build();
    client.manifest(&name("demo"), &latest()).await.unwrap();
    let by_digest = Reference::Digest(digest_of(b"other"));
    let error = client
        .manifest(&name("demo"), &by_digest)
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::DigestMismatch(_)),
        "{error}"
    );
    let digest = digest_of(b"other");
    let error = client
        .manifest_at(&name("demo"), &tag("latest"), &digest)
        .await
        .unwrap_err();
    assert!(
        matches!(error.kind(), ClientErrorKind::DigestMismatch(_)),
        "{error}"
    );
}

/// A body of zeros without an end, and how many bytes of it were read.
fn endless(read: Arc<Mutex<usize>>) -> DynBody {
    let frames = std::iter::repeat_with(move || {
        *read.lock().unwrap() += 64 << 10;
        Ok::<_, BoxError>(http_body::Frame::data(Bytes::from_static(
            &[b' '; 64 << 10],
        )))
    });
    DynBody::new(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_end_is_cut() {
    for status in [200, 500] {
        let read = Arc::new(Mutex::new(0));
        let reading = read.clone();
        let client = client_of(move |_| {
            let body = endless(reading.clone());
            std::future::ready(Response::builder().status(status).body(body).unwrap())
        });
        let client = client.retry(RetryPolicy::never()).build();
        client.manifest(&name("demo"), &latest()).await.unwrap_err();
        client.all_tags(&name("demo")).await.unwrap_err();
        let error = client
            .referrers(&name("demo"), &digest_of(b""), None, None)
            .await;
        error.unwrap_err();
        let read = *read.lock().unwrap();
        assert!(read < 32 << 20, "{status}: {read}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_manifest_that_was_compressed_is_refused() {
    let encoded = [("content-encoding", "gzip")];
    let client = client_of_answer(200, &encoded, b"\x1f\x8b").build();
    let error = client.manifest(&name("demo"), &latest()).await.unwrap_err();
    assert!(error.to_string().contains("Content-Encoding"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn redirects_have_an_end_and_do_not_leave_https() {
    let client = client_of_answer(307, &[("location", "/v2/a")], b"").build();
    let error = client.all_tags(&name("demo")).await.unwrap_err();
    assert!(error.to_string().contains("more than 10 times"), "{error}");
    let client = client_of_answer(307, &[], b"").build();
    let error = client.all_tags(&name("demo")).await.unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");

    let service = service_fn(|_| async {
        let downgrade = [("location", "http://registry.test/v2/")];
        Ok::<_, BoxError>(answer(302, &downgrade, ""))
    });
    let url = "https://registry.test".parse().unwrap();
    let client = RegistryClient::builder(url, service).build();
    let error = client.ping().await.unwrap_err();
    assert!(error.to_string().contains("from https"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn links_that_lead_astray_are_refused() {
    for (link, expected) in [
        (
            "</v2/demo/tags/list?n=1000>; rel=\"next\"",
            "the page itself",
        ),
        (
            "<http://other.test/v2/demo/tags/list?last=a>; rel=\"next\"",
            "another list",
        ),
        (
            "</v2/secret/tags/list?last=a>; rel=\"next\"",
            "another list",
        ),
        ("<http://[>; rel=\"next\"", "nowhere"),
        // It goes on for ever, always at the same position.
        ("<?last=a>; rel=\"next\"", "no end"),
        ("<?n=1000&last=a>; rel=\"next\"", "the page itself"),
    ] {
        let client = client_of_answer(200, &[("link", link)], br#"{"tags":["a"]}"#).build();
        let error = client
            .all_tags(&name("demo"))
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{link}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_errors_are_a_short_one() {
    let entry = r#"{"code":"DENIED","message":"no"}"#;
    let body = format!(
        r#"{{"errors":[{}{entry}]}}"#,
        format!("{entry},").repeat(100_000)
    );
    let client =
        client_of_answer(403, &[], Box::leak(body.into_bytes().into_boxed_slice())).build();
    let error = client.all_tags(&name("demo")).await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::FORBIDDEN));
    assert!(error.to_string().len() < 4_096, "{error}");
}
