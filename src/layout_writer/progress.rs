use std::sync::Arc;

use crate::digest::Digest;

/// How far a blob has come on its way into a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlobProgress {
    /// The digest of the blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// How many of these bytes have come from its source.
    pub done: u64,
    /// What becomes of it.
    pub state: BlobState,
}

/// What becomes of a blob on its way into a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlobState {
    /// It is on its way. This is told first before any byte has come.
    Arriving,
    /// It has come and was verified. In a directory it is in its place; in an archive it will be
    /// with all the others.
    Written,
    /// It is there already. Nothing else is told of it.
    Present,
    /// Its source does not have it, and the layout need not. Nothing else is told of it.
    Absent,
}

/// Whom to tell how far blobs have come.
#[derive(Clone, Default)]
pub(super) struct Hook(Option<Arc<dyn Fn(BlobProgress) + Send + Sync>>);

impl Hook {
    pub(super) fn of(hook: impl Fn(BlobProgress) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    pub(super) fn tell(&self, digest: &Digest, size: u64, done: u64, state: BlobState) {
        if let Some(hook) = &self.0 {
            hook(BlobProgress {
                digest: *digest,
                size,
                done,
                state,
            });
        }
    }
}
