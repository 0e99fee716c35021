use super::*;

type Told = Arc<Mutex<Vec<BlobProgress>>>;

fn listening(writer: LayoutWriter) -> (LayoutWriter, Told) {
    let told = Told::default();
    let hears = told.clone();
    let writer = writer.on_progress(move |progress| hears.lock().unwrap().push(progress));
    (writer, told)
}

fn of(told: &Told, digest: &Digest) -> Vec<(BlobState, u64)> {
    let told = told.lock().unwrap();
    let of_blob = told.iter().filter(|progress| progress.digest == *digest);
    of_blob
        .map(|progress| (progress.state, progress.done))
        .collect()
}

#[tokio::test]
async fn each_blob_is_told_from_its_first_byte_to_its_last() {
    for writer in [
        LayoutWriter::directory as fn(PathBuf) -> LayoutWriter,
        LayoutWriter::archive,
    ] {
        let (_directory, layout) = place("demo");
        let counting = Counting::default();
        let image = counting.load(&two_platforms()).await;
        let (writer, told) = listening(writer(layout));
        writer.write(&image, Some(&tag("latest"))).await.unwrap();
        for child in image.children() {
            for blob in child.config().into_iter().chain(child.layers()) {
                let steps = of(&told, &blob.digest);
                assert_eq!(steps[0], (BlobState::Arriving, 0));
                assert_eq!(steps[steps.len() - 1], (BlobState::Written, blob.size));
                let between = &steps[..steps.len() - 1];
                assert!(
                    between
                        .iter()
                        .all(|(state, _)| *state == BlobState::Arriving)
                );
                assert!(between.is_sorted_by_key(|(_, done)| *done));
                assert_eq!(between[between.len() - 1].1, blob.size);
            }
        }
        let large = &image.children()[0].layers()[0];
        assert!(
            of(&told, &large.digest).len() > 10,
            "one step for each piece"
        );
        let sizes = told.lock().unwrap().iter().map(|told| told.size).max();
        assert_eq!(sizes, Some(700_000));
        // Manifests are no blobs.
        assert_eq!(of(&told, image.digest()), []);

        told.lock().unwrap().clear();
        writer.write(&image, Some(&tag("latest"))).await.unwrap();
        assert_eq!(of(&told, &large.digest), [(BlobState::Present, large.size)]);
    }
}

#[tokio::test]
async fn a_blob_that_is_absent_is_told() {
    for writer in [
        LayoutWriter::directory as fn(PathBuf) -> LayoutWriter,
        LayoutWriter::archive,
    ] {
        let (_directory, layout) = place("demo");
        let absent = Algorithm::Sha256.digest("absent");
        let entry = Descriptor::new(MediaType::OCTET_STREAM, absent, 6);
        let index = IndexBuilder::new().missing(entry).build().unwrap();
        let (writer, told) = listening(writer(layout));
        let written = writer.write(&index, None).await.unwrap();
        assert_eq!(of(&told, &absent), [(BlobState::Absent, 0)]);
        let absent = vec![absent];
        let mut expected = WrittenLayout::default();
        expected.absent = absent;
        assert_eq!(written, expected);
    }
}
