use super::*;

#[tokio::test]
async fn adding_an_image_asks_its_source_for_nothing() {
    let shelf = Shelf::default();
    let layer = shelf.blob("content");
    let child = shelf.manifest(&image_document(&[layer]));
    shelf.tag(
        "latest",
        Manifest::parse(index_document(&[child]).to_string()).unwrap(),
    );
    let source = shelf.source();
    let image = load(source.clone(), "latest").await.unwrap();
    shelf.manifests.lock().unwrap().clear();
    source.calls();
    let service = registry(&[("demo", Some("a"), &image), ("other", None, &image)]);
    assert!(source.calls().is_empty());
    // Manifests are held by the image, blobs are opened where they are.
    for uri in [
        "/v2/demo/manifests/a".to_owned(),
        format!("/v2/demo/manifests/{}", image.children()[0].digest()),
        format!("/v2/other/manifests/{}", image.digest()),
    ] {
        assert_eq!(get(&service, &uri).await.status, 200, "{uri}");
        assert_eq!(head(&service, &uri).await.status, 200, "{uri}");
    }
    assert!(source.calls().is_empty());
    let uri = format!("/v2/demo/blobs/{}", sha256("content"));
    assert_eq!(get(&service, &uri).await.body, "content");
    assert_eq!(source.calls(), ["blob demo None redirects true"]);
    assert_eq!(head(&service, &uri).await.status, 200);
    assert_eq!(source.calls(), ["stat_blob demo"]);
    shelf.blobs.lock().unwrap().clear();
    get(&service, &uri).await.assert_error(404, "BLOB_UNKNOWN");
}

#[tokio::test]
async fn adding_again_moves_the_tag_and_keeps_what_was_there_by_digest() {
    let old = ImageBuilder::new().file("a", "old").build().unwrap();
    let new = ImageBuilder::new().file("a", "new").build().unwrap();
    let store = MemoryStore::new();
    let service = OciRegistryService::new(store.clone());
    let latest = || get(&service, "/v2/demo/manifests/latest");
    let (repository, latest_tag) = (name("demo"), tag("latest"));
    for image in [&old, &new, &old, &old] {
        store.add_image(&repository, Some(&latest_tag), image);
        assert_eq!(latest().await.body, image.manifest().bytes());
    }
    store.add_image(&repository, Some(&tag("other")), &new);
    store.add_image(&repository, None, &new);
    assert_eq!(latest().await.body, old.manifest().bytes());
    for image in [&old, &new] {
        let uri = format!("/v2/demo/manifests/{}", image.digest());
        assert_eq!(get(&service, &uri).await.body, image.manifest().bytes());
        let uri = format!("/v2/demo/blobs/{}", image.layers()[0].digest);
        assert_eq!(get(&service, &uri).await.status, 200);
    }
    let answer = get(&service, "/v2/demo/tags/list").await;
    assert_eq!(
        answer.json(),
        json!({ "name": "demo", "tags": ["latest", "other"] })
    );
}

#[tokio::test]
async fn an_image_without_a_tag_is_found_by_digest_only() {
    let image = ImageBuilder::new().file("a", "b").build().unwrap();
    let service = registry(&[("demo", None, &image)]);
    let uri = format!("/v2/demo/manifests/{}", image.digest());
    assert_eq!(get(&service, &uri).await.status, 200);
    get(&service, "/v2/demo/manifests/latest")
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");
    // protocol 45: the repository is there, and its list is empty.
    let answer = get(&service, "/v2/demo/tags/list").await;
    assert_eq!(answer.json(), json!({ "name": "demo", "tags": [] }));
    let answer = get(&service, "/v2/_catalog").await;
    assert_eq!(answer.json(), json!({ "repositories": ["demo"] }));
    get(&service, "/v2/dem/tags/list")
        .await
        .assert_error(404, "NAME_UNKNOWN");
}

// protocol 17
#[tokio::test]
async fn knowing_a_digest_gives_nothing_of_another_repository() {
    let one = ImageBuilder::new().file("a", "one").build().unwrap();
    let two = ImageBuilder::new().file("a", "two").build().unwrap();
    let referrer = ImageBuilder::artifact("a/b".parse().unwrap())
        .subject(&one)
        .build()
        .unwrap();
    let service = registry(&[
        ("one", Some("a"), &one),
        ("one", None, &referrer),
        ("two", Some("a"), &two),
    ]);
    for descriptor in one.descriptors().chain(referrer.layers()) {
        let uri = format!("/v2/one/blobs/{}", descriptor.digest);
        assert_eq!(get(&service, &uri).await.status, 200);
        if !two
            .descriptors()
            .any(|other| other.digest == descriptor.digest)
        {
            let uri = format!("/v2/two/blobs/{}", descriptor.digest);
            get(&service, &uri).await.assert_error(404, "BLOB_UNKNOWN");
            assert_eq!(head(&service, &uri).await.status, 404);
            let headers = [("if-none-match", "*")];
            let answer = ask(&service, "GET", &uri, &headers).await;
            answer.assert_error(404, "BLOB_UNKNOWN");
        }
    }
    let uri = format!("/v2/two/manifests/{}", one.digest());
    get(&service, &uri)
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");
    let listed = |repository: &str| format!("/v2/{repository}/referrers/{}", one.digest());
    let count = |answer: Answer| answer.json()["manifests"].as_array().unwrap().len();
    assert_eq!(count(get(&service, &listed("one")).await), 1);
    assert_eq!(count(get(&service, &listed("two")).await), 0);
}

// protocol 70
#[tokio::test]
async fn a_manifest_is_no_blob_and_a_blob_is_no_manifest() {
    let image = ImageBuilder::new().file("a", "b").build().unwrap();
    let index = IndexBuilder::new()
        .image(&image)
        .blob(MediaType::OCI_LAYER, "a layer in a cache")
        .build()
        .unwrap();
    let service = registry(&[("demo", Some("latest"), &index)]);
    for digest in [*index.digest(), *image.digest()] {
        let uri = format!("/v2/demo/blobs/{digest}");
        get(&service, &uri).await.assert_error(404, "BLOB_UNKNOWN");
        assert_eq!(head(&service, &uri).await.status, 404);
    }
    // protocol 76: an entry of an index may be a plain blob.
    let layer = sha256("a layer in a cache");
    for digest in image
        .descriptors()
        .map(|descriptor| descriptor.digest)
        .chain([layer])
    {
        let uri = format!("/v2/demo/manifests/{digest}");
        get(&service, &uri)
            .await
            .assert_error(404, "MANIFEST_UNKNOWN");
        let uri = format!("/v2/demo/blobs/{digest}");
        assert_eq!(get(&service, &uri).await.status, 200);
    }
    assert_eq!((index.entries().len(), index.children().len()), (2, 1));
}

// protocol 51 and 99
#[tokio::test]
async fn referrers_are_listed_once_they_are_added_with_type_and_annotations() {
    let subject = ImageBuilder::new()
        .algorithm(Algorithm::Sha512)
        .build()
        .unwrap();
    let artifact = ImageBuilder::artifact("application/vnd.a".parse().unwrap())
        .subject(&subject)
        .annotation("key", "value")
        .build()
        .unwrap();
    let by_config = ImageBuilder::new().subject(&subject).build().unwrap();
    let index = IndexBuilder::new().subject(&subject).build().unwrap();
    let elsewhere = ImageBuilder::artifact("a/b".parse().unwrap())
        .subject(&artifact)
        .build()
        .unwrap();
    let store = MemoryStore::new();
    let service = OciRegistryService::new(store.clone());
    let repository = name("demo");
    let uri = format!("/v2/demo/referrers/{}", subject.digest());
    store.add_image(&repository, None, &elsewhere);
    let mut expected = Vec::new();
    for (image, artifact_type) in [
        (&artifact, Some("application/vnd.a")),
        (&by_config, Some("application/vnd.oci.image.config.v1+json")),
        (&index, None),
    ] {
        // The subject need not be there; adding twice lists once.
        store.add_image(&repository, Some(&tag("a")), image);
        store.add_image(&repository, None, image);
        let mut entry = json!({
            "mediaType": image.media_type(),
            "digest": image.digest(),
            "size": image.manifest().size(),
        });
        if let Some(artifact_type) = artifact_type {
            entry["artifactType"] = artifact_type.into();
        }
        if !image.annotations().is_empty() {
            entry["annotations"] = json!(image.annotations());
        }
        expected.push(entry);
        expected.sort_by_key(|entry| entry["digest"].as_str().unwrap().to_owned());
        assert_eq!(
            get(&service, &uri).await.json()["manifests"],
            json!(expected)
        );
    }
    let filtered = get(&service, &format!("{uri}?artifactType=application/vnd.a")).await;
    assert_eq!(
        filtered.json()["manifests"][0]["digest"],
        artifact.digest().to_string()
    );
    assert_eq!(filtered.json()["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_image_of_sha512_is_answered_in_sha512() {
    let image = ImageBuilder::new()
        .algorithm(Algorithm::Sha512)
        .file("a", "b")
        .build()
        .unwrap();
    let service = registry(&[("demo", Some("latest"), &image)]);
    // protocol 16
    for reference in ["latest".to_owned(), image.digest().to_string()] {
        let answer = get(&service, &format!("/v2/demo/manifests/{reference}")).await;
        assert_eq!(
            answer.header("docker-content-digest"),
            image.digest().to_string()
        );
        assert_eq!(answer.header("etag"), format!("\"{}\"", image.digest()));
    }
    for descriptor in image.descriptors() {
        assert_eq!(descriptor.digest.algorithm(), Algorithm::Sha512);
        let answer = get(&service, &format!("/v2/demo/blobs/{}", descriptor.digest)).await;
        assert_eq!(
            answer.header("docker-content-digest"),
            descriptor.digest.to_string()
        );
        assert!(descriptor.digest.verifies(&answer.body));
    }
    // The same bytes under another algorithm are not what was added.
    let uri = format!("/v2/demo/manifests/{}", sha256(image.manifest().bytes()));
    get(&service, &uri)
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn blobs_of_a_source_that_cannot_seek_are_served_whole() {
    let bytes = noise(1000);
    let document = image_document(&[descriptor(&sha256(&bytes), 1000)]).to_string();
    let manifest = Manifest::parse(document).unwrap();
    let content = bytes.clone();
    let source = Scripted::new()
        .on_manifest(move |_| Ok(manifest.clone().into()))
        .on_stat_blob(|_| Ok(BlobInfo::unseekable(1000)))
        .on_blob(move |_| Ok(unseekable(&content)));
    let image = load(source, "latest").await.unwrap();
    let service = registry(&[("demo", Some("latest"), &image)]);
    let uri = format!("/v2/demo/blobs/{}", sha256(&bytes));
    for range in ["bytes=0-9", "bytes=0-9,20-29", "bytes=-1", "bytes=2000-"] {
        let answer = ask(&service, "GET", &uri, &[("range", range)]).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body),
            (200, &bytes),
            "{range}"
        );
        assert_eq!(answer.header("accept-ranges"), "");
    }
}
