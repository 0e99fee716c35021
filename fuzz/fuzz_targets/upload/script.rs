//! What a script can do.

use arbitrary::Arbitrary;
use tower_oci::{Algorithm, Digest};

#[derive(Arbitrary, Debug)]
pub(crate) enum Step {
    Start {
        repository: Repository,
        algorithm: Option<Hash>,
    },
    /// A piece for a session, or with a digest the end of it.
    Send {
        session: Target,
        piece: Piece,
        closing: Option<Closing>,
    },
    Status(Target),
    Cancel(Target),
    /// A blob in one request.
    Push {
        repository: Repository,
        piece: Piece,
        closing: Closing,
    },
    Mount {
        blob: u8,
        from: Repository,
        to: Repository,
    },
    Delete {
        blob: u8,
        from: Repository,
    },
    /// The rest of a body that was held back arrives.
    Release(u8),
    /// The client of a body that was held back leaves.
    Leave(u8),
    /// So much time passes that every session ends.
    Expire,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Repository {
    First,
    Second,
}

impl Repository {
    pub(crate) const ALL: [Self; 2] = [Self::First, Self::Second];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "a",
            // The protocol's own words make a good name.
            Self::Second => "blobs/uploads",
        }
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// A session.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) struct Target(pub(crate) u8);

impl Target {
    /// Whether it is asked for in the other repository, which does not have it.
    pub(crate) fn is_elsewhere(self) -> bool {
        self.0 >= 224
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

/// Nothing in it takes an unknown part of the input, so that the steps after it stay the same when
/// it is changed.
#[derive(Arbitrary, Debug)]
pub(crate) struct Piece {
    pub(crate) range: Range,
    pub(crate) length: Length,
    frames: [Frame; 2],
    ending: Ending,
}

/// The `Content-Range` of a piece.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Range {
    None,
    Right,
    /// Begins and ends so many bytes too early, one to four.
    Early(u8),
    Late(u8),
    /// Ends too early, or too late.
    Short(u8),
    Long(u8),
    Any(u64, u64),
    Text([u8; 6]),
    Twice,
}

/// The `Content-Length` of a piece.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Length {
    None,
    Right,
    Other(u16),
    Huge(u64),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Frame {
    /// So many bytes of this kind.
    Data(u8, u8),
    Trailers,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    End,
    /// The connection is lost.
    Fail,
    /// The end waits for [`Step::Release`].
    Hold,
    HoldAndFail,
}

/// The digest that an upload is closed with.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Closing {
    Right(Hash),
    Wrong,
}

impl Piece {
    /// The frames of the body, in their order; nothing for trailers.
    pub(crate) fn frames(&self) -> impl Iterator<Item = Option<Vec<u8>>> {
        self.frames.iter().map(|frame| match *frame {
            Frame::Data(length, byte) => Some(vec![byte; length.into()]),
            Frame::Trailers => None,
        })
    }

    /// All of the body.
    pub(crate) fn data(&self) -> Vec<u8> {
        self.frames().flatten().flatten().collect()
    }

    /// Whether the end of the body waits.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.ending, Ending::Hold | Ending::HoldAndFail)
    }

    /// Whether the connection is lost at the end of the body.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self.ending, Ending::Fail | Ending::HoldAndFail)
    }
}

impl Hash {
    pub(crate) fn algorithm(self) -> Algorithm {
        match self {
            Self::Sha256 => Algorithm::Sha256,
            Self::Sha512 => Algorithm::Sha512,
        }
    }
}

impl Closing {
    pub(crate) fn digest(self, content: &[u8]) -> Digest {
        match self {
            Self::Right(hash) => hash.algorithm().digest(content),
            Self::Wrong => Algorithm::Sha256.digest([content, b"!"].concat()),
        }
    }
}
