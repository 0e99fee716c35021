//! Mirrors: repositories of other registries, beside what is pushed.

use std::sync::{Arc, Mutex};

use http::Request;
use serde_json::json;
use tokio::{net::TcpListener, sync::mpsc};
use tower::{ServiceExt, service_fn};
use tower_oci::{
    BlobSource, DynBody, DynStore, Image, MemoryStore, OciRegistryService, Page, RemoteSource,
    SourceError,
    client::{RegistryClient, RetryPolicy},
    testing::ImageBuilder,
};

use crate::{
    common::{ask, get, name, push_blob, push_image, put, tag},
    mirror::{Renamed, mirror_of},
    repositories::Repositories,
    server,
};

fn image() -> Image {
    let image = ImageBuilder::new().file("content", "mirrored");
    image.build().unwrap()
}

/// A registry with an image at `library/demo:latest`, and what refers to it.
fn upstream() -> (OciRegistryService<tower_oci::ReadOnly<MemoryStore>>, Image) {
    let (store, image) = (MemoryStore::new(), image());
    let artifact = ImageBuilder::artifact("application/vnd.example.notes".parse().unwrap());
    let artifact = artifact.subject(&image).build().unwrap();
    store.add_image(&name("library/demo"), Some(&tag("latest")), &image);
    store.add_image(&name("library/demo"), None, &artifact);
    store.add_image(&name("other"), Some(&tag("latest")), &image);
    (OciRegistryService::new(store), artifact)
}

type Requests = Arc<Mutex<Vec<String>>>;

/// A mirror of `library/demo`, and what it asks its registry.
fn mirror() -> (Renamed<RemoteSource>, Requests) {
    let (requests, (registry, _)) = (Requests::default(), upstream());
    let seen = requests.clone();
    let service = service_fn(move |request: Request<DynBody>| {
        let line = format!("{} {}", request.method(), request.uri());
        seen.lock().unwrap().push(line);
        registry.clone().oneshot(request)
    });
    let url = "http://upstream.test".parse().unwrap();
    let client = RegistryClient::builder(url, service).build();
    let mirror = Renamed::new(RemoteSource::new(client), name("library/demo"));
    (mirror, requests)
}

/// What serves `mirror` as `team/mirror`, and takes pushes beside it.
fn beside_pushes(mirror: impl BlobSource) -> OciRegistryService<Repositories> {
    let mut repositories = Repositories::new(DynStore::new(MemoryStore::new()));
    repositories.add(name("team/mirror"), mirror).unwrap();
    OciRegistryService::writable(repositories)
}

#[tokio::test]
async fn a_mirror_has_what_its_repository_has_under_another_name() {
    let ((mirror, requests), image) = (mirror(), image());
    let registry = beside_pushes(mirror);
    let (digest, layer) = (image.digest(), image.layers()[0].digest);
    for (path, asked) in [
        ("manifests/latest".to_owned(), 1),
        (format!("manifests/{digest}"), 1),
        (format!("blobs/{layer}"), 1),
        ("tags/list".to_owned(), 1),
        (format!("referrers/{digest}"), 1),
        ("tags/list?n=1".to_owned(), 1),
    ] {
        let answer = get(&registry, &format!("/v2/team/mirror/{path}")).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        let requests = std::mem::take(&mut *requests.lock().unwrap());
        assert_eq!(requests.len(), asked, "{path}: {requests:?}");
        let expected = "GET http://upstream.test/v2/library/demo/";
        assert!(requests[0].starts_with(expected), "{requests:?}");
    }
    let tags = get(&registry, "/v2/team/mirror/tags/list").await;
    assert_eq!(
        tags.json(),
        json!({"name": "team/mirror", "tags": ["latest"]})
    );
    let answer = get(&registry, &format!("/v2/team/mirror/referrers/{digest}")).await;
    let artifact = upstream().1.digest().to_string();
    assert_eq!(answer.json()["manifests"][0]["digest"], artifact);
    let blob = format!("/v2/team/mirror/blobs/{layer}");
    assert!(layer.verifies(get(&registry, &blob).await.body));
    let part = ask(&registry, "GET", &blob, &[("range", "bytes=5-9")]).await;
    assert_eq!((part.status.as_u16(), part.body.len()), (206, 5));
    for missing in [
        "/v2/team/mirror/manifests/v2",
        "/v2/library/demo/manifests/latest",
    ] {
        assert_eq!(get(&registry, missing).await.status, 404, "{missing}");
    }
}

#[tokio::test]
async fn a_mirror_takes_no_writes_and_all_other_names_do() {
    let ((mirror, requests), image) = (mirror(), image());
    let registry = beside_pushes(mirror);
    for (method, path) in [
        ("POST", "blobs/uploads/"),
        ("PUT", "manifests/latest"),
        ("DELETE", "manifests/latest"),
    ] {
        let uri = format!("/v2/team/mirror/{path}");
        let answer = put(
            &registry,
            method,
            &uri,
            &[],
            image.manifest().bytes().clone(),
        )
        .await;
        answer.assert_error(405, "UNSUPPORTED");
    }
    push_image(&registry, "team/pushed", Some("latest"), &image).await;
    assert!(requests.lock().unwrap().is_empty(), "{requests:?}");
}

#[tokio::test]
async fn the_catalog_names_a_mirror_without_asking_its_registry() {
    let (mirror, requests) = mirror();
    let registry = beside_pushes(mirror);
    for repository in ["a", "team/a", "z"] {
        push_blob(&registry, repository, "hello").await;
    }
    let expected = ["a", "team/a", "team/mirror", "z"];
    for n in 1..=expected.len() {
        let (mut names, mut last) = (Vec::new(), String::new());
        while names.len() < expected.len() {
            let answer = get(&registry, &format!("/v2/_catalog?n={n}&last={last}")).await;
            let page = answer.json()["repositories"].clone();
            let page: Vec<String> = serde_json::from_value(page).unwrap();
            last = page.last().unwrap().replace('/', "%2F");
            names.extend(page);
        }
        assert_eq!(names, expected, "n={n}");
    }
    assert!(requests.lock().unwrap().is_empty(), "{requests:?}");
}

#[tokio::test]
async fn the_other_repositories_of_the_registry_are_not_listed() {
    let (mirror, _) = mirror();
    let listed = mirror.repositories(Page::first(10)).await;
    assert!(
        matches!(listed, Err(SourceError::Unsupported)),
        "{listed:?}"
    );
}

#[test]
fn a_name_has_one_part_only() {
    let mut repositories = Repositories::new(DynStore::new(MemoryStore::new()));
    repositories.add(name("demo"), mirror().0).unwrap();
    assert_eq!(
        repositories.add(name("demo"), mirror().0),
        Err(name("demo"))
    );
    repositories.add(name("demo/more"), mirror().0).unwrap();
}

#[tokio::test]
async fn a_registry_that_cannot_be_reached_is_a_bad_gateway() {
    let service = service_fn(|_: Request<DynBody>| async {
        Err::<http::Response<DynBody>, _>(std::io::Error::other("secret"))
    });
    let client = RegistryClient::builder("http://upstream.test".parse().unwrap(), service);
    let client = client.retry(RetryPolicy::never()).build();
    let mirror = Renamed::new(RemoteSource::new(client), name("library/demo"));
    let registry = beside_pushes(mirror);
    let answer = get(&registry, "/v2/team/mirror/manifests/latest").await;
    answer.assert_error(502, "UNKNOWN");
    assert!(!answer.json().to_string().contains("secret"), "{answer:?}");
    // What is pushed is not concerned.
    push_image(&registry, "team/pushed", Some("latest"), &image()).await;
}

#[tokio::test]
async fn a_url_is_that_of_a_registry_and_a_repository() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_stop, stopped) = mpsc::channel(1);
    let (upstream, _) = upstream();
    tokio::spawn(server::serve(listener, upstream, stopped));
    let mirror = mirror_of(&format!("http://{address}/library/demo")).await;
    let registry = beside_pushes(mirror.unwrap());
    let answer = get(&registry, "/v2/team/mirror/manifests/latest").await;
    assert_eq!(answer.body, image().manifest().bytes());

    for url in [
        "",
        "demo",
        "registry.example/demo",
        "ftp://registry.example/demo",
        "https://registry.example",
        "https://registry.example/",
        "https://registry.example/Demo",
        "https://registry.example/demo:latest",
        "https://registry.example/demo?x=y",
        "https:///demo",
    ] {
        assert!(mirror_of(url).await.is_err(), "{url}");
    }
    let error = mirror_of("https://alice:sesame@registry.example/demo")
        .await
        .err()
        .unwrap();
    assert!(!error.to_string().contains("sesame"), "{error}");
}
