//! Images: a manifest, what it says, and where its blobs are.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    future::poll_fn,
    pin::pin,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use http_body::Body;

use crate::{
    body::{BoxError, DynBody},
    descriptor::{Descriptor, InvalidDescriptor},
    digest::Digest,
    manifest::{InvalidManifest, Manifest, ManifestView},
    media_type::{ArtifactType, MediaType},
    name::{Reference, RepositoryName},
    source::{Blob, BlobInfo, BlobSource, DynSource, GetBlob, MissingContent, SourceError},
};

mod load;

/// An image, an index of images or an artifact: its manifest, the manifests that it lists, and
/// where its blobs come from.
///
/// Manifests are held in memory, blobs are not: they are opened in the image's source when they
/// are asked for. Cloning copies nothing.
///
/// ```
/// # use tower_oci::{DynSource, Image, MemoryStore, Reference, testing::ImageBuilder};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let store = MemoryStore::new();
/// # let built = ImageBuilder::new().file("greeting", "hello").build()?;
/// # store.add_image(&"demo".parse()?, Some(&"latest".parse()?), &built);
/// let source = DynSource::new(store);
/// let latest = Reference::Tag("latest".parse()?);
/// let image = Image::load(&source, &"demo".parse()?, &latest).await?;
/// let config = image.config().ok_or("an image has a configuration")?;
/// let json = image.read_blob_verified(config, 1 << 20).await?;
/// assert!(json.starts_with(b"{"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Image(Arc<Inner>);

struct Inner {
    manifest: Manifest,
    view: ManifestView,
    children: Vec<Image>,
    /// How many levels of children there are below.
    height: usize,
    blobs: HashMap<Digest, BlobOrigin>,
}

impl Image {
    /// The most manifests that an index may list, nested ones included and repeated ones not.
    pub const MAX_MANIFESTS: usize = 4096;
    /// The most bytes that the manifests of one image may have together.
    pub const MAX_MANIFEST_BYTES: u64 = 64 << 20;
    /// How deep indexes may be nested.
    pub const MAX_DEPTH: usize = 8;

    /// Loads the image that `reference` names, with the manifests that it lists. No blob is read.
    ///
    /// Every manifest that is asked for by digest is verified. Manifests that an index lists and
    /// the source does not have are left out: an index may be sparse.
    ///
    /// # Errors
    ///
    /// The source's error; a manifest with another digest or that is not JSON; a descriptor that
    /// makes no sense (a negative size, embedded data of the wrong length); an index beyond
    /// [`MAX_MANIFESTS`](Self::MAX_MANIFESTS), [`MAX_MANIFEST_BYTES`](Self::MAX_MANIFEST_BYTES) or
    /// [`MAX_DEPTH`](Self::MAX_DEPTH).
    pub async fn load(
        source: &DynSource,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Self, ImageError> {
        let origin = Origin {
            source: source.clone(),
            repository: repository.clone(),
        };
        load::load(origin, reference).await
    }

    /// An image of these parts, if its descriptors make sense.
    pub(crate) fn assemble(
        manifest: Manifest,
        children: Vec<Self>,
        origin: &Origin,
    ) -> Result<Self, ImageError> {
        let mut view = ManifestView::parse(manifest.bytes())?;
        if let Some(invalid) = view.invalid.drain(..).next() {
            return Err(invalid.into());
        }
        // Children are shared, so an index could grow beyond the depth to which it was loaded.
        let below = children.iter().map(|child| child.0.height + 1);
        let height = below.max().unwrap_or(0);
        if height > Self::MAX_DEPTH {
            return Err(ImageError::IndexTooLarge);
        }
        let mut blobs = HashMap::new();
        for descriptor in view.blobs() {
            let place = match descriptor.embedded()? {
                Some(bytes) => Place::Embedded(bytes),
                None => Place::Source(origin.clone()),
            };
            let digest = descriptor.digest;
            let origin = BlobOrigin { digest, place };
            // Bytes that are at hand already are not given up for a source that may not have them.
            if origin.is_embedded() || !blobs.contains_key(&digest) {
                blobs.insert(digest, origin);
            }
        }
        Ok(Self(Arc::new(Inner {
            manifest,
            view,
            children,
            height,
            blobs,
        })))
    }

    /// The manifest, in its exact bytes.
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The digest of the manifest.
    pub fn digest(&self) -> &Digest {
        self.0.manifest.digest()
    }

    /// The media type of the manifest.
    pub fn media_type(&self) -> &MediaType {
        self.0.manifest.media_type()
    }

    /// The configuration; an index has none.
    pub fn config(&self) -> Option<&Descriptor> {
        self.0.view.config.as_ref()
    }

    /// The layers of an image or the blobs of an artifact, in their order.
    pub fn layers(&self) -> &[Descriptor] {
        &self.0.view.layers
    }

    /// The entries of an index, in their order, also those that the source does not have.
    pub fn entries(&self) -> &[Descriptor] {
        &self.0.view.manifests
    }

    /// The images that an index lists, as far as the source has them.
    pub fn children(&self) -> &[Self] {
        &self.0.children
    }

    /// What this image refers to.
    pub fn subject(&self) -> Option<&Descriptor> {
        self.0.view.subject.as_ref()
    }

    /// What kind of artifact this is: the `artifactType`, or else the type of the configuration.
    pub fn artifact_type(&self) -> Option<ArtifactType> {
        self.0.view.artifact_type(self.media_type())
    }

    /// The annotations of the manifest.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.0.view.annotations
    }

    /// Everything that the manifest is made of: configuration, layers, entries.
    pub fn descriptors(&self) -> impl Iterator<Item = &Descriptor> {
        self.0.view.content()
    }

    /// Opens a blob that the manifest names.
    ///
    /// One that is empty, or embedded in its descriptor, comes from there; the source is not
    /// asked.
    ///
    /// # Errors
    ///
    /// [`SourceError::NotFound`] if the manifest names no such blob, and the source's errors.
    pub async fn blob(
        &self,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<DynBody>, SourceError> {
        let origin = self.0.blobs.get(digest);
        origin
            .ok_or(SourceError::NotFound(MissingContent::Blob))?
            .open(options)
            .await
    }

    /// Reads a blob that the manifest names into memory, and verifies it.
    ///
    /// # Errors
    ///
    /// The blob is larger than `limit` bytes, has another size or digest than its descriptor says,
    /// or cannot be read.
    pub async fn read_blob_verified(
        &self,
        descriptor: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, ImageError> {
        let digest = descriptor.digest;
        let too_large = ImageError::BlobTooLarge { digest, limit };
        let wrong = ImageError::BlobMismatch(digest);
        if descriptor.size > limit {
            return Err(too_large);
        }
        let Blob::Content(content) = self.blob(&digest, GetBlob::default()).await? else {
            return Err(SourceError::Unsupported.into());
        };
        if content.range != (0..descriptor.size) || content.info.size != descriptor.size {
            return Err(wrong);
        }
        let mut body = pin!(content.body);
        let mut bytes = BytesMut::new();
        while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            let frame = frame.map_err(ImageError::Body)?;
            let piece = frame.into_data().unwrap_or_default();
            if (bytes.len() + piece.len()) as u64 > descriptor.size {
                return Err(wrong);
            }
            bytes.extend_from_slice(&piece);
        }
        if bytes.len() as u64 != descriptor.size || !digest.verifies(&bytes) {
            return Err(wrong);
        }
        Ok(bytes.freeze())
    }

    /// This image and all images below it, children first. Each is there once: an index may list
    /// a child again and again, so there may be more ways down than anybody can go.
    pub(crate) fn with_children(&self) -> Vec<&Self> {
        fn visit<'a>(
            image: &'a Image,
            seen: &mut HashSet<*const Inner>,
            found: &mut Vec<&'a Image>,
        ) {
            if seen.insert(Arc::as_ptr(&image.0)) {
                for child in image.children() {
                    visit(child, seen, found); // at most `MAX_DEPTH` deep
                }
                found.push(image);
            }
        }
        let mut found = Vec::new();
        visit(self, &mut HashSet::new(), &mut found);
        found
    }

    /// Where each blob that the manifest names comes from.
    pub(crate) fn blobs(&self) -> &HashMap<Digest, BlobOrigin> {
        &self.0.blobs
    }

    /// The subject, and the entry of this image in the list of its referrers.
    pub(crate) fn referrer(&self) -> Option<(Digest, Descriptor)> {
        let subject = self.subject()?.digest;
        Some((subject, self.0.view.referrer(self.manifest())))
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("digest", self.digest())
            .field("media_type", self.media_type())
            .finish_non_exhaustive()
    }
}

/// The repository of a source that an image was loaded from.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) source: DynSource,
    pub(crate) repository: RepositoryName,
}

/// Where a blob of an image comes from.
#[derive(Clone, Debug)]
pub(crate) struct BlobOrigin {
    digest: Digest,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Embedded(Bytes),
    Source(Origin),
}

impl BlobOrigin {
    /// Whether its bytes are at hand, so that no source has to be asked for them.
    pub(crate) fn is_embedded(&self) -> bool {
        matches!(self.place, Place::Embedded(_))
    }

    pub(crate) async fn open(&self, options: GetBlob) -> Result<Blob<DynBody>, SourceError> {
        match &self.place {
            Place::Embedded(bytes) => {
                Ok(Blob::from_bytes(bytes.clone(), &options)?.map_body(DynBody::new))
            }
            Place::Source(Origin { source, repository }) => {
                source.blob(repository, &self.digest, options).await
            }
        }
    }

    pub(crate) async fn stat(&self) -> Result<BlobInfo, SourceError> {
        match &self.place {
            Place::Embedded(bytes) => Ok(BlobInfo::seekable(bytes.len() as u64)),
            Place::Source(Origin { source, repository }) => {
                source.stat_blob(repository, &self.digest).await
            }
        }
    }
}

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The source did not give the manifest or the blob.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The manifest cannot be read, or has another digest.
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    /// A descriptor in the manifest makes no sense.
    #[error(transparent)]
    Descriptor(#[from] InvalidDescriptor),
    /// An index lists more than [`Image::MAX_MANIFESTS`], [`Image::MAX_MANIFEST_BYTES`] or
    /// [`Image::MAX_DEPTH`] allow.
    #[error("the index lists too many manifests, or nests them too deep")]
    IndexTooLarge,
    /// The blob is larger than the caller allows.
    #[error("the blob {digest} is larger than {limit} bytes")]
    BlobTooLarge {
        /// The digest of the blob.
        digest: Digest,
        /// What the caller allows, in bytes.
        limit: u64,
    },
    /// The blob has another size or digest than its descriptor says.
    #[error("the blob {0} does not have the size and the digest of its descriptor")]
    BlobMismatch(Digest),
    /// The blob could not be read to its end.
    #[error("the blob could not be read")]
    Body(#[source] BoxError),
}
