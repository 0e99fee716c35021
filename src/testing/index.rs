use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    BuildError,
    document::{Contents, Document, Layer, descriptor_of},
};
use crate::{
    descriptor::{Descriptor, Platform},
    digest::Algorithm,
    image::Image,
    media_type::{ArtifactType, MediaType},
};

/// Makes an index of images in memory.
///
/// ```
/// use tower_oci::{Platform, testing::{ImageBuilder, IndexBuilder}};
///
/// let mut index = IndexBuilder::new();
/// for architecture in ["amd64", "arm64"] {
///     let platform = Platform::new("linux", architecture);
///     let image = ImageBuilder::new()
///         .platform(platform.clone())
///         .file("etc/architecture", architecture)
///         .build()?;
///     index = index.image_for(&image, platform);
/// }
/// assert_eq!(index.build()?.children().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct IndexBuilder {
    algorithm: Algorithm,
    artifact_type: Option<ArtifactType>,
    entries: Vec<Descriptor>,
    children: Vec<Image>,
    blobs: Vec<Layer>,
    annotations: BTreeMap<String, String>,
    subject: Option<Descriptor>,
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl IndexBuilder {
    /// An index without entries.
    pub fn new() -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            artifact_type: None,
            entries: Vec::new(),
            children: Vec::new(),
            blobs: Vec::new(),
            annotations: BTreeMap::new(),
            subject: None,
        }
    }

    /// Names the index by a digest of this algorithm.
    #[must_use]
    pub fn algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// What kind of artifact the index is.
    #[must_use]
    pub fn artifact_type(self, artifact_type: ArtifactType) -> Self {
        let artifact_type = Some(artifact_type);
        Self {
            artifact_type,
            ..self
        }
    }

    /// Adds an image, an artifact or another index.
    #[must_use]
    pub fn image(mut self, image: &Image) -> Self {
        self.entries.push(descriptor_of(image));
        self.children.push(image.clone());
        self
    }

    /// Adds an image that runs on `platform`.
    #[must_use]
    pub fn image_for(mut self, image: &Image, platform: Platform) -> Self {
        self.entries.push(Descriptor {
            platform: Some(platform),
            ..descriptor_of(image)
        });
        self.children.push(image.clone());
        self
    }

    /// Adds an entry whose content is not there: a sparse index.
    #[must_use]
    pub fn missing(mut self, entry: Descriptor) -> Self {
        self.entries.push(entry);
        self
    }

    /// Adds a plain blob as an entry, after all images, as BuildKit's caches have them.
    #[must_use]
    pub fn blob(mut self, media_type: MediaType, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        self.blobs.push(Layer { media_type, bytes });
        self
    }

    /// Adds an annotation to the index.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Lets the index refer to `subject`.
    #[must_use]
    pub fn subject(self, subject: &Image) -> Self {
        let subject = Some(descriptor_of(subject));
        Self { subject, ..self }
    }

    /// Makes the index.
    ///
    /// # Errors
    ///
    /// An entry that makes no sense, such as a missing one with a size beyond
    /// [`Descriptor::MAX_SIZE`], or indexes that are nested deeper than [`Image::MAX_DEPTH`].
    pub fn build(self) -> Result<Image, BuildError> {
        let mut contents = Contents::new(self.algorithm);
        let blobs = self.blobs.into_iter();
        let blobs = blobs.map(|blob| contents.add(blob.media_type, blob.bytes));
        let document = Document {
            schema_version: 2,
            media_type: MediaType::OCI_INDEX,
            artifact_type: self.artifact_type,
            config: None,
            layers: None,
            manifests: Some(self.entries.into_iter().chain(blobs).collect()),
            subject: self.subject,
            annotations: self.annotations,
        };
        document.into_image(contents, self.children)
    }
}
