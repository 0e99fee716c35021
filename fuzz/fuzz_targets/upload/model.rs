//! What a registry has to answer: offsets, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use http::Request;
use tower_oci::{Algorithm, Clock, Digest, Limits, MemoryStore, OciRegistryService};
use tower_oci_fuzz::{Answer, Pending, Registry, ask, send};

use crate::{
    arrival::{Announced, LARGEST_BLOB, body, read},
    expected::{
        Expected::{self, Refused},
        assert_refused,
    },
    script::{Closing, Hash, Piece, Repository, Step, Target},
    session::{Blobs, Phase, Session},
};

const MOST_SESSIONS: usize = 6;
const MOST_SESSIONS_HERE: usize = 4;
const LIFETIME: Duration = Duration::from_secs(100);

pub(crate) struct Model {
    store: MemoryStore,
    registry: Registry,
    passed: Arc<Mutex<Duration>>,
    sessions: Vec<Session>,
    held: Vec<Held>,
    blobs: Blobs,
    repositories: BTreeSet<Repository>,
    requests: usize,
}

/// A request whose body does not end.
struct Held {
    answer: Pending,
    gate: Arc<AtomicBool>,
    expected: Result<Reading, Expected>,
}

/// A request that is being read: what is decided when its body has ended.
#[derive(Clone)]
struct Reading {
    number: usize,
    /// The session, and not that of a push in one request.
    session: Option<usize>,
    repository: Repository,
    /// All of the blob, with what was there before.
    whole: Vec<u8>,
    /// Why the end of the body is no good end.
    fault: Option<Expected>,
    expect: Option<Digest>,
}

impl Model {
    pub(crate) fn new() -> Self {
        let passed = Arc::new(Mutex::new(Duration::ZERO));
        let (begin, now) = (Instant::now(), passed.clone());
        let clock = Clock::new(move || begin + *now.lock().unwrap());
        let store = MemoryStore::builder().clock(clock).build();
        let mut limits = Limits::default();
        limits.uploads.sessions = MOST_SESSIONS;
        limits.uploads.sessions_per_repository = MOST_SESSIONS_HERE;
        limits.uploads.blob_size = LARGEST_BLOB;
        limits.uploads.lifetime = LIFETIME;
        Self {
            registry: OciRegistryService::writable(store.clone()).limits(limits),
            store,
            passed,
            sessions: Vec::new(),
            held: Vec::new(),
            blobs: BTreeMap::new(),
            repositories: BTreeSet::new(),
            requests: 0,
        }
    }

    pub(crate) fn take(&mut self, step: &Step) {
        match step {
            Step::Start {
                repository,
                algorithm,
            } => self.start(*repository, *algorithm),
            Step::Send {
                session,
                piece,
                closing,
            } => self.send(*session, piece, *closing),
            Step::Push {
                repository,
                piece,
                closing,
            } => self.push(*repository, piece, *closing),
            Step::Status(target) => self.status(*target),
            Step::Cancel(target) => self.cancel(*target),
            Step::Mount { blob, from, to } => self.mount(*blob, *from, *to),
            Step::Delete { blob, from } => self.delete(*blob, *from),
            Step::Release(number) => {
                if let Some(number) = pick(&self.held, *number) {
                    self.release(number);
                }
            }
            Step::Leave(number) => {
                if let Some(number) = pick(&self.held, *number) {
                    self.held.remove(number);
                }
            }
            Step::Expire => self.expire(),
        }
        self.check_offsets();
    }

    /// Everything that was acknowledged is there, and nothing is left of what was not.
    pub(crate) fn finish(mut self) {
        self.held.clear();
        self.check_offsets();
        for session in 0..self.sessions.len() {
            self.cancel(Target(u8::try_from(session).unwrap()));
        }
        for repository in Repository::ALL {
            for (digest, content) in self.blobs_of(repository) {
                let uri = format!("/v2/{}/blobs/{digest}", repository.name());
                let answer = ask(&self.registry, "GET", &uri);
                assert_eq!(answer.status, 200);
                assert_eq!(answer.body, content);
                assert_eq!(ask(&self.registry, "DELETE", &uri).status, 202);
            }
        }
        // An entry of 256 bytes and its name is what a repository costs.
        let repositories = self.repositories.iter();
        let costs = repositories.map(|repository| 256 + repository.name().len() as u64);
        assert_eq!(self.store.used_bytes(), costs.sum::<u64>());
    }

    fn blobs_of(&self, repository: Repository) -> Vec<(Digest, Vec<u8>)> {
        let blobs = self.blobs.iter();
        let blobs = blobs.filter(|((holder, _), _)| *holder == repository);
        blobs
            .map(|((_, digest), content)| (*digest, content.clone()))
            .collect()
    }

    fn start(&mut self, repository: Repository, algorithm: Option<Hash>) {
        let algorithm = algorithm.map(Hash::algorithm);
        let algorithm = algorithm.map(|algorithm| format!("?digest-algorithm={algorithm}"));
        let algorithm = algorithm.unwrap_or_default();
        let uri = format!("/v2/{}/blobs/uploads/{algorithm}", repository.name());
        let answer = ask(&self.registry, "POST", &uri);
        self.started(repository, &answer);
    }

    /// An answer that has to be a new session, or that there are too many.
    fn started(&mut self, repository: Repository, answer: &Answer) {
        if !self.has_slot(repository) {
            assert_refused(answer, 429, "TOOMANYREQUESTS");
            assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
            return;
        }
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(answer.header("range"), "0-0");
        let location = answer.header("location");
        let path = location.strip_prefix(&format!("/v2/{}", repository.name()));
        self.sessions.push(Session {
            repository,
            path: path.unwrap().to_owned(),
            phase: Phase::Open(Vec::new()),
            lease: 0,
        });
    }

    fn has_slot(&self, repository: Repository) -> bool {
        let sessions = self.sessions.iter();
        let sessions = sessions.filter(|session| matches!(session.phase, Phase::Open(_)));
        let pushes = self.held.iter();
        let pushes = pushes.filter_map(|held| held.expected.as_ref().ok());
        let pushes = pushes.filter(|reading| reading.session.is_none());
        let open: Vec<Repository> = sessions
            .map(|session| session.repository)
            .chain(pushes.map(|reading| reading.repository))
            .collect();
        let here = open.iter().filter(|open| **open == repository).count();
        open.len() < MOST_SESSIONS && here < MOST_SESSIONS_HERE
    }

    fn uri(&self, target: Target) -> Option<(usize, String)> {
        let number = pick(&self.sessions, target.0)?;
        let session = &self.sessions[number];
        let repository = match target.is_elsewhere() {
            true => session.repository.other(),
            false => session.repository,
        };
        Some((number, format!("/v2/{}{}", repository.name(), session.path)))
    }

    fn send(&mut self, target: Target, piece: &Piece, closing: Option<Closing>) {
        let Some((number, uri)) = self.uri(target) else {
            return;
        };
        let acknowledged = match &self.sessions[number].phase {
            Phase::Open(content) => content.clone(),
            _ => Vec::new(),
        };
        let whole = [acknowledged.clone(), piece.data()].concat();
        let expect = closing.map(|closing| match (&self.sessions[number].phase, closing) {
            (Phase::Committed(digest), Closing::Right(_)) => *digest,
            _ => closing.digest(&whole),
        });
        let request = match expect {
            None => Request::patch(uri),
            Some(digest) => Request::put(format!("{uri}?digest={digest}")),
        };
        let announced = Announced::of(piece, acknowledged.len());
        let request = announced.write(request);
        self.requests += 1;
        let is_known = !target.is_elsewhere();
        let expected = announced.check().and_then(|(at, length)| {
            let session = &mut self.sessions[number];
            let blobs = &self.blobs;
            session.admit(is_known, at, expect, blobs)?;
            session.lease = self.requests;
            let read = read(piece, acknowledged.len(), length)?;
            Ok(Reading {
                number: self.requests,
                session: Some(number),
                repository: session.repository,
                whole,
                fault: read,
                expect,
            })
        });
        self.run(request, piece, expected);
    }

    fn push(&mut self, repository: Repository, piece: &Piece, closing: Closing) {
        let whole = piece.data();
        let digest = closing.digest(&whole);
        let uri = format!("/v2/{}/blobs/uploads/?digest={digest}", repository.name());
        let announced = Announced::of(piece, 0);
        let request = announced.write(Request::post(uri));
        self.requests += 1;
        let expected = announced.check().and_then(|(at, length)| {
            // Nothing of the blob can have come before.
            if at.is_some_and(|at| at != 0) {
                return Err(Expected::OutOfOrder(0));
            }
            if !self.has_slot(repository) {
                return Err(Refused(429, "TOOMANYREQUESTS"));
            }
            Ok(Reading {
                number: self.requests,
                session: None,
                repository,
                fault: read(piece, 0, length)?,
                whole,
                expect: Some(digest),
            })
        });
        self.run(request, piece, expected);
    }

    /// Sends the request, and either looks at the answer or keeps it for later.
    fn run(
        &mut self,
        request: http::request::Builder,
        piece: &Piece,
        expected: Result<Reading, Expected>,
    ) {
        let gate = Arc::new(AtomicBool::new(false));
        let is_held = piece.is_held();
        let body = body(piece, is_held.then_some(&gate));
        let request = request.body(body).unwrap();
        if !is_held {
            let answer = send(&self.registry, request);
            let expected = self.decide(expected);
            return expected.check(&answer);
        }
        let mut answer = Pending::new(&self.registry, request);
        match answer.poll() {
            // A body that is longer than announced is not read on.
            Some(answer) => {
                let Err(refused @ Refused(400, "SIZE_INVALID")) = expected else {
                    panic!("an answer before the body has ended: {answer:?}");
                };
                refused.check(&answer);
            }
            None => self.held.push(Held {
                answer,
                gate,
                expected,
            }),
        }
    }

    fn release(&mut self, number: usize) {
        let mut held = self.held.remove(number);
        held.gate.store(true, Ordering::Relaxed);
        let answer = held.answer.poll().expect("the body has ended");
        let expected = self.decide(held.expected);
        expected.check(&answer);
    }

    /// Carries out a request whose body has ended.
    fn decide(&mut self, expected: Result<Reading, Expected>) -> Expected {
        let reading = match expected {
            Ok(reading) => reading,
            Err(expected) => return expected,
        };
        if let Some(session) = reading.session.map(|number| &self.sessions[number]) {
            let has_lease = session.lease == reading.number;
            match &session.phase {
                Phase::Open(_) if has_lease => {}
                Phase::Open(_) => return Refused(409, "BLOB_UPLOAD_INVALID"),
                ended => return ended.answer(session.repository, reading.expect, &self.blobs),
            }
        }
        if let Some(fault) = reading.fault {
            return fault;
        }
        let (phase, expected) = match reading.expect {
            None => {
                let offset = reading.whole.len() as u64;
                (Phase::Open(reading.whole), Expected::Accepted(offset))
            }
            Some(digest) if !digest.verifies(&reading.whole) => {
                return Refused(400, "DIGEST_INVALID");
            }
            Some(digest) => {
                let key = (reading.repository, digest);
                self.repositories.insert(reading.repository);
                self.blobs.insert(key, reading.whole);
                (Phase::Committed(digest), Expected::Created(digest))
            }
        };
        if let Some(number) = reading.session {
            self.sessions[number].phase = phase;
        }
        expected
    }

    fn status(&self, target: Target) {
        let Some((number, uri)) = self.uri(target) else {
            return;
        };
        let answer = ask(&self.registry, "GET", &uri);
        match &self.sessions[number].phase {
            Phase::Open(content) if !target.is_elsewhere() => {
                assert_eq!(answer.status, 204, "{answer:?}");
                let last = content.len().saturating_sub(1);
                assert_eq!(answer.header("range"), format!("0-{last}"));
                assert_eq!(answer.header("location"), uri);
            }
            _ => assert_refused(&answer, 404, "BLOB_UPLOAD_UNKNOWN"),
        }
    }

    fn cancel(&mut self, target: Target) {
        let Some((number, uri)) = self.uri(target) else {
            return;
        };
        let answer = ask(&self.registry, "DELETE", &uri);
        let session = &mut self.sessions[number];
        if matches!(session.phase, Phase::Open(_)) && !target.is_elsewhere() {
            assert_eq!(answer.status, 204, "{answer:?}");
            session.phase = Phase::Gone;
        } else {
            assert_refused(&answer, 404, "BLOB_UPLOAD_UNKNOWN");
        }
    }

    fn mount(&mut self, blob: u8, from: Repository, to: Repository) {
        let digest = self.some_blob(blob);
        let (from_name, to_name) = (from.name(), to.name());
        let uri = format!("/v2/{to_name}/blobs/uploads/?mount={digest}&from={from_name}");
        let answer = ask(&self.registry, "POST", &uri);
        match self.blobs.get(&(from, digest)).cloned() {
            None => self.started(to, &answer),
            Some(content) => {
                Expected::Created(digest).check(&answer);
                self.repositories.insert(to);
                self.blobs.insert((to, digest), content);
            }
        }
    }

    fn delete(&mut self, blob: u8, from: Repository) {
        let digest = self.some_blob(blob);
        let uri = format!("/v2/{}/blobs/{digest}", from.name());
        let answer = ask(&self.registry, "DELETE", &uri);
        match self.blobs.remove(&(from, digest)) {
            Some(_) => assert_eq!(answer.status, 202, "{answer:?}"),
            None if self.repositories.contains(&from) => {
                assert_refused(&answer, 404, "BLOB_UNKNOWN");
            }
            None => assert_refused(&answer, 404, "NAME_UNKNOWN"),
        }
    }

    /// One of the blobs that are somewhere, or one that nobody has.
    fn some_blob(&self, number: u8) -> Digest {
        let mut digests = self.blobs.keys().map(|(_, digest)| *digest);
        let number = usize::from(number) % (self.blobs.len() + 1);
        let nowhere = || Algorithm::Sha256.digest("nowhere");
        digests.nth(number).unwrap_or_else(nowhere)
    }

    fn expire(&mut self) {
        // What is under way while its session expires may end in either way.
        self.held.clear();
        *self.passed.lock().unwrap() += LIFETIME + Duration::from_secs(1);
        for session in &mut self.sessions {
            session.phase = Phase::Gone;
        }
    }

    fn check_offsets(&self) {
        for (number, session) in self.sessions.iter().enumerate() {
            if matches!(session.phase, Phase::Open(_)) {
                self.status(Target(u8::try_from(number).unwrap()));
            }
        }
    }
}

/// The position of one of `items`, if there are any.
fn pick<T>(items: &[T], number: u8) -> Option<usize> {
    (!items.is_empty()).then(|| usize::from(number) % items.len())
}
