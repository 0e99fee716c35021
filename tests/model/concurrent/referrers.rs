//! No entry among the referrers of a subject is lost.

use std::collections::BTreeSet;

use serde_json::json;
use tower_oci::Algorithm;

use super::{Ask, Dice, TASKS, all, for_some_seconds, manifest, setup};
use crate::{
    common::get,
    setup::Registry,
    universe::{IMAGE, INDEX, Named},
};

/// How many referrers each task pushes.
const REFERRERS: usize = 12;

/// The referrers of one task.
#[derive(Default)]
struct Own {
    listed: BTreeSet<String>,
    /// Deleted, or never pushed to the end.
    gone: BTreeSet<String>,
}

// pitfalls: concurrent pushes lose one
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_who_push_and_delete_referrers_of_one_subject_lose_none() {
    for_some_seconds(|seed| async move {
        let registry = setup().registry;
        let tasks = (0..TASKS).map(|task| push_and_delete(registry.clone(), seed, task));
        let all_own = all(tasks).await;
        let listed = referrers(&registry).await;
        let mut expected = BTreeSet::new();
        for own in &all_own {
            expected.extend(own.listed.iter().cloned());
            for digest in &own.gone {
                assert!(manifest(&registry, "c", digest).await.is_none());
            }
        }
        assert_eq!(listed, expected);
    })
    .await;
}

async fn push_and_delete(registry: Registry, seed: u64, task: usize) -> Own {
    let mut dice = Dice::new(seed, task);
    let mut own = Own::default();
    for number in 0..REFERRERS {
        let document = document(task, number);
        let digest = Algorithm::Sha256.digest(&document).to_string();
        let to = match dice.once_in(2) {
            true => digest.clone(),
            false => format!("tag-{}", dice.below(3)),
        };
        let push = Ask::new("PUT", format!("/v2/c/manifests/{to}")).content(document);
        let told = match push.try_send(&registry, &mut dice).await {
            Some(answer) => {
                assert_eq!(answer.status, 201, "{answer:?}");
                assert_eq!(answer.header("oci-subject"), subject());
                &mut own.listed
            }
            None => &mut own.gone,
        };
        told.insert(digest);
        if dice.once_in(3)
            && let Some(digest) = own.listed.pop_first()
        {
            let delete = Ask::new("DELETE", format!("/v2/c/manifests/{digest}"));
            let told = match delete.try_send(&registry, &mut dice).await {
                Some(answer) => {
                    assert_eq!(answer.status, 202, "{answer:?}");
                    &mut own.gone
                }
                None => &mut own.listed,
            };
            told.insert(digest);
        }
        let listed = referrers(&registry).await;
        assert!(listed.is_superset(&own.listed), "{listed:?}");
        assert!(listed.is_disjoint(&own.gone), "{listed:?}");
    }
    own
}

/// The digests of the referrers that are listed, each of which some task may have pushed.
async fn referrers(registry: &Registry) -> BTreeSet<String> {
    let uri = format!("/v2/c/referrers/{}", subject());
    let answer = get(registry, &uri).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    let entries = json["manifests"].as_array().unwrap();
    for entry in entries {
        let numbers = entry["annotations"]["by"].as_str().unwrap();
        let (task, number) = numbers.split_once('-').unwrap();
        let document = document(task.parse().unwrap(), number.parse().unwrap());
        let expected = json!({
            "mediaType": INDEX, "digest": Algorithm::Sha256.digest(&document).to_string(),
            "size": document.len(), "annotations": {"by": numbers},
        });
        assert_eq!(*entry, expected);
    }
    let digests = entries
        .iter()
        .map(|entry| entry["digest"].as_str().unwrap().to_owned());
    let listed: BTreeSet<String> = digests.collect();
    assert_eq!(listed.len(), entries.len(), "one is listed twice");
    listed
}

fn document(task: usize, number: usize) -> String {
    let document = json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [],
        "subject": {"mediaType": IMAGE, "digest": subject(), "size": 1},
        "annotations": {"by": format!("{task}-{number}")},
    });
    document.to_string()
}

/// It need not exist.
fn subject() -> &'static str {
    let number = 0;
    let algorithm = Algorithm::Sha256;
    Named { number, algorithm }.manifest()
}
