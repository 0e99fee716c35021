//! Media types of manifests and blobs, and the types of artifacts.

use std::str::FromStr;

use http::HeaderValue;

use crate::{
    http::range::ascii_header,
    text::{Excerpt, Text, checked_text, deserialize_from_str},
};

/// A media type without parameters: `application/vnd.oci.image.manifest.v1+json`.
///
/// Two names of RFC 6838 §4.2 around a `/`. Parameters are dropped when it is parsed, because
/// registries store and answer the bare type (`application/json; charset=utf-8` is
/// `application/json`). Upper and lower case are kept, and compared as they stand.
///
/// ```
/// # use tower_oci::MediaType;
/// let parsed: MediaType = "application/vnd.oci.image.index.v1+json; charset=utf-8".parse()?;
/// assert_eq!(parsed, MediaType::OCI_INDEX);
/// # Ok::<(), tower_oci::InvalidMediaType>(())
/// ```
#[derive(Clone)]
pub struct MediaType(Text);

checked_text!(MediaType);
deserialize_from_str!(MediaType, ArtifactType);

impl MediaType {
    /// An OCI image manifest, or an artifact in that shape.
    pub const OCI_MANIFEST: Self = Self::constant("application/vnd.oci.image.manifest.v1+json");
    /// An OCI image index.
    pub const OCI_INDEX: Self = Self::constant("application/vnd.oci.image.index.v1+json");
    /// A Docker image manifest, version 2, schema 2.
    pub const DOCKER_MANIFEST: Self =
        Self::constant("application/vnd.docker.distribution.manifest.v2+json");
    /// A Docker manifest list.
    pub const DOCKER_MANIFEST_LIST: Self =
        Self::constant("application/vnd.docker.distribution.manifest.list.v2+json");
    /// The artifact manifest that was taken out of image-spec before 1.1.
    pub const OCI_ARTIFACT_MANIFEST: Self =
        Self::constant("application/vnd.oci.artifact.manifest.v1+json");
    /// The configuration of an OCI image.
    pub const OCI_CONFIG: Self = Self::constant("application/vnd.oci.image.config.v1+json");
    /// A layer of an OCI image, as a tar archive that is not compressed.
    pub const OCI_LAYER: Self = Self::constant("application/vnd.oci.image.layer.v1.tar");
    /// The empty JSON object, where an artifact needs no configuration.
    pub const OCI_EMPTY: Self = Self::constant("application/vnd.oci.empty.v1+json");
    /// Bytes of no stated kind.
    pub const OCTET_STREAM: Self = Self::constant("application/octet-stream");

    const fn constant(text: &'static str) -> Self {
        Self(Text::Static(text))
    }

    /// Whether this is a manifest of Docker's first schema, whose bytes are not what its digest is of.
    // protocol 73
    pub(crate) fn is_schema_1(&self) -> bool {
        let name = "application/vnd.docker.distribution.manifest.v1+";
        let beginning = self.as_str().get(..name.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(name))
    }

    /// Whether a registry need not have content of this type.
    // image-spec: "Non-Distributable Layers"
    pub(crate) fn is_nondistributable(&self) -> bool {
        let text = self.as_str();
        text.starts_with("application/vnd.oci.image.layer.nondistributable.")
            || text.starts_with("application/vnd.docker.image.rootfs.foreign.")
    }

    /// Whether content of this type lists manifests of its own: an OCI index or a Docker list.
    pub fn is_index(&self) -> bool {
        self.is_one_of(&[Self::OCI_INDEX, Self::DOCKER_MANIFEST_LIST])
    }

    /// Whether this names one of `types`, in whatever case it is written (RFC 6838 §4.2).
    fn is_one_of(&self, types: &[Self]) -> bool {
        let is_same = |one: &Self| self.as_str().eq_ignore_ascii_case(one.as_str());
        types.iter().any(is_same)
    }

    /// Whether this is a type that only manifests have.
    ///
    /// A manifest may be pushed with any type; this tells the entries of an index that are
    /// manifests from those that are plain blobs, as in BuildKit's caches.
    pub fn is_manifest(&self) -> bool {
        self.is_one_of(&[
            Self::OCI_MANIFEST,
            Self::OCI_INDEX,
            Self::DOCKER_MANIFEST,
            Self::DOCKER_MANIFEST_LIST,
            Self::OCI_ARTIFACT_MANIFEST,
        ])
    }

    /// The header that names it.
    pub(crate) fn to_header(&self) -> HeaderValue {
        match KNOWN.iter().find(|(known, _)| known == self) {
            Some((_, header)) => header.clone(),
            None => ascii_header(self.as_str()),
        }
    }
}

/// A type that most answers have, with the header that names it: neither is built for a request.
type Known = (MediaType, HeaderValue);

static KNOWN: [Known; 6] = [
    known(MediaType::OCI_INDEX),
    known(MediaType::DOCKER_MANIFEST_LIST),
    known(MediaType::OCI_MANIFEST),
    known(MediaType::DOCKER_MANIFEST),
    known(MediaType::OCI_ARTIFACT_MANIFEST),
    known(MediaType::OCTET_STREAM),
];

const fn known(constant: MediaType) -> Known {
    let text = match constant.0 {
        Text::Static(text) => text,
        // No constant is.
        Text::Shared(_) => "",
    };
    (constant, HeaderValue::from_static(text))
}

impl FromStr for MediaType {
    type Err = InvalidMediaType;

    fn from_str(text: &str) -> Result<Self, InvalidMediaType> {
        let bare = text
            .split_once(';')
            .map_or(text, |(bare, _)| bare)
            .trim_matches([' ', '\t']);
        if let Some((known, _)) = KNOWN.iter().find(|(known, _)| known == bare) {
            return Ok(known.clone());
        }
        match bare.split_once('/') {
            Some((kind, subtype)) if is_restricted_name(kind) && is_restricted_name(subtype) => {
                Ok(Self(bare.into()))
            }
            _ => Err(InvalidMediaType(Excerpt::of(text))),
        }
    }
}

/// `restricted-name` of RFC 6838 §4.2.
fn is_restricted_name(name: &str) -> bool {
    name.len() <= 127
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
}

/// The text is not a [`MediaType`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a media type: two names around a '/', as in application/json")]
pub struct InvalidMediaType(Excerpt);

/// What an artifact is: the `artifactType` of a manifest, or the type of its configuration.
///
/// The specification wants a media type. Artifacts that are pushed today also have other words
/// there, so anything of 1 to 255 printable ASCII characters is taken and compared as text.
///
/// ```
/// # use tower_oci::ArtifactType;
/// assert!("application/vnd.example.sbom.v1+json".parse::<ArtifactType>().is_ok());
/// assert!("".parse::<ArtifactType>().is_err());
/// ```
#[derive(Clone)]
pub struct ArtifactType(Text);

checked_text!(ArtifactType);

impl FromStr for ArtifactType {
    type Err = InvalidArtifactType;

    fn from_str(text: &str) -> Result<Self, InvalidArtifactType> {
        let is_printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if (1..=255).contains(&text.len()) && text.bytes().all(is_printable) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidArtifactType(Excerpt::of(text)))
        }
    }
}

impl From<MediaType> for ArtifactType {
    fn from(media_type: MediaType) -> Self {
        Self(media_type.0)
    }
}

/// The text is not an [`ArtifactType`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an artifact type: 1 to 255 printable ASCII characters, as a media type has")]
pub struct InvalidArtifactType(Excerpt);
