use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;

use super::{
    Blob, BlobInfo, BlobSource, Found, GetBlob, GetManifest, ListReferrers, ManifestInfo,
    SourceError, forward::forward_blob_source,
};
use crate::{
    body::DynBody,
    descriptor::Descriptor,
    digest::Digest,
    listing::{Listing, Page},
    manifest::Manifest,
    name::{Reference, RepositoryName, Tag},
};

/// A [`BlobSource`] of any type, behind one pointer: cheap to clone, and chosen at run time.
///
/// ```
/// # use tower_oci::{DynSource, MemoryStore, OciRegistryService};
/// let source: DynSource = DynSource::new(MemoryStore::new());
/// let registry: OciRegistryService<_> = OciRegistryService::new(source);
/// ```
#[derive(Clone)]
pub struct DynSource(Arc<dyn ObjectSafe>);

impl DynSource {
    /// Hides the type of `source`.
    pub fn new(source: impl BlobSource) -> Self {
        Self(Arc::new(source))
    }
}

impl fmt::Debug for DynSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynSource").finish_non_exhaustive()
    }
}

pub(crate) type Answer<'a, T> = BoxFuture<'a, Result<T, SourceError>>;

/// [`BlobSource`] with boxed futures, so that it can be a trait object.
pub(crate) trait ObjectSafe: Send + Sync {
    fn manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
        options: GetManifest<'a>,
    ) -> Answer<'a, Found<Manifest>>;

    fn blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        options: GetBlob,
    ) -> Answer<'a, Blob<DynBody>>;

    fn stat_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> Answer<'a, BlobInfo>;

    fn stat_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> Answer<'a, ManifestInfo>;

    fn tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: Page<'a>,
    ) -> Answer<'a, Listing<Tag>>;

    fn referrers<'a>(
        &'a self,
        repository: &'a RepositoryName,
        subject: &'a Digest,
        options: ListReferrers<'a>,
    ) -> Answer<'a, Listing<Descriptor>>;

    fn repositories<'a>(&'a self, page: Page<'a>) -> Answer<'a, Listing<RepositoryName>>;
}

impl<S: BlobSource> ObjectSafe for S {
    fn manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
        options: GetManifest<'a>,
    ) -> Answer<'a, Found<Manifest>> {
        Box::pin(BlobSource::manifest(self, repository, reference, options))
    }

    fn blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        options: GetBlob,
    ) -> Answer<'a, Blob<DynBody>> {
        let blob = BlobSource::blob(self, repository, digest, options);
        Box::pin(async move { Ok(blob.await?.map_body(DynBody::new)) })
    }

    fn stat_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
    ) -> Answer<'a, BlobInfo> {
        Box::pin(BlobSource::stat_blob(self, repository, digest))
    }

    fn stat_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        reference: &'a Reference,
    ) -> Answer<'a, ManifestInfo> {
        Box::pin(BlobSource::stat_manifest(self, repository, reference))
    }

    fn tags<'a>(
        &'a self,
        repository: &'a RepositoryName,
        page: Page<'a>,
    ) -> Answer<'a, Listing<Tag>> {
        Box::pin(BlobSource::tags(self, repository, page))
    }

    fn referrers<'a>(
        &'a self,
        repository: &'a RepositoryName,
        subject: &'a Digest,
        options: ListReferrers<'a>,
    ) -> Answer<'a, Listing<Descriptor>> {
        Box::pin(BlobSource::referrers(self, repository, subject, options))
    }

    fn repositories<'a>(&'a self, page: Page<'a>) -> Answer<'a, Listing<RepositoryName>> {
        Box::pin(BlobSource::repositories(self, page))
    }
}

impl BlobSource for DynSource {
    forward_blob_source!(self => self.0, DynBody);
}
