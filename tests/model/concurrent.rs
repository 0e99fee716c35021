//! The same from several tasks at once, with requests that are dropped in the middle.
//!
//! A request that is dropped has done nothing, if all of its body is read before it is done: what
//! [`BlobStore`](tower_oci::BlobStore) promises of a future holds for such requests too.
//!
//! What a task does is chosen by a seed, which a failure names. When the tasks run is not, so a
//! failure may take several runs to come again.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use tokio::task::JoinSet;
use tower_oci::Limits;

use super::{
    common::{Answer, get, send},
    pieces::Pieces,
    setup::{Registry, Setup},
};

mod contents;
mod counter;
mod referrers;
mod session;

/// How long each test goes on with new seeds.
const DURATION: Duration = Duration::from_secs(3);

/// How many tasks there are.
const TASKS: usize = 4;

/// Runs `round` with one seed after the other.
async fn for_some_seconds<F: Future<Output = ()> + Send + 'static>(round: impl Fn(u64) -> F) {
    let beginning = Instant::now();
    let mut seed = 0;
    while beginning.elapsed() < DURATION {
        let done = tokio::time::timeout(Duration::from_secs(60), tokio::spawn(round(seed)));
        match done.await {
            Ok(Ok(())) => seed += 1,
            Ok(Err(failure)) => panic!("with the seed {seed}: {failure}"),
            Err(_) => panic!("with the seed {seed}: some requests wait for ever"),
        }
    }
}

/// Runs all tasks at once, and gives what each of them returns.
async fn all<F>(tasks: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let tasks: JoinSet<F::Output> = tasks.into_iter().collect();
    tasks.join_all().await
}

/// Numbers that look random, and are the same for the same seed.
// SplitMix64
#[derive(Clone, Debug)]
struct Dice(u64);

impl Dice {
    fn new(seed: u64, task: usize) -> Self {
        Self(seed << 16 | task as u64)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    /// True once in `times`.
    fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// `content` at once, or in a few pieces, between which others run.
    fn body(&mut self, content: &Bytes) -> Pieces {
        if self.once_in(3) {
            return Pieces::new([content.clone()]);
        }
        let size = content.len() / (1 + self.below(4)) + 1;
        let pieces = content.chunks(size).map(|piece| content.slice_ref(piece));
        Pieces::new(pieces).slow()
    }
}

/// A request, its headers and its content, which is sent in pieces.
#[derive(Clone, Debug)]
struct Ask {
    method: &'static str,
    uri: String,
    headers: Vec<(&'static str, String)>,
    content: Bytes,
}

impl Ask {
    fn new(method: &'static str, uri: impl Into<String>) -> Self {
        Self {
            method,
            uri: uri.into(),
            headers: Vec::new(),
            content: Bytes::new(),
        }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn content(self, content: impl Into<Bytes>) -> Self {
        let content = content.into();
        Self { content, ..self }
    }

    /// Sends it, and waits for the answer.
    async fn send(self, registry: &Registry, dice: &mut Dice) -> Answer {
        let mut request = Request::builder().method(self.method).uri(self.uri);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let body = Body::new(dice.body(&self.content));
        send(registry, request.body(body).unwrap()).await
    }

    /// Sends it, and may leave before the answer: then there is none.
    async fn try_send(self, registry: &Registry, dice: &mut Dice) -> Option<Answer> {
        let polls = match dice.once_in(3) {
            true => dice.below(6),
            false => usize::MAX,
        };
        at_most(polls, self.send(registry, dice)).await
    }
}

/// The output of `future`, or nothing if it is dropped because it takes more polls than these.
async fn at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| match left.checked_sub(1) {
        None => Poll::Ready(None),
        Some(rest) => {
            left = rest;
            future.as_mut().poll(cx).map(Some)
        }
    })
    .await
}

/// The manifest that the registry has for a tag or a digest, if it has one. Its bytes have the
/// digest that the answer names.
async fn manifest(registry: &Registry, repository: &str, reference: &str) -> Option<Manifest> {
    let uri = format!("/v2/{repository}/manifests/{reference}");
    let answer = get(registry, &uri).await;
    if answer.status == StatusCode::NOT_FOUND {
        return None;
    }
    assert_eq!(answer.status, 200, "{answer:?}");
    let digest = answer.header("docker-content-digest").to_owned();
    let parsed: tower_oci::Digest = digest.parse().unwrap();
    assert!(parsed.verifies(&answer.body), "{digest}: {:?}", answer.body);
    assert!(!reference.contains(':') || reference == digest);
    let json = answer.json();
    Some(Manifest { digest, json })
}

#[derive(Debug)]
struct Manifest {
    digest: String,
    json: serde_json::Value,
}

/// A registry that all tasks together cannot fill.
fn setup() -> Setup {
    Setup::new(Limits::default(), 10)
}
