//! [`MemoryStore`]: a whole registry in memory.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{
    BlobInfo, BlobSource, Found, GetBlob, GetManifest, ListReferrers, ManifestInfo, MissingContent,
    SourceError,
};
use crate::{
    access::Visibility,
    body::DynBody,
    clock::Clock,
    descriptor::Descriptor,
    digest::Digest,
    image::Image,
    listing::{Cursor, Listing, Page},
    manifest::Manifest,
    name::{Reference, RepositoryName, Tag, UploadId},
    source::Blob,
    store::{
        BeginUpload, BlobStore, MountFrom, NewManifest, Precondition, Session, StoredManifest,
        UploadBody, UploadStatus,
    },
};

mod budget;
mod content;
mod repository;
mod session;
mod slots;
mod uploads;

use budget::Budget;
use repository::{BlobBytes, Repository};
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

    /// The blob in any repository that is visible. Nobody else's code runs under the lock.
    fn find_blob(&self, digest: &Digest, visibility: &Visibility) -> Option<BlobBytes> {
        let repositories = self.read();
        let holders = repositories.iter();
        let holders = holders.filter(|(_, repository)| repository.has_blob(digest));
        let holders: Vec<RepositoryName> = holders.map(|(name, _)| name.clone()).collect();
        drop(repositories);
        let mut holders = holders.iter().filter(|name| visibility.shows(name));
        holders.find_map(|name| self.look(name, |repository| repository.blob(digest)).ok())
    }

    async fn commit(
        &self,
        repository: &RepositoryName,
        session: &session::Session,
        at: Option<u64>,
        body: &mut UploadBody,
        expect: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let commit = |content: &mut dyn FnMut() -> content::Content| {
            let charge = self.0.budget.take(Budget::ENTRY)?;
            self.add(repository, |repository| {
                repository.push_blob(*expect, charge, content);
                Ok(())
            })
        };
        session.finish(at, body, expect, commit).await
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

impl BlobSource for MemoryStore {
    type Body = DynBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        self.look(repository, |repository| {
            let manifest = repository.manifest(reference)?;
            if options.unless.contains(manifest.digest()) {
                return Ok(Found::NotModified(*manifest.digest()));
            }
            Ok(manifest.clone().into())
        })
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<DynBody>, SourceError> {
        let blob = self.look(repository, |repository| repository.blob(digest))?;
        blob.open(options).await
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let blob = self.look(repository, |repository| repository.blob(digest))?;
        blob.stat().await
    }

    async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestInfo, SourceError> {
        self.look(repository, |repository| {
            Ok(ManifestInfo::of(repository.manifest(reference)?))
        })
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, SourceError> {
        self.look(repository, |repository| {
            let tags = repository.tags_after(beginning_of(page));
            Ok(Listing::page_of_sorted(tags.cloned(), page))
        })
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Result<Listing<Descriptor>, SourceError> {
        self.look(repository, |repository| {
            let referrers = repository.referrers(subject);
            let after = options.page.after.and_then(Cursor::digest);
            let beginning = after.map_or(Bound::Unbounded, Bound::Excluded);
            let entries = referrers
                .into_iter()
                .flat_map(|referrers| referrers.range((beginning, Bound::Unbounded)))
                .map(|(_, entry)| entry);
            Ok(Listing::page_of_sorted_referrers(entries, options))
        })
    }

    async fn repositories(&self, page: Page<'_>) -> Result<Listing<RepositoryName>, SourceError> {
        let repositories = self.read();
        let names = repositories.range::<str, _>(beginning_of(page));
        Ok(Listing::page_of_sorted(
            names.map(|(name, _)| name.clone()),
            page,
        ))
    }
}

impl BlobStore for MemoryStore {
    async fn begin_upload(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
    ) -> Result<Session, SourceError> {
        self.check_room_for(repository)?;
        self.0.uploads.begin(repository, &begin).map(Session::new)
    }

    async fn append_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Result<u64, SourceError> {
        let session = self.0.uploads.get(repository, upload)?;
        session.append(at, body).await
    }

    async fn upload_status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<UploadStatus, SourceError> {
        let session = self.0.uploads.get(repository, upload)?;
        session.offset().map(UploadStatus::new)
    }

    async fn finish_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let session = self.0.uploads.get(repository, upload)?;
        match self.commit(repository, &session, at, last, expect).await {
            // It was committed already: before this request, or while it was under way.
            Err(SourceError::UploadUnknown)
                if session.committed() == Some(*expect) && self.has_blob(repository, expect) =>
            {
                self.stat_blob(repository, expect).await
            }
            stored => {
                let stored = stored?;
                self.0.uploads.committed(upload);
                Ok(stored)
            }
        }
    }

    async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<(), SourceError> {
        self.0.uploads.cancel(repository, upload)
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        expect: &Digest,
        begin: BeginUpload,
        body: &mut UploadBody,
    ) -> Result<BlobInfo, SourceError> {
        self.check_room_for(repository)?;
        let begin = begin.algorithm(expect.algorithm());
        let single = self.0.uploads.begin_single(repository, &begin)?;
        self.commit(repository, single.session(), Some(0), body, expect)
            .await
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: MountFrom<'_>,
    ) -> Result<bool, SourceError> {
        let found = match from {
            MountFrom::Repository(from) => self.look(from, |from| from.blob(digest)).ok(),
            MountFrom::Anywhere(visibility) => self.find_blob(digest, visibility),
        };
        let Some(bytes) = found else {
            return Ok(false);
        };
        self.make_room(Budget::ENTRY);
        self.add(repository, |repository| {
            if !repository.has_blob(digest) {
                let charge = self.0.budget.take(Budget::ENTRY)?;
                repository.insert_blob(*digest, bytes, charge);
            }
            Ok(true)
        })
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        new: NewManifest,
    ) -> Result<StoredManifest, SourceError> {
        self.make_room(repository::cost_of(&new));
        let is_listed_as_referrer = new.referrer.is_some();
        let replaced = self.add(repository, |repository| {
            repository.put_manifest(new, &self.0.budget)
        })?;
        drop(replaced);
        Ok(StoredManifest::new(is_listed_as_referrer))
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        self.change(repository, |repository| {
            repository.delete_manifest(digest, &precondition)
        })
        .map(drop)
    }

    async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        self.change(repository, |repository| {
            repository.delete_tag(tag, &precondition)
        })
    }

    async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        self.change(repository, |repository| {
            repository.delete_blob(digest, &precondition)
        })
        .map(drop)
    }

    async fn sweep(&self) -> Result<(), SourceError> {
        self.0.uploads.sweep();
        Ok(())
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
