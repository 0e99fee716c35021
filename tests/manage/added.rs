//! What the program added itself with `add_image` can be deleted by clients too.

use super::*;

fn registry_with(images: &[(&str, &Image)]) -> (MemoryStore, Registry) {
    let store = MemoryStore::new();
    for (repository, image) in images {
        store.add_image(&name(repository), Some(&tag("latest")), image);
    }
    (store.clone(), OciRegistryService::writable(store))
}

// protocol 57 to 59
#[tokio::test]
async fn an_added_image_is_deleted_as_a_pushed_one_is() {
    let image = image("content");
    let layer = format!("demo/blobs/{}", image.layers()[0].digest);
    let manifest = format!("demo/manifests/{}", image.digest());
    let (_, registry) = registry_with(&[("demo", &image)]);

    deleted(&registry, "demo/manifests/latest").await;
    assert_gone(&registry, "demo/manifests/latest", "MANIFEST_UNKNOWN").await;
    assert_manifest_there(&registry, &image.digest().to_string(), &image).await;

    deleted(&registry, &layer).await;
    assert_gone(&registry, &layer, "BLOB_UNKNOWN").await;
    let answer = put_manifest(&registry, "demo", "latest", image.manifest()).await;
    answer.assert_error(400, "MANIFEST_BLOB_UNKNOWN");

    deleted(&registry, &manifest).await;
    assert_gone(&registry, &manifest, "MANIFEST_UNKNOWN").await;
    assert_eq!(tags(&registry, "demo").await, [""; 0]);
    assert_eq!(catalog(&registry).await, ["demo"]);
}

#[tokio::test]
async fn an_added_image_is_deleted_in_one_repository_and_stays_in_the_others() {
    let image = image("content");
    let layer = image.layers()[0].digest;
    let (_, registry) = registry_with(&[("demo", &image), ("other", &image)]);
    deleted(&registry, &format!("demo/manifests/{}", image.digest())).await;
    deleted(&registry, &format!("demo/blobs/{layer}")).await;
    assert_eq!(tags(&registry, "other").await, ["latest"]);
    let content = image.read_blob_verified(&image.layers()[0], 1 << 20).await;
    let content = content.unwrap();
    assert_there(&registry, &format!("other/blobs/{layer}"), &content).await;

    // From where it is left it can be mounted back, and from where it is gone it cannot.
    let uri = format!("/v2/demo/blobs/uploads/?mount={layer}&from=other");
    let answer = put(&registry, "POST", &uri, &[], "").await;
    assert_eq!(answer.status, 201);
    assert_there(&registry, &format!("demo/blobs/{layer}"), &content).await;
    deleted(&registry, &format!("other/blobs/{layer}")).await;
    let uri = format!("/v2/third/blobs/uploads/?mount={layer}&from=other");
    let answer = put(&registry, "POST", &uri, &[], "").await;
    assert_eq!(answer.status, 202);
    assert_there(&registry, &format!("demo/blobs/{layer}"), &content).await;
}

#[tokio::test]
async fn what_was_deleted_is_back_when_the_program_adds_it_again() {
    let image = image("content");
    let (store, registry) = registry_with(&[("demo", &image)]);
    deleted(&registry, &format!("demo/manifests/{}", image.digest())).await;
    for blob in image.descriptors() {
        deleted(&registry, &format!("demo/blobs/{}", blob.digest)).await;
    }
    store.add_image(&name("demo"), Some(&tag("again")), &image);
    assert_eq!(tags(&registry, "demo").await, ["again"]);
    for blob in image.descriptors() {
        let answer = get(&registry, &format!("/v2/demo/blobs/{}", blob.digest)).await;
        assert!(blob.digest.verifies(&answer.body));
    }
}

// protocol 55
#[tokio::test]
async fn a_referrer_that_was_added_is_listed_until_it_is_deleted() {
    let subject = image("subject");
    let referrer = ImageBuilder::artifact("application/vnd.example".parse().unwrap());
    let referrer = referrer.subject(&subject).build().unwrap();
    let (_, registry) = registry_with(&[("demo", &subject), ("demo", &referrer)]);
    assert_eq!(
        referrers(&registry, &subject).await,
        [referrer.digest().to_string()]
    );
    deleted(&registry, &format!("demo/manifests/{}", referrer.digest())).await;
    assert_eq!(referrers(&registry, &subject).await, [""; 0]);
}

#[tokio::test]
async fn a_download_of_an_added_blob_goes_on_when_it_is_deleted() {
    let image = ImageBuilder::new().layer(MediaType::OCI_LAYER, noise(100_000));
    let image = image.build().unwrap();
    let digest = image.layers()[0].digest;
    let (_, registry) = registry_with(&[("demo", &image)]);
    let path = format!("demo/blobs/{digest}");
    let request = Request::get(format!("/v2/{path}"));
    let request = request.body(Body::empty()).unwrap();
    let response = registry.clone().oneshot(request).await.unwrap();
    deleted(&registry, &path).await;
    assert_gone(&registry, &path, "BLOB_UNKNOWN").await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, noise(100_000));
}
