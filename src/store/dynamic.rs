use std::{fmt, sync::Arc};

use super::{
    BeginUpload, BlobStore, MountFrom, NewManifest, Precondition, Session, StoredManifest,
    UploadBody, UploadStatus, forward_blob_store,
};
use crate::{
    body::DynBody,
    digest::Digest,
    name::{RepositoryName, Tag, UploadId},
    source::{
        BlobInfo, BlobSource,
        dynamic::{Answer, ObjectSafe},
        forward::forward_blob_source,
    },
};

/// A [`BlobStore`] of any type, behind one pointer: cheap to clone, and chosen at run time.
///
/// ```
/// # use tower_oci::{DynStore, MemoryStore, OciRegistryService};
/// let store: DynStore = DynStore::new(MemoryStore::new());
/// let registry: OciRegistryService<_> = OciRegistryService::writable(store);
/// ```
#[derive(Clone)]
pub struct DynStore(Arc<dyn ObjectSafeStore>);

impl DynStore {
    /// Hides the type of `store`.
    pub fn new(store: impl BlobStore) -> Self {
        Self(Arc::new(store))
    }
}

impl fmt::Debug for DynStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynStore").finish_non_exhaustive()
    }
}

/// [`BlobStore`] with boxed futures, so that it can be a trait object.
trait ObjectSafeStore: ObjectSafe {
    fn begin_upload<'a>(
        &'a self,
        repository: &'a RepositoryName,
        begin: BeginUpload,
    ) -> Answer<'a, Session>;

    fn append_upload<'a>(
        &'a self,
        repository: &'a RepositoryName,
        upload: &'a UploadId,
        at: Option<u64>,
        body: &'a mut UploadBody,
    ) -> Answer<'a, u64>;

    fn upload_status<'a>(
        &'a self,
        repository: &'a RepositoryName,
        upload: &'a UploadId,
    ) -> Answer<'a, UploadStatus>;

    fn finish_upload<'a>(
        &'a self,
        repository: &'a RepositoryName,
        upload: &'a UploadId,
        at: Option<u64>,
        last: &'a mut UploadBody,
        expect: &'a Digest,
    ) -> Answer<'a, BlobInfo>;

    fn cancel_upload<'a>(
        &'a self,
        repository: &'a RepositoryName,
        upload: &'a UploadId,
    ) -> Answer<'a, ()>;

    fn put_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        expect: &'a Digest,
        begin: BeginUpload,
        body: &'a mut UploadBody,
    ) -> Answer<'a, BlobInfo>;

    fn mount_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        from: MountFrom<'a>,
    ) -> Answer<'a, bool>;

    fn put_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        new: NewManifest,
    ) -> Answer<'a, StoredManifest>;

    fn delete_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        precondition: Precondition,
    ) -> Answer<'a, ()>;

    fn delete_tag<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        precondition: Precondition,
    ) -> Answer<'a, ()>;

    fn delete_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        precondition: Precondition,
    ) -> Answer<'a, ()>;

    fn sweep(&self) -> Answer<'_, ()>;
}

impl<S: BlobStore> ObjectSafeStore for S {
    fn begin_upload<'a>(
        &'a self,
        repository: &'a RepositoryName,
        begin: BeginUpload,
    ) -> Answer<'a, Session> {
        Box::pin(BlobStore::begin_upload(self, repository, begin))
    }

    fn append_upload<'a>(
        &'a self,
        repository: &'a RepositoryName,
        upload: &'a UploadId,
        at: Option<u64>,
        body: &'a mut UploadBody,
    ) -> Answer<'a, u64> {
        Box::pin(BlobStore::append_upload(self, repository, upload, at, body))
    }

    fn upload_status<'a>(
        &'a self,
        repository: &'a RepositoryName,
        upload: &'a UploadId,
    ) -> Answer<'a, UploadStatus> {
        Box::pin(BlobStore::upload_status(self, repository, upload))
    }

    fn finish_upload<'a>(
        &'a self,
        repository: &'a RepositoryName,
        upload: &'a UploadId,
        at: Option<u64>,
        last: &'a mut UploadBody,
        expect: &'a Digest,
    ) -> Answer<'a, BlobInfo> {
        Box::pin(BlobStore::finish_upload(
            self, repository, upload, at, last, expect,
        ))
    }

    fn cancel_upload<'a>(
        &'a self,
        repository: &'a RepositoryName,
        upload: &'a UploadId,
    ) -> Answer<'a, ()> {
        Box::pin(BlobStore::cancel_upload(self, repository, upload))
    }

    fn put_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        expect: &'a Digest,
        begin: BeginUpload,
        body: &'a mut UploadBody,
    ) -> Answer<'a, BlobInfo> {
        Box::pin(BlobStore::put_blob(self, repository, expect, begin, body))
    }

    fn mount_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        from: MountFrom<'a>,
    ) -> Answer<'a, bool> {
        Box::pin(BlobStore::mount_blob(self, repository, digest, from))
    }

    fn put_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        new: NewManifest,
    ) -> Answer<'a, StoredManifest> {
        Box::pin(BlobStore::put_manifest(self, repository, new))
    }

    fn delete_manifest<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        precondition: Precondition,
    ) -> Answer<'a, ()> {
        Box::pin(BlobStore::delete_manifest(
            self,
            repository,
            digest,
            precondition,
        ))
    }

    fn delete_tag<'a>(
        &'a self,
        repository: &'a RepositoryName,
        tag: &'a Tag,
        precondition: Precondition,
    ) -> Answer<'a, ()> {
        Box::pin(BlobStore::delete_tag(self, repository, tag, precondition))
    }

    fn delete_blob<'a>(
        &'a self,
        repository: &'a RepositoryName,
        digest: &'a Digest,
        precondition: Precondition,
    ) -> Answer<'a, ()> {
        Box::pin(BlobStore::delete_blob(
            self,
            repository,
            digest,
            precondition,
        ))
    }

    fn sweep(&self) -> Answer<'_, ()> {
        Box::pin(BlobStore::sweep(self))
    }
}

impl BlobSource for DynStore {
    forward_blob_source!(self => self.0, DynBody);
}

impl BlobStore for DynStore {
    forward_blob_store!(self => self.0);
}
