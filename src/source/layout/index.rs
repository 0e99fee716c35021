//! What a layout's `index.json` says.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::atomic::AtomicBool,
};

use super::{
    error::LayoutError,
    faults::Faults,
    file::{Place, Size},
};
use crate::{
    descriptor::Descriptor, digest::Digest, manifest::ManifestView, media_type::MediaType,
    name::Tag, trace,
};

/// The annotation that names an entry.
// image-spec, "Annotations"; image-layout, "index.json file"
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// What `index.json` says.
pub(super) struct Index {
    pub(super) place: Place,
    pub(super) tags: BTreeMap<Tag, Digest>,
    pub(super) entries: BTreeMap<Digest, IndexEntry>,
    faults: Faults,
}

/// A piece of content that `index.json` lists.
pub(super) struct IndexEntry {
    pub(super) media_type: MediaType,
    pub(super) size: Size,
    /// Whether requests can go on from it: what it says, if it is a manifest, is known to the view.
    pub(super) is_followed: AtomicBool,
}

impl Index {
    /// Reads the bytes of `index.json`, and logs what the index `before` did not have wrong.
    pub(super) fn parse(
        place: Place,
        bytes: &[u8],
        before: Option<&Self>,
    ) -> Result<Self, LayoutError> {
        let path = place.path().join("index.json");
        let json = match ManifestView::parse(bytes) {
            Ok(json) => json,
            Err(error) => {
                let error = error.into();
                return Err(LayoutError::Broken { path, error });
            }
        };
        let mut index = Self {
            place,
            tags: BTreeMap::new(),
            entries: BTreeMap::new(),
            faults: Faults::default(),
        };
        for fault in json.faults() {
            index.faults.add(fault);
        }
        for entry in &json.manifests {
            index.add(entry);
        }
        let warn = |fault: &str| trace::layout_warned(&path, fault);
        let before = before.map(|before| &before.faults);
        index.faults.tell(before, &path, warn);
        Ok(index)
    }

    fn add(&mut self, descriptor: &Descriptor) {
        let Descriptor {
            digest,
            size,
            media_type,
            ..
        } = descriptor;
        match self.entries.entry(*digest) {
            Entry::Vacant(place) => {
                place.insert(IndexEntry {
                    media_type: media_type.clone(),
                    size: Size::Stated(*size),
                    is_followed: AtomicBool::new(false),
                });
            }
            Entry::Occupied(mut place) => {
                let entry = place.get_mut();
                entry.size = entry.size.and(Size::Stated(*size));
                if !entry.media_type.is_manifest() {
                    entry.media_type = media_type.clone();
                }
            }
        }
        let name = descriptor.annotations.get(REF_NAME);
        match name.map(|name| name.parse::<Tag>()) {
            None => {}
            Some(Ok(tag)) => {
                self.tags.insert(tag, *digest);
            }
            Some(Err(error)) => {
                let fault = format!("{digest} is served by its digest only: {error}");
                self.faults.add(fault);
            }
        }
    }
}
