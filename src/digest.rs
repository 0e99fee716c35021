//! Content digests: what names every manifest and blob.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256, Sha512};

use crate::text::{Excerpt, deserialize_from_str};

/// A hash algorithm that content can be verified with.
///
/// Specification: image-spec, "Descriptors", registered algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256, which every registry must know: 64 hexadecimal digits.
    #[default]
    Sha256,
    /// SHA-512, which a registry may know: 128 hexadecimal digits.
    Sha512,
}

impl Algorithm {
    /// The name as it stands before the `:` of a digest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// The digest of `content`.
    ///
    /// ```
    /// # use tower_oci::Algorithm;
    /// let digest = Algorithm::Sha256.digest(b"hello");
    /// assert!(digest.to_string().starts_with("sha256:2cf24dba"));
    /// ```
    pub fn digest(self, content: impl AsRef<[u8]>) -> Digest {
        let mut hasher = self.hasher();
        hasher.update(content);
        hasher.finish()
    }

    /// A hasher for content that arrives in pieces.
    pub fn hasher(self) -> Hasher {
        Hasher(match self {
            Self::Sha256 => HasherState::Sha256(Sha256::new()),
            Self::Sha512 => HasherState::Sha512(Sha512::new()),
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = InvalidDigest;

    fn from_str(name: &str) -> Result<Self, InvalidDigest> {
        match name {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ if is_algorithm(name) => Err(InvalidDigest::unsupported(name)),
            _ => Err(InvalidDigest::malformed(name)),
        }
    }
}

/// Hashes content that arrives in pieces.
#[derive(Clone)]
pub struct Hasher(HasherState);

#[derive(Clone)]
enum HasherState {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    /// What it hashes with.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            HasherState::Sha256(_) => Algorithm::Sha256,
            HasherState::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes in the next piece.
    pub fn update(&mut self, piece: impl AsRef<[u8]>) {
        match &mut self.0 {
            HasherState::Sha256(state) => state.update(piece),
            HasherState::Sha512(state) => state.update(piece),
        }
    }

    /// The digest of all pieces in their order.
    pub fn finish(self) -> Digest {
        Digest(match self.0 {
            HasherState::Sha256(state) => Hash::Sha256(state.finalize().into()),
            HasherState::Sha512(state) => Hash::Sha512(state.finalize().into()),
        })
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").finish_non_exhaustive()
    }
}

/// A content digest: `sha256:` and 64, or `sha512:` and 128 lower-case hexadecimal digits.
///
/// Order is the byte order of the text. The same content has a digest in each [`Algorithm`], and
/// those are different digests.
///
/// Specification: image-spec, "Descriptors", "Digests".
///
/// ```
/// # use tower_oci::{Algorithm, Digest, InvalidDigest};
/// let digest: Digest =
///     "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".parse()?;
/// assert_eq!(digest, Algorithm::Sha256.digest(b""));
/// assert!(matches!("blake3:af13".parse::<Digest>(), Err(InvalidDigest::Unsupported { .. })));
/// # Ok::<(), InvalidDigest>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Hash);

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Hash {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

deserialize_from_str!(Algorithm, Digest);

/// How many digits the longest digest has.
const MOST_DIGITS: usize = 128;

impl Digest {
    /// The algorithm before the `:`.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Hash::Sha256(_) => Algorithm::Sha256,
            Hash::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The hexadecimal digits after the `:`.
    pub fn encoded(&self) -> String {
        self.write_digits(&mut [0; MOST_DIGITS]).to_owned()
    }

    /// How many bytes the text has.
    pub(crate) fn text_length(&self) -> usize {
        self.algorithm().as_str().len() + 1 + 2 * self.as_bytes().len()
    }

    /// Adds the text to `text`: what formatting does, for those who write many.
    pub(crate) fn write_to(&self, text: &mut String) {
        text.push_str(self.algorithm().as_str());
        text.push(':');
        text.push_str(self.write_digits(&mut [0; MOST_DIGITS]));
    }

    fn write_digits<'a>(&self, digits: &'a mut [u8; MOST_DIGITS]) -> &'a str {
        let digits = match &self.0 {
            Hash::Sha256(bytes) => encode_hex(bytes, digits),
            Hash::Sha512(bytes) => encode_hex(bytes, digits),
        };
        // They are ASCII.
        std::str::from_utf8(digits).unwrap_or_default()
    }

    /// Whether `content` has this digest.
    pub fn verifies(&self, content: impl AsRef<[u8]>) -> bool {
        self.algorithm().digest(content) == *self
    }

    /// The hash itself: 32 bytes of SHA-256 or 64 of SHA-512.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Hash::Sha256(bytes) => bytes,
            Hash::Sha512(bytes) => bytes,
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm().as_str())?;
        f.write_str(":")?;
        f.write_str(self.write_digits(&mut [0; MOST_DIGITS]))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(digest: &str) -> Result<Self, InvalidDigest> {
        let malformed = || InvalidDigest::malformed(digest);
        let (algorithm, encoded) = digest.split_once(':').ok_or_else(malformed)?;
        let hash = match algorithm {
            "sha256" => decode_hex(encoded).map(Hash::Sha256),
            "sha512" => decode_hex(encoded).map(Hash::Sha512),
            _ if is_algorithm(algorithm) && is_encoded(encoded) => {
                return Err(InvalidDigest::unsupported(algorithm));
            }
            _ => None,
        };
        hash.map(Self).ok_or_else(malformed)
    }
}

/// `[a-z0-9]+([+._-][a-z0-9]+)*`
fn is_algorithm(algorithm: &str) -> bool {
    algorithm
        .split(['+', '.', '_', '-'])
        .all(|word| !word.is_empty() && word.bytes().all(is_lower_alphanumeric))
}

/// `[a-zA-Z0-9=_-]+`
fn is_encoded(encoded: &str) -> bool {
    !encoded.is_empty()
        && encoded
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"=_-".contains(&byte))
}

fn is_lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Writes `2 * N` lower-case hexadecimal digits to the beginning of `digits`.
fn encode_hex<'a, const N: usize>(bytes: &[u8; N], digits: &'a mut [u8; MOST_DIGITS]) -> &'a [u8] {
    // Computed, and not looked up: processors do many of them at once.
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'a' - 10 };
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 0xf);
    }
    &digits[..2 * N]
}

/// The bytes of exactly `2 * N` lower-case hexadecimal digits.
fn decode_hex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    const NONE: u8 = 0xff;
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => NONE,
    };
    if digits.len() != 2 * N {
        return None;
    }
    let (mut bytes, mut all) = ([0; N], 0);
    // All of them, whatever the first one is: processors do many at once.
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        let (high, low) = (value(pair[0]), value(pair[1]));
        *byte = high << 4 | low;
        all |= high | low;
    }
    (all != NONE).then_some(bytes)
}

/// The text is not a [`Digest`] that can be verified here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDigest {
    /// It is no digest at all.
    #[error(
        "{0} is not a digest: sha256 and 64, or sha512 and 128 lower-case hexadecimal digits \
         after a ':'"
    )]
    Malformed(Excerpt),
    /// It may be a digest, of an algorithm that is not supported.
    #[error("the digest algorithm {algorithm} is not supported: sha256 and sha512 are")]
    Unsupported {
        /// The algorithm's name.
        algorithm: Excerpt,
    },
}

impl InvalidDigest {
    fn malformed(text: &str) -> Self {
        Self::Malformed(Excerpt::of(text))
    }

    fn unsupported(algorithm: &str) -> Self {
        Self::Unsupported {
            algorithm: Excerpt::of(algorithm),
        }
    }
}
