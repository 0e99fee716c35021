//! Reading a file at any place of it, also by several readers at once.

use std::{
    fs::{File, Metadata},
    io,
};

use super::stamp::Stamp;

/// A file that is read by position. It has no cursor that two readers could share.
#[derive(Debug)]
pub(crate) struct PositionedFile {
    file: File,
    /// Held by who moves the cursor, where a read cannot do without one.
    #[cfg(not(any(unix, windows)))]
    cursor: std::sync::Mutex<()>,
}

impl PositionedFile {
    pub(super) fn new(file: File) -> Self {
        Self {
            file,
            #[cfg(not(any(unix, windows)))]
            cursor: std::sync::Mutex::default(),
        }
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// The stamp of the file, as far as this machine has it without asking another; nothing where
    /// that could block.
    pub(super) fn stamp_now(&self) -> Option<Stamp> {
        Stamp::now(&self.file)
    }

    /// Fills as much of the beginning of `piece` as can be had without waiting for a disk: nothing
    /// where that cannot be told, or where reading fails.
    #[cfg(target_os = "linux")]
    pub(super) fn read_cached_at(&self, piece: &mut [u8], at: u64) -> usize {
        use rustix::io::{ReadWriteFlags, preadv2};
        let pieces = &mut [io::IoSliceMut::new(piece)];
        preadv2(&self.file, pieces, at, ReadWriteFlags::NOWAIT).unwrap_or(0)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn read_cached_at(&self, _: &mut [u8], _: u64) -> usize {
        0
    }

    /// Lets the system read what follows `at` into the page cache, if it likes to. May block.
    #[cfg(target_os = "linux")]
    pub(super) fn read_ahead(&self, at: u64, length: std::num::NonZeroU64) {
        use rustix::fs::{Advice, fadvise};
        // It is advice: what fails here fails again where it is read.
        let _ = fadvise(&self.file, at, Some(length), Advice::WillNeed);
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn read_ahead(&self, _: u64, _: std::num::NonZeroU64) {}

    /// Fills `piece` from the place `at`.
    #[cfg(unix)]
    pub(super) fn read_exact_at(&self, piece: &mut [u8], at: u64) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(&self.file, piece, at)
    }

    /// Fills `piece` from the place `at`.
    #[cfg(windows)]
    pub(super) fn read_exact_at(&self, mut piece: &mut [u8], mut at: u64) -> io::Result<()> {
        while !piece.is_empty() {
            match std::os::windows::fs::FileExt::seek_read(&self.file, piece, at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => {
                    piece = &mut piece[length..];
                    at += length as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Fills `piece` from the place `at`.
    #[cfg(not(any(unix, windows)))]
    pub(super) fn read_exact_at(&self, piece: &mut [u8], at: u64) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let cursor = self.cursor.lock();
        let _cursor = cursor.unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut file = &self.file;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(piece)
    }
}
