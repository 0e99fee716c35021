//! Pushing and pulling where nothing fails.

use super::*;

#[tokio::test]
async fn an_image_that_is_pushed_comes_back_byte_for_byte() {
    let client = client_over(MemoryStore::new());
    let latest = tag("latest");
    let image = index();
    for chunk in [None, Some(30_000)] {
        let repository = name(&format!("demo-{}", chunk.unwrap_or(0)));
        let mut options = PushOptions::default();
        options.chunk = chunk;
        let pushed = client.push_image(&repository, Some(&latest), &image, &options);
        let pushed = pushed.await.unwrap();
        assert_eq!((pushed.sent, pushed.present), (5, 0), "{chunk:?}");
        let pulled = client
            .image(&repository, &Reference::Tag(latest.clone()))
            .await;
        let pulled = pulled.unwrap();
        assert_eq!(pulled.manifest(), image.manifest());
        for child in pulled.children() {
            for blob in child.descriptors() {
                let bytes = child.read_blob_verified(blob, 1 << 20).await.unwrap();
                assert!(blob.digest.verifies(&bytes));
            }
        }
    }
}

#[tokio::test]
async fn a_remote_source_is_a_registry() {
    let store = MemoryStore::new();
    let image = index();
    store.add_image(&name("demo"), Some(&tag("latest")), &image);
    let proxy = OciRegistryService::new(RemoteSource::new(client_over(store)));
    let got = common::get(&proxy, "/v2/demo/manifests/latest").await;
    assert_eq!(got.body, image.manifest().bytes());
    let layer = image.children()[0].layers()[0].digest;
    let got = common::get(&proxy, &format!("/v2/demo/blobs/{layer}")).await;
    assert!(layer.verifies(&got.body));
    let range = [("range", "bytes=100-199")];
    let part = common::ask(&proxy, "GET", &format!("/v2/demo/blobs/{layer}"), &range).await;
    assert_eq!(
        (part.status.as_u16(), &part.body[..]),
        (206, &got.body[100..200])
    );
    let tags = common::get(&proxy, "/v2/demo/tags/list").await;
    assert_eq!(tags.json()["tags"][0], "latest");
    let missing = common::get(&proxy, "/v2/demo/manifests/none").await;
    missing.assert_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn a_blob_is_read_as_a_body() {
    let store = MemoryStore::new();
    let image = index();
    store.add_image(&name("demo"), None, &image);
    let client = client_over(store);
    let layer = image.children()[0].layers()[0].clone();
    let download = client.blob(&name("demo"), &layer.digest).await.unwrap();
    assert_eq!(download.info.size, layer.size);
    let bytes = DynBody::new(download.body)
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert!(layer.digest.verifies(&bytes));
}
