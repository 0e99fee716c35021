//! Small files stay open between requests, and are never served as they were.

use std::{
    os::unix::fs::symlink,
    pin::pin,
    task::{Context, Poll, Waker},
};

use super::*;

/// Until then a manifest's file could change without a trace, and its bytes are not kept.
const SETTLED: Duration = Duration::from_millis(2100);

/// A layout with one image, whose files have settled, and a source of it.
struct Served {
    directory: TempDir,
    layout: OnDisk,
    image: Value,
    layer: Value,
    source: LayoutSource,
}

impl Served {
    async fn with_layer(layer: impl AsRef<[u8]>) -> Self {
        let (directory, mut layout) = layout();
        let (image, layer) = layout.add_image(layer);
        layout.list(&image, "latest");
        let source = layout.open().await;
        tokio::time::sleep(SETTLED).await;
        Self {
            directory,
            layout,
            image,
            layer,
            source,
        }
    }

    fn layer_file(&self) -> PathBuf {
        self.layout.file(&self.layer)
    }

    fn image_file(&self) -> PathBuf {
        self.layout.file(&self.image)
    }
}

async fn stat(source: &LayoutSource) -> Result<u64, SourceError> {
    let latest = "latest".parse().unwrap();
    let info = source.stat_manifest(&name("demo"), &latest).await?;
    Ok(info.size)
}

async fn stat_blob(source: &LayoutSource, descriptor: &Value) -> Result<u64, SourceError> {
    let digest = digest_of(descriptor);
    let info = source.stat_blob(&name("demo"), &digest).await?;
    Ok(info.size)
}

/// The answer, if it waits for no other thread, or that is done already.
fn at_once<F: Future>(answer: F) -> Option<F::Output> {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(answer).poll(&mut context) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

/// The answer that requests find at hand, because the same was asked a moment ago.
async fn at_hand<T, F: Future<Output = T>>(ask: impl Fn() -> F) -> T {
    // A machine that is busy may let the moment pass.
    for _ in 0..50 {
        ask().await;
        // Another thread may be as fast, but not always.
        let answers: Option<Vec<T>> = (0..10).map(|_| at_once(ask())).collect();
        if let Some(mut answers) = answers {
            return answers.remove(9);
        }
    }
    panic!("answers waited for another thread");
}

/// A change of a manifest's file that leaves no right manifest there.
type Change = fn(&Path, &[u8]);

const CHANGES: [Change; 5] = [
    |file, _| fs::remove_file(file).unwrap(),
    |file, _| fs::rename(file, file.with_extension("away")).unwrap(),
    |file, right| {
        let new = file.with_extension("new");
        fs::write(&new, vec![b' '; right.len()]).unwrap();
        fs::rename(new, file).unwrap();
    },
    |file, right| {
        let file = fs::File::options().write(true).open(file).unwrap();
        file.set_len(right.len() as u64 / 2).unwrap();
    },
    |file, right| fs::write(file, vec![b' '; right.len()]).unwrap(),
];

#[tokio::test]
async fn requests_for_a_small_blob_or_a_manifest_share_one_open_file() {
    let content = bytes(1 << 20);
    let served = Served::with_layer(&content).await;
    let (source, layer_file) = (&served.source, served.layer_file());
    for _ in 0..100 {
        source.get("latest").await.unwrap();
        assert_eq!(open_files(&served.image_file()), 1);
        let range = ByteRange::FromTo(1000, 1999);
        let part = source.get_range(&served.layer, range).await.unwrap();
        let read = part.body.collect().await.unwrap().to_bytes();
        assert!(read == content[1000..2000]);
        assert_eq!(open_files(&layer_file), 1);
    }
    let (began, mut parts) = (Instant::now(), Vec::new());
    for _ in 0..50 {
        let part = source.get_range(&served.layer, ByteRange::From(0)).await;
        parts.push(part.unwrap());
    }
    let open = open_files(&layer_file) as u128;
    // Its path is looked at again every half second, and then it is opened again.
    let most = 2 + began.elapsed().as_millis() / 500;
    assert!((1..=most).contains(&open), "{open} files for 50 bodies");
}

#[tokio::test]
async fn what_was_served_a_moment_ago_is_served_again_without_another_thread() {
    let served = Served::with_layer("layer").await;
    let (source, layer) = (&served.source, &served.layer);
    let right = fs::read(served.image_file()).unwrap();
    let manifest = at_hand(|| source.get("latest")).await.unwrap();
    assert_eq!(*manifest.bytes(), right);
    let size = at_hand(|| stat(source)).await;
    assert_eq!(size.unwrap(), right.len() as u64);
    let blob = at_hand(|| source.get_blob(layer)).await;
    assert_eq!(blob.unwrap(), "layer");
    assert_eq!(at_once(stat_blob(source, layer)).unwrap().unwrap(), 5);
}

#[tokio::test]
async fn a_manifest_above_64_kib_is_read_for_each_request() {
    let (_directory, mut layout) = layout();
    let layer = layout.add("text/plain", "layer");
    let mut image = layout.image_of(&layer);
    image["annotations"] = json!({"padding": "x".repeat(64 << 10)});
    let image = layout.add_json(MANIFEST, &image);
    layout.list(&image, "latest");
    let source = layout.open().await;
    tokio::time::sleep(SETTLED).await;
    let mut waited = 0;
    for _ in 0..20 {
        let manifest = source.get("latest").await.unwrap();
        assert_eq!(*manifest.digest(), digest_of(&image));
        assert_eq!(stat(&source).await.unwrap(), image["size"]);
        waited += usize::from(at_once(source.get("latest")).is_none());
    }
    assert!(waited > 5, "{waited} of 20 requests waited for the file");
    fs::remove_file(layout.file(&image)).unwrap();
    assert_backend(stat(&source).await, &layout.file(&image));
}

/// A layout whose source has as many files open as it ever has.
async fn crowded() -> (TempDir, OnDisk, Vec<Value>, LayoutSource) {
    let (directory, mut layout) = layout();
    let layers = (0..300).map(|number| layout.add("text/plain", format!("layer {number}")));
    let layers: Vec<Value> = layers.collect();
    let image = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": layers});
    let image = layout.add_json(MANIFEST, &image);
    layout.list(&image, "latest");
    let source = layout.open().await;
    tokio::time::sleep(SETTLED).await;
    // Verified, so that a later look at the file is enough.
    stat(&source).await.unwrap();
    let mut most = 0;
    for (number, layer) in layers.iter().enumerate() {
        let read = source.get_blob(layer).await.unwrap();
        assert_eq!(read, format!("layer {number}"));
        if number % 10 == 9 {
            most = most.max(open_files(&layout.path));
        }
    }
    // Fewer only if that took long.
    assert!((100..=256).contains(&most), "{most} files are open");
    (directory, layout, layers, source)
}

async fn only_one_stays_open<F: Future>(layout: &OnDisk, ask: impl Fn() -> F) {
    let began = Instant::now();
    while open_files(&layout.path) > 1 {
        let open = open_files(&layout.path);
        let waited = began.elapsed();
        assert!(waited < Duration::from_secs(10), "{open} files stay open");
        tokio::time::sleep(Duration::from_millis(100)).await;
        ask().await;
    }
}

#[tokio::test]
async fn at_most_256_files_stay_open_and_those_that_nobody_asks_for_are_closed() {
    let (_directory, layout, layers, source) = crowded().await;
    only_one_stays_open(&layout, || source.get_blob(&layers[299])).await;
    assert_eq!(source.get_blob(&layers[0]).await.unwrap(), "layer 0");
}

#[tokio::test]
async fn heads_of_a_manifest_close_the_files_that_nobody_asks_for() {
    let (_directory, layout, _, source) = crowded().await;
    only_one_stays_open(&layout, || stat(&source)).await;
    assert!(at_hand(|| stat(&source)).await.is_ok());
}

#[tokio::test]
async fn a_blob_that_was_served_a_moment_ago_is_served_as_its_file_is_now() {
    let (right, other) = ("a layer", "another");
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image(right);
    layout.list(&image, "latest");
    let source = layout.open().await;
    let file = layout.file(&layer);
    for change in CHANGES {
        let kept = at_hand(|| source.get_blob(&layer)).await;
        assert_eq!(kept.unwrap(), right);
        assert_eq!(open_files(&file), 1);
        change(&file, right.as_bytes());
        let now = fs::read(&file).ok().filter(|now| now.len() == right.len());
        match now {
            Some(now) => assert_eq!(source.get_blob(&layer).await.unwrap(), now),
            None => {
                assert_backend(stat_blob(&source, &layer).await, &file);
                assert_backend(source.get_blob(&layer).await, &file);
            }
        }
        fs::write(&file, other).unwrap();
        assert_eq!(source.get_blob(&layer).await.unwrap(), other);
        fs::write(&file, right).unwrap();
    }
}

async fn is_not_served_after(change: Change) {
    let served = Served::with_layer("layer").await;
    let (source, file) = (&served.source, served.image_file());
    let right = fs::read(&file).unwrap();
    let kept = at_hand(|| source.get("latest")).await.unwrap();
    assert_eq!(*kept.bytes(), right);
    assert_eq!(open_files(&file), 1);
    change(&file, &right);
    assert_backend(stat(source).await, &file);
    assert_backend(source.get("latest").await, &file);
    fs::write(&file, &right).unwrap();
    assert_eq!(stat(source).await.unwrap(), right.len() as u64);
    assert_eq!(*source.get("latest").await.unwrap().bytes(), right);
}

#[tokio::test]
async fn a_manifest_that_was_served_a_moment_ago_is_not_once_its_file_has_changed() {
    let [deleted, moved, replaced, cut, overwritten] = CHANGES.map(is_not_served_after);
    tokio::join!(deleted, moved, replaced, cut, overwritten);
}

#[tokio::test]
async fn what_a_link_leads_to_does_not_stay_open_and_is_gone_with_the_link() {
    let (directory, mut layout) = layout();
    let (image, layer) = layout.add_image("linked");
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
    tokio::time::sleep(SETTLED).await;
    for _ in 0..10 {
        assert!(stat(&source).await.is_ok());
        assert!(source.get("latest").await.is_ok());
        assert_eq!(source.get_blob(&layer).await.unwrap(), "linked");
        assert_eq!(open_files(&store), 0);
    }
    fs::remove_file(layout.file(&layer)).unwrap();
    assert_backend(source.get_blob(&layer).await, &layout.file(&layer));
    fs::remove_file(layout.file(&image)).unwrap();
    assert_backend(stat(&source).await, &layout.file(&image));
    assert_backend(source.get("latest").await, &layout.file(&image));
}

async fn is_not_served_from_where_it_was_moved(served: &Served, source: &LayoutSource) {
    let layer = &served.layer;
    at_hand(|| source.get("latest")).await.unwrap();
    at_hand(|| source.get_blob(layer)).await.unwrap();
    let away = served.directory.path().join("away");
    fs::rename(&served.layout.path, &away).unwrap();
    let moved = Instant::now();
    loop {
        let asked = moved.elapsed();
        let manifest = (
            source.get("latest").await.is_ok(),
            stat(source).await.is_ok(),
        );
        let blob = source.get_blob(layer).await.is_ok();
        let blob = (blob, stat_blob(source, layer).await.is_ok());
        if (manifest, blob) == ((false, false), (false, false)) {
            break;
        }
        let served = format!("served after {asked:?}: {manifest:?}, {blob:?}");
        assert!(asked < Duration::from_secs(1), "{served}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    fs::rename(&away, &served.layout.path).unwrap();
    source.sees("latest", &served.image).await;
}

#[tokio::test]
async fn a_layout_that_is_moved_away_is_not_served_from_open_files_for_a_second() {
    let served = Served::with_layer("layer").await;
    is_not_served_from_where_it_was_moved(&served, &served.source).await;
    let tree = LayoutSource::open_tree(served.directory.path()).await;
    is_not_served_from_where_it_was_moved(&served, &tree.unwrap()).await;
}

async fn is_right_until_it_is_deleted(with_gets: bool) {
    let served = Served::with_layer("layer").await;
    let (source, file) = (&served.source, served.image_file());
    let right = fs::read(&file).unwrap();
    let (began, mut late, mut late_at_once) = (Instant::now(), 0, 0);
    while began.elapsed() < Duration::from_millis(1200) {
        assert_eq!(stat(source).await.unwrap(), right.len() as u64);
        if with_gets {
            assert_eq!(*source.get("latest").await.unwrap().bytes(), right);
        }
        // After its path was looked at again, if that goes on to keep it.
        if began.elapsed() > Duration::from_millis(700) {
            late += 1;
            late_at_once += usize::from(at_once(stat(source)).is_some());
        }
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    assert!(late_at_once > late / 2, "{late_at_once} of {late} at once");
    fs::remove_file(&file).unwrap();
    assert_backend(stat(source).await, &file);
    assert_backend(source.get("latest").await, &file);
}

#[tokio::test]
async fn heads_of_a_manifest_are_at_hand_and_right_for_as_long_as_its_file_is_there() {
    tokio::join!(
        is_right_until_it_is_deleted(false),
        is_right_until_it_is_deleted(true)
    );
}

#[tokio::test]
async fn readers_of_one_open_file_at_different_places_do_not_disturb_each_other() {
    let (_directory, mut layout) = layout();
    let content = bytes(1_000_000);
    let (image, layer) = layout.add_image(&content);
    layout.list(&image, "latest");
    let source = layout.open().await;
    let (began, mut readers) = (Instant::now(), Vec::new());
    for number in 0..16_usize {
        let first = number * 50_001;
        let range = ByteRange::FromTo(first as u64, first as u64 + 199_999);
        let part = source.get_range(&layer, range).await.unwrap();
        readers.push((first, part.body, Vec::new()));
    }
    let open = open_files(&layout.file(&layer)) as u128;
    let most = 1 + began.elapsed().as_millis() / 500;
    assert!((1..=most).contains(&open), "{open} files for 16 readers");
    let mut are_reading = true;
    while are_reading {
        are_reading = false;
        for (_, body, read) in &mut readers {
            if let Some(frame) = body.frame().await {
                read.extend_from_slice(&frame.unwrap().into_data().unwrap());
                are_reading = true;
            }
        }
    }
    for (first, _, read) in readers {
        assert!(read == content[first..first + 200_000], "at {first}");
    }
}
