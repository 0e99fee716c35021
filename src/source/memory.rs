//! [`MemoryStore`]: a whole registry in memory.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{MissingContent, SourceError};
#[cfg(doc)]
use crate::store::BlobStore;
use crate::{
    clock::Clock,
    digest::Digest,
    image::Image,
    listing::{Cursor, Page},
    name::{RepositoryName, Tag},
};

mod budget;
mod content;
mod repository;
mod session;
mod slots;
mod source;
mod store;
mod uploads;

use budget::Budget;
use repository::Repository;
use uploads::Uploads;

/// A registry in memory: the embedded default, and the reference for what a store does.
///
/// It implements [`BlobStore`], and [`add_image`](Self::add_image) fills it without a push. The blobs
/// of an image that was added stay where the image has them, and are opened there for each request;
/// what is pushed is kept. Cloning gives another handle to the same store.
///
/// What clients can fill it with is bounded: see [`MemoryStoreBuilder`].
///
/// ```
/// # use tower_oci::{MemoryStore, OciRegistryService, testing::ImageBuilder};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let image = ImageBuilder::new().file("greeting", "hello").build()?;
/// let store = MemoryStore::new();
/// store.add_image(&"library/demo".parse()?, Some(&"latest".parse()?), &image);
/// let registry = OciRegistryService::writable(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct MemoryStore(Arc<Shared>);

struct Shared {
    repositories: RwLock<BTreeMap<RepositoryName, Repository>>,
    uploads: Uploads,
    budget: Arc<Budget>,
    max_repositories: usize,
}

/// Makes a [`MemoryStore`] with other bounds than the usual ones.
///
/// ```
/// # use tower_oci::MemoryStore;
/// let store = MemoryStore::builder().max_bytes(64 << 20).max_repositories(100).build();
/// assert_eq!(store.used_bytes(), 0);
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct MemoryStoreBuilder {
    max_bytes: u64,
    max_repositories: usize,
    clock: Clock,
    keeps: bool,
}

impl MemoryStoreBuilder {
    /// How many bytes clients may fill, 1 GiB: blobs, manifests, what arrives in uploads, and 256
    /// for each tag, manifest, blob, upload and repository. More is refused with
    /// [`SourceError::Full`].
    ///
    /// What is deleted while it is downloaded counts until the download ends. What the program adds
    /// itself does not count, nor do manifests that are still arriving
    /// ([`Limits::manifest_size`](crate::Limits::manifest_size)). It is a bound of content, and not of
    /// the memory that the process takes for it.
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// How many repositories there may be, 10,000. A push to one more is refused with
    /// [`SourceError::Full`].
    pub fn max_repositories(self, max_repositories: usize) -> Self {
        Self {
            max_repositories,
            ..self
        }
    }

    /// Where the store gets the time from, by which uploads expire.
    pub fn clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Only counts and hashes the bytes of blobs.
    #[cfg(feature = "testing")]
    pub(crate) fn discard_blobs(self) -> Self {
        Self {
            keeps: false,
            ..self
        }
    }

    /// Makes the store.
    pub fn build(self) -> MemoryStore {
        let budget = Budget::new(self.max_bytes);
        MemoryStore(Arc::new(Shared {
            repositories: RwLock::default(),
            uploads: Uploads::new(&budget, self.clock, self.keeps),
            budget,
            max_repositories: self.max_repositories,
        }))
    }
}

impl MemoryStore {
    /// A store with no repository, and the usual bounds.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Makes a store with other bounds.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder {
            max_bytes: 1 << 30,
            max_repositories: 10_000,
            clock: Clock::default(),
            keeps: true,
        }
    }

    /// How many of [`max_bytes`](MemoryStoreBuilder::max_bytes) are filled.
    pub fn used_bytes(&self) -> u64 {
        self.0.budget.used()
    }

    /// Adds `image` to `repository`, with all manifests that it lists, and points `tag` at it.
    ///
    /// Without a tag it is found by digest, or as a referrer of its subject. All of it becomes
    /// visible at once, and nothing is read or copied: blobs are opened in the image's own source
    /// when a client asks for them. Adding an image again moves the tag.
    pub fn add_image(&self, repository: &RepositoryName, tag: Option<&Tag>, image: &Image) {
        let budget = &self.0.budget;
        let mut repositories = self.write();
        let repository = repositories
            .entry(repository.clone())
            .or_insert_with(|| Repository::new(budget.free()));
        for part in image.with_children() {
            let tag = tag.filter(|_| part.digest() == image.digest());
            repository.add(part, tag, budget);
        }
    }

    // Each change under the lock is whole unless it panics, which nothing in it does.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<RepositoryName, Repository>> {
        let repositories = self.0.repositories.read();
        repositories.unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<RepositoryName, Repository>> {
        let repositories = self.0.repositories.write();
        repositories.unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks into one repository. The lock is held for `look` only, never across I/O.
    fn look<T>(
        &self,
        repository: &RepositoryName,
        look: impl FnOnce(&Repository) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        look(
            self.read()
                .get(repository)
                .ok_or(SourceError::NotFound(MissingContent::Repository))?,
        )
    }

    /// Changes one repository, which has to be there.
    fn change<T>(
        &self,
        repository: &RepositoryName,
        change: impl FnOnce(&mut Repository) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        change(
            self.write()
                .get_mut(repository)
                .ok_or(SourceError::NotFound(MissingContent::Repository))?,
        )
    }

    /// Adds to one repository, which is there afterwards if `add` succeeds.
    fn add<T>(
        &self,
        name: &RepositoryName,
        add: impl FnOnce(&mut Repository) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let mut repositories = self.write();
        if let Some(repository) = repositories.get_mut(name) {
            return add(repository);
        }
        if repositories.len() >= self.0.max_repositories {
            return Err(SourceError::Full);
        }
        let cost = Budget::ENTRY + name.as_str().len() as u64;
        let mut repository = Repository::new(self.0.budget.take(cost)?);
        let added = add(&mut repository)?;
        repositories.insert(name.clone(), repository);
        Ok(added)
    }

    /// Whether something may be added to a repository of this name.
    fn check_room_for(&self, repository: &RepositoryName) -> Result<(), SourceError> {
        let repositories = self.read();
        let is_full = repositories.len() >= self.0.max_repositories;
        match is_full && !repositories.contains_key(repository) {
            true => Err(SourceError::Full),
            false => Ok(()),
        }
    }

    /// Ends the uploads that have expired, if there is no room for `amount` bytes with them.
    fn make_room(&self, amount: u64) {
        if self.0.budget.check(amount).is_err() {
            self.0.uploads.sweep();
        }
    }

    fn has_blob(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        let repositories = self.read();
        let repository = repositories.get(repository);
        repository.is_some_and(|repository| repository.has_blob(digest))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("used_bytes", &self.used_bytes())
            .finish_non_exhaustive()
    }
}

/// A part of a map by name.
type NameRange<'a> = (Bound<&'a str>, Bound<&'a str>);

/// The part of a map by name where `page` begins.
pub(super) fn beginning_of(page: Page<'_>) -> NameRange<'_> {
    let after = page.after.map(Cursor::as_str);
    (
        after.map_or(Bound::Unbounded, Bound::Excluded),
        Bound::Unbounded,
    )
}
