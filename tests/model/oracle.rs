//! What a registry does, written to be obviously right: maps, and nothing else.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::{
    operations::{Conditions, EntityTags, Operation, Options},
    requests::Sent,
    universe::{CONTENTS, DOCUMENTS, Named},
};

mod content;
mod reads;
mod uploads;

/// How many sessions may be open in one repository, and in all.
pub(crate) const SESSIONS_HERE: usize = 3;
pub(crate) const SESSIONS: usize = 4;

/// The lifetime of a session in seconds.
pub(crate) const LIFETIME: u64 = 3_600;

/// The largest blob.
pub(crate) const BLOB_SIZE: usize = 80_000;

/// The largest page of tags and repositories, and the one that is sent without being asked.
pub(crate) const LARGEST_PAGE: usize = 3;
pub(crate) const DEFAULT_PAGE: usize = 2;

/// How many `?tag=` a push may have.
pub(crate) const MOST_TAGS: usize = 2;

/// A registry.
#[derive(Debug)]
pub(crate) struct Oracle {
    pub(crate) options: Options,
    /// In seconds.
    now: u64,
    pub(crate) repositories: BTreeMap<&'static str, Repository>,
    /// All that were ever opened.
    pub(crate) sessions: Vec<Session>,
}

/// What was pushed to a repository, and not deleted.
#[derive(Debug, Default)]
pub(crate) struct Repository {
    /// The digest that each points at.
    pub(crate) tags: BTreeMap<&'static str, &'static str>,
    pub(crate) manifests: BTreeMap<&'static str, Held>,
    /// The number of the content.
    pub(crate) blobs: BTreeMap<&'static str, usize>,
}

/// A manifest that is there: which document it is, and what it was sent as the last time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) document: usize,
    pub(crate) media_type: &'static str,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) repository: &'static str,
    /// The content that the client has for it.
    content: usize,
    expires: u64,
    pub(crate) phase: Phase,
}

#[derive(Debug)]
pub(crate) enum Phase {
    /// These bytes were acknowledged.
    Open(Vec<u8>),
    /// It was committed with this digest.
    Committed(&'static str),
    Cancelled,
}

/// The answer that a client must get.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) status: u16,
    pub(crate) codes: Vec<&'static str>,
    /// Without a value it is there, and says what is not foreseen here.
    pub(crate) headers: Vec<(&'static str, Option<String>)>,
    pub(crate) body: Option<Bytes>,
    /// The field of the list, and the pages that its links lead to, the first one included.
    pub(crate) pages: Option<(&'static str, Vec<Vec<Value>>)>,
}

impl Expected {
    fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    fn error(status: u16, code: &'static str) -> Self {
        Self {
            codes: vec![code],
            ..Self::status(status)
        }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Some(value.into())));
        self
    }

    fn some(mut self, name: &'static str) -> Self {
        self.headers.push((name, None));
        self
    }
}

/// What was done, or the answer that says why not.
type Answer = Result<Expected, Expected>;

impl Oracle {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            now: 0,
            repositories: BTreeMap::new(),
            sessions: Vec::new(),
        }
    }

    /// Does `operation`, which brings `sent`, and says what the answer is.
    pub(crate) fn apply(&mut self, operation: &Operation, sent: &Sent) -> Expected {
        self.answer(operation, sent)
            .unwrap_or_else(|refused| refused)
    }

    fn answer(&mut self, operation: &Operation, sent: &Sent) -> Answer {
        use Operation as O;
        match operation {
            O::Start {
                repository,
                content,
                ..
            } => self.start(repository, *content),
            O::Mount {
                repository,
                blob,
                from,
            } => self.mount(repository, *blob, *from),
            O::Push {
                repository, blob, ..
            } => self.push(repository, *blob, sent),
            O::Append { session, .. } => self.append(*session, sent),
            O::Finish {
                session,
                algorithm,
                other,
                ..
            } => {
                let blob = self.blob(*session, *algorithm, *other);
                self.finish(*session, blob, sent)
            }
            O::Status { session } => self.status(*session),
            O::Cancel { session } => self.cancel(*session),
            O::PutManifest(put) => self.put_manifest(put, sent),
            O::DeleteTag {
                repository,
                tag,
                conditions,
            } => self.delete_tag(repository, tag, conditions),
            O::DeleteManifest {
                repository,
                document,
                conditions,
            } => self.delete_manifest(repository, *document, conditions),
            O::DeleteBlob {
                repository,
                blob,
                conditions,
            } => self.delete_blob(repository, *blob, conditions),
            O::Wait { quarters } => {
                self.now += quarters * LIFETIME / 4;
                Ok(Expected::default())
            }
            read => self.read(read),
        }
    }

    fn read(&mut self, operation: &Operation) -> Answer {
        use Operation as O;
        match operation {
            O::ListTags { repository, page } => self.list_tags(repository, *page),
            O::ListRepositories { page } => self.list_repositories(*page),
            O::ListReferrers {
                repository,
                subject,
                artifact_type,
                n,
            } => self.list_referrers(repository, *subject, *artifact_type, *n),
            O::ReadManifest {
                repository,
                reference,
                conditions,
                is_head,
            } => self.read_manifest(repository, *reference, conditions, *is_head),
            O::ReadBlob {
                repository,
                blob,
                range,
                is_head,
            } => self.read_blob(repository, *blob, *range, *is_head),
            write => panic!("{write:?} does not read"),
        }
    }

    /// How many bytes there are at least. A mount has none of its own.
    pub(crate) fn used_bytes(&self) -> u64 {
        let repositories = self.repositories.values();
        let manifests = repositories
            .clone()
            .flat_map(|repository| repository.manifests.values());
        let manifests = manifests.map(|held| DOCUMENTS[held.document].bytes.len());
        let blobs: BTreeMap<_, _> = repositories.flat_map(|held| &held.blobs).collect();
        let blobs = blobs.into_values().map(|&number| CONTENTS[number].len());
        let sessions = (0..self.sessions.len()).map(|index| self.arrived(index));
        manifests.chain(blobs).chain(sessions).sum::<usize>() as u64
    }

    /// Whether something may be added to the repository, which need not be there.
    fn check_room(&self, name: &str) -> Result<(), Expected> {
        let is_full = self.repositories.len() >= self.options.repositories;
        match is_full && !self.repositories.contains_key(name) {
            true => Err(Expected::error(507, "UNKNOWN")),
            false => Ok(()),
        }
    }

    /// The repository, which has to be there.
    fn repository(&mut self, name: &str) -> Result<&mut Repository, Expected> {
        let repository = self.repositories.get_mut(name);
        repository.ok_or_else(|| Expected::error(404, "NAME_UNKNOWN"))
    }
}

impl Conditions {
    /// Whether they hold for what has the digest `current`, or for what is not there.
    // RFC 9110 §13.1.1 and §13.1.2
    fn hold(&self, current: Option<&str>, digest: impl Fn(Named) -> &'static str) -> bool {
        let matches = |tags: &EntityTags| match tags {
            EntityTags::Any => current.is_some(),
            EntityTags::Of(named) => named.iter().any(|&named| current == Some(digest(named))),
        };
        self.if_match.as_ref().is_none_or(matches)
            && !self.if_none_match.as_ref().is_some_and(matches)
    }
}
