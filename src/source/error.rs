use std::{ops::Range, time::Duration};

use crate::{body::BoxError, digest::Digest};

/// What does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingContent {
    /// The repository.
    Repository,
    /// The manifest, or the tag.
    Manifest,
    /// The blob.
    Blob,
}

/// Why a source or store did not do what it was asked. Each variant is a decision for HTTP.
///
/// The text of a variant reaches the client, except that of [`Backend`](Self::Backend), which is
/// logged and answered with a constant message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The content is known not to be there: 404.
    #[error("{}", match .0 {
        MissingContent::Repository => "the repository does not exist",
        MissingContent::Manifest => "the repository has no such manifest",
        MissingContent::Blob => "the repository has no such blob",
    })]
    NotFound(MissingContent),
    /// The range has no byte in the content: 416.
    #[error("the range has no byte in the {size} bytes of the content")]
    RangeNotSatisfiable {
        /// The size of the whole content in bytes.
        size: u64,
    },
    /// The storage does not let this be done: 403.
    #[error("the storage denies this")]
    Denied,
    /// The source cannot do this at all: 404 for what is read, 405 for what is written.
    #[error("this registry does not support the operation")]
    Unsupported,
    /// The storage is overloaded: 503.
    #[error("the storage is busy, try again later")]
    Busy {
        /// When to try again.
        retry_after: Option<Duration>,
    },
    /// The caller asks too often, or has too much open: 429.
    #[error("too many requests, try again later")]
    TooManyRequests {
        /// When to try again.
        retry_after: Option<Duration>,
    },
    /// What was sent is larger than allowed: 413.
    #[error("the content is larger than the {limit} bytes that are allowed")]
    TooLarge {
        /// The largest size that is allowed, in bytes.
        limit: u64,
    },
    /// The storage has no room left: 507.
    #[error("the storage is full")]
    Full,
    /// What was sent has another digest than announced: 400.
    #[error("the content does not have the digest {expected}")]
    DigestMismatch {
        /// The digest that was announced.
        expected: Digest,
    },
    /// A piece of an upload does not begin where the one before ended: 416.
    #[error("the upload goes on at byte {current}")]
    OffsetMismatch {
        /// How many bytes were acknowledged.
        current: u64,
    },
    /// What was sent is longer or shorter than announced: 400.
    #[error("the body does not have the {announced} bytes that were announced")]
    SizeMismatch {
        /// The length that was announced, in bytes.
        announced: u64,
    },
    /// A newer request has taken the upload over: 409.
    #[error("a newer request goes on with this upload")]
    Superseded,
    /// There is no such upload session: 404.
    #[error("the upload session does not exist, or has ended")]
    UploadUnknown,
    /// A manifest names content that the repository does not have: 400, an error for each.
    #[error("the manifest names content that the repository does not have")]
    MissingReferences(Vec<Digest>),
    /// A precondition of the request does not hold: 412.
    #[error("a precondition of the request does not hold")]
    PreconditionFailed,
    /// A tag points at another manifest, and does not move: 403.
    #[error("the tag points at another manifest, and is immutable")]
    Immutable,
    /// What was sent makes no sense: 400.
    #[error("{0}")]
    Invalid(String),
    /// The request's body ended with an error: 400, or 413 if it was cut by a length limit.
    #[error("the body of the request could not be read")]
    RequestBody(#[source] BoxError),
    /// The registry behind this one failed, or refused this one: 502. Nothing of it is told to the
    /// client.
    #[error("the registry behind this one failed")]
    Upstream(#[source] BoxError),
    /// The registry behind this one took too long: 504. Nothing of it is told to the client.
    #[error("the registry behind this one took too long")]
    UpstreamTimeout(#[source] BoxError),
    /// The storage failed: 500. Nothing of it is told to the client.
    #[error("the storage failed")]
    Backend(#[source] BoxError),
}

impl SourceError {
    /// The storage failed with `error`.
    pub fn backend(error: impl Into<BoxError>) -> Self {
        Self::Backend(error.into())
    }
}

/// A source answered something that [`BlobSource`] does not allow.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenPromise {
    #[error("the source redirected where that was not allowed")]
    Redirect,
    #[error("the source answered NotModified to a request that was not conditional")]
    NotModified,
    #[error("the source answered with the manifest {answered} when asked for {asked}")]
    OtherDigest { asked: Digest, answered: Digest },
    #[error("the source served bytes {}-{} when asked for others", .0.start, .0.end)]
    OtherRange(Range<u64>),
    #[error("the source refused a range that has bytes in {size}, or one that was not asked for")]
    RefusedRange { size: u64 },
    #[error("the source redirected to a URI without scheme and host")]
    RelativeRedirect,
    #[error("the source's list of repositories has no end")]
    EndlessList,
    #[error("the source listed {listed} entries when asked for {limit}")]
    TooManyEntries { listed: usize, limit: usize },
}
