//! What goes wrong leaves the layout as it was.

use tower_oci::{BlobInfo, LayoutError, MissingContent};

use super::*;

const KINDS: [fn(PathBuf) -> LayoutWriter; 2] = [LayoutWriter::directory, LayoutWriter::archive];

/// How a source lies about the layer of an image.
#[derive(Clone, Copy, Debug)]
enum Lie {
    OtherBytes,
    Short,
    Long,
    OtherSize,
    Endless,
    BreaksOff,
    Missing,
    Fails,
}

const LIES: [Lie; 8] = [
    Lie::OtherBytes,
    Lie::Short,
    Lie::Long,
    Lie::OtherSize,
    Lie::Endless,
    Lie::BreaksOff,
    Lie::Missing,
    Lie::Fails,
];

struct Lying {
    manifest: Manifest,
    right: Bytes,
    lie: Lie,
}

impl BlobSource for Lying {
    type Body = DynBody;

    async fn manifest(
        &self,
        _: &RepositoryName,
        _: &Reference,
        _: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        Ok(self.manifest.clone().into())
    }

    async fn blob(
        &self,
        _: &RepositoryName,
        _: &Digest,
        _: GetBlob,
    ) -> Result<Blob<DynBody>, SourceError> {
        let size = self.right.len();
        let mut bytes = self.right.to_vec();
        let mut info = BlobInfo::seekable(size as u64);
        match self.lie {
            Lie::OtherBytes => bytes[size - 1] ^= 1,
            Lie::Short | Lie::BreaksOff => bytes.truncate(size - 1),
            Lie::Long => bytes.push(0),
            Lie::OtherSize => info = BlobInfo::seekable(size as u64 + 1),
            Lie::Endless => {}
            Lie::Missing => return Err(SourceError::NotFound(MissingContent::Blob)),
            Lie::Fails => return Err(SourceError::Busy { retry_after: None }),
        }
        let pieces = bytes
            .chunks(100_000)
            .map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece))));
        let mut pieces: Vec<Result<_, SourceError>> = pieces.collect();
        if let Lie::BreaksOff = self.lie {
            pieces.push(Err(SourceError::Denied));
        }
        let body = match self.lie {
            Lie::Endless => {
                let zeros = || Ok::<_, SourceError>(Frame::data(Bytes::from_static(&[0; 1000])));
                DynBody::new(StreamBody::new(stream::repeat_with(zeros)))
            }
            _ => DynBody::new(StreamBody::new(stream::iter(pieces))),
        };
        Ok(Blob::Content(BlobContent::new(info, 0..info.size, body)))
    }
}

async fn lying(lie: Lie) -> Image {
    let right = noise(600_000);
    let layer = json!({
        "mediaType": "text/plain",
        "digest": Algorithm::Sha256.digest(&right),
        "size": right.len(),
    });
    let manifest = json!({"schemaVersion": 2, "layers": [layer]});
    let manifest = Manifest::new(MediaType::OCI_MANIFEST, manifest.to_string());
    let reference = Reference::Digest(*manifest.digest());
    let source = DynSource::new(Lying {
        manifest,
        right,
        lie,
    });
    Image::load(&source, &name("demo"), &reference)
        .await
        .unwrap()
}

/// Everything in a folder, with its bytes.
fn snapshot(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let paths = all_paths(directory).into_iter();
    paths
        .map(|path| (path.clone(), fs::read(path).unwrap_or_default()))
        .collect()
}

#[tokio::test]
async fn a_source_that_lies_or_fails_leaves_the_layout_as_it_was() {
    for kind in KINDS {
        for lie in LIES {
            let (directory, layout) = place("demo");
            let writer = kind(layout.clone());
            writer
                .write(&small("before"), Some(&tag("latest")))
                .await
                .unwrap();
            let before = snapshot(directory.path());
            let failed = writer.write(&lying(lie).await, Some(&tag("latest"))).await;
            let error = failed.expect_err("the source lied");
            let is_right = match lie {
                Lie::OtherBytes | Lie::Short | Lie::Long | Lie::OtherSize | Lie::Endless => {
                    matches!(error, LayoutWriteError::BlobMismatch(_))
                }
                Lie::BreaksOff => matches!(error, LayoutWriteError::Body { .. }),
                Lie::Missing | Lie::Fails => matches!(error, LayoutWriteError::Source { .. }),
            };
            assert!(is_right, "{lie:?}: {error:?}");
            assert!(
                before == snapshot(directory.path()),
                "{lie:?} left something"
            );
        }
    }
}

#[tokio::test]
async fn of_a_new_layout_that_fails_nothing_can_be_served() {
    for kind in KINDS {
        let (directory, layout) = place("demo");
        let failed = kind(layout.clone())
            .write(&lying(Lie::Short).await, None)
            .await;
        assert!(failed.is_err());
        assert!(LayoutSource::open([(name("demo"), &layout)]).await.is_err());
        assert_tidy(directory.path());
    }
}

#[tokio::test]
async fn a_directory_that_is_no_layout_to_add_to_is_refused_before_anything_is_fetched() {
    let counting = Counting::default();
    let image = counting.load(&small("a")).await;
    let deep = "[".repeat(100_000);
    for (file, content) in [
        ("oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#),
        ("oci-layout", "{"),
        ("index.json", ""),
        ("index.json", "{"),
        ("index.json", "[]"),
        ("index.json", "null"),
        ("index.json", r#"{"manifests": 1}"#),
        ("index.json", r#"{"manifests": {}}"#),
        ("index.json", r#"{"manifests": [], "manifests": []}"#),
        ("index.json", &deep),
    ] {
        let (directory, layout) = place("demo");
        LayoutWriter::directory(&layout)
            .write(&small("b"), None)
            .await
            .unwrap();
        fs::write(layout.join(file), content).unwrap();
        let before = snapshot(directory.path());
        let failed = LayoutWriter::directory(&layout).write(&image, None).await;
        let error = failed.expect_err(content);
        assert!(
            matches!(error, LayoutWriteError::Layout(_)),
            "{content}: {error:?}"
        );
        assert!(error.to_string().contains(file), "{error}");
        assert_eq!(counting.asked(), []);
        assert!(before == snapshot(directory.path()), "{content}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_archive_to_add_to_is_refused_before_anything_is_fetched() {
    let counting = Counting::default();
    let image = counting.load(&small("a")).await;
    for content in [&b""[..], b"text", b"\x1f\x8b\x08\0", &[0; 1024]] {
        let (directory, file) = place("demo.tar");
        fs::write(&file, content).unwrap();
        let before = snapshot(directory.path());
        let error = LayoutWriter::archive(&file)
            .write(&image, None)
            .await
            .unwrap_err();
        assert!(matches!(error, LayoutWriteError::Layout(_)), "{error:?}");
        assert!(before == snapshot(directory.path()));
    }
    assert_eq!(counting.asked(), []);
}

#[tokio::test]
async fn a_directory_is_not_written_over_a_file_nor_an_archive_over_a_directory() {
    let (directory, path) = place("demo");
    fs::write(&path, "file").unwrap();
    let failed = LayoutWriter::directory(&path)
        .write(&small("a"), None)
        .await;
    assert!(failed.is_err());
    assert_eq!(fs::read(&path).unwrap(), b"file");
    let folder = directory.path().join("folder");
    fs::create_dir(&folder).unwrap();
    let failed = LayoutWriter::archive(&folder)
        .write(&small("a"), None)
        .await;
    assert!(matches!(
        failed,
        Err(LayoutWriteError::Layout(LayoutError::Unreadable { .. }))
    ));
    let nowhere = directory.path().join("nowhere/demo.tar");
    let failed = LayoutWriter::archive(&nowhere)
        .write(&small("a"), None)
        .await;
    assert!(
        matches!(failed, Err(LayoutWriteError::Unwritable { .. })),
        "{failed:?}"
    );
    assert_tidy(directory.path());
}

#[tokio::test]
async fn two_images_for_one_tag_are_refused() {
    for kind in KINDS {
        let (_directory, layout) = place("demo");
        let (first, second, latest) = (small("a"), small("b"), tag("latest"));
        let images = [(&first, Some(&latest)), (&second, Some(&latest))];
        let failed = kind(layout.clone()).write_all(images).await;
        assert!(matches!(failed, Err(LayoutWriteError::Duplicate(twice)) if twice == latest));
        assert!(!layout.exists());
    }
}

#[tokio::test]
async fn two_descriptors_that_give_a_blob_two_sizes_are_refused() {
    let (_directory, layout) = place("demo");
    let digest = Algorithm::Sha256.digest("layer");
    let layer = |size: u64| json!({"mediaType": "text/plain", "digest": digest, "size": size});
    let manifest = json!({"schemaVersion": 2, "layers": [layer(5), layer(6)]});
    let manifest = Manifest::new(MediaType::OCI_MANIFEST, manifest.to_string());
    let reference = Reference::Digest(*manifest.digest());
    let right = Bytes::from_static(b"layer");
    let source = DynSource::new(Lying {
        manifest,
        right,
        lie: Lie::Endless,
    });
    let image = Image::load(&source, &name("demo"), &reference)
        .await
        .unwrap();
    let failed = LayoutWriter::directory(&layout).write(&image, None).await;
    assert!(matches!(failed, Err(LayoutWriteError::BlobMismatch(wrong)) if wrong == digest));
}

#[test]
fn without_a_runtime_writing_is_an_error_and_not_a_panic() {
    for kind in KINDS {
        let (_directory, layout) = place("demo");
        let (writer, image) = (kind(layout), small("a"));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let polled = std::pin::pin!(writer.write(&image, None)).poll(&mut context);
        let std::task::Poll::Ready(Err(LayoutWriteError::Runtime(_))) = polled else {
            panic!("expected Runtime, got {polled:?}");
        };
    }
}

#[test]
fn the_future_can_be_sent_to_another_thread() {
    fn assert_send<T: Send>(_: &T) {}
    let (writer, image, latest) = (LayoutWriter::archive("demo.tar"), small("a"), tag("latest"));
    assert_send(&writer.write(&image, Some(&latest)));
    assert_send(&writer.write_all(vec![(&image, Some(&latest))]));
}
