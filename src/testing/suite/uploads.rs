//! Upload sessions.

use futures_util::future::join;

use super::{
    Checked, Halting, Promise, bounded, is_upload_unknown, known, poll_times, read_blob, settle,
};
use crate::{
    digest::{Algorithm, Digest},
    limits::UploadLimits,
    listing::{Listing, Page},
    name::{RepositoryName, UploadId},
    source::SourceError,
    store::{BeginUpload, BlobStore, Session, UploadBody},
};

pub(super) async fn check<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    check_round(&make().await).await?;
    check_offsets(&make().await).await?;
    check_algorithms(&make().await).await?;
    check_wrong_digest(&make().await).await?;
    check_repeated_finish(&make().await).await?;
    check_broken_bodies(&make().await).await?;
    check_ends(&make().await).await?;
    check_takeover(&make().await).await?;
    check_limits(&make().await).await?;
    check_single(&make().await).await?;
    check_dropped_appends(make).await?;
    check_dropped_finishes(make).await?;
    check_dropped_singles(make).await
}

static NAME: RepositoryName = RepositoryName::constant("suite/uploads");

fn body<const N: usize>(pieces: [&[u8]; N]) -> UploadBody {
    UploadBody::new(Halting::new(pieces))
}

async fn append<const N: usize>(
    store: &impl BlobStore,
    upload: &UploadId,
    at: Option<u64>,
    pieces: [&[u8]; N],
) -> Result<u64, SourceError> {
    store
        .append_upload(&NAME, upload, at, &mut body(pieces))
        .await
}

pub(super) fn begin() -> BeginUpload {
    BeginUpload::new(UploadLimits::default())
}

async fn start(promise: Promise, store: &impl BlobStore) -> Checked<UploadId> {
    start_with(promise, store, begin()).await
}

async fn start_with(
    promise: Promise,
    store: &impl BlobStore,
    begin: BeginUpload,
) -> Checked<UploadId> {
    let session = store.begin_upload(&NAME, begin).await;
    let Session { id, min_chunk } = promise.ok(session)?;
    // The pieces of this suite are small: a store with a minimum takes each as the last.
    promise.holds(
        min_chunk.is_none_or(|least| least <= 4),
        "the suite needs a store that takes pieces of 4 bytes",
    )?;
    Ok(id)
}

/// The session is at `offset`.
async fn is_at(
    promise: Promise,
    store: &impl BlobStore,
    upload: &UploadId,
    offset: u64,
) -> Checked {
    let status = store.upload_status(&NAME, upload).await;
    promise.equal(promise.ok(status)?.offset, offset)
}

async fn has(promise: Promise, store: &impl BlobStore, content: &[u8], digest: &Digest) -> Checked {
    let found = read_blob(promise, store, &NAME, digest).await?;
    promise.equal(found.as_deref(), Some(content))
}

/// Neither the blob is there nor, if it was the first, its repository.
async fn has_not(promise: Promise, store: &impl BlobStore, digest: &Digest) -> Checked {
    let found = store.stat_blob(&NAME, digest).await;
    promise.fails(found, super::is_not_found)
}

async fn check_round(store: &impl BlobStore) -> Checked {
    let promise = Promise("what is appended and committed is a blob with exactly those bytes");
    let content = b"one two three";
    let digest = Algorithm::Sha256.digest(content);
    let upload = start(promise, store).await?;
    is_at(promise, store, &upload, 0).await?;
    let exists = Promise("a repository exists from its first commit, not from an upload");
    let listing = store.repositories(Page::first(100)).await;
    if let Some(Listing { items, .. }) = exists.ok_if_supported(listing)? {
        exists.holds(!items.contains(&NAME), "it exists before")?;
    }
    let first = append(store, &upload, Some(0), [b"one ", b"two "]);
    promise.equal(promise.ok(first.await)?, 8)?;
    is_at(promise, store, &upload, 8).await?;
    has_not(promise, store, &digest).await?;
    let second = append(store, &upload, None, [b"thr"]);
    promise.equal(promise.ok(second.await)?, 11)?;
    let last = &mut body([b"ee"]);
    let info = store.finish_upload(&NAME, &upload, Some(11), last, &digest);
    promise.equal(promise.ok(info.await)?.size, 13)?;
    has(promise, store, content, &digest).await?;
    let listing = store.repositories(Page::first(100)).await;
    if let Some(Listing { items, .. }) = exists.ok_if_supported(listing)? {
        exists.holds(items.contains(&NAME), "it does not exist after")?;
    }
    let empty = Algorithm::Sha256.digest("");
    let upload = start(promise, store).await?;
    let last = &mut UploadBody::empty();
    let info = store.finish_upload(&NAME, &upload, None, last, &empty);
    promise.equal(promise.ok(info.await)?.size, 0)?;
    has(promise, store, b"", &empty).await
}

async fn check_offsets(store: &impl BlobStore) -> Checked {
    let promise =
        Promise("a piece that does not begin at the offset is refused, and moves nothing");
    let upload = start(promise, store).await?;
    let piece = append(store, &upload, Some(0), [b"abcd"]);
    promise.ok(piece.await)?;
    let digest = Algorithm::Sha256.digest("abcdabcd");
    for at in [0, 3, 5, u64::MAX] {
        let is_offset =
            |error: &SourceError| matches!(error, SourceError::OffsetMismatch { current: 4 });
        let mut again = body([b"abcd"]);
        let appended = store.append_upload(&NAME, &upload, Some(at), &mut again);
        promise.fails(appended.await, is_offset)?;
        let finished = store.finish_upload(&NAME, &upload, Some(at), &mut again, &digest);
        promise.fails(finished.await, is_offset)?;
        is_at(promise, store, &upload, 4).await?;
    }
    has_not(promise, store, &digest).await?;
    let last = &mut body([b"abcd"]);
    let finished = store.finish_upload(&NAME, &upload, Some(4), last, &digest);
    promise.ok(finished.await)?;
    has(promise, store, b"abcdabcd", &digest).await
}

async fn check_algorithms(store: &impl BlobStore) -> Checked {
    let promise = Promise("a blob is known by the digest that ended its upload, of any algorithm");
    for announced in [None, Some(Algorithm::Sha256), Some(Algorithm::Sha512)] {
        for (algorithm, other) in [
            (Algorithm::Sha512, Algorithm::Sha256),
            (Algorithm::Sha256, Algorithm::Sha512),
        ] {
            let content = format!("{announced:?} {algorithm}");
            let digest = algorithm.digest(&content);
            let upload = start_with(promise, store, begin().algorithm(announced)).await?;
            let (first, rest) = content.as_bytes().split_at(5);
            let piece = append(store, &upload, None, [first]);
            promise.ok(piece.await)?;
            let last = &mut body([rest]);
            let finished = store.finish_upload(&NAME, &upload, None, last, &digest);
            promise.ok(finished.await)?;
            has(promise, store, content.as_bytes(), &digest).await?;
            has_not(promise, store, &other.digest(&content)).await?;
        }
    }
    Ok(())
}

async fn check_wrong_digest(store: &impl BlobStore) -> Checked {
    let promise =
        Promise("content with another digest is refused, and its session stays as it was");
    let upload = start(promise, store).await?;
    let piece = append(store, &upload, None, [b"good"]);
    promise.ok(piece.await)?;
    let wrong = Algorithm::Sha256.digest("other");
    let last = &mut body([b" bad"]);
    let finished = store.finish_upload(&NAME, &upload, None, last, &wrong);
    let is_mismatch = |error: &SourceError| matches!(error, SourceError::DigestMismatch { .. });
    promise.fails(finished.await, is_mismatch)?;
    for digest in [wrong, Algorithm::Sha256.digest("good bad")] {
        has_not(promise, store, &digest).await?;
    }
    is_at(promise, store, &upload, 4).await?;
    let digest = Algorithm::Sha256.digest("good end");
    let last = &mut body([b" end"]);
    let finished = store.finish_upload(&NAME, &upload, Some(4), last, &digest);
    promise.ok(finished.await)?;
    has(promise, store, b"good end", &digest).await
}

async fn check_repeated_finish(store: &impl BlobStore) -> Checked {
    let promise = Promise("the end of an upload may be sent again, and nothing else may follow it");
    let upload = start(promise, store).await?;
    let digest = Algorithm::Sha256.digest("blob");
    for _ in 0..2 {
        let last = &mut body([b"blob"]);
        let finished = store.finish_upload(&NAME, &upload, None, last, &digest);
        promise.equal(promise.ok(finished.await)?.size, 4)?;
    }
    has(promise, store, b"blob", &digest).await?;
    let other = Algorithm::Sha256.digest("blobmore");
    let mut more = body([b"more"]);
    let appended = store.append_upload(&NAME, &upload, None, &mut more).await;
    promise.fails(appended, is_upload_unknown)?;
    let finished = store.finish_upload(&NAME, &upload, None, &mut more, &other);
    promise.fails(finished.await, is_upload_unknown)?;
    let status = store.upload_status(&NAME, &upload).await;
    promise.fails(status, is_upload_unknown)?;
    let cancelled = store.cancel_upload(&NAME, &upload).await;
    promise.fails(cancelled, is_upload_unknown)?;
    has(promise, store, b"blob", &digest).await
}

async fn check_broken_bodies(store: &impl BlobStore) -> Checked {
    let promise = Promise("of a body that breaks off nothing is kept, and it can be sent again");
    let upload = start(promise, store).await?;
    let piece = append(store, &upload, None, [b"abcd"]);
    promise.ok(piece.await)?;
    let digest = Algorithm::Sha256.digest("abcdefgh");
    let is_body = |error: &SourceError| {
        matches!(
            error,
            SourceError::RequestBody(_) | SourceError::SizeMismatch { .. }
        )
    };
    let broken = || {
        [
            UploadBody::new(Halting::new([b"ef"]).failing()),
            body([b"ef"]).announced(4),
            body([b"efgh", b"ij"]).announced(4),
        ]
    };
    for mut broken in broken() {
        let appended = store.append_upload(&NAME, &upload, Some(4), &mut broken);
        promise.fails(appended.await, is_body)?;
        is_at(promise, store, &upload, 4).await?;
    }
    for mut broken in broken() {
        let finished = store.finish_upload(&NAME, &upload, Some(4), &mut broken, &digest);
        promise.fails(finished.await, is_body)?;
        is_at(promise, store, &upload, 4).await?;
        has_not(promise, store, &digest).await?;
    }
    let last = &mut body([b"efgh"]).announced(4);
    let finished = store.finish_upload(&NAME, &upload, Some(4), last, &digest);
    promise.ok(finished.await)?;
    has(promise, store, b"abcdefgh", &digest).await
}

async fn check_ends(store: &impl BlobStore) -> Checked {
    let promise = Promise("a session is known by its id, in its repository, until it is cancelled");
    let other = RepositoryName::constant("suite/other");
    let upload = start(promise, store).await?;
    let second = start(promise, store).await?;
    promise.holds(upload != second, "two sessions have one id")?;
    let absent: UploadId = known("absent")?;
    let digest = Algorithm::Sha256.digest("");
    for (repository, upload) in [(&other, &upload), (&NAME, &absent)] {
        let more = &mut body([b"x"]);
        let appended = store.append_upload(repository, upload, None, more);
        promise.fails(appended.await, is_upload_unknown)?;
        let status = store.upload_status(repository, upload).await;
        promise.fails(status, is_upload_unknown)?;
        let last = &mut UploadBody::empty();
        let finished = store.finish_upload(repository, upload, None, last, &digest);
        promise.fails(finished.await, is_upload_unknown)?;
        let cancelled = store.cancel_upload(repository, upload).await;
        promise.fails(cancelled, is_upload_unknown)?;
    }
    promise.ok(store.cancel_upload(&NAME, &upload).await)?;
    let status = store.upload_status(&NAME, &upload).await;
    promise.fails(status, is_upload_unknown)?;
    let cancelled = store.cancel_upload(&NAME, &upload).await;
    promise.fails(cancelled, is_upload_unknown)?;
    is_at(promise, store, &second, 0).await?;
    promise.ok(store.sweep().await)?;
    is_at(promise, store, &second, 0).await
}

/// A request that hangs with its first bytes read.
fn hanging() -> UploadBody {
    use futures_util::StreamExt;
    use http_body_util::StreamBody;

    let first = bytes::Bytes::from_static(b"lost");
    let first = Ok::<_, std::convert::Infallible>(http_body::Frame::data(first));
    let first = futures_util::stream::iter([first]);
    UploadBody::new(StreamBody::new(
        first.chain(futures_util::stream::pending()),
    ))
}

async fn check_takeover(store: &impl BlobStore) -> Checked {
    let promise =
        Promise("a newer request takes a session over, and the older one ends and is lost");
    let digest = Algorithm::Sha256.digest("new!");
    let is_lost =
        |error: &SourceError| matches!(error, SourceError::Superseded | SourceError::UploadUnknown);
    for newer in ["append", "finish", "cancel"] {
        let upload = start(promise, store).await?;
        let mut older_body = hanging();
        let older = store.append_upload(&NAME, &upload, None, &mut older_body);
        let newer = async {
            settle().await;
            let mut new = body([b"new!"]);
            match newer {
                "append" => store
                    .append_upload(&NAME, &upload, Some(0), &mut new)
                    .await
                    .map(drop),
                "finish" => store
                    .finish_upload(&NAME, &upload, Some(0), &mut new, &digest)
                    .await
                    .map(drop),
                _ => store.cancel_upload(&NAME, &upload).await,
            }
        };
        // Both are polled here, so the older one is under way when the newer begins.
        let (older, newer) = bounded(promise, join(older, newer)).await?;
        promise.ok(newer)?;
        promise.fails(older, is_lost)?;
    }
    has(promise, store, b"new!", &digest).await
}

async fn check_limits(store: &impl BlobStore) -> Checked {
    let promise = Promise("a blob that is larger than its session allows is refused");
    let limits = UploadLimits {
        blob_size: 6,
        ..UploadLimits::default()
    };
    let upload = start_with(promise, store, BeginUpload::new(limits)).await?;
    let piece = append(store, &upload, None, [b"abcd"]);
    promise.ok(piece.await)?;
    let piece = append(store, &upload, None, [b"ef", b"g"]);
    let is_too_large = |error: &SourceError| matches!(error, SourceError::TooLarge { limit: 6 });
    promise.fails(piece.await, is_too_large)?;
    is_at(promise, store, &upload, 4).await?;
    let digest = Algorithm::Sha256.digest("abcdef");
    let last = &mut body([b"ef"]);
    let finished = store.finish_upload(&NAME, &upload, None, last, &digest);
    promise.ok(finished.await)?;

    let promise = Promise("no more sessions are opened than allowed, and one that ends makes room");
    let limits = UploadLimits {
        sessions_per_repository: 2,
        ..UploadLimits::default()
    };
    let begin = BeginUpload::new(limits);
    let first = start_with(promise, store, begin).await?;
    let second = start_with(promise, store, begin).await?;
    let is_too_many = |error: &SourceError| matches!(error, SourceError::TooManyRequests { .. });
    let third = store.begin_upload(&NAME, begin).await;
    promise.fails(third, is_too_many)?;
    promise.ok(store.cancel_upload(&NAME, &first).await)?;
    let third = start_with(promise, store, begin).await?;
    let last = &mut body([b"abcdef"]);
    let finished = store.finish_upload(&NAME, &second, None, last, &digest);
    promise.ok(finished.await)?;
    let fourth = start_with(promise, store, begin).await?;
    for upload in [third, fourth] {
        promise.ok(store.cancel_upload(&NAME, &upload).await)?;
    }
    Ok(())
}

async fn check_single(store: &impl BlobStore) -> Checked {
    let promise = Promise("a blob can be put at once, and is there if and only if that succeeds");
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = algorithm.digest("single");
        let single = &mut body([b"sing", b"el"]);
        let wrong = store.put_blob(&NAME, &digest, begin(), single);
        let is_mismatch = |error: &SourceError| matches!(error, SourceError::DigestMismatch { .. });
        promise.fails(wrong.await, is_mismatch)?;
        has_not(promise, store, &digest).await?;
        // What is stored again is stored once.
        for _ in 0..2 {
            let mut right = body([b"sing", b"le"]);
            let stored = store.put_blob(&NAME, &digest, begin(), &mut right).await;
            promise.equal(promise.ok(stored)?.size, 6)?;
            has(promise, store, b"single", &digest).await?;
        }
    }
    Ok(())
}

const DROPPED: Promise =
    Promise("a future that is dropped leaves everything as it was, and no late write lands");

/// Drops what `run` makes at every poll, each time with a store and a session of its own, and checks
/// with `check` what it left.
async fn drop_everywhere<S: BlobStore>(
    make: &impl AsyncFn() -> S,
    run: impl AsyncFn(&S, &UploadId, usize) -> Checked<bool>,
) -> Checked {
    let mut times = 0;
    loop {
        let store = make().await;
        let upload = start(DROPPED, &store).await?;
        let piece = append(&store, &upload, None, [b"abcd"]);
        DROPPED.ok(piece.await)?;
        if run(&store, &upload, times).await? {
            return Ok(());
        }
        times += 1;
    }
}

async fn check_dropped_appends<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    drop_everywhere(make, async |store, upload, times| {
        let mut more = body([b"ef", b"gh"]);
        let appended = store.append_upload(&NAME, upload, Some(4), &mut more);
        if let Some(appended) = poll_times(appended, times).await {
            DROPPED.equal(DROPPED.ok(appended)?, 8)?;
            return Ok(true);
        }
        settle().await;
        is_at(DROPPED, store, upload, 4).await?;
        let digest = Algorithm::Sha256.digest("abcdefgh");
        let last = &mut body([b"efgh"]);
        let finished = store.finish_upload(&NAME, upload, Some(4), last, &digest);
        DROPPED.ok(finished.await)?;
        has(DROPPED, store, b"abcdefgh", &digest).await?;
        Ok(false)
    })
    .await
}

async fn check_dropped_finishes<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    drop_everywhere(make, async |store, upload, times| {
        let digest = Algorithm::Sha512.digest("abcdefgh");
        let mut last = body([b"ef", b"gh"]);
        let finished = store.finish_upload(&NAME, upload, Some(4), &mut last, &digest);
        if let Some(finished) = poll_times(finished, times).await {
            DROPPED.equal(DROPPED.ok(finished)?.size, 8)?;
            return Ok(true);
        }
        settle().await;
        has_not(DROPPED, store, &digest).await?;
        is_at(DROPPED, store, upload, 4).await?;
        Ok(false)
    })
    .await
}

async fn check_dropped_singles<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    let digest = Algorithm::Sha256.digest("single");
    let mut times = 0;
    loop {
        let store = make().await;
        let mut single = body([b"sing", b"le"]);
        let stored = store.put_blob(&NAME, &digest, begin(), &mut single);
        if let Some(stored) = poll_times(stored, times).await {
            DROPPED.ok(stored)?;
            return has(DROPPED, &store, b"single", &digest).await;
        }
        settle().await;
        has_not(DROPPED, &store, &digest).await?;
        times += 1;
    }
}
