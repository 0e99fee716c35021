//! The read side of storage: [`BlobSource`], and the types it speaks in.

use std::future::Future;

use bytes::Bytes;
use http_body::Body;

use crate::{
    body::BoxError,
    descriptor::Descriptor,
    digest::Digest,
    listing::{Listing, Page},
    manifest::{Manifest, ManifestView},
    media_type::{ArtifactType, MediaType},
    name::{Reference, RepositoryName, Tag},
};

mod blob;
pub(crate) mod dynamic;
mod error;
pub(crate) mod forward;
#[cfg(feature = "fs")]
pub(crate) mod layout;
mod memory;
#[cfg(feature = "client")]
mod remote;

pub(crate) use error::BrokenPromise;

pub use blob::{Blob, BlobContent, BlobInfo, ByteRange, GetBlob};
pub use dynamic::DynSource;
pub use error::{MissingContent, SourceError};
pub use forward::ReadOnly;
#[cfg(feature = "fs")]
pub use layout::{FileBody, LayoutError, LayoutSource};
pub use memory::{MemoryStore, MemoryStoreBuilder};
#[cfg(feature = "client")]
pub use remote::RemoteSource;

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
                    // Anybody may push anything to a tag: what is no index lists nothing.
                    let view = ManifestView::parse(index.bytes()).unwrap_or_default();
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
    /// A page may begin after any name that is listed, as well as after [`Listing::next`]: the
    /// service asks like that when the caller may see a part of the list only.
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
