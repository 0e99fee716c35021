//! Upload sessions.

use super::{
    Checked, Halting, Promise, bounded, collect, has_blob, is_no_repository, is_repository,
    is_upload_unknown, known, lists, sessions::hanging,
};
use crate::{
    digest::{Algorithm, Digest},
    limits::UploadLimits,
    name::{RepositoryName, UploadId},
    source::{BlobInfo, SourceError},
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
    check_single(&make().await).await
}

pub(super) static NAME: RepositoryName = RepositoryName::constant("suite/uploads");

pub(super) fn body<const N: usize>(pieces: [&[u8]; N]) -> UploadBody {
    UploadBody::new(Halting::new(pieces))
}

pub(super) async fn append<const N: usize>(
    store: &impl BlobStore,
    upload: &UploadId,
    at: Option<u64>,
    pieces: [&[u8]; N],
) -> Result<u64, SourceError> {
    store
        .append_upload(&NAME, upload, at, &mut body(pieces))
        .await
}

pub(super) async fn finish<const N: usize>(
    store: &impl BlobStore,
    upload: &UploadId,
    at: Option<u64>,
    pieces: [&[u8]; N],
    digest: &Digest,
) -> Result<BlobInfo, SourceError> {
    store
        .finish_upload(&NAME, upload, at, &mut body(pieces), digest)
        .await
}

pub(super) async fn put<const N: usize>(
    store: &impl BlobStore,
    digest: &Digest,
    begin: BeginUpload,
    pieces: [&[u8]; N],
) -> Result<BlobInfo, SourceError> {
    store
        .put_blob(&NAME, digest, begin, &mut body(pieces))
        .await
}

pub(super) fn begin() -> BeginUpload {
    BeginUpload::new(UploadLimits::default())
}

pub(super) async fn start(promise: Promise, store: &impl BlobStore) -> Checked<UploadId> {
    start_with(promise, store, begin()).await
}

pub(super) async fn start_with(
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
pub(super) async fn is_at(
    promise: Promise,
    store: &impl BlobStore,
    upload: &UploadId,
    offset: u64,
) -> Checked {
    let status = store.upload_status(&NAME, upload).await;
    promise.equal(promise.ok(status)?.offset, offset)
}

pub(super) async fn has(
    promise: Promise,
    store: &impl BlobStore,
    content: &[u8],
    digest: &Digest,
) -> Checked {
    has_blob(promise, store, &NAME, digest, Some(content)).await
}

/// The blob is not there.
pub(super) async fn has_not(promise: Promise, store: &impl BlobStore, digest: &Digest) -> Checked {
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
    is_no_repository(exists, store, &NAME).await?;
    let first = append(store, &upload, Some(0), [b"one ", b"two "]);
    promise.equal(promise.ok(first.await)?, 8)?;
    is_at(promise, store, &upload, 8).await?;
    has_not(promise, store, &digest).await?;
    is_no_repository(exists, store, &NAME).await?;
    let second = append(store, &upload, None, [b"thr"]);
    promise.equal(promise.ok(second.await)?, 11)?;
    let info = finish(store, &upload, Some(11), [b"ee"], &digest);
    promise.equal(promise.ok(info.await)?.size, 13)?;
    has(promise, store, content, &digest).await?;
    is_repository(exists, store, &NAME).await?;
    let empty = Algorithm::Sha256.digest("");
    let upload = start(promise, store).await?;
    let last = &mut UploadBody::empty();
    let info = store.finish_upload(&NAME, &upload, None, last, &empty);
    promise.equal(promise.ok(info.await)?.size, 0)?;
    has(promise, store, b"", &empty).await?;
    check_membership(store, &digest).await
}

async fn check_membership(store: &impl BlobStore, pushed: &Digest) -> Checked {
    let promise = Promise("a blob belongs to the repository that it was pushed to, and no other");
    let others = ["suite/a", "suite/b", "suite/uploads/below"].map(RepositoryName::constant);
    for other in &others {
        let digest = Algorithm::Sha256.digest(other.as_str());
        let mut own = body([other.as_str().as_bytes()]);
        let stored = store.put_blob(other, &digest, begin(), &mut own).await;
        promise.ok(stored)?;
        has_not(promise, store, &digest).await?;
        has_blob(promise, store, other, pushed, None).await?;
    }
    lists::check_catalog(store, &others[1]).await
}

async fn check_offsets(store: &impl BlobStore) -> Checked {
    let promise =
        Promise("a piece that does not begin at the offset is refused, and moves nothing");
    let upload = start(promise, store).await?;
    let piece = append(store, &upload, Some(0), [b"abcd"]);
    promise.ok(piece.await)?;
    let digest = Algorithm::Sha256.digest("abcdabcd");
    let is_offset =
        |error: &SourceError| matches!(error, SourceError::OffsetMismatch { current: 4 });
    for at in [0, 3, 5, u64::MAX] {
        let mut again = body([b"abcd"]);
        let appended = store.append_upload(&NAME, &upload, Some(at), &mut again);
        promise.fails(appended.await, is_offset)?;
        let finished = store.finish_upload(&NAME, &upload, Some(at), &mut again, &digest);
        promise.fails(finished.await, is_offset)?;
        is_at(promise, store, &upload, 4).await?;
        let unread = collect(again).await.unwrap_or_default();
        promise.holds(unread == "abcd", "the body was read")?;
    }
    has_not(promise, store, &digest).await?;
    let finished = finish(store, &upload, Some(4), [b"abcd"], &digest);
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
            let finished = finish(store, &upload, None, [rest], &digest);
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
    let finished = finish(store, &upload, None, [b" bad"], &wrong);
    let is_mismatch = |error: &SourceError| matches!(error, SourceError::DigestMismatch { .. });
    promise.fails(finished.await, is_mismatch)?;
    for digest in [wrong, Algorithm::Sha256.digest("good bad")] {
        has_not(promise, store, &digest).await?;
    }
    is_at(promise, store, &upload, 4).await?;
    let digest = Algorithm::Sha256.digest("good end");
    let finished = finish(store, &upload, Some(4), [b" end"], &digest);
    promise.ok(finished.await)?;
    has(promise, store, b"good end", &digest).await
}

async fn check_repeated_finish(store: &impl BlobStore) -> Checked {
    let promise = Promise("the end of an upload may be sent again, and nothing else may follow it");
    let upload = start(promise, store).await?;
    let digest = Algorithm::Sha256.digest("blob");
    // What is sent again is not read, so it does not matter that it never comes.
    for mut last in [body([b"blob"]), hanging()] {
        let finished = store.finish_upload(&NAME, &upload, None, &mut last, &digest);
        let finished = bounded(promise, finished).await?;
        promise.equal(promise.ok(finished)?.size, 4)?;
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

/// Bodies that break off, are shorter than announced, and longer.
fn broken_bodies() -> [UploadBody; 3] {
    [
        UploadBody::new(Halting::new([b"ef"]).failing()),
        body([b"ef"]).announced(4),
        body([b"efgh", b"ij"]).announced(4),
    ]
}

fn is_body(error: &SourceError) -> bool {
    matches!(
        error,
        SourceError::RequestBody(_) | SourceError::SizeMismatch { .. }
    )
}

async fn check_broken_bodies(store: &impl BlobStore) -> Checked {
    let promise = Promise("of a body that breaks off nothing is kept, and it can be sent again");
    let upload = start(promise, store).await?;
    let piece = append(store, &upload, None, [b"abcd"]);
    promise.ok(piece.await)?;
    for mut broken in broken_bodies() {
        let appended = store.append_upload(&NAME, &upload, Some(4), &mut broken);
        promise.fails(appended.await, is_body)?;
        is_at(promise, store, &upload, 4).await?;
    }
    // Even if the digest is that of the bytes that came.
    for (mut broken, content) in broken_bodies().into_iter().zip(["ef", "ef", "efghij"]) {
        let digest = Algorithm::Sha256.digest(format!("abcd{content}"));
        let finished = store.finish_upload(&NAME, &upload, Some(4), &mut broken, &digest);
        promise.fails(finished.await, is_body)?;
        is_at(promise, store, &upload, 4).await?;
        has_not(promise, store, &digest).await?;
    }
    for (mut broken, content) in broken_bodies().into_iter().zip(["ef", "ef", "efghij"]) {
        let digest = Algorithm::Sha256.digest(content);
        let stored = store.put_blob(&NAME, &digest, begin(), &mut broken).await;
        promise.fails(stored, is_body)?;
        has_not(promise, store, &digest).await?;
    }
    let digest = Algorithm::Sha256.digest("abcdefgh");
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
    let appended = append(store, &upload, None, [b"x"]).await;
    promise.fails(appended, is_upload_unknown)?;
    let finished = finish(store, &upload, None, [], &digest).await;
    promise.fails(finished, is_upload_unknown)?;
    let status = store.upload_status(&NAME, &upload).await;
    promise.fails(status, is_upload_unknown)?;
    let cancelled = store.cancel_upload(&NAME, &upload).await;
    promise.fails(cancelled, is_upload_unknown)?;
    is_at(promise, store, &second, 0).await?;
    promise.ok(store.sweep().await)?;
    is_at(promise, store, &second, 0).await
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
