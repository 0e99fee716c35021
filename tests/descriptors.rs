//! Descriptors to and from those of the `oci-spec` crate.

#![allow(clippy::unwrap_used)] // a test fails by panicking

use oci_spec::image::{
    Descriptor as OciDescriptor, DescriptorBuilder, Digest as OciDigest, PlatformBuilder,
};
use tower_oci::{Algorithm, Descriptor, MediaType, Platform};

/// One with every field that both crates know.
fn full() -> OciDescriptor {
    let digest: OciDigest = Algorithm::Sha256
        .digest("hello")
        .to_string()
        .parse()
        .unwrap();
    let platform = PlatformBuilder::default()
        .architecture("arm64")
        .os("windows")
        .os_version("10.0.14393.1066")
        .variant("v8")
        .build()
        .unwrap();
    let remark = ("key".to_owned(), "value".to_owned());
    DescriptorBuilder::default()
        .media_type("application/vnd.oci.image.manifest.v1+json")
        .digest(digest)
        .size(5_u64)
        .urls(["https://example.com/hello".to_owned()])
        .annotations(std::collections::HashMap::from([remark]))
        .data("aGVsbG8=")
        .platform(platform)
        .artifact_type("application/vnd.example+json")
        .build()
        .unwrap()
}

#[test]
fn a_conversion_keeps_every_field() {
    let converted = Descriptor::try_from(&full()).unwrap();
    assert_eq!(converted.media_type, MediaType::OCI_MANIFEST);
    assert_eq!(converted.digest, Algorithm::Sha256.digest("hello"));
    assert_eq!(converted.size, 5);
    assert_eq!(converted.urls, ["https://example.com/hello"]);
    assert_eq!(converted.annotations["key"], "value");
    assert_eq!(converted.embedded().unwrap().unwrap(), "hello");
    let artifact_type = converted.artifact_type.as_ref().unwrap();
    assert_eq!(artifact_type.as_str(), "application/vnd.example+json");
    let mut platform = Platform::new("windows", "arm64");
    platform.os_version = "10.0.14393.1066".to_owned();
    platform.variant = "v8".to_owned();
    assert_eq!(converted.platform, Some(platform));
    assert_eq!(OciDescriptor::try_from(&converted).unwrap(), full());
}

#[test]
fn a_conversion_adds_nothing() {
    let digest = Algorithm::Sha256.digest("hello");
    let bare = Descriptor::new(MediaType::OCI_LAYER, digest, 5);
    let converted = OciDescriptor::try_from(&bare).unwrap();
    assert_eq!(Descriptor::try_from(&converted).unwrap(), bare);
    let mut on_linux = bare;
    on_linux.platform = Some(Platform::new("linux", "amd64"));
    let converted = OciDescriptor::try_from(&on_linux).unwrap();
    assert_eq!(Descriptor::try_from(&converted).unwrap(), on_linux);
}
