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
    next_sweep: Instant,
}

impl Uploads {
    /// No sessions. Without `keeps`, what arrives is counted and hashed only.
    pub(super) fn new(budget: &Arc<Budget>, clock: Clock, keeps: bool) -> Self {
        Self {
            sessions: Mutex::new(Sessions {
                by_id: HashMap::new(),
                committed: VecDeque::new(),
                next_sweep: clock.after(SWEEP_INTERVAL),
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
        let session = self.session(repository, begin)?;
        let id = unguessable_id()?;
        let mut sessions = self.lock();
        sessions.by_id.insert(id.clone(), Arc::new(session));
        Ok(id)
    }

    /// A session that nobody can ask for.
    pub(super) fn session(
        &self,
        repository: &RepositoryName,
        begin: &BeginUpload,
    ) -> Result<Session, SourceError> {
        if self.lock().next_sweep <= self.clock.now() {
            self.sweep();
        }
        match self.try_session(repository, begin) {
            Err(SourceError::TooManyRequests { .. } | SourceError::Full) => {
                // Those that have expired make room.
                self.sweep();
                self.try_session(repository, begin)
            }
            session => session,
        }
    }

    fn try_session(
        &self,
        repository: &RepositoryName,
        begin: &BeginUpload,
    ) -> Result<Session, SourceError> {
        let slot = self.slots.take(repository, &begin.limits);
        let slot = slot.ok_or_else(|| SourceError::TooManyRequests {
            retry_after: Some(self.next_expiry()),
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
        if session.has_expired(self.clock.now()) {
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
        let now = self.clock.now();
        let mut sessions = self.lock();
        sessions.next_sweep = self.clock.after(SWEEP_INTERVAL);
        let Sessions {
            by_id, committed, ..
        } = &mut *sessions;
        by_id.retain(|_, session| !session.has_expired(now));
        committed.retain(|id| by_id.contains_key(id));
    }

    /// How long it takes until a session may expire.
    fn next_expiry(&self) -> Duration {
        let now = self.clock.now();
        let sessions = self.lock();
        let open = sessions.by_id.values();
        let open = open.filter(|session| session.committed().is_none());
        let next = open.map(|session| session.expires()).min();
        next.map_or(SWEEP_INTERVAL, |next| next.saturating_duration_since(now))
    }

    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 128 random bits.
fn unguessable_id() -> Result<UploadId, SourceError> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(SourceError::backend)?;
    let digits = format!("{:032x}", u128::from_le_bytes(bits));
    digits.parse().map_err(SourceError::backend)
}
