//! What a layout's `index.json` leads to: every manifest and blob, and who refers to whom.

use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry},
    mem,
    sync::Arc,
};

use super::{
    content::Content,
    directory::path_of,
    faults::Faults,
    file::{ContentFile, FileError, Size},
    index::{Index, IndexEntry},
    reached::Reached,
};
use crate::{
    descriptor::Descriptor, digest::Digest, media_type::MediaType, text::with_causes, trace,
};

/// The result of one walk through a layout.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) manifests: HashMap<Digest, ReachedManifest>,
    pub(super) blobs: HashMap<Digest, ReachedBlob>,
    /// The referrers of each subject, in the order of their digests.
    pub(super) referrers: HashMap<Digest, BTreeMap<Digest, Arc<Descriptor>>>,
    /// Whether entries of an index are absent, as in a sparse one. They may come later.
    sparse: bool,
    /// The manifests that could not be read though the layout has to have them.
    troubles: Faults,
    /// The manifests that lead to less than their writers may have meant.
    warnings: Faults,
}

/// A manifest that was reached.
pub(super) struct ReachedManifest {
    pub(super) media_type: MediaType,
    pub(super) size: Size,
    pub(super) required: bool,
    /// What it says, if it was there.
    pub(super) read: Option<Arc<Content>>,
}

/// A blob that was reached.
pub(super) struct ReachedBlob {
    pub(super) size: Size,
    pub(super) required: bool,
    /// What it says, if it was read because it might have been a manifest.
    read: Option<Arc<Content>>,
}

/// What content is whose media type does not tell a manifest from a blob.
#[derive(Clone)]
enum Kind {
    Manifest(Arc<Content>),
    /// A blob, with what it says if it is small enough to be a manifest.
    Blob(Option<Arc<Content>>),
    /// It is asked for as the one or the other, and then told to be broken.
    Broken,
    Absent,
}

impl Walk {
    /// Walks through everything that `index` leads to. Blocks.
    ///
    /// The queue and the set of what was reached bound the walk, however deep indexes are nested.
    /// What the walk `before` read, or requests did, is not read again.
    pub(super) fn of(index: &Index, before: Option<&Self>, reached: &Reached) -> Self {
        let mut walking = Walking {
            index,
            before,
            reached,
            walk: Self::default(),
            untyped: HashMap::new(),
            queue: VecDeque::new(),
            disputed: Vec::new(),
        };
        for (digest, entry) in &index.entries {
            walking.entry(digest, entry);
        }
        while let Some(digest) = walking.queue.pop_front() {
            walking.visit(&digest);
        }
        walking.settle();
        let walk = walking.walk;
        let layout = index.place.path();
        let troubles = before.map(|before| &before.troubles);
        walk.troubles.tell(troubles, layout, trace::layout_failed);
        let warnings = before.map(|before| &before.warnings);
        let warn = |warning: &str| trace::layout_warned(layout, warning);
        walk.warnings.tell(warnings, layout, warn);
        walk
    }

    /// Whether another walk through the same index would find the same.
    pub(super) fn is_complete(&self) -> bool {
        !self.sparse && self.trouble().is_none()
    }

    /// Why content may be missing here that the layout has.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.troubles.first()
    }

    /// Whether it is known what the content with `digest` is, if it is anything here: a manifest
    /// that is its own witness, and was not there to be read, may be there by now.
    pub(super) fn tells_type_of(&self, digest: &Digest) -> bool {
        let is_known = |manifest: &ReachedManifest| {
            manifest.read.is_some() || manifest.media_type.is_manifest()
        };
        self.manifests.get(digest).is_none_or(is_known)
    }

    /// What the content with `digest` says, if it was read.
    pub(super) fn content(&self, digest: &Digest) -> Option<&Arc<Content>> {
        let of_manifest = self.manifests.get(digest).map(|found| &found.read);
        let of_blob = self.blobs.get(digest).map(|found| &found.read);
        let mut read = of_manifest.into_iter().chain(of_blob);
        read.find_map(Option::as_ref)
    }
}

struct Walking<'a> {
    index: &'a Index,
    before: Option<&'a Walk>,
    reached: &'a Reached,
    walk: Walk,
    /// What the untyped entries of nested indexes are.
    untyped: HashMap<Digest, Kind>,
    /// Manifests that were reached and not visited.
    queue: VecDeque<Digest>,
    /// The types that indexes give manifests that were reached with another.
    disputed: Vec<(Digest, MediaType)>,
}

impl Walking<'_> {
    /// An entry of `index.json`. One whose media type does not tell what it is is a manifest if it
    /// is a JSON object.
    fn entry(&mut self, digest: &Digest, entry: &IndexEntry) {
        let IndexEntry {
            media_type, size, ..
        } = entry;
        if media_type.is_manifest() {
            return self.reach_manifest(digest, *size, media_type, true);
        }
        let kind = match self.kind(digest, media_type, |content| content.is_object) {
            // The layout has to have it.
            Kind::Absent => Kind::Broken,
            kind => kind,
        };
        self.reach(digest, *size, media_type, kind, true);
    }

    /// An entry of a nested index that has no media type. Indexes list plain blobs too, so it is a
    /// manifest only if it says so.
    fn untyped(&mut self, digest: &Digest, size: u64) {
        let media_type = MediaType::OCTET_STREAM;
        let kind = match self.untyped.get(digest) {
            Some(kind) => kind.clone(),
            None => {
                let kind = self.kind(digest, &media_type, Content::is_manifest);
                self.untyped.insert(*digest, kind.clone());
                kind
            }
        };
        self.reach(digest, Size::Stated(size), &media_type, kind, false);
    }

    fn kind(
        &self,
        digest: &Digest,
        media_type: &MediaType,
        is_manifest: fn(&Content) -> bool,
    ) -> Kind {
        match self.read(digest, media_type) {
            Ok(content) if is_manifest(&content) => Kind::Manifest(content),
            Ok(content) => Kind::Blob(Some(content)),
            Err(FileError::TooLarge { .. }) => Kind::Blob(None),
            Err(error) if error.is_absent() => Kind::Absent,
            Err(_) => Kind::Broken,
        }
    }

    fn reach(
        &mut self,
        digest: &Digest,
        size: Size,
        media_type: &MediaType,
        kind: Kind,
        required: bool,
    ) {
        match kind {
            Kind::Manifest(content) => {
                self.reach_manifest(digest, size, &content.media_type, required);
                if let Some(manifest) = self.walk.manifests.get_mut(digest) {
                    manifest.read.get_or_insert(content);
                }
            }
            Kind::Blob(content) => {
                self.reach_blob(digest, size, required);
                if let Some(blob) = self.walk.blobs.get_mut(digest) {
                    blob.read = content;
                }
            }
            Kind::Broken => {
                self.reach_manifest(digest, size, media_type, required);
                self.reach_blob(digest, size, required);
            }
            Kind::Absent => self.walk.sparse = true,
        }
    }

    fn visit(&mut self, digest: &Digest) {
        let Some(manifest) = self.walk.manifests.get(digest) else {
            return;
        };
        let required = manifest.required;
        let content = match &manifest.read {
            Some(content) => Ok(content.clone()),
            None => self.read(digest, &manifest.media_type),
        };
        match content {
            Ok(content) => self.follow(digest, content),
            Err(error) if error.is_absent() && !required => self.walk.sparse = true,
            Err(error) => self.walk.troubles.add(with_causes(&error)),
        }
    }

    fn follow(&mut self, digest: &Digest, content: Arc<Content>) {
        for (child, size, media_type) in &content.children {
            self.reach_manifest(child, Size::Stated(*size), media_type, false);
        }
        for (entry, size) in &content.untyped {
            self.untyped(entry, *size);
        }
        for (blob, size, required) in &content.blobs {
            self.reach_blob(blob, Size::Stated(*size), *required);
        }
        if let Some((subject, entry)) = &content.referrer {
            let referrers = self.walk.referrers.entry(*subject).or_default();
            referrers.insert(entry.digest, entry.clone());
        }
        let path = path_of(self.index.place.path(), digest);
        for fault in &content.faults {
            let warning = format!("{}: {fault}", path.display());
            self.walk.warnings.add(warning);
        }
        if let Some(manifest) = self.walk.manifests.get_mut(digest) {
            manifest.read = Some(content);
        }
    }

    fn reach_manifest(
        &mut self,
        digest: &Digest,
        size: Size,
        media_type: &MediaType,
        required: bool,
    ) {
        match self.walk.manifests.entry(*digest) {
            Entry::Vacant(place) => {
                place.insert(ReachedManifest {
                    media_type: media_type.clone(),
                    size,
                    required,
                    read: None,
                });
                self.queue.push_back(*digest);
            }
            Entry::Occupied(mut place) => {
                let manifest = place.get_mut();
                manifest.size = manifest.size.and(size);
                manifest.required |= required;
                if manifest.media_type != *media_type {
                    self.disputed.push((*digest, media_type.clone()));
                }
            }
        }
    }

    /// Where indexes disagree on the type of a manifest, the one that it has itself is right, and
    /// else the first: so whoever has read only one of them can tell. What `index.json` lists has
    /// the type that is given there.
    fn settle(&mut self) {
        for (digest, media_type) in mem::take(&mut self.disputed) {
            let Some(manifest) = self.walk.manifests.get(&digest) else {
                continue;
            };
            let is_own = |content: &Arc<Content>| content.own_type.as_ref() == Some(&media_type);
            let is_right = manifest.read.as_ref().is_some_and(is_own)
                && manifest.media_type != media_type
                && !self.index.entries.contains_key(&digest);
            if is_right && let Ok(content) = self.read(&digest, &media_type) {
                // It leads to the same, and is another entry in the list of its subject's referrers.
                self.follow(&digest, content);
                if let Some(manifest) = self.walk.manifests.get_mut(&digest) {
                    manifest.media_type = media_type;
                }
            }
        }
    }

    fn reach_blob(&mut self, digest: &Digest, size: Size, required: bool) {
        let new = ReachedBlob {
            size,
            required,
            read: None,
        };
        let blob = self.walk.blobs.entry(*digest).or_insert(new);
        blob.size = blob.size.and(size);
        blob.required |= required;
    }

    /// What the content says.
    fn read(&self, digest: &Digest, stated: &MediaType) -> Result<Arc<Content>, FileError> {
        // A wrong size is told to those who ask for the manifest. What it says is true all the
        // same, because its digest is.
        let file = ContentFile {
            // Nobody has asked for what it looks at.
            place: self.index.place.clone().unkept(),
            digest: *digest,
            size: Size::AsFile,
            required: true,
        };
        let of_before = self.before.and_then(|walk| walk.content(digest)).cloned();
        let known = of_before.into_iter().chain(self.reached.content(digest));
        if let Some(content) = known.into_iter().find(|content| content.stated == *stated) {
            file.manifest_stamp()?;
            return Ok(content);
        }
        let (bytes, _) = file.read_manifest()?;
        Ok(Arc::new(Content::of(*digest, stated, bytes)))
    }
}
