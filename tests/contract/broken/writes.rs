//! The writing side of the broken store, whose parts are in the modules beside this one.

use tower_oci::{
    BeginUpload, BlobInfo, BlobStore, Digest, MountFrom, NewManifest, Precondition, RepositoryName,
    Session, StoredManifest, Tag, UploadBody, UploadId, UploadStatus,
};

use super::{Answer, Broken};

impl BlobStore for Broken {
    async fn begin_upload(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
    ) -> Answer<Session> {
        self.begin(repository, begin).await
    }

    async fn append_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Answer<u64> {
        self.append(repository, upload, at, body).await
    }

    async fn upload_status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Answer<UploadStatus> {
        self.status(repository, upload).await
    }

    async fn finish_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Answer<BlobInfo> {
        self.finish(repository, upload, at, last, expect).await
    }

    async fn cancel_upload(&self, repository: &RepositoryName, upload: &UploadId) -> Answer<()> {
        self.cancel(repository, upload).await
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        expect: &Digest,
        begin: BeginUpload,
        body: &mut UploadBody,
    ) -> Answer<BlobInfo> {
        self.put(repository, expect, begin, body).await
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: MountFrom<'_>,
    ) -> Answer<bool> {
        self.mount(repository, digest, from).await
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        new: NewManifest,
    ) -> Answer<StoredManifest> {
        self.put_new(repository, new).await
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Answer<()> {
        self.delete_one_manifest(repository, digest, precondition)
            .await
    }

    async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: Precondition,
    ) -> Answer<()> {
        self.delete_one_tag(repository, tag, precondition).await
    }

    async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Answer<()> {
        self.delete_one_blob(repository, digest, precondition).await
    }

    async fn sweep(&self) -> Answer<()> {
        self.end_all().await
    }
}
