//! Manifests: the exact bytes, and a lenient view of what they say.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    descriptor::{Annotations, Descriptor, InvalidDescriptor, lenient},
    digest::{Algorithm, Digest},
    media_type::{ArtifactType, MediaType},
    text::Excerpt,
};

/// A manifest as it is stored and served: its exact bytes, its media type and its digest.
///
/// Any JSON object may be one. The bytes are never parsed and written back, which would change the
/// digest. Cloning copies nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    digest: Digest,
    media_type: MediaType,
    bytes: Bytes,
}

impl Manifest {
    /// The size that registries are expected to take at least, and that clients read at most:
    /// 4 MiB.
    pub const USUAL_LIMIT: usize = 4 << 20;

    /// A manifest whose digest is the SHA-256 of its bytes.
    pub fn new(media_type: MediaType, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::trusted(Algorithm::Sha256.digest(&bytes), media_type, bytes)
    }

    /// A manifest with the media type that its own `mediaType` field gives.
    ///
    /// Without that field an object with `manifests` is taken for an OCI index, and one with
    /// `layers` or `config` for an OCI image manifest.
    ///
    /// # Errors
    ///
    /// The bytes are not a JSON object, or it does not tell what it is.
    pub fn parse(bytes: impl Into<Bytes>) -> Result<Self, InvalidManifest> {
        let bytes = bytes.into();
        let media_type = ManifestView::parse(&bytes)?
            .media_type()
            .ok_or(InvalidManifest::NoMediaType)?;
        Ok(Self::new(media_type, bytes))
    }

    /// A manifest that is known by `digest`, checked against its bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidManifest::DigestMismatch`] if the bytes have another digest.
    pub fn verified(
        digest: Digest,
        media_type: MediaType,
        bytes: impl Into<Bytes>,
    ) -> Result<Self, InvalidManifest> {
        let bytes = bytes.into();
        if !digest.verifies(&bytes) {
            return Err(InvalidManifest::DigestMismatch(digest));
        }
        Ok(Self::trusted(digest, media_type, bytes))
    }

    /// A manifest that is known by `digest`, as the caller vouches: nothing is hashed.
    ///
    /// For storage that verified the bytes when they came in. A wrong digest here is a wrong
    /// answer to a client, which will refuse it.
    pub fn trusted(digest: Digest, media_type: MediaType, bytes: impl Into<Bytes>) -> Self {
        Self {
            digest,
            media_type,
            bytes: bytes.into(),
        }
    }

    /// The digest that the manifest is known by.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The type that the manifest was stored with.
    pub fn media_type(&self) -> &MediaType {
        &self.media_type
    }

    /// The bytes as they were stored.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The size in bytes.
    pub fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The digest of the subject that this manifest refers to, and its own entry in the list of
    /// that subject's referrers; nothing if it refers to nothing.
    ///
    /// For storage that lists referrers itself: see
    /// [`BlobSource::referrers`](crate::BlobSource::referrers).
    ///
    /// # Errors
    ///
    /// The bytes are not a JSON object.
    pub fn referrer(&self) -> Result<Option<(Digest, Descriptor)>, InvalidManifest> {
        let view = ManifestView::parse(&self.bytes)?;
        let subject = view.subject.as_ref().map(|subject| subject.digest);
        Ok(subject.map(|subject| (subject, view.referrer(self))))
    }
}

/// Why bytes are not a manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidManifest {
    /// They do not begin as a JSON object does.
    #[error("a manifest is a JSON object")]
    NotAnObject,
    /// They begin as a JSON object, and are none, or one that names a field twice.
    #[error("the manifest is broken JSON")]
    Json(#[source] serde_json::Error),
    /// They are not UTF-8, as JSON has to be.
    #[error("the manifest is not UTF-8")]
    Utf8(#[source] std::str::Utf8Error),
    /// Their `mediaType` is none.
    #[error("{0} is not the mediaType of a manifest: two names around a '/'")]
    MediaType(Excerpt),
    /// They do not say of which media type they are.
    #[error("nothing tells of which media type the manifest is: it has no mediaType itself")]
    NoMediaType,
    /// They have another digest.
    #[error("the manifest does not have the digest {0}")]
    DigestMismatch(Digest),
    /// Their `mediaType` is another than the one that they were sent with.
    #[error("the manifest was sent as {sent}, and says itself that it is {declared}")]
    MediaTypeMismatch {
        /// The type that they were sent with.
        sent: MediaType,
        /// The type in their own field.
        declared: MediaType,
    },
    /// Their `schemaVersion` is not 2.
    #[error("{0} is not the schemaVersion of a manifest: 2")]
    SchemaVersion(Excerpt),
    /// They are a manifest of Docker's first schema, which nobody should push any more.
    #[error("manifests of Docker's schema 1 are not supported")]
    Schema1,
    /// A descriptor in them makes no sense.
    #[error(transparent)]
    Descriptor(#[from] InvalidDescriptor),
}

/// What a manifest says, as far as a registry needs it.
///
/// One view for image manifests, indexes, artifacts and Docker's kinds: fields that a kind does
/// not have are empty. Descriptors that make no sense are left out, and counted.
#[derive(Debug, Default)]
pub(crate) struct ManifestView {
    declared_type: Option<MediaType>,
    /// A `mediaType` that is none.
    other_type: Option<Excerpt>,
    artifact_type: Option<ArtifactType>,
    pub(crate) config: Option<Descriptor>,
    /// The layers of an image, or the blobs of an OCI artifact manifest.
    pub(crate) layers: Vec<Descriptor>,
    /// The entries of an index.
    pub(crate) manifests: Vec<Descriptor>,
    pub(crate) subject: Option<Descriptor>,
    pub(crate) annotations: BTreeMap<String, String>,
    /// Why descriptors were left out: the first few, so that a document of nothing else costs no
    /// more than its own size.
    pub(crate) invalid: Vec<InvalidDescriptor>,
    invalid_count: usize,
    lists_manifests: bool,
    lists_layers: bool,
    /// A `schemaVersion` that is not 2.
    other_schema: Option<Excerpt>,
}

impl ManifestView {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        Ok(Self::of(&RawManifest::parse(bytes)?))
    }

    /// What a manifest of `media_type` says that is pushed: fields that its kind does not have say
    /// nothing.
    pub(crate) fn parse_as(media_type: &MediaType, bytes: &[u8]) -> Result<Self, InvalidManifest> {
        let mut raw = RawManifest::parse(bytes)?;
        if raw.subject.is_none() {
            // They are wanted for the list of referrers only, and there may be very many.
            raw.annotations = None;
        }
        Ok(Self::of(&match media_type {
            index if index.is_index() => RawManifest {
                config: None,
                layers: None,
                blobs: None,
                ..raw
            },
            image if image.is_manifest() => RawManifest {
                manifests: None,
                ..raw
            },
            _ => raw,
        }))
    }

    fn of(raw: &RawManifest<'_>) -> Self {
        let mut view = Self {
            declared_type: lenient(raw.media_type),
            other_type: raw
                .media_type
                .filter(|json| lenient::<MediaType>(Some(json)).is_none())
                .map(|json| Excerpt::of(json.get())),
            artifact_type: lenient(raw.artifact_type),
            annotations: lenient(raw.annotations).map_or_else(BTreeMap::new, Annotations::into),
            lists_manifests: raw.manifests.is_some(),
            lists_layers: raw.config.is_some() || raw.layers.is_some(),
            other_schema: raw
                .schema_version
                .map(RawValue::get)
                .filter(|version| *version != "2")
                .map(Excerpt::of),
            ..Self::default()
        };
        view.config = view.descriptor(raw.config);
        view.subject = view.descriptor(raw.subject);
        view.layers = view.descriptors(raw.layers);
        let blobs = view.descriptors(raw.blobs);
        view.layers.extend(blobs);
        view.manifests = view.descriptors(raw.manifests);
        view
    }

    /// How many reasons are kept in `invalid`.
    const MOST_INVALID: usize = 10;

    fn descriptor(&mut self, json: Option<&RawValue>) -> Option<Descriptor> {
        match Descriptor::parse(json?) {
            Ok(descriptor) => Some(descriptor),
            Err(invalid) => {
                self.invalid_count += 1;
                if self.invalid.len() < Self::MOST_INVALID {
                    self.invalid.push(invalid);
                }
                None
            }
        }
    }

    fn descriptors(&mut self, json: Option<&RawValue>) -> Vec<Descriptor> {
        let mut found = Vec::new();
        let each = EachItem(|item: &RawValue| found.extend(self.descriptor(Some(item))));
        if let Some(json) = json {
            // What is no list has no items.
            let _ = each.deserialize(&mut serde_json::Deserializer::from_str(json.get()));
        }
        found
    }

    /// What is told of the descriptors that were left out.
    #[cfg(feature = "fs")]
    pub(crate) fn faults(&self) -> impl Iterator<Item = String> {
        let others = self.invalid_count - self.invalid.len();
        let others = (others > 0).then(|| format!("{others} more entries are left out"));
        let first = self.invalid.iter();
        let first = first.map(|invalid| format!("an entry is left out: {invalid}"));
        first.chain(others)
    }

    /// Checks what the document says of itself against the type that it was sent with.
    // protocol 41
    pub(crate) fn check(&mut self, sent: &MediaType) -> Result<(), InvalidManifest> {
        if sent.is_schema_1() {
            return Err(InvalidManifest::Schema1);
        }
        if let Some(other) = self.other_type.take() {
            return Err(InvalidManifest::MediaType(other));
        }
        let differs =
            |declared: &&MediaType| !declared.as_str().eq_ignore_ascii_case(sent.as_str());
        if let Some(declared) = self.declared_type.as_ref().filter(differs) {
            return Err(InvalidManifest::MediaTypeMismatch {
                sent: sent.clone(),
                declared: declared.clone(),
            });
        }
        if !sent.is_manifest() {
            return Ok(());
        }
        if let Some(version) = self.other_schema.take() {
            return Err(InvalidManifest::SchemaVersion(version));
        }
        match self.invalid.drain(..).next() {
            Some(invalid) => Err(invalid.into()),
            None => Ok(()),
        }
    }

    /// The manifest's own `mediaType`.
    pub(crate) fn declared_media_type(&self) -> Result<MediaType, InvalidManifest> {
        let declared = self.declared_type.clone();
        declared.ok_or(InvalidManifest::NoMediaType)
    }

    /// The manifest's own `mediaType`, or else the type of the fields that it has.
    pub(crate) fn media_type(&self) -> Option<MediaType> {
        self.declared_type.clone().or(match self {
            _ if self.lists_manifests => Some(MediaType::OCI_INDEX),
            _ if self.lists_layers => Some(MediaType::OCI_MANIFEST),
            _ => None,
        })
    }

    /// What a referrers list calls this manifest of `media_type`: its `artifactType`, or for one with a
    /// configuration the type of that. An index without `artifactType` has none.
    // protocol 51
    pub(crate) fn artifact_type(&self, media_type: &MediaType) -> Option<ArtifactType> {
        let config = self.config.as_ref().filter(|_| !media_type.is_index());
        let of_config = || Some(config?.media_type.clone().into());
        self.artifact_type.clone().or_else(of_config)
    }

    /// The entry of this manifest in the list of its subject's referrers.
    pub(crate) fn referrer(&self, manifest: &Manifest) -> Descriptor {
        Descriptor {
            artifact_type: self.artifact_type(manifest.media_type()),
            annotations: self.annotations.clone(),
            ..Descriptor::new(
                manifest.media_type().clone(),
                *manifest.digest(),
                manifest.size(),
            )
        }
    }

    /// The content that this manifest is made of, without its subject: configuration, layers and
    /// entries, in this order.
    pub(crate) fn content(&self) -> impl Iterator<Item = &Descriptor> {
        self.config
            .iter()
            .chain(&self.layers)
            .chain(&self.manifests)
    }

    /// The entries that are manifests themselves. BuildKit's caches are indexes whose entries are
    /// plain blobs.
    // protocol 76
    pub(crate) fn child_manifests(&self) -> impl Iterator<Item = &Descriptor> {
        let entries = self.manifests.iter();
        entries.filter(|entry| entry.media_type.is_manifest())
    }

    /// The content that is not a manifest: configuration, layers and the other entries.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let entries = self.manifests.iter();
        self.config
            .iter()
            .chain(&self.layers)
            .chain(entries.filter(|entry| !entry.media_type.is_manifest()))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawManifest<'a> {
    #[serde(borrow)]
    schema_version: Option<&'a RawValue>,
    #[serde(borrow)]
    media_type: Option<&'a RawValue>,
    #[serde(borrow)]
    artifact_type: Option<&'a RawValue>,
    #[serde(borrow)]
    config: Option<&'a RawValue>,
    #[serde(borrow)]
    layers: Option<&'a RawValue>,
    #[serde(borrow)]
    blobs: Option<&'a RawValue>,
    #[serde(borrow)]
    manifests: Option<&'a RawValue>,
    #[serde(borrow)]
    subject: Option<&'a RawValue>,
    #[serde(borrow)]
    annotations: Option<&'a RawValue>,
}

impl<'a> RawManifest<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, InvalidManifest> {
        // serde reads a JSON array as a struct too, field by field.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(InvalidManifest::NotAnObject);
        }
        // All of it, also what nobody reads (RFC 8259 §8.1).
        let text = std::str::from_utf8(bytes).map_err(InvalidManifest::Utf8)?;
        serde_json::from_str(text).map_err(InvalidManifest::Json)
    }
}

/// Reads a JSON list item by item, so that it is never held as a whole.
struct EachItem<F>(F);

impl<'de, F: FnMut(&'de RawValue)> DeserializeSeed<'de> for EachItem<F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for EachItem<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "fs"))]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    #[test]
    fn of_many_descriptors_that_make_no_sense_a_few_are_kept_and_the_others_counted() {
        let json = format!(r#"{{"layers": [{}0]}}"#, "0,".repeat(999));
        let view = ManifestView::parse(json.as_bytes()).unwrap();
        assert_eq!(view.invalid.len(), ManifestView::MOST_INVALID);
        let faults: Vec<String> = view.faults().collect();
        assert_eq!(faults.len(), ManifestView::MOST_INVALID + 1);
        assert_eq!(faults.last().unwrap(), "990 more entries are left out");
    }
}
