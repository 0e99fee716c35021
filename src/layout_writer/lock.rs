//! Locks between writers, of this process and of others.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use crate::source::layout::stamp::identity;

/// The lock on what is at a path: a locked file beside it. The system takes it away with the process.
pub(super) struct Lock {
    path: PathBuf,
    /// Held until it is closed.
    _file: File,
}

impl Lock {
    /// Waits until nobody else holds the lock on `target`. Blocks.
    pub(super) fn wait(target: &Path) -> io::Result<Self> {
        let taken = Self::take(target, |file| file.lock().map(|()| true))?;
        taken.ok_or_else(|| io::Error::other("the lock was not waited for"))
    }

    /// Takes the lock on `target`, unless somebody else holds it. Blocks, for a moment.
    pub(super) fn take_if_free(target: &Path) -> io::Result<Option<Self>> {
        Self::take(target, lock_if_free)
    }

    fn take(target: &Path, lock: fn(&File) -> io::Result<bool>) -> io::Result<Option<Self>> {
        let mut path = target.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        loop {
            let mut options = File::options();
            let file = options
                .create(true)
                .truncate(false)
                .write(true)
                .open(&path)?;
            if !lock(&file)? {
                return Ok(None);
            }
            // Who held it before removed the file: the lock is on nothing then.
            if is_at(&file, &path)? {
                return Ok(Some(Self { path, _file: file }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Elsewhere the file cannot be told from one that came later, so it stays.
        #[cfg(unix)]
        let _ = std::fs::remove_file(&self.path);
        #[cfg(not(unix))]
        let _ = &self.path;
    }
}

/// Locks a file, unless somebody else has it locked.
pub(super) fn lock_if_free(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether `file` is what is at `path`.
pub(super) fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    match std::fs::metadata(path) {
        Ok(there) => Ok(identity(&there) == identity(&file.metadata()?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
