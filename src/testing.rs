//! Builders that make images in memory, for tests and demonstrations.
//!
//! The same calls make the same bytes on every run and on every machine, so a digest can stand in
//! a test.

use crate::{body::BoxError, image::ImageError, text::Excerpt};

mod document;
mod image;
mod index;

pub use image::ImageBuilder;
pub use index::IndexBuilder;

/// Why an image could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A file's path cannot stand in an archive.
    #[error("{path} cannot stand in an archive: {reason}")]
    Path {
        /// The path.
        path: Excerpt,
        /// Why not.
        reason: String,
    },
    /// The configuration cannot be written.
    #[error("the configuration of the image cannot be written")]
    Config(#[source] BoxError),
    /// The parts make no image.
    #[error(transparent)]
    Image(#[from] ImageError),
}
