//! The repositories that are only read, and beside them what clients push.

use std::collections::{BTreeMap, btree_map::Entry};

use tower_oci::{
    BeginUpload, Blob, BlobInfo, BlobSource, BlobStore, Descriptor, Digest, DynBody, DynStore,
    Found, GetBlob, GetManifest, ListReferrers, Listing, Manifest, ManifestInfo, MountFrom,
    NewManifest, Page, Precondition, ReadOnly, Reference, RepositoryName, Session, SourceError,
    StoredManifest, Tag, UploadBody, UploadId, UploadStatus,
};

/// A store of several parts: some names are those of layouts and of mirrors, which are only read, and
/// all others are pushed to.
///
/// Everything is answered by the part that a name belongs to. So nothing is mounted from a layout or
/// a mirror: the other part does not have it, and the client uploads it.
pub(crate) struct Repositories {
    only_read: BTreeMap<RepositoryName, DynStore>,
    pushed: DynStore,
}

impl Repositories {
    /// Serves every name from `pushed`.
    pub(crate) fn new(pushed: DynStore) -> Self {
        let only_read = BTreeMap::new();
        Self { only_read, pushed }
    }

    /// Serves `name` from `source`, unless it has a part of its own already: then that is given back.
    pub(crate) fn add(
        &mut self,
        name: RepositoryName,
        source: impl BlobSource,
    ) -> Result<(), RepositoryName> {
        match self.only_read.entry(name) {
            Entry::Occupied(taken) => Err(taken.key().clone()),
            Entry::Vacant(free) => {
                free.insert(DynStore::new(ReadOnly::new(source)));
                Ok(())
            }
        }
    }

    /// The part that `repository` belongs to.
    fn part(&self, repository: &RepositoryName) -> &DynStore {
        self.only_read.get(repository).unwrap_or(&self.pushed)
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

    /// The names of all parts, in byte order.
    async fn repositories(&self, page: Page<'_>) -> Result<Listing<RepositoryName>, SourceError> {
        let only_read = Listing::page_of_sorted(self.only_read.keys().cloned(), page);
        let pushed = self.pushed.repositories(page).await?;
        // Where one list goes on, it may have names before those that the other has already.
        let cuts = only_read.next.into_iter().chain(pushed.next);
        let cut = cuts.min_by(|one, other| one.as_str().cmp(other.as_str()));
        let names = only_read.items.into_iter().chain(pushed.items);
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
