use super::*;

/// A chain of indexes, each of which lists the one below so often; gives the top.
fn chain(shelf: &Shelf, levels: usize, repeated: usize) -> Value {
    let mut document = image_document(&[]);
    for _ in 0..levels {
        let below = shelf.manifest(&document);
        document = index_document(&vec![below; repeated]);
    }
    document
}

#[tokio::test]
async fn an_index_may_be_nested_so_deep_and_no_deeper() {
    for levels in 0..=Image::MAX_DEPTH {
        let shelf = Shelf::default();
        let document = chain(&shelf, levels, 1);
        assert!(shelf.image(&document).await.is_ok(), "{levels} levels");
    }
    for levels in [Image::MAX_DEPTH + 1, 3 * Image::MAX_DEPTH, 3000] {
        let shelf = Shelf::default();
        let document = chain(&shelf, levels, 1);
        let error = shelf.image(&document).await.unwrap_err();
        assert!(
            matches!(error, ImageError::IndexTooLarge),
            "{levels}: {error:?}"
        );
    }
}

#[tokio::test]
async fn an_index_cannot_grow_deeper_by_listing_the_levels_one_by_one() {
    // Every level is loaded near the top first, so that the next one finds it loaded already.
    let shelf = Shelf::default();
    let mut entries = Vec::new();
    let mut document = image_document(&[]);
    for _ in 0..1000 {
        let below = shelf.manifest(&document);
        entries.push(below.clone());
        document = index_document(&[below]);
    }
    let error = shelf.image(&index_document(&entries)).await.unwrap_err();
    assert!(matches!(error, ImageError::IndexTooLarge), "{error:?}");
}

#[tokio::test]
async fn an_index_that_lists_its_children_again_and_again_is_added_at_once() {
    let shelf = Shelf::default();
    let document = chain(&shelf, Image::MAX_DEPTH, 50); // 50^8 ways down
    let image = shelf.image(&document).await.unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let store = MemoryStore::new();
        store.add_image(&name("demo"), Some(&tag("latest")), &image);
        let _ = sender.send(store);
    });
    let store = receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    let answer = get(&OciRegistryService::new(store), "/v2/demo/manifests/latest").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn an_index_of_too_many_manifests_is_refused_before_the_source_was_asked_for_all() {
    let missing = |number: usize| json!({ "mediaType": MANIFEST, "digest": sha256(number.to_be_bytes()), "size": 7 });
    let shelf = Shelf::default();
    let entries: Vec<Value> = (0..Image::MAX_MANIFESTS + 50).map(missing).collect();
    shelf.tag(
        "latest",
        Manifest::parse(index_document(&entries).to_string()).unwrap(),
    );
    let source = shelf.source();
    let error = load(source.clone(), "latest").await.unwrap_err();
    assert!(matches!(error, ImageError::IndexTooLarge), "{error:?}");
    assert!(source.calls().len() <= Image::MAX_MANIFESTS);

    // One that is missing is asked for once, however often it is listed.
    let entries = vec![missing(0); Image::MAX_MANIFESTS + 50];
    shelf.tag(
        "latest",
        Manifest::parse(index_document(&entries).to_string()).unwrap(),
    );
    let image = load(source.clone(), "latest").await.unwrap();
    assert_eq!(image.entries().len(), Image::MAX_MANIFESTS + 50);
    assert_eq!(source.calls().len(), 2);
}

#[tokio::test]
async fn manifests_of_too_many_bytes_are_refused() {
    let padding = " ".repeat(usize::try_from(Image::MAX_MANIFEST_BYTES).unwrap());
    let source = |padding: &str| {
        let bytes = format!("{}{padding}", image_document(&[]));
        let digest = sha256("not checked for a tag");
        let manifest = Manifest::trusted(digest, MediaType::OCI_MANIFEST, bytes);
        Scripted::new().on_manifest(move |_| Ok(manifest.clone().into()))
    };
    let error = load(source(&padding), "latest").await.unwrap_err();
    assert!(matches!(error, ImageError::IndexTooLarge), "{error:?}");
    assert!(load(source("  "), "latest").await.is_ok());
}
