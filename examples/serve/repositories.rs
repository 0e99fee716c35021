//! The layouts that are served, and beside them what clients push.

use std::collections::BTreeSet;

use tower_oci::{
    BeginUpload, Blob, BlobInfo, BlobSource, BlobStore, Descriptor, Digest, DynBody, DynStore,
    Found, GetBlob, GetManifest, LayoutSource, ListReferrers, Listing, Manifest, ManifestInfo,
    MountFrom, NewManifest, Page, Precondition, ReadOnly, Reference, RepositoryName, Session,
    SourceError, StoredManifest, Tag, UploadBody, UploadId, UploadStatus,
};

/// A store of two parts: some names are those of layouts, which are only read, and all others are
/// pushed to.
///
/// Everything is answered by the part that a name belongs to. So nothing is mounted from a layout:
/// the other part does not have it, and the client uploads it.
pub(crate) struct Repositories {
    names_of_layouts: BTreeSet<RepositoryName>,
    layouts: DynStore,
    pushed: DynStore,
}

impl Repositories {
    /// Serves `layouts`, which has these names and no others, and everything else from `pushed`.
    pub(crate) fn new(
        names_of_layouts: impl IntoIterator<Item = RepositoryName>,
        layouts: LayoutSource,
        pushed: DynStore,
    ) -> Self {
        Self {
            names_of_layouts: names_of_layouts.into_iter().collect(),
            layouts: DynStore::new(ReadOnly::new(layouts)),
            pushed,
        }
    }

    /// The part that `repository` belongs to.
    fn part(&self, repository: &RepositoryName) -> &DynStore {
        match self.names_of_layouts.contains(repository) {
            true => &self.layouts,
            false => &self.pushed,
        }
    }
}

impl BlobSource for Repositories {
    type Body = DynBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        let part = self.part(repository);
        part.manifest(repository, reference, options).await
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<DynBody>, SourceError> {
        let part = self.part(repository);
        part.blob(repository, digest, options).await
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        self.part(repository).stat_blob(repository, digest).await
    }

    async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestInfo, SourceError> {
        let part = self.part(repository);
        part.stat_manifest(repository, reference).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, SourceError> {
        self.part(repository).tags(repository, page).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Result<Listing<Descriptor>, SourceError> {
        let part = self.part(repository);
        part.referrers(repository, subject, options).await
    }

    /// The names of both parts, in byte order, as each part lists its own.
    async fn repositories(&self, page: Page<'_>) -> Result<Listing<RepositoryName>, SourceError> {
        let layouts = self.layouts.repositories(page).await?;
        let pushed = self.pushed.repositories(page).await?;
        // Where one part goes on, it may have names before those that the other listed after it.
        let cuts = layouts.next.into_iter().chain(pushed.next);
        let cut = cuts.min_by(|one, other| one.as_str().cmp(other.as_str()));
        let names = layouts.items.into_iter().chain(pushed.items);
        let known =
            names.filter(|name| cut.as_ref().is_none_or(|cut| name.as_str() <= cut.as_str()));
        let mut merged = Listing::page_of(known, page);
        merged.next = merged.next.or(cut);
        Ok(merged)
    }
}

impl BlobStore for Repositories {
    async fn begin_upload(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
    ) -> Result<Session, SourceError> {
        self.part(repository).begin_upload(repository, begin).await
    }

    async fn append_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Result<u64, SourceError> {
        let part = self.part(repository);
        part.append_upload(repository, upload, at, body).await
    }

    async fn upload_status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<UploadStatus, SourceError> {
        let part = self.part(repository);
        part.upload_status(repository, upload).await
    }

    async fn finish_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let part = self.part(repository);
        part.finish_upload(repository, upload, at, last, expect)
            .await
    }

    async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<(), SourceError> {
        let part = self.part(repository);
        part.cancel_upload(repository, upload).await
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        expect: &Digest,
        begin: BeginUpload,
        body: &mut UploadBody,
    ) -> Result<BlobInfo, SourceError> {
        let part = self.part(repository);
        part.put_blob(repository, expect, begin, body).await
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: MountFrom<'_>,
    ) -> Result<bool, SourceError> {
        let part = self.part(repository);
        part.mount_blob(repository, digest, from).await
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        new: NewManifest,
    ) -> Result<StoredManifest, SourceError> {
        self.part(repository).put_manifest(repository, new).await
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        let part = self.part(repository);
        part.delete_manifest(repository, digest, precondition).await
    }

    async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        let part = self.part(repository);
        part.delete_tag(repository, tag, precondition).await
    }

    async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        let part = self.part(repository);
        part.delete_blob(repository, digest, precondition).await
    }

    async fn sweep(&self) -> Result<(), SourceError> {
        self.pushed.sweep().await
    }
}
