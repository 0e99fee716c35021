use std::collections::BTreeMap;

use bytes::Bytes;
use oci_spec::image::{Config, ImageConfigurationBuilder, RootFsBuilder};

use super::{
    BuildError,
    document::{Contents, Document, Layer, descriptor_of},
};
use crate::{
    descriptor::{Descriptor, Platform},
    digest::Algorithm,
    image::Image,
    media_type::{ArtifactType, MediaType},
    text::{Excerpt, with_causes},
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
    /// The first mistake in the calls so far, which `build` returns: a path, and what is wrong.
    mistake: Option<(Excerpt, String)>,
}

#[derive(Clone, Debug)]
enum Kind {
    Image {
        platform: Platform,
        config: Option<Box<Config>>,
    },
    Artifact(ArtifactType),
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
            Err(mistake) => {
                self.mistake.get_or_insert(mistake);
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
    /// A path that an archive cannot hold: empty, absolute, or with `..`.
    pub fn build(self) -> Result<Image, BuildError> {
        if let Some((path, reason)) = self.mistake {
            return Err(BuildError::Path { path, reason });
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

/// A tar archive of these files, owned by root, from the beginning of 1970; or the path that cannot
/// stand in one, and why.
fn archive<P: AsRef<str>, C: AsRef<[u8]>>(
    files: impl IntoIterator<Item = (P, C)>,
) -> Result<Vec<u8>, (Excerpt, String)> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let (path, content) = (path.as_ref(), content.as_ref());
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        archive
            .append_data(&mut header, path, content)
            .map_err(|error| (Excerpt::of(path), with_causes(&error)))?;
    }
    // Writing into memory does not fail.
    Ok(archive.into_inner().unwrap_or_default())
}
