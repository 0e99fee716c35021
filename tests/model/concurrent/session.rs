//! Several requests for one upload session.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
};

use bytes::Bytes;
use tokio::sync::Barrier;
use tower_oci::{Algorithm, Digest};

use super::{Ask, Dice, TASKS, all, for_some_seconds, setup};
use crate::{
    common::{Answer, ask, get, noise, start},
    setup::{Registry, Setup, cost_of_empty},
};

/// How many pieces each task sends.
const PIECES: usize = 16;

/// What one task sent, by what it was told.
#[derive(Debug, Default)]
struct Pieces {
    /// By the offset that each was acknowledged at.
    acknowledged: BTreeMap<usize, Bytes>,
    /// The offsets of the session that the task was told.
    seen: Vec<usize>,
}

// protocol 27, 28, 80 and 81
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_session_that_many_append_to_is_what_was_acknowledged_in_that_order() {
    for_some_seconds(|seed| async move {
        let setup = setup();
        let registry = &setup.registry;
        let location = start(registry, "c").await;
        let tasks = (0..TASKS).map(|task| append(registry.clone(), location.clone(), seed, task));
        let sent = all(tasks).await;

        let total = offset(&get(registry, &location).await);
        let content = put_together(sent, total);
        let wrong = Algorithm::Sha256.digest("of something else");
        let mut dice = Dice::new(seed, TASKS);
        let answer = finish(&location, &wrong).send(registry, &mut dice).await;
        answer.assert_error(400, "DIGEST_INVALID");
        assert_eq!(offset(&get(registry, &location).await), total);
        let digest = Algorithm::Sha256.digest(&content);
        let answer = finish(&location, &digest).send(registry, &mut dice).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        check_blob(&setup, &content).await;
    })
    .await;
}

async fn append(registry: Registry, location: String, seed: u64, task: usize) -> Pieces {
    let mut dice = Dice::new(seed, task);
    let mut sent = Pieces::default();
    for number in 0..PIECES {
        // It can be told from all others, and has at least two bytes: `0-0` is nothing.
        let piece = [task, number]
            .map(|number| u8::try_from(number).unwrap())
            .repeat(1 + dice.below(3_000));
        let piece = Bytes::from(piece);
        let ask = Ask::new("PATCH", &location).content(piece.clone());
        let at = offset(&get(&registry, &location).await);
        sent.seen.push(at);
        let (at, ask) = match dice.once_in(3) {
            true => (None, ask),
            false => {
                let range = format!("{at}-{}", at + piece.len() - 1);
                (Some(at), ask.header("content-range", range))
            }
        };
        if let Some(answer) = ask.try_send(&registry, &mut dice).await {
            sent.told(at, piece, &answer);
        }
    }
    sent
}

impl Pieces {
    /// The answer to `piece`, which was for this offset if it was for any.
    fn told(&mut self, at: Option<usize>, piece: Bytes, answer: &Answer) {
        match answer.status.as_u16() {
            202 => {
                let end = offset(answer);
                let begin = end - piece.len();
                assert!(at.is_none_or(|at| at == begin), "{at:?}: {answer:?}");
                self.acknowledged.insert(begin, piece);
                self.seen.push(end);
            }
            409 => answer.assert_error(409, "BLOB_UPLOAD_INVALID"),
            _ => {
                assert!(at.is_some(), "{answer:?}");
                answer.assert_error(416, "BLOB_UPLOAD_INVALID");
                self.seen.push(offset(answer));
            }
        }
    }
}

/// The offset that an answer tells.
fn offset(answer: &Answer) -> usize {
    let last = answer.header("range").strip_prefix("0-");
    let last: usize = last
        .unwrap_or_else(|| panic!("{answer:?}"))
        .parse()
        .unwrap();
    if last == 0 { 0 } else { last + 1 }
}

/// The content of a session of `total` bytes: what was acknowledged, and nothing else.
fn put_together(sent: Vec<Pieces>, total: usize) -> Bytes {
    let mut acknowledged = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for pieces in sent {
        let went_back = !pieces.seen.is_sorted();
        assert!(!went_back, "the offset went back: {:?}", pieces.seen);
        seen.extend(pieces.seen);
        for (begin, piece) in pieces.acknowledged {
            let other = acknowledged.insert(begin, piece);
            assert!(other.is_none(), "two pieces were acknowledged at {begin}");
        }
    }
    let mut content = Vec::new();
    for (begin, piece) in &acknowledged {
        assert_eq!(*begin, content.len(), "the offset moved by other bytes");
        content.extend_from_slice(piece);
    }
    assert_eq!(content.len(), total, "the offset moved by other bytes");
    let is_offset = |at: &usize| *at == total || acknowledged.contains_key(at);
    assert!(seen.iter().all(is_offset), "{seen:?} {acknowledged:?}");
    content.into()
}

fn finish(location: &str, digest: &Digest) -> Ask {
    Ask::new("PUT", format!("{location}?digest={digest}"))
}

/// The blob is there, and when it is deleted nothing is left of its upload.
async fn check_blob(setup: &Setup, content: &Bytes) {
    let digest = Algorithm::Sha256.digest(content);
    let uri = format!("/v2/c/blobs/{digest}");
    let answer = get(&setup.registry, &uri).await;
    assert!(
        answer.status == 200 && answer.body == content,
        "{}",
        answer.status
    );
    assert_eq!(ask(&setup.registry, "DELETE", &uri, &[]).await.status, 202);
    assert_eq!(setup.store.used_bytes(), cost_of_empty(["c"]).await);
}

/// A client that saw no answer sends the end again while the first request still runs. The newer one
/// takes the session over, or finds it committed with this digest.
// protocol 24 and 81
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_end_of_an_upload_that_many_send_at_once_is_201_or_409() {
    for_some_seconds(|seed| async move {
        let setup = setup();
        let location = start(&setup.registry, "c").await;
        let content = Bytes::from(format!("content {seed}"));
        let piece = Ask::new("PATCH", &location).content(content.clone());
        let mut dice = Dice::new(seed, TASKS);
        assert_eq!(piece.send(&setup.registry, &mut dice).await.status, 202);

        let digest = Algorithm::Sha256.digest(&content);
        let ends = (0..TASKS).map(|_| finish(&location, &digest));
        let statuses = all_at_once(&setup.registry, ends.collect(), seed).await;
        let are_foreseen = statuses.iter().all(|status| [201, 409].contains(status));
        assert!(are_foreseen && statuses.contains(&201), "{statuses:?}");
        let again = finish(&location, &digest).send(&setup.registry, &mut dice);
        assert_eq!(again.await.status, 201);
        check_blob(&setup, &content).await;
    })
    .await;
}

/// The status of the answer to each.
async fn all_at_once(registry: &Registry, asks: Vec<Ask>, seed: u64) -> Vec<u16> {
    let barrier = Arc::new(Barrier::new(asks.len()));
    let tasks = asks.into_iter().enumerate().map(|(task, ask)| {
        let (registry, barrier) = (registry.clone(), barrier.clone());
        async move {
            barrier.wait().await;
            let mut dice = Dice::new(seed, task);
            (task, ask.send(&registry, &mut dice).await.status.as_u16())
        }
    });
    let mut statuses = all(tasks).await;
    statuses.sort_unstable();
    statuses.into_iter().map(|(_, status)| status).collect()
}

/// Takes some time to hash, in which another request may come.
static LAST: LazyLock<Bytes> = LazyLock::new(|| noise(20_000));

/// The end, a piece and a cancel meet: each is either before or after the others.
// protocol 27 to 31
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_end_of_an_upload_a_piece_and_a_cancel_have_an_order() {
    for_some_seconds(|seed| async move {
        let setup = setup();
        let registry = &setup.registry;
        let location = start(registry, "c").await;
        let mut dice = Dice::new(seed, TASKS);
        let first = Ask::new("PATCH", &location).content("first");
        assert_eq!(first.send(registry, &mut dice).await.status, 202);

        let digest = Algorithm::Sha256.digest([b"first", &LAST[..]].concat());
        let end = finish(&location, &digest).content(LAST.clone());
        let piece = Ask::new("PATCH", &location).content(LAST.clone());
        let mut asks = vec![end, piece];
        if dice.once_in(2) {
            asks.push(Ask::new("DELETE", &location));
        }
        let statuses = all_at_once(registry, asks, seed).await;
        let status = |task: usize| statuses.get(task).copied().unwrap_or_default();
        let answers = (status(0), status(1), status(2));
        match answers {
            // Without a cancel, or with one that comes when all is over.
            (201, 404 | 409, 0 | 404) => {}
            (400 | 409, 202, 0) => {}
            // One that ends the session for who comes later, or is not done yet.
            (400 | 404 | 409, 202, 204) => {}
            (404 | 409, 404, 204) => {}
            (404, 409, 204) => {}
            _ => panic!("{answers:?}"),
        }
        let blob = get(registry, &format!("/v2/c/blobs/{digest}")).await;
        assert_eq!(blob.status == 200, answers.0 == 201, "{answers:?}");
        let left = get(registry, &location).await;
        let is_open = answers.0 != 201 && answers.2 != 204;
        assert_eq!(left.status == 204, is_open, "{answers:?}");
        let expected = "first".len() + LAST.len();
        assert!(!is_open || offset(&left) == expected, "{left:?}");
    })
    .await;
}
