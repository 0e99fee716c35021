//! A blob that a manifest still uses can be deleted. Whoever cleans up deletes in any order.

use super::*;

/// The manifest, by tag and by digest, is what it was.
async fn assert_manifest_stays(registry: &Registry, image: &Image) {
    for reference in ["latest", &image.digest().to_string()] {
        assert_manifest_there(registry, reference, image).await;
    }
}

// protocol 39 and 59, section 4: delete blob in use
#[tokio::test]
async fn a_blob_in_use_is_deleted_and_its_manifest_stays_until_the_blob_is_pushed_again() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let registry = registry();
        let layer = noise(10_000);
        let image = ImageBuilder::new().algorithm(algorithm);
        let image = image.layer(MediaType::OCI_LAYER, layer.clone());
        let image = image.build().unwrap();
        push_image(&registry, "demo", None, &image).await;
        let reference = format!("{}?tag=latest", image.digest());
        let answer = put_manifest(&registry, "demo", &reference, image.manifest()).await;
        assert_eq!(answer.status, 201);
        let digest = image.layers()[0].digest;
        let path = format!("demo/blobs/{digest}");

        deleted(&registry, &path).await;
        assert_gone(&registry, &path, "BLOB_UNKNOWN").await;
        assert_manifest_stays(&registry, &image).await;
        assert_eq!(tags(&registry, "demo").await, ["latest"]);

        // It is not taken again like that, under whatever name.
        let by_digest = format!("{}?tag=new", image.digest());
        for reference in ["latest", "new", &image.digest().to_string(), &by_digest] {
            let answer = put_manifest(&registry, "demo", reference, image.manifest()).await;
            answer.assert_error(400, "MANIFEST_BLOB_UNKNOWN");
            let missing = answer.json()["errors"][0]["detail"]["digest"].clone();
            assert_eq!(missing, digest.to_string());
        }
        assert_eq!(tags(&registry, "demo").await, ["latest"]);
        assert_manifest_stays(&registry, &image).await;

        let uri = format!("/v2/demo/blobs/uploads/?digest={digest}");
        let answer = put(&registry, "POST", &uri, &[], layer.clone()).await;
        assert_eq!(answer.status, 201);
        assert_there(&registry, &path, &layer).await;
        let answer = put_manifest(&registry, "demo", "new", image.manifest()).await;
        assert_eq!(answer.status, 201);
        assert_eq!(tags(&registry, "demo").await, ["latest", "new"]);
    }
}

// Everything, in the order that is the worst for a reader.
#[tokio::test]
async fn an_image_can_be_deleted_from_its_blobs_up() {
    let registry = registry();
    let child = image("content");
    let index = IndexBuilder::new().image(&child).build().unwrap();
    push_image(&registry, "demo", Some("latest"), &index).await;
    for blob in child.descriptors() {
        deleted(&registry, &format!("demo/blobs/{}", blob.digest)).await;
    }
    assert_manifest_stays(&registry, &index).await;
    let child = child.digest().to_string();
    deleted(&registry, &format!("demo/manifests/{child}")).await;
    assert_manifest_stays(&registry, &index).await;
    deleted(&registry, &format!("demo/manifests/{}", index.digest())).await;
    assert_eq!(tags(&registry, "demo").await, [""; 0]);
    assert_eq!(catalog(&registry).await, ["demo"]);
}

// protocol 39: one error for each
#[tokio::test]
async fn all_blobs_that_are_missing_are_named_when_the_manifest_is_pushed_again() {
    let registry = registry();
    let image = ImageBuilder::new()
        .file("a", "1")
        .file("b", "2")
        .build()
        .unwrap();
    push_image(&registry, "demo", Some("latest"), &image).await;
    let mut missing = Vec::new();
    for blob in image.descriptors() {
        deleted(&registry, &format!("demo/blobs/{}", blob.digest)).await;
        missing.push(blob.digest.to_string());
        let answer = put_manifest(&registry, "demo", "latest", image.manifest()).await;
        assert_eq!(answer.status, 400);
        let json = answer.json();
        let errors = json["errors"].as_array().unwrap().iter();
        let named: Vec<String> = errors
            .map(|error| {
                assert_eq!(error["code"], "MANIFEST_BLOB_UNKNOWN");
                error["detail"]["digest"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(named, missing);
    }
    assert_eq!(missing.len(), 3);
}
