//! No update of a tag is lost.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;
use tokio::sync::Barrier;
use tower_oci::Algorithm;

use super::{Ask, Dice, TASKS, all, for_some_seconds, manifest, setup};
use crate::setup::Registry;

/// How often each task tries to move the tag.
const ATTEMPTS: usize = 20;

const URI: &str = "/v2/c/manifests/counter";
const TYPE: &str = "application/json";

/// The digests that one task sent, by what it was told.
#[derive(Default)]
struct Swaps {
    acknowledged: BTreeSet<String>,
    /// Or dropped, which is the same to the registry.
    refused: BTreeSet<String>,
}

// protocol 91; pitfalls: manifest/tag write races
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tag_that_is_swapped_by_many_counts_every_swap_that_was_acknowledged() {
    for_some_seconds(|seed| async move {
        let registry = setup().registry;
        let first = Ask::new("PUT", URI)
            .header("content-type", TYPE)
            .content("{}");
        let first = first.send(&registry, &mut Dice::new(seed, TASKS)).await;
        let first = first.header("docker-content-digest").to_owned();
        let tasks = (0..TASKS).map(|task| swap(registry.clone(), seed, task));
        let swaps = all(tasks).await;
        let chain = chain(&registry, &first).await;
        check(&registry, &chain, &swaps).await;
    })
    .await;
}

/// Reads what the tag points at, and lets it point at a manifest that names that.
async fn swap(registry: Registry, seed: u64, task: usize) -> Swaps {
    let mut dice = Dice::new(seed, task);
    let mut swaps = Swaps::default();
    for attempt in 0..ATTEMPTS {
        let current = manifest(&registry, "c", "counter").await.unwrap().digest;
        let document = json!({"previous": current, "by": [task, attempt]}).to_string();
        let digest = Algorithm::Sha256.digest(&document).to_string();
        let swap = Ask::new("PUT", URI)
            .header("content-type", TYPE)
            .header("if-match", format!("\"{current}\""))
            .content(document);
        let told = match swap.try_send(&registry, &mut dice).await {
            Some(answer) if answer.status == 201 => &mut swaps.acknowledged,
            Some(answer) => {
                answer.assert_error(412, "DENIED");
                &mut swaps.refused
            }
            None => &mut swaps.refused,
        };
        told.insert(digest);
    }
    swaps
}

/// All that the tag ever pointed at after `first`, as each manifest names the one before.
async fn chain(registry: &Registry, first: &str) -> Vec<String> {
    let mut chain = Vec::new();
    let mut next = manifest(registry, "c", "counter").await.unwrap();
    while next.digest != first {
        chain.push(next.digest);
        let previous = next.json["previous"].as_str().unwrap();
        next = manifest(registry, "c", previous).await.unwrap();
    }
    chain
}

async fn check(registry: &Registry, chain: &[String], swaps: &[Swaps]) {
    let acknowledged = swaps.iter().flat_map(|swaps| &swaps.acknowledged);
    assert_eq!(acknowledged.clone().count(), chain.len());
    let acknowledged: BTreeSet<&String> = acknowledged.collect();
    assert_eq!(acknowledged, chain.iter().collect());
    for digest in swaps.iter().flat_map(|swaps| &swaps.refused) {
        let left = manifest(registry, "c", digest).await;
        assert!(left.is_none(), "a refused swap left {left:?}");
    }
}

/// Each takes a document of its own to a tag that must not exist, or must not move.
// protocol 91
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_tag_that_many_want_to_create_is_created_once() {
    for_some_seconds(|seed| async move {
        let registry = setup().registry;
        let registry = registry.immutable_tags(|_, tag| tag.as_str() == "immutable");
        create(&registry, "new", true, 412, seed).await;
        create(&registry, "immutable", false, 403, seed).await;
    })
    .await;
}

/// One of all tasks succeeds, the others are `refused`.
async fn create(registry: &Registry, tag: &str, is_conditional: bool, refused: u16, seed: u64) {
    let barrier = Arc::new(Barrier::new(TASKS));
    let tasks = (0..TASKS).map(|task| {
        let (registry, barrier) = (registry.clone(), barrier.clone());
        let mut ask = Ask::new("PUT", format!("/v2/c/manifests/{tag}"))
            .header("content-type", "application/json")
            .content(json!({"by": task, "to": tag}).to_string());
        if is_conditional {
            ask = ask.header("if-none-match", "*");
        }
        async move {
            barrier.wait().await;
            let mut dice = Dice::new(seed, task);
            let answer = ask.send(&registry, &mut dice).await;
            let digest = answer.header("docker-content-digest").to_owned();
            (answer.status.as_u16(), digest)
        }
    });
    let answers = all(tasks).await;
    let (created, others): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(status, _)| *status == 201);
    assert_eq!(created.len(), 1, "{created:?} {others:?}");
    assert!(
        others.iter().all(|(status, _)| *status == refused),
        "{others:?}"
    );
    let current = manifest(registry, "c", tag).await.unwrap();
    assert_eq!(current.digest, created[0].1);
}
