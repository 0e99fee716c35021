//! The reading side.

use std::ops::Bound;

use super::{MemoryStore, beginning_of};
use crate::{
    body::DynBody,
    descriptor::Descriptor,
    digest::Digest,
    listing::{Cursor, Listing, Page},
    manifest::Manifest,
    name::{Reference, RepositoryName, Tag},
    source::{
        Blob, BlobInfo, BlobSource, Found, GetBlob, GetManifest, ListReferrers, ManifestInfo,
        SourceError,
    },
};

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
