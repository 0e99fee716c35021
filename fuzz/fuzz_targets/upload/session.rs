//! An upload session, as the model keeps it.

use std::collections::BTreeMap;

use tower_oci::Digest;

use crate::{
    expected::Expected::{self, Refused},
    script::Repository,
};

/// The blobs that there are, by repository.
pub(crate) type Blobs = BTreeMap<(Repository, Digest), Vec<u8>>;

pub(crate) struct Session {
    pub(crate) repository: Repository,
    /// The path behind the repository's name.
    pub(crate) path: String,
    pub(crate) phase: Phase,
    /// The request that has the session.
    pub(crate) lease: usize,
}

#[derive(PartialEq)]
pub(crate) enum Phase {
    Open(Vec<u8>),
    Committed(Digest),
    Gone,
}

impl Session {
    /// Whether a request may begin, and what the answer is if not.
    pub(crate) fn admit(
        &self,
        is_known: bool,
        at: Option<u64>,
        expect: Option<Digest>,
        blobs: &Blobs,
    ) -> Result<(), Expected> {
        match &self.phase {
            _ if !is_known => Err(Refused(404, "BLOB_UPLOAD_UNKNOWN")),
            Phase::Open(content) => {
                let offset = content.len() as u64;
                match at {
                    Some(at) if at != offset => Err(Expected::OutOfOrder(offset)),
                    _ => Ok(()),
                }
            }
            ended => Err(ended.answer(self.repository, expect, blobs)),
        }
    }
}

impl Phase {
    /// What a session that has ended answers, to a piece or to the end with the digest `expect`.
    pub(crate) fn answer(
        &self,
        repository: Repository,
        expect: Option<Digest>,
        blobs: &Blobs,
    ) -> Expected {
        match (self, expect) {
            // A client may send the end again, if it has not heard of its success.
            (Self::Committed(digest), Some(expect))
                if *digest == expect && blobs.contains_key(&(repository, expect)) =>
            {
                Expected::Created(expect)
            }
            _ => Refused(404, "BLOB_UPLOAD_UNKNOWN"),
        }
    }
}
