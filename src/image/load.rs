//! Loading an image from a source, with the manifests that it lists.

use std::collections::HashMap;

use futures_util::future::BoxFuture;

use super::{Image, ImageError, Origin};
use crate::{
    digest::Digest,
    manifest::{InvalidManifest, Manifest, ManifestView},
    name::Reference,
    source::{BlobSource, Found, GetManifest, SourceError},
};

pub(super) async fn load(origin: Origin, reference: &Reference) -> Result<Image, ImageError> {
    let mut loading = Loading {
        origin,
        loaded: HashMap::new(),
        manifests: 0,
        bytes: 0,
    };
    loading.image(reference, 0).await
}

/// One run of [`Image::load`], and what it has used of its limits.
struct Loading {
    origin: Origin,
    /// The children that were asked for; nothing for those that the source does not have.
    loaded: HashMap<Digest, Option<Image>>,
    manifests: usize,
    bytes: u64,
}

impl Loading {
    async fn image(&mut self, reference: &Reference, depth: usize) -> Result<Image, ImageError> {
        let manifest = self.manifest(reference).await?;
        let view = ManifestView::parse(manifest.bytes())?;
        let mut children = Vec::new();
        for entry in view.child_manifests() {
            if depth == Image::MAX_DEPTH {
                return Err(ImageError::IndexTooLarge);
            }
            children.extend(self.child(entry.digest, depth + 1).await?);
        }
        Image::assemble(manifest, children, &self.origin)
    }

    /// The child with `digest`, unless the source does not have it.
    fn child(
        &mut self,
        digest: Digest,
        depth: usize,
    ) -> BoxFuture<'_, Result<Option<Image>, ImageError>> {
        Box::pin(async move {
            if let Some(image) = self.loaded.get(&digest) {
                return Ok(image.clone());
            }
            let image = match self.image(&Reference::Digest(digest), depth).await {
                Ok(image) => Some(image),
                Err(ImageError::Source(SourceError::NotFound(_))) => None,
                Err(error) => return Err(error),
            };
            self.loaded.insert(digest, image.clone());
            Ok(image)
        })
    }

    async fn manifest(&mut self, reference: &Reference) -> Result<Manifest, ImageError> {
        self.manifests += 1;
        if self.manifests > Image::MAX_MANIFESTS {
            return Err(ImageError::IndexTooLarge);
        }
        let Origin { source, repository } = &self.origin;
        let options = GetManifest::default();
        let manifest = match source.manifest(repository, reference, options).await? {
            Found::Content(manifest) => manifest,
            Found::NotModified(digest) => {
                return Err(InvalidManifest::DigestMismatch(digest).into());
            }
        };
        self.bytes += manifest.size();
        if self.bytes > Image::MAX_MANIFEST_BYTES {
            return Err(ImageError::IndexTooLarge);
        }
        match reference {
            Reference::Tag(_) => Ok(manifest),
            Reference::Digest(digest) => {
                let (media_type, bytes) = (manifest.media_type(), manifest.bytes());
                Ok(Manifest::verified(
                    *digest,
                    media_type.clone(),
                    bytes.clone(),
                )?)
            }
        }
    }
}
