//! The image that is there when no layout is.

use tower_oci::{
    BoxError, MediaType, MemoryStore, Platform,
    testing::{ImageBuilder, IndexBuilder},
};

/// Adds `demo:latest`, for two platforms, and a list of its parts that refers to it.
pub(crate) fn add_to(store: &MemoryStore) -> Result<(), BoxError> {
    let mut index = IndexBuilder::new();
    for architecture in ["amd64", "arm64"] {
        let platform = Platform::new("linux", architecture);
        let image = ImageBuilder::new()
            .platform(platform.clone())
            .files([("etc/motd", "Hello from tower-oci.\n")])
            .files([("etc/architecture", format!("{architecture}\n"))])
            .build()?;
        index = index.image_for(&image, platform);
    }
    let index = index
        .annotation("org.opencontainers.image.title", "tower-oci demo")
        .build()?;
    let parts = ImageBuilder::artifact("application/vnd.example.parts.v1".parse()?)
        .layer(
            "text/plain".parse::<MediaType>()?,
            "etc/motd\netc/architecture\n",
        )
        .subject(&index)
        .build()?;

    let repository = "demo".parse()?;
    store.add_image(&repository, Some(&"latest".parse()?), &index);
    store.add_image(&repository, None, &parts);
    Ok(())
}
