//! Chunks: their order, and the `Content-Range` that says it.

use tower_oci::{
    BeginUpload, Blob, BlobInfo, BlobSource, DynBody, Found, GetBlob, GetManifest, Manifest,
    NewManifest, Reference, RepositoryName, Session, SourceError, StoredManifest, UploadBody,
    UploadId, UploadStatus,
};

use super::*;

// protocol 27; pitfalls: a one-byte first chunk fails
#[tokio::test]
async fn chunks_in_order_are_taken_and_answered_with_all_that_has_arrived() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    for (range, chunk, arrived) in [
        ("0-0", "a", "0-0"),
        ("1-1", "b", "0-1"),
        ("2-6", "cdefg", "0-6"),
        ("0000000007-00000008", "hi", "0-8"),
    ] {
        let answer = patch(&registry, &location, range, chunk).await;
        assert_eq!(answer.status, 202, "{range}");
        assert_eq!(answer.header("location"), location);
        assert_eq!(answer.header("range"), arrived);
    }
    let digest = sha256("abcdefghi");
    let answer = finish(&registry, &location, digest, "", "").await;
    assert_stored(&registry, &answer, ("demo", digest), b"abcdefghi").await;
}

// protocol 27, section 3 item 5: without a Content-Length
#[tokio::test]
async fn a_chunk_may_come_chunked() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    let headers = [("content-range", "0-4"), ("transfer-encoding", "chunked")];
    let body = pieces(["h", "", "ell", "o"]);
    let answer = send_body(&registry, "PATCH", &location, &headers, body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (202, "0-4")
    );
    let uri = format!("{location}?digest={}", sha256("hello, you"));
    let headers = [("content-range", "5-9"), ("transfer-encoding", "chunked")];
    let answer = send_body(&registry, "PUT", &uri, &headers, pieces([", ", "you"])).await;
    let stored = ("demo", sha256("hello, you"));
    assert_stored(&registry, &answer, stored, b"hello, you").await;
}

// protocol 29 and 80
#[tokio::test]
async fn chunks_and_streams_may_be_mixed() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    patch(&registry, &location, "0-1", "ab").await;
    send_body(&registry, "PATCH", &location, &[], pieces(["c", "d"])).await;
    let answer = patch(&registry, &location, "4-4", "e").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (202, "0-4")
    );
    let digest = sha256("abcdef");
    let answer = finish(&registry, &location, digest, "5-5", "f").await;
    assert_stored(&registry, &answer, ("demo", digest), b"abcdef").await;
}

/// How an upload stands, and chunks of two bytes that do not begin where it goes on.
const OUT_OF_ORDER: &[(&str, &str, &[&str])] = &[
    // Nothing has arrived: a status of 0-0 does not mean that byte 0 has.
    (
        "",
        "0-0",
        &["1-2", "2-3", "18446744073709551613-18446744073709551614"],
    ),
    // One byte has, which has the same status.
    ("a", "0-0", &["0-1", "2-3", "100-101"]),
    ("ab", "0-1", &["0-1", "1-2", "3-4"]),
    ("hello", "0-4", &["0-1", "3-4", "4-5", "6-7"]),
];

// protocol 28 and 89, section 3 item 7
#[tokio::test]
async fn a_chunk_out_of_order_answers_416_and_keeps_the_offset() {
    for (arrived, range, chunks) in OUT_OF_ORDER {
        let registry = registry();
        let location = start(&registry, "demo").await;
        patch(&registry, &location, "", *arrived).await;
        for chunk in *chunks {
            let answer = patch(&registry, &location, chunk, "xx").await;
            answer.assert_error(416, "BLOB_UPLOAD_INVALID");
            assert_eq!(answer.header("range"), *range, "{chunk} after {arrived:?}");
            assert_open(&registry, &location, range).await;
        }
        let next = format!("{0}-{0}", arrived.len());
        let answer = patch(&registry, &location, &next, "!").await;
        assert_eq!(answer.status, 202, "{next} after {arrived:?}");
        let whole = format!("{arrived}!");
        let answer = finish(&registry, &location, sha256(&whole), "", "").await;
        let stored = ("demo", sha256(&whole));
        assert_stored(&registry, &answer, stored, whole.as_bytes()).await;
    }
}

// protocol 29, section 3 item 7: the GET goes to the URL with the digest;
// pitfalls: PUT at the end of chunks ignores its Content-Range
#[tokio::test]
async fn a_last_chunk_out_of_order_answers_416_and_the_upload_goes_on() {
    for (arrived, range, chunks) in OUT_OF_ORDER {
        let registry = registry();
        let location = start(&registry, "demo").await;
        patch(&registry, &location, "", *arrived).await;
        let whole = format!("{arrived}xx");
        let uri = format!("{location}?digest={}", sha256(&whole));
        for chunk in *chunks {
            let headers = [("content-range", *chunk)];
            let answer = put(&registry, "PUT", &uri, &headers, "xx").await;
            answer.assert_error(416, "BLOB_UPLOAD_INVALID");
            assert_eq!(answer.header("range"), *range, "{chunk} after {arrived:?}");
            assert_open(&registry, &uri, range).await;
            assert_no_blob(&registry, "demo", sha256(&whole)).await;
        }
        let right = format!("{}-{}", arrived.len(), arrived.len() + 1);
        let headers = [("content-range", &*right)];
        let answer = put(&registry, "PUT", &uri, &headers, "xx").await;
        let stored = ("demo", sha256(&whole));
        assert_stored(&registry, &answer, stored, whole.as_bytes()).await;
    }
}

// protocol 27 and section 4: `bytes 40-49/100`
#[tokio::test]
async fn a_malformed_content_range_is_400_and_keeps_the_offset() {
    let registry = registry();
    let location = start(&registry, "demo").await;
    patch(&registry, &location, "", "hello").await;
    let uri = format!("{location}?digest={}", sha256("helloxx"));
    for range in [
        "",
        "5",
        "5-",
        "-6",
        "6-5",
        "bytes 5-6/7",
        "bytes 5-6",
        "bytes=5-6",
        "5-6/7",
        "5-6/*",
        "+5-6",
        "5--6",
        "5-6-7",
        "5-6,7-8",
        "0x5-0x6",
        "5-99999999999999999999",
        "0-18446744073709551615",
    ] {
        for (method, uri) in [("PATCH", &location), ("PUT", &uri)] {
            let headers = [("content-range", range)];
            let answer = put(&registry, method, uri, &headers, "xx").await;
            answer.assert_error(400, "BLOB_UPLOAD_INVALID");
            assert_open(&registry, &location, "0-4").await;
        }
    }
    let twice = [("content-range", "5-6"), ("content-range", "5-6")];
    let answer = put(&registry, "PATCH", &location, &twice, "xx").await;
    answer.assert_error(400, "BLOB_UPLOAD_INVALID");
    assert_open(&registry, &location, "0-4").await;
    assert_no_blob(&registry, "demo", sha256("helloxx")).await;
}

/// A store that wants chunks of 1,024 bytes, as object storages do, and remembers how the uploads
/// were begun.
#[derive(Clone, Default)]
struct LargeChunks(MemoryStore, Arc<Mutex<Vec<BeginUpload>>>);

impl BlobSource for LargeChunks {
    type Body = DynBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        self.0.manifest(repository, reference, options).await
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<DynBody>, SourceError> {
        self.0.blob(repository, digest, options).await
    }
}

impl BlobStore for LargeChunks {
    async fn begin_upload(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
    ) -> Result<Session, SourceError> {
        self.1.lock().unwrap().push(begin);
        let session = self.0.begin_upload(repository, begin).await?;
        Ok(session.min_chunk(1024))
    }

    async fn append_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Result<u64, SourceError> {
        self.0.append_upload(repository, upload, at, body).await
    }

    async fn upload_status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<UploadStatus, SourceError> {
        self.0.upload_status(repository, upload).await
    }

    async fn finish_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let finish = self.0.finish_upload(repository, upload, at, last, expect);
        finish.await
    }

    async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<(), SourceError> {
        self.0.cancel_upload(repository, upload).await
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        new: NewManifest,
    ) -> Result<StoredManifest, SourceError> {
        self.0.put_manifest(repository, new).await
    }
}

// protocol 23
#[tokio::test]
async fn a_store_that_wants_large_chunks_says_so_when_an_upload_begins() {
    let registry = OciRegistryService::writable(LargeChunks::default());
    let content = noise(2_500);
    let digest = sha256(&content);
    for uri in [
        "/v2/demo/blobs/uploads/".to_owned(),
        // The session of a mount that cannot be.
        format!("/v2/demo/blobs/uploads/?mount={digest}&from=other"),
    ] {
        let answer = put(&registry, "POST", &uri, &[], "").await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("oci-chunk-min-length"), "1024");
    }
    let location = start(&registry, "demo").await;
    for (range, chunk) in [("0-1023", 0..1024), ("1024-2047", 1024..2048)] {
        let answer = patch(&registry, &location, range, content.slice(chunk)).await;
        assert_eq!(answer.status, 202);
        assert_eq!(answer.header("oci-chunk-min-length"), "");
    }
    // The last may have any length.
    let last = content.slice(2048..);
    let answer = finish(&registry, &location, digest, "2048-2499", last).await;
    assert_stored(&registry, &answer, ("demo", digest), &content).await;
}

// The default of the trait, which is made of a session.
#[tokio::test]
async fn a_single_post_to_a_store_without_a_way_of_its_own_leaves_no_session() {
    let LargeChunks(store, begun) = LargeChunks::default();
    let registry = OciRegistryService::writable(LargeChunks(store.clone(), begun));
    let digest = sha256("hello");
    let uri = format!("/v2/demo/blobs/uploads/?digest={digest}");
    for body in ["hell", "hello!"] {
        let answer = put(&registry, "POST", &uri, &[], body).await;
        answer.assert_error(400, "DIGEST_INVALID");
        assert_eq!(store.used_bytes(), 0);
    }
    let answer = put(&registry, "POST", &uri, &[], "hello").await;
    assert_stored(&registry, &answer, ("demo", digest), b"hello").await;
}

// protocol 22: only a store can count uploads, and hash while bytes arrive
#[tokio::test]
async fn the_limits_and_the_algorithm_that_is_announced_reach_the_store() {
    let store = LargeChunks::default();
    let mut limits = Limits::default();
    limits.uploads.sessions = 7;
    let registry = OciRegistryService::writable(store.clone()).limits(limits);
    let [by_256, by_512] = [sha256(""), sha512("")];
    for (query, algorithm) in [
        (String::new(), None),
        (
            "?digest-algorithm=sha256".to_owned(),
            Some(Algorithm::Sha256),
        ),
        (
            "?digest-algorithm=sha512".to_owned(),
            Some(Algorithm::Sha512),
        ),
        (format!("?digest={by_256}"), Some(Algorithm::Sha256)),
        (format!("?digest={by_512}"), Some(Algorithm::Sha512)),
        (
            format!("?mount={by_512}&from=other"),
            Some(Algorithm::Sha512),
        ),
    ] {
        let uri = format!("/v2/demo/blobs/uploads/{query}");
        put(&registry, "POST", &uri, &[], "").await;
        let begun = std::mem::take(&mut *store.1.lock().unwrap());
        let begun: Vec<_> = begun
            .iter()
            .map(|begin| (begin.algorithm, begin.limits))
            .collect();
        assert_eq!(begun, [(algorithm, limits.uploads)], "{query}");
    }
}
