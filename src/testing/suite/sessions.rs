//! Requests side by side, and how many sessions there may be, how large and how long.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::{Either, join3, poll_fn, select, try_join},
    stream,
};
use http_body::Frame;
use http_body_util::StreamBody;

use super::{
    Checked, Promise, bounded, is_upload_unknown, manifests, mounts, settle,
    uploads::{NAME, append, begin, body, finish, has, has_not, is_at, put, start, start_with},
};
use crate::{
    digest::Algorithm,
    limits::UploadLimits,
    name::{RepositoryName, Tag, UploadId},
    source::SourceError,
    store::{BeginUpload, BlobStore, UploadBody},
};

pub(super) async fn check<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    check_takeover(&make().await).await?;
    check_no_takeover(&make().await).await?;
    check_stalled(&make().await).await?;
    check_sizes(&make().await).await?;
    check_counts(&make().await).await?;
    check_lifetime(&make().await).await
}

/// A body whose client stalls after `first`, until the gate opens.
fn stalling(first: &'static str, gate: Arc<AtomicBool>) -> UploadBody {
    let frame = |bytes| Ok::<_, Infallible>(Frame::data(Bytes::from_static(bytes)));
    let rest = poll_fn(move |cx| match gate.load(Ordering::SeqCst) {
        true => Poll::Ready(frame(b"rest")),
        false => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    let first = stream::iter([frame(first.as_bytes())]);
    UploadBody::new(StreamBody::new(first.chain(stream::once(rest))))
}

/// A request that hangs with its first bytes read.
pub(super) fn hanging() -> UploadBody {
    let first = Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"lost")));
    let first = stream::iter([first]);
    UploadBody::new(StreamBody::new(first.chain(stream::pending())))
}

/// What a request does with a session.
#[derive(Clone, Copy, PartialEq)]
enum Request {
    Append,
    Finish,
    Cancel,
}

impl Request {
    async fn send(
        self,
        store: &impl BlobStore,
        upload: &UploadId,
        body: &mut UploadBody,
    ) -> Result<(), SourceError> {
        let digest = Algorithm::Sha256.digest("new!");
        match self {
            Self::Append => {
                let appended = store.append_upload(&NAME, upload, Some(0), body);
                appended.await.map(drop)
            }
            Self::Finish => {
                let finished = store.finish_upload(&NAME, upload, Some(0), body, &digest);
                finished.await.map(drop)
            }
            Self::Cancel => store.cancel_upload(&NAME, upload).await,
        }
    }
}

async fn check_takeover(store: &impl BlobStore) -> Checked {
    let promise =
        Promise("a newer request takes a session over, and the older one ends and is lost");
    let is_lost =
        |error: &SourceError| matches!(error, SourceError::Superseded | SourceError::UploadUnknown);
    for older in [Request::Append, Request::Finish] {
        for newer in [Request::Append, Request::Finish, Request::Cancel] {
            let upload = start(promise, store).await?;
            let (mut older_body, mut newer_body) = (hanging(), body([b"new!"]));
            let older_request = async {
                let answer = older.send(store, &upload, &mut older_body).await;
                promise.fails(answer, is_lost)
            };
            let newer_request = async {
                settle().await;
                promise.ok(newer.send(store, &upload, &mut newer_body).await)
            };
            // Both are polled here, so the older one is under way when the newer begins.
            bounded(promise, try_join(older_request, newer_request)).await??;
            if newer == Request::Append {
                is_at(promise, store, &upload, 4).await?;
            }
        }
    }
    let digest = Algorithm::Sha256.digest("new!");
    has(promise, store, b"new!", &digest).await
}

async fn check_no_takeover(store: &impl BlobStore) -> Checked {
    let promise = Promise("a request that is refused, or asks only, takes no session over");
    let upload = start(promise, store).await?;
    let gate = Arc::new(AtomicBool::new(false));
    let mut slow = stalling("one ", gate.clone());
    let under_way = async {
        let appended = store.append_upload(&NAME, &upload, Some(0), &mut slow);
        promise.equal(promise.ok(appended.await)?, 8)
    };
    let others = async {
        settle().await;
        is_at(promise, store, &upload, 0).await?;
        let refused = append(store, &upload, Some(4), [b"two"]).await;
        let is_offset =
            |error: &SourceError| matches!(error, SourceError::OffsetMismatch { current: 0 });
        promise.fails(refused, is_offset)?;
        let other = RepositoryName::constant("suite/other");
        let refused = store.cancel_upload(&other, &upload).await;
        promise.fails(refused, is_upload_unknown)?;
        promise.ok(store.sweep().await)?;
        settle().await;
        gate.store(true, Ordering::SeqCst);
        Ok(())
    };
    bounded(promise, try_join(under_way, others)).await??;
    is_at(promise, store, &upload, 8).await
}

async fn check_stalled(store: &impl BlobStore) -> Checked {
    let promise = Promise("no request waits for the client of another");
    let (first, second) = (start(promise, store).await?, start(promise, store).await?);
    let digest = Algorithm::Sha256.digest("content");
    let mut bodies = [hanging(), hanging(), hanging()];
    let [piece, last, whole] = &mut bodies;
    let stalled = join3(
        store.append_upload(&NAME, &first, None, piece),
        store.finish_upload(&NAME, &second, None, last, &digest),
        store.put_blob(&NAME, &digest, begin(), whole),
    );
    let others = async {
        settle().await;
        is_at(promise, store, &first, 0).await?;
        let third = start(promise, store).await?;
        let finished = finish(store, &third, None, [b"content"], &digest);
        promise.ok(finished.await)?;
        has(promise, store, b"content", &digest).await?;
        let content = &mut body([b"content"]);
        let stored = store.put_blob(&mounts::FROM, &digest, begin(), content);
        promise.ok(stored.await)?;
        let manifest = manifests::manifest("one")?;
        let tag = Tag::constant("latest");
        let new = manifests::new(&manifest)?.tag(tag);
        promise.ok(store.put_manifest(&NAME, new).await)?;
        let cancelled = start(promise, store).await?;
        promise.ok(store.cancel_upload(&NAME, &cancelled).await)?;
        promise.ok(store.sweep().await)
    };
    match bounded(promise, select(pin!(stalled), pin!(others))).await? {
        Either::Left(_) => Err(promise.broken("a request ended before its body")),
        Either::Right((others, _)) => others,
    }
}

fn limited(change: impl FnOnce(&mut UploadLimits)) -> BeginUpload {
    let mut limits = UploadLimits::default();
    change(&mut limits);
    BeginUpload::new(limits)
}

async fn check_sizes(store: &impl BlobStore) -> Checked {
    let promise = Promise("a blob that is larger than its session allows is refused");
    let begin = limited(|limits| limits.blob_size = 6);
    let is_too_large = |error: &SourceError| matches!(error, SourceError::TooLarge { limit: 6 });
    let upload = start_with(promise, store, begin).await?;
    let piece = append(store, &upload, None, [b"abcd"]);
    promise.ok(piece.await)?;
    let piece = append(store, &upload, None, [b"ef", b"g"]);
    promise.fails(piece.await, is_too_large)?;
    is_at(promise, store, &upload, 4).await?;
    let digest = Algorithm::Sha256.digest("abcdefg");
    let finished = finish(store, &upload, None, [b"efg"], &digest);
    promise.fails(finished.await, is_too_large)?;
    let stored = put(store, &digest, begin, [b"abcd", b"efg"]);
    promise.fails(stored.await, is_too_large)?;
    has_not(promise, store, &digest).await?;
    is_at(promise, store, &upload, 4).await?;
    let digest = Algorithm::Sha256.digest("abcdef");
    let finished = finish(store, &upload, None, [b"ef"], &digest);
    promise.ok(finished.await)?;
    has(promise, store, b"abcdef", &digest).await
}

async fn check_counts(store: &impl BlobStore) -> Checked {
    let promise = Promise("no more sessions are opened than allowed, and one that ends makes room");
    let is_too_many = |error: &SourceError| matches!(error, SourceError::TooManyRequests { .. });
    let digest = Algorithm::Sha256.digest("abcdef");
    let begin = limited(|limits| limits.sessions_per_repository = 2);
    let first = start_with(promise, store, begin).await?;
    let second = start_with(promise, store, begin).await?;
    promise.fails(store.begin_upload(&NAME, begin).await, is_too_many)?;
    // Another repository has room of its own.
    let other = RepositoryName::constant("suite/other");
    let elsewhere = promise.ok(store.begin_upload(&other, begin).await)?.id;
    let begin = limited(|limits| limits.sessions = 3);
    promise.fails(store.begin_upload(&other, begin).await, is_too_many)?;
    promise.ok(store.cancel_upload(&other, &elsewhere).await)?;

    promise.ok(store.cancel_upload(&NAME, &first).await)?;
    let third = start_with(promise, store, begin).await?;
    let finished = finish(store, &second, None, [b"abcdef"], &digest);
    promise.ok(finished.await)?;
    let begin = limited(|limits| limits.sessions_per_repository = 2);
    for content in [b"abcdef", b"abcde!"] {
        // Whether it succeeds or not.
        let _ = put(store, &digest, begin, [content]).await;
    }
    let fourth = start_with(promise, store, begin).await?;
    for upload in [third, fourth] {
        promise.ok(store.cancel_upload(&NAME, &upload).await)?;
    }
    Ok(())
}

async fn check_lifetime(store: &impl BlobStore) -> Checked {
    let promise = Promise("a session ends when nothing has arrived for as long as it lives");
    let begin = limited(|limits| {
        limits.lifetime = Duration::from_millis(1);
        limits.sessions_per_repository = 1;
    });
    let upload = start_with(promise, store, begin).await?;
    let mut status = store.upload_status(&NAME, &upload).await;
    for _ in 0..500 {
        if status.is_err() {
            break;
        }
        settle().await;
        status = store.upload_status(&NAME, &upload).await;
    }
    promise.fails(status, is_upload_unknown)?;
    let late = append(store, &upload, None, [b"late"]).await;
    promise.fails(late, is_upload_unknown)?;
    let digest = Algorithm::Sha256.digest("late");
    let late = finish(store, &upload, None, [b"late"], &digest);
    promise.fails(late.await, is_upload_unknown)?;
    has_not(promise, store, &digest).await?;
    promise.ok(store.sweep().await)?;
    start_with(promise, store, begin).await.map(drop)
}
