//! What arrives for the uploads of the broken store.

use tokio::task::yield_now;
use tower_oci::{
    Algorithm, BeginUpload, BlobInfo, BlobSource, BlobStore, Digest, Precondition, RepositoryName,
    SourceError, UploadBody, UploadId,
};

use super::{
    Answer, Broken,
    How::*,
    Unfinished, received,
    sessions::{SESSION_TURNS, committed, ended, of_sha512, small, stuck, whole},
};

impl Broken {
    pub(super) async fn append(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        mut at: Option<u64>,
        body: &mut UploadBody,
    ) -> Answer<u64> {
        let repository = &self.owner(AppendsInOtherRepositories, repository, upload);
        self.before(repository, upload, &mut at, body).await?;
        let _turn = match self.how {
            AppendLocksReads | NewerCancelWaits => self.turn.try_acquire().ok(),
            _ => self.wait_turn(&SESSION_TURNS).await,
        };
        let ways = [DroppedAppendRefusesOthers, DroppedAppendKeepsALock];
        let unfinished = Unfinished::new(self, stuck(upload), &ways);
        match self.how {
            AppendIgnoresTheOffset => at = None,
            AppendsBrokenBodies => *body = whole(received(body).await.0),
            FinishIgnoresBlobSizes if self.is_marked(small(upload)) => {
                self.check_size(repository, upload, body).await?;
            }
            _ => {}
        }
        let before = self.store.upload_status(repository, upload).await;
        let before = before.map_or(0, |status| status.offset);
        let appended = self.append_behind(repository, upload, at, body).await;
        if self.is(DroppedAppendIsKept) {
            yield_now().await;
        }
        unfinished.end();
        match appended {
            Ok(offset) if self.is(AppendTellsTheLengthOfThePiece) => Ok(offset - before),
            Ok(offset) => Ok(offset),
            Err(error) => {
                self.after(repository, upload, &error).await;
                if self.is(ReadsRefusedPieces) {
                    received(body).await;
                }
                self.not_appended(repository, upload, before, error)
            }
        }
    }

    async fn append_behind(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Answer<u64> {
        if !self.is(DroppedAppendLands) {
            let appended = self.store.append_upload(repository, upload, at, body);
            return appended.await;
        }
        let (store, mut moved) = (self.store.clone(), std::mem::take(body));
        let (repository, upload) = (repository.clone(), upload.clone());
        let work = async move {
            let appended = store.append_upload(&repository, &upload, at, &mut moved);
            (appended.await, moved)
        };
        let appended;
        (appended, *body) = self.detached(work).await;
        appended
    }

    fn not_appended(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        before: u64,
        error: SourceError,
    ) -> Answer<u64> {
        let owner = self.state().sessions.get(upload).cloned();
        let is_here = owner.as_ref() == Some(repository);
        let is_fine = match (self.how, &error) {
            (TellsNoOffset, SourceError::OffsetMismatch { .. }) => {
                return Err(SourceError::OffsetMismatch { current: 0 });
            }
            (OlderFailsForAnotherReason, SourceError::Superseded) => {
                return Err(SourceError::Full);
            }
            (OlderSucceeds, SourceError::Superseded) => true,
            (AppendsAfterTheCommit, SourceError::UploadUnknown) => {
                self.is_marked(committed(upload))
            }
            (AppendsToExpiredSessions, SourceError::UploadUnknown) => {
                is_here && !self.is_marked(ended(upload))
            }
            (BeginsUnknownSessions, SourceError::UploadUnknown) => owner.is_none(),
            _ => false,
        };
        match is_fine {
            true => Ok(before),
            false => Err(error),
        }
    }

    /// Refuses what is too large, as if nobody else did.
    async fn check_size(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        body: &mut UploadBody,
    ) -> Answer<()> {
        let limit = 6;
        let (bytes, error) = received(body).await;
        let status = self.store.upload_status(repository, upload).await?;
        let is_small = status.offset + bytes.len() as u64 <= limit;
        *body = whole(bytes);
        match error {
            Some(error) => Err(error),
            None if is_small => Ok(()),
            None => Err(SourceError::TooLarge { limit }),
        }
    }

    pub(super) async fn finish(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        mut at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Answer<BlobInfo> {
        let repository = &self.owner(FinishesInOtherRepositories, repository, upload);
        let is_repeated = self.is_marked(committed(upload));
        self.before(repository, upload, &mut at, last).await?;
        let _turn = match self.how {
            NewerCancelWaits => self.turn.try_acquire().ok(),
            _ => self.wait_turn(&SESSION_TURNS).await,
        };
        let ways = [DroppedFinishEndsTheSession];
        let unfinished = Unfinished::new(self, stuck(upload), &ways);
        let is_of_sha512 =
            self.is_marked(of_sha512(upload)) || expect.algorithm() == Algorithm::Sha512;
        match self.how {
            RefusesRepeatedFinish if is_repeated => return Err(SourceError::UploadUnknown),
            ReadsRepeatedFinish if is_repeated => drop(received(last).await),
            FinishIgnoresTheOffset => at = None,
            FinishesWithBrokenBodies if !is_repeated => *last = whole(received(last).await.0),
            KeepsTheLastPieceOfWrongDigests if !is_repeated => {
                let appended = self.store.append_upload(repository, upload, at, last);
                appended.await?;
                (at, *last) = (None, UploadBody::empty());
            }
            FinishesWithSha256Only if is_of_sha512 => return Err(SourceError::Unsupported),
            RefusesEmptyBlobs if expect.verifies("") => {
                return Err(SourceError::Invalid("it is empty".into()));
            }
            _ => {}
        }
        let finished = self.finish_behind(repository, upload, at, last, expect);
        let finished = finished.await;
        if self.is(DroppedFinishIsKept) {
            yield_now().await;
        }
        unfinished.end();
        match finished {
            Ok(info) => self.finished(repository, upload, expect, info).await,
            Err(error) => {
                self.after(repository, upload, &error).await;
                self.not_finished(is_repeated, error)
            }
        }
    }

    async fn finish_behind(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Answer<BlobInfo> {
        if !self.is(DroppedFinishLands) {
            let finished = self
                .store
                .finish_upload(repository, upload, at, last, expect);
            return finished.await;
        }
        let (store, mut moved) = (self.store.clone(), std::mem::take(last));
        let (repository, upload, expect) = (repository.clone(), upload.clone(), *expect);
        let work = async move {
            let finished = store.finish_upload(&repository, &upload, at, &mut moved, &expect);
            (finished.await, moved)
        };
        let finished;
        (finished, *last) = self.detached(work).await;
        finished
    }

    async fn finished(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        expect: &Digest,
        info: BlobInfo,
    ) -> Answer<BlobInfo> {
        if !self.is(FinishMakesNoRoom) && !self.is_marked(committed(upload)) {
            self.count(repository, -1);
        }
        self.mark(committed(upload));
        self.mark(ended(upload));
        self.state().committed.push((repository.clone(), *expect));
        match self.how {
            FinishTellsTheLastPiece => return Ok(BlobInfo::seekable(1)),
            FinishStoresOtherContent => self.mark(expect),
            FinishLosesTheBlob => {
                let any = Precondition::default();
                self.store.delete_blob(repository, expect, any).await?;
            }
            _ => {}
        }
        Ok(info)
    }

    fn not_finished(&self, is_repeated: bool, error: SourceError) -> Answer<BlobInfo> {
        match (self.how, error) {
            (CommitsWrongDigests, SourceError::DigestMismatch { .. }) => Ok(BlobInfo::seekable(8)),
            (CallsWrongDigestsInvalid, SourceError::DigestMismatch { .. }) => {
                Err(SourceError::Invalid("another digest".into()))
            }
            (FinishesAfterTheCommit, SourceError::UploadUnknown) if is_repeated => {
                Ok(BlobInfo::seekable(4))
            }
            (RepeatsTheFinishOfDeletedBlobs, SourceError::UploadUnknown)
                if is_repeated && self.is_marked("deleted") =>
            {
                Ok(BlobInfo::seekable(4))
            }
            (OlderSucceeds, SourceError::Superseded) => Ok(BlobInfo::seekable(0)),
            (_, error) => Err(error),
        }
    }

    pub(super) async fn put(
        &self,
        repository: &RepositoryName,
        expect: &Digest,
        mut begin: BeginUpload,
        body: &mut UploadBody,
    ) -> Answer<BlobInfo> {
        let _turn = self.wait_turn(&[PutLocksBegins]).await;
        let is_there = self.store.stat_blob(repository, expect).await.is_ok();
        match self.how {
            PutRefusesWhatIsThere if is_there => return Err(SourceError::Denied),
            PutIgnoresBlobSizes => begin.limits.blob_size = u64::MAX,
            PutsBrokenBodies => *body = whole(received(body).await.0),
            PutMakesNoRoom => {
                self.count(repository, 1);
            }
            _ => {}
        }
        let stored = match self.how {
            DroppedPutLands => {
                let (store, mut body) = (self.store.clone(), std::mem::take(body));
                let (repository, expect) = (repository.clone(), *expect);
                self.detached(async move {
                    store.put_blob(&repository, &expect, begin, &mut body).await
                })
                .await
            }
            _ => self.store.put_blob(repository, expect, begin, body).await,
        };
        if self.is(DroppedPutIsKept) {
            yield_now().await;
        }
        match (self.how, stored) {
            (PutTellsOtherSizes, Ok(info)) => Ok(BlobInfo::seekable(info.size + 1)),
            (PutTakesWrongDigests, Err(SourceError::DigestMismatch { .. })) => {
                Ok(BlobInfo::seekable(6))
            }
            (PutStoresOtherContent, Ok(info)) => {
                self.mark(expect);
                Ok(info)
            }
            (RepositoryEndsWithItsBlobs, Ok(info)) => {
                self.state().marks.remove(repository.as_str());
                Ok(info)
            }
            (DeleteBlobBreaksDownloads, Ok(info)) => {
                let deleted = format!("{repository} {expect}");
                self.state().marks.remove(&deleted);
                Ok(info)
            }
            (_, stored) => stored,
        }
    }
}
