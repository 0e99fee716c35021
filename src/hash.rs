//! Hashing that leaves the async threads to others.

use std::{
    future::poll_fn,
    task::{Context, Poll},
};

use bytes::Bytes;

use crate::digest::Hasher;

/// How many bytes are hashed before others get their turn: a fraction of a millisecond.
const STEP: usize = 64 << 10;

/// From this size on it is worth the way to another thread: some milliseconds.
#[cfg(feature = "rt")]
const WORTH_A_THREAD: usize = 1 << 20;

/// How much another thread hashes before it is asked whether anybody still waits for it.
#[cfg(feature = "rt")]
const MOST_AT_ONCE: usize = 8 << 20;

/// A hasher that does not keep the thread that it runs on.
#[derive(Debug)]
pub(crate) struct Hashing {
    hasher: Hasher,
    /// How many bytes were hashed since others had their turn.
    since: usize,
}

impl Hashing {
    pub(crate) fn new(hasher: Hasher) -> Self {
        Self { hasher, since: 0 }
    }

    pub(crate) fn into_hasher(self) -> Hasher {
        self.hasher
    }

    pub(crate) fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Takes in one piece.
    pub(crate) async fn update(&mut self, piece: Bytes) {
        self.update_all(vec![piece]).await;
    }

    /// Takes in these pieces.
    ///
    /// What is large is hashed on one of tokio's blocking threads, with the feature `rt` and where
    /// there is a runtime; else in steps, between which other tasks run.
    pub(crate) async fn update_all(&mut self, pieces: Vec<Bytes>) {
        #[cfg(feature = "rt")]
        let pieces = self.update_elsewhere(pieces).await;
        for piece in pieces {
            for step in piece.chunks(STEP) {
                self.hasher.update(step);
                self.since += step.len();
                if self.since >= STEP {
                    self.since = 0;
                    yield_now().await;
                }
            }
        }
    }

    /// Hashes the beginning of `pieces` on other threads as far as it is worth that, and returns the
    /// rest.
    #[cfg(feature = "rt")]
    async fn update_elsewhere(&mut self, pieces: Vec<Bytes>) -> Vec<Bytes> {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return pieces;
        };
        let mut left: usize = pieces.iter().map(Bytes::len).sum();
        let mut pieces = std::collections::VecDeque::from(pieces);
        while left >= WORTH_A_THREAD {
            let mut batch: Vec<Bytes> = Vec::new();
            let mut length = 0;
            while length < MOST_AT_ONCE
                && let Some(mut piece) = pieces.pop_front()
            {
                let rest = piece.split_off(piece.len().min(MOST_AT_ONCE - length));
                length += piece.len();
                batch.push(piece);
                if !rest.is_empty() {
                    pieces.push_front(rest);
                }
            }
            let (mut hasher, hashed) = (self.hasher.clone(), batch.clone());
            let hashing = runtime.spawn_blocking(move || {
                hashed.iter().for_each(|piece| hasher.update(piece));
                hasher
            });
            match hashing.await {
                Ok(hasher) => self.hasher = hasher,
                // A runtime that is shutting down runs nothing any more.
                Err(_) => {
                    batch
                        .into_iter()
                        .rev()
                        .for_each(|piece| pieces.push_front(piece));
                    break;
                }
            }
            left -= length;
        }
        pieces.into()
    }
}

/// Lets other tasks run.
pub(crate) async fn yield_now() {
    let mut has_yielded = false;
    let yielding = |cx: &mut Context<'_>| {
        if std::mem::replace(&mut has_yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    };
    poll_fn(yielding).await;
}
