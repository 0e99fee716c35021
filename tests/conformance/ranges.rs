//! Line 6: parts of a blob.

use super::*;

// section 3, line 6; the whole blob with 200 would be a skip
#[tokio::test]
async fn line_6_a_range_is_answered_with_exactly_that_part() {
    let content = noise(2048);
    for algorithm in ALGORITHMS {
        let registry = registry();
        let digest = algorithm.digest(&content);
        let answer = Upload::Stream
            .send(&registry, REPO, &digest, &content)
            .await;
        assert_eq!(answer.status, 201);
        for (range, part) in [
            ("500-1499", 500..1500),
            ("500-", 500..2048),
            ("-500", 1548..2048),
            ("2000-5000", 2000..2048),
            ("0-0", 0..1),
            ("0-", 0..2048),
            ("-5000", 0..2048),
        ] {
            let range = format!("bytes={range}");
            let uri = blob_uri(REPO, &digest);
            let answer = ask(&registry, "GET", &uri, &[("range", &range)]).await;
            assert_eq!(answer.status, 206, "{range}");
            let content_range = format!("bytes {}-{}/2048", part.start, part.end - 1);
            assert_eq!(answer.header("content-range"), content_range);
            assert_eq!(answer.header("content-length"), part.len().to_string());
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
            assert!(answer.body == content[part], "{range}");
        }
    }
}

// section 3, line 6
#[tokio::test]
async fn line_6_a_range_that_is_reversed_or_past_the_end_is_416() {
    let content = noise(2048);
    for algorithm in ALGORITHMS {
        let registry = registry();
        let digest = algorithm.digest(&content);
        let answer = Upload::Chunks
            .send(&registry, REPO, &digest, &content)
            .await;
        assert_eq!(answer.status, 201);
        for range in ["bytes=500-0", "bytes=5000-10000", "bytes=2048-"] {
            let uri = blob_uri(REPO, &digest);
            let answer = ask(&registry, "GET", &uri, &[("range", range)]).await;
            answer.assert_error(416, "SIZE_INVALID");
            assert_eq!(answer.header("content-range"), "bytes */2048", "{range}");
        }
    }
}
