//! Line 10: what is deleted is gone at once, there and only there.

use super::*;
use walk::{Tagging, assert_manifest, walk};

/// Pushes all of `data` into the other repository.
async fn push_to_repo2(registry: &Registry, data: &Data) {
    for (digest, content) in &data.blobs {
        let answer = Upload::PostPut.send(registry, REPO2, digest, content).await;
        assert_eq!(answer.status, 201);
    }
    for pushed in &data.manifests {
        let uri = in_repo2(&manifest_uri(pushed.manifest.digest()));
        let headers = [("content-type", pushed.manifest.media_type().as_str())];
        let answer = stream(registry, "PUT", &uri, &headers, pushed.manifest.bytes()).await;
        assert_eq!(answer.status, 201);
    }
}

fn in_repo2(uri: &str) -> String {
    uri.replace(REPO, REPO2)
}

// section 3, line 10: bytes that repositories share are gone from one, and stay in the other
#[tokio::test]
async fn line_10_what_is_deleted_is_gone_in_its_repository_and_stays_in_the_other() {
    for algorithm in ALGORITHMS {
        let registry = registry();
        for data in Data::all(algorithm) {
            push_to_repo2(&registry, &data).await;
            // Pushes all of it to the first repository, and deletes it there again.
            walk(&registry, &data, Upload::Post, Tagging::Parameter).await;
            for (digest, content) in &data.blobs {
                assert_no_blob(&registry, REPO, digest).await;
                assert_blob(&registry, REPO2, digest, content).await;
            }
            for pushed in &data.manifests {
                let uri = manifest_uri(pushed.manifest.digest());
                assert_eq!(get(&registry, &uri).await.status, 404);
                assert_manifest(&registry, &in_repo2(&uri), &pushed.manifest).await;
            }
        }
    }
}

// section 3, line 10: in the suite's own words, 202 or 404, and never 405
#[tokio::test]
async fn line_10_a_delete_of_what_is_gone_already_is_404() {
    let registry = registry();
    for algorithm in ALGORITHMS {
        for data in Data::all(algorithm) {
            walk(&registry, &data, Upload::PostPut, Tagging::Parameter).await;
            let manifests = data.manifests.iter();
            let manifests = manifests.map(|pushed| manifest_uri(pushed.manifest.digest()));
            let blobs = data.blobs.keys().map(|digest| blob_uri(REPO, digest));
            let tags = data.tags.keys().map(manifest_uri);
            for uri in manifests.chain(blobs).chain(tags) {
                let answer = ask(&registry, "DELETE", &uri, &[]).await;
                assert_eq!(answer.status, 404, "{uri}");
            }
        }
    }
}
