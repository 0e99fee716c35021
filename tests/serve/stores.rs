//! The store: layouts, which are only read, beside what is pushed.

use serde_json::json;
use tempfile::TempDir;
use tower_oci::{
    Algorithm, DynStore, Image, LayoutSource, MemoryStore, OciRegistryService, RepositoryName,
    testing::{ImageBuilder, store_suite, store_wrapper_suite},
};

use crate::{
    common::{ask, get, name, push_blob, push_image, put, put_manifest},
    layouts::write_layout,
    repositories::Repositories,
};

fn image(content: &str) -> Image {
    let image = ImageBuilder::new().file("content", content);
    image.build().unwrap()
}

/// A store that serves `image` as `latest` of each of `names`, from a layout in the folder.
async fn with_layouts(names: &[&str], image: &Image) -> (Repositories, TempDir) {
    let folder = TempDir::new().unwrap();
    write_layout(folder.path(), "latest", image).await;
    let names: Vec<RepositoryName> = names.iter().map(|layout| name(layout)).collect();
    let layouts = names.iter().map(|name| (name.clone(), folder.path()));
    let layouts = LayoutSource::open(layouts).await.unwrap();
    let pushed = DynStore::new(MemoryStore::new());
    let mut repositories = Repositories::new(pushed);
    for name in names {
        repositories.add(name, layouts.clone()).unwrap();
    }
    (repositories, folder)
}

type Registry = OciRegistryService<Repositories>;

async fn registry(names: &[&str], image: &Image) -> (Registry, TempDir) {
    let (store, folder) = with_layouts(names, image).await;
    let registry = OciRegistryService::writable(store).allow_anonymous_mounts(true);
    (registry, folder)
}

#[tokio::test]
async fn beside_the_layouts_it_is_a_store_like_any_other() {
    let (image, folder) = (image("hello"), TempDir::new().unwrap());
    write_layout(folder.path(), "latest", &image).await;
    let make = async || {
        let layouts = LayoutSource::open([(name("layout"), folder.path())]);
        let mut repositories = Repositories::new(DynStore::new(MemoryStore::new()));
        repositories
            .add(name("layout"), layouts.await.unwrap())
            .unwrap();
        repositories
    };
    store_suite(make).await.unwrap();
}

#[tokio::test]
async fn it_hands_on_every_method() {
    let wrap = |spy| Repositories::new(DynStore::new(spy));
    store_wrapper_suite(wrap).await.unwrap();
}

#[tokio::test]
async fn a_layout_is_served_beside_what_is_pushed() {
    let (of_layout, pushed) = (image("layout"), image("pushed"));
    let (registry, _folder) = registry(&["team/layout"], &of_layout).await;
    push_image(&registry, "team/pushed", Some("latest"), &pushed).await;
    for (repository, image) in [("team/layout", &of_layout), ("team/pushed", &pushed)] {
        let uri = format!("/v2/{repository}/manifests/latest");
        let got = get(&registry, &uri).await;
        assert_eq!(got.body, image.manifest().bytes());
        let layer = image.layers()[0].digest;
        let got = get(&registry, &format!("/v2/{repository}/blobs/{layer}")).await;
        assert!(layer.verifies(&got.body));
        let tags = get(&registry, &format!("/v2/{repository}/tags/list")).await;
        assert_eq!(tags.json()["tags"], json!(["latest"]));
    }
    // Nobody has what is the other's.
    let layer = of_layout.layers()[0].digest;
    let got = get(&registry, &format!("/v2/team/pushed/blobs/{layer}")).await;
    got.assert_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn a_layout_takes_no_writes() {
    let image = image("hello");
    let (registry, _folder) = registry(&["layout"], &image).await;
    let (digest, layer) = (image.digest(), image.layers()[0].digest);
    let hello = Algorithm::Sha256.digest("hello");
    push_blob(&registry, "pushed", "hello").await;
    for (method, path) in [
        ("POST", "blobs/uploads/".to_owned()),
        ("POST", format!("blobs/uploads/?digest={hello}")),
        ("POST", format!("blobs/uploads/?mount={hello}&from=pushed")),
        ("POST", format!("blobs/uploads/?mount={hello}")),
        ("PATCH", "blobs/uploads/id".to_owned()),
        ("PUT", format!("blobs/uploads/id?digest={hello}")),
        ("DELETE", "blobs/uploads/id".to_owned()),
        ("DELETE", "manifests/latest".to_owned()),
        ("DELETE", format!("manifests/{digest}")),
        ("DELETE", format!("blobs/{layer}")),
    ] {
        let uri = format!("/v2/layout/{path}");
        let answer = put(&registry, method, &uri, &[], "hello").await;
        answer.assert_error(405, "UNSUPPORTED");
        // A path of uploads has no method at all where there are none (RFC 9110 §10.2.1).
        let is_upload = path.contains("uploads");
        let allow = answer.header("allow").to_owned();
        assert_eq!(allow.is_empty(), is_upload, "{method} {path}: {allow}");
        assert!(!allow.contains(method), "{method} {path}: {allow}");
    }
    let answer = put_manifest(&registry, "layout", "new", image.manifest()).await;
    answer.assert_error(405, "UNSUPPORTED");

    let tags = get(&registry, "/v2/layout/tags/list").await;
    assert_eq!(tags.json()["tags"], json!(["latest"]));
    let got = get(&registry, &format!("/v2/layout/blobs/{hello}")).await;
    got.assert_error(404, "BLOB_UNKNOWN");
    let got = get(&registry, &format!("/v2/layout/blobs/{layer}")).await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn what_a_layout_has_is_uploaded_instead_of_mounted() {
    let image = image("hello");
    let (registry, _folder) = registry(&["layout"], &image).await;
    let layer = &image.layers()[0];
    let content = image.read_blob_verified(layer, 1 << 20).await.unwrap();
    push_blob(&registry, "pushed", "something else").await;
    for from in ["&from=layout", ""] {
        let mount = format!("/v2/pushed/blobs/uploads/?mount={}{from}", layer.digest);
        let answer = put(&registry, "POST", &mount, &[], "").await;
        assert_eq!(answer.status, 202, "{answer:?}");
        let blob = format!("/v2/pushed/blobs/{}", layer.digest);
        get(&registry, &blob)
            .await
            .assert_error(404, "BLOB_UNKNOWN");

        let session = answer.header("location");
        let end = format!("{session}?digest={}", layer.digest);
        let answer = put(&registry, "PUT", &end, &[], content.clone()).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(get(&registry, &blob).await.body, content);
        let answer = ask(&registry, "DELETE", &blob, &[]).await;
        assert_eq!(answer.status, 202, "{answer:?}");
    }
}

#[tokio::test]
async fn the_catalog_has_all_names_in_byte_order_page_by_page() {
    // Names of both parts lie next to each other, and between those of the other.
    let layouts = ["b", "c", "m", "z/y"];
    let pushed = ["a", "d", "e", "f", "z", "z/x", "z/z"];
    let mut all: Vec<&str> = layouts.into_iter().chain(pushed).collect();
    all.sort_unstable();
    let (registry, _folder) = registry(&layouts, &image("hello")).await;
    for repository in pushed {
        push_blob(&registry, repository, "hello").await;
    }
    for n in 1..=all.len() + 1 {
        let mut listed = Vec::new();
        let mut uri = format!("/v2/_catalog?n={n}");
        loop {
            let answer = get(&registry, &uri).await;
            let page: Vec<String> =
                serde_json::from_value(answer.json()["repositories"].clone()).unwrap();
            assert!(!page.is_empty() && page.len() <= n, "{uri}: {page:?}");
            listed.extend(page);
            match answer.header("link").split(['<', '>']).nth(1) {
                Some(next) => uri = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(listed, all, "n={n}");
    }
    // After a name that is in neither part.
    let answer = get(&registry, "/v2/_catalog?last=eee").await;
    let rest = json!(["f", "m", "z", "z/x", "z/y", "z/z"]);
    assert_eq!(answer.json()["repositories"], rest);
}
