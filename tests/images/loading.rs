use super::*;

#[tokio::test]
async fn a_manifest_with_other_bytes_than_its_digest_is_refused() {
    let shelf = Shelf::default();
    let child = shelf.manifest(&image_document(&[]));
    let digest: Digest = child["digest"].as_str().unwrap().parse().unwrap();
    let parent = index_document(&[child]);
    assert!(shelf.image(&parent).await.is_ok());
    let wrong = Manifest::trusted(digest, MediaType::OCI_MANIFEST, "{}");
    shelf.tag(&digest.to_string(), wrong);
    for error in [
        load(shelf.source(), &digest.to_string()).await.unwrap_err(),
        shelf.image(&parent).await.unwrap_err(),
    ] {
        let ImageError::Manifest(InvalidManifest::DigestMismatch(wrong)) = error else {
            panic!("{error:?}");
        };
        assert_eq!(wrong, digest);
    }
    let lying = Scripted::new().on_manifest(move |_| Ok(Found::NotModified(digest)));
    assert!(load(lying, "latest").await.is_err());
}

#[tokio::test]
async fn an_index_may_be_sparse_but_a_storage_that_fails_is_an_error() {
    let shelf = Shelf::default();
    let there = shelf.manifest(&image_document(&[]));
    let missing = json!({ "mediaType": MANIFEST, "digest": sha256("missing"), "size": 7 });
    let index = shelf
        .image(&index_document(&[missing.clone(), there, missing]))
        .await
        .unwrap();
    assert_eq!((index.entries().len(), index.children().len()), (3, 1));

    let service = registry(&[("demo", Some("latest"), &index)]);
    assert_eq!(get(&service, "/v2/demo/manifests/latest").await.status, 200);
    let uri = format!("/v2/demo/manifests/{}", sha256("missing"));
    get(&service, &uri)
        .await
        .assert_error(404, "MANIFEST_UNKNOWN");

    let failing = shelf.source().on_manifest({
        let index = index.manifest().clone();
        move |(reference, _)| match reference {
            Reference::Tag(_) => Ok(index.clone().into()),
            Reference::Digest(_) => Err(SourceError::backend("broken")),
        }
    });
    let error = load(failing, "latest").await.unwrap_err();
    assert!(
        matches!(error, ImageError::Source(SourceError::Backend(_))),
        "{error:?}"
    );
}

#[tokio::test]
async fn descriptors_that_make_no_sense_are_refused() {
    let good = sha256("x").to_string();
    let upper = good.to_uppercase();
    let of_size = |size: &str| format!(r#"{{"digest":"{good}","size":{size}}}"#);
    let of_digest = |digest: &String| format!(r#"{{"digest":{digest},"size":1}}"#);
    let sizes = [
        "-1",
        "-9223372036854775808",
        "0.5",
        "1.0",
        "1e3",
        "9223372036854775808",
        "18446744073709551616",
        "1e400",
        "\"1\"",
        "null",
        "[1]",
        "true",
        "-0",
    ];
    let digests = [
        format!("{:?}", &good[..70]),
        format!("{upper:?}"),
        "\"sha256:\"".to_owned(),
        "\"blake3:af13\"".to_owned(),
        "\"\"".to_owned(),
        "null".to_owned(),
        "7".to_owned(),
        "\"sha256:../../etc/passwd\"".to_owned(),
    ];
    let bad_ones = sizes.into_iter().map(of_size);
    let bad_ones = bad_ones.chain(digests.iter().map(of_digest));
    let others = [
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        "7".to_owned(),
        "\"x\"".to_owned(),
        format!("[\"text/plain\",\"{good}\",1]"),
        format!("{{\"digest\":\"{good}\",\"size\":1,\"size\":2}}"),
    ];
    let bad_ones: Vec<String> = bad_ones.chain(others).collect();
    let max = of_size("9223372036854775807");
    for template in [
        r#"{"mediaType":"a/b","config":HERE}"#,
        r#"{"mediaType":"a/b","layers":[HERE]}"#,
        r#"{"mediaType":"a/b","blobs":[HERE]}"#,
        r#"{"mediaType":"a/b","manifests":[HERE]}"#,
        r#"{"mediaType":"a/b","subject":HERE}"#,
    ] {
        let document = |descriptor: &str| {
            let source = Manifest::parse(template.replace("HERE", descriptor)).unwrap();
            Scripted::new().on_manifest(move |_| Ok(source.clone().into()))
        };
        for descriptor in &bad_ones {
            let loaded = load(document(descriptor), "latest").await;
            if descriptor == "null" && !template.contains('[') {
                assert!(loaded.is_ok(), "null is no descriptor: {template}");
                continue;
            }
            let error = loaded.unwrap_err();
            assert!(
                matches!(error, ImageError::Descriptor(_)),
                "{template} {descriptor}: {error:?}"
            );
        }
        assert!(load(document(&max), "latest").await.is_ok(), "{template}");
    }
}

#[tokio::test]
async fn embedded_data_must_be_what_the_descriptor_says() {
    let digest = sha256("hello");
    let shelf = Shelf::default();
    let document = |data: Value, size: usize, digest: &Digest| {
        let mut layer = descriptor(digest, size);
        layer["data"] = data;
        image_document(&[layer])
    };
    let refused = [
        (document(json!("aGVsbG8"), 5, &digest), "no padding"),
        (document(json!("aGVsbG8=\n"), 5, &digest), "a line end"),
        (document(json!("aGVs bG8="), 5, &digest), "a space"),
        (document(json!("hello"), 5, &digest), "not Base64"),
        (
            document(json!("aGVsbG8="), 4, &digest),
            "longer than the size",
        ),
        (
            document(json!("aGVsbG8="), 6, &digest),
            "shorter than the size",
        ),
        (document(json!(""), 5, &digest), "empty"),
        (
            document(json!("aGVsbG8="), 0, &digest),
            "not empty, of size 0",
        ),
        (document(json!("d29ybGQ="), 5, &digest), "another digest"),
        (
            document(json!("aGVsbG8="), 5, &Algorithm::Sha512.digest("x")),
            "another SHA-512",
        ),
        (
            image_document(&[descriptor(&digest, 0)]),
            "nothing, with the digest of something",
        ),
    ];
    for (document, what) in refused {
        let error = shelf.image(&document).await.unwrap_err();
        let is_data = matches!(
            error,
            ImageError::Descriptor(
                InvalidDescriptor::DataEncoding(_)
                    | InvalidDescriptor::DataLength { .. }
                    | InvalidDescriptor::DataDigest(_)
            )
        );
        assert!(is_data, "{what}: {error:?}");
    }
    for good in [
        document(json!("aGVsbG8="), 5, &digest),
        document(json!("aGVsbG8="), 5, &Algorithm::Sha512.digest("hello")),
        document(json!(""), 0, &sha256("")),
        document(Value::Null, 5, &digest),
    ] {
        assert!(shelf.image(&good).await.is_ok(), "{good}");
    }
}

#[tokio::test]
async fn empty_and_embedded_blobs_are_served_without_asking_the_source() {
    let shelf = Shelf::default();
    let mut embedded = descriptor(&sha256("hello"), 5);
    embedded["data"] = json!("aGVsbG8=");
    let bare = descriptor(&sha256("hello"), 5);
    let empty = descriptor(&sha256(""), 0);
    let empty_sha512 = descriptor(&Algorithm::Sha512.digest(""), 0);
    // The same content twice, once without its data: it is known all the same.
    for layers in [
        vec![
            embedded.clone(),
            bare.clone(),
            empty.clone(),
            empty_sha512.clone(),
        ],
        vec![bare, embedded, empty_sha512, empty],
    ] {
        shelf.tag(
            "latest",
            Manifest::parse(image_document(&layers).to_string()).unwrap(),
        );
        let source = shelf.source();
        let image = load(source.clone(), "latest").await.unwrap();
        let service = registry(&[("demo", Some("latest"), &image)]);
        source.calls();
        for layer in image.layers() {
            let content = if layer.size == 0 { "" } else { "hello" };
            let bytes = image.read_blob_verified(layer, 5).await.unwrap();
            assert_eq!(bytes, content);
            let uri = format!("/v2/demo/blobs/{}", layer.digest);
            let answer = get(&service, &uri).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body[..]),
                (200, content.as_bytes())
            );
            let answer = head(&service, &uri).await;
            assert_eq!(answer.header("content-length"), layer.size.to_string());
            let answer = ask(&service, "GET", &uri, &[("range", "bytes=1-2")]).await;
            let expected = if layer.size == 0 {
                (200, "")
            } else {
                (206, "el")
            };
            assert_eq!(
                (answer.status.as_u16(), &answer.body[..]),
                (expected.0, expected.1.as_bytes())
            );
        }
        assert_eq!(source.calls(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn embedded_data_is_still_known_after_an_image_without_it_was_added() {
    let shelf = Shelf::default();
    let mut embedded = descriptor(&sha256("hello"), 5);
    let bare = embedded.clone();
    embedded["data"] = json!("aGVsbG8=");
    let with_data = shelf.image(&image_document(&[embedded])).await.unwrap();
    let without = shelf.image(&image_document(&[bare])).await.unwrap();
    let service = registry(&[
        ("demo", Some("a"), &with_data),
        ("demo", Some("b"), &without),
    ]);
    let uri = format!("/v2/demo/blobs/{}", sha256("hello"));
    assert_eq!(get(&service, &uri).await.body, "hello");
}

#[tokio::test]
async fn read_blob_verified_accepts_exactly_what_the_descriptor_says() {
    type Open = fn(GetBlob) -> Result<Blob<DynBody>, SourceError>;
    fn content(
        size: u64,
        range: std::ops::Range<u64>,
        body: DynBody,
    ) -> Result<Blob<DynBody>, SourceError> {
        let info = BlobInfo::seekable(size);
        Ok(Blob::Content(BlobContent::new(info, range, body)))
    }
    let rows: &[(&str, Open, bool)] = &[
        (
            "right",
            |_| content(5, 0..5, pieces([Ok(b"he"), Ok(b""), Ok(b"llo")])),
            true,
        ),
        ("short", |_| content(5, 0..5, pieces([Ok(b"hell")])), false),
        (
            "long",
            |_| content(5, 0..5, pieces([Ok(b"hello"), Ok(b"!")])),
            false,
        ),
        (
            "wrong bytes",
            |_| content(5, 0..5, pieces([Ok(b"jello")])),
            false,
        ),
        (
            "another size",
            |_| content(6, 0..6, pieces([Ok(b"hello!")])),
            false,
        ),
        ("a part", |_| content(5, 1..5, pieces([Ok(b"ello")])), false),
        (
            "a part of more",
            |_| content(6, 0..5, pieces([Ok(b"hello")])),
            false,
        ),
        (
            "an error",
            |_| content(5, 0..5, pieces([Ok(b"hello"), Err("broken")])),
            false,
        ),
        (
            "a redirect",
            |_| {
                Ok(Blob::Redirect {
                    to: "http://x/".parse().unwrap(),
                    size: Some(5),
                })
            },
            false,
        ),
        (
            "missing",
            |_| Err(SourceError::NotFound(MissingContent::Blob)),
            false,
        ),
    ];
    let document = image_document(&[descriptor(&sha256("hello"), 5)]).to_string();
    let manifest = Manifest::parse(document).unwrap();
    for &(what, open, is_right) in rows {
        let manifest = manifest.clone();
        let source = Scripted::new()
            .on_manifest(move |_| Ok(manifest.clone().into()))
            .on_blob(move |(_, options)| {
                assert!(options.range.is_none() && !options.redirects);
                open(options)
            });
        let image = load(source.clone(), "latest").await.unwrap();
        let read = image.read_blob_verified(&image.layers()[0], 5).await;
        assert_eq!(
            read.as_deref().ok(),
            is_right.then_some(&b"hello"[..]),
            "{what}: {read:?}"
        );

        // What is too large is not even opened, and what the manifest does not name is not there.
        source.calls();
        let error = image
            .read_blob_verified(&image.layers()[0], 4)
            .await
            .unwrap_err();
        assert!(
            matches!(error, ImageError::BlobTooLarge { limit: 4, .. }),
            "{error:?}"
        );
        let other = Descriptor::new(MediaType::OCI_LAYER, sha256("other"), 5);
        let error = image.read_blob_verified(&other, 5).await.unwrap_err();
        assert!(
            matches!(error, ImageError::Source(SourceError::NotFound(_))),
            "{error:?}"
        );
        assert!(source.calls().is_empty());
    }
}
