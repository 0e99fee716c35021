use crate::{
    descriptor::Descriptor,
    digest::{Algorithm, Digest},
    image::Image,
    media_type::{ArtifactType, MediaType},
    name::{RepositoryName, Tag},
    testing::{BuildError, ImageBuilder, IndexBuilder},
};

/// What a source has to hold for [`source_suite`](super::source_suite): these images in this
/// repository, and no other content in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fixture {
    /// The repository that holds the images.
    pub repository: RepositoryName,
    /// Another repository, which the source does not have, or which has nothing of this.
    pub other: RepositoryName,
    /// The images, with their tags: an index of images (whose children have no tags of their own), an
    /// image with a layer of some size and an empty one, and artifacts that refer to it.
    pub images: Vec<(Option<Tag>, Image)>,
}

impl Fixture {
    pub(super) fn build() -> Result<Self, BuildError> {
        // Bytes that differ from those beside them, so that a range that is off is seen.
        let noise = (0..200_000_u32).map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()[3]);
        let layer: Vec<u8> = noise.collect();
        let image = ImageBuilder::new()
            .layer(MediaType::OCI_LAYER, layer)
            .layer(MediaType::OCI_LAYER, "")
            .build()?;
        let index = IndexBuilder::new()
            .image(&ImageBuilder::new().file("a", "one").build()?)
            .image(&ImageBuilder::new().file("b", "two").build()?)
            .build()?;
        let artifact = |kind: ArtifactType, text: &'static str| {
            ImageBuilder::artifact(kind)
                .layer(MediaType::OCTET_STREAM, text)
                .annotation("text", text)
                .subject(&image)
                .build()
        };
        let kinds = ["suite/a", "suite/b"].map(str::parse::<ArtifactType>);
        let [Ok(first), Ok(second)] = kinds else {
            return Err(BuildError::Config("an artifact type".into()));
        };
        let artifacts = [
            artifact(first.clone(), "first")?,
            artifact(first, "second")?,
            artifact(second, "third")?,
        ];
        let tag = |tag: &str| tag.parse::<Tag>().ok();
        let tagged = [
            (tag("b"), index),
            (tag("B"), image.clone()),
            (tag("a.1"), image),
        ];
        let untagged = artifacts.into_iter().map(|artifact| (None, artifact));
        let name = |error: crate::InvalidName| BuildError::Config(error.into());
        Ok(Self {
            repository: "suite/images".parse().map_err(name)?,
            other: "suite/other".parse().map_err(name)?,
            images: tagged.into_iter().chain(untagged).collect(),
        })
    }

    /// Every image once, also those that an index lists.
    pub(super) fn all_images(&self) -> impl Iterator<Item = &Image> {
        self.images
            .iter()
            .flat_map(|(_, image)| image.with_children())
    }

    pub(super) fn tags(&self) -> Vec<Tag> {
        let tags = self.images.iter().filter_map(|(tag, _)| tag.clone());
        let mut tags: Vec<Tag> = tags.collect();
        tags.sort();
        tags
    }

    /// The entries among the referrers of the subject that has some, in the order of digests.
    pub(super) fn referrers(&self) -> (Digest, Vec<Descriptor>) {
        let entries = self.images.iter().filter_map(|(_, image)| image.referrer());
        let (subjects, mut entries): (Vec<_>, Vec<_>) = entries.unzip();
        entries.sort_by_key(|entry| entry.digest);
        let subject = subjects.first().copied();
        (
            subject.unwrap_or_else(|| Algorithm::Sha256.digest("")),
            entries,
        )
    }
}
