use std::{
    io,
    path::{Path, PathBuf},
};

use super::super::SourceError;
use crate::{body::BoxError, name::RepositoryName, text::Excerpt};

/// Why a layout cannot be served. The text is for the operator, and names the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutError {
    /// A file or directory cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// The directory has no `oci-layout` file.
    #[error("{} is missing: every OCI image layout has this file", .0.display())]
    NotALayout(PathBuf),
    /// The `oci-layout` file does not say that the layout has version 1.
    #[error(
        "{} gives {version} as the imageLayoutVersion: 1.x is what can be served", .path.display()
    )]
    Version {
        /// The `oci-layout` file.
        path: PathBuf,
        /// The version that it gives.
        version: Excerpt,
    },
    /// The `oci-layout` or `index.json` file is not a JSON object.
    #[error("{} is not what a layout has there", .path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with its content.
        #[source]
        error: BoxError,
    },
    /// The `oci-layout` or `index.json` file is too large to be one.
    #[error("{} is larger than {limit} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The largest size that is read, in bytes.
        limit: u64,
    },
    /// The file is no tar archive, is cut off, or is one that cannot be read in place.
    #[error("{} is not a tar archive that can be read in place", .path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: BoxError,
    },
    /// The archive is compressed.
    #[error(
        "{} is compressed with {format}: an archive is read in place, so decompress it before",
        .path.display()
    )]
    Compressed {
        /// The file.
        path: PathBuf,
        /// What it is compressed with: `gzip`.
        format: &'static str,
    },
    /// Two layouts are given the same name.
    #[error("two layouts are given for the repository {0}")]
    Duplicate(RepositoryName),
    /// There is no tokio runtime, or it ended.
    #[error("the layouts cannot be opened")]
    Runtime(#[source] BoxError),
}

impl LayoutError {
    pub(crate) fn unreadable(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        Self::Unreadable { path, error }
    }

    pub(crate) fn runtime(error: SourceError) -> Self {
        Self::Runtime(match error {
            SourceError::Backend(error) => error,
            error => error.into(),
        })
    }
}
