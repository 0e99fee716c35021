use super::*;

fn every_kind() -> Vec<(&'static str, Image)> {
    let platform = Platform::new("linux", "arm64").variant("v8");
    let image = ImageBuilder::new()
        .platform(platform.clone())
        .files([("etc/motd", "hello"), ("etc/hostname", "demo")])
        .file("empty", "")
        .annotation("b", "2")
        .annotation("a", "1")
        .build()
        .unwrap();
    let sha512 = ImageBuilder::new()
        .algorithm(Algorithm::Sha512)
        .file("a", "b")
        .build()
        .unwrap();
    let artifact = ImageBuilder::artifact("application/vnd.example+json".parse().unwrap())
        .layer("text/plain".parse().unwrap(), "content")
        .subject(&image)
        .build()
        .unwrap();
    let index = IndexBuilder::new()
        .image_for(&image, platform)
        .image(&sha512)
        .annotation("c", "3")
        .build()
        .unwrap();
    let nested = IndexBuilder::new()
        .algorithm(Algorithm::Sha512)
        .image(&index)
        .image(&artifact)
        .missing(Descriptor::new(
            MediaType::OCI_MANIFEST,
            sha256("missing"),
            7,
        ))
        .blob(MediaType::OCI_LAYER, "a layer in a cache")
        .artifact_type("application/vnd.example.index".parse().unwrap())
        .subject(&image)
        .build()
        .unwrap();
    vec![
        ("image", image),
        ("sha512", sha512),
        ("artifact", artifact),
        ("index", index),
        ("nested", nested),
    ]
}

#[test]
fn builders_make_the_same_bytes_on_every_run_and_every_machine() {
    let expected = [
        (
            "image",
            "sha256:c63e413e8c3a5fb9dad22d9880bebb4b802618b6d23cabd65fbabbba7c910a3a",
        ),
        (
            "sha512",
            "sha512:ab83e64a01d367e8126a4e50e8b7d6ff6930810491ae88cd3d30fcf3e9e398a25db8de9bbe8ec077f8d99a7e5b49583095eec2214490363d405bc2a01187bc90",
        ),
        (
            "artifact",
            "sha256:3b84482dcac0d60b1811373e7fe4bf74bb1984258cb95f62d1b1ac8188d4e51a",
        ),
        (
            "index",
            "sha256:a41015bd8b2d0d11e59210b277b336194fe0da6be3e7a65aa2084e51b00c6277",
        ),
        (
            "nested",
            "sha512:73ef597344cc180f3ee4e4b1afe2ed693b5af53f8bcc3d1213840bba1244815d038e7f0d90e56904060ff38d16deafb4598fd899a998624d377f68aebb1d2b5b",
        ),
    ];
    let built: Vec<_> = every_kind()
        .into_iter()
        .map(|(kind, image)| (kind, image.digest().to_string()))
        .collect();
    let built: Vec<_> = built
        .iter()
        .map(|(kind, digest)| (*kind, digest.as_str()))
        .collect();
    assert_eq!(built, expected);
}

#[test]
fn a_path_that_no_archive_can_hold_is_an_error_of_build() {
    for path in ["/absolute", "../up", "a/../../b", ""] {
        let built = ImageBuilder::new()
            .file(path, "x")
            .file("good", "y")
            .build();
        assert!(built.is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_built_image_is_served_and_loads_again_as_the_same_image() {
    for (kind, image) in every_kind() {
        let store = MemoryStore::new();
        store.add_image(&name("demo"), Some(&tag("latest")), &image);
        for reference in ["latest".to_owned(), image.digest().to_string()] {
            let loaded = load(store.clone(), &reference).await.unwrap();
            assert_same(kind, &loaded, &image).await;
        }
    }
}

/// Compares everything that two images say, down to the bytes of their blobs.
async fn assert_same(kind: &str, left: &Image, right: &Image) {
    assert_eq!(left.manifest(), right.manifest(), "{kind}");
    assert_eq!(left.artifact_type(), right.artifact_type(), "{kind}");
    assert_eq!(left.subject(), right.subject(), "{kind}");
    let described: Vec<_> = left.descriptors().collect();
    assert!(described.iter().copied().eq(right.descriptors()), "{kind}");
    let parts = left
        .config()
        .into_iter()
        .chain(left.layers())
        .chain(left.entries());
    assert!(described.iter().copied().eq(parts), "{kind}");
    for descriptor in left.config().into_iter().chain(left.layers()) {
        let bytes = left.read_blob_verified(descriptor, 1 << 20).await.unwrap();
        assert_eq!(
            bytes,
            right.read_blob_verified(descriptor, 1 << 20).await.unwrap()
        );
    }
    assert_eq!(left.children().len(), right.children().len(), "{kind}");
    for (left, right) in left.children().iter().zip(right.children()) {
        Box::pin(assert_same(kind, left, right)).await;
    }
}
