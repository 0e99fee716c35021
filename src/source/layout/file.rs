//! Files of a layout, on blocking threads.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{
    super::{BlobContent, BlobInfo, ByteRange, MissingContent, SourceError},
    body::FileBody,
    stamp::{Stamp, identity},
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
    layout.join("blobs").join(name_of(digest))
}

fn name_of(digest: &Digest) -> PathBuf {
    Path::new(digest.algorithm().as_str()).join(digest.encoded())
}

/// Opens a regular file, wherever links lead to it.
pub(super) fn open(path: &Path) -> io::Result<File> {
    regular(fs::metadata(path)?)?;
    open_without_waiting(path)
}

/// Opens a file, and does not wait for the other end if it is a FIFO.
///
/// `O_NONBLOCK`, which does that, is named by libc alone and has another number on other systems.
/// That is not worth a dependency: there a file that turns into a FIFO between the look at it and
/// the opening holds this thread until somebody writes to it.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.read(true);
    #[cfg(all(
        target_os = "linux",
        any(target_arch = "x86_64", target_arch = "aarch64")
    ))]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, 0o4000);
    options.open(path)
}

fn regular(metadata: fs::Metadata) -> io::Result<fs::Metadata> {
    if metadata.is_file() {
        Ok(metadata)
    } else {
        Err(io::Error::other("it is not a regular file"))
    }
}

/// How often a file is opened again that was replaced at that moment.
const ATTEMPTS: usize = 3;

impl ContentFile {
    /// The length of the file, if that is what its descriptors say. Opens nothing.
    pub(super) fn length(&self) -> Result<u64, FileError> {
        let (_, metadata) = self.look().map_err(|error| self.failed(error))?;
        self.checked(&metadata)
    }

    /// The same for a manifest, with the stamp of the file. Opens nothing.
    pub(super) fn manifest_stamp(&self) -> Result<(u64, Stamp), FileError> {
        let (_, metadata) = self.look().map_err(|error| self.failed(error))?;
        let length = self.checked_manifest(&metadata)?;
        Ok((length, Stamp::of(&metadata)))
    }

    /// The bytes of a manifest, verified; and the stamp of the file, unless it could change
    /// without getting another.
    pub(super) fn read_manifest(&self) -> Result<(Bytes, Option<Stamp>), FileError> {
        let failed = |error| self.failed(error);
        let now = SystemTime::now();
        let (file, metadata) = self.open().map_err(failed)?;
        let length = self.checked_manifest(&metadata)?;
        let limit = Manifest::USUAL_LIMIT as u64;
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or_default());
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        if !self.digest.verifies(&bytes) {
            return Err(FileError::Digest(self.path.clone()));
        }
        let stamp = Stamp::of(&metadata);
        let settled = (!stamp.is_racy(now)).then_some(stamp);
        Ok((bytes.into(), settled))
    }

    /// Opens a blob, with its first bytes read, so that a small one needs no second blocking call.
    pub(super) fn open_blob(
        &self,
        range: Option<ByteRange>,
        runtime: Handle,
    ) -> Result<BlobContent<FileBody>, SourceError> {
        let answer = |error| self.answer(error, MissingContent::Blob);
        let failed = |error| answer(self.failed(error));
        let (file, metadata) = self.open().map_err(failed)?;
        let length = self.checked(&metadata).map_err(answer)?;
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

    /// Where the file is, and what it is.
    ///
    /// Whoever writes a layout could link any file of this machine into it. So a link in place of
    /// the file is followed only to one that the digest names as well: `…/sha256/<digits>`, as
    /// stores that layouts share have it. The folders above may be links to anywhere: the file
    /// itself has the name all the same.
    fn look(&self) -> io::Result<(PathBuf, fs::Metadata)> {
        let metadata = fs::symlink_metadata(&self.path)?;
        if !metadata.is_symlink() {
            return Ok((self.path.clone(), regular(metadata)?));
        }
        let target = fs::canonicalize(&self.path)?;
        if !target.ends_with(name_of(&self.digest)) {
            let text = "it is a link to a file that does not have the digest as its name";
            return Err(io::Error::other(text));
        }
        let metadata = regular(fs::symlink_metadata(&target)?)?;
        Ok((target, metadata))
    }

    /// Opens the file that [`look`](Self::look) found, and no other.
    fn open(&self) -> io::Result<(File, fs::Metadata)> {
        for _ in 0..ATTEMPTS {
            let (path, found) = self.look()?;
            let file = open_without_waiting(&path)?;
            let metadata = regular(file.metadata()?)?;
            // Otherwise it was replaced since, by a link perhaps.
            if identity(&metadata) == identity(&found) {
                return Ok((file, metadata));
            }
        }
        Err(io::Error::other("it is replaced again and again"))
    }

    fn checked(&self, metadata: &fs::Metadata) -> Result<u64, FileError> {
        match (self.size, metadata.len()) {
            (Size::Stated(stated), length) if stated != length => Err(FileError::Size {
                path: self.path.clone(),
                length,
                stated,
            }),
            (_, length) => Ok(length),
        }
    }

    fn checked_manifest(&self, metadata: &fs::Metadata) -> Result<u64, FileError> {
        match self.checked(metadata)? {
            length if length <= Manifest::USUAL_LIMIT as u64 => Ok(length),
            length => Err(FileError::TooLarge {
                path: self.path.clone(),
                length,
            }),
        }
    }

    fn failed(&self, error: io::Error) -> FileError {
        let path = self.path.clone();
        FileError::Io { path, error }
    }
}

#[cfg(all(
    test,
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use std::{process::Command, sync::mpsc, thread, time::Duration};

    use super::*;

    #[test]
    fn a_file_that_turns_into_a_fifo_before_it_is_opened_holds_no_thread() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        assert!(
            Command::new("mkfifo")
                .arg(&fifo)
                .status()
                .unwrap()
                .success()
        );
        let (opened, is_open) = mpsc::channel();
        thread::spawn(move || opened.send(open_without_waiting(&fifo)));
        let opened = is_open.recv_timeout(Duration::from_secs(5)).unwrap();
        assert!(regular(opened.unwrap().metadata().unwrap()).is_err());
    }
}
