//! Content of a layout, on blocking threads.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use tokio::runtime::Handle;

use super::{
    super::{BlobContent, BlobInfo, ByteRange, MissingContent, SourceError},
    archive::Archive,
    body::FileBody,
    directory::{self, is_absent, path_of},
    kept::{Kept, KeptOfLayout},
    position::PositionedFile,
    stamp::Stamp,
};
use crate::{body::slice, digest::Digest, manifest::Manifest};

/// What a layout is on disk.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A directory with a file for each piece of content.
    Directory(LayoutDirectory),
    /// A tar archive of such a directory, as it was when it was read.
    Archive(Arc<Archive>),
}

/// A layout that is a directory.
#[derive(Clone)]
pub(crate) struct LayoutDirectory {
    path: Arc<Path>,
    /// Where its files stay open between requests, if they do.
    kept: Option<KeptOfLayout>,
}

impl LayoutDirectory {
    /// One whose files are opened each time.
    pub(crate) fn new(path: impl Into<Arc<Path>>) -> Self {
        Self {
            path: path.into(),
            kept: None,
        }
    }

    /// The same, whose files stay open for a while. Only where it can be told without waiting
    /// whether one is what it was: elsewhere it would be open for nothing.
    pub(super) fn keeping(self, kept: KeptOfLayout) -> Self {
        Self {
            kept: cfg!(target_os = "linux").then_some(kept),
            ..self
        }
    }
}

impl fmt::Debug for LayoutDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LayoutDirectory").field(&self.path).finish()
    }
}

impl Place {
    /// The same, whose files do not stay open.
    pub(super) fn unkept(self) -> Self {
        match self {
            Self::Directory(directory) => Self::Directory(LayoutDirectory::new(directory.path)),
            archive => archive,
        }
    }

    /// The directory, or the archive's file.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Directory(directory) => &directory.path,
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

/// Content that was looked at.
pub(super) struct Looked {
    pub(super) length: u64,
    pub(super) stamp: Stamp,
    /// When its path was looked at, if its file may stay open.
    pub(super) found: Option<Instant>,
}

/// Content that can be read.
pub(super) struct Opened {
    pub(super) file: Arc<PositionedFile>,
    /// Where in the file it begins.
    pub(super) at: u64,
    pub(super) length: u64,
    pub(super) stamp: Stamp,
    /// When its path was looked at, if it may stay open.
    pub(super) found: Option<Instant>,
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
        let looked = self.look().map_err(|error| self.failed(error))?;
        self.checked(looked.length)
    }

    /// The same for a manifest, with the stamp of the file. Opens nothing.
    pub(super) fn manifest_stamp(&self) -> Result<Looked, FileError> {
        let looked = self.look().map_err(|error| self.failed(error))?;
        self.checked_manifest(looked.length)?;
        Ok(looked)
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
        let kept = self.kept_files();
        let known = kept.and_then(|kept| kept.verified(&self.digest, &opened.stamp));
        let bytes = match known {
            Some(bytes) => bytes,
            None => self.read_verified(&opened)?,
        };
        if opened.stamp.is_racy(now) {
            return Ok((bytes, None));
        }
        self.keep(&opened, Some(bytes.clone()), true);
        Ok((bytes, Some(opened.stamp)))
    }

    fn read_verified(&self, opened: &Opened) -> Result<Bytes, FileError> {
        let bytes = opened.read().map_err(|error| self.failed(error))?;
        match self.digest.verifies(&bytes) {
            true => Ok(bytes.into()),
            false => Err(FileError::Digest(self.path())),
        }
    }

    /// The bytes of a manifest that was verified, if they are at hand.
    pub(super) fn manifest_now(&self) -> Option<Bytes> {
        self.kept()?.verified().cloned()
    }

    /// The length of the content, if it is at hand.
    pub(super) fn length_now(&self) -> Option<u64> {
        Some(self.kept()?.stamp.size())
    }

    /// Goes on to keep a manifest at hand whose file was looked at just now. Nothing more can be
    /// done for it if that is true.
    pub(super) fn renew(&self, looked: &Looked) -> bool {
        match (self.kept_files(), looked.found) {
            (Some(files), Some(found)) => files.renew(&self.digest, &looked.stamp, found),
            _ => true,
        }
    }

    /// Opens a blob, with its first bytes read, so that a small one needs no second blocking call.
    pub(crate) fn open_blob(
        &self,
        range: Option<ByteRange>,
        runtime: Handle,
    ) -> Result<BlobContent<FileBody>, SourceError> {
        let now = SystemTime::now();
        let answer = |error| self.answer(error, MissingContent::Blob);
        let failed = |error| answer(self.failed(error));
        let opened = self.open().map_err(failed)?;
        let length = self.checked(opened.length).map_err(answer)?;
        let info = BlobInfo::seekable(length);
        let range = info.resolve(range)?;
        let body = FileBody::begin(&opened, self.digest, range.clone(), runtime).map_err(failed)?;
        let bytes = body.at_hand().filter(|next| next.len() as u64 == length);
        let settled = bytes.filter(|_| !opened.stamp.is_racy(now));
        self.keep(&opened, settled.cloned(), false);
        Ok(BlobContent { info, range, body })
    }

    /// The same without blocking, if the file and its first bytes are at hand.
    pub(super) fn open_blob_now(
        &self,
        range: Option<ByteRange>,
        runtime: Handle,
    ) -> Option<Result<BlobContent<FileBody>, SourceError>> {
        let kept = self.kept()?;
        let info = BlobInfo::seekable(kept.stamp.size());
        let range = match info.resolve(range) {
            Ok(range) => range,
            Err(error) => return Some(Err(error)),
        };
        let (file, digest) = (kept.file.clone(), self.digest);
        let body = match &kept.bytes {
            Some(bytes) => FileBody::of_bytes(file, digest, slice(bytes, &range), runtime),
            None => FileBody::begin_now(file, digest, range.clone(), runtime)?,
        };
        Some(Ok(BlobContent { info, range, body }))
    }

    fn kept_files(&self) -> Option<&KeptOfLayout> {
        match &self.place {
            Place::Directory(directory) => directory.kept.as_ref(),
            Place::Archive(_) => None,
        }
    }

    /// The content, if its file is open and has the size that it must have.
    fn kept(&self) -> Option<Arc<Kept>> {
        let kept = self.kept_files()?.get(&self.digest)?;
        self.has_size(kept.stamp.size()).then_some(kept)
    }

    /// Lets a file that was opened stay open for other requests.
    fn keep(&self, opened: &Opened, bytes: Option<Bytes>, is_verified: bool) {
        if let (Some(files), Some(found)) = (self.kept_files(), opened.found) {
            let kept = Kept {
                file: opened.file.clone(),
                stamp: opened.stamp.clone(),
                bytes,
                is_verified,
            };
            files.keep(self.digest, kept, found);
        }
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

    fn look(&self) -> io::Result<Looked> {
        match &self.place {
            Place::Directory(_) => {
                let (path, found) = (self.path(), Instant::now());
                let (target, metadata) = directory::look(&path, &self.digest)?;
                Ok(Looked {
                    length: metadata.len(),
                    stamp: Stamp::of(&metadata),
                    found: (target == path).then_some(found),
                })
            }
            Place::Archive(archive) => {
                let (length, stamp) = archive.look(&self.digest)?;
                Ok(Looked {
                    length,
                    stamp,
                    found: None,
                })
            }
        }
    }

    fn open(&self) -> io::Result<Opened> {
        match &self.place {
            Place::Directory(_) => {
                let found = Instant::now();
                let content = directory::open_content(&self.path(), &self.digest)?;
                Ok(Opened {
                    file: Arc::new(PositionedFile::new(content.file)),
                    at: 0,
                    length: content.metadata.len(),
                    stamp: Stamp::of(&content.metadata),
                    // Whether a link is still there does not show in the file.
                    found: (!content.is_linked).then_some(found),
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

    fn has_size(&self, length: u64) -> bool {
        matches!(self.size, Size::AsFile) || self.size == Size::Stated(length)
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
