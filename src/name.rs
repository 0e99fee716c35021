//! What a request names: repositories, tags, references and upload sessions.
//!
//! Each type has one constructor, its parser, so a value that exists is a value the
//! specification allows.

use std::{fmt, str::FromStr};

use crate::{
    digest::{Digest, InvalidDigest},
    text::{Excerpt, Text, checked_text, deserialize_from_str},
};

/// The name of a repository: `library/alpine`.
///
/// Components of lower-case letters and digits, joined by `.`, `_`, `__` or any number of `-`,
/// and separated by `/`; at most 255 bytes in all. A name cannot hold `..`, an empty component or
/// a percent sign, so it cannot escape a folder it is joined to. It *can* equal a folder that a
/// store uses itself (`a/blobs/sha256`), and may hold the protocol's own words (`v2/blobs`).
///
/// Specification: "Pulling manifests", `<name>`.
///
/// ```
/// # use tower_oci::RepositoryName;
/// let name: RepositoryName = "library/alpine".parse()?;
/// assert_eq!(name.as_str(), "library/alpine");
/// assert!("Library/alpine".parse::<RepositoryName>().is_err());
/// # Ok::<(), tower_oci::InvalidName>(())
/// ```
#[derive(Clone)]
pub struct RepositoryName(Text);

checked_text!(RepositoryName);
deserialize_from_str!(RepositoryName, Tag, Reference, UploadId);

impl RepositoryName {
    /// The longest name, in bytes. Clients keep `host:port/name` within 255.
    pub const MAX_LENGTH: usize = 255;

    /// A name that is written in the program, and right there.
    #[cfg(feature = "testing")]
    pub(crate) const fn constant(name: &'static str) -> Self {
        Self(Text::Static(name))
    }
}

impl FromStr for RepositoryName {
    type Err = InvalidName;

    fn from_str(name: &str) -> Result<Self, InvalidName> {
        let mut components = name.as_bytes().split(|&byte| byte == b'/');
        if name.len() <= Self::MAX_LENGTH && components.all(is_name_component) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidName(Excerpt::of(name)))
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_name_component(mut component: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    loop {
        let word = component.iter().take_while(|byte| is_word(byte)).count();
        let rest = &component[word..];
        let separator = rest.iter().take_while(|byte| !is_word(byte)).count();
        match &rest[..separator] {
            _ if word == 0 => return false,
            [] => return true,
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|&byte| byte == b'-') => {}
            _ => return false,
        }
        component = &rest[separator..];
    }
}

/// The text is not a [`RepositoryName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not a repository name: lower-case letters and digits, joined by '.', '_', '__' or \
     '-' and separated by '/', at most 255 bytes"
)]
pub struct InvalidName(Excerpt);

/// A tag: `latest`, `3.18`, `v1.0_build.7`.
///
/// A letter, digit or `_`, then at most 127 letters, digits, `.`, `_` or `-`. Two tags may differ
/// only in case. Byte order is the order of tag lists.
///
/// Specification: "Pulling manifests", `<reference>` as a tag.
///
/// ```
/// # use tower_oci::Tag;
/// assert!("3.18".parse::<Tag>().is_ok());
/// assert!("-latest".parse::<Tag>().is_err());
/// ```
#[derive(Clone)]
pub struct Tag(Text);

checked_text!(Tag);

impl Tag {
    /// The longest tag, in bytes.
    pub const MAX_LENGTH: usize = 128;

    /// A tag that is written in the program, and right there.
    #[cfg(feature = "testing")]
    pub(crate) const fn constant(tag: &'static str) -> Self {
        Self(Text::Static(tag))
    }

    /// The tag under which clients keep the referrers of `subject` on registries without a
    /// referrers API.
    ///
    /// Specification: "Referrers Tag Schema"; the algorithm is cut to 32 characters and the
    /// encoded part to 64.
    ///
    /// ```
    /// # use tower_oci::{Algorithm, Tag};
    /// let subject = Algorithm::Sha256.digest(b"");
    /// assert!(Tag::referrers_of(&subject).as_str().starts_with("sha256-e3b0c442"));
    /// ```
    pub fn referrers_of(subject: &Digest) -> Self {
        // Both parts consist of letters and digits and fit in 97 bytes, so this is a tag.
        let encoded = subject.encoded();
        let shown = encoded.get(..64).unwrap_or(&encoded);
        Self(format!("{}-{shown}", subject.algorithm()).as_str().into())
    }
}

impl FromStr for Tag {
    type Err = InvalidTag;

    fn from_str(tag: &str) -> Result<Self, InvalidTag> {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let is_tag = match tag.as_bytes() {
            [first, rest @ ..] => {
                tag.len() <= Self::MAX_LENGTH
                    && is_word(*first)
                    && rest
                        .iter()
                        .all(|&byte| is_word(byte) || byte == b'.' || byte == b'-')
            }
            [] => false,
        };
        if is_tag {
            Ok(Self(tag.into()))
        } else {
            Err(InvalidTag(Excerpt::of(tag)))
        }
    }
}

/// The text is not a [`Tag`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} is not a tag: a letter, digit or '_', then at most 127 letters, digits, '.', '_' or '-'"
)]
pub struct InvalidTag(Excerpt);

/// What a manifest is asked for by: a tag, which may move, or a digest, which cannot.
///
/// Anything with a `:` is a digest.
///
/// ```
/// # use tower_oci::Reference;
/// assert!(matches!("latest".parse()?, Reference::Tag(_)));
/// assert!("sha256:abc".parse::<Reference>().is_err());
/// # Ok::<(), tower_oci::InvalidReference>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// The manifest that the tag points at now.
    Tag(Tag),
    /// The manifest with this digest.
    Digest(Digest),
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(reference: &str) -> Result<Self, InvalidReference> {
        if reference.as_bytes().contains(&b':') {
            Ok(Self::Digest(reference.parse()?))
        } else {
            Ok(Self::Tag(reference.parse()?))
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

/// The text is neither a [`Tag`] nor a [`Digest`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
#[non_exhaustive]
pub enum InvalidReference {
    /// It has no `:`, and is not a tag.
    Tag(#[from] InvalidTag),
    /// It has a `:`, and is not a digest that is understood here.
    Digest(#[from] InvalidDigest),
}

/// The id of an upload session: 1 to 128 letters, digits, `_` or `-`.
///
/// A registry makes it, so it says nothing to a client; that it cannot be guessed is a promise of
/// the store that hands it out.
#[derive(Clone)]
pub struct UploadId(Text);

checked_text!(UploadId);

impl FromStr for UploadId {
    type Err = InvalidUploadId;

    fn from_str(id: &str) -> Result<Self, InvalidUploadId> {
        let is_id = (1..=128).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
        if is_id {
            Ok(Self(id.into()))
        } else {
            Err(InvalidUploadId(Excerpt::of(id)))
        }
    }
}

/// The text is not an [`UploadId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the id of an upload session")]
pub struct InvalidUploadId(Excerpt);
