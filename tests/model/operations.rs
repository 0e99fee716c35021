//! What a client may do, as plain data.

use tower_oci::Algorithm;

use super::universe::Named;

/// What an embedder may have set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) allows_anonymous_mounts: bool,
    pub(crate) allows_sparse_manifests: bool,
    pub(crate) has_immutable_tag: bool,
    pub(crate) allows_deletes: bool,
    /// How many repositories there may be.
    pub(crate) repositories: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Opens a session for this content.
    Start {
        repository: &'static str,
        content: usize,
        algorithm: Option<Algorithm>,
    },
    /// Without `from`, from anywhere. If it is refused, the session is for the blob.
    Mount {
        repository: &'static str,
        blob: Named,
        from: Option<&'static str>,
    },
    /// A single POST, of `content` as `blob`.
    Push {
        repository: &'static str,
        blob: Named,
        content: usize,
        framing: Framing,
    },
    /// So many bytes of the session's content, from its offset on.
    Append {
        session: SessionRef,
        piece: Piece,
    },
    /// The same, and the end. The digest is that of the session's content, or of `other`.
    Finish {
        session: SessionRef,
        piece: Piece,
        algorithm: Algorithm,
        other: Option<usize>,
    },
    Status {
        session: SessionRef,
    },
    Cancel {
        session: SessionRef,
    },
    PutManifest(PutManifest),
    DeleteTag {
        repository: &'static str,
        tag: &'static str,
        conditions: Conditions,
    },
    DeleteManifest {
        repository: &'static str,
        document: Named,
        conditions: Conditions,
    },
    DeleteBlob {
        repository: &'static str,
        blob: Named,
        conditions: Conditions,
    },
    ListTags {
        repository: &'static str,
        page: Page,
    },
    ListRepositories {
        page: Page,
    },
    ListReferrers {
        repository: &'static str,
        subject: Named,
        artifact_type: Option<&'static str>,
        n: Option<usize>,
    },
    ReadManifest {
        repository: &'static str,
        reference: Reference,
        conditions: Conditions,
        is_head: bool,
    },
    ReadBlob {
        repository: &'static str,
        blob: Named,
        range: Option<ByteRange>,
        is_head: bool,
    },
    /// So many quarters of the lifetime of a session pass.
    Wait {
        quarters: u64,
    },
}

/// A session by how many were opened after it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionRef {
    pub(crate) newer: usize,
    /// Whether only those count that are open, if so many are.
    pub(crate) is_open: bool,
    /// The repository that it is asked for in, if that is another than its own.
    pub(crate) through: Option<&'static str>,
}

/// What an upload brings, and how it says where that belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) length: Length,
    pub(crate) range: PieceRange,
    pub(crate) framing: Framing,
}

/// How many bytes of the session's content.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Length {
    /// All that is left.
    Rest,
    /// So many, if there are.
    UpTo(usize),
    /// So many, with others after the end.
    Exactly(usize),
}

/// The `Content-Range`. Nothing has none, whatever is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PieceRange {
    None,
    Right,
    /// The beginning is sent, as if nothing had arrived.
    FromStart,
    /// One byte is left out.
    Gap,
    /// It is for one byte more than there is.
    TooLong,
    Malformed,
}

/// The `Content-Length`, and how the body comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Whole,
    InPieces,
    /// Without `Content-Length`.
    Streamed,
    /// It ends with an error after the first half.
    Broken,
    /// It has one byte less than announced.
    TooShort,
    /// It has one byte more than announced.
    TooLong,
}

#[derive(Clone, Debug)]
pub(crate) struct PutManifest {
    pub(crate) repository: &'static str,
    pub(crate) document: usize,
    pub(crate) to: PutTo,
    pub(crate) sent_as: SentAs,
    /// Those of `?tag=`.
    pub(crate) tags: Vec<&'static str>,
    pub(crate) conditions: Conditions,
    pub(crate) framing: Framing,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum PutTo {
    Tag(&'static str),
    Digest(Algorithm),
    /// The digest of another document.
    WrongDigest(Named),
}

/// The `Content-Type`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SentAs {
    Own,
    Missing,
    Docker,
    Opaque,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reference {
    Tag(&'static str),
    Digest(Named),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) if_match: Option<EntityTags>,
    pub(crate) if_none_match: Option<EntityTags>,
}

/// Of documents, or where a blob is deleted, of blobs.
#[derive(Clone, Debug)]
pub(crate) enum EntityTags {
    Any,
    Of(Vec<Named>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Page {
    pub(crate) n: Option<usize>,
    pub(crate) last: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum ByteRange {
    From(usize),
    FromTo(usize, usize),
    Suffix(usize),
}
