//! For tests, demonstrations and loads: images made in memory, the contract of the storage traits as
//! suites that run, and stores that fail to order or keep nothing.
//!
//! - [`ImageBuilder`] and [`IndexBuilder`]: the same calls make the same bytes on every run and on
//!   every machine, so a digest can stand in a test.
//! - [`source_suite`], [`store_suite`], [`source_wrapper_suite`] and [`store_wrapper_suite`]: run
//!   them against an implementation of [`BlobSource`](crate::BlobSource) or
//!   [`BlobStore`](crate::BlobStore), and they say which promise it breaks.
//! - [`Faulty`]: errors, delays and bodies that break off, around any source or store.
//! - [`DiscardStore`]: takes pushes of any size and keeps no blob.

use crate::{body::BoxError, image::ImageError, text::Excerpt};

mod discard;
mod document;
mod faulty;
mod image;
mod index;
mod spy;
mod suite;

pub use discard::DiscardStore;
pub use faulty::{Fault, Faulty, StoreMethod};
pub use image::ImageBuilder;
pub use index::IndexBuilder;
pub use spy::Spy;
pub use suite::{
    BrokenContract, Fixture, source_suite, source_wrapper_suite, store_suite, store_wrapper_suite,
};

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
