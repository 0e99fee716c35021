//! Line 9: mounts.

use super::*;

async fn mount(registry: &Registry, digest: &Digest, from: &str) -> Answer {
    let uri = format!("/v2/{REPO}/blobs/uploads/");
    let uri = with_parameter(&uri, "mount", digest);
    let uri = match from {
        "" => uri,
        from => with_parameter(&uri, "from", from),
    };
    put(registry, "POST", &uri, &[], "").await
}

// section 3, line 9; 202 for the one without a source would be a skip
#[tokio::test]
async fn line_9_a_blob_is_mounted_with_its_source_and_without() {
    for algorithm in ALGORITHMS {
        for (upload, from) in Upload::ALL.into_iter().flat_map(|u| [(u, REPO2), (u, "")]) {
            let registry = registry();
            let content = noise(512);
            let digest = algorithm.digest(&content);
            let answer = upload.send(&registry, REPO2, &digest, &content).await;
            assert_created(&registry, &answer, &digest, &content).await;
            assert_no_blob(&registry, REPO, &digest).await;
            let answer = mount(&registry, &digest, from).await;
            assert_created(&registry, &answer, &digest, &content).await;
            assert!(answer.header("location").contains(REPO));
            assert_blob(&registry, REPO, &digest, &content).await;
            // Again, now that it is there.
            let answer = mount(&registry, &digest, from).await;
            assert_created(&registry, &answer, &digest, &content).await;
        }
    }
}

// section 3, line 9
#[tokio::test]
async fn line_9_a_mount_of_what_is_missing_is_202_and_an_upload() {
    for algorithm in ALGORITHMS {
        for from in [REPO2, "", REPO, "conformance/unknown"] {
            let registry = registry();
            let content = noise(512);
            let digest = algorithm.digest(&content);
            let other = algorithm.digest("other");
            // Both repositories are there, without the blob.
            for repository in [REPO, REPO2] {
                let content = Bytes::from("other");
                let answer = Upload::Post
                    .send(&registry, repository, &other, &content)
                    .await;
                assert_eq!(answer.status, 201);
            }
            let answer = mount(&registry, &digest, from).await;
            assert_eq!(answer.status, 202, "from {from}");
            assert_no_blob(&registry, REPO, &digest).await;
            let end = with_parameter(answer.header("location"), "digest", digest);
            let answer = put(&registry, "PUT", &end, &[upload::OCTETS], content.clone()).await;
            assert_created(&registry, &answer, &digest, &content).await;
            assert_no_blob(&registry, REPO2, &digest).await;
        }
    }
}
