use std::collections::HashSet;

use super::Precondition;
use crate::{
    descriptor::Descriptor,
    digest::Digest,
    manifest::{InvalidManifest, Manifest, ManifestView},
    name::Tag,
};

/// A manifest on its way into a store, with everything that the store has to know of it.
///
/// ```
/// # use tower_oci::{Manifest, NewManifest};
/// let manifest = Manifest::parse(r#"{
///     "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []
/// }"#)?;
/// let new = NewManifest::of(manifest)?.tag("latest".parse()?);
/// assert!(new.references.is_empty() && new.referrer.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewManifest {
    /// The manifest. Its digest is that of its bytes.
    pub manifest: Manifest,
    /// What must hold of the manifest's digest: does it exist already?
    pub precondition: Precondition,
    /// The tags that are to point at it, each once.
    pub tags: Vec<TagUpdate>,
    /// The digest of its subject, and its entry among the referrers of that. The subject need not
    /// exist.
    pub referrer: Option<(Digest, Descriptor)>,
    /// All the content that it is made of, each digest once.
    pub references: Vec<ContentReference>,
    /// Whether that content has to be there.
    pub check: ReferenceCheck,
}

/// A tag that is to point at a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TagUpdate {
    /// The tag.
    pub tag: Tag,
    /// What must hold of the tag.
    pub precondition: Precondition,
}

impl TagUpdate {
    /// Points `tag` at the manifest, if `precondition` holds.
    pub fn new(tag: Tag, precondition: Precondition) -> Self {
        Self { tag, precondition }
    }
}

/// Content that a manifest is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentReference {
    /// A configuration or a layer: a blob.
    Blob(Digest),
    /// The entry of an index: a manifest, or a blob as in BuildKit's caches.
    // protocol 76
    Entry(Digest),
}

impl ContentReference {
    /// The digest of the content.
    pub fn digest(&self) -> &Digest {
        match self {
            Self::Blob(digest) | Self::Entry(digest) => digest,
        }
    }
}

/// Whether the content that a manifest is made of has to be in the repository.
// protocol 39
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReferenceCheck {
    /// All of it.
    #[default]
    Required,
    /// None of it: images and indexes may be sparse.
    Sparse,
}

impl NewManifest {
    /// The manifest, without tags and preconditions, whose content has to be there.
    ///
    /// Of a type that is not known here any JSON object is taken, and what it is made of is not
    /// asked: only its subject counts.
    ///
    /// # Errors
    ///
    /// The bytes are not a JSON object, their `mediaType` is not the type of the manifest, they are
    /// Docker's schema 1, or a descriptor in them makes no sense.
    // protocol 36, 38, 41 and 73
    pub fn of(manifest: Manifest) -> Result<Self, InvalidManifest> {
        let mut view = ManifestView::parse_as(manifest.media_type(), manifest.bytes())?;
        view.check(manifest.media_type())?;
        let references = match manifest.media_type().is_manifest() {
            true => references(&view),
            false => Vec::new(),
        };
        let referrer = view.subject.as_ref().map(|subject| subject.digest);
        let referrer = referrer.map(|subject| (subject, view.referrer(&manifest)));
        Ok(Self {
            references,
            ..Self::unchecked(manifest, referrer)
        })
    }

    /// A manifest that was checked before, by whoever has it.
    pub(crate) fn unchecked(manifest: Manifest, referrer: Option<(Digest, Descriptor)>) -> Self {
        Self {
            manifest,
            precondition: Precondition::default(),
            tags: Vec::new(),
            referrer,
            references: Vec::new(),
            check: ReferenceCheck::Required,
        }
    }

    /// The same, with one more tag that is to point at it whatever it points at now.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.tags.push(TagUpdate::new(tag, Precondition::default()));
        self
    }

    /// The same, whose content has to be there or not.
    #[must_use]
    pub fn check(self, check: ReferenceCheck) -> Self {
        Self { check, ..self }
    }
}

/// What a manifest is made of, without what need not be in a registry.
fn references(view: &ManifestView) -> Vec<ContentReference> {
    let blobs = view.config.iter().chain(&view.layers);
    let blobs = blobs.map(|blob| (blob, ContentReference::Blob(blob.digest)));
    let entries = view.manifests.iter();
    let entries = entries.map(|entry| (entry, ContentReference::Entry(entry.digest)));
    let mut seen = HashSet::new();
    blobs
        .chain(entries)
        .filter(|(descriptor, _)| !descriptor.is_elsewhere())
        .map(|(_, reference)| reference)
        .filter(|reference| seen.insert(*reference))
        .collect()
}

/// What became of a manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredManifest {
    /// Whether [`BlobSource::referrers`](crate::BlobSource::referrers) lists it with its subject. If
    /// not, clients are left to keep the list at the fallback tag.
    // protocol 42
    pub is_listed_as_referrer: bool,
}

impl StoredManifest {
    /// A manifest that its subject's list of referrers has, or has not.
    pub fn new(is_listed_as_referrer: bool) -> Self {
        Self {
            is_listed_as_referrer,
        }
    }
}
