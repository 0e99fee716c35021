//! What a layout's `index.json` leads to: every manifest and blob, and who refers to whom.

use std::{
    collections::{BTreeMap, HashMap, VecDeque, hash_map::Entry},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    file::{ContentFile, FileError, Size, path_of},
    view::{Index, IndexEntry},
};
use crate::{
    descriptor::Descriptor,
    digest::Digest,
    manifest::{Manifest, ManifestView},
    media_type::MediaType,
    text::with_causes,
    trace,
};

/// The result of one walk through a layout.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) manifests: HashMap<Digest, ReachedManifest>,
    pub(super) blobs: HashMap<Digest, ReachedBlob>,
    /// The referrers of each subject, in the order of their digests.
    pub(super) referrers: HashMap<Digest, BTreeMap<Digest, Descriptor>>,
    /// Whether entries of an index are absent, as in a sparse one. They may come later.
    sparse: bool,
    /// The first manifest that could not be read though the layout has to have it.
    trouble: Option<String>,
}

/// A manifest that was reached.
pub(super) struct ReachedManifest {
    pub(super) media_type: MediaType,
    pub(super) size: Size,
    pub(super) required: bool,
    /// What it says, if it was there.
    read: Option<Arc<Content>>,
}

/// A blob that was reached.
pub(super) struct ReachedBlob {
    pub(super) size: Size,
    pub(super) required: bool,
}

/// What a manifest names. Kept, so that a later walk need not read the manifest again.
struct Content {
    media_type: MediaType,
    children: Vec<(Digest, u64, MediaType)>,
    /// The blobs, each with whether the layout has to have it.
    blobs: Vec<(Digest, u64, bool)>,
    referrer: Option<(Digest, Descriptor)>,
}

impl Walk {
    /// Walks through everything that `index` leads to. Blocks.
    ///
    /// The queue and the set of what was reached bound the walk, however deep indexes are nested.
    pub(super) fn of(index: &Index, before: Option<&Self>) -> Self {
        let mut walking = Walking {
            index,
            before,
            walk: Self::default(),
            queue: VecDeque::new(),
        };
        for (digest, entry) in &index.entries {
            walking.entry(digest, entry);
        }
        while let Some(digest) = walking.queue.pop_front() {
            walking.visit(&digest);
        }
        let walk = walking.walk;
        if let Some(trouble) = &walk.trouble
            && before.and_then(|before| before.trouble.as_ref()) != Some(trouble)
        {
            trace::layout_failed(trouble);
        }
        walk
    }

    /// Whether another walk through the same index would find the same.
    pub(super) fn is_complete(&self) -> bool {
        !self.sparse && self.trouble.is_none()
    }

    /// Why content may be missing here that the layout has.
    pub(super) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether the manifest with `digest` is in the layout.
    pub(super) fn has_manifest(&self, digest: &Digest) -> bool {
        let manifest = self.manifests.get(digest);
        manifest.is_some_and(|manifest| manifest.read.is_some())
    }
}

struct Walking<'a> {
    index: &'a Index,
    before: Option<&'a Walk>,
    walk: Walk,
    /// Manifests that were reached and not visited.
    queue: VecDeque<Digest>,
}

impl Walking<'_> {
    /// An entry of `index.json`. If its media type does not tell a manifest from a blob, its
    /// content does.
    fn entry(&mut self, digest: &Digest, entry: &IndexEntry) {
        let IndexEntry { media_type, size } = entry;
        if media_type.is_manifest() {
            return self.reach_manifest(digest, *size, media_type, true);
        }
        let is_too_large = |error: &FileError| matches!(error, FileError::TooLarge { .. });
        match self.read(digest, media_type) {
            Ok(Some(content)) => {
                self.reach_manifest(digest, *size, &content.media_type, true);
                if let Some(manifest) = self.walk.manifests.get_mut(digest) {
                    manifest.read = Some(content);
                }
            }
            Ok(None) => self.reach_blob(digest, *size, true),
            Err(error) if is_too_large(&error) => self.reach_blob(digest, *size, true),
            // It is asked for as the one or the other, and then told to be broken.
            Err(_) => {
                self.reach_manifest(digest, *size, media_type, true);
                self.reach_blob(digest, *size, true);
            }
        }
    }

    fn visit(&mut self, digest: &Digest) {
        let Some(manifest) = self.walk.manifests.get(digest) else {
            return;
        };
        let (media_type, required) = (manifest.media_type.clone(), manifest.required);
        let content = match &manifest.read {
            Some(content) => Ok(Some(content.clone())),
            None => self.read(digest, &media_type),
        };
        let content = match content {
            Ok(content) => content.unwrap_or_else(|| Arc::new(Content::none(media_type))),
            Err(error) if error.is_absent() && !required => return self.walk.sparse = true,
            Err(error) => {
                self.walk.trouble.get_or_insert_with(|| with_causes(&error));
                return;
            }
        };
        for (child, size, media_type) in &content.children {
            self.reach_manifest(child, Size::Stated(*size), media_type, false);
        }
        for (blob, size, required) in &content.blobs {
            self.reach_blob(blob, Size::Stated(*size), *required);
        }
        if let Some((subject, entry)) = &content.referrer {
            let referrers = self.walk.referrers.entry(*subject).or_default();
            referrers.insert(entry.digest, entry.clone());
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
            }
        }
    }

    fn reach_blob(&mut self, digest: &Digest, size: Size, required: bool) {
        let new = ReachedBlob { size, required };
        let blob = self.walk.blobs.entry(*digest).or_insert(new);
        blob.size = blob.size.and(size);
        blob.required |= required;
    }

    /// What the manifest says, or nothing if it is not a JSON object.
    fn read(
        &self,
        digest: &Digest,
        media_type: &MediaType,
    ) -> Result<Option<Arc<Content>>, FileError> {
        // A wrong size is told to those who ask for the manifest. What it says is true all the
        // same, because its digest is.
        let file = ContentFile {
            path: path_of(&self.index.layout, digest),
            digest: *digest,
            size: Size::AsFile,
            required: true,
        };
        let before = self.before.and_then(|walk| walk.manifests.get(digest));
        if let Some(content) = before.and_then(|manifest| manifest.read.as_ref())
            && content.media_type == *media_type
        {
            file.manifest_length()?;
            return Ok(Some(content.clone()));
        }
        let bytes = file.read_manifest()?;
        Ok(Content::of(*digest, media_type, bytes).map(Arc::new))
    }
}

impl Content {
    fn of(digest: Digest, media_type: &MediaType, bytes: Bytes) -> Option<Self> {
        let view = ManifestView::parse(&bytes).ok()?;
        // What an entry of no stated type is, it says itself.
        let own_type = view
            .media_type()
            .filter(|_| *media_type == MediaType::OCTET_STREAM);
        let media_type = own_type.unwrap_or_else(|| media_type.clone());
        let manifest = Manifest::trusted(digest, media_type, bytes);
        let subject = view.subject.as_ref();
        let (listed, blobs): (Vec<_>, Vec<_>) =
            (view.manifests.iter()).partition(|entry| entry.media_type.is_manifest());
        let child = |child: &Descriptor| (child.digest, child.size, child.media_type.clone());
        // The entries of an index may be absent, and so may layers that clients get elsewhere.
        let listed_blobs = blobs
            .into_iter()
            .map(|blob| (blob.digest, blob.size, false));
        let own_blobs = (view.config.iter().chain(&view.layers))
            .map(|blob| (blob.digest, blob.size, blob.urls.is_empty()));
        Some(Self {
            children: listed.into_iter().map(child).collect(),
            blobs: own_blobs.chain(listed_blobs).collect(),
            referrer: subject.map(|subject| (subject.digest, view.referrer(&manifest))),
            media_type: manifest.media_type().clone(),
        })
    }

    /// That of a manifest which is not JSON. It is served, and leads nowhere.
    fn none(media_type: MediaType) -> Self {
        Self {
            media_type,
            children: Vec::new(),
            blobs: Vec::new(),
            referrer: None,
        }
    }
}
