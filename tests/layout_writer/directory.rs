use tower_oci::{OciRegistryService, testing::source_suite};

use super::{common::get, *};

#[tokio::test]
async fn an_image_is_written_whole_and_can_be_served() {
    let (directory, layout) = place("deep/er/demo");
    let image = two_platforms();
    let writer = LayoutWriter::directory(&layout);
    let written = writer.write(&image, Some(&tag("latest"))).await.unwrap();
    // Two configurations, two layers of their own, and one that they share; the empty layer too.
    assert_eq!((written.blobs, written.present), (6, 0));
    assert!(written.absent.is_empty());
    let marker = fs::read_to_string(layout.join("oci-layout")).unwrap();
    assert_eq!(marker, r#"{"imageLayoutVersion":"1.0.0"}"#);
    let entries = [listed(&image, Some("latest"))];
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
    assert_eq!(index_json(&layout), index);
    assert_eq!(contents(&layout).len(), 6 + 3);
    assert_tidy(directory.path());
    let read = read_back(&layout, "latest").await;
    assert_eq!(read.manifest(), image.manifest());
    assert_eq!(read.children().len(), 2);
}

#[tokio::test]
async fn what_is_written_keeps_the_contract_of_a_source() {
    for kind in [
        LayoutWriter::directory as fn(PathBuf) -> LayoutWriter,
        LayoutWriter::archive,
    ] {
        let directory = tempfile::tempdir().unwrap();
        let count = AtomicUsize::new(0);
        let suite = source_suite(async |fixture| {
            let number = count.fetch_add(1, SeqCst);
            let writer = kind(directory.path().join(number.to_string()));
            let images = fixture.images.iter();
            let images = images.map(|(tag, image)| (image, tag.as_ref()));
            writer.write_all(images).await.unwrap();
            let layout = [(fixture.repository.clone(), writer.path())];
            LayoutSource::open(layout).await.unwrap()
        });
        suite.await.unwrap();
    }
}

#[tokio::test]
async fn an_image_in_sha512_is_written() {
    for kind in [
        LayoutWriter::directory as fn(PathBuf) -> LayoutWriter,
        LayoutWriter::archive,
    ] {
        let (_directory, layout) = place("demo");
        let image = ImageBuilder::new()
            .algorithm(Algorithm::Sha512)
            .file("a", "hello");
        let image = image.build().unwrap();
        kind(layout.clone())
            .write(&image, Some(&tag("latest")))
            .await
            .unwrap();
        let read = read_back(&layout, "latest").await;
        assert_eq!(read.digest(), image.digest());
    }
}

#[tokio::test]
async fn an_artifact_has_its_type_in_its_entry_and_an_image_has_none() {
    let (_directory, layout) = place("demo");
    let image = small("image");
    let notes = artifact(&image);
    let helm = json!({
        "schemaVersion": 2,
        "config": {
            "mediaType": "application/vnd.cncf.helm.config.v1+json",
            "digest": Algorithm::Sha256.digest(""), "size": 0,
        },
        "layers": [],
    });
    let helm = Manifest::new(MediaType::OCI_MANIFEST, helm.to_string());
    let shelf = source_of_manifest(&helm);
    let helm = Image::load(&shelf, &name("demo"), &Reference::Digest(*helm.digest()))
        .await
        .unwrap();
    let index = IndexBuilder::new().image(&image).build().unwrap();
    let typed = IndexBuilder::new()
        .artifact_type("application/vnd.example.set".parse().unwrap())
        .image(&notes)
        .build()
        .unwrap();
    let images = [&image, &notes, &helm, &index, &typed].map(|image| (image, None));
    LayoutWriter::directory(&layout)
        .write_all(images)
        .await
        .unwrap();
    let index = index_json(&layout);
    let types = index["manifests"].as_array().unwrap().iter();
    let types: Vec<&Value> = types.map(|entry| &entry["artifactType"]).collect();
    let expected = json!([
        null,
        "application/vnd.example.notes",
        "application/vnd.cncf.helm.config.v1+json",
        null,
        "application/vnd.example.set",
    ]);
    assert_eq!(json!(types), expected);
}

/// A source of one manifest, and of no blob.
fn source_of_manifest(manifest: &Manifest) -> DynSource {
    struct Shelf(Manifest);
    impl BlobSource for Shelf {
        type Body = DynBody;
        async fn manifest(
            &self,
            _: &RepositoryName,
            _: &Reference,
            _: GetManifest<'_>,
        ) -> Result<Found<Manifest>, SourceError> {
            Ok(self.0.clone().into())
        }
        async fn blob(
            &self,
            _: &RepositoryName,
            _: &Digest,
            _: GetBlob,
        ) -> Result<Blob<DynBody>, SourceError> {
            Err(SourceError::NotFound(tower_oci::MissingContent::Blob))
        }
    }
    DynSource::new(Shelf(manifest.clone()))
}

#[tokio::test]
async fn referrers_without_a_tag_are_listed_once_and_served_as_referrers() {
    let (_directory, layout) = place("demo");
    let image = small("image");
    let notes = artifact(&image);
    let writer = LayoutWriter::directory(&layout);
    let latest = tag("latest");
    for _ in 0..2 {
        let images = [(&image, Some(&latest)), (&notes, None)];
        writer.write_all(images).await.unwrap();
    }
    assert_eq!(
        index_json(&layout)["manifests"].as_array().unwrap().len(),
        2
    );
    let service = OciRegistryService::new(source_of(&layout).await);
    let uri = format!("/v2/demo/referrers/{}", image.digest());
    let referrers = get(&service, &uri).await.json();
    assert_eq!(referrers["manifests"][0]["digest"], json!(notes.digest()));
    let tags = get(&service, "/v2/demo/tags/list").await.json();
    assert_eq!(tags["tags"], json!(["latest"]));
}

#[tokio::test]
async fn what_an_index_lists_and_its_source_lacks_is_left_out() {
    let (_directory, layout) = place("demo");
    let absent = Descriptor::new(
        MediaType::OCI_MANIFEST,
        Algorithm::Sha256.digest("absent"),
        6,
    );
    let cached = MediaType::OCTET_STREAM;
    let inner = IndexBuilder::new()
        .image(&small("inner"))
        .missing(absent.clone());
    let index = IndexBuilder::new()
        .image(&inner.build().unwrap())
        .missing(absent.clone())
        .missing(Descriptor::new(cached.clone(), absent.digest, 6))
        .blob(cached, "cached")
        .build()
        .unwrap();
    let written = LayoutWriter::directory(&layout)
        .write(&index, Some(&tag("cache")))
        .await;
    let written = written.unwrap();
    assert_eq!(written.absent, [absent.digest]);
    let there = contents(&layout);
    assert!(there.contains(&Algorithm::Sha256.digest("cached")));
    assert!(!there.contains(&absent.digest));
    let read = read_back(&layout, "cache").await;
    assert_eq!(read.entries().len(), 4);
    assert_eq!(read.children()[0].children().len(), 1);
}

#[tokio::test]
async fn a_layer_that_is_to_be_had_elsewhere_may_be_absent() {
    let (_directory, layout) = place("demo");
    let far = Algorithm::Sha256.digest("far");
    let kind = "application/vnd.oci.image.layer.nondistributable.v1.tar";
    let near =
        json!({"mediaType": "text/plain", "digest": Algorithm::Sha256.digest(""), "size": 0});
    for (layer, is_absent) in [
        (json!({"mediaType": kind, "digest": far, "size": 3}), true),
        (
            json!({"mediaType": "text/plain", "digest": far, "size": 3, "urls": ["https://a/b"]}),
            true,
        ),
        (
            json!({"mediaType": "text/plain", "digest": far, "size": 3}),
            false,
        ),
    ] {
        let manifest = json!({"schemaVersion": 2, "config": near, "layers": [layer]});
        let manifest = Manifest::new(MediaType::OCI_MANIFEST, manifest.to_string());
        let reference = Reference::Digest(*manifest.digest());
        let image = Image::load(&source_of_manifest(&manifest), &name("demo"), &reference)
            .await
            .unwrap();
        let written = LayoutWriter::directory(&layout).write(&image, None).await;
        match written {
            Ok(written) => assert!(is_absent && written.absent == [far]),
            Err(LayoutWriteError::Source { digest, .. }) => assert!(!is_absent && digest == far),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn blobs_that_are_there_are_not_asked_for_again() {
    let (_directory, layout) = place("demo");
    let counting = Counting::default();
    let image = counting.load(&two_platforms()).await;
    let writer = LayoutWriter::directory(&layout);
    writer.write(&image, Some(&tag("latest"))).await.unwrap();
    // The empty blob is known without asking.
    assert_eq!(counting.asked().len(), 5);
    for verify in [false, true] {
        let writer = writer.clone().verify_present(verify);
        let written = writer.write(&image, Some(&tag("again"))).await.unwrap();
        assert_eq!((written.blobs, written.present, written.bytes), (0, 6, 0));
        assert_eq!(counting.asked(), []);
    }
    read_back(&layout, "again").await;
}

#[tokio::test]
async fn a_blob_of_another_size_is_replaced_and_one_of_other_content_when_it_is_verified() {
    let (_directory, layout) = place("demo");
    let counting = Counting::default();
    let image = counting.load(&two_platforms()).await;
    let writer = LayoutWriter::directory(&layout);
    writer.write(&image, Some(&tag("latest"))).await.unwrap();
    counting.asked();
    let large = image.children()[0].layers()[0].digest;
    let file = layout.join("blobs/sha256").join(large.encoded());
    let right = fs::read(&file).unwrap();
    let mut other = right.clone();
    other[500_000] ^= 1;

    fs::write(&file, &right[..right.len() - 1]).unwrap();
    writer.write(&image, Some(&tag("latest"))).await.unwrap();
    assert_eq!(counting.asked(), [large]);
    assert!(fs::read(&file).unwrap() == right);

    fs::write(&file, &other).unwrap();
    writer.write(&image, Some(&tag("latest"))).await.unwrap();
    assert_eq!(counting.asked(), []);
    let written = writer
        .verify_present(true)
        .write(&image, Some(&tag("latest")))
        .await
        .unwrap();
    assert_eq!((written.blobs, written.bytes), (1, 700_000));
    assert_eq!(counting.asked(), [large]);
    assert!(fs::read(&file).unwrap() == right);
}

#[tokio::test]
async fn a_manifest_of_other_content_is_always_replaced() {
    let (_directory, layout) = place("demo");
    let image = two_platforms();
    let writer = LayoutWriter::directory(&layout);
    writer.write(&image, Some(&tag("latest"))).await.unwrap();
    let child = &image.children()[1];
    let file = layout.join("blobs/sha256").join(child.digest().encoded());
    let length = usize::try_from(child.manifest().size()).unwrap();
    fs::write(&file, vec![b' '; length]).unwrap();
    writer.write(&image, Some(&tag("latest"))).await.unwrap();
    assert!(fs::read(&file).unwrap() == *child.manifest().bytes());
}

#[tokio::test]
async fn several_blobs_are_written_at_a_time_and_no_more_than_that() {
    for most in [1, 3] {
        let (_directory, layout) = place("demo");
        let mut image = ImageBuilder::new();
        for number in 0..12_u8 {
            image = image.layer(MediaType::OCI_LAYER, vec![number; 400_000]);
        }
        let counting = Counting::default();
        let image = counting.load(&image.build().unwrap()).await;
        let writer = LayoutWriter::directory(&layout).concurrency(NonZeroUsize::new(most).unwrap());
        writer.write(&image, Some(&tag("latest"))).await.unwrap();
        assert_eq!(counting.most_open.load(SeqCst), most);
        assert_eq!(counting.open.load(SeqCst), 0);
    }
}

#[tokio::test]
async fn other_files_in_the_directory_stay() {
    let (_directory, layout) = place("demo");
    fs::create_dir_all(layout.join("blobs/sha256/.layout-part-not-ours")).unwrap();
    fs::write(layout.join(".layout-part-0123"), "not ours").unwrap();
    fs::write(layout.join("notes.txt"), "notes").unwrap();
    LayoutWriter::directory(&layout)
        .write(&small("a"), None)
        .await
        .unwrap();
    assert_eq!(fs::read(layout.join("notes.txt")).unwrap(), b"notes");
    assert!(layout.join("blobs/sha256/.layout-part-not-ours").is_dir());
    assert!(layout.join(".layout-part-0123").is_file());
}

#[tokio::test]
async fn what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not() {
    let (_directory, layout) = place("demo");
    LayoutWriter::directory(&layout)
        .write(&small("a"), None)
        .await
        .unwrap();
    let left = layout.join("blobs/sha256/.layout-part-0123456789abcdef");
    let living = layout.join("blobs/sha256/.layout-part-fedcba9876543210");
    fs::write(&left, "left").unwrap();
    let held = fs::File::create(&living).unwrap();
    held.lock().unwrap();
    LayoutWriter::directory(&layout)
        .write(&small("a"), None)
        .await
        .unwrap();
    assert!(!left.exists() && living.exists());
}

#[cfg(unix)]
#[tokio::test]
async fn blobs_may_lie_in_a_store_that_layouts_share() {
    let (directory, layout) = place("demo");
    let shared = directory.path().join("shared");
    fs::create_dir_all(&shared).unwrap();
    fs::create_dir_all(&layout).unwrap();
    std::os::unix::fs::symlink(&shared, layout.join("blobs")).unwrap();
    let image = small("a");
    LayoutWriter::directory(&layout)
        .write(&image, Some(&tag("latest")))
        .await
        .unwrap();
    assert!(
        shared
            .join("sha256")
            .join(image.digest().encoded())
            .is_file()
    );
    read_back(&layout, "latest").await;
}

#[tokio::test]
async fn the_layout_that_is_read_may_be_the_one_that_is_written() {
    for kind in [
        LayoutWriter::directory as fn(PathBuf) -> LayoutWriter,
        LayoutWriter::archive,
    ] {
        let (_directory, layout) = place("demo");
        let writer = kind(layout.clone());
        writer
            .write(&two_platforms(), Some(&tag("first")))
            .await
            .unwrap();
        let image = read_back(&layout, "first").await;
        writer.write(&image, Some(&tag("second"))).await.unwrap();
        read_back(&layout, "second").await;
        read_back(&layout, "first").await;
    }
}
