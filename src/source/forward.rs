//! Sources that stand before another and hand every call on.

use std::sync::Arc;

use super::{
    Blob, BlobInfo, BlobSource, Found, GetBlob, GetManifest, ListReferrers, ManifestInfo,
    SourceError,
};
use crate::{
    descriptor::Descriptor,
    digest::Digest,
    listing::{Listing, Page},
    manifest::Manifest,
    name::{Reference, RepositoryName, Tag},
};

/// A source that is served read-only: every read is handed on, every write is answered with 405.
///
/// [`OciRegistryService::new`](crate::OciRegistryService::new) wraps its source in it.
#[derive(Clone, Debug)]
pub struct ReadOnly<S>(S);

impl<S> ReadOnly<S> {
    /// Serves `source` read-only.
    pub fn new(source: S) -> Self {
        Self(source)
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.0
    }

    /// The source, without the wrapper.
    pub fn into_inner(self) -> S {
        self.0
    }
}

/// Hands on every method, those with defaults too: a default here would silently replace what the
/// source behind can do better.
macro_rules! forward_blob_source {
    ($self:ident => $inner:expr, $body:ty) => {
        type Body = $body;

        async fn manifest(
            &$self,
            repository: &RepositoryName,
            reference: &Reference,
            options: GetManifest<'_>,
        ) -> Result<Found<Manifest>, SourceError> {
            $inner.manifest(repository, reference, options).await
        }

        async fn blob(
            &$self,
            repository: &RepositoryName,
            digest: &Digest,
            options: GetBlob,
        ) -> Result<Blob<Self::Body>, SourceError> {
            $inner.blob(repository, digest, options).await
        }

        async fn stat_blob(
            &$self,
            repository: &RepositoryName,
            digest: &Digest,
        ) -> Result<BlobInfo, SourceError> {
            $inner.stat_blob(repository, digest).await
        }

        async fn stat_manifest(
            &$self,
            repository: &RepositoryName,
            reference: &Reference,
        ) -> Result<ManifestInfo, SourceError> {
            $inner.stat_manifest(repository, reference).await
        }

        async fn tags(
            &$self,
            repository: &RepositoryName,
            page: Page<'_>,
        ) -> Result<Listing<Tag>, SourceError> {
            $inner.tags(repository, page).await
        }

        async fn referrers(
            &$self,
            repository: &RepositoryName,
            subject: &Digest,
            options: ListReferrers<'_>,
        ) -> Result<Listing<Descriptor>, SourceError> {
            $inner.referrers(repository, subject, options).await
        }

        async fn repositories(
            &$self,
            page: Page<'_>,
        ) -> Result<Listing<RepositoryName>, SourceError> {
            $inner.repositories(page).await
        }
    };
}

pub(super) use forward_blob_source;

impl<S: BlobSource> BlobSource for ReadOnly<S> {
    forward_blob_source!(self => self.0, S::Body);
}

impl<S: BlobSource> BlobSource for Arc<S> {
    forward_blob_source!(self => (**self), S::Body);
}
