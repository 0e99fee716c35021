//! Blobs, manifests and tags that many push, delete and read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock, Mutex},
};

use bytes::Bytes;
use serde_json::{Value, json};
use tower_oci::{Algorithm, Digest};

use super::{Ask, Dice, TASKS, all, for_some_seconds, manifest, setup};
use crate::{
    common::{Answer, ask, get, noise},
    setup::{Registry, Setup, cost_of_empty},
};

mod own;
mod shared;

/// How much each task does.
const ACTIONS: usize = 40;

/// The end of every blob.
static NOISE: LazyLock<Bytes> = LazyLock::new(|| noise(LARGEST));

/// More than is hashed on the threads of the tasks.
const LARGEST: usize = 1_100_000;

const NAMES: [&str; 2] = ["c", "a/b"];

// pitfalls: a client leaves in the middle of a commit and the state is half changed
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_many_write_at_once_is_read_as_it_was_written_and_what_is_dropped_leaves_no_half() {
    for_some_seconds(|seed| async move {
        let setup = setup();
        let pushed = Arc::new(Pushed::default());
        let tasks = (0..TASKS).map(|number| {
            let mut task = Task {
                registry: setup.registry.clone(),
                dice: Dice::new(seed, number),
                pushed: pushed.clone(),
                number,
                blobs: BTreeMap::new(),
                tagged: BTreeMap::new(),
            };
            async move {
                for action in 0..ACTIONS {
                    task.act(action).await;
                }
                task.check_own().await;
            }
        });
        all(tasks).await;
        clear(&setup, &pushed).await;
    })
    .await;
}

/// What is pushed as a blob.
struct Blob {
    content: Bytes,
    digest: Digest,
}

impl Blob {
    /// One that begins with its name, and has so many bytes more.
    fn new(name: &str, size: usize) -> Self {
        let content = Bytes::from([name.as_bytes(), &NOISE[..size]].concat());
        let digest = Algorithm::Sha256.digest(&content);
        Self { content, digest }
    }
}

/// All that any task ever began to push.
#[derive(Default)]
struct Pushed {
    /// The digests that were to stand at each tag.
    tags: Mutex<BTreeMap<(&'static str, &'static str), BTreeSet<String>>>,
    manifests: Mutex<BTreeSet<String>>,
    blobs: Mutex<BTreeSet<String>>,
}

struct Task {
    registry: Registry,
    dice: Dice,
    pushed: Arc<Pushed>,
    number: usize,
    /// Its own blobs by repository and number, and whether they are there. What it did not wait for
    /// it does not know.
    blobs: BTreeMap<(&'static str, usize), Option<bool>>,
    /// The digest that its two tags point at in each repository.
    tagged: BTreeMap<&'static str, String>,
}

impl Task {
    async fn act(&mut self, action: usize) {
        let name = NAMES[self.dice.below(NAMES.len())];
        match self.dice.below(10) {
            0 => self.push_own_blob(name).await,
            1 => self.delete_own_blob(name).await,
            2 => self.move_own_tags(name, action).await,
            3 => self.delete_own_tagged(name).await,
            4 => self.check_own().await,
            5 => self.push_shared_blob(name).await,
            6 => self.delete_shared(name).await,
            7 => self.read_shared_blob(name).await,
            8 => self.push_shared_tag(name, action).await,
            _ => self.read_shared_tags(name).await,
        }
    }

    fn remember_manifest(&self, document: &Value) -> String {
        let digest = Algorithm::Sha256.digest(document.to_string()).to_string();
        self.pushed.manifests.lock().unwrap().insert(digest.clone());
        digest
    }

    fn remember_tag(&self, name: &'static str, tag: &'static str, digest: String) {
        let mut tags = self.pushed.tags.lock().unwrap();
        tags.entry((name, tag)).or_default().insert(digest);
    }

    /// Whether the blob is there. If it is, it is what was pushed.
    async fn read_blob(&mut self, name: &str, blob: &Blob) -> bool {
        let Blob { content, digest } = blob;
        let uri = format!("/v2/{name}/blobs/{digest}");
        let first = self.dice.below(content.len());
        let range = format!("bytes={first}-");
        let answer = ask(&self.registry, "GET", &uri, &[("range", &range)]).await;
        if answer.status == 404 {
            return false;
        }
        assert_eq!(answer.status, 206, "{answer:?}");
        assert!(
            answer.body == content.slice(first..),
            "this was never written: {uri}"
        );
        true
    }
}

/// What a task knows of a request that it sent.
enum Told {
    Done,
    /// It was dropped before it was done.
    Nothing,
    /// It was dropped, perhaps after it was done: a mount is done before its body is read to the end.
    Unknown,
}

impl Told {
    fn by(answer: Option<&Answer>) -> Self {
        let Some(answer) = answer else {
            return Self::Nothing;
        };
        assert_eq!(answer.status, 201, "{answer:?}");
        Self::Done
    }
}

/// All the ways to push a blob.
impl Task {
    async fn push(&mut self, name: &str, blob: &Blob) -> Told {
        let digest = blob.digest;
        self.pushed.blobs.lock().unwrap().insert(digest.to_string());
        let uploads = format!("/v2/{name}/blobs/uploads/");
        let from = NAMES[self.dice.below(NAMES.len())];
        let (uri, content) = match self.dice.below(3) {
            0 => (format!("{uploads}?digest={digest}"), blob.content.clone()),
            1 => (
                format!("{uploads}?mount={digest}&from={from}"),
                Bytes::new(),
            ),
            _ => (uploads, Bytes::new()),
        };
        let is_mount = uri.contains("mount");
        let begin = Ask::new("POST", uri).content(content);
        match begin.try_send(&self.registry, &mut self.dice).await {
            Some(answer) if answer.status == 202 => {
                self.upload(answer.header("location"), blob).await
            }
            None if is_mount => Told::Unknown,
            answer => Told::by(answer.as_ref()),
        }
    }

    /// Fills a session in one request or two. The second begins where the first one ended, if that
    /// was not dropped.
    async fn upload(&mut self, location: &str, blob: &Blob) -> Told {
        let Blob { content, digest } = blob;
        let half = self.dice.below(content.len() / 2) * 2;
        let mut arrived = 0;
        if half > 0 {
            let piece = Ask::new("PATCH", location).content(content.slice(..half));
            let piece = piece.header("content-range", format!("0-{}", half - 1));
            if let Some(answer) = piece.try_send(&self.registry, &mut self.dice).await {
                assert_eq!(answer.status, 202, "{answer:?}");
                arrived = half;
            }
        }
        let status = get(&self.registry, location).await;
        let range = format!("0-{}", arrived.saturating_sub(1));
        assert_eq!(status.header("range"), range, "{status:?}");
        let end = Ask::new("PUT", format!("{location}?digest={digest}"));
        let end = end.content(content.slice(arrived..));
        let answer = end.try_send(&self.registry, &mut self.dice).await;
        Told::by(answer.as_ref())
    }
}

/// Deletes all that was ever pushed: nothing is left of it, nor of any request that was dropped.
async fn clear(setup: &Setup, pushed: &Pushed) {
    let registry = &setup.registry;
    let manifests = std::mem::take(&mut *pushed.manifests.lock().unwrap());
    let blobs = std::mem::take(&mut *pushed.blobs.lock().unwrap());
    let manifests = manifests
        .into_iter()
        .map(|digest| format!("manifests/{digest}"));
    let blobs = blobs.into_iter().map(|digest| format!("blobs/{digest}"));
    for what in manifests.chain(blobs) {
        for name in NAMES {
            ask(registry, "DELETE", &format!("/v2/{name}/{what}"), &[]).await;
        }
    }
    for name in NAMES {
        let answer = get(registry, &format!("/v2/{name}/tags/list")).await;
        assert!(
            answer.status == 404 || answer.json()["tags"] == json!([]),
            "{answer:?}"
        );
    }
    setup.end_sessions().await;
    let catalog = get(registry, "/v2/_catalog").await.json();
    let names: Vec<String> = serde_json::from_value(catalog["repositories"].clone()).unwrap();
    let names = names.iter().map(String::as_str);
    assert_eq!(setup.store.used_bytes(), cost_of_empty(names).await);
}
