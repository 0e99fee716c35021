//! Whether a file changed since it was read.

use std::{
    fs::{File, Metadata},
    io::Read,
    path::Path,
    time::{Duration, SystemTime},
};

use super::{directory::open, error::LayoutError};
use crate::digest::{Algorithm, Digest};

/// The largest `index.json` that is read: about 200,000 entries.
pub(crate) const LARGEST_INDEX: u64 = 64 << 20;

/// Two writes that are closer together than this may leave the same times behind: two seconds on
/// the coarsest file systems.
const RACY: Duration = Duration::from_secs(2);

/// A file as it was when it was read: an `index.json`, or a whole archive.
#[derive(Clone)]
pub(crate) struct Seen {
    stamp: Stamp,
    /// Whether the file could change again without another stamp. Then only its content tells, as
    /// with the "racily clean" entries of git's index.
    racy: bool,
    content: Digest,
}

impl Seen {
    /// What was read at `now`, or later.
    pub(super) fn new(stamp: Stamp, now: SystemTime, content: Digest) -> Self {
        Self {
            racy: stamp.is_racy(now),
            stamp,
            content,
        }
    }

    /// Whether the file at `path` is known to be this one, with the same content. Blocks.
    pub(super) fn is_unchanged(&self, path: &Path) -> bool {
        let now = || Some(Stamp::of(&std::fs::metadata(path).ok()?));
        !self.racy && now().is_some_and(|now| now == self.stamp)
    }

    pub(super) fn same_file(&self, other: &Self) -> bool {
        self.stamp == other.stamp
    }

    pub(super) fn same_content(&self, other: &Self) -> bool {
        self.content == other.content
    }
}

/// What differs between two versions of a file, without reading it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    modified: Option<SystemTime>,
    /// When the inode changed: a modification time can be set, this cannot.
    changed: Option<SystemTime>,
    /// The device and the inode: a file that was moved here may be old.
    identity: Option<(u64, u64)>,
    /// How many names it has: none, once it is deleted.
    names: Option<u64>,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: modified(metadata),
            changed: changed(metadata),
            identity: identity(metadata),
            names: names(metadata),
        }
    }

    /// That of an open file, as far as this machine has it without asking another; nothing where
    /// that could block.
    #[cfg(target_os = "linux")]
    pub(super) fn now(file: &File) -> Option<Self> {
        use rustix::fs::{AtFlags, StatxFlags, makedev, statx};
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let file = statx(file, c"", flags, StatxFlags::BASIC_STATS).ok()?;
        let device = makedev(file.stx_dev_major, file.stx_dev_minor);
        Some(Self {
            size: file.stx_size,
            modified: time(file.stx_mtime.tv_sec, file.stx_mtime.tv_nsec.into()),
            changed: time(file.stx_ctime.tv_sec, file.stx_ctime.tv_nsec.into()),
            identity: Some((device, file.stx_ino)),
            names: Some(file.stx_nlink.into()),
        })
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn now(_: &File) -> Option<Self> {
        None
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.names == Some(0)
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether nobody wrote to the file since. It may have got other names meanwhile, or lost its
    /// own, which changes its inode but nothing in it.
    pub(super) fn is_of_same_content(&self, other: &Self) -> bool {
        (self.size, self.modified) == (other.size, other.modified)
    }

    /// Whether the file was changed shortly before `now`, or later.
    pub(super) fn is_racy(&self, now: SystemTime) -> bool {
        let last = self.modified.max(self.changed);
        let settled = |last| now.duration_since(last).is_ok_and(|age| age >= RACY);
        !last.is_some_and(settled)
    }
}

/// The content of the file, unless it is known to be what was seen before. Blocks.
pub(super) fn read_if_changed(
    path: &Path,
    before: Option<&Seen>,
) -> Result<Option<(Seen, Vec<u8>)>, LayoutError> {
    if before.is_some_and(|before| before.is_unchanged(path)) {
        return Ok(None);
    }
    let unreadable = |error| LayoutError::unreadable(path, error);
    let now = SystemTime::now();
    let file = open(path).map_err(unreadable)?;
    let stamp = Stamp::of(&file.metadata().map_err(unreadable)?);
    let bytes = read_at_most(&file, path, LARGEST_INDEX)?;
    if Stamp::of(&file.metadata().map_err(unreadable)?) != stamp {
        let torn = std::io::Error::other("it was written while it was read");
        return Err(unreadable(torn));
    }
    let seen = Seen::new(stamp, now, Algorithm::Sha256.digest(&bytes));
    Ok(Some((seen, bytes)))
}

/// The whole content of a small file.
pub(crate) fn read_at_most(
    file: impl Read,
    path: &Path,
    limit: u64,
) -> Result<Vec<u8>, LayoutError> {
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| LayoutError::unreadable(path, error))?;
    if bytes.len() as u64 > limit {
        let path = path.to_owned();
        return Err(LayoutError::TooLarge { path, limit });
    }
    Ok(bytes)
}

/// What tells a file from all others, where the system has such a thing.
#[cfg(unix)]
pub(crate) fn identity(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(unix)]
fn modified(metadata: &Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    time(metadata.mtime(), metadata.mtime_nsec())
}

#[cfg(unix)]
fn changed(metadata: &Metadata) -> Option<SystemTime> {
    use std::os::unix::fs::MetadataExt;
    time(metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(unix)]
fn names(metadata: &Metadata) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    Some(metadata.nlink())
}

/// A time of a file; nothing if it is before 1970.
#[cfg(unix)]
fn time(seconds: i64, nanoseconds: i64) -> Option<SystemTime> {
    let since = Duration::new(seconds.try_into().ok()?, nanoseconds.try_into().ok()?);
    SystemTime::UNIX_EPOCH.checked_add(since)
}

#[cfg(not(unix))]
pub(crate) fn identity(_: &Metadata) -> Option<(u64, u64)> {
    None
}

#[cfg(not(unix))]
fn modified(metadata: &Metadata) -> Option<SystemTime> {
    metadata.modified().ok()
}

#[cfg(not(unix))]
fn changed(_: &Metadata) -> Option<SystemTime> {
    None
}

#[cfg(not(unix))]
fn names(_: &Metadata) -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    #[test]
    fn another_file_with_the_same_times_has_another_stamp() {
        let directory = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| {
            let path = directory.path().join(name);
            std::fs::write(&path, "content").unwrap();
            Stamp::of(&std::fs::metadata(path).unwrap())
        });
        // Two files seldom get the same times, so the second gets those of the first here.
        let second = Stamp {
            modified: first.modified,
            changed: first.changed,
            ..second
        };
        assert!(first != second);
    }
}
