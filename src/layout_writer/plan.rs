//! What is to be written.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{LayoutWriteError, index::Listed};
use crate::{
    body::DynBody,
    descriptor::Descriptor,
    digest::{Algorithm, Digest},
    image::Image,
    manifest::Manifest,
    name::Tag,
    source::{Blob, BlobContent, GetBlob, SourceError},
};

/// The content of some images, each piece once, and how they are listed.
pub(super) struct Plan<'a> {
    /// The entries of `index.json`.
    pub(super) listed: Vec<Listed>,
    /// The manifests, each behind those that it lists.
    pub(super) manifests: Vec<&'a Manifest>,
    pub(super) blobs: BTreeMap<Digest, PlannedBlob<'a>>,
}

/// A blob that one of the images names.
pub(super) struct PlannedBlob<'a> {
    image: &'a Image,
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// Whether the layout has to have it.
    required: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn of(
        images: impl IntoIterator<Item = (&'a Image, Option<&'a Tag>)>,
    ) -> Result<Self, LayoutWriteError> {
        let mut plan = Self {
            listed: Vec::new(),
            manifests: Vec::new(),
            blobs: BTreeMap::new(),
        };
        let (mut tags, mut seen) = (BTreeSet::new(), HashSet::new());
        for (image, tag) in images {
            if let Some(tag) = tag
                && !tags.insert(tag)
            {
                return Err(LayoutWriteError::Duplicate(tag.clone()));
            }
            plan.listed.push(Listed::of(image, tag));
            for image in image.with_children() {
                if seen.insert(image.digest()) {
                    plan.manifests.push(image.manifest());
                    plan.add_blobs(image)?;
                }
            }
        }
        // What is a manifest of one image and a blob of another is at hand.
        plan.blobs.retain(|digest, _| !seen.contains(digest));
        Ok(plan)
    }

    fn add_blobs(&mut self, image: &'a Image) -> Result<(), LayoutWriteError> {
        for blob in image.config().into_iter().chain(image.layers()) {
            self.add_blob(image, blob, !blob.is_elsewhere())?;
        }
        let entries = image.entries().iter();
        for blob in entries.filter(|entry| !entry.media_type.is_manifest()) {
            self.add_blob(image, blob, false)?;
        }
        Ok(())
    }

    fn add_blob(
        &mut self,
        image: &'a Image,
        blob: &Descriptor,
        required: bool,
    ) -> Result<(), LayoutWriteError> {
        let &Descriptor { digest, size, .. } = blob;
        let planned = self.blobs.entry(digest).or_insert(PlannedBlob {
            image,
            digest,
            size,
            required,
        });
        planned.required |= required;
        if planned.size != size {
            return Err(LayoutWriteError::BlobMismatch(digest));
        }
        Ok(())
    }

    /// The algorithms of all digests here, each of which has a folder of its own.
    pub(super) fn algorithms(&self) -> BTreeSet<Algorithm> {
        let manifests = self.manifests.iter().map(|manifest| manifest.digest());
        let digests = manifests.chain(self.blobs.keys());
        digests.map(Digest::algorithm).collect()
    }
}

impl PlannedBlob<'_> {
    /// Opens the blob in its source; nothing if that does not have it, and the layout need not.
    pub(super) async fn open(&self) -> Result<Option<BlobContent<DynBody>>, LayoutWriteError> {
        match self.image.blob(&self.digest, GetBlob::default()).await {
            Ok(Blob::Content(content)) => Ok(Some(content)),
            Err(SourceError::NotFound(_)) if !self.required => Ok(None),
            Err(error) => Err(LayoutWriteError::source(&self.digest, error)),
            Ok(Blob::Redirect { .. }) => {
                let error = SourceError::Unsupported;
                Err(LayoutWriteError::source(&self.digest, error))
            }
        }
    }
}
