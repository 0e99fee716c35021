//! Symbolic links: in a tree of layouts, and in place of a blob's file.

use std::os::unix::fs::symlink;

use super::*;

async fn names(source: &LayoutSource) -> Vec<String> {
    let names = source.repositories(Page::first(1000)).await.unwrap().items;
    names.iter().map(RepositoryName::to_string).collect()
}

async fn serves(source: &LayoutSource, path: &str) -> bool {
    source.tags(&name(path), Page::first(1)).await.is_ok()
}

#[tokio::test]
async fn directories_that_link_to_each_other_are_listed_once_for_each_link() {
    let root = tempfile::tempdir().unwrap();
    let paths: Vec<String> = (0..9).map(|number| format!("d{number}")).collect();
    let mut expected = paths.clone();
    for path in &paths {
        OnDisk::create(root.path().join(path));
        for other in paths.iter().filter(|other| *other != path) {
            let link = format!("{path}/{other}");
            symlink(root.path().join(other), root.path().join(&link)).unwrap();
            expected.push(link);
        }
    }
    expected.sort();
    let started = Instant::now();
    let source = LayoutSource::open_tree(root.path()).await.unwrap();
    // One visit for each order of the directories would take minutes.
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(names(&source).await, expected);
    for name in &expected {
        assert!(serves(&source, name).await, "{name} is listed");
    }
    assert!(serves(&source, "d0/d1/d2/d0").await, "a longer way is one");
}

#[tokio::test]
async fn a_directory_with_several_names_is_listed_with_all_it_holds_under_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let outside = directory.path().join("outside");
    for layout in ["group/one", "group/two/three"] {
        OnDisk::create(root.join(layout));
    }
    OnDisk::create(outside.join("four"));
    // The links come before the directory in every order of the names.
    symlink(root.join("group"), root.join("also")).unwrap();
    symlink(root.join("group/one"), root.join("alias")).unwrap();
    symlink(&outside, root.join("far")).unwrap();
    symlink(&outside, root.join("further")).unwrap();
    symlink(root.join("nowhere"), root.join("broken")).unwrap();
    let source = LayoutSource::open_tree(&root).await.unwrap();
    let expected = ["alias", "far/four", "group/one", "group/two/three"];
    assert_eq!(names(&source).await, expected);
    for served in ["also/one", "also/two/three", "further/four"] {
        assert!(serves(&source, served).await, "{served} is a way to one");
    }
}

#[tokio::test]
async fn a_link_out_of_the_layout_is_followed_only_to_a_file_of_the_same_digest() {
    let (directory, mut layout) = layout();
    let secret = directory.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    let (image, stolen) = layout.add_image("a layer to hide behind");
    let mut other_size = stolen.clone();
    other_size["size"] = json!(6);
    // Two descriptors that disagree, so that the size of the file does not matter.
    let second = layout.add_json(MANIFEST, &layout.image_of(&other_size));
    layout.list(&image, "first");
    layout.list(&second, "second");
    let file = layout.file(&stolen);
    let renamed = directory
        .path()
        .join("shared")
        .join(file.file_name().unwrap());
    fs::create_dir(renamed.parent().unwrap()).unwrap();
    fs::write(&renamed, "secret").unwrap();
    let digest = digest_of(&stolen);
    let source = layout.open().await;
    for target in [&secret, &renamed] {
        fs::remove_file(&file).unwrap();
        symlink(target, &file).unwrap();
        assert_backend(source.get_blob(&stolen).await, &file);
        let stat = source.stat_blob(&name("demo"), &digest).await;
        assert_backend(stat, &file);
    }
}

#[tokio::test]
async fn a_link_to_a_shared_store_of_blobs_is_followed() {
    let (directory, mut layout) = layout();
    let (image, layer) = layout.add_image("shared");
    layout.list(&image, "latest");
    let store = directory.path().join("store/sha256");
    fs::create_dir_all(&store).unwrap();
    for descriptor in [&image, &layer] {
        let file = layout.file(descriptor);
        let stored = store.join(file.file_name().unwrap());
        fs::rename(&file, &stored).unwrap();
        symlink(&stored, &file).unwrap();
    }
    let source = layout.open().await;
    assert!(source.get("latest").await.is_ok());
    assert_eq!(source.get_blob(&layer).await.unwrap(), "shared");
    // A link that leads nowhere is a file that is missing.
    fs::remove_dir_all(&store).unwrap();
    assert_backend(source.get_blob(&layer).await, &layout.file(&layer));
}

#[tokio::test]
async fn the_folders_of_blobs_may_be_links_to_anywhere() {
    for linked in ["blobs", "blobs/sha256"] {
        let (directory, mut layout) = layout();
        let (image, layer) = layout.add_image("layer");
        layout.list(&image, "latest");
        let elsewhere = directory.path().join("elsewhere");
        fs::rename(layout.path.join(linked), &elsewhere).unwrap();
        symlink(&elsewhere, layout.path.join(linked)).unwrap();
        let source = layout.open().await;
        assert!(source.get("latest").await.is_ok());
        assert_eq!(source.get_blob(&layer).await.unwrap(), "layer");
    }
}
