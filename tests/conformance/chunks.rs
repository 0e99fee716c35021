//! Line 7: chunks that are out of order.

use super::*;

/// The last byte that has arrived, as the status of the upload tells it.
async fn last_byte(registry: &Registry, uri: &str) -> (String, i64) {
    let answer = get(registry, uri).await;
    assert_eq!(answer.status, 204, "{uri}: {answer:?}");
    let location = answer.header("location").to_owned();
    assert_ne!(location, "");
    let range = answer.header("range");
    let last = range.strip_prefix("0-").unwrap().parse();
    (location, last.unwrap())
}

/// Sends a chunk that does not begin where the session is, and asks where it is.
///
/// The status is asked for where the chunk was sent to: with a digest in the query, if that was a
/// PUT.
async fn send_bad_chunk(
    registry: &Registry,
    location: &str,
    digest: &Digest,
    (content, range): (&Bytes, std::ops::Range<usize>),
    is_put: bool,
) -> (String, i64) {
    let (method, uri) = match is_put {
        true => ("PUT", with_parameter(location, "digest", digest)),
        false => ("PATCH", location.to_owned()),
    };
    let answer = upload::chunk(registry, method, &uri, content, range).await;
    answer.assert_error(416, "BLOB_UPLOAD_INVALID");
    assert_no_blob(registry, REPO, digest).await;
    last_byte(registry, &uri).await
}

/// Sends three chunks, and before each of them one that is out of order: it skips ahead, or begins
/// from 0 again.
async fn out_of_order(algorithm: Algorithm, upload: Upload) {
    let registry = registry();
    let content = noise(3 * upload::CHUNK - 5);
    let digest = algorithm.digest(&content);
    let opened = upload::open(&registry, REPO).await;
    let size = upload::chunk_size(&opened, &content);
    let mut location = opened.header("location").to_owned();
    let mut offset = 0;
    loop {
        let bad = match offset + size {
            ahead if ahead < content.len() => ahead,
            _ => 0,
        };
        let bad = bad..(bad + size).min(content.len());
        let is_put = upload == Upload::PutChunk && bad.end == content.len();
        let bad = (&content, bad);
        let (at, last) = send_bad_chunk(&registry, &location, &digest, bad, is_put).await;
        if offset > 0 {
            assert_eq!(last, offset as i64 - 1);
        }
        location = at;
        let end = (offset + size).min(content.len());
        if end == content.len() && upload == Upload::PutChunk {
            let uri = with_parameter(&location, "digest", digest);
            let answer = upload::chunk(&registry, "PUT", &uri, &content, offset..end).await;
            return assert_created(&registry, &answer, &digest, &content).await;
        }
        let answer = upload::chunk(&registry, "PATCH", &location, &content, offset..end).await;
        location = upload::accepted(&answer, end);
        if end == content.len() {
            let answer = upload::close(&registry, &location, &digest).await;
            return assert_created(&registry, &answer, &digest, &content).await;
        }
        offset = end;
    }
}

// section 3, line 7
#[tokio::test]
async fn line_7_a_chunk_out_of_order_is_416_and_the_session_goes_on() {
    for algorithm in ALGORITHMS {
        for upload in [Upload::Chunks, Upload::PutChunk] {
            out_of_order(algorithm, upload).await;
        }
    }
}

// section 3, line 7: a number, also while nothing has arrived
#[tokio::test]
async fn line_7_the_status_of_an_upload_is_a_range_from_0() {
    let registry = registry();
    let opened = upload::open(&registry, REPO).await;
    let mut location = opened.header("location").to_owned();
    let content = noise(3);
    let (at, last) = last_byte(&registry, &location).await;
    assert!([0, -1].contains(&last));
    location = at;
    for end in 1..=3 {
        let answer = upload::chunk(&registry, "PATCH", &location, &content, end - 1..end).await;
        location = upload::accepted(&answer, end);
        let (at, last) = last_byte(&registry, &location).await;
        assert_eq!(last, end as i64 - 1);
        location = at;
    }
    let digest = Algorithm::Sha256.digest(&content);
    let answer = upload::close(&registry, &location, &digest).await;
    assert_created(&registry, &answer, &digest, &content).await;
}

// section 3, line 7: a repeat of the whole from 0 is out of order too
#[tokio::test]
async fn line_7_a_repeat_from_0_is_out_of_order_when_anything_has_arrived() {
    for (algorithm, is_put) in [(Algorithm::Sha256, false), (Algorithm::Sha512, true)] {
        let registry = registry();
        let content = noise(2 * upload::CHUNK);
        let digest = algorithm.digest(&content);
        let opened = upload::open(&registry, REPO).await;
        let location = opened.header("location");
        let first = 0..upload::CHUNK;
        let answer = upload::chunk(&registry, "PATCH", location, &content, first.clone()).await;
        let location = upload::accepted(&answer, first.end);
        for repeat in [first.clone(), 0..content.len()] {
            let bad = (&content, repeat);
            let (_, last) = send_bad_chunk(&registry, &location, &digest, bad, is_put).await;
            assert_eq!(last, first.end as i64 - 1);
        }
        let uri = with_parameter(&location, "digest", digest);
        let rest = first.end..content.len();
        let answer = upload::chunk(&registry, "PUT", &uri, &content, rest).await;
        assert_created(&registry, &answer, &digest, &content).await;
    }
}
