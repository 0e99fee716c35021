//! What one repository holds.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    budget::{Budget, Charge},
    content::{Content, ContentBody},
};
use crate::{
    body::DynBody,
    descriptor::Descriptor,
    digest::Digest,
    image::{BlobOrigin, Image},
    manifest::Manifest,
    name::{Reference, Tag},
    source::{Blob, BlobContent, BlobInfo, GetBlob, MissingContent, SourceError},
    store::{ContentReference, NewManifest, Precondition, ReferenceCheck},
};

/// Nothing in it is shared with another repository, so knowing a digest gives access only where the
/// content was added.
#[derive(Debug)]
pub(super) struct Repository {
    tags: BTreeMap<Tag, TaggedDigest>,
    manifests: HashMap<Digest, HeldManifest>,
    /// The referrers of each subject, in the order of their digests.
    referrers: HashMap<Digest, BTreeMap<Digest, Descriptor>>,
    blobs: HashMap<Digest, HeldBlob>,
    _charge: Charge,
}

#[derive(Debug)]
struct TaggedDigest {
    digest: Digest,
    charge: Charge,
}

#[derive(Debug)]
struct HeldManifest {
    manifest: Manifest,
    subject: Option<Digest>,
    /// Those that point at it.
    tags: BTreeSet<Tag>,
    charge: Charge,
}

/// A blob that a repository has, and what its entry costs.
#[derive(Debug)]
pub(super) struct HeldBlob {
    bytes: BlobBytes,
    _charge: Charge,
}

/// Where the bytes of a blob are.
#[derive(Clone, Debug)]
pub(super) enum BlobBytes {
    /// With an image that was added.
    Origin(BlobOrigin),
    /// Here: they were pushed. Repositories may share them.
    Pushed(Arc<Content>),
}

/// What a push of a manifest costs besides what it replaces.
struct ManifestCharges {
    /// Nothing if the manifest is there already.
    manifest: Option<Charge>,
    /// Nothing for each tag that is there already.
    tags: Vec<Option<Charge>>,
}

/// What a push took the place of. It is handed out: to free it may take longer than a lock should be
/// held.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    _manifest: Option<Manifest>,
    _entry: Option<Descriptor>,
}

/// What a manifest costs at most.
pub(super) fn cost_of(new: &NewManifest) -> u64 {
    let tags = new.tags.iter().map(|update| tag_cost(&update.tag));
    manifest_cost(new) + tags.sum::<u64>()
}

fn manifest_cost(new: &NewManifest) -> u64 {
    let entry = new.referrer.as_ref().map_or(0, |(_, entry)| cost(entry));
    new.manifest.size() + entry + Budget::ENTRY
}

/// A tag stands in two maps.
fn tag_cost(tag: &Tag) -> u64 {
    Budget::ENTRY + 2 * tag.as_str().len() as u64
}

/// What an entry among the referrers takes in memory: each annotation has two strings of its own.
fn cost(entry: &Descriptor) -> u64 {
    const ANNOTATION: usize = 128;
    let annotations = entry.annotations.iter();
    let annotations = annotations.map(|(key, value)| key.len() + value.len() + ANNOTATION);
    annotations.sum::<usize>() as u64 + Budget::ENTRY
}

impl Repository {
    pub(super) fn new(charge: Charge) -> Self {
        Self {
            tags: BTreeMap::new(),
            manifests: HashMap::new(),
            referrers: HashMap::new(),
            blobs: HashMap::new(),
            _charge: charge,
        }
    }

    /// Adds what the program brings itself, with its tag.
    pub(super) fn add(&mut self, image: &Image, tag: Option<&Tag>, budget: &Arc<Budget>) {
        for (digest, origin) in image.blobs() {
            self.add_origin(*digest, origin, budget);
        }
        let mut new = NewManifest::unchecked(image.manifest().clone(), image.referrer());
        if let Some(tag) = tag {
            new = new.tag(tag.clone());
        }
        // What the program adds itself is not counted.
        let charges = ManifestCharges {
            manifest: None,
            tags: new.tags.iter().map(|_| None).collect(),
        };
        self.insert_manifest(new, charges, budget);
    }

    /// Adds where a blob is. Bytes that are at hand already are not given up for a source that has
    /// to be asked, and that may not have them.
    fn add_origin(&mut self, digest: Digest, origin: &BlobOrigin, budget: &Arc<Budget>) {
        let is_at_hand = self
            .blobs
            .get(&digest)
            .is_some_and(|held| match &held.bytes {
                BlobBytes::Origin(known) => known.is_embedded() && !origin.is_embedded(),
                BlobBytes::Pushed(_) => true,
            });
        if !is_at_hand {
            let bytes = BlobBytes::Origin(origin.clone());
            self.insert_blob(digest, bytes, budget.free());
        }
    }

    /// Adds a blob that was pushed, unless one was before: there is one copy.
    // protocol 34
    pub(super) fn push_blob(
        &mut self,
        digest: Digest,
        charge: Charge,
        content: &mut dyn FnMut() -> Content,
    ) {
        let known = self.blobs.get(&digest).map(|held| &held.bytes);
        if !matches!(known, Some(BlobBytes::Pushed(_))) {
            let bytes = BlobBytes::Pushed(Arc::new(content()));
            self.insert_blob(digest, bytes, charge);
        }
    }

    pub(super) fn insert_blob(&mut self, digest: Digest, bytes: BlobBytes, charge: Charge) {
        let held = HeldBlob {
            bytes,
            _charge: charge,
        };
        self.blobs.insert(digest, held);
    }

    pub(super) fn has_blob(&self, digest: &Digest) -> bool {
        self.blobs.contains_key(digest)
    }

    pub(super) fn blob(&self, digest: &Digest) -> Result<BlobBytes, SourceError> {
        let held = self.blobs.get(digest);
        held.map(|held| held.bytes.clone())
            .ok_or(SourceError::NotFound(MissingContent::Blob))
    }

    pub(super) fn manifest(&self, reference: &Reference) -> Result<&Manifest, SourceError> {
        let digest = match reference {
            Reference::Digest(digest) => Some(digest),
            Reference::Tag(tag) => self.tags.get(tag).map(|tagged| &tagged.digest),
        };
        digest
            .and_then(|digest| self.manifests.get(digest))
            .map(|held| &held.manifest)
            .ok_or(SourceError::NotFound(MissingContent::Manifest))
    }

    pub(super) fn tags_after(&self, range: super::NameRange<'_>) -> impl Iterator<Item = &Tag> {
        self.tags.range::<str, _>(range).map(|(tag, _)| tag)
    }

    pub(super) fn referrers(&self, subject: &Digest) -> Option<&BTreeMap<Digest, Descriptor>> {
        self.referrers.get(subject)
    }

    /// Checks all of `new`, and then makes all of it visible.
    pub(super) fn put_manifest(
        &mut self,
        new: NewManifest,
        budget: &Arc<Budget>,
    ) -> Result<Replaced, SourceError> {
        self.check_preconditions(&new)?;
        self.check_references(&new)?;
        let charges = self.charges(&new, budget)?;
        Ok(self.insert_manifest(new, charges, budget))
    }

    fn charges(
        &self,
        new: &NewManifest,
        budget: &Arc<Budget>,
    ) -> Result<ManifestCharges, SourceError> {
        let is_there = self.manifests.contains_key(new.manifest.digest());
        let manifest = (!is_there).then(|| budget.take(manifest_cost(new)));
        let tags = new.tags.iter().map(|update| {
            let is_there = self.tags.contains_key(&update.tag);
            let charge = (!is_there).then(|| budget.take(tag_cost(&update.tag)));
            charge.transpose()
        });
        Ok(ManifestCharges {
            manifest: manifest.transpose()?,
            tags: tags.collect::<Result<_, _>>()?,
        })
    }

    fn check_preconditions(&self, new: &NewManifest) -> Result<(), SourceError> {
        let digest = new.manifest.digest();
        let known = self.manifests.get(digest);
        let known = known.map(|held| held.manifest.digest());
        new.precondition.check(known, Some(digest))?;
        for update in &new.tags {
            let current = self.tags.get(&update.tag).map(|tagged| &tagged.digest);
            update.precondition.check(current, Some(digest))?;
        }
        Ok(())
    }

    // protocol 39 and 76
    fn check_references(&self, new: &NewManifest) -> Result<(), SourceError> {
        if new.check == ReferenceCheck::Sparse {
            return Ok(());
        }
        let is_missing = |reference: &&ContentReference| match reference {
            ContentReference::Blob(digest) => !self.blobs.contains_key(digest),
            ContentReference::Entry(digest) => {
                !self.manifests.contains_key(digest) && !self.blobs.contains_key(digest)
            }
        };
        let missing = new.references.iter().filter(is_missing);
        let missing: Vec<Digest> = missing.map(|reference| *reference.digest()).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(SourceError::MissingReferences(missing)),
        }
    }

    fn insert_manifest(
        &mut self,
        new: NewManifest,
        charges: ManifestCharges,
        budget: &Arc<Budget>,
    ) -> Replaced {
        let digest = *new.manifest.digest();
        let subject = new.referrer.as_ref().map(|(subject, _)| *subject);
        let entry = new.referrer.and_then(|(subject, entry)| {
            let referrers = self.referrers.entry(subject).or_default();
            referrers.insert(digest, entry)
        });
        let (manifest, tags, charge) = match self.manifests.remove(&digest) {
            None => (None, BTreeSet::new(), None),
            Some(before) => (Some(before.manifest), before.tags, Some(before.charge)),
        };
        let held = HeldManifest {
            manifest: new.manifest,
            subject,
            tags,
            charge: charges.manifest.or(charge).unwrap_or_else(|| budget.free()),
        };
        self.manifests.insert(digest, held);
        for (update, charge) in new.tags.into_iter().zip(charges.tags) {
            self.point(update.tag, digest, charge, budget);
        }
        Replaced {
            _manifest: manifest,
            _entry: entry,
        }
    }

    fn point(&mut self, tag: Tag, digest: Digest, charge: Option<Charge>, budget: &Arc<Budget>) {
        let before = self.tags.remove(&tag);
        if let Some(before) = &before
            && let Some(held) = self.manifests.get_mut(&before.digest)
        {
            held.tags.remove(&tag);
        }
        if let Some(held) = self.manifests.get_mut(&digest) {
            held.tags.insert(tag.clone());
        }
        let known = before.map(|before| before.charge);
        let charge = charge.or(known).unwrap_or_else(|| budget.free());
        self.tags.insert(tag, TaggedDigest { digest, charge });
    }

    // protocol 57
    pub(super) fn delete_tag(
        &mut self,
        tag: &Tag,
        precondition: &Precondition,
    ) -> Result<(), SourceError> {
        let current = self.tags.get(tag).map(|tagged| tagged.digest);
        check_delete(current.as_ref(), precondition, MissingContent::Manifest)?;
        self.tags.remove(tag);
        let held = current.and_then(|digest| self.manifests.get_mut(&digest));
        if let Some(held) = held {
            held.tags.remove(tag);
        }
        Ok(())
    }

    /// Deletes a manifest with its tags and its entry, and hands out what may take long to free.
    // protocol 55 and 58
    pub(super) fn delete_manifest(
        &mut self,
        digest: &Digest,
        precondition: &Precondition,
    ) -> Result<Replaced, SourceError> {
        let current = self.manifests.contains_key(digest).then_some(digest);
        check_delete(current, precondition, MissingContent::Manifest)?;
        let Some(held) = self.manifests.remove(digest) else {
            return Ok(Replaced::default());
        };
        for tag in &held.tags {
            self.tags.remove(tag);
        }
        let mut entry = None;
        if let Some(subject) = held.subject
            && let Some(referrers) = self.referrers.get_mut(&subject)
        {
            entry = referrers.remove(digest);
            if referrers.is_empty() {
                self.referrers.remove(&subject);
            }
        }
        Ok(Replaced {
            _manifest: Some(held.manifest),
            _entry: entry,
        })
    }

    /// Deletes a blob, and hands it out: to free it may take longer than a lock should be held.
    // protocol 59
    pub(super) fn delete_blob(
        &mut self,
        digest: &Digest,
        precondition: &Precondition,
    ) -> Result<Option<HeldBlob>, SourceError> {
        let current = self.blobs.contains_key(digest).then_some(digest);
        check_delete(current, precondition, MissingContent::Blob)?;
        Ok(self.blobs.remove(digest))
    }
}

/// What is not there cannot be deleted, whatever is demanded of it.
fn check_delete(
    current: Option<&Digest>,
    precondition: &Precondition,
    missing: MissingContent,
) -> Result<(), SourceError> {
    match current {
        None => Err(SourceError::NotFound(missing)),
        Some(_) => precondition.check(current, None),
    }
}

impl BlobBytes {
    pub(super) async fn open(&self, options: GetBlob) -> Result<Blob<DynBody>, SourceError> {
        match self {
            Self::Origin(origin) => origin.open(options).await,
            Self::Pushed(content) if !content.is_kept() => Err(SourceError::Unsupported),
            Self::Pushed(content) => {
                let info = BlobInfo::seekable(content.size());
                let range = info.resolve(options.range)?;
                let body = ContentBody::new(content.clone(), range.clone());
                Ok(Blob::Content(BlobContent::new(
                    info,
                    range,
                    DynBody::new(body),
                )))
            }
        }
    }

    pub(super) async fn stat(&self) -> Result<BlobInfo, SourceError> {
        match self {
            Self::Origin(origin) => origin.stat().await,
            Self::Pushed(content) => Ok(BlobInfo::seekable(content.size())),
        }
    }
}
