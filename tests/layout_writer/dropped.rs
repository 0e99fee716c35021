//! A writer that is stopped in the middle, at every point where it can be.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use super::*;

/// Polls `future` so many times at most; nothing if that was not enough.
async fn polled_at_most<T>(times: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let polled = future.as_mut().poll(cx).map(Some);
        if polled.is_pending() && left == 0 {
            return Poll::Ready(None);
        }
        polled
    })
    .await
}

/// What was begun on other threads ends by itself: waits until no part is left.
async fn settled(directory: &Path) {
    for _ in 0..200 {
        let paths = all_paths(directory);
        if !paths
            .iter()
            .any(|path| path.contains(".layout-part-") || path.ends_with(".lock"))
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_tidy(directory);
}

#[tokio::test]
async fn dropped_at_any_poll_a_directory_is_as_it_was_and_finished_blobs_are_not_fetched_twice() {
    let (directory, before) = place("before");
    let old = small("old");
    LayoutWriter::directory(&before)
        .write(&old, Some(&tag("latest")))
        .await
        .unwrap();
    let counting = Counting::default();
    let image = counting.load(&two_platforms()).await;
    let (mut stopped, mut resumed) = (0, BTreeSet::new());
    for polls in 1.. {
        let layout = directory.path().join(format!("after-{polls}"));
        // Every other run begins with a layout that is there.
        if polls % 2 == 0 {
            LayoutWriter::directory(&layout)
                .write(&old, Some(&tag("latest")))
                .await
                .unwrap();
        }
        let writer = LayoutWriter::directory(&layout);
        let latest = tag("latest");
        let written = polled_at_most(polls, writer.write(&image, Some(&latest))).await;
        settled(directory.path()).await;
        let first = counting.asked();
        let finished = if layout.exists() {
            contents(&layout)
        } else {
            BTreeSet::new()
        };
        if layout.join("index.json").exists() {
            let digest = *read_back(&layout, "latest").await.digest();
            assert!([*old.digest(), *image.digest()].contains(&digest));
            assert!(written.is_none() || digest == *image.digest());
        }
        writer.write(&image, Some(&latest)).await.unwrap();
        let second = counting.asked();
        for digest in &second {
            assert!(!finished.contains(digest), "{digest} was fetched twice");
        }
        assert_eq!(
            *read_back(&layout, "latest").await.digest(),
            *image.digest()
        );
        assert_tidy(directory.path());
        resumed.insert(second.len());
        if written.is_some() {
            assert_eq!((first.len(), second.len()), (5, 0));
            break;
        }
        stopped += 1;
    }
    assert!(stopped > 20, "{stopped} points were tried");
    assert!(resumed.len() > 3, "nothing was half done: {resumed:?}");
}

/// Writes as soon as nobody else does: a step of a write that was dropped may be on its way to another
/// thread still, where nothing shows of it, and has the archive to its end.
async fn write_when_free(writer: &LayoutWriter, image: &Image, tag: &tower_oci::Tag) {
    for _ in 0..200 {
        match writer.write(image, Some(tag)).await {
            Err(LayoutWriteError::Busy(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            written => return drop(written.unwrap()),
        }
    }
    panic!("the archive is never free");
}

#[tokio::test]
async fn dropped_at_any_poll_an_archive_is_as_it_was() {
    let (directory, file) = place("demo.tar");
    let old = small("old");
    let counting = Counting::default();
    let image = counting.load(&two_platforms()).await;
    let mut stopped = 0;
    for polls in 1.. {
        let latest = tag("latest");
        let _ = fs::remove_file(&file);
        if polls % 2 == 0 {
            LayoutWriter::archive(&file)
                .write(&old, Some(&latest))
                .await
                .unwrap();
        }
        let writer = LayoutWriter::archive(&file);
        let written = polled_at_most(polls, writer.write(&image, Some(&latest))).await;
        settled(directory.path()).await;
        if file.exists() {
            let digest = *read_back(&file, "latest").await.digest();
            assert!([*old.digest(), *image.digest()].contains(&digest));
        }
        write_when_free(&writer, &image, &latest).await;
        assert_eq!(*read_back(&file, "latest").await.digest(), *image.digest());
        assert_tidy(directory.path());
        if written.is_some() {
            break;
        }
        stopped += 1;
    }
    assert!(stopped > 20, "{stopped} points were tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_to_one_directory_lose_no_entry() {
    let (directory, layout) = place("demo");
    let writers = (0..24).map(|number| {
        let writer = LayoutWriter::directory(&layout);
        tokio::spawn(async move {
            let tagged = tag(&format!("tag-{number}"));
            let image = small(&format!("image {}", number / 2));
            for _ in 0..3 {
                writer.write(&image, Some(&tagged)).await.unwrap();
            }
            artifact(&image)
        })
    });
    let mut artifacts = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        artifacts.push(writer.await.unwrap());
    }
    let source = source_of(&layout).await;
    let tags = source
        .tags(&name("demo"), tower_oci::Page::first(100))
        .await
        .unwrap();
    assert_eq!(tags.items.len(), 24);
    for tag in tags.items {
        read_back(&layout, tag.as_str()).await;
    }
    assert_tidy(directory.path());
}
