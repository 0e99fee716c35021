use std::ops::Range;

use bytes::Bytes;
use http::Uri;

use super::SourceError;
use crate::body::{BytesBody, slice};

/// How a blob is asked for.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct GetBlob {
    /// The part that is wanted; all of it if there is none.
    pub range: Option<ByteRange>,
    /// Whether the answer may be a [`Blob::Redirect`]. A cache or a verifier needs the bytes
    /// themselves, so the default is no.
    pub redirects: bool,
}

impl GetBlob {
    /// The same, for a part of the blob.
    #[must_use]
    pub fn range(self, range: impl Into<Option<ByteRange>>) -> Self {
        Self {
            range: range.into(),
            ..self
        }
    }

    /// The same, for a caller that can follow a redirect, or cannot.
    #[must_use]
    pub fn redirects(self, redirects: bool) -> Self {
        Self { redirects, ..self }
    }
}

/// A part of some content, before its length is known.
// RFC 9110 §14.1.2
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteRange {
    /// From this offset to the end: `500-`.
    From(u64),
    /// From the first offset to the second, both included: `500-999`.
    FromTo(u64, u64),
    /// This many bytes at the end: `-500`.
    Suffix(u64),
}

impl ByteRange {
    /// The range in content of `total` bytes, cut to what is there, or nothing if no byte is.
    ///
    /// ```
    /// # use tower_oci::ByteRange;
    /// assert_eq!(ByteRange::From(2).resolve(5), Some(2..5));
    /// assert_eq!(ByteRange::FromTo(2, 99).resolve(5), Some(2..5));
    /// assert_eq!(ByteRange::Suffix(99).resolve(5), Some(0..5));
    /// assert_eq!(ByteRange::From(5).resolve(5), None);
    /// ```
    pub fn resolve(self, total: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first) => first..total,
            Self::FromTo(first, last) => first..total.min(last.saturating_add(1)),
            Self::Suffix(length) => total.saturating_sub(length)..total,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// A blob that was found.
#[derive(Debug)]
pub enum Blob<B> {
    /// Its bytes, or a part of them.
    Content(BlobContent<B>),
    /// Where its bytes are. Only where [`GetBlob::redirects`] was set.
    Redirect {
        /// An absolute URI that a client can GET without credentials of the registry.
        to: Uri,
        /// The size of the whole blob in bytes, where it is known.
        size: Option<u64>,
    },
}

impl<B> Blob<B> {
    /// The same blob with another body.
    pub fn map_body<C>(self, change: impl FnOnce(B) -> C) -> Blob<C> {
        match self {
            Self::Content(BlobContent { info, range, body }) => Blob::Content(BlobContent {
                info,
                range,
                body: change(body),
            }),
            Self::Redirect { to, size } => Blob::Redirect { to, size },
        }
    }
}

impl Blob<BytesBody> {
    /// The part of `bytes` that `options` ask for, where all of the blob is in memory.
    ///
    /// # Errors
    ///
    /// [`SourceError::RangeNotSatisfiable`] if the range has no byte in the blob.
    pub fn from_bytes(bytes: impl Into<Bytes>, options: &GetBlob) -> Result<Self, SourceError> {
        let bytes = bytes.into();
        let info = BlobInfo::seekable(bytes.len() as u64);
        let range = info.resolve(options.range)?;
        let body = BytesBody::new(slice(&bytes, &range));
        Ok(Self::Content(BlobContent { info, range, body }))
    }
}

/// The bytes of a blob, or a part of them.
#[derive(Debug)]
#[non_exhaustive]
pub struct BlobContent<B> {
    /// What is known of the whole blob.
    pub info: BlobInfo,
    /// The part that `body` yields: the one that was asked for, or `0..size` for the whole.
    pub range: Range<u64>,
    /// Yields exactly the bytes of `range`.
    pub body: B,
}

impl<B> BlobContent<B> {
    /// The part `range` of a blob, which `body` yields; `0..info.size` for the whole.
    pub fn new(info: BlobInfo, range: Range<u64>, body: B) -> Self {
        Self { info, range, body }
    }
}

/// What is known of a blob without opening it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobInfo {
    /// The size of the whole blob in bytes.
    pub size: u64,
    /// Whether parts of it can be asked for.
    pub seekable: bool,
}

impl BlobInfo {
    /// A blob of `size` bytes that parts can be read of.
    pub fn seekable(size: u64) -> Self {
        Self {
            size,
            seekable: true,
        }
    }

    /// A blob of `size` bytes that can only be read from its beginning to its end.
    pub fn unseekable(size: u64) -> Self {
        Self {
            size,
            seekable: false,
        }
    }

    /// The part of this blob that `range` asks for: all of it without a range, and all of it where
    /// it cannot be seeked.
    ///
    /// # Errors
    ///
    /// [`SourceError::RangeNotSatisfiable`] if the range has no byte in the blob.
    pub fn resolve(self, range: Option<ByteRange>) -> Result<Range<u64>, SourceError> {
        match range.filter(|_| self.seekable) {
            None => Ok(0..self.size),
            Some(range) => range
                .resolve(self.size)
                .ok_or(SourceError::RangeNotSatisfiable { size: self.size }),
        }
    }
}
