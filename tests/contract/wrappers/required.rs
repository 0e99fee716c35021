use tower_oci::{
    BeginUpload, Blob, BlobInfo, BlobSource, BlobStore, Digest, Found, GetBlob, GetManifest,
    Manifest, NewManifest, Reference, RepositoryName, Session, StoredManifest, UploadBody,
    UploadId, UploadStatus, testing::Spy,
};

use super::Answer;

/// Hands on the methods that have to be implemented, and no others.
pub(super) struct Required(Spy);

impl Required {
    pub(super) fn new(spy: Spy) -> Self {
        Self(spy)
    }
}

impl BlobSource for Required {
    type Body = <Spy as BlobSource>::Body;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Answer<Found<Manifest>> {
        self.0.manifest(repository, reference, options).await
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Answer<Blob<Self::Body>> {
        self.0.blob(repository, digest, options).await
    }
}

impl BlobStore for Required {
    async fn begin_upload(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
    ) -> Answer<Session> {
        self.0.begin_upload(repository, begin).await
    }

    async fn append_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Answer<u64> {
        self.0.append_upload(repository, upload, at, body).await
    }

    async fn upload_status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Answer<UploadStatus> {
        self.0.upload_status(repository, upload).await
    }

    async fn finish_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Answer<BlobInfo> {
        let finished = self.0.finish_upload(repository, upload, at, last, expect);
        finished.await
    }

    async fn cancel_upload(&self, repository: &RepositoryName, upload: &UploadId) -> Answer<()> {
        self.0.cancel_upload(repository, upload).await
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        new: NewManifest,
    ) -> Answer<StoredManifest> {
        self.0.put_manifest(repository, new).await
    }
}
