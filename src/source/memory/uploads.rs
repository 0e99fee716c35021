//! The upload sessions of a store.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{budget::Budget, session::Session, slots::Slots};
use crate::{
    clock::Clock,
    name::{RepositoryName, UploadId},
    source::SourceError,
    store::BeginUpload,
};

/// How often a new session looks for those that have expired.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// How often at most a session that finds no room looks for those that have expired.
const SHORTEST_SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// When to try again where too many are open: any that ends makes room.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How many sessions that were committed are remembered, for clients that send the end of an upload
/// again.
const MOST_COMMITTED: usize = 10_000;

#[derive(Debug)]
pub(super) struct Uploads {
    sessions: Mutex<Sessions>,
    slots: Arc<Slots>,
    budget: Arc<Budget>,
    clock: Clock,
    keeps: bool,
}

#[derive(Debug)]
struct Sessions {
    by_id: HashMap<UploadId, Arc<Session>>,
    /// Those that were committed, the oldest first.
    committed: VecDeque<UploadId>,
    swept: Instant,
}

impl Uploads {
    /// No sessions. Without `keeps`, what arrives is counted and hashed only.
    pub(super) fn new(budget: &Arc<Budget>, clock: Clock, keeps: bool) -> Self {
        Self {
            sessions: Mutex::new(Sessions {
                by_id: HashMap::new(),
                committed: VecDeque::new(),
                swept: clock.now(),
            }),
            slots: Arc::default(),
            budget: budget.clone(),
            clock,
            keeps,
        }
    }

    /// Opens a session that is known by the id.
    pub(super) fn begin(
        &self,
        repository: &RepositoryName,
        begin: &BeginUpload,
    ) -> Result<UploadId, SourceError> {
        let (id, _) = self.open(repository, begin)?;
        Ok(id)
    }

    /// Opens a session that lives no longer than a request, and expires all the same if that stalls.
    pub(super) fn begin_single(
        &self,
        repository: &RepositoryName,
        begin: &BeginUpload,
    ) -> Result<Single<'_>, SourceError> {
        let (id, session) = self.open(repository, begin)?;
        Ok(Single {
            uploads: self,
            id,
            session,
        })
    }

    fn open(
        &self,
        repository: &RepositoryName,
        begin: &BeginUpload,
    ) -> Result<(UploadId, Arc<Session>), SourceError> {
        self.sweep_after(SWEEP_INTERVAL);
        let session = match self.try_session(repository, begin) {
            Err(SourceError::TooManyRequests { .. } | SourceError::Full) => {
                // Those that have expired make room.
                self.sweep_after(begin.limits.lifetime.min(SHORTEST_SWEEP_INTERVAL));
                self.try_session(repository, begin)?
            }
            session => session?,
        };
        let (id, session) = (unguessable_id()?, Arc::new(session));
        self.lock().by_id.insert(id.clone(), session.clone());
        Ok((id, session))
    }

    fn try_session(
        &self,
        repository: &RepositoryName,
        begin: &BeginUpload,
    ) -> Result<Session, SourceError> {
        let slot = self.slots.take(repository, &begin.limits);
        let slot = slot.ok_or_else(|| SourceError::TooManyRequests {
            retry_after: Some(RETRY_AFTER),
        })?;
        Session::new(
            repository,
            begin,
            slot,
            &self.budget,
            &self.clock,
            self.keeps,
        )
    }

    /// The session `upload` of `repository`, if it has not expired.
    pub(super) fn get(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<Arc<Session>, SourceError> {
        let session = self.lock().by_id.get(upload).cloned();
        let session = session.filter(|session| session.is_of(repository));
        let session = session.ok_or(SourceError::UploadUnknown)?;
        if session.take_expired(self.clock.now()).is_some() {
            self.lock().by_id.remove(upload);
            return Err(SourceError::UploadUnknown);
        }
        Ok(session)
    }

    /// Ends a session that is open.
    pub(super) fn cancel(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<(), SourceError> {
        self.get(repository, upload)?.cancel()?;
        self.lock().by_id.remove(upload);
        Ok(())
    }

    /// Remembers that a session was committed, and forgets the oldest of those that were.
    pub(super) fn committed(&self, upload: &UploadId) {
        let mut sessions = self.lock();
        sessions.committed.push_back(upload.clone());
        if sessions.committed.len() > MOST_COMMITTED
            && let Some(oldest) = sessions.committed.pop_front()
        {
            sessions.by_id.remove(&oldest);
        }
    }

    /// Ends all sessions that have expired.
    pub(super) fn sweep(&self) {
        self.sweep_after(Duration::ZERO);
    }

    /// The same, if it was done so long ago. What they held is freed after the lock.
    fn sweep_after(&self, interval: Duration) {
        let now = self.clock.now();
        let mut sessions = self.lock();
        if now.saturating_duration_since(sessions.swept) < interval {
            return;
        }
        sessions.swept = now;
        let Sessions {
            by_id, committed, ..
        } = &mut *sessions;
        let mut expired = Vec::new();
        by_id.retain(|_, session| {
            let held = session.take_expired(now);
            let lives = held.is_none();
            expired.extend(held);
            lives
        });
        committed.retain(|id| by_id.contains_key(id));
        drop(sessions);
        drop(expired);
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session that nobody else can ask for: its id is told to nobody.
pub(super) struct Single<'a> {
    uploads: &'a Uploads,
    id: UploadId,
    session: Arc<Session>,
}

impl Single<'_> {
    pub(super) fn session(&self) -> &Session {
        &self.session
    }
}

impl Drop for Single<'_> {
    fn drop(&mut self) {
        self.uploads.lock().by_id.remove(&self.id);
    }
}

/// 128 random bits.
fn unguessable_id() -> Result<UploadId, SourceError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(SourceError::backend)?;
    let digits = format!("{:032x}", u128::from_le_bytes(bits));
    digits.parse().map_err(SourceError::backend)
}
