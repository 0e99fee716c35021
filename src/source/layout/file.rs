//! Files of a layout, on blocking threads.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{
    super::{BlobContent, BlobInfo, ByteRange, MissingContent, SourceError},
    body::FileBody,
};
use crate::{digest::Digest, manifest::Manifest};

/// The size that a file must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// What its descriptors say.
    Stated(u64),
    /// Any: descriptors disagree, so the file is trusted.
    AsFile,
}

impl Size {
    /// What two descriptors say together.
    pub(super) fn and(self, other: Self) -> Self {
        if self == other { self } else { Self::AsFile }
    }
}

/// Content of a layout, as what refers to it describes it.
#[derive(Clone, Debug)]
pub(super) struct ContentFile {
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    pub(super) size: Size,
    /// Whether the layout has to have it. Layers with URLs and the entries of an index may be
    /// absent.
    pub(super) required: bool,
}

/// Why a file of a layout cannot be served. The text names it, for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("{} cannot be read", .path.display())]
    Io {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("{} has {length} bytes, and its descriptor says {stated}", .path.display())]
    Size {
        path: PathBuf,
        length: u64,
        stated: u64,
    },
    #[error("{} has {length} bytes, and a manifest has at most 4 MiB", .path.display())]
    TooLarge { path: PathBuf, length: u64 },
    #[error("{} has another content than its name says", .0.display())]
    Digest(PathBuf),
}

impl FileError {
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Io { error, .. } if is_absent(error))
    }
}

/// Whether a path leads to nothing, as against something that cannot be looked at.
pub(super) fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
}

/// Where a layout has the content with `digest`.
// image-spec, image-layout, "Blobs"
pub(super) fn path_of(layout: &Path, digest: &Digest) -> PathBuf {
    let folder = layout.join("blobs").join(digest.algorithm().as_str());
    folder.join(digest.encoded())
}

/// Opens a regular file. It is looked at first, because opening a FIFO would wait for a writer.
pub(super) fn open(path: &Path) -> io::Result<File> {
    regular(fs::metadata(path)?)?;
    File::open(path)
}

fn regular(metadata: fs::Metadata) -> io::Result<fs::Metadata> {
    if metadata.is_file() {
        Ok(metadata)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

impl ContentFile {
    /// The length of the file, if that is what its descriptors say. Opens nothing.
    pub(super) fn length(&self) -> Result<u64, FileError> {
        self.checked(fs::metadata(&self.path))
    }

    /// The same for a manifest.
    pub(super) fn manifest_length(&self) -> Result<u64, FileError> {
        match self.length()? {
            length if length <= Manifest::USUAL_LIMIT as u64 => Ok(length),
            length => Err(FileError::TooLarge {
                path: self.path.clone(),
                length,
            }),
        }
    }

    /// The bytes of a manifest, verified.
    pub(super) fn read_manifest(&self) -> Result<Bytes, FileError> {
        self.manifest_length()?;
        let limit = Manifest::USUAL_LIMIT as u64;
        let mut bytes = Vec::new();
        open(&self.path)
            .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
            .map_err(|error| self.failed(error))?;
        if !self.digest.verifies(&bytes) {
            return Err(FileError::Digest(self.path.clone()));
        }
        Ok(bytes.into())
    }

    /// Opens a blob, with its first bytes read, so that a small one needs no second blocking call.
    pub(super) fn open_blob(
        &self,
        range: Option<ByteRange>,
        runtime: Handle,
    ) -> Result<BlobContent<FileBody>, SourceError> {
        let answer = |error| self.answer(error, MissingContent::Blob);
        let failed = |error| answer(self.failed(error));
        let file = open(&self.path).map_err(failed)?;
        let length = self.checked(file.metadata()).map_err(answer)?;
        let info = BlobInfo::seekable(length);
        let range = info.resolve(range)?;
        let body = FileBody::begin(file, self.digest, range.clone(), runtime).map_err(failed)?;
        Ok(BlobContent { info, range, body })
    }

    /// What a request is answered that asked for this file.
    pub(super) fn answer(&self, error: FileError, what: MissingContent) -> SourceError {
        if error.is_absent() && !self.required {
            SourceError::NotFound(what)
        } else {
            SourceError::backend(error)
        }
    }

    fn checked(&self, metadata: io::Result<fs::Metadata>) -> Result<u64, FileError> {
        let metadata = metadata.and_then(regular);
        let length = metadata.map_err(|error| self.failed(error))?.len();
        match self.size {
            Size::Stated(stated) if stated != length => Err(FileError::Size {
                path: self.path.clone(),
                length,
                stated,
            }),
            _ => Ok(length),
        }
    }

    fn failed(&self, error: io::Error) -> FileError {
        let path = self.path.clone();
        FileError::Io { path, error }
    }
}
