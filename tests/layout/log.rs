use std::{
    fmt::{Debug, Write as _},
    sync::{Mutex, OnceLock},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::*;

/// All that was logged, by any thread and test: tests look for what names their own files.
static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Log;

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        write!(self.0, "{value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string() + " ");
        event.record(&mut line);
        LOG.lock().unwrap().push(line.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn listen() {
    static LISTENING: OnceLock<()> = OnceLock::new();
    LISTENING.get_or_init(|| tracing::subscriber::set_global_default(Log).unwrap());
}

/// What was logged about files below `path`.
fn logged(path: &Path) -> Vec<String> {
    let path = path.to_str().unwrap();
    let log = LOG.lock().unwrap();
    log.iter()
        .filter(|line| line.contains(path))
        .cloned()
        .collect()
}

/// Asks as long as three looks at the disk need.
async fn ask_for_two_seconds(source: &LayoutSource) {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(2) {
        let _ = source.get("latest").await;
        let _ = source.get_blob(&describe("text/plain", b"unknown")).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_failure_to_reload_is_logged_once_and_again_when_it_is_another() {
    listen();
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    layout.list(&image, "latest");
    let source = layout.open().await;
    let index = layout.path.join("index.json");
    fs::write(&index, "{").unwrap();
    ask_for_two_seconds(&source).await;
    let lines = logged(&layout.path);
    assert!(
        matches!(&lines[..], [line] if line.starts_with("ERROR")),
        "{lines:?}"
    );
    fs::remove_file(&index).unwrap();
    ask_for_two_seconds(&source).await;
    assert_eq!(logged(&layout.path).len(), 2);
}

#[tokio::test]
async fn a_manifest_that_the_walk_cannot_read_is_logged_once() {
    listen();
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    layout.list(&image, "latest");
    fs::remove_file(layout.file(&image)).unwrap();
    let source = layout.open().await;
    ask_for_two_seconds(&source).await;
    let lines = logged(&layout.path);
    assert!(
        matches!(&lines[..], [line] if line.starts_with("ERROR")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_is_left_out_of_an_index_or_a_tree_is_warned_of_once() {
    listen();
    let root = tempfile::tempdir().unwrap();
    let mut layout = OnDisk::create(root.path().join("demo"));
    let (image, _) = layout.add_image("layer");
    layout.list(&image, "no/tag");
    layout.list(&json!({"mediaType": MANIFEST}), None);
    OnDisk::create(root.path().join("Upper"));
    let source = LayoutSource::open_tree(root.path()).await.unwrap();
    // A new view that has the same faults.
    layout.list(&image, "latest");
    ask_for_two_seconds(&source).await;
    source.repositories(Page::first(1)).await.unwrap();
    let lines = logged(root.path());
    for fault in ["no/tag", "a descriptor has no digest", "Upper"] {
        let told = lines.iter().filter(|line| line.contains(fault)).count();
        assert_eq!(told, 1, "{fault} in {lines:?}");
    }
    assert!(
        lines.iter().all(|line| line.starts_with("WARN")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn of_many_faults_the_first_are_logged_and_the_others_counted() {
    listen();
    let (_directory, mut layout) = layout();
    for number in 0..500 {
        let mut entry = describe(MANIFEST, number.to_string().as_bytes());
        entry["annotations"] = json!({REF_NAME: "no/tag"});
        layout.entries.push(entry);
    }
    layout.write_index();
    layout.open().await;
    let lines = logged(&layout.path);
    assert_eq!(lines.len(), 11, "{lines:?}");
    assert!(lines[10].contains("490 more"), "{}", lines[10]);
}

#[tokio::test]
async fn a_manifest_that_leads_nowhere_is_warned_of_once_with_the_reason() {
    listen();
    let (_directory, mut layout) = layout();
    let (image, layer) = layout.add_image("layer");
    layout.list(&image, "latest");
    let twice = format!(r#"{{"layers":[{layer}],"layers":[{layer}]}}"#);
    let twice = layout.add(MANIFEST, twice);
    layout.list(&twice, "twice");
    let half = json!({"layers": [{"mediaType": "text/plain"}]});
    let half = layout.add_json(MANIFEST, &half);
    layout.list(&half, "half");
    let source = layout.open().await;
    ask_for_two_seconds(&source).await;
    // A new view that has the same faults.
    layout.list(&image, "again");
    ask_for_two_seconds(&source).await;
    assert!(source.get("twice").await.is_ok());
    let lines = logged(&layout.path);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (manifest, reason) in [(&twice, "duplicate field"), (&half, "no digest")] {
        let file = layout.file(manifest).display().to_string();
        let told = |line: &&String| line.starts_with("WARN") && line.contains(&file);
        let line = lines.iter().find(told).unwrap();
        assert!(line.contains(reason), "{line}");
    }
}

#[tokio::test]
async fn a_broken_fallback_index_is_logged_once_even_beside_other_faults() {
    listen();
    let (_directory, mut layout) = layout();
    let (image, _) = layout.add_image("layer");
    let (missing, _) = layout.add_image("missing");
    layout.list(&image, "latest");
    layout.list(&missing, None);
    let fallback = layout.add_json(INDEX, &json!({"manifests": [image]}));
    let tag = Tag::referrers_of(&digest_of(&image)).to_string();
    layout.list(&fallback, Some(&*tag.leak()));
    for manifest in [&missing, &fallback] {
        fs::remove_file(layout.file(manifest)).unwrap();
    }
    let source = layout.open().await;
    assert!(source.list_referrers(&image).await.is_empty());
    ask_for_two_seconds(&source).await;
    assert!(source.list_referrers(&image).await.is_empty());
    let lines = logged(&layout.path);
    for manifest in [&missing, &fallback] {
        let file = layout.file(manifest).display().to_string();
        let told = lines.iter().filter(|line| line.contains(&file)).count();
        assert_eq!(told, 1, "{lines:?}");
    }
}
