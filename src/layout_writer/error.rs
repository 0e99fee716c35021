use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{
    body::BoxError,
    digest::Digest,
    name::Tag,
    source::{LayoutError, SourceError, layout::refreshed::on_blocking_thread},
};

/// Why an image was not written into a layout, which is what it was before.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LayoutWriteError {
    /// What is there is no layout that can be added to.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A file or directory cannot be written.
    #[error("{} cannot be written", .path.display())]
    Unwritable {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// Somebody else is writing the archive.
    #[error("{} is being written by somebody else", .0.display())]
    Busy(PathBuf),
    /// The image's source does not give a blob.
    #[error("the blob {digest} cannot be had")]
    Source {
        /// The digest of the blob.
        digest: Digest,
        /// What the source says.
        #[source]
        error: Box<SourceError>,
    },
    /// A blob could not be read to its end.
    #[error("the blob {digest} could not be read")]
    Body {
        /// The digest of the blob.
        digest: Digest,
        /// What broke it off.
        #[source]
        error: BoxError,
    },
    /// A blob has another size or digest than its descriptor says; or two descriptors give two sizes.
    #[error("the blob {0} does not have the size and the digest of its descriptor")]
    BlobMismatch(Digest),
    /// Content that the archive had before has another digest than its name says.
    /// [`LayoutWriter::verify_present`](super::LayoutWriter::verify_present) replaces it, if the image
    /// has it.
    #[error("{} has other content at {digest}", .path.display())]
    Broken {
        /// The archive.
        path: PathBuf,
        /// The digest of what it should be.
        digest: Digest,
    },
    /// Two images are given for one tag.
    #[error("two images are given for the tag {0}")]
    Duplicate(Tag),
    /// There is no tokio runtime, or it ended.
    #[error("files cannot be written")]
    Runtime(#[source] BoxError),
}

impl LayoutWriteError {
    pub(super) fn unwritable(path: &Path, error: io::Error) -> Self {
        let path = path.to_owned();
        Self::Unwritable { path, error }
    }

    pub(super) fn source(digest: &Digest, error: SourceError) -> Self {
        let (digest, error) = (*digest, Box::new(error));
        Self::Source { digest, error }
    }
}

/// Does `work` on a blocking thread. It is done to its end even if this future is dropped.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LayoutWriteError> + Send + 'static,
) -> Result<T, LayoutWriteError> {
    match on_blocking_thread(work).await {
        Ok(done) => done,
        Err(SourceError::Backend(error)) => Err(LayoutWriteError::Runtime(error)),
        Err(error) => Err(LayoutWriteError::Runtime(error.into())),
    }
}
