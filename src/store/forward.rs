//! Stores that stand before another and hand every call on.

use std::sync::Arc;

use super::{
    BeginUpload, BlobStore, NewManifest, Session, StoredManifest, UploadBody, UploadStatus,
};
use crate::{
    digest::Digest,
    name::{RepositoryName, UploadId},
    source::{BlobInfo, BlobSource, ReadOnly, SourceError},
};

/// Hands on every method, those with defaults too: a default here would silently replace what the
/// store behind can do better.
macro_rules! forward_blob_store {
    ($self:ident => $inner:expr) => {
        async fn begin_upload(
            &$self,
            repository: &$crate::RepositoryName,
            begin: $crate::BeginUpload,
        ) -> Result<$crate::Session, $crate::SourceError> {
            $inner.begin_upload(repository, begin).await
        }

        async fn append_upload(
            &$self,
            repository: &$crate::RepositoryName,
            upload: &$crate::UploadId,
            at: Option<u64>,
            body: &mut $crate::UploadBody,
        ) -> Result<u64, $crate::SourceError> {
            $inner.append_upload(repository, upload, at, body).await
        }

        async fn upload_status(
            &$self,
            repository: &$crate::RepositoryName,
            upload: &$crate::UploadId,
        ) -> Result<$crate::UploadStatus, $crate::SourceError> {
            $inner.upload_status(repository, upload).await
        }

        async fn finish_upload(
            &$self,
            repository: &$crate::RepositoryName,
            upload: &$crate::UploadId,
            at: Option<u64>,
            last: &mut $crate::UploadBody,
            expect: &$crate::Digest,
        ) -> Result<$crate::BlobInfo, $crate::SourceError> {
            $inner.finish_upload(repository, upload, at, last, expect).await
        }

        async fn cancel_upload(
            &$self,
            repository: &$crate::RepositoryName,
            upload: &$crate::UploadId,
        ) -> Result<(), $crate::SourceError> {
            $inner.cancel_upload(repository, upload).await
        }

        async fn put_blob(
            &$self,
            repository: &$crate::RepositoryName,
            expect: &$crate::Digest,
            begin: $crate::BeginUpload,
            body: &mut $crate::UploadBody,
        ) -> Result<$crate::BlobInfo, $crate::SourceError> {
            $inner.put_blob(repository, expect, begin, body).await
        }

        async fn mount_blob(
            &$self,
            repository: &$crate::RepositoryName,
            digest: &$crate::Digest,
            from: $crate::MountFrom<'_>,
        ) -> Result<bool, $crate::SourceError> {
            $inner.mount_blob(repository, digest, from).await
        }

        async fn put_manifest(
            &$self,
            repository: &$crate::RepositoryName,
            new: $crate::NewManifest,
        ) -> Result<$crate::StoredManifest, $crate::SourceError> {
            $inner.put_manifest(repository, new).await
        }

        async fn delete_manifest(
            &$self,
            repository: &$crate::RepositoryName,
            digest: &$crate::Digest,
            precondition: $crate::Precondition,
        ) -> Result<(), $crate::SourceError> {
            $inner.delete_manifest(repository, digest, precondition).await
        }

        async fn delete_tag(
            &$self,
            repository: &$crate::RepositoryName,
            tag: &$crate::Tag,
            precondition: $crate::Precondition,
        ) -> Result<(), $crate::SourceError> {
            $inner.delete_tag(repository, tag, precondition).await
        }

        async fn delete_blob(
            &$self,
            repository: &$crate::RepositoryName,
            digest: &$crate::Digest,
            precondition: $crate::Precondition,
        ) -> Result<(), $crate::SourceError> {
            $inner.delete_blob(repository, digest, precondition).await
        }

        async fn sweep(&$self) -> Result<(), $crate::SourceError> {
            $inner.sweep().await
        }
    };
}

pub(crate) use forward_blob_store;

impl<S: BlobStore> BlobStore for Arc<S> {
    forward_blob_store!(self => (**self));
}

/// Every write is [`Unsupported`](SourceError::Unsupported), those with defaults by their defaults.
impl<S: BlobSource> BlobStore for ReadOnly<S> {
    async fn begin_upload(
        &self,
        _: &RepositoryName,
        _: BeginUpload,
    ) -> Result<Session, SourceError> {
        Err(SourceError::Unsupported)
    }

    async fn append_upload(
        &self,
        _: &RepositoryName,
        _: &UploadId,
        _: Option<u64>,
        _: &mut UploadBody,
    ) -> Result<u64, SourceError> {
        Err(SourceError::Unsupported)
    }

    async fn upload_status(
        &self,
        _: &RepositoryName,
        _: &UploadId,
    ) -> Result<UploadStatus, SourceError> {
        Err(SourceError::Unsupported)
    }

    async fn finish_upload(
        &self,
        _: &RepositoryName,
        _: &UploadId,
        _: Option<u64>,
        _: &mut UploadBody,
        _: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        Err(SourceError::Unsupported)
    }

    async fn cancel_upload(&self, _: &RepositoryName, _: &UploadId) -> Result<(), SourceError> {
        Err(SourceError::Unsupported)
    }

    async fn put_manifest(
        &self,
        _: &RepositoryName,
        _: NewManifest,
    ) -> Result<StoredManifest, SourceError> {
        Err(SourceError::Unsupported)
    }
}
