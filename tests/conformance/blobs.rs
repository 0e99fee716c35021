//! Lines 3, 4, 8, 10 and 11 for blobs.

use super::*;

/// A blob that takes three chunks, of which the last is smaller.
fn three_chunks(algorithm: Algorithm) -> (Digest, Bytes) {
    let content = noise(3 * upload::CHUNK - 5);
    (algorithm.digest(&content), content)
}

// section 3, lines 3, 4 and 10
#[tokio::test]
async fn line_3_and_4_every_kind_of_upload_stores_a_blob_under_the_digest_that_was_sent() {
    let registry = registry();
    for algorithm in ALGORITHMS {
        for upload in Upload::ALL {
            for content in [noise(512), three_chunks(algorithm).1] {
                let digest = algorithm.digest(&content);
                assert_no_blob(&registry, REPO, &digest).await;
                let answer = upload.send(&registry, REPO, &digest, &content).await;
                assert_created(&registry, &answer, &digest, &content).await;
                assert_blob(&registry, REPO, &digest, &content).await;
                let answer = ask(&registry, "DELETE", &blob_uri(REPO, &digest), &[]).await;
                assert_eq!(answer.status, 202, "{algorithm} {upload:?}");
                assert_no_blob(&registry, REPO, &digest).await;
            }
        }
    }
}

// section 3, line 3: also what is there under the other digest
#[tokio::test]
async fn line_3_well_known_content_has_each_digest_under_its_own_algorithm() {
    for upload in Upload::ALL {
        let registry = registry();
        let contents = ["{}", ""].map(Bytes::from);
        for algorithm in ALGORITHMS {
            for content in &contents {
                let digest = algorithm.digest(content);
                let answer = upload.send(&registry, REPO, &digest, content).await;
                assert_created(&registry, &answer, &digest, content).await;
            }
        }
        for algorithm in ALGORITHMS {
            for content in &contents {
                assert_blob(&registry, REPO, &algorithm.digest(content), content).await;
            }
        }
    }
}

// protocol 34: the suite pushes what is there already
#[tokio::test]
async fn line_4_a_blob_that_is_there_can_be_uploaded_again_in_every_way() {
    for algorithm in ALGORITHMS {
        let registry = registry();
        let (digest, content) = three_chunks(algorithm);
        for upload in Upload::ALL.into_iter().chain(Upload::ALL) {
            let answer = upload.send(&registry, REPO, &digest, &content).await;
            assert_created(&registry, &answer, &digest, &content).await;
        }
    }
}

// section 3, line 8
#[tokio::test]
async fn line_8_content_that_has_another_digest_is_400_in_every_kind_of_upload() {
    for algorithm in ALGORITHMS {
        let registry = registry();
        let (digest, content) = three_chunks(algorithm);
        let corrupt = Bytes::from([content.as_ref(), b"oh no"].concat());
        for upload in Upload::ALL {
            let answer = upload.send(&registry, REPO, &digest, &corrupt).await;
            answer.assert_error(400, "DIGEST_INVALID");
            assert_no_blob(&registry, REPO, &digest).await;
            for algorithm in ALGORITHMS {
                assert_no_blob(&registry, REPO, &algorithm.digest(&corrupt)).await;
            }
        }
        // Nothing of it is left that would spoil the next one.
        let answer = Upload::Stream
            .send(&registry, REPO, &digest, &content)
            .await;
        assert_created(&registry, &answer, &digest, &content).await;
    }
}

// section 3, line 8: digests that are none, or of no algorithm that is known
#[tokio::test]
async fn line_8_a_digest_that_is_malformed_is_400_in_every_kind_of_upload() {
    let registry = registry();
    let content = noise(512);
    let sha256 = Algorithm::Sha256.digest(&content).to_string();
    for digest in [
        "sha256:baddigeststring",
        "sha512:baddigeststring",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        "baddigeststring",
        "",
        &sha256[..sha256.len() - 1],
        &sha256.to_uppercase(),
    ] {
        let post = format!("/v2/{REPO}/blobs/uploads/");
        if !digest.is_empty() {
            let post = with_parameter(&post, "digest", digest);
            let answer = put(&registry, "POST", &post, &[upload::OCTETS], content.clone()).await;
            answer.assert_error(400, "DIGEST_INVALID");
        }
        let opened = upload::open(&registry, REPO).await;
        let end = with_parameter(opened.header("location"), "digest", digest);
        let answer = put(&registry, "PUT", &end, &[upload::OCTETS], content.clone()).await;
        answer.assert_error(400, "DIGEST_INVALID");
    }
    assert_no_blob(&registry, REPO, &sha256.parse().unwrap()).await;
    let answer = get(
        &registry,
        &format!("/v2/{REPO}/blobs/sha256:baddigeststring"),
    )
    .await;
    answer.assert_error(400, "DIGEST_INVALID");
}

// section 3, line 11
#[tokio::test]
async fn line_11_an_empty_blob_has_an_explicit_length_of_zero() {
    for algorithm in ALGORITHMS {
        for upload in Upload::ALL {
            let registry = registry();
            let digest = algorithm.digest("");
            let answer = upload.send(&registry, REPO, &digest, &Bytes::new()).await;
            assert_created(&registry, &answer, &digest, b"").await;
            for method in ["HEAD", "GET"] {
                let answer = ask(&registry, method, &blob_uri(REPO, &digest), &[]).await;
                assert_eq!(answer.status, 200);
                assert_eq!(answer.header("content-length"), "0", "{method}");
                assert_eq!(answer.body, "");
            }
        }
    }
}

// section 3, before line 10: what the suite cancels, it tries to delete afterwards
#[tokio::test]
async fn an_upload_that_is_cancelled_leaves_nothing() {
    let registry = registry();
    let content = noise(512);
    let opened = upload::open(&registry, REPO).await;
    let location = opened.header("location");
    let answer = stream(&registry, "PATCH", location, &[upload::OCTETS], &content).await;
    assert_eq!(answer.status, 202);
    let answer = ask(&registry, "DELETE", location, &[("content-length", "0")]).await;
    assert_eq!(answer.status, 204);
    assert_eq!(get(&registry, location).await.status, 404);
    for algorithm in ALGORITHMS {
        let digest = algorithm.digest(&content);
        assert_no_blob(&registry, REPO, &digest).await;
        let answer = ask(&registry, "DELETE", &blob_uri(REPO, &digest), &[]).await;
        assert_eq!(answer.status, 404);
    }
}
