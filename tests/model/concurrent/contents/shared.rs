//! What all tasks write: anybody may have deleted it.

use std::sync::LazyLock;

use serde_json::json;

use super::{Ask, Blob, Task, manifest};
use crate::common::get;

/// The tags that all tasks move.
pub(super) const TAGS: [&str; 2] = ["latest", "v1"];

impl Task {
    pub(super) async fn push_shared_blob(&mut self, name: &'static str) {
        let blob = &BLOBS[self.dice.below(2)];
        self.push(name, blob).await;
    }

    pub(super) async fn delete_shared(&mut self, name: &'static str) {
        let digest = BLOBS[self.dice.below(2)].digest;
        let tag = TAGS[self.dice.below(TAGS.len())];
        let what = match self.dice.below(3) {
            0 => format!("blobs/{digest}"),
            1 => format!("manifests/{tag}"),
            _ => match manifest(&self.registry, name, tag).await {
                Some(manifest) => format!("manifests/{}", manifest.digest),
                None => return,
            },
        };
        let delete = Ask::new("DELETE", format!("/v2/{name}/{what}"));
        if let Some(answer) = delete.try_send(&self.registry, &mut self.dice).await {
            assert!(answer.status == 202 || answer.status == 404, "{answer:?}");
        }
    }

    pub(super) async fn read_shared_blob(&mut self, name: &'static str) {
        let blob = &BLOBS[self.dice.below(2)];
        self.read_blob(name, blob).await;
    }

    /// Pushes an image of a shared blob, if that is there.
    pub(super) async fn push_shared_tag(&mut self, name: &'static str, action: usize) {
        let tag = TAGS[self.dice.below(TAGS.len())];
        let layer = BLOBS[self.dice.below(2)].digest.to_string();
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let document = json!({
            "schemaVersion": 2, "mediaType": media_type, "by": [self.number, action],
            "layers": [{"digest": layer, "size": 1}],
        });
        let digest = self.remember_manifest(&document);
        self.remember_tag(name, tag, digest);
        let push = Ask::new("PUT", format!("/v2/{name}/manifests/{tag}"));
        let push = push
            .header("content-type", media_type)
            .content(document.to_string());
        if let Some(answer) = push.try_send(&self.registry, &mut self.dice).await
            && answer.status != 201
        {
            answer.assert_error(400, "MANIFEST_BLOB_UNKNOWN");
        }
    }

    /// Each points at something that somebody pushed to it.
    pub(super) async fn read_shared_tags(&mut self, name: &'static str) {
        for tag in TAGS {
            let Some(manifest) = manifest(&self.registry, name, tag).await else {
                continue;
            };
            let tags = self.pushed.tags.lock().unwrap();
            let pushed = tags.get(&(name, tag));
            assert!(pushed.is_some_and(|pushed| pushed.contains(&manifest.digest)));
        }
        let answer = get(&self.registry, &format!("/v2/{name}/tags/list")).await;
        if answer.status == 200 {
            let tags = answer.json()["tags"].clone();
            let tags: Vec<String> = serde_json::from_value(tags).unwrap();
            assert!(tags.is_sorted());
            assert!(
                tags.iter()
                    .all(|tag| tag.starts_with("own-") || TAGS.contains(&tag.as_str()))
            );
        }
    }
}

/// The blobs of all tasks.
static BLOBS: LazyLock<[Blob; 2]> =
    LazyLock::new(|| [Blob::new("shared a", 0), Blob::new("shared b", 70_000)]);
