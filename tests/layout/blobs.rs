use http_body::Body as _;

use super::*;

#[tokio::test]
async fn a_missing_or_wrong_blob_fails_alone() {
    let (_directory, mut layout) = layout();
    let (good, good_layer) = layout.add_image("good");
    let (second, missing) = layout.add_image("missing");
    let (third, short) = layout.add_image("shortened");
    for image in [&good, &second, &third] {
        layout.list(image, None);
    }
    fs::remove_file(layout.file(&missing)).unwrap();
    fs::write(layout.file(&short), "short").unwrap();
    let source = layout.open().await;
    for blob in [&missing, &short] {
        assert_backend(source.get_blob(blob).await, &layout.file(blob));
        let stat = source.stat_blob(&name("demo"), &digest_of(blob)).await;
        assert_backend(stat, &layout.file(blob));
    }
    assert_eq!(source.get_blob(&good_layer).await.unwrap(), "good");
}

#[tokio::test]
async fn where_descriptors_disagree_on_a_size_the_file_is_trusted() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("layer");
    let mut wrong = layer.clone();
    wrong["size"] = json!(99);
    let second = layout.add_json(MANIFEST, &layout.image_of(&wrong));
    layout.list(&image, "first");
    layout.list(&second, "second");
    let source = layout.open().await;
    assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
}

#[tokio::test]
async fn layers_with_urls_and_entries_of_an_index_may_be_absent() {
    let (_directory, mut layout) = layout();
    let (present, layer) = layout.add_image("present");
    let absent = describe(MANIFEST, b"absent");
    let index = json!({"schemaVersion": 2, "manifests": [present, absent]});
    let index = layout.add_json(INDEX, &index);
    layout.list(&index, "sparse");
    let mut foreign = describe(
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        b"far",
    );
    foreign["urls"] = json!(["https://example.com/far"]);
    let windows = layout.add_json(MANIFEST, &layout.image_of(&foreign));
    layout.list(&windows, "windows");
    let source = layout.open().await;
    assert_missing(source.get_blob(&foreign).await, MissingContent::Blob);
    let found = source.get(absent["digest"].as_str().unwrap()).await;
    assert_missing(found, MissingContent::Manifest);
    assert_eq!(source.get_blob(&layer).await.unwrap(), "present");
}

#[tokio::test]
async fn a_layer_that_only_some_images_have_urls_for_may_not_be_absent() {
    let (_directory, mut layout) = layout();
    for (layer, tag, foreign_first) in [(&b"a"[..], "a", true), (b"b", "b", false)] {
        let own = describe("application/vnd.oci.image.layer.v1.tar", layer);
        let mut foreign = own.clone();
        foreign["urls"] = json!(["https://example.com/far"]);
        let mut images = [&own, &foreign].map(|layer| {
            let image = layout.image_of(layer);
            layout.add_json(MANIFEST, &image)
        });
        if foreign_first {
            images.reverse();
        }
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": images});
        let index = layout.add_json(INDEX, &index);
        layout.list(&index, tag);
    }
    let source = layout.open().await;
    for layer in [b"a", b"b"] {
        let layer = describe("application/vnd.oci.image.layer.v1.tar", layer);
        assert_backend(source.get_blob(&layer).await, &layout.file(&layer));
    }
}

#[tokio::test]
async fn ranges_are_read_from_their_place() {
    let (_directory, mut layout) = layout();
    let content = bytes(200_001);
    let (image, layer) = layout.add_image(&content);
    layout.list(&image, "latest");
    let source = layout.open().await;
    for (range, expected) in [
        (ByteRange::From(0), 0..200_001),
        (ByteRange::From(199_999), 199_999..200_001),
        (ByteRange::FromTo(0, 0), 0..1),
        (ByteRange::FromTo(1, 65_536), 1..65_537),
        (ByteRange::FromTo(70_000, 999_999), 70_000..200_001),
        (ByteRange::Suffix(5), 199_996..200_001),
        (ByteRange::Suffix(999_999), 0..200_001),
    ] {
        let part = source.get_range(&layer, range).await.unwrap();
        assert_eq!(part.info.size, 200_001);
        assert_eq!(part.range, expected.start as u64..expected.end as u64);
        assert_eq!(part.body.size_hint().exact(), Some(expected.len() as u64));
        let read = part.body.collect().await.unwrap().to_bytes();
        assert!(read == content[expected.clone()], "{expected:?} differs");
    }
    let past = source.get_range(&layer, ByteRange::From(200_001)).await;
    let Err(SourceError::RangeNotSatisfiable { size: 200_001 }) = past else {
        panic!("expected RangeNotSatisfiable, got {past:?}");
    };
}

#[tokio::test]
async fn blobs_of_every_length_stream_byte_for_byte_in_bounded_pieces() {
    let (_directory, mut layout) = layout();
    let source = {
        let (image, _) = layout.add_image("first");
        layout.list(&image, "latest");
        layout.open().await
    };
    let lengths = [
        0, 1, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 98_303, 98_304, 98_305, 131_072,
        131_073, 3_000_000,
    ];
    let contents = lengths.map(bytes);
    let layers = contents
        .each_ref()
        .map(|content| layout.add("application/octet-stream", content));
    let image = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": layers});
    let image = layout.add_json(MANIFEST, &image);
    layout.list(&image, "lengths");
    source.sees("lengths", &image).await;
    for (content, layer) in contents.iter().zip(&layers) {
        let mut part = source.get_range(layer, ByteRange::From(0)).await;
        if content.is_empty() {
            let options = GetBlob::default();
            let blob = source.blob(&name("demo"), &digest_of(layer), options).await;
            let Ok(Blob::Content(whole)) = blob else {
                panic!("an empty blob is a blob: {blob:?}");
            };
            part = Ok(whole);
        }
        let mut body = part.unwrap().body;
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!((1..=98_304).contains(&piece.len()));
            read.extend_from_slice(&piece);
            let left = (content.len() - read.len()) as u64;
            assert_eq!(body.size_hint().exact(), Some(left));
            assert_eq!(body.is_end_stream(), left == 0);
        }
        assert!(read == *content, "{} bytes differ", content.len());
        assert!(body.frame().await.is_none(), "the end is the end");
    }
}

#[tokio::test]
async fn a_blob_that_is_cut_while_it_streams_ends_with_an_error() {
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image(bytes(1_000_000));
    layout.list(&image, "latest");
    let source = layout.open().await;
    let mut part = source.get_range(&layer, ByteRange::From(0)).await.unwrap();
    let file = fs::File::options().write(true).open(layout.file(&layer));
    file.unwrap().set_len(500_000).unwrap();
    let error = loop {
        match part.body.frame().await.expect("the end must be an error") {
            Ok(_) => {}
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains(layer["digest"].as_str().unwrap()), "{error}");
    assert!(!error.contains(layout.path.to_str().unwrap()), "{error}");
    assert!(part.body.frame().await.is_none());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_body_that_is_dropped_lets_go_of_its_file() {
    let (_directory, mut layout) = layout();
    // The smallest that does not stay open for others.
    let (image, layer) = layout.add_image(bytes((1 << 20) + 1));
    layout.list(&image, "latest");
    let source = layout.open().await;
    let mut bodies = Vec::new();
    for _ in 0..20 {
        let mut part = source.get_range(&layer, ByteRange::From(0)).await.unwrap();
        part.body.frame().await.unwrap().unwrap();
        bodies.push(part.body);
    }
    let file = layout.file(&layer);
    assert_eq!(open_files(&file), 20);
    drop(bodies);
    let started = Instant::now();
    while open_files(&file) > 0 {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "files stay open"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_fifo_or_a_directory_is_an_error_and_never_waits() {
    let (_directory, mut layout) = layout();
    let (first, fifo) = layout.add_image("fifo");
    let (second, directory) = layout.add_image("directory");
    let (third, linked) = layout.add_image("linked");
    for image in [&first, &second, &third] {
        layout.list(image, None);
    }
    for blob in [&fifo, &directory] {
        fs::remove_file(layout.file(blob)).unwrap();
    }
    let made = std::process::Command::new("mkfifo")
        .arg(layout.file(&fifo))
        .status();
    assert!(made.unwrap().success());
    fs::create_dir(layout.file(&directory)).unwrap();
    let file = layout.file(&linked);
    let elsewhere = layout.path.join("sha256").join(file.file_name().unwrap());
    fs::create_dir(layout.path.join("sha256")).unwrap();
    fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, file).unwrap();
    let source = layout.open().await;
    for blob in [&fifo, &directory] {
        let read = tokio::time::timeout(Duration::from_secs(5), source.get_blob(blob));
        assert_backend(read.await.unwrap(), &layout.file(blob));
    }
    assert_eq!(source.get_blob(&linked).await.unwrap(), "linked");
}

#[tokio::test]
async fn many_requests_at_once_and_dropped_ones_all_get_the_walk() {
    let (_directory, mut layout) = layout();
    let mut layers = Vec::new();
    for number in 0..50 {
        let (image, layer) = layout.add_image(format!("layer {number}"));
        layout.list(&image, None);
        layers.push(layer);
    }
    let source = layout.open().await;
    // Begins the walk, and leaves.
    let mut first = Box::pin(source.get_blob(&layers[0]));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    drop(first);
    let tasks = layers.clone().into_iter().map(|layer| {
        let source = source.clone();
        tokio::spawn(async move { source.get_blob(&layer).await.unwrap() })
    });
    let tasks: Vec<_> = tasks.collect();
    for (number, task) in tasks.into_iter().enumerate() {
        assert_eq!(task.await.unwrap(), format!("layer {number}"));
    }
}
