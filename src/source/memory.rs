use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::Bound,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use super::{
    Blob, BlobInfo, BlobSource, Found, GetBlob, GetManifest, ListReferrers, MissingContent,
    SourceError,
};
use crate::{
    body::DynBody,
    descriptor::Descriptor,
    digest::Digest,
    image::{BlobOrigin, Image},
    listing::{Cursor, Listing, Page},
    manifest::Manifest,
    name::{Reference, RepositoryName, Tag},
};

/// A registry in memory: the embedded default, and the simplest correct implementation.
///
/// It holds manifests and tags. The blobs of an image stay where the image has them, and are
/// opened there for each request. Cloning gives another handle to the same store.
///
/// ```
/// # use tower_oci::{MemoryStore, OciRegistryService, testing::ImageBuilder};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let image = ImageBuilder::new().file("greeting", "hello").build()?;
/// let store = MemoryStore::new();
/// store.add_image(&"library/demo".parse()?, Some(&"latest".parse()?), &image);
/// let registry = OciRegistryService::new(store);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<RwLock<BTreeMap<RepositoryName, Repository>>>);

/// What one repository holds. Nothing in it is shared with another repository, so knowing a digest
/// gives access only where the content was added.
#[derive(Default)]
struct Repository {
    tags: BTreeMap<Tag, Digest>,
    manifests: HashMap<Digest, Manifest>,
    /// The referrers of each subject, in the order of their digests.
    referrers: HashMap<Digest, BTreeMap<Digest, Descriptor>>,
    blobs: HashMap<Digest, BlobOrigin>,
}

impl MemoryStore {
    /// A store with no repository.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `image` to `repository`, with all manifests that it lists, and points `tag` at it.
    ///
    /// Without a tag it is found by digest, or as a referrer of its subject. All of it becomes
    /// visible at once, and nothing is read or copied: blobs are opened in the image's own source
    /// when a client asks for them. Adding an image again moves the tag.
    pub fn add_image(&self, repository: &RepositoryName, tag: Option<&Tag>, image: &Image) {
        let mut repositories = self.write();
        let repository = repositories.entry(repository.clone()).or_default();
        for image in image.with_children() {
            repository.add(image);
        }
        if let Some(tag) = tag {
            repository.tags.insert(tag.clone(), *image.digest());
        }
    }

    // A panic while the lock is held leaves at worst a part of one image, which is harmless.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<RepositoryName, Repository>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<RepositoryName, Repository>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
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
}

impl Repository {
    fn add(&mut self, image: &Image) {
        for blob in image.blobs().values() {
            blob.clone().keep_in(&mut self.blobs);
        }
        if let Some((subject, entry)) = image.referrer() {
            let referrers = self.referrers.entry(subject).or_default();
            referrers.insert(entry.digest, entry);
        }
        self.manifests
            .insert(*image.digest(), image.manifest().clone());
    }

    fn manifest(&self, reference: &Reference) -> Option<&Manifest> {
        match reference {
            Reference::Digest(digest) => self.manifests.get(digest),
            Reference::Tag(tag) => self.manifests.get(self.tags.get(tag)?),
        }
    }

    fn blob(&self, digest: &Digest) -> Result<BlobOrigin, SourceError> {
        let origin = self.blobs.get(digest).cloned();
        origin.ok_or(SourceError::NotFound(MissingContent::Blob))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").finish_non_exhaustive()
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
            let manifest = repository
                .manifest(reference)
                .ok_or(SourceError::NotFound(MissingContent::Manifest))?;
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
        let origin = self.look(repository, |repository| repository.blob(digest))?;
        origin.open(options).await
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let origin = self.look(repository, |repository| repository.blob(digest))?;
        origin.stat().await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, SourceError> {
        self.look(repository, |repository| {
            let tags = repository.tags.range::<str, _>(beginning_of(page));
            Ok(Listing::page_of_sorted(
                tags.map(|(tag, _)| tag.clone()),
                page,
            ))
        })
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Result<Listing<Descriptor>, SourceError> {
        self.look(repository, |repository| {
            let referrers = repository.referrers.get(subject);
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

/// The part of a map by name where `page` begins.
pub(super) fn beginning_of(page: Page<'_>) -> (Bound<&str>, Bound<&str>) {
    let after = page.after.map(Cursor::as_str);
    (
        after.map_or(Bound::Unbounded, Bound::Excluded),
        Bound::Unbounded,
    )
}
