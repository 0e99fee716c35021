//! What a task alone writes: it knows what there is after each request.

use std::sync::LazyLock;

use serde_json::json;

use super::{Ask, Blob, LARGEST, NAMES, TASKS, Task, Told, manifest};

impl Task {
    pub(super) async fn push_own_blob(&mut self, name: &'static str) {
        let number = self.own_number();
        let told = self.push(name, &BLOBS[self.number][number]).await;
        let before = self.has_blob(name, number);
        let known = match told {
            Told::Done => Some(true),
            Told::Nothing => before,
            // It is there if it was there before.
            Told::Unknown => before.filter(|was_there| *was_there),
        };
        self.blobs.insert((name, number), known);
    }

    pub(super) async fn delete_own_blob(&mut self, name: &'static str) {
        let number = self.own_number();
        let digest = BLOBS[self.number][number].digest;
        let delete = Ask::new("DELETE", format!("/v2/{name}/blobs/{digest}"));
        let Some(answer) = delete.try_send(&self.registry, &mut self.dice).await else {
            return;
        };
        let was_there = answer.status == 202;
        let known = self.has_blob(name, number);
        assert!(known.is_none_or(|known| known == was_there), "{answer:?}");
        self.blobs.insert((name, number), Some(false));
    }

    /// One of its blobs, rarely the large one.
    fn own_number(&mut self) -> usize {
        if self.dice.once_in(8) {
            2
        } else {
            self.dice.below(2)
        }
    }

    /// Whether the blob is there, if the task knows.
    fn has_blob(&self, name: &'static str, number: usize) -> Option<bool> {
        self.blobs
            .get(&(name, number))
            .copied()
            .unwrap_or(Some(false))
    }

    /// Pushes a manifest by digest with two tags.
    pub(super) async fn move_own_tags(&mut self, name: &'static str, action: usize) {
        let [first, second] = self.own_tags();
        let document = json!({"by": [self.number, action]});
        let digest = self.remember_manifest(&document);
        let query = format!("tag={first}&tag={second}");
        let push = Ask::new("PUT", format!("/v2/{name}/manifests/{digest}?{query}"));
        let push = push.header("content-type", "application/json");
        let push = push.content(document.to_string());
        match push.try_send(&self.registry, &mut self.dice).await {
            Some(answer) => {
                assert_eq!(answer.status, 201, "{answer:?}");
                self.tagged.insert(name, digest);
            }
            None => {
                let left = manifest(&self.registry, name, &digest).await;
                assert!(left.is_none(), "a push that was dropped left {left:?}");
            }
        }
        self.check_own_tags(name).await;
    }

    /// Deletes the manifest that its tags point at, and them with it.
    pub(super) async fn delete_own_tagged(&mut self, name: &'static str) {
        let Some(digest) = self.tagged.get(name).cloned() else {
            return;
        };
        let delete = Ask::new("DELETE", format!("/v2/{name}/manifests/{digest}"));
        if let Some(answer) = delete.try_send(&self.registry, &mut self.dice).await {
            assert_eq!(answer.status, 202, "{answer:?}");
            self.tagged.remove(name);
            let left = manifest(&self.registry, name, &digest).await;
            assert!(left.is_none(), "a manifest that was deleted: {left:?}");
        }
        self.check_own_tags(name).await;
    }

    fn own_tags(&self) -> [String; 2] {
        ["x", "y"].map(|letter| format!("own-{letter}-{}", self.number))
    }

    /// What was acknowledged is there, and what was deleted is not.
    pub(super) async fn check_own(&mut self) {
        for ((name, number), known) in std::mem::take(&mut self.blobs) {
            let blob = &BLOBS[self.number][number];
            let found = self.read_blob(name, blob).await;
            assert!(
                known.is_none_or(|known| known == found),
                "{name} {number}: {known:?}"
            );
            self.blobs.insert((name, number), Some(found));
        }
        for name in NAMES {
            self.check_own_tags(name).await;
        }
    }

    async fn check_own_tags(&self, name: &'static str) {
        let expected = self.tagged.get(name);
        for tag in self.own_tags() {
            let found = manifest(&self.registry, name, &tag).await;
            let found = found.map(|manifest| manifest.digest);
            assert_eq!(found.as_ref(), expected, "{name}:{tag}");
        }
    }
}

/// The blobs of each task. The last one is hashed on another thread.
static BLOBS: LazyLock<Vec<[Blob; 3]>> = LazyLock::new(|| {
    let of_task = |task| {
        [("a", 0), ("b", 9_000), ("c", LARGEST)]
            .map(|(name, size)| Blob::new(&format!("own {task} {name}"), size))
    };
    (0..TASKS).map(of_task).collect()
});
