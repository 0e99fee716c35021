//! Files on their way to their places.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::lock::{is_at, lock_if_free};

/// How the names of files begin that are on their way. 16 hexadecimal digits follow.
const PREFIX: &str = ".layout-part-";

/// How often another name is tried.
const ATTEMPTS: usize = 10;

/// A file that is being written beside its place, locked as long as somebody writes it. It is removed
/// unless it gets there.
pub(super) struct Part {
    path: PathBuf,
    file: File,
    is_placed: bool,
}

impl Part {
    /// A new file in `directory`. Blocks.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        for _ in 0..ATTEMPTS {
            let mut random = [0; 8];
            getrandom::fill(&mut random).map_err(io::Error::other)?;
            let random = u64::from_le_bytes(random);
            let path = directory.join(format!("{PREFIX}{random:016x}"));
            let file = match File::create_new(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            };
            // Another writer may have taken it for one that was left behind.
            if lock_if_free(&file)? && is_at(&file, &path)? {
                let is_placed = false;
                return Ok(Self {
                    path,
                    file,
                    is_placed,
                });
            }
        }
        Err(io::Error::other("no name is free"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Brings what was written to the disk, and the file to its place. Blocks.
    pub(super) fn place(mut self, target: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, target)?;
        self.is_placed = true;
        Ok(())
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes the files in `directory` that nobody writes any more: their writers were killed. Blocks.
pub(super) fn sweep(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !is_name_of_part(&entry.file_name()) {
            continue;
        }
        // One that is gone by now, or is no file, is not ours to remove.
        if let Ok(file) = File::options().write(true).open(entry.path())
            && lock_if_free(&file)?
        {
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}

/// Whether this is such a name as [`Part::create`] gives, and nothing of somebody else's.
fn is_name_of_part(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    digits.is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    })
}

/// Brings the names in a directory to the disk. Blocks.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    #[cfg(unix)]
    use io::ErrorKind::{InvalidInput, Unsupported};
    // Only there is a directory a file that can be opened.
    #[cfg(unix)]
    match File::open(directory)?.sync_all() {
        // Some file systems, those of a network above all, do not know this for directories.
        Err(error) if !matches!(error.kind(), InvalidInput | Unsupported) => return Err(error),
        _ => {}
    }
    #[cfg(not(unix))]
    let _ = directory;
    Ok(())
}
