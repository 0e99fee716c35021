//! The read side of storage: [`BlobSource`], and the types it speaks in.

use std::{future::Future, ops::Range, time::Duration};

use bytes::Bytes;
use http::Uri;
use http_body::Body;

use crate::{
    body::{BoxError, BytesBody, slice},
    descriptor::Descriptor,
    digest::Digest,
    listing::{Listing, Page},
    manifest::{Manifest, ManifestView},
    media_type::{ArtifactType, MediaType},
    name::{Reference, RepositoryName, Tag},
};

mod dynamic;
mod forward;
#[cfg(feature = "fs")]
mod layout;
mod memory;

pub use dynamic::DynSource;
pub use forward::ReadOnly;
#[cfg(feature = "fs")]
pub use layout::{FileBody, LayoutError, LayoutSource};
pub use memory::MemoryStore;

/// Storage that manifests and blobs can be read from.
///
/// A type that implements the two required methods is a complete registry to pull from, given to
/// [`OciRegistryService::new`](crate::OciRegistryService::new). The other methods have defaults
/// that are correct; implement them where the storage can do better.
///
/// Implementers write plain `async fn`. What holds for every method:
///
/// - Content belongs to a repository. Answer for what is in *this* repository, even where bytes
///   are shared: knowing a digest must not give access to another repository's content.
/// - "Absent" and "the storage failed" are different answers: [`SourceError::NotFound`] only if
///   the content is known not to be there, [`SourceError::Backend`] if that is not known.
/// - The future may be dropped at any await: the server drops it when the client leaves.
/// - Reading changes nothing that another request could see.
///
/// Specification: "Pull" and "Content Discovery".
///
/// ```
/// use tower_oci::{
///     Blob, BlobSource, BytesBody, Digest, Found, GetBlob, GetManifest, Manifest, MissingContent,
///     OciRegistryService, Reference, RepositoryName, SourceError,
/// };
///
/// struct ThreeFiles { manifest: Manifest, config: &'static str, layer: &'static str }
///
/// impl BlobSource for ThreeFiles {
///     type Body = BytesBody;
///
///     async fn manifest(&self, _: &RepositoryName, reference: &Reference, _: GetManifest<'_>)
///         -> Result<Found<Manifest>, SourceError> {
///         match reference {
///             Reference::Tag(tag) if tag.as_str() == "latest" => Ok(self.manifest.clone().into()),
///             Reference::Digest(d) if d == self.manifest.digest() => Ok(self.manifest.clone().into()),
///             _ => Err(SourceError::NotFound(MissingContent::Manifest)),
///         }
///     }
///
///     async fn blob(&self, _: &RepositoryName, digest: &Digest, options: GetBlob)
///         -> Result<Blob<BytesBody>, SourceError> {
///         let file = [self.config, self.layer].into_iter().find(|file| digest.verifies(file));
///         Blob::from_bytes(file.ok_or(SourceError::NotFound(MissingContent::Blob))?, &options)
///     }
/// }
/// # let manifest = Manifest::parse(r#"{
/// #     "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
/// #     "config": {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
/// #         "digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},
/// #     "layers": [{"mediaType": "text/plain", "size": 5,
/// #         "digest": "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}]
/// # }"#)?;
///
/// let registry = OciRegistryService::new(ThreeFiles { manifest, config: "{}", layer: "hello" });
/// # Ok::<(), tower_oci::InvalidManifest>(())
/// ```
pub trait BlobSource: Send + Sync + 'static {
    /// The body that blobs stream from.
    ///
    /// It yields exactly the bytes of the range that was promised with it. The service turns
    /// fewer, more, or an error into an error of the response, never into a clean end.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static;

    /// The manifest that `reference` names in `repository`, in the bytes it was stored with.
    ///
    /// Asked for by digest, the manifest must be known by that digest, in that algorithm.
    /// [`GetManifest::unless`] lists digests that the client has already: a source may answer
    /// [`Found::NotModified`] for those, and spare itself the bytes.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](SourceError::NotFound): there is no such repository, tag or manifest.
    /// - [`Denied`](SourceError::Denied), [`Busy`](SourceError::Busy),
    ///   [`TooManyRequests`](SourceError::TooManyRequests),
    ///   [`Backend`](SourceError::Backend): as they say.
    fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> impl Future<Output = Result<Found<Manifest>, SourceError>> + Send;

    /// The blob with `digest` in `repository`: its size, the range that is served, and the body,
    /// in one round trip.
    ///
    /// A source that can seek serves [`GetBlob::range`]; one that cannot serves the whole and says
    /// so in the answer. Where [`GetBlob::redirects`] allows it, the answer may be a
    /// [`Blob::Redirect`] to where the bytes are.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](SourceError::NotFound): there is no such repository or blob.
    /// - [`RangeNotSatisfiable`](SourceError::RangeNotSatisfiable): the range has no byte in the
    ///   blob.
    /// - [`Denied`](SourceError::Denied), [`Busy`](SourceError::Busy),
    ///   [`TooManyRequests`](SourceError::TooManyRequests),
    ///   [`Backend`](SourceError::Backend): as they say.
    fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> impl Future<Output = Result<Blob<Self::Body>, SourceError>> + Send;

    /// What [`blob`](Self::blob) would find, without opening it. Never a redirect.
    ///
    /// The default opens the blob, without redirects, and drops it.
    ///
    /// # Errors
    ///
    /// Those of [`blob`](Self::blob) without a range.
    fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> impl Future<Output = Result<BlobInfo, SourceError>> + Send {
        async move {
            match self.blob(repository, digest, GetBlob::default()).await? {
                Blob::Content(content) => Ok(content.info),
                Blob::Redirect { .. } => Err(SourceError::backend(BrokenPromise::Redirect)),
            }
        }
    }

    /// What [`manifest`](Self::manifest) would find, without its bytes.
    ///
    /// The default reads the manifest.
    ///
    /// # Errors
    ///
    /// Those of [`manifest`](Self::manifest).
    fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> impl Future<Output = Result<ManifestInfo, SourceError>> + Send {
        async move {
            let options = GetManifest::default();
            match self.manifest(repository, reference, options).await? {
                Found::Content(manifest) => Ok(ManifestInfo::of(&manifest)),
                Found::NotModified(_) => Err(SourceError::backend(BrokenPromise::NotModified)),
            }
        }
    }

    /// One page of the tags of `repository`. [`Listing::page_of`] makes one from a list in memory.
    ///
    /// The default cannot list.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](SourceError::NotFound): there is no such repository. One whose tags were all
    ///   deleted is there, and has an empty list.
    /// - [`Unsupported`](SourceError::Unsupported): this source cannot list tags.
    /// - [`Denied`](SourceError::Denied), [`Busy`](SourceError::Busy),
    ///   [`TooManyRequests`](SourceError::TooManyRequests),
    ///   [`Backend`](SourceError::Backend): as they say.
    fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> impl Future<Output = Result<Listing<Tag>, SourceError>> + Send {
        let _ = (repository, page);
        async { Err(SourceError::Unsupported) }
    }

    /// One page of the manifests in `repository` whose subject is `subject`.
    /// [`Listing::page_of_referrers`] makes one from a list in memory.
    ///
    /// A descriptor has the manifest's annotations, and as artifact type its `artifactType`, or
    /// else the type of its configuration. With [`ListReferrers::artifact_type`] only those of
    /// that type are listed.
    ///
    /// The default reads the index at the subject's fallback tag ([`Tag::referrers_of`]), where
    /// clients keep the list on registries that do not.
    ///
    /// # Errors
    ///
    /// - [`NotFound`](SourceError::NotFound): there is no such repository. The service answers
    ///   with an empty list; so it does for a subject that nothing refers to.
    /// - [`Unsupported`](SourceError::Unsupported): this source cannot list referrers.
    /// - [`Denied`](SourceError::Denied), [`Busy`](SourceError::Busy),
    ///   [`TooManyRequests`](SourceError::TooManyRequests),
    ///   [`Backend`](SourceError::Backend): as they say.
    fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> impl Future<Output = Result<Listing<Descriptor>, SourceError>> + Send {
        async move {
            let index = Reference::Tag(Tag::referrers_of(subject));
            let options_of_index = GetManifest::default();
            match self.manifest(repository, &index, options_of_index).await {
                Ok(Found::Content(index)) => {
                    let view = ManifestView::parse(index.bytes()).map_err(SourceError::backend)?;
                    Ok(Listing::page_of_referrers(view.manifests, options))
                }
                Ok(Found::NotModified(_)) => Err(SourceError::backend(BrokenPromise::NotModified)),
                Err(SourceError::NotFound(_)) => Ok(Listing::default()),
                Err(error) => Err(error),
            }
        }
    }

    /// One page of the repositories. [`Listing::page_of`] makes one from a list in memory.
    ///
    /// The default cannot list.
    ///
    /// # Errors
    ///
    /// - [`Unsupported`](SourceError::Unsupported): this source cannot list repositories.
    /// - [`Denied`](SourceError::Denied), [`Busy`](SourceError::Busy),
    ///   [`TooManyRequests`](SourceError::TooManyRequests),
    ///   [`Backend`](SourceError::Backend): as they say.
    fn repositories(
        &self,
        page: Page<'_>,
    ) -> impl Future<Output = Result<Listing<RepositoryName>, SourceError>> + Send {
        let _ = page;
        async { Err(SourceError::Unsupported) }
    }
}

/// How a manifest is asked for.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct GetManifest<'a> {
    /// Digests of manifests that the client has, so that their bytes need not be read.
    pub unless: &'a [Digest],
}

impl<'a> GetManifest<'a> {
    /// The same, for a client that has the manifests with these digests.
    #[must_use]
    pub fn unless(self, digests: &'a [Digest]) -> Self {
        Self { unless: digests }
    }
}

/// What was found: the content, or that it is one that the client has.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// The content.
    Content(T),
    /// The content has this digest, which is one of [`GetManifest::unless`].
    NotModified(Digest),
}

impl<T> From<T> for Found<T> {
    fn from(content: T) -> Self {
        Self::Content(content)
    }
}

/// What is known of a manifest without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManifestInfo {
    /// The digest that the manifest is known by.
    pub digest: Digest,
    /// The type that the manifest was stored with.
    pub media_type: MediaType,
    /// The size in bytes.
    pub size: u64,
}

impl ManifestInfo {
    /// A manifest with these properties.
    pub fn new(digest: Digest, media_type: MediaType, size: u64) -> Self {
        Self {
            digest,
            media_type,
            size,
        }
    }

    /// The properties of `manifest`.
    pub fn of(manifest: &Manifest) -> Self {
        Self::new(
            *manifest.digest(),
            manifest.media_type().clone(),
            manifest.size(),
        )
    }
}

/// How a blob is asked for.
#[derive(Clone, Debug, Default)]
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
        /// The size of the whole blob in bytes.
        size: u64,
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
pub struct BlobContent<B> {
    /// What is known of the whole blob.
    pub info: BlobInfo,
    /// The part that `body` yields: the one that was asked for, or `0..size` for the whole.
    pub range: Range<u64>,
    /// Yields exactly the bytes of `range`.
    pub body: B,
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

/// How referrers are asked for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ListReferrers<'a> {
    /// Only those of this type.
    pub artifact_type: Option<&'a ArtifactType>,
    /// Where the page begins, and how many entries it may have.
    pub page: Page<'a>,
    /// How many bytes of JSON the page may have; one entry is always allowed.
    pub max_bytes: usize,
}

impl<'a> ListReferrers<'a> {
    /// What clients read at most of one answer: 4 MiB, less what the index around the entries
    /// needs.
    pub const MAX_BYTES: usize = Manifest::USUAL_LIMIT - 1024;

    /// The page of referrers of any type.
    pub fn new(page: Page<'a>) -> Self {
        Self {
            artifact_type: None,
            page,
            max_bytes: Self::MAX_BYTES,
        }
    }

    /// The same, for those of one type only.
    #[must_use]
    pub fn artifact_type(self, artifact_type: impl Into<Option<&'a ArtifactType>>) -> Self {
        Self {
            artifact_type: artifact_type.into(),
            ..self
        }
    }
}

/// What does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    /// There is no such upload session: 404.
    #[error("the upload session does not exist, or has ended")]
    UploadUnknown,
    /// A manifest names content that the repository does not have: 400, an error for each.
    #[error("the manifest names content that the repository does not have")]
    MissingReferences(Vec<Digest>),
    /// A precondition of the request does not hold: 412.
    #[error("a precondition of the request does not hold")]
    PreconditionFailed,
    /// What was sent makes no sense: 400.
    #[error("{0}")]
    Invalid(String),
    /// The request's body ended with an error: 400, or 413 if it was cut by a length limit.
    #[error("the body of the request could not be read")]
    RequestBody(#[source] BoxError),
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
    #[error("the source listed {listed} entries when asked for {limit}")]
    TooManyEntries { listed: usize, limit: usize },
}
