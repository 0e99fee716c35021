//! Uploads whose requests are dropped.

use super::{
    Checked, Promise, bounded, poll_times, settle,
    uploads::{NAME, append, begin, finish, has, has_not, is_at, put, start},
};
use crate::{digest::Algorithm, name::UploadId, store::BlobStore};

pub(super) async fn check<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    check_appends(make).await?;
    check_finishes(make).await?;
    check_cancels(make).await?;
    check_singles(make).await
}

const DROPPED: Promise =
    Promise("a future that is dropped leaves everything as it was, and no late write lands");

/// Drops what `run` makes at every poll, each time with a store and a session of its own, which has
/// to go on as if nothing had been.
async fn drop_everywhere<S: BlobStore>(
    make: &impl AsyncFn() -> S,
    run: impl AsyncFn(&S, &UploadId, usize) -> Checked<bool>,
) -> Checked {
    let whole = Algorithm::Sha256.digest("abcdefgh");
    let mut times = 0;
    loop {
        let store = make().await;
        let upload = start(DROPPED, &store).await?;
        let piece = append(&store, &upload, None, [b"abcd"]);
        DROPPED.ok(piece.await)?;
        if run(&store, &upload, times).await? {
            return Ok(());
        }
        settle().await;
        has_not(DROPPED, &store, &whole).await?;
        is_at(DROPPED, &store, &upload, 4).await?;
        let finished = finish(&store, &upload, Some(4), [b"efgh"], &whole);
        DROPPED.ok(bounded(DROPPED, finished).await?)?;
        has(DROPPED, &store, b"abcdefgh", &whole).await?;
        times += 1;
    }
}

async fn check_appends<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    drop_everywhere(make, async |store, upload, times| {
        let appended = append(store, upload, Some(4), [b"ef", b"gh"]);
        match poll_times(appended, times).await {
            Some(appended) => DROPPED.equal(DROPPED.ok(appended)?, 8).map(|()| true),
            None => Ok(false),
        }
    })
    .await
}

async fn check_finishes<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    // In the algorithm of the session, and in another.
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = algorithm.digest("abcdefgh");
        drop_everywhere(make, async |store, upload, times| {
            let finished = finish(store, upload, Some(4), [b"ef", b"gh"], &digest);
            if let Some(finished) = poll_times(finished, times).await {
                DROPPED.equal(DROPPED.ok(finished)?.size, 8)?;
                return Ok(true);
            }
            settle().await;
            has_not(DROPPED, store, &digest).await?;
            Ok(false)
        })
        .await?;
    }
    Ok(())
}

async fn check_cancels<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    drop_everywhere(make, async |store, upload, times| {
        let cancelled = store.cancel_upload(&NAME, upload);
        match poll_times(cancelled, times).await {
            Some(cancelled) => DROPPED.ok(cancelled).map(|()| true),
            None => Ok(false),
        }
    })
    .await
}

async fn check_singles<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    let digest = Algorithm::Sha256.digest("single");
    let mut times = 0;
    loop {
        let store = make().await;
        let stored = put(&store, &digest, begin(), [b"sing", b"le"]);
        if let Some(stored) = poll_times(stored, times).await {
            DROPPED.ok(stored)?;
            return has(DROPPED, &store, b"single", &digest).await;
        }
        settle().await;
        has_not(DROPPED, &store, &digest).await?;
        times += 1;
    }
}
