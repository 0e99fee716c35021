//! How much a `MemoryStore` holds: what does not fit is 507, and nothing of it is stored.

use super::*;

/// What every entry costs besides its content, as the documentation of the store says.
const ENTRY: u64 = 256;

fn of_bytes(max_bytes: u64) -> (Registry, MemoryStore) {
    let store = MemoryStore::builder().max_bytes(max_bytes).build();
    (OciRegistryService::writable(store.clone()), store)
}

async fn delete(registry: &Registry, uri: &str) {
    assert_eq!(ask(registry, "DELETE", uri, &[]).await.status, 202, "{uri}");
}

#[tokio::test]
async fn a_blob_that_does_not_fit_is_507_in_every_way_and_nothing_of_it_is_stored() {
    let content = noise(10_000);
    let digest = sha256(&content);
    for way in Way::ALL {
        let (registry, store) = of_bytes(9_000);
        let location = start(&registry, "demo").await;
        let before = store.used_bytes();
        let answer = match way {
            Way::Single | Way::SingleStreamed => {
                way.upload(&registry, "demo", digest, &content).await
            }
            Way::Chunks | Way::Streams => {
                patch(&registry, &location, "", content.slice(..5_000)).await;
                patch(&registry, &location, "", content.slice(5_000..)).await
            }
            Way::Stream => patch(&registry, &location, "", content.clone()).await,
            _ => {
                way.continue_at(&registry, &location, digest, &content)
                    .await
            }
        };
        answer.assert_error(507, "UNKNOWN");
        assert_no_blob(&registry, "demo", digest).await;
        // What was acknowledged stays, and nothing else.
        let acknowledged = match way {
            Way::Chunks | Way::Streams | Way::LastChunkInPut | Way::RestInPut => 5_000,
            _ => 0,
        };
        assert_eq!(store.used_bytes(), before + acknowledged, "{way:?}");
        let range = if acknowledged > 0 { "0-4999" } else { "0-0" };
        assert_open(&registry, &location, range).await;
        ask(&registry, "DELETE", &location, &[]).await;
        assert_eq!(store.used_bytes(), 0);
        let small = content.slice(..5_000);
        let answer = way.upload(&registry, "demo", sha256(&small), &small).await;
        assert_stored(&registry, &answer, ("demo", sha256(&small)), &small).await;
    }
}

#[tokio::test]
async fn there_is_room_again_after_deletes() {
    let (registry, store) = of_bytes(10_000);
    let [old, new] = [noise(8_000), noise(8_001)];
    let old_uri = format!("/v2/demo/blobs/{}", push_blob(&registry, "demo", old).await);
    let digest = sha256(&new);
    for way in Way::ALL
        .into_iter()
        .filter(|way| !matches!(way, Way::Stream | Way::Chunks))
    {
        if matches!(way, Way::Single | Way::SingleStreamed) {
            let answer = way.upload(&registry, "demo", digest, &new).await;
            answer.assert_error(507, "UNKNOWN");
        }
    }
    delete(&registry, &old_uri).await;
    // The repository stays.
    let repository = store.used_bytes();
    assert!((ENTRY..ENTRY + 100).contains(&repository), "{repository}");
    let new_uri = format!("/v2/demo/blobs/{}", push_blob(&registry, "demo", new).await);
    assert!(store.used_bytes() > 8_000);
    delete(&registry, &new_uri).await;
    assert_eq!(store.used_bytes(), repository);
}

#[tokio::test]
async fn manifests_and_tags_take_room_and_give_it_back() {
    let (registry, store) = of_bytes(20_000);
    push_blob(&registry, "demo", "{}").await;
    let before = store.used_bytes();
    let document = empty_index(&"x".repeat(5_000));
    let digest = sha256(&document);
    let tagged = format!("{digest}?tag=a&tag=b");
    let answer = push_document(&registry, ("demo", &tagged), INDEX, document.clone()).await;
    assert_eq!(answer.status, 201);
    let full = store.used_bytes();
    let least = before + document.len() as u64 + 3 * ENTRY;
    assert!((least..least + 100).contains(&full), "{full}");
    // Again, it costs nothing.
    push_document(&registry, ("demo", &tagged), INDEX, document).await;
    assert_eq!(store.used_bytes(), full);
    delete(&registry, "/v2/demo/manifests/a").await;
    assert!(store.used_bytes() <= full - ENTRY);
    delete(&registry, &format!("/v2/demo/manifests/{digest}")).await;
    assert_eq!(store.used_bytes(), before);
}

#[tokio::test]
async fn a_manifest_that_does_not_fit_is_507_and_nothing_of_it_is_stored() {
    let (registry, store) = of_bytes(4_000);
    push_document(&registry, ("demo", "a"), INDEX, empty_index("small")).await;
    let before = store.used_bytes();
    let large = empty_index(&"x".repeat(3_000));
    let many: Vec<_> = (0..20).map(|tag| format!("tag=t{tag}")).collect();
    let small = empty_index("other");
    let referrer = json!({
        "subject": descriptor(MANIFEST, sha256("subject"), 7),
        "annotations": { "a": "x".repeat(1_300) },
    })
    .to_string();
    for (reference, document) in [
        ("a".to_owned(), &large),
        (format!("{}?tag=a", sha256(&large)), &large),
        (format!("{}?{}", sha256(&small), many.join("&")), &small),
        ("a".to_owned(), &referrer),
    ] {
        let target = ("demo", &*reference);
        let answer = push_document(&registry, target, INDEX, document.clone()).await;
        answer.assert_error(507, "UNKNOWN");
        assert_eq!(store.used_bytes(), before, "{reference}");
        assert_no_manifest(&registry, "demo", sha256(document)).await;
        let found = tagged(&registry, "demo", "a").await;
        assert_eq!(found, sha256(empty_index("small")).to_string());
    }
    let uri = format!("/v2/demo/referrers/{}", sha256("subject"));
    assert_eq!(get(&registry, &uri).await.json()["manifests"], json!([]));
    assert_eq!(
        get(&registry, "/v2/demo/tags/list").await.body,
        r#"{"name":"demo","tags":["a"]}"#
    );
}

#[tokio::test]
async fn uploads_and_mounts_that_do_not_fit_are_507() {
    let (registry, store) = of_bytes(3_000);
    let digest = push_blob(&registry, "source", noise(1_500)).await;
    let mut locations = Vec::new();
    let refused = loop {
        let answer = put(&registry, "POST", "/v2/demo/blobs/uploads/", &[], "").await;
        if answer.status != 202 {
            break answer;
        }
        locations.push(answer.header("location").to_owned());
    };
    refused.assert_error(507, "UNKNOWN");
    assert!((1..=4).contains(&locations.len()), "{}", locations.len());
    let before = store.used_bytes();
    let uri = format!("/v2/demo/blobs/uploads/?mount={digest}&from=source");
    put(&registry, "POST", &uri, &[], "")
        .await
        .assert_error(507, "UNKNOWN");
    assert_eq!(store.used_bytes(), before);
    assert_no_blob(&registry, "demo", digest).await;
    for location in locations {
        ask(&registry, "DELETE", &location, &[]).await;
    }
    assert_eq!(put(&registry, "POST", &uri, &[], "").await.status, 201);
}

#[tokio::test]
async fn one_repository_too_many_is_507_for_every_push_and_those_that_are_there_go_on() {
    let store = MemoryStore::builder().max_repositories(2).build();
    let registry = OciRegistryService::writable(store.clone());
    let early = start(&registry, "c").await;
    let digest = push_blob(&registry, "a", "hello").await;
    push_blob(&registry, "b", "hello").await;
    let before = store.used_bytes();
    let uploads = "/v2/c/blobs/uploads/";
    for (method, uri, body) in [
        ("POST", uploads.to_owned(), ""),
        ("POST", format!("{uploads}?digest={digest}"), "hello"),
        ("POST", format!("{uploads}?mount={digest}&from=a"), ""),
        ("POST", format!("{uploads}?mount={digest}&from=unknown"), ""),
        ("PUT", format!("{early}?digest={digest}"), "hello"),
        ("PUT", "/v2/c/manifests/latest".to_owned(), "{}"),
    ] {
        let headers = [("content-type", INDEX)];
        let answer = put(&registry, method, &uri, &headers, body).await;
        answer.assert_error(507, "UNKNOWN");
        assert_eq!(store.used_bytes(), before, "{method} {uri}");
        assert_no_blob(&registry, "c", digest).await;
        assert_no_manifest(&registry, "c", "latest").await;
    }
    // Deletes do not remove a repository.
    delete(&registry, &format!("/v2/a/blobs/{digest}")).await;
    let answer = put(&registry, "POST", uploads, &[], "").await;
    answer.assert_error(507, "UNKNOWN");
    let catalog = get(&registry, "/v2/_catalog").await;
    assert_eq!(catalog.body, r#"{"repositories":["a","b"]}"#);
    for repository in ["a", "b"] {
        push_blob(&registry, repository, "more").await;
        let target = (repository, "latest");
        let answer = push_document(&registry, target, INDEX, empty_index("a")).await;
        assert_eq!(answer.status, 201);
    }
}

// What the program adds itself does not count, as the documentation says.
#[tokio::test]
async fn images_that_were_added_take_no_room() {
    let (registry, store) = of_bytes(1_000);
    let image = ImageBuilder::new()
        .file("a", noise(10_000))
        .build()
        .unwrap();
    store.add_image(&name("built"), Some(&tag("latest")), &image);
    assert_eq!(store.used_bytes(), 0);
    push_blob(&registry, "built", "hello").await;
    assert!(store.used_bytes() > 0);
}

// The documentation: what is deleted while it is downloaded counts until the download ends.
#[tokio::test]
async fn a_download_keeps_the_room_of_a_blob_that_is_deleted() {
    use tower::ServiceExt;
    let (registry, store) = of_bytes(100_000);
    let digest = push_blob(&registry, "demo", noise(50_000)).await;
    let uri = format!("/v2/demo/blobs/{digest}");
    let request = Request::get(&uri).body(Body::empty()).unwrap();
    let download = registry.clone().oneshot(request).await.unwrap();
    delete(&registry, &uri).await;
    assert!(store.used_bytes() > 50_000);
    drop(download);
    assert!(store.used_bytes() < 1_000);
}

// What is there already costs nothing more, so repeating a push completes it even in a full store.
#[tokio::test]
async fn what_is_there_can_be_pushed_again_into_a_full_store() {
    let document = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[]}}"#);
    let used = fill(1 << 20, &document).await.1.used_bytes();
    let (registry, store) = fill(used, &document).await;
    assert_eq!(store.used_bytes(), used);
    let push = |tag| push_document(&registry, ("demo", tag), INDEX, document.clone());
    assert_eq!(push("latest").await.status, 201);
    let uri = format!(
        "/v2/demo/blobs/uploads/?mount={}&from=demo",
        sha256("hello")
    );
    assert_eq!(put(&registry, "POST", &uri, &[], "").await.status, 201);
    assert_eq!(store.used_bytes(), used);
    push("another").await.assert_error(507, "UNKNOWN");
}

/// A store with room for so many bytes, a blob in it and a manifest.
async fn fill(room: u64, document: &str) -> (Registry, MemoryStore) {
    let store = MemoryStore::builder().max_bytes(room).build();
    let registry = OciRegistryService::writable(store.clone());
    push_blob(&registry, "demo", "hello").await;
    let push = push_document(&registry, ("demo", "latest"), INDEX, document.to_owned());
    assert_eq!(push.await.status, 201);
    (registry, store)
}
