//! Builders that make images in memory, for tests and demonstrations.
//!
//! The same calls make the same bytes on every run and on every machine, so a digest can stand in
//! a test.

use std::{
    collections::{BTreeMap, HashMap},
    io,
};

use bytes::Bytes;
use oci_spec::image::{Config, ImageConfigurationBuilder, RootFsBuilder};
use serde::Serialize;

use crate::{
    body::BytesBody,
    descriptor::{Descriptor, Platform},
    digest::{Algorithm, Digest},
    image::{Image, ImageError, Origin},
    manifest::Manifest,
    media_type::{ArtifactType, MediaType},
    name::{Reference, RepositoryName},
    source::{
        Blob, BlobSource, DynSource, Found, GetBlob, GetManifest, MissingContent, SourceError,
    },
};

/// Makes an image, or an artifact in the shape of one, in memory.
///
/// ```
/// use tower_oci::testing::ImageBuilder;
///
/// let image = ImageBuilder::new()
///     .files([("etc/motd", "hello"), ("etc/hostname", "demo")])
///     .annotation("org.opencontainers.image.title", "a demonstration")
///     .build()?;
/// let signature = ImageBuilder::artifact("application/vnd.example.signature".parse()?)
///     .layer("text/plain".parse()?, "signed")
///     .subject(&image)
///     .build()?;
/// assert_eq!(signature.subject().map(|subject| subject.digest), Some(*image.digest()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    kind: Kind,
    algorithm: Algorithm,
    layers: Vec<Layer>,
    annotations: BTreeMap<String, String>,
    subject: Option<Descriptor>,
    /// The first mistake in the calls so far; `build` returns it.
    mistake: Option<io::ErrorKind>,
}

#[derive(Clone, Debug)]
enum Kind {
    Image {
        platform: Platform,
        config: Option<Box<Config>>,
    },
    Artifact(ArtifactType),
}

#[derive(Clone, Debug)]
struct Layer {
    media_type: MediaType,
    bytes: Bytes,
}

impl Default for ImageBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl ImageBuilder {
    /// An image for `linux/amd64`, without layers.
    pub fn new() -> Self {
        Self::of(Kind::Image {
            platform: Platform::new("linux", "amd64"),
            config: None,
        })
    }

    /// An artifact of this type, without content.
    pub fn artifact(artifact_type: ArtifactType) -> Self {
        Self::of(Kind::Artifact(artifact_type))
    }

    fn of(kind: Kind) -> Self {
        Self {
            kind,
            algorithm: Algorithm::Sha256,
            layers: Vec::new(),
            annotations: BTreeMap::new(),
            subject: None,
            mistake: None,
        }
    }

    /// What the image runs on. An artifact runs on nothing, and ignores it.
    #[must_use]
    pub fn platform(mut self, on: Platform) -> Self {
        if let Kind::Image { platform, .. } = &mut self.kind {
            *platform = on;
        }
        self
    }

    /// What the image runs, and how. An artifact does not, and ignores it.
    #[must_use]
    pub fn config(mut self, run: Config) -> Self {
        if let Kind::Image { config, .. } = &mut self.kind {
            *config = Some(Box::new(run));
        }
        self
    }

    /// Names everything by digests of this algorithm.
    #[must_use]
    pub fn algorithm(self, algorithm: Algorithm) -> Self {
        Self { algorithm, ..self }
    }

    /// Adds a layer with one file, at a path relative to the root of the image.
    #[must_use]
    pub fn file(self, path: impl AsRef<str>, content: impl AsRef<[u8]>) -> Self {
        self.files([(path, content)])
    }

    /// Adds a layer with these files, each at a path relative to the root of the image.
    #[must_use]
    pub fn files<P, C>(mut self, files: impl IntoIterator<Item = (P, C)>) -> Self
    where
        P: AsRef<str>,
        C: AsRef<[u8]>,
    {
        match archive(files) {
            Ok(bytes) => self.layer(MediaType::OCI_LAYER, bytes),
            Err(error) => {
                self.mistake.get_or_insert(error.kind());
                self
            }
        }
    }

    /// Adds these bytes as a layer. In an image that shall run they are a tar archive that is not
    /// compressed, because the configuration names the digest of that.
    #[must_use]
    pub fn layer(mut self, media_type: MediaType, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        self.layers.push(Layer { media_type, bytes });
        self
    }

    /// Adds an annotation to the manifest.
    #[must_use]
    pub fn annotation(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// Lets the manifest refer to `subject`.
    #[must_use]
    pub fn subject(self, subject: &Image) -> Self {
        self.subject_descriptor(descriptor_of(subject))
    }

    /// Lets the manifest refer to what `subject` describes, which need not exist.
    #[must_use]
    pub fn subject_descriptor(self, subject: Descriptor) -> Self {
        let subject = Some(subject);
        Self { subject, ..self }
    }

    /// Makes the image.
    ///
    /// # Errors
    ///
    /// A path that an archive cannot hold: absolute, with `..`, or too long.
    pub fn build(self) -> Result<Image, BuildError> {
        if let Some(mistake) = self.mistake {
            return Err(BuildError::Path(mistake));
        }
        let mut contents = Contents::new(self.algorithm);
        let (config, artifact_type) = match &self.kind {
            Kind::Image { platform, config } => {
                let json = configuration(platform, config.as_deref(), &self.layers)?;
                (contents.add(MediaType::OCI_CONFIG, json.into()), None)
            }
            Kind::Artifact(artifact_type) => {
                let empty = Bytes::from_static(b"{}");
                let config = contents.add(MediaType::OCI_EMPTY, empty);
                (config, Some(artifact_type.clone()))
            }
        };
        let layers = self.layers.into_iter();
        let layers = layers.map(|layer| contents.add(layer.media_type, layer.bytes));
        let document = Document {
            schema_version: 2,
            media_type: MediaType::OCI_MANIFEST,
            artifact_type,
            config: Some(config),
            layers: Some(layers.collect()),
            manifests: None,
            subject: self.subject,
            annotations: self.annotations,
        };
        document.into_image(contents, Vec::new())
    }
}

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
    /// [`Descriptor::MAX_SIZE`].
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

/// Why an image could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A file's path cannot stand in an archive.
    #[error("a path cannot stand in an archive: {0}")]
    Path(io::ErrorKind),
    /// The configuration cannot be written.
    #[error("the configuration of the image cannot be written")]
    Config(#[source] crate::BoxError),
    /// The parts make no image.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// An image manifest or an index, in the order of fields that the specification has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    media_type: MediaType,
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact_type: Option<ArtifactType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Descriptor>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    manifests: Option<Vec<Descriptor>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Descriptor>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Document {
    fn into_image(self, contents: Contents, children: Vec<Image>) -> Result<Image, BuildError> {
        let json = serde_json::to_vec(&self).map_err(|error| BuildError::Config(error.into()))?;
        let digest = contents.algorithm.digest(&json);
        let manifest = Manifest::trusted(digest, self.media_type, json);
        Ok(Image::assemble(
            manifest,
            children,
            &contents.into_origin(),
        )?)
    }
}

fn descriptor_of(image: &Image) -> Descriptor {
    let manifest = image.manifest();
    Descriptor::new(
        manifest.media_type().clone(),
        *manifest.digest(),
        manifest.size(),
    )
}

/// The configuration of an image, with the digests of its archives.
fn configuration(
    platform: &Platform,
    config: Option<&Config>,
    layers: &[Layer],
) -> Result<Vec<u8>, BuildError> {
    let failed = |error: crate::BoxError| BuildError::Config(error);
    let layers = layers.iter();
    let diff_ids = layers.map(|layer| Algorithm::Sha256.digest(&layer.bytes).to_string());
    let rootfs = RootFsBuilder::default()
        .typ("layers")
        .diff_ids(diff_ids.collect::<Vec<_>>())
        .build()
        .map_err(|error| failed(error.into()))?;
    let mut configuration = ImageConfigurationBuilder::default()
        .architecture(platform.architecture.as_str())
        .os(platform.os.as_str())
        .rootfs(rootfs);
    if !platform.variant.is_empty() {
        configuration = configuration.variant(platform.variant.as_str());
    }
    if !platform.os_version.is_empty() {
        configuration = configuration.os_version(platform.os_version.as_str());
    }
    if let Some(config) = config {
        configuration = configuration.config(config.clone());
    }
    let configuration = configuration
        .build()
        .map_err(|error| failed(error.into()))?;
    // The maps inside of the configuration have no order of their own.
    let mut sorted = serde_json::to_value(&configuration).map_err(|error| failed(error.into()))?;
    sorted.sort_all_objects();
    serde_json::to_vec(&sorted).map_err(|error| failed(error.into()))
}

/// A tar archive of these files, owned by root, from the beginning of 1970.
fn archive<P: AsRef<str>, C: AsRef<[u8]>>(
    files: impl IntoIterator<Item = (P, C)>,
) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let content = content.as_ref();
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, path.as_ref(), content)?;
    }
    archive.into_inner()
}

/// The blobs of an image that was built: a source that has no manifests.
struct Contents {
    algorithm: Algorithm,
    blobs: HashMap<Digest, Bytes>,
}

impl Contents {
    fn new(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            blobs: HashMap::new(),
        }
    }

    fn add(&mut self, media_type: MediaType, bytes: Bytes) -> Descriptor {
        let digest = self.algorithm.digest(&bytes);
        let descriptor = Descriptor::new(media_type, digest, bytes.len() as u64);
        self.blobs.insert(digest, bytes);
        descriptor
    }

    fn into_origin(self) -> Origin {
        Origin {
            source: DynSource::new(self),
            repository: RepositoryName::BUILT,
        }
    }
}

impl BlobSource for Contents {
    type Body = BytesBody;

    async fn manifest(
        &self,
        _: &RepositoryName,
        _: &Reference,
        _: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        Err(SourceError::NotFound(MissingContent::Manifest))
    }

    async fn blob(
        &self,
        _: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<BytesBody>, SourceError> {
        let bytes = self.blobs.get(digest);
        let bytes = bytes.ok_or(SourceError::NotFound(MissingContent::Blob))?;
        Blob::from_bytes(bytes.clone(), &options)
    }
}
