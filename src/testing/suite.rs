//! The contract of the storage traits, as suites that run.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::future::{Either, select};
use http_body::{Body, Frame};

use crate::{
    body::BoxError,
    digest::Digest,
    hash::yield_now,
    listing::Page,
    name::RepositoryName,
    source::{Blob, BlobContent, BlobSource, GetBlob, SourceError},
    store::BlobStore,
};

mod deletes;
mod dropped;
mod fixture;
mod lists;
mod manifests;
mod mounts;
mod preconditions;
mod sessions;
mod source;
mod uploads;
mod wrapper;

pub use fixture::Fixture;
pub use source::source_suite;
pub use wrapper::{source_wrapper_suite, store_wrapper_suite};

/// Checks a [`BlobStore`] against its contract: uploads, mounts, manifests and deletes.
///
/// `make` gives an empty store each time it is called, whose clock goes: the suite waits until a
/// session has expired. Futures of the store are dropped at every poll, and what is visible after
/// that is compared with what was before. What a store need not do (deletes, mounts, lists) may be
/// answered as the trait's defaults do.
///
/// [`source_suite`] checks the reading side.
///
/// # Errors
///
/// [`BrokenContract`] says which promise was broken, and how.
///
/// ```
/// # use tower_oci::{MemoryStore, testing::store_suite};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// store_suite(async || MemoryStore::new()).await?;
/// # Ok(())
/// # }
/// ```
pub async fn store_suite<S: BlobStore>(make: impl AsyncFn() -> S) -> Result<(), BrokenContract> {
    uploads::check(&make).await?;
    sessions::check(&make).await?;
    dropped::check(&make).await?;
    mounts::check(&make).await?;
    manifests::check(&make).await?;
    preconditions::check(&make).await?;
    deletes::check(&make).await
}

/// A promise that an implementation does not keep.
#[derive(Debug, thiserror::Error)]
#[error("{promise}: {found}")]
pub struct BrokenContract {
    promise: &'static str,
    found: String,
}

impl BrokenContract {
    /// The promise that was broken.
    pub fn promise(&self) -> &'static str {
        self.promise
    }
}

type Checked<T = ()> = Result<T, BrokenContract>;

/// Something that is promised, to hold results against.
#[derive(Clone, Copy)]
struct Promise(&'static str);

impl Promise {
    fn broken(self, found: impl fmt::Display) -> BrokenContract {
        BrokenContract {
            promise: self.0,
            found: found.to_string(),
        }
    }

    fn holds(self, holds: bool, found: impl fmt::Display) -> Checked {
        match holds {
            true => Ok(()),
            false => Err(self.broken(found)),
        }
    }

    #[allow(clippy::needless_pass_by_value)] // what is compared is often made for it
    fn equal<T: PartialEq + fmt::Debug>(self, found: T, expected: T) -> Checked {
        let difference = format!("found {found:?} where {expected:?} was expected");
        self.holds(found == expected, difference)
    }

    fn ok<T>(self, result: Result<T, SourceError>) -> Checked<T> {
        result.map_err(|error| self.broken(format_args!("failed with {error:?}")))
    }

    /// The call failed in the way that `is_expected` accepts.
    fn fails<T: fmt::Debug>(
        self,
        result: Result<T, SourceError>,
        is_expected: impl FnOnce(&SourceError) -> bool,
    ) -> Checked {
        match result {
            Ok(found) => Err(self.broken(format_args!("succeeded with {found:?}"))),
            Err(error) if is_expected(&error) => Ok(()),
            Err(error) => Err(self.broken(format_args!("failed with {error:?}"))),
        }
    }

    /// The call succeeded, or the store says that it cannot do this at all.
    fn ok_if_supported<T>(self, result: Result<T, SourceError>) -> Checked<Option<T>> {
        match result {
            Err(SourceError::Unsupported) => Ok(None),
            result => self.ok(result).map(Some),
        }
    }
}

fn is_not_found(error: &SourceError) -> bool {
    matches!(error, SourceError::NotFound(_))
}

fn is_upload_unknown(error: &SourceError) -> bool {
    matches!(error, SourceError::UploadUnknown)
}

/// The store has a repository of this name, as far as its lists tell.
async fn is_repository(
    promise: Promise,
    store: &impl BlobStore,
    repository: &RepositoryName,
) -> Checked {
    let tags = store.tags(repository, Page::first(1)).await;
    promise.ok_if_supported(tags)?;
    let is_listed = is_listed(promise, store, repository).await?;
    promise.holds(is_listed != Some(false), "the repository is not listed")
}

/// The store has no repository of this name, as far as its lists tell.
async fn is_no_repository(
    promise: Promise,
    store: &impl BlobStore,
    repository: &RepositoryName,
) -> Checked {
    let tags = store.tags(repository, Page::first(1)).await;
    promise.fails(tags, |error| {
        is_not_found(error) || matches!(error, SourceError::Unsupported)
    })?;
    let is_listed = is_listed(promise, store, repository).await?;
    promise.holds(is_listed != Some(true), "the repository is listed")
}

/// Nothing where the store cannot list repositories.
async fn is_listed(
    promise: Promise,
    store: &impl BlobStore,
    repository: &RepositoryName,
) -> Checked<Option<bool>> {
    let listing = store.repositories(Page::first(1_000)).await;
    let listing = promise.ok_if_supported(listing)?;
    Ok(listing.map(|listing| listing.items.contains(repository)))
}

/// A name, tag or id that is written here.
fn known<T: std::str::FromStr<Err: fmt::Display>>(text: &str) -> Checked<T> {
    let parsed = text.parse();
    parsed.map_err(|error| Promise("the suite is written right").broken(error))
}

/// All the bytes of a body.
async fn collect<B>(body: B) -> Result<Bytes, BoxError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut body = pin!(body);
    let mut bytes = BytesMut::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        let frame = frame.map_err(Into::into)?;
        bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    Ok(bytes.freeze())
}

/// The blob with `digest`, if the repository has it, with its bytes as promised.
async fn read_blob<S: BlobSource>(
    promise: Promise,
    source: &S,
    repository: &RepositoryName,
    digest: &Digest,
) -> Checked<Option<Bytes>> {
    let blob = source.blob(repository, digest, GetBlob::default()).await;
    let content = match blob {
        Err(SourceError::NotFound(_)) => return Ok(None),
        blob => match promise.ok(blob)? {
            Blob::Content(content) => content,
            Blob::Redirect { .. } => return Err(promise.broken("redirected without being allowed")),
        },
    };
    let BlobContent { info, range, body } = content;
    promise.equal(range, 0..info.size)?;
    let bytes = collect(body).await;
    let bytes = bytes.map_err(|error| promise.broken(format_args!("the body failed: {error}")))?;
    promise.equal(bytes.len() as u64, info.size)?;
    Ok(Some(bytes))
}

/// What the repository has with `digest` is `expected`.
async fn has_blob<S: BlobSource>(
    promise: Promise,
    source: &S,
    repository: &RepositoryName,
    digest: &Digest,
    expected: Option<&[u8]>,
) -> Checked {
    let found = read_blob(promise, source, repository, digest).await?;
    promise.equal(found, expected.map(Bytes::copy_from_slice))
}

/// Polls `future` so often, each time when it asks for it, and drops it if it has not ended then.
async fn poll_times<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(|cx| match left.checked_sub(1) {
        None => Poll::Ready(None),
        Some(rest) => {
            left = rest;
            future.as_mut().poll(cx).map(Some)
        }
    })
    .await
}

/// Lets other tasks and threads run for a moment, so that a late write would land.
async fn settle() {
    for turn in 0..32 {
        yield_now().await;
        if turn % 8 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What `future` ends with, unless it waits for what never comes.
async fn bounded<F: Future>(promise: Promise, future: F) -> Checked<F::Output> {
    let patience = async {
        for _ in 0..500 {
            settle().await;
        }
    };
    match select(pin!(future), pin!(patience)).await {
        Either::Left((output, _)) => Ok(output),
        Either::Right(_) => Err(promise.broken("it waits for ever")),
    }
}

/// A body that is pending once before every piece, and so gives many places to be dropped at. After
/// its pieces it ends, or fails.
struct Halting {
    pieces: std::vec::IntoIter<Bytes>,
    fails: bool,
    is_ready: bool,
}

impl Halting {
    fn new<const N: usize>(pieces: [&[u8]; N]) -> Self {
        let pieces = pieces.map(Bytes::copy_from_slice);
        Self {
            pieces: Vec::from(pieces).into_iter(),
            fails: false,
            is_ready: false,
        }
    }

    /// The same, which breaks off instead of ending.
    fn failing(self) -> Self {
        let fails = true;
        Self { fails, ..self }
    }
}

impl Body for Halting {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.is_ready = !self.is_ready;
        if self.is_ready {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(match self.pieces.next() {
            Some(piece) => Some(Ok(Frame::data(piece))),
            None if self.fails => Some(Err("the client is gone".into())),
            None => None,
        })
    }
}
