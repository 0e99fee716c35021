//! The upload sessions of the broken store.

use tower_oci::{
    Algorithm, BeginUpload, BlobStore, BytesBody, RepositoryName, Session, SourceError, UploadBody,
    UploadId, UploadLimits, UploadStatus,
};

use super::{
    Answer, Broken,
    How::{self, *},
    received,
};

/// The ways in which a session counts for longer than it should.
const COUNTING: [How; 4] = [
    CancelMakesNoRoom,
    FinishMakesNoRoom,
    PutMakesNoRoom,
    ExpiredSessionsMakeNoRoom,
];

/// The ways in which a session belongs to the older request.
pub(super) const SESSION_TURNS: [How; 2] = [NewerWaits, NewerIsRefused];

fn is_broken_body(error: &SourceError) -> bool {
    matches!(
        error,
        SourceError::RequestBody(_) | SourceError::SizeMismatch { .. }
    )
}

pub(super) fn ended(upload: &UploadId) -> String {
    format!("{upload} has ended")
}

pub(super) fn cancelled(upload: &UploadId) -> String {
    format!("{upload} is cancelled")
}

pub(super) fn committed(upload: &UploadId) -> String {
    format!("{upload} is committed")
}

pub(super) fn small(upload: &UploadId) -> String {
    format!("{upload} is small")
}

pub(super) fn of_sha512(upload: &UploadId) -> String {
    format!("{upload} has sha512")
}

pub(super) fn stuck(upload: &UploadId) -> String {
    format!("{upload} is stuck")
}

/// A body with all of its bytes.
pub(super) fn whole(bytes: Vec<u8>) -> UploadBody {
    UploadBody::new(BytesBody::new(bytes))
}

impl Broken {
    pub(super) async fn begin(
        &self,
        repository: &RepositoryName,
        mut begin: BeginUpload,
    ) -> Answer<Session> {
        let usual = UploadLimits::default();
        let limits = begin.limits;
        let turn = self.wait_turn(&[PutLocksBegins]).await;
        drop(turn);
        match self.how {
            IgnoresSessionCounts => {
                begin.limits.sessions_per_repository = usual.sessions_per_repository;
            }
            IgnoresSessionCountsOfAll => begin.limits.sessions = usual.sessions,
            CountsSessionsOfOthers => begin.limits.sessions = limits.sessions_per_repository,
            NeverExpires => begin.limits.lifetime = usual.lifetime,
            IgnoresBlobSizes | FinishIgnoresBlobSizes => begin.limits.blob_size = usual.blob_size,
            GivesTwoSessionsOneId => {
                let sessions: Vec<UploadId> = self.state().sessions.keys().cloned().collect();
                for id in sessions {
                    if self.store.upload_status(repository, &id).await.is_ok() {
                        return Ok(Session::new(id));
                    }
                }
            }
            _ => self.take_slot(repository, limits)?,
        }
        let session = self.store.begin_upload(repository, begin).await?;
        self.begun(repository, begin, limits, &session.id);
        Ok(session)
    }

    /// Counts a session for longer than it should.
    fn take_slot(&self, repository: &RepositoryName, limits: UploadLimits) -> Answer<()> {
        if COUNTING.contains(&self.how) {
            if self.count(repository, 0) >= limits.sessions_per_repository {
                return Err(SourceError::TooManyRequests { retry_after: None });
            }
            self.count(repository, 1);
        }
        Ok(())
    }

    /// Remembers what was begun.
    fn begun(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
        limits: UploadLimits,
        upload: &UploadId,
    ) {
        if self.is(HasTagListsOfUploads) {
            self.mark(repository);
        }
        if limits.blob_size < UploadLimits::default().blob_size {
            self.mark(small(upload));
        }
        if begin.algorithm == Some(Algorithm::Sha512) {
            self.mark(of_sha512(upload));
        }
        let mut state = self.state();
        let here = repository.clone();
        state.sessions.insert(upload.clone(), here);
    }

    /// The repository to look for a session in: the one that it was begun in, if that is how the
    /// promise is broken.
    pub(super) fn owner(
        &self,
        how: How,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> RepositoryName {
        let owner = self.state().sessions.get(upload).cloned();
        let owner = owner.filter(|_| self.is(how));
        owner.unwrap_or_else(|| repository.clone())
    }

    /// Takes the session over from whoever has it.
    async fn take_over(&self, repository: &RepositoryName, upload: &UploadId) {
        let nothing = &mut UploadBody::empty();
        let _ = self
            .store
            .append_upload(repository, upload, None, nothing)
            .await;
    }

    /// What goes wrong before the body of a session is read.
    pub(super) async fn before(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: &mut Option<u64>,
        body: &mut UploadBody,
    ) -> Answer<()> {
        if self.is_marked(stuck(upload)) {
            match self.how {
                DroppedAppendKeepsALock => std::future::pending::<()>().await,
                DroppedFinishEndsTheSession => return Err(SourceError::UploadUnknown),
                _ => return Err(SourceError::Busy { retry_after: None }),
            }
        }
        if self.is_marked(committed(upload)) {
            return Ok(());
        }
        match self.how {
            NewerIsRefused if self.turn.available_permits() == 0 => {
                return Err(SourceError::Busy { retry_after: None });
            }
            RefusedPieceTakesOver if at.is_some() => self.take_over(repository, upload).await,
            TakesShorterBodies => match received(body).await {
                (bytes, None | Some(SourceError::SizeMismatch { .. })) => *body = whole(bytes),
                (_, Some(error)) => return Err(error),
            },
            KeepsWhatCameOfBrokenBodies => {
                let (bytes, error) = received(body).await;
                if let Some(error) = error {
                    let body = &mut whole(bytes);
                    let kept = self.store.append_upload(repository, upload, *at, body);
                    kept.await?;
                    return Err(error);
                }
                *body = whole(bytes);
            }
            OlderGoesOn => {
                let (bytes, error) = received(body).await;
                error.map_or(Ok(()), Err)?;
                *body = whole(bytes);
            }
            _ => {}
        }
        Ok(())
    }

    /// What goes wrong after it.
    pub(super) async fn after(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        error: &SourceError,
    ) {
        let ends = match self.how {
            RefusedPieceEndsTheSession => matches!(error, SourceError::OffsetMismatch { .. }),
            BrokenBodyEndsTheSession => is_broken_body(error),
            WrongDigestEndsTheSession => matches!(error, SourceError::DigestMismatch { .. }),
            _ => false,
        };
        if ends {
            let _ = self.store.cancel_upload(repository, upload).await;
        }
    }

    pub(super) async fn status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Answer<UploadStatus> {
        let repository = &self.owner(TellsTheStatusInOtherRepositories, repository, upload);
        if self.is(StatusTakesOver) {
            self.take_over(repository, upload).await;
        }
        match self.store.upload_status(repository, upload).await {
            Ok(_) if self.is(StatusTellsNothing) => Ok(UploadStatus::new(0)),
            Err(SourceError::UploadUnknown)
                if self.is(StatusAfterTheCommit) && self.is_marked(committed(upload)) =>
            {
                Ok(UploadStatus::new(4))
            }
            status => status,
        }
    }

    pub(super) async fn cancel(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Answer<()> {
        let owner = self.owner(CancelInOtherRepositoriesTakesOver, repository, upload);
        if owner != *repository {
            self.take_over(&owner, upload).await;
        }
        let repository = &self.owner(CancelsInOtherRepositories, repository, upload);
        let _turn = self.wait_turn(&[NewerWaits, NewerCancelWaits]).await;
        if self.is(NewerIsRefused) && self.turn.available_permits() == 0 {
            return Err(SourceError::Busy { retry_after: None });
        }
        let answer = match self.how {
            CancelDoesNothing => self.store.upload_status(repository, upload).await.map(drop),
            DroppedCancelLands => {
                let store = self.store.clone();
                let (repository, upload) = (repository.clone(), upload.clone());
                self.detached(async move { store.cancel_upload(&repository, &upload).await })
                    .await
            }
            _ => self.store.cancel_upload(repository, upload).await,
        };
        match answer {
            Ok(()) => {
                if !self.is(CancelMakesNoRoom) {
                    self.count(repository, -1);
                }
                self.mark(ended(upload));
                self.mark(cancelled(upload));
                Ok(())
            }
            Err(SourceError::UploadUnknown)
                if self.is(CancelsAfterTheCommit) && self.is_marked(committed(upload))
                    || self.is(CancelsTwice) && self.is_marked(cancelled(upload)) =>
            {
                Ok(())
            }
            answer => answer,
        }
    }

    pub(super) async fn end_all(&self) -> Answer<()> {
        let sessions = self.state().sessions.clone();
        for (upload, repository) in sessions.iter().filter(|_| self.is(SweepEndsSessions)) {
            let _ = self.store.cancel_upload(repository, upload).await;
        }
        self.store.sweep().await
    }
}
