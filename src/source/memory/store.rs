//! The writing side.

use super::{
    MemoryStore,
    budget::Budget,
    content::Content,
    repository::{BlobBytes, cost_of},
    session::Session,
};
use crate::{
    access::Visibility,
    digest::Digest,
    name::{RepositoryName, Tag, UploadId},
    source::{BlobInfo, BlobSource, SourceError},
    store::{
        self, BeginUpload, BlobStore, MountFrom, NewManifest, Precondition, StoredManifest,
        UploadBody, UploadStatus,
    },
};

impl MemoryStore {
    /// The blob in any repository that is visible. Nobody else's code runs under the lock.
    fn find_blob(&self, digest: &Digest, visibility: &Visibility) -> Option<BlobBytes> {
        let repositories = self.read();
        let holders = repositories.iter();
        let holders = holders.filter(|(_, repository)| repository.has_blob(digest));
        let holders: Vec<RepositoryName> = holders.map(|(name, _)| name.clone()).collect();
        drop(repositories);
        let mut holders = holders.iter().filter(|name| visibility.shows(name));
        holders.find_map(|name| self.look(name, |repository| repository.blob(digest)).ok())
    }

    async fn commit(
        &self,
        repository: &RepositoryName,
        session: &Session,
        at: Option<u64>,
        body: &mut UploadBody,
        expect: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let commit = |content: &mut dyn FnMut() -> Content| {
            let charge = self.0.budget.take(Budget::ENTRY)?;
            self.add(repository, |repository| {
                repository.push_blob(*expect, charge, content);
                Ok(())
            })
        };
        session.finish(at, body, expect, commit).await
    }
}

impl BlobStore for MemoryStore {
    async fn begin_upload(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
    ) -> Result<store::Session, SourceError> {
        self.check_room_for(repository)?;
        self.0
            .uploads
            .begin(repository, &begin)
            .map(store::Session::new)
    }

    async fn append_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Result<u64, SourceError> {
        let session = self.0.uploads.get(repository, upload)?;
        session.append(at, body).await
    }

    async fn upload_status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<UploadStatus, SourceError> {
        let session = self.0.uploads.get(repository, upload)?;
        session.offset().map(UploadStatus::new)
    }

    async fn finish_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let session = self.0.uploads.get(repository, upload)?;
        match self.commit(repository, &session, at, last, expect).await {
            // It was committed already: before this request, or while it was under way.
            Err(SourceError::UploadUnknown)
                if session.committed() == Some(*expect) && self.has_blob(repository, expect) =>
            {
                self.stat_blob(repository, expect).await
            }
            stored => {
                let stored = stored?;
                self.0.uploads.committed(upload);
                Ok(stored)
            }
        }
    }

    async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<(), SourceError> {
        self.0.uploads.cancel(repository, upload)
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        expect: &Digest,
        begin: BeginUpload,
        body: &mut UploadBody,
    ) -> Result<BlobInfo, SourceError> {
        self.check_room_for(repository)?;
        let begin = begin.algorithm(expect.algorithm());
        let single = self.0.uploads.begin_single(repository, &begin)?;
        self.commit(repository, single.session(), Some(0), body, expect)
            .await
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: MountFrom<'_>,
    ) -> Result<bool, SourceError> {
        let found = match from {
            MountFrom::Repository(from) => self.look(from, |from| from.blob(digest)).ok(),
            MountFrom::Anywhere(visibility) => self.find_blob(digest, visibility),
        };
        let Some(bytes) = found else {
            return Ok(false);
        };
        self.make_room(Budget::ENTRY);
        self.add(repository, |repository| {
            if !repository.has_blob(digest) {
                let charge = self.0.budget.take(Budget::ENTRY)?;
                repository.insert_blob(*digest, bytes, charge);
            }
            Ok(true)
        })
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        new: NewManifest,
    ) -> Result<StoredManifest, SourceError> {
        self.make_room(cost_of(&new));
        let is_listed_as_referrer = new.referrer.is_some();
        let replaced = self.add(repository, |repository| {
            repository.put_manifest(new, &self.0.budget)
        })?;
        drop(replaced);
        Ok(StoredManifest::new(is_listed_as_referrer))
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        self.change(repository, |repository| {
            repository.delete_manifest(digest, &precondition)
        })
        .map(drop)
    }

    async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        self.change(repository, |repository| {
            repository.delete_tag(tag, &precondition)
        })
    }

    async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        self.change(repository, |repository| {
            repository.delete_blob(digest, &precondition)
        })
        .map(drop)
    }

    async fn sweep(&self) -> Result<(), SourceError> {
        self.0.uploads.sweep();
        Ok(())
    }
}
