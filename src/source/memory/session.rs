//! One upload session.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytes::Bytes;
use futures_util::future::{AbortHandle, AbortRegistration, Abortable};

use super::{
    budget::{Budget, Charge},
    content::{Content, Growing},
    slots::Slot,
};
use crate::{
    clock::Clock,
    digest::{Algorithm, Digest, Hasher},
    hash::Hashing,
    limits::UploadLimits,
    name::RepositoryName,
    source::{BlobInfo, SourceError},
    store::{BeginUpload, UploadBody},
};

/// What arrives for one blob. Its lock is held to look and to change, never while bytes arrive.
#[derive(Debug)]
pub(super) struct Session {
    repository: RepositoryName,
    limits: UploadLimits,
    clock: Clock,
    budget: Arc<Budget>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    expires: Instant,
    phase: Phase,
}

/// How far a session has come.
#[derive(Debug)]
pub(super) enum Phase {
    Open(Box<Open>),
    /// Committed with this digest.
    Committed(Digest),
    /// Cancelled.
    Gone,
}

#[derive(Debug)]
pub(super) struct Open {
    /// What was acknowledged, and its hash.
    content: Growing,
    hasher: Hasher,
    /// The hash of the same in the other algorithm, once that was asked for.
    other: Option<Hasher>,
    charge: Charge,
    /// What the session itself costs.
    _entry: Charge,
    /// What stops the newest request that has read the session's offset.
    lease: AbortHandle,
    _slot: Slot,
}

/// What a request brought, on its way into the session.
struct Received {
    content: Growing,
    hashing: Hashing,
    charge: Charge,
}

/// The session belongs to one request until another takes it.
struct Lease {
    handle: AbortHandle,
    /// What was acknowledged when it began.
    offset: u64,
}

impl Session {
    pub(super) fn new(
        repository: &RepositoryName,
        begin: &BeginUpload,
        slot: Slot,
        budget: &Arc<Budget>,
        clock: &Clock,
        keeps: bool,
    ) -> Result<Self, SourceError> {
        let algorithm = begin.algorithm.unwrap_or_default();
        let (lease, _) = AbortHandle::new_pair();
        Ok(Self {
            repository: repository.clone(),
            limits: begin.limits,
            clock: clock.clone(),
            budget: budget.clone(),
            state: Mutex::new(State {
                expires: clock.after(begin.limits.lifetime),
                phase: Phase::Open(Box::new(Open {
                    content: Growing::new(keeps),
                    hasher: algorithm.hasher(),
                    other: None,
                    charge: budget.free(),
                    _entry: budget.take(Budget::ENTRY)?,
                    lease,
                    _slot: slot,
                })),
            }),
        })
    }

    pub(super) fn is_of(&self, repository: &RepositoryName) -> bool {
        self.repository == *repository
    }

    /// Ends the session if it has expired, and hands out what it held: to free that may take longer
    /// than a lock should be held.
    pub(super) fn take_expired(&self, now: Instant) -> Option<Phase> {
        let mut state = self.lock();
        (state.expires <= now).then(|| state.end())
    }

    /// The digest that it was committed with, if it was.
    pub(super) fn committed(&self) -> Option<Digest> {
        match self.lock().phase {
            Phase::Committed(digest) => Some(digest),
            Phase::Open(_) | Phase::Gone => None,
        }
    }

    pub(super) fn offset(&self) -> Result<u64, SourceError> {
        Ok(self.lock().open()?.content.length())
    }

    /// Adds `body`, and returns the new offset.
    pub(super) async fn append(
        &self,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Result<u64, SourceError> {
        let (lease, received) = self.receive(at, body, None).await?;
        let mut state = self.lock();
        state.extend(&self.clock, &self.limits);
        let open = state.leased(&lease)?;
        open.content.append(received.content);
        open.hasher = received.hashing.into_hasher();
        open.other = None;
        open.charge.merge(received.charge);
        Ok(open.content.length())
    }

    /// Adds `last`, and commits the whole if it has the digest `expect`. `commit` gets the content,
    /// unless it fails before it asks for it.
    pub(super) async fn finish(
        &self,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
        commit: impl FnOnce(&mut dyn FnMut() -> Content) -> Result<(), SourceError>,
    ) -> Result<BlobInfo, SourceError> {
        let (lease, received) = self.receive(at, last, Some(expect.algorithm())).await?;
        let size = lease.offset + received.content.length();
        if received.hashing.into_hasher().finish() != *expect {
            return Err(SourceError::DigestMismatch { expected: *expect });
        }
        let mut state = self.lock();
        state.extend(&self.clock, &self.limits);
        let open = state.leased(&lease)?;
        let Received {
            mut content,
            mut charge,
            ..
        } = received;
        commit(&mut || open.take(&mut content, &mut charge, &self.budget))?;
        state.phase = Phase::Committed(*expect);
        Ok(BlobInfo::seekable(size))
    }

    /// Ends the session, and the request that is under way.
    pub(super) fn cancel(&self) -> Result<(), SourceError> {
        let mut state = self.lock();
        state.open()?;
        let held = state.end();
        drop(state);
        drop(held);
        Ok(())
    }

    /// Takes the session over from any older request, and reads `body` for it. With `algorithm`,
    /// the hash is of that.
    async fn receive(
        &self,
        at: Option<u64>,
        body: &mut UploadBody,
        algorithm: Option<Algorithm>,
    ) -> Result<(Lease, Received), SourceError> {
        let (lease, registration, received, acknowledged) =
            self.begin_request(at, algorithm, body)?;
        let offset = lease.offset;
        let reading = self.read(offset, acknowledged, received, body);
        match Abortable::new(reading, registration).await {
            Ok(received) => Ok((lease, received?)),
            Err(_) => Err(self.lock().why_aborted()),
        }
    }

    /// Takes the session over, and says what has to be hashed again because the hash so far is not
    /// of the algorithm that is asked for.
    fn begin_request(
        &self,
        at: Option<u64>,
        algorithm: Option<Algorithm>,
        body: &UploadBody,
    ) -> Result<(Lease, AbortRegistration, Received, Vec<Bytes>), SourceError> {
        let mut state = self.lock();
        let open = state.open()?;
        let current = open.content.length();
        if at.is_some_and(|at| at != current) {
            return Err(SourceError::OffsetMismatch { current });
        }
        if open.content.keeps() {
            self.budget.check(body.length().unwrap_or(0))?;
        }
        let (handle, registration) = AbortHandle::new_pair();
        std::mem::replace(&mut open.lease, handle.clone()).abort();
        let lease = Lease {
            handle,
            offset: current,
        };
        let (hasher, acknowledged) = match algorithm {
            Some(algorithm) if algorithm != open.hasher.algorithm() => {
                if current > 0 && !open.content.keeps() {
                    return Err(SourceError::Unsupported);
                }
                match &open.other {
                    Some(other) => (other.clone(), Vec::new()),
                    None => (algorithm.hasher(), open.content.pieces()),
                }
            }
            _ => (open.hasher.clone(), Vec::new()),
        };
        let received = Received {
            content: open.content.empty(),
            hashing: Hashing::new(hasher),
            charge: self.budget.free(),
        };
        state.extend(&self.clock, &self.limits);
        Ok((lease, registration, received, acknowledged))
    }

    /// Keeps the hash in the other algorithm, so that it is made once.
    fn remember(&self, offset: u64, other: &Hasher) {
        if let Ok(open) = self.lock().open()
            && open.content.length() == offset
        {
            open.other = Some(other.clone());
        }
    }

    async fn read(
        &self,
        offset: u64,
        acknowledged: Vec<Bytes>,
        mut received: Received,
        body: &mut UploadBody,
    ) -> Result<Received, SourceError> {
        if !acknowledged.is_empty() {
            received.hashing.update_all(acknowledged).await;
            self.remember(offset, received.hashing.hasher());
        }
        let limit = self.limits.blob_size;
        while let Some(piece) = body.next().await {
            let piece = piece?;
            self.lock().extend(&self.clock, &self.limits);
            let length = piece.len() as u64;
            if offset + received.content.length() + length > limit {
                return Err(SourceError::TooLarge { limit });
            }
            if received.content.keeps() {
                received.charge.grow(length)?;
            }
            received.content.push(&piece);
            received.hashing.update(piece).await;
        }
        Ok(received)
    }

    // A panic while the lock is held leaves a state that is whole: each change is one assignment.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&mut self) -> Result<&mut Open, SourceError> {
        match &mut self.phase {
            Phase::Open(open) => Ok(open),
            Phase::Committed(_) | Phase::Gone => Err(SourceError::UploadUnknown),
        }
    }

    /// The open session, if the request with `lease` still has it.
    fn leased(&mut self, lease: &Lease) -> Result<&mut Open, SourceError> {
        match lease.handle.is_aborted() {
            true => Err(self.why_aborted()),
            false => self.open(),
        }
    }

    fn why_aborted(&mut self) -> SourceError {
        self.open().err().unwrap_or(SourceError::Superseded)
    }

    /// Ends the session, and the request that is under way.
    fn end(&mut self) -> Phase {
        let before = std::mem::replace(&mut self.phase, Phase::Gone);
        if let Phase::Open(open) = &before {
            open.lease.abort();
        }
        before
    }

    /// Something has arrived, so the session lives on.
    fn extend(&mut self, clock: &Clock, limits: &UploadLimits) {
        self.expires = clock.after(limits.lifetime);
    }
}

impl Open {
    /// Takes everything that was acknowledged away, with what came after it.
    fn take(&mut self, last: &mut Growing, charge: &mut Charge, budget: &Arc<Budget>) -> Content {
        let empty = self.content.empty();
        let mut content = std::mem::replace(&mut self.content, empty);
        content.append(std::mem::replace(last, content.empty()));
        let mut whole = std::mem::replace(&mut self.charge, budget.free());
        whole.merge(std::mem::replace(charge, budget.free()));
        content.finish(whole)
    }
}
