//! Content of a layout that is a directory: one file for each digest.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::stamp::identity;
use crate::digest::Digest;

/// How often a file is opened again that was replaced at that moment.
const ATTEMPTS: usize = 3;

/// Where a layout has the content with `digest`.
// image-spec, image-layout, "Blobs"
pub(crate) fn path_of(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs").join(name_of(digest))
}

fn name_of(digest: &Digest) -> PathBuf {
    Path::new(digest.algorithm().as_str()).join(digest.encoded())
}

/// Where the file of `digest` at `path` is, and what it is.
///
/// Whoever writes a layout could link any file of this machine into it. So a link in place of
/// the file is followed only to one that the digest names as well: `…/sha256/<digits>`, as
/// stores that layouts share have it. The folders above may be links to anywhere: the file
/// itself has the name all the same.
pub(super) fn look(path: &Path, digest: &Digest) -> io::Result<(PathBuf, fs::Metadata)> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_symlink() {
        return Ok((path.to_owned(), regular(metadata)?));
    }
    let target = fs::canonicalize(path)?;
    if !target.ends_with(name_of(digest)) {
        let text = "it is a link to a file that does not have the digest as its name";
        return Err(io::Error::other(text));
    }
    let metadata = regular(fs::symlink_metadata(&target)?)?;
    Ok((target, metadata))
}

/// A file of content that was opened.
pub(super) struct OpenContent {
    pub(super) file: File,
    pub(super) metadata: fs::Metadata,
    /// Whether a link led to it.
    pub(super) is_linked: bool,
}

/// Opens the file that [`look`] finds, and no other.
pub(super) fn open_content(path: &Path, digest: &Digest) -> io::Result<OpenContent> {
    for _ in 0..ATTEMPTS {
        let (target, found) = look(path, digest)?;
        let file = open_without_waiting(&target)?;
        let metadata = regular(file.metadata()?)?;
        // Otherwise it was replaced since, by a link perhaps.
        if identity(&metadata) == identity(&found) {
            return Ok(OpenContent {
                file,
                metadata,
                is_linked: target != path,
            });
        }
    }
    Err(io::Error::other("it is replaced again and again"))
}

/// Opens a regular file, wherever links lead to it.
pub(crate) fn open(path: &Path) -> io::Result<File> {
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

/// Whether a path leads to nothing, as against something that cannot be looked at.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory | InvalidFilename)
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
