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
    hash,
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

#[derive(Debug)]
enum Phase {
    Open(Box<Open>),
    /// Committed with this digest.
    Committed(Digest),
    /// Cancelled.
    Gone,
}

#[derive(Debug)]
struct Open {
    /// What was acknowledged, and its hash.
    content: Growing,
    hasher: Hasher,
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
    hasher: Hasher,
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

    pub(super) fn expires(&self) -> Instant {
        self.lock().expires
    }

    /// Ends the session if it has expired, and says whether it has.
    pub(super) fn has_expired(&self, now: Instant) -> bool {
        let mut state = self.lock();
        let has_expired = state.expires <= now;
        if has_expired {
            state.end();
        }
        has_expired
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
        open.hasher = received.hasher;
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
        if received.hasher.finish() != *expect {
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
        state.end();
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
        state.extend(&self.clock, &self.limits);
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
                (algorithm.hasher(), open.content.pieces())
            }
            _ => (open.hasher.clone(), Vec::new()),
        };
        let received = Received {
            content: open.content.empty(),
            hasher,
            charge: self.budget.free(),
        };
        Ok((lease, registration, received, acknowledged))
    }

    async fn read(
        &self,
        offset: u64,
        acknowledged: Vec<Bytes>,
        mut received: Received,
        body: &mut UploadBody,
    ) -> Result<Received, SourceError> {
        for piece in acknowledged {
            received.hasher = hash::update(received.hasher, piece).await;
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
            received.hasher = hash::update(received.hasher, piece).await;
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
    fn end(&mut self) {
        if let Phase::Open(open) = std::mem::replace(&mut self.phase, Phase::Gone) {
            open.lease.abort();
        }
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
