//! Content of a layout, on blocking threads.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{
    super::{BlobContent, BlobInfo, ByteRange, MissingContent, SourceError},
    archive::Archive,
    body::FileBody,
    directory::{self, is_absent, path_of},
    position::PositionedFile,
    stamp::Stamp,
};
use crate::{digest::Digest, manifest::Manifest};

/// What a layout is on disk.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A directory with a file for each piece of content.
    Directory(Arc<Path>),
    /// A tar archive of such a directory, as it was when it was read.
    Archive(Arc<Archive>),
}

impl Place {
    /// The directory, or the archive's file.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Directory(path) => path,
            Self::Archive(archive) => archive.path(),
        }
    }
}

/// The size that a file must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
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
pub(crate) struct ContentFile {
    pub(crate) place: Place,
    pub(crate) digest: Digest,
    pub(crate) size: Size,
    /// Whether the layout has to have it. Layers with URLs and the entries of an index may be
    /// absent.
    pub(crate) required: bool,
}

/// Content that can be read.
pub(super) struct Opened {
    pub(super) file: Arc<PositionedFile>,
    /// Where in the file it begins.
    pub(super) at: u64,
    pub(super) length: u64,
    pub(super) stamp: Stamp,
}

/// Why content of a layout cannot be served. The text names its file, for the log; for content of
/// an archive that is its name there, behind the archive's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
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

impl ContentFile {
    /// The length of the content, if that is what its descriptors say. Opens nothing.
    pub(crate) fn length(&self) -> Result<u64, FileError> {
        let (length, _) = self.look().map_err(|error| self.failed(error))?;
        self.checked(length)
    }

    /// The same for a manifest, with the stamp of the file. Opens nothing.
    pub(super) fn manifest_stamp(&self) -> Result<(u64, Stamp), FileError> {
        let (length, stamp) = self.look().map_err(|error| self.failed(error))?;
        Ok((self.checked_manifest(length)?, stamp))
    }

    /// Whether there is nothing with this digest, as against something that cannot be looked at.
    pub(super) fn is_absent(&self) -> bool {
        match &self.place {
            Place::Directory(_) => std::fs::metadata(self.path()).is_err_and(|e| is_absent(&e)),
            Place::Archive(archive) => !archive.has(&self.digest),
        }
    }

    /// The bytes of a manifest, verified; and the stamp of the file, unless it could change
    /// without getting another.
    pub(super) fn read_manifest(&self) -> Result<(Bytes, Option<Stamp>), FileError> {
        let now = SystemTime::now();
        let opened = self.open().map_err(|error| self.failed(error))?;
        self.checked_manifest(opened.length)?;
        let bytes = opened.read().map_err(|error| self.failed(error))?;
        if !self.digest.verifies(&bytes) {
            return Err(FileError::Digest(self.path()));
        }
        let settled = (!opened.stamp.is_racy(now)).then_some(opened.stamp);
        Ok((bytes.into(), settled))
    }

    /// Opens a blob, with its first bytes read, so that a small one needs no second blocking call.
    pub(crate) fn open_blob(
        &self,
        range: Option<ByteRange>,
        runtime: Handle,
    ) -> Result<BlobContent<FileBody>, SourceError> {
        let answer = |error| self.answer(error, MissingContent::Blob);
        let failed = |error| answer(self.failed(error));
        let opened = self.open().map_err(failed)?;
        let length = self.checked(opened.length).map_err(answer)?;
        let info = BlobInfo::seekable(length);
        let range = info.resolve(range)?;
        let body = FileBody::begin(opened, self.digest, range.clone(), runtime).map_err(failed)?;
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

    fn path(&self) -> PathBuf {
        path_of(self.place.path(), &self.digest)
    }

    fn look(&self) -> io::Result<(u64, Stamp)> {
        match &self.place {
            Place::Directory(_) => {
                let (_, metadata) = directory::look(&self.path(), &self.digest)?;
                Ok((metadata.len(), Stamp::of(&metadata)))
            }
            Place::Archive(archive) => archive.look(&self.digest),
        }
    }

    fn open(&self) -> io::Result<Opened> {
        match &self.place {
            Place::Directory(_) => {
                let (file, metadata) = directory::open_content(&self.path(), &self.digest)?;
                Ok(Opened {
                    file: Arc::new(PositionedFile::new(file)),
                    at: 0,
                    length: metadata.len(),
                    stamp: Stamp::of(&metadata),
                })
            }
            Place::Archive(archive) => archive.open_content(&self.digest),
        }
    }

    fn checked(&self, length: u64) -> Result<u64, FileError> {
        match self.size {
            Size::Stated(stated) if stated != length => Err(FileError::Size {
                path: self.path(),
                length,
                stated,
            }),
            _ => Ok(length),
        }
    }

    fn checked_manifest(&self, length: u64) -> Result<u64, FileError> {
        match self.checked(length)? {
            length if length <= Manifest::USUAL_LIMIT as u64 => Ok(length),
            length => Err(FileError::TooLarge {
                path: self.path(),
                length,
            }),
        }
    }

    fn failed(&self, error: io::Error) -> FileError {
        let path = self.path();
        FileError::Io { path, error }
    }
}

impl Opened {
    /// All bytes, which the caller knows to be few.
    fn read(&self) -> io::Result<Vec<u8>> {
        let length = usize::try_from(self.length).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, self.at)?;
        Ok(bytes)
    }
}
