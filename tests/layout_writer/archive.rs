use std::io::Read;

use futures_util::FutureExt;
use tower_oci::LayoutError;

use super::*;

/// Name, size and content of each entry, as the `tar` crate reads them.
fn entries(file: &Path) -> Vec<(String, Vec<u8>)> {
    let mut archive = tar::Archive::new(fs::File::open(file).unwrap());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let header = entry.header();
        assert_eq!(
            (
                header.mtime().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap()
            ),
            (0, 0, 0)
        );
        let mode = if header.entry_type().is_dir() {
            0o755
        } else {
            0o644
        };
        assert_eq!(header.mode().unwrap(), mode);
        let name = String::from_utf8(entry.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (name, content)
    });
    entries.collect()
}

fn names(file: &Path) -> Vec<String> {
    entries(file).into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn an_archive_has_the_files_of_a_layout_in_a_fixed_order_from_1970() {
    let (directory, file) = place("demo.tar");
    let image = two_platforms();
    let writer = LayoutWriter::archive(&file);
    let written = writer.write(&image, Some(&tag("latest"))).await.unwrap();
    assert_eq!((written.blobs, written.present), (6, 0));
    let entries = entries(&file);
    let names: Vec<&str> = entries.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names[..4],
        ["oci-layout", "index.json", "blobs/", "blobs/sha256/"]
    );
    assert!(names[4..].is_sorted());
    assert_eq!(names.len(), 4 + 6 + 3);
    for (name, content) in &entries[4..] {
        let digest = name["blobs/".len()..].replace('/', ":");
        let digest: Digest = digest.parse().unwrap();
        assert!(digest.verifies(content), "{digest}");
    }
    assert_tidy(directory.path());
    let read = read_back(&file, "latest").await;
    assert_eq!(read.manifest(), image.manifest());
}

#[tokio::test]
async fn the_same_content_makes_the_same_bytes() {
    let (directory, _) = place("");
    let (first, second) = (two_platforms(), artifact(&small("subject")));
    let (one, two) = (tag("one"), tag("two"));
    let at_once = directory.path().join("at-once.tar");
    let images = [(&first, Some(&one)), (&second, Some(&two))];
    LayoutWriter::archive(&at_once)
        .write_all(images)
        .await
        .unwrap();
    let by_and_by = directory.path().join("by-and-by.tar");
    let writer = LayoutWriter::archive(&by_and_by);
    let counting = Counting::default();
    writer
        .write(&counting.load(&first).await, Some(&one))
        .await
        .unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    writer.write(&second, Some(&two)).await.unwrap();
    assert!(fs::read(at_once).unwrap() == fs::read(by_and_by).unwrap());
}

#[tokio::test]
async fn adding_keeps_what_the_archive_has_and_asks_for_nothing_of_it() {
    let (directory, file) = place("demo.tar");
    let counting = Counting::default();
    let first = counting.load(&two_platforms()).await;
    let writer = LayoutWriter::archive(&file);
    writer.write(&first, Some(&tag("first"))).await.unwrap();
    counting.asked();
    let second = counting.load(&artifact(&first)).await;
    writer.write(&second, Some(&tag("second"))).await.unwrap();
    // The notes, and the empty configuration.
    assert_eq!(counting.asked().len(), 2);
    let written = writer.write(&first, Some(&tag("third"))).await.unwrap();
    assert_eq!((written.blobs, written.present), (0, 6));
    assert_eq!(counting.asked(), []);
    for (tag, image) in [("first", &first), ("second", &second), ("third", &first)] {
        assert_eq!(read_back(&file, tag).await.digest(), image.digest());
    }
    // Moved, and what it was is still there by its digest.
    writer
        .write(&small("moved"), Some(&tag("second")))
        .await
        .unwrap();
    let second = second.digest().encoded();
    assert!(names(&file).iter().any(|name| name.ends_with(&second)));
    assert_tidy(directory.path());
}

#[tokio::test]
async fn content_of_an_archive_that_is_broken_is_told_and_replaced_on_request() {
    let (directory, file) = place("demo.tar");
    let image = two_platforms();
    let writer = LayoutWriter::archive(&file);
    writer.write(&image, Some(&tag("latest"))).await.unwrap();
    let large = image.children()[0].layers()[0].digest;
    let mut bytes = fs::read(&file).unwrap();
    let noise = noise(700_000);
    let at = bytes
        .windows(1000)
        .position(|window| window == &noise[..1000])
        .unwrap();
    bytes[at + 600_000] ^= 1;
    fs::write(&file, &bytes).unwrap();
    for image in [&image, &small("other")] {
        let failed = writer.write(image, Some(&tag("new"))).await;
        let Err(LayoutWriteError::Broken { path, digest }) = failed else {
            panic!("expected Broken, got {failed:?}");
        };
        assert_eq!((path.file_name(), digest), (file.file_name(), large));
        assert!(fs::read(&file).unwrap() == bytes);
        assert_tidy(directory.path());
    }
    let writer = writer.verify_present(true);
    let written = writer.write(&image, Some(&tag("new"))).await.unwrap();
    assert_eq!((written.blobs, written.bytes), (1, 700_000));
    read_back(&file, "latest").await;
}

#[tokio::test]
async fn content_of_another_size_is_replaced() {
    let (directory, file) = place("demo.tar");
    let layout = directory.path().join("layout");
    let image = small("image");
    LayoutWriter::directory(&layout)
        .write(&image, Some(&tag("old")))
        .await
        .unwrap();
    for blob in [image.digest(), &image.layers()[0].digest] {
        fs::write(layout.join("blobs/sha256").join(blob.encoded()), "wrong").unwrap();
    }
    fs::write(layout.join("notes.txt"), "no part of a layout").unwrap();
    let mut archive = tar::Builder::new(fs::File::create(&file).unwrap());
    archive.append_dir_all("", &layout).unwrap();
    archive.finish().unwrap();
    LayoutWriter::archive(&file)
        .write(&image, Some(&tag("new")))
        .await
        .unwrap();
    read_back(&file, "old").await;
    assert!(!names(&file).contains(&"notes.txt".to_owned()));
}

#[tokio::test]
async fn a_second_writer_is_told_that_the_archive_is_being_written() {
    let (directory, file) = place("demo.tar");
    let counting = Counting::default();
    let image = counting.load(&two_platforms()).await;
    let writer = LayoutWriter::archive(&file);
    let (first, second) = (tag("first"), tag("second"));
    let mut writing = std::pin::pin!(writer.write(&image, Some(&first)));
    while counting.asked().is_empty() {
        assert!(writing.as_mut().now_or_never().is_none());
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    // The first has the lock by now.
    let other = writer.write(&image, Some(&second)).await;
    assert!(matches!(other, Err(LayoutWriteError::Busy(_))), "{other:?}");
    writing.await.unwrap();
    writer.write(&image, Some(&second)).await.unwrap();
    for tag in ["first", "second"] {
        read_back(&file, tag).await;
    }
    assert_tidy(directory.path());
}

#[tokio::test]
async fn the_lock_on_an_archive_is_a_file_beside_it_that_is_locked() {
    let (directory, file) = place("demo.tar");
    let lock = fs::File::create(directory.path().join("demo.tar.lock")).unwrap();
    lock.lock().unwrap();
    let writer = LayoutWriter::archive(&file);
    let failed = writer.write(&small("a"), None).await;
    assert!(
        matches!(failed, Err(LayoutWriteError::Busy(_))),
        "{failed:?}"
    );
    assert!(!file.exists());
    // One that nobody holds any more is in nobody's way.
    lock.unlock().unwrap();
    writer.write(&small("a"), None).await.unwrap();
    assert_tidy(directory.path());
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_an_archive_stays_one() {
    let (directory, link) = place("link.tar");
    let file = directory.path().join("demo.tar");
    LayoutWriter::archive(&file)
        .write(&small("a"), Some(&tag("a")))
        .await
        .unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    LayoutWriter::archive(&link)
        .write(&small("b"), Some(&tag("b")))
        .await
        .unwrap();
    assert!(link.is_symlink());
    for tag in ["a", "b"] {
        read_back(&file, tag).await;
    }
}

#[tokio::test]
async fn who_reads_the_old_archive_reads_on_while_it_is_replaced() {
    let (_directory, file) = place("demo.tar");
    let writer = LayoutWriter::archive(&file);
    let first = two_platforms();
    writer.write(&first, Some(&tag("latest"))).await.unwrap();
    let read = read_back(&file, "latest").await;
    let large = &read.children()[0].layers()[0];
    let Blob::Content(content) = read.children()[0]
        .blob(&large.digest, GetBlob::default())
        .await
        .unwrap()
    else {
        panic!("a layout never redirects");
    };
    writer
        .write(&small("other"), Some(&tag("other")))
        .await
        .unwrap();
    let bytes = content.body.collect().await.unwrap().to_bytes();
    assert!(large.digest.verifies(bytes));
}

#[tokio::test]
async fn an_archive_of_another_version_is_refused() {
    let (directory, file) = place("demo.tar");
    let layout = directory.path().join("layout");
    LayoutWriter::directory(&layout)
        .write(&small("a"), None)
        .await
        .unwrap();
    fs::write(
        layout.join("oci-layout"),
        r#"{"imageLayoutVersion":"2.0.0"}"#,
    )
    .unwrap();
    let mut archive = tar::Builder::new(fs::File::create(&file).unwrap());
    archive.append_dir_all("", &layout).unwrap();
    archive.finish().unwrap();
    let before = fs::read(&file).unwrap();
    let failed = LayoutWriter::archive(&file).write(&small("b"), None).await;
    assert!(matches!(
        failed,
        Err(LayoutWriteError::Layout(LayoutError::Version { .. }))
    ));
    assert!(fs::read(&file).unwrap() == before);
}
