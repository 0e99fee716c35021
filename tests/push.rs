//! Push: a first whole round.

#![allow(clippy::unwrap_used)] // a test fails by panicking

mod common;

use common::*;
use tower_oci::{MemoryStore, OciRegistryService, testing::ImageBuilder};

#[tokio::test]
async fn an_image_that_is_pushed_can_be_pulled() {
    let store = MemoryStore::new();
    let service = OciRegistryService::writable(store.clone());
    let image = ImageBuilder::new()
        .file("a", noise(300_000))
        .build()
        .unwrap();
    push_image(&service, "demo", Some("latest"), &image).await;
    let got = get(&service, "/v2/demo/manifests/latest").await;
    assert_eq!(got.body, image.manifest().bytes());
    for blob in image.descriptors() {
        let got = get(&service, &format!("/v2/demo/blobs/{}", blob.digest)).await;
        assert!(blob.digest.verifies(&got.body));
    }
    let location = start(&service, "demo").await;
    let answer = put(
        &service,
        "PATCH",
        &location,
        &[("content-range", "0-4")],
        "hello",
    )
    .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (202, "0-4")
    );
    let answer = put(
        &service,
        "PATCH",
        &location,
        &[("content-range", "7-8")],
        "ab",
    )
    .await;
    answer.assert_error(416, "BLOB_UPLOAD_INVALID");
    let answer = get(&service, &location).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("range")),
        (204, "0-4")
    );
}
