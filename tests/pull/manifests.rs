use super::*;

// protocol 14 to 16, 67; pitfalls: digest changed by re-serializing
#[tokio::test]
async fn a_manifest_comes_in_its_exact_bytes_with_type_length_and_digest() {
    let (registry, image) = registry_with("layer");
    for reference in ["latest".to_owned(), image.digest().to_string()] {
        let uri = format!("/v2/library/demo/manifests/{reference}");
        let answer = get(&registry, &uri).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, image.manifest().bytes());
        let digest = image.digest().to_string();
        let size = image.manifest().size().to_string();
        for answer in [answer, head(&registry, &uri).await] {
            assert_eq!(answer.status, 200);
            assert_eq!(
                answer.header("content-type"),
                "application/vnd.oci.image.manifest.v1+json"
            );
            assert_eq!(answer.header("docker-content-digest"), digest);
            assert_eq!(answer.header("etag"), quoted(&digest));
            assert_eq!(answer.header("content-length"), size);
            assert_eq!(answer.header("accept-ranges"), "bytes");
        }
    }
}

#[tokio::test]
async fn what_a_digest_names_may_be_kept_for_good_and_what_a_tag_names_may_not() {
    let (registry, image) = registry_with("layer");
    let by_digest = format!("/v2/library/demo/manifests/{}", image.digest());
    let immutable = "private, max-age=31536000, immutable";
    for (uri, expected) in [
        (by_digest, immutable),
        (layer_uri(&image), immutable),
        ("/v2/library/demo/manifests/latest".to_owned(), "no-cache"),
        ("/v2/library/demo/tags/list".to_owned(), "no-store"),
    ] {
        for answer in [get(&registry, &uri).await, head(&registry, &uri).await] {
            assert_eq!(answer.header("cache-control"), expected, "{uri}");
        }
    }
}

// protocol 15
#[tokio::test]
async fn a_stored_media_type_is_served_without_parameters() {
    let stored = "application/vnd.oci.image.index.v1+json; charset=utf-8";
    let document = format!(r#"{{"mediaType":"{stored}","manifests":[]}}"#);
    for manifest in [
        Manifest::parse(document).unwrap(),
        Manifest::new(stored.parse().unwrap(), "{}"),
    ] {
        let bytes = manifest.bytes().clone();
        let info = ManifestInfo::of(&manifest);
        let source = Scripted::new()
            .on_manifest(move |_| Ok(manifest.clone().into()))
            .on_stat_manifest(move |_| Ok(info.clone()));
        let registry = OciRegistryService::new(source);
        let uri = "/v2/demo/manifests/latest";
        let answer = get(&registry, uri).await;
        assert_eq!(answer.body, bytes);
        for answer in [answer, head(&registry, uri).await] {
            assert_eq!(
                answer.header("content-type"),
                "application/vnd.oci.image.index.v1+json"
            );
        }
    }
}

// protocol 16, section 3 item 3; pitfalls: sha512 answered with sha256
#[tokio::test]
async fn sha512_content_is_answered_with_its_sha512_digest() {
    let image = ImageBuilder::new()
        .algorithm(Algorithm::Sha512)
        .layer(MediaType::OCI_LAYER, "")
        .build()
        .unwrap();
    let store = MemoryStore::new();
    store.add_image(&name("demo"), Some(&tag("latest")), &image);
    let registry = OciRegistryService::new(store);
    let empty = Algorithm::Sha512.digest(b"");
    for (uri, digest) in [
        ("/v2/demo/manifests/latest".to_owned(), *image.digest()),
        (
            format!("/v2/demo/manifests/{}", image.digest()),
            *image.digest(),
        ),
        (format!("/v2/demo/blobs/{empty}"), empty),
    ] {
        for answer in [get(&registry, &uri).await, head(&registry, &uri).await] {
            assert_eq!(answer.status, 200, "{uri}");
            assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        }
    }
    let by_sha256 = Algorithm::Sha256.digest(image.manifest().bytes());
    let answer = get(&registry, &format!("/v2/demo/manifests/{by_sha256}")).await;
    answer.assert_error(404, "MANIFEST_UNKNOWN");
}

// protocol 74, 75
#[tokio::test]
async fn the_accept_header_is_ignored() {
    let (registry, _) = registry_with("");
    for accept in [
        "text/html",
        "application/vnd.docker.distribution.manifest.v1+json",
        "*/*;q=0",
    ] {
        let headers = [("accept", accept)];
        let answer = ask(
            &registry,
            "GET",
            "/v2/library/demo/manifests/latest",
            &headers,
        )
        .await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            "application/vnd.oci.image.manifest.v1+json"
        );
    }
}

// protocol 72
#[tokio::test]
async fn nothing_is_compressed_whatever_the_client_accepts() {
    let (registry, image) = registry_with("layer");
    for uri in [
        layer_uri(&image),
        "/v2/library/demo/manifests/latest".to_owned(),
    ] {
        let headers = [("accept-encoding", "zstd, gzip, deflate")];
        let answer = ask(&registry, "GET", &uri, &headers).await;
        assert_eq!(answer.header("content-encoding"), "");
    }
}

// protocol 14, 71, 99
#[tokio::test]
async fn what_does_not_exist_is_404_with_the_code_of_what_is_missing() {
    let (registry, _) = registry_with("");
    let nothing = Algorithm::Sha256.digest(b"nothing");
    for (path, code) in [
        (
            "library/demo/manifests/other".to_owned(),
            "MANIFEST_UNKNOWN",
        ),
        (
            format!("library/demo/manifests/{nothing}"),
            "MANIFEST_UNKNOWN",
        ),
        (format!("library/demo/blobs/{nothing}"), "BLOB_UNKNOWN"),
        ("unknown/manifests/latest".to_owned(), "NAME_UNKNOWN"),
        (format!("unknown/blobs/{nothing}"), "NAME_UNKNOWN"),
    ] {
        let uri = format!("/v2/{path}");
        get(&registry, &uri).await.assert_error(404, code);
        let answer = head(&registry, &uri).await;
        assert_eq!(answer.status, 404);
        assert_ne!(answer.header("content-length"), "0");
    }
}

// protocol 70; pitfalls: any repository can read any blob
#[tokio::test]
async fn manifests_are_not_blobs_and_blobs_are_not_manifests() {
    let (registry, image) = registry_with("layer");
    let manifest = format!("/v2/library/demo/blobs/{}", image.digest());
    get(&registry, &manifest)
        .await
        .assert_error(404, "BLOB_UNKNOWN");
    let blob = layer_uri(&image).replace("/blobs/", "/manifests/");
    get(&registry, &blob)
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");
}

// protocol 76, 77
#[tokio::test]
async fn an_index_serves_its_images_and_its_plain_blobs() {
    let image = ImageBuilder::new().file("a", "a").build().unwrap();
    let inner = IndexBuilder::new().image(&image).build().unwrap();
    let index = IndexBuilder::new()
        .image_for(&image, Platform::new("linux", "amd64"))
        .image_for(&inner, Platform::new("unknown", "unknown"))
        .blob(
            "application/vnd.buildkit.cacheconfig.v0".parse().unwrap(),
            "{}",
        )
        .build()
        .unwrap();
    let store = MemoryStore::new();
    store.add_image(&name("demo"), Some(&tag("cache")), &index);
    let registry = OciRegistryService::new(store);

    for manifest in [&index, &inner, &image] {
        let uri = format!("/v2/demo/manifests/{}", manifest.digest());
        let answer = get(&registry, &uri).await;
        assert_eq!(answer.body, manifest.manifest().bytes());
    }
    let cache = index.entries()[2].digest;
    let answer = get(&registry, &format!("/v2/demo/blobs/{cache}")).await;
    assert_eq!(&answer.body[..], b"{}");
}
