//! Descriptors: how one piece of content names another.

use std::{collections::BTreeMap, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    digest::{Digest, InvalidDigest},
    media_type::{ArtifactType, MediaType},
    text::Excerpt,
};

mod convert;

/// Names a piece of content by type, digest and size.
///
/// Reading is lenient, because registries hold documents that a strict reader refuses: a
/// descriptor without `mediaType`, a platform without architecture, annotations that are no
/// strings (those are left out). Only the digest and the size must be there and make sense. Fields
/// that are not listed here are not kept: what is stored and served is always the document's own
/// bytes.
///
/// Specification: image-spec, "Content Descriptors".
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Descriptor {
    /// The type of the content; `application/octet-stream` if none is given.
    pub media_type: MediaType,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content in bytes, at most [`Descriptor::MAX_SIZE`].
    pub size: u64,
    /// Where else the content can be had. Layers with URLs may be missing from a registry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Remarks by key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The content itself, in Base64: read it with [`Descriptor::embedded`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// What the content runs on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What kind of artifact the content is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<ArtifactType>,
}

impl Descriptor {
    /// The largest size that a descriptor can give: that of a signed 64-bit number, as every
    /// client reads it.
    pub const MAX_SIZE: u64 = i64::MAX as u64;

    /// A descriptor with nothing but type, digest and size.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            data: None,
            platform: None,
            artifact_type: None,
        }
    }

    /// The content, where the descriptor alone gives it: from `data`, or because it is empty.
    ///
    /// # Errors
    ///
    /// `data` is not Base64, is longer or shorter than `size`, or has another digest; or `size` is
    /// 0 and the digest is not the one of empty content.
    pub fn embedded(&self) -> Result<Option<Bytes>, InvalidDescriptor> {
        let content = match &self.data {
            Some(data) => BASE64
                .decode(data)
                .map_err(|_| InvalidDescriptor::DataEncoding(self.digest))?,
            None if self.size == 0 => Vec::new(),
            None => return Ok(None),
        };
        if content.len() as u64 != self.size {
            return Err(InvalidDescriptor::DataLength {
                digest: self.digest,
                length: content.len(),
                size: self.size,
            });
        }
        if !self.digest.verifies(&content) {
            return Err(InvalidDescriptor::DataDigest(self.digest));
        }
        Ok(Some(content.into()))
    }

    /// Whether a registry need not have the content, because it is to be had elsewhere.
    // protocol 39
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.media_type.is_nondistributable() || !self.urls.is_empty()
    }

    /// The number of bytes of this descriptor as JSON.
    pub(crate) fn json_length(&self) -> usize {
        // Nothing in a descriptor refuses to be written: all its keys are strings.
        serde_json::to_vec(self).map_or(0, |json| json.len())
    }

    /// Reads one leniently from a JSON value.
    pub(crate) fn parse(json: &RawValue) -> Result<Self, InvalidDescriptor> {
        // serde reads a JSON array as a struct too, field by field.
        let raw: RawDescriptor<'_> = Some(json.get())
            .filter(|json| json.starts_with('{'))
            .and_then(|json| serde_json::from_str(json).ok())
            .ok_or(InvalidDescriptor::NotAnObject)?;
        let digest: String = lenient(raw.digest).ok_or(InvalidDescriptor::NoDigest)?;
        let size = raw.size.map_or("none", RawValue::get);
        let size: u64 = serde_json::from_str(size)
            .ok()
            .filter(|&size| size <= Self::MAX_SIZE)
            .ok_or_else(|| InvalidDescriptor::Size(Excerpt::of(size)))?;
        Ok(Self {
            media_type: lenient(raw.media_type).unwrap_or(MediaType::OCTET_STREAM),
            digest: digest.parse()?,
            size,
            urls: lenient(raw.urls).unwrap_or_default(),
            annotations: lenient(raw.annotations).map_or_else(BTreeMap::new, Annotations::into),
            data: lenient(raw.data),
            platform: lenient(raw.platform),
            artifact_type: lenient(raw.artifact_type),
        })
    }
}

impl FromStr for Descriptor {
    type Err = InvalidDescriptor;

    /// Reads a descriptor leniently from JSON.
    fn from_str(json: &str) -> Result<Self, InvalidDescriptor> {
        let json = serde_json::from_str(json).map_err(|_| InvalidDescriptor::NotAnObject)?;
        Self::parse(json)
    }
}

/// Why a descriptor cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDescriptor {
    /// It is not a JSON object.
    #[error("a descriptor is not a JSON object, or names a field twice")]
    NotAnObject,
    /// It has no digest.
    #[error("a descriptor has no digest")]
    NoDigest,
    /// Its digest cannot be verified.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// Its size is missing, negative, no whole number, or beyond [`Descriptor::MAX_SIZE`].
    #[error("{0} is not a descriptor's size: a number from 0 to 2^63 - 1")]
    Size(Excerpt),
    /// Its `data` is not Base64.
    #[error("the data of the descriptor of {0} is not Base64")]
    DataEncoding(Digest),
    /// Its `data` is longer or shorter than its size.
    #[error("the data of the descriptor of {digest} is {length} bytes long, its size is {size}")]
    DataLength {
        /// The descriptor's digest.
        digest: Digest,
        /// The length of the data in bytes.
        length: usize,
        /// The descriptor's size.
        size: u64,
    },
    /// Its `data` has another digest, or its size is 0 and its digest is not that of nothing.
    #[error("the data of the descriptor of {0} has another digest")]
    DataDigest(Digest),
}

/// What an image runs on, as an index tells it. Every field may be empty.
///
/// Specification: image-spec, "Image Index", `platform`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Platform {
    /// The processor, in Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// The operating system, in Go's words: `linux`.
    pub os: String,
    /// The version of the operating system.
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    /// What the operating system must be able to do: `win32k`.
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// The variant of the processor: `v8`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

impl Platform {
    /// The platform `os/architecture`.
    ///
    /// ```
    /// # use tower_oci::Platform;
    /// assert_eq!(Platform::new("linux", "arm64").architecture, "arm64");
    /// ```
    pub fn new(os: impl Into<String>, architecture: impl Into<String>) -> Self {
        Self {
            os: os.into(),
            architecture: architecture.into(),
            ..Self::default()
        }
    }

    /// The same, with this variant of the processor.
    #[must_use]
    pub fn variant(self, variant: impl Into<String>) -> Self {
        let variant = variant.into();
        Self { variant, ..self }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDescriptor<'a> {
    #[serde(borrow)]
    media_type: Option<&'a RawValue>,
    #[serde(borrow)]
    digest: Option<&'a RawValue>,
    #[serde(borrow)]
    size: Option<&'a RawValue>,
    #[serde(borrow)]
    urls: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    platform: Option<&'a RawValue>,
    #[serde(borrow)]
    artifact_type: Option<&'a RawValue>,
}

/// The field's value, or nothing if it is missing or of the wrong kind.
pub(crate) fn lenient<'a, T: Deserialize<'a>>(json: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(json?.get()).ok()
}

/// Annotations, without those that are no strings.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Annotations<'a>(#[serde(borrow)] BTreeMap<String, &'a RawValue>);

impl From<Annotations<'_>> for BTreeMap<String, String> {
    fn from(annotations: Annotations<'_>) -> Self {
        annotations
            .0
            .into_iter()
            .filter_map(|(key, value)| Some((key, lenient(Some(value))?)))
            .collect()
    }
}
