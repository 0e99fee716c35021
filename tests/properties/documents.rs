use super::*;

/// JSON that a document may have in any place, well formed and not.
fn fragment() -> impl Strategy<Value = String> {
    let digest = Algorithm::Sha256.digest("{}");
    let descriptor = format!(r#"{{"mediaType":"a/b","digest":"{digest}","size":2}}"#);
    let empty = Algorithm::Sha256.digest("");
    let leaf = prop_oneof![
        6 => Just(descriptor),
        2 => Just(format!(r#"{{"mediaType":"{}","digest":"{digest}","size":2}}"#, MediaType::OCI_INDEX)),
        1 => Just(format!(r#"{{"digest":"{digest}","size":2,"data":"e30="}}"#)),
        1 => Just(format!(r#"{{"digest":"{empty}","size":0}}"#)),
        1 => Just(format!(r#"{{"digest":"{digest}","size":-1}}"#)),
        1 => Just(format!(r#"{{"digest":"{digest}","size":99999999999999999999}}"#)),
        1 => Just(format!(r#"{{"digest":"{digest}","size":2,"size":2}}"#)),
        1 => Just(format!(r#"{{"digest":"{digest}","size":2,"platform":["amd64","linux"],"annotations":[]}}"#)),
        1 => Just(format!("\"{digest}\"")),
        3 => select(vec![
            "null", "true", "0", "-1", "1e400", "\"\"", "\"\\ud800\"", "[]", "{}", "\"a/b\"",
            "\"application/vnd.oci.image.index.v1+json; charset=utf-8\"", "{\"a\":1,\"b\":\"c\"}",
            "{\"a\":\"b\",\"a\":\"c\"}", "[null]", "[[[]]]", "\"", "{", "1 2", "\u{feff}{}",
        ])
        .prop_map(ToOwned::to_owned),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            1 => inner.prop_map(|item| format!("{{\"a\":{item}}}")),
        ]
    })
}

fn document() -> impl Strategy<Value = String> {
    let field = select(vec![
        "schemaVersion",
        "mediaType",
        "artifactType",
        "config",
        "layers",
        "blobs",
        "manifests",
        "subject",
        "annotations",
        "unknown",
        "con\\u0066ig",
    ]);
    vec((field, fragment()), 0..6).prop_map(|fields| {
        let fields = fields
            .iter()
            .map(|(field, value)| format!("\"{field}\":{value}"));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
    })
}

/// Loads the manifest as an image, and uses everything that it then offers.
fn use_as_image(manifest: Manifest) {
    let bytes = manifest.bytes().clone();
    let source = Scripted::new()
        .on_manifest(move |(reference, _)| match reference {
            Reference::Tag(_) => Ok(manifest.clone().into()),
            Reference::Digest(digest) if digest.verifies("{}") => {
                Ok(Manifest::verified(digest, MediaType::OCI_INDEX, "{}")
                    .unwrap()
                    .into())
            }
            Reference::Digest(_) => Err(tower_oci::SourceError::NotFound(
                tower_oci::MissingContent::Manifest,
            )),
        })
        .on_blob(|_| {
            Ok(Blob::Content(BlobContent::new(
                BlobInfo::seekable(2),
                0..2,
                DynBody::new(tower_oci::BytesBody::new("{}")),
            )))
        });
    wait(async {
        let reference = Reference::Tag(tag("latest"));
        let loaded = Image::load(&DynSource::new(source), &name("demo"), &reference).await;
        let image = match loaded {
            Ok(image) => image,
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        };
        assert_eq!(image.manifest().bytes(), &bytes);
        let store = MemoryStore::new();
        store.add_image(&name("demo"), Some(&tag("latest")), &image);
        let service = OciRegistryService::new(store);
        let answer = get(&service, "/v2/demo/manifests/latest").await;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &bytes));
        for descriptor in image.descriptors() {
            let read = image.read_blob_verified(descriptor, 10).await;
            assert!(read.is_err() || descriptor.digest.verifies(read.unwrap()));
        }
        if let Some(subject) = image.subject() {
            let uri = format!("/v2/demo/referrers/{}", subject.digest);
            let answer = get(&service, &uri).await;
            assert_eq!(answer.json()["manifests"].as_array().unwrap().len(), 1);
        }
    });
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn any_bytes_are_a_manifest_or_an_error(bytes in prop_oneof![
        vec(any::<u8>(), 0..60),
        mutated(document()).prop_map(String::into_bytes),
        fragment().prop_map(String::into_bytes),
    ]) {
        if let Ok(manifest) = Manifest::parse(bytes.clone()) {
            prop_assert_eq!(manifest.bytes(), &bytes);
            prop_assert_eq!(bytes.trim_ascii_start().first(), Some(&b'{'));
            use_as_image(manifest);
        }
    }

    #[test]
    fn any_document_is_an_image_or_an_error(document in document()) {
        use_as_image(Manifest::new(MediaType::OCI_MANIFEST, document));
    }
}

#[test]
fn deep_and_wide_documents_do_no_harm() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for value in [
        deep(100_000),
        objects(100_000),
        "[".repeat(100_000),
        "\"".to_owned(),
    ] {
        let fields = [
            "config",
            "layers",
            "manifests",
            "subject",
            "annotations",
            "mediaType",
            "x",
        ];
        for field in fields {
            let document = format!("{{\"{field}\":{value}}}");
            let _ = Manifest::parse(document.clone());
            use_as_image(Manifest::new(MediaType::OCI_MANIFEST, document));
        }
        let digest = Algorithm::Sha256.digest("x");
        for field in [
            "size",
            "data",
            "annotations",
            "urls",
            "platform",
            "mediaType",
            "x",
        ] {
            let document = format!(
                "{{\"layers\":[{{\"digest\":\"{digest}\",\"size\":1,\"{field}\":{value}}}]}}"
            );
            use_as_image(Manifest::new(MediaType::OCI_MANIFEST, document));
        }
    }
}
