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

/// Takes `piece` into `hasher`.
///
/// A large piece is hashed on one of tokio's blocking threads, with the feature `rt` and where
/// there is a runtime; else in steps, between which other tasks run.
pub(crate) async fn update(mut hasher: Hasher, piece: Bytes) -> Hasher {
    #[cfg(feature = "rt")]
    if piece.len() >= WORTH_A_THREAD
        && let Ok(runtime) = tokio::runtime::Handle::try_current()
    {
        let (mut away, bytes) = (hasher.clone(), piece.clone());
        let hashed = runtime.spawn_blocking(move || {
            away.update(&bytes);
            away
        });
        // A runtime that is shutting down runs nothing any more.
        if let Ok(hasher) = hashed.await {
            return hasher;
        }
    }
    let mut steps = piece.chunks(STEP).peekable();
    while let Some(step) = steps.next() {
        hasher.update(step);
        if steps.peek().is_some() {
            yield_now().await;
        }
    }
    hasher
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
