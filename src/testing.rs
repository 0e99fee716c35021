//! Builders that make images in memory, for tests and demonstrations.
//!
//! The same calls make the same bytes on every run and on every machine, so a digest can stand in
//! a test.

use std::io;

use crate::image::ImageError;

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
    #[error("a path cannot stand in an archive: {0}")]
    Path(io::ErrorKind),
    /// The configuration cannot be written.
    #[error("the configuration of the image cannot be written")]
    Config(#[source] crate::BoxError),
    /// The parts make no image.
    #[error(transparent)]
    Image(#[from] ImageError),
}
