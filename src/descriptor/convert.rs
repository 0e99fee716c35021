//! Descriptors to and from those of the `oci-spec` crate.

use std::collections::HashMap;

use oci_spec::{
    OciSpecError,
    image::{
        Descriptor as OciDescriptor, DescriptorBuilder, Digest as OciDigest,
        Platform as OciPlatform, PlatformBuilder,
    },
};
use serde_json::value::to_raw_value;

use super::{Descriptor, InvalidDescriptor, Platform};

/// ```
/// use tower_oci::{Algorithm, Descriptor, MediaType};
///
/// let digest = Algorithm::Sha256.digest(b"{}");
/// let descriptor = Descriptor::new(MediaType::OCI_EMPTY, digest, 2);
/// let converted = oci_spec::image::Descriptor::try_from(&descriptor)?;
/// assert_eq!(converted.digest().to_string(), digest.to_string());
/// assert_eq!(Descriptor::try_from(&converted)?, descriptor);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl TryFrom<&OciDescriptor> for Descriptor {
    type Error = InvalidDescriptor;

    /// # Errors
    ///
    /// [`InvalidDescriptor`]: the digest cannot be verified here, or the size is beyond
    /// [`Descriptor::MAX_SIZE`].
    fn try_from(descriptor: &OciDescriptor) -> Result<Self, InvalidDescriptor> {
        let json = to_raw_value(descriptor).map_err(|_| InvalidDescriptor::NotAnObject)?;
        Ok(Self {
            // `oci-spec` writes two fields of a platform by names that are not the specification's.
            platform: descriptor.platform().as_ref().map(Platform::from),
            ..Self::parse(&json)?
        })
    }
}

impl TryFrom<&Descriptor> for OciDescriptor {
    type Error = OciSpecError;

    /// # Errors
    ///
    /// The platform's, if `oci-spec` refuses it.
    fn try_from(descriptor: &Descriptor) -> Result<Self, OciSpecError> {
        let digest: OciDigest = descriptor.digest.to_string().parse()?;
        let mut converted = DescriptorBuilder::default()
            .media_type(descriptor.media_type.as_str())
            .digest(digest)
            .size(descriptor.size);
        if !descriptor.urls.is_empty() {
            converted = converted.urls(descriptor.urls.clone());
        }
        if !descriptor.annotations.is_empty() {
            let annotations: HashMap<_, _> = descriptor.annotations.clone().into_iter().collect();
            converted = converted.annotations(annotations);
        }
        if let Some(data) = &descriptor.data {
            converted = converted.data(data.as_str());
        }
        if let Some(platform) = &descriptor.platform {
            converted = converted.platform(OciPlatform::try_from(platform)?);
        }
        if let Some(artifact_type) = &descriptor.artifact_type {
            converted = converted.artifact_type(artifact_type.as_str());
        }
        converted.build()
    }
}

impl From<&OciPlatform> for Platform {
    fn from(platform: &OciPlatform) -> Self {
        Self {
            architecture: platform.architecture().to_string(),
            os: platform.os().to_string(),
            os_version: platform.os_version().clone().unwrap_or_default(),
            os_features: platform.os_features().clone().unwrap_or_default(),
            variant: platform.variant().clone().unwrap_or_default(),
        }
    }
}

impl TryFrom<&Platform> for OciPlatform {
    type Error = OciSpecError;

    fn try_from(platform: &Platform) -> Result<Self, OciSpecError> {
        let mut converted = PlatformBuilder::default()
            .architecture(platform.architecture.as_str())
            .os(platform.os.as_str());
        if !platform.os_version.is_empty() {
            converted = converted.os_version(platform.os_version.as_str());
        }
        if !platform.os_features.is_empty() {
            converted = converted.os_features(platform.os_features.clone());
        }
        if !platform.variant.is_empty() {
            converted = converted.variant(platform.variant.as_str());
        }
        converted.build()
    }
}
