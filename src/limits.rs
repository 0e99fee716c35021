//! What a registry accepts at most.

use std::time::Duration;

use crate::manifest::Manifest;

/// What the service accepts at most, and how long it keeps what is not finished.
///
/// ```
/// # use tower_oci::{Limits, MemoryStore, OciRegistryService};
/// let mut limits = Limits::default();
/// limits.manifest_size = 1 << 20;
/// limits.uploads.sessions = 100;
/// let registry = OciRegistryService::writable(MemoryStore::new()).limits(limits);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest manifest in bytes, 4 MiB; a larger one is answered with 413. A push holds it in
    /// memory while it arrives, and nothing counts how many do: that is for a concurrency limit.
    // protocol 40
    pub manifest_size: usize,
    /// How many `?tag=` one push of a manifest may have, 100; more are answered with 414.
    // protocol 43
    pub tags_per_request: usize,
    /// How many tags or repositories a page has if the client does not say, 1,000; at least one.
    pub default_page: usize,
    /// How many tags or repositories a page has at most, whatever the client says, 10,000.
    pub largest_page: usize,
    /// What holds for uploads of blobs.
    pub uploads: UploadLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_size: Manifest::USUAL_LIMIT,
            tags_per_request: 100,
            default_page: 1_000,
            largest_page: 10_000,
            uploads: UploadLimits::default(),
        }
    }
}

/// What holds for uploads of blobs. It reaches the store with every upload, because only a store
/// can count what several services may have begun in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadLimits {
    /// The largest blob in bytes, 64 GiB; a larger one is answered with 413.
    pub blob_size: u64,
    /// How many uploads may be open in one repository, 1,000; one more is answered with 429.
    pub sessions_per_repository: usize,
    /// How many uploads may be open in the whole store, 10,000; one more is answered with 429.
    pub sessions: usize,
    /// How long an upload stays open while nothing arrives for it, an hour.
    pub lifetime: Duration,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            blob_size: 64 << 30,
            sessions_per_repository: 1_000,
            sessions: 10_000,
            lifetime: Duration::from_secs(3600),
        }
    }
}
