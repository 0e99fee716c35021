//! Which manifests' files are known to have the content that their digests say.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;

use super::{
    file::{ContentFile, FileError},
    stamp::Stamp,
};
use crate::digest::Digest;

/// The files that were verified, as they were then: at most one for each manifest of a view.
///
/// With it a HEAD tells what a GET would, and does not read the file again and again.
#[derive(Default)]
pub(super) struct Verified(Mutex<HashMap<Digest, Stamp>>);

impl Verified {
    /// The length of a manifest's file, which has the right content. Blocks.
    pub(super) fn length(&self, file: &ContentFile) -> Result<u64, FileError> {
        let looked = file.manifest_stamp()?;
        let is_verified = self.lock().get(&file.digest) == Some(&looked.stamp);
        if is_verified && file.renew(&looked) {
            return Ok(looked.length);
        }
        Ok(self.read(file)?.len() as u64)
    }

    /// The bytes of a manifest, verified. Blocks.
    pub(super) fn read(&self, file: &ContentFile) -> Result<Bytes, FileError> {
        let (bytes, settled) = file.read_manifest()?;
        if let Some(stamp) = settled {
            self.lock().insert(file.digest, stamp);
        }
        Ok(bytes)
    }

    // Each change is a single insertion, so a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Stamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
