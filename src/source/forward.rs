//! Sources that stand before another and hand every call on.

use std::sync::Arc;

use super::BlobSource;

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
            repository: &$crate::RepositoryName,
            reference: &$crate::Reference,
            options: $crate::GetManifest<'_>,
        ) -> Result<$crate::Found<$crate::Manifest>, $crate::SourceError> {
            $inner.manifest(repository, reference, options).await
        }

        async fn blob(
            &$self,
            repository: &$crate::RepositoryName,
            digest: &$crate::Digest,
            options: $crate::GetBlob,
        ) -> Result<$crate::Blob<Self::Body>, $crate::SourceError> {
            $inner.blob(repository, digest, options).await
        }

        async fn stat_blob(
            &$self,
            repository: &$crate::RepositoryName,
            digest: &$crate::Digest,
        ) -> Result<$crate::BlobInfo, $crate::SourceError> {
            $inner.stat_blob(repository, digest).await
        }

        async fn stat_manifest(
            &$self,
            repository: &$crate::RepositoryName,
            reference: &$crate::Reference,
        ) -> Result<$crate::ManifestInfo, $crate::SourceError> {
            $inner.stat_manifest(repository, reference).await
        }

        async fn tags(
            &$self,
            repository: &$crate::RepositoryName,
            page: $crate::Page<'_>,
        ) -> Result<$crate::Listing<$crate::Tag>, $crate::SourceError> {
            $inner.tags(repository, page).await
        }

        async fn referrers(
            &$self,
            repository: &$crate::RepositoryName,
            subject: &$crate::Digest,
            options: $crate::ListReferrers<'_>,
        ) -> Result<$crate::Listing<$crate::Descriptor>, $crate::SourceError> {
            $inner.referrers(repository, subject, options).await
        }

        async fn repositories(
            &$self,
            page: $crate::Page<'_>,
        ) -> Result<$crate::Listing<$crate::RepositoryName>, $crate::SourceError> {
            $inner.repositories(page).await
        }
    };
}

pub(crate) use forward_blob_source;

impl<S: BlobSource> BlobSource for ReadOnly<S> {
    forward_blob_source!(self => self.0, S::Body);
}

impl<S: BlobSource> BlobSource for Arc<S> {
    forward_blob_source!(self => (**self), S::Body);
}
