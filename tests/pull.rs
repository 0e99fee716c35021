mod common;
use common::*;
use tower_oci::{testing::ImageBuilder, *};
#[tokio::test]
async fn smoke() {
    let store = MemoryStore::new();
    let image = ImageBuilder::new().file("a", "hello").build().unwrap();
    store.add_image(&name("a/b"), Some(&tag("latest")), &image);
    let s = OciRegistryService::new(store);
    let app = axum::Router::new().nest_service("/v2", s.clone());
    for uri in [
        "/v2/",
        "/v2",
        "/v2/a/b/manifests/latest",
        "/v2/a/b/tags/list",
        "/v2/_catalog",
        "/v2/x/tags/list",
        "/v2/a/b/referrers/sha256:aa",
    ] {
        let a = get(&s, uri).await;
        println!("{uri} {a:?}");
        let b = get(&app, uri).await;
        assert_eq!(a.body, b.body);
    }
    let l = image.layers()[0].digest;
    for r in ["bytes=0-9", "bytes=0-1,5-6", "bytes=99999-", "bytes=5-1"] {
        println!(
            "{:?}",
            ask(&s, "GET", &format!("/v2/a/b/blobs/{l}"), &[("range", r)]).await
        );
    }
}
