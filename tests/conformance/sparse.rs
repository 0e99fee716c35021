//! Line 12, with `OCI_DATA_SPARSE`: manifests whose content is not all there.

use super::*;
use walk::{Tagging, walk};

fn sparse_registry() -> Registry {
    in_process(everything().allow_sparse_manifests(true))
}

/// An image without one of its layers, and an index without one of its children.
fn sparse_data(algorithm: Algorithm) -> Data {
    let mut data = Data::new("sparse", algorithm);
    let missing = data.descriptor("application/vnd.oci.image.layer.v1.tar", b"a missing layer");
    let layers = json!([data.layer(), missing]);
    let image = data.image(json!({"layers": layers}));
    data.tag(&image);
    let there = data.image(json!({}));
    let missing = data.descriptor(data::IMAGE, b"a missing child");
    let index = data.index(&[there, missing], json!({}));
    data.tag(&index);
    data
}

// section 3, line 12
#[tokio::test]
async fn line_12_sparse_images_and_indexes_are_taken_where_they_are_allowed() {
    let registry = sparse_registry();
    for upload in Upload::ALL {
        let data = sparse_data(Algorithm::Sha256);
        walk(&registry, &data, upload, Tagging::Push).await;
        for algorithm in ALGORITHMS {
            let data = sparse_data(algorithm);
            walk(&registry, &data, upload, Tagging::Parameter).await;
        }
    }
}

// section 3, line 12: everything else goes on there as it does without
#[tokio::test]
async fn line_12_every_kind_of_content_is_taken_where_sparse_manifests_are() {
    let registry = sparse_registry();
    for algorithm in ALGORITHMS {
        for data in Data::all(algorithm) {
            walk(&registry, &data, Upload::PutChunk, Tagging::Parameter).await;
        }
    }
}

// protocol 39: not allowed, each missing digest is one error
#[tokio::test]
async fn line_12_sparse_images_and_indexes_are_refused_where_they_are_not_allowed() {
    for algorithm in ALGORITHMS {
        let registry = registry();
        let mut data = sparse_data(algorithm);
        let refused = [data.manifests.remove(0), data.manifests.remove(1)];
        data.tags.clear();
        walk::push(&registry, &data, Upload::PostPut, Tagging::Push).await;
        for (pushed, missing) in refused.iter().zip(["a missing layer", "a missing child"]) {
            let manifest = &pushed.manifest;
            let headers = [("content-type", manifest.media_type().as_str())];
            for reference in [manifest.digest().to_string(), "sparse".to_owned()] {
                let uri = manifest_uri(reference);
                let answer = stream(&registry, "PUT", &uri, &headers, manifest.bytes()).await;
                answer.assert_error(400, "MANIFEST_BLOB_UNKNOWN");
                let named = &answer.json()["errors"][0]["detail"]["digest"];
                assert_eq!(*named, algorithm.digest(missing).to_string());
                assert_eq!(get(&registry, &uri).await.status, 404);
            }
        }
    }
}
