//! Uploads of blobs, and mounts.

use tower_oci::Algorithm;

use super::{
    Answer, BLOB_SIZE, Expected, LIFETIME, Oracle, Phase, SESSIONS, SESSIONS_HERE, Session,
};
use crate::{
    operations::{Operation, SessionRef},
    requests::{ContentRange, Sent},
    universe::{CONTENTS, DOCUMENTS, Named},
};

impl Oracle {
    /// What a client sends for `operation`: it knows how far its session has come.
    pub(crate) fn sent(&self, operation: &Operation) -> Sent {
        match operation {
            Operation::Push {
                content, framing, ..
            } => Sent::framed(&CONTENTS[*content], *framing),
            Operation::PutManifest(put) => {
                Sent::framed(&DOCUMENTS[put.document].bytes, put.framing)
            }
            Operation::Append { session, piece } | Operation::Finish { session, piece, .. } => {
                let session = self.index(*session).map(|index| &self.sessions[index]);
                let content = session.map_or(0, |session| session.content);
                let offset = session.map_or(0, Session::offset);
                Sent::piece(content, offset, *piece)
            }
            _ => Sent::default(),
        }
    }

    /// The blob that a client says a session is: that of its content, or `other`.
    pub(crate) fn blob(
        &self,
        session: SessionRef,
        algorithm: Algorithm,
        other: Option<usize>,
    ) -> Named {
        let session = self.index(session).map(|index| &self.sessions[index]);
        let content = session.map_or(0, |session| session.content);
        let number = other.unwrap_or(content);
        Named { number, algorithm }
    }

    /// Which of the sessions that were ever opened is meant, if any.
    pub(crate) fn index(&self, asked: SessionRef) -> Option<usize> {
        let newest_first = (0..self.sessions.len()).rev();
        let is_open = |index: &usize| self.sessions[*index].is_open(self.now);
        let mut open = newest_first.clone().filter(is_open);
        let found = open.nth(asked.newer).filter(|_| asked.is_open);
        found.or_else(|| newest_first.clone().nth(asked.newer))
    }

    /// The session, if it is asked for in its repository and lives.
    fn session(&mut self, asked: SessionRef) -> Result<&mut Session, Expected> {
        let unknown = || Expected::error(404, "BLOB_UPLOAD_UNKNOWN");
        let now = self.now;
        let index = self.index(asked).ok_or_else(unknown)?;
        let session = &mut self.sessions[index];
        let is_here = asked.through.is_none_or(|name| name == session.repository);
        if !is_here || session.expires <= now || matches!(session.phase, Phase::Cancelled) {
            return Err(unknown());
        }
        Ok(session)
    }

    // protocol 20
    pub(super) fn start(&mut self, repository: &'static str, content: usize) -> Answer {
        self.check_room(repository)?;
        self.check_sessions(repository)?;
        self.sessions.push(Session {
            repository,
            content,
            expires: self.now + LIFETIME,
            phase: Phase::Open(Vec::new()),
        });
        let started = Expected::status(202).header("range", "0-0");
        Ok(started.some("location"))
    }

    /// Whether one more session may be open.
    fn check_sessions(&self, repository: &str) -> Result<(), Expected> {
        let open = self
            .sessions
            .iter()
            .filter(|session| session.is_open(self.now));
        let here = open
            .clone()
            .filter(|session| session.repository == repository);
        if open.count() < SESSIONS && here.count() < SESSIONS_HERE {
            return Ok(());
        }
        // protocol 9
        Err(Expected::error(429, "TOOMANYREQUESTS").some("retry-after"))
    }

    // protocol 32 and 33
    pub(super) fn mount(
        &mut self,
        repository: &'static str,
        blob: Named,
        from: Option<&str>,
    ) -> Answer {
        let mut sources = self.repositories.iter().filter(|(name, _)| match from {
            Some(from) => **name == from,
            None => self.options.allows_anonymous_mounts,
        });
        match sources.any(|(_, source)| source.blobs.contains_key(blob.blob())) {
            true => self.commit(repository, blob),
            false => self.start(repository, blob.number),
        }
    }

    // protocol 26
    pub(super) fn push(&mut self, repository: &'static str, blob: Named, sent: &Sent) -> Answer {
        sent.announced()?;
        self.check_room(repository)?;
        self.check_sessions(repository)?;
        let bytes = sent.received(0)?;
        match bytes == CONTENTS[blob.number] {
            true => self.commit(repository, blob),
            false => Err(Expected::error(400, "DIGEST_INVALID")),
        }
    }

    fn commit(&mut self, repository: &'static str, blob: Named) -> Answer {
        self.check_room(repository)?;
        let blobs = &mut self.repositories.entry(repository).or_default().blobs;
        blobs.insert(blob.blob(), blob.number);
        let location = format!("/v2/{repository}/blobs/{}", blob.blob());
        Ok(Expected::status(201)
            .header("location", location)
            .header("docker-content-digest", blob.blob()))
    }

    // protocol 27, 28 and 80
    pub(super) fn append(&mut self, asked: SessionRef, sent: &Sent) -> Answer {
        let whole = self.arrives(asked, sent)?;
        let last = whole.len().saturating_sub(1);
        self.session(asked)?.phase = Phase::Open(whole);
        Ok(Expected::status(202).header("range", format!("0-{last}")))
    }

    // protocol 24, 25 and 29
    pub(super) fn finish(&mut self, asked: SessionRef, blob: Named, sent: &Sent) -> Answer {
        sent.announced()?;
        let session = self.session(asked)?;
        let repository = session.repository;
        let is_repeated =
            matches!(session.phase, Phase::Committed(digest) if digest == blob.blob());
        let held = self.repositories.get(repository);
        if is_repeated && held.is_some_and(|held| held.blobs.contains_key(blob.blob())) {
            // The client has not seen the answer, and asks again.
            return self.commit(repository, blob);
        }
        if self.arrives(asked, sent)? != CONTENTS[blob.number] {
            return Err(Expected::error(400, "DIGEST_INVALID"));
        }
        let committed = self.commit(repository, blob)?;
        self.session(asked)?.phase = Phase::Committed(blob.blob());
        Ok(committed)
    }

    /// What the session has with what is sent for it. It lives on, whether all of that arrives or
    /// only a part.
    fn arrives(&mut self, asked: SessionRef, sent: &Sent) -> Result<Vec<u8>, Expected> {
        sent.announced()?;
        let now = self.now;
        let session = self.session(asked)?;
        let arrived = session.open()?.clone();
        sent.check_offset(arrived.len())?;
        session.expires = now + LIFETIME;
        let piece = sent.received(arrived.len())?;
        Ok([arrived, piece].concat())
    }

    // protocol 30
    pub(super) fn status(&mut self, session: SessionRef) -> Answer {
        let arrived = self.session(session)?.open()?.len();
        let range = format!("0-{}", arrived.saturating_sub(1));
        Ok(Expected::status(204).header("range", range))
    }

    // protocol 31
    pub(super) fn cancel(&mut self, session: SessionRef) -> Answer {
        let session = self.session(session)?;
        session.open()?;
        session.phase = Phase::Cancelled;
        Ok(Expected::status(204))
    }

    /// How many bytes the session has.
    pub(super) fn arrived(&self, index: usize) -> usize {
        let session = &self.sessions[index];
        let is_open = session.is_open(self.now);
        if is_open { session.offset() } else { 0 }
    }

    /// The range that the status of the session says, if the session is open.
    pub(crate) fn range(&self, index: usize) -> Option<String> {
        let session = &self.sessions[index];
        let is_open = session.is_open(self.now);
        is_open.then(|| format!("0-{}", session.offset().saturating_sub(1)))
    }
}

impl Session {
    /// How many bytes were acknowledged.
    fn offset(&self) -> usize {
        match &self.phase {
            Phase::Open(arrived) => arrived.len(),
            Phase::Committed(_) | Phase::Cancelled => 0,
        }
    }

    fn is_open(&self, now: u64) -> bool {
        matches!(self.phase, Phase::Open(_)) && now < self.expires
    }

    fn open(&mut self) -> Result<&mut Vec<u8>, Expected> {
        match &mut self.phase {
            Phase::Open(arrived) => Ok(arrived),
            Phase::Committed(_) | Phase::Cancelled => {
                Err(Expected::error(404, "BLOB_UPLOAD_UNKNOWN"))
            }
        }
    }
}

impl Sent {
    /// The length that the headers say, if they make sense.
    fn announced(&self) -> Result<Option<usize>, Expected> {
        let announced = match (&self.content_range, self.content_length) {
            (ContentRange::Malformed, _) => {
                return Err(Expected::error(400, "BLOB_UPLOAD_INVALID"));
            }
            (ContentRange::Of { length: piece, .. }, Some(length)) if *piece != length => {
                return Err(Expected::error(400, "SIZE_INVALID"));
            }
            (ContentRange::Of { length, .. }, _) => Some(*length),
            (ContentRange::None, length) => length,
        };
        match announced {
            Some(length) if length > BLOB_SIZE => Err(Expected::error(413, "SIZE_INVALID")),
            announced => Ok(announced),
        }
    }

    /// Whether it belongs at `offset` of a blob.
    fn check_offset(&self, offset: usize) -> Result<(), Expected> {
        match self.content_range {
            ContentRange::Of { start, .. } if start != offset => {
                let refused = Expected::error(416, "BLOB_UPLOAD_INVALID");
                Err(refused.header("range", format!("0-{}", offset.saturating_sub(1))))
            }
            _ => Ok(()),
        }
    }

    /// All of the body, if it has the length that was announced and the blob is not too large.
    fn received(&self, offset: usize) -> Result<Vec<u8>, Expected> {
        let announced = self.announced()?;
        let wrong_length = || Expected::error(400, "SIZE_INVALID");
        let mut received = Vec::new();
        for piece in &self.pieces {
            received.extend_from_slice(piece);
            if announced.is_some_and(|announced| received.len() > announced) {
                return Err(wrong_length());
            }
            if offset + received.len() > BLOB_SIZE {
                return Err(Expected::error(413, "SIZE_INVALID"));
            }
        }
        if self.breaks {
            return Err(Expected::error(400, "BLOB_UPLOAD_INVALID"));
        }
        match announced.is_none_or(|announced| announced == received.len()) {
            true => Ok(received),
            false => Err(wrong_length()),
        }
    }

    /// All of a manifest, which has its own limit.
    pub(super) fn received_manifest(&self, limit: usize) -> Result<Vec<u8>, Expected> {
        let size = self.announced()?.unwrap_or_else(|| self.bytes().len());
        match size > limit {
            true => Err(Expected::error(413, "SIZE_INVALID")),
            false => self.received(0),
        }
    }
}
