use super::*;

/// A layout with one image in a tree.
fn put(root: &Path, path: &str) -> (OnDisk, Value, Value) {
    let mut layout = OnDisk::create(root.join(path));
    let (image, layer) = layout.add_image(path);
    layout.list(&image, "latest");
    (layout, image, layer)
}

async fn names(source: &LayoutSource) -> Vec<String> {
    let names = source.repositories(Page::first(100)).await.unwrap().items;
    names.iter().map(RepositoryName::to_string).collect()
}

async fn digest_at(source: &LayoutSource, path: &str) -> Result<Digest, SourceError> {
    let latest = Reference::Tag("latest".parse().unwrap());
    let info = source.stat_manifest(&name(path), &latest).await?;
    Ok(info.digest)
}

#[tokio::test]
async fn layouts_in_a_tree_are_repositories_named_by_their_path() {
    let root = tempfile::tempdir().unwrap();
    let paths = ["b", "a/deep/er", "a", "a/v2/manifests"];
    let images = paths.map(|path| digest_of(&put(root.path(), path).1));
    put(root.path(), "Upper/case");
    put(root.path(), "a/blobs/hidden");
    put(root.path(), "blobs/shown");
    fs::create_dir_all(root.path().join("empty/folder")).unwrap();
    let source = LayoutSource::open_tree(root.path()).await.unwrap();
    let expected = ["a", "a/deep/er", "a/v2/manifests", "b", "blobs/shown"];
    assert_eq!(names(&source).await, expected);
    for (path, image) in paths.iter().zip(images) {
        assert_eq!(digest_at(&source, path).await.unwrap(), image);
    }
    for unknown in [
        "a/blobs/hidden",
        "a/blobs/sha256",
        "empty/folder",
        "c",
        "a/b",
    ] {
        assert_missing(
            digest_at(&source, unknown).await,
            MissingContent::Repository,
        );
    }
}

#[tokio::test]
async fn repositories_come_in_pages() {
    let root = tempfile::tempdir().unwrap();
    for path in ["c", "a", "b-1", "b/1"] {
        put(root.path(), path);
    }
    let source = LayoutSource::open_tree(root.path()).await.unwrap();
    let first = source.repositories(Page::first(3)).await.unwrap();
    let last = source.repositories(Page::first(3).after(&first.next)).await;
    let last = last.unwrap();
    assert_eq!(first.items, ["a", "b-1", "b/1"].map(name));
    assert_eq!((last.items, last.next), (vec![name("c")], None));
}

#[tokio::test]
async fn content_of_one_layout_is_not_served_from_another() {
    let root = tempfile::tempdir().unwrap();
    let (_, image, layer) = put(root.path(), "a");
    put(root.path(), "b");
    let source = LayoutSource::open_tree(root.path()).await.unwrap();
    let (b, layer) = (name("b"), digest_of(&layer));
    let blob = source.blob(&b, &layer, GetBlob::default()).await;
    assert_missing(blob, MissingContent::Blob);
    let image = Reference::Digest(digest_of(&image));
    let found = source.manifest(&b, &image, GetManifest::default()).await;
    assert_missing(found, MissingContent::Manifest);
}

#[tokio::test]
async fn layouts_that_come_and_go_are_seen_within_a_second() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "stays");
    let source = LayoutSource::open_tree(root.path()).await.unwrap();
    assert_missing(
        digest_at(&source, "comes").await,
        MissingContent::Repository,
    );
    let (layout, image, _) = put(root.path(), "comes");
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(
        digest_at(&source, "comes").await.unwrap(),
        digest_of(&image)
    );
    assert_eq!(names(&source).await, ["comes", "stays"]);
    fs::remove_dir_all(&layout.path).unwrap();
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_missing(
        digest_at(&source, "comes").await,
        MissingContent::Repository,
    );
    assert_eq!(names(&source).await, ["stays"]);
    let (_, image, _) = put(root.path(), "comes");
    assert_eq!(
        digest_at(&source, "comes").await.unwrap(),
        digest_of(&image)
    );
}

#[tokio::test]
async fn a_layout_that_is_being_written_is_no_repository_yet() {
    let root = tempfile::tempdir().unwrap();
    let source = LayoutSource::open_tree(root.path()).await.unwrap();
    let (layout, image, _) = put(root.path(), "new");
    let index = layout.path.join("index.json");
    fs::remove_file(&index).unwrap();
    assert_missing(digest_at(&source, "new").await, MissingContent::Repository);
    fs::write(&index, "{").unwrap();
    assert_backend(digest_at(&source, "new").await, &index);
    layout.write_index();
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_eq!(digest_at(&source, "new").await.unwrap(), digest_of(&image));
}

#[tokio::test]
async fn without_its_root_a_tree_fails_instead_of_being_empty() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    put(&root, "a");
    let source = LayoutSource::open_tree(&root).await.unwrap();
    fs::rename(&root, directory.path().join("away")).unwrap();
    tokio::time::sleep(Duration::from_millis(1001)).await;
    assert_backend(digest_at(&source, "b").await, &root);
    let listing = source.repositories(Page::first(1)).await;
    assert_backend(listing, &root);
}

#[cfg(unix)]
#[tokio::test]
async fn symbolic_links_are_followed_but_not_in_circles() {
    use std::os::unix::fs::symlink;
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let (_, image, _) = put(directory.path(), "elsewhere");
    put(&root, "a/b");
    symlink(directory.path().join("elsewhere"), root.join("linked")).unwrap();
    symlink(&root, root.join("a/up")).unwrap();
    symlink(root.join("c"), root.join("a/across")).unwrap();
    fs::create_dir(root.join("c")).unwrap();
    symlink(root.join("a"), root.join("c/back")).unwrap();
    let source = LayoutSource::open_tree(&root).await.unwrap();
    assert_eq!(names(&source).await, ["a/b", "linked"]);
    assert!(digest_at(&source, "c/back/b").await.is_ok());
    assert_eq!(
        digest_at(&source, "linked").await.unwrap(),
        digest_of(&image)
    );
}
