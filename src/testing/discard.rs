use crate::{
    body::DynBody,
    source::{BlobSource, MemoryStore, forward::forward_blob_source},
    store::{BlobStore, forward_blob_store},
};

/// A store that takes pushes of any size in little memory, for load tests: it verifies digests and
/// keeps sizes, manifests, tags and referrers, and discards the bytes of blobs.
///
/// A `HEAD` finds a blob that was pushed; its bytes are
/// [`Unsupported`](crate::SourceError::Unsupported). So is the end of an upload with another digest
/// algorithm than the one it was begun with, once bytes have arrived: there is nothing left to hash
/// again.
///
/// ```
/// # use tower_oci::{OciRegistryService, testing::DiscardStore};
/// let registry = OciRegistryService::writable(DiscardStore::new());
/// ```
#[derive(Clone, Debug)]
pub struct DiscardStore(MemoryStore);

impl DiscardStore {
    /// A store with no repository.
    pub fn new() -> Self {
        Self(MemoryStore::builder().discard_blobs().build())
    }
}

impl Default for DiscardStore {
    fn default() -> Self {
        Self::new()
    }
}

impl BlobSource for DiscardStore {
    forward_blob_source!(self => self.0, DynBody);
}

impl BlobStore for DiscardStore {
    forward_blob_store!(self => self.0);
}
