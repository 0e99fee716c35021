//! Repositories of other registries.

use std::time::Duration;

use http::Uri;
use tower_oci::{
    Blob, BlobInfo, BlobSource, BoxError, Descriptor, Digest, Found, GetBlob, GetManifest,
    ListReferrers, Listing, Manifest, ManifestInfo, Page, Reference, RemoteSource, RepositoryName,
    SourceError, Tag,
    client::{DockerConfig, RegistryClient, RetryPolicy},
};

/// A source that serves one repository of another, under whatever name it is asked for.
pub(crate) struct Renamed<S> {
    source: S,
    repository: RepositoryName,
}

impl<S: BlobSource> Renamed<S> {
    pub(crate) fn new(source: S, repository: RepositoryName) -> Self {
        Self { source, repository }
    }
}

/// The repository at `url`: `https://registry.example/library/alpine`.
///
/// # Errors
///
/// The URL is not that of a repository, or a file with credentials cannot be read.
pub(crate) async fn mirror_of(url: &str) -> Result<Renamed<RemoteSource>, BoxError> {
    let (registry, repository) = split(url)?;
    let mut retry = RetryPolicy::default();
    // Whoever waits for the answer knows best how long: most clients try again themselves.
    retry.retries = 2;
    retry.longest_retry_after = Duration::from_secs(5);
    let client = RegistryClient::connect(registry.parse()?)?
        .credentials(DockerConfig::load().await?)
        .retry(retry)
        .build();
    Ok(Renamed::new(RemoteSource::new(client), repository))
}

/// The registry of a repository, and its name there.
fn split(url: &str) -> Result<(String, RepositoryName), BoxError> {
    // It may have a password in it, so it is not shown.
    let wrong = "its URL is not of the form https://HOST/REPOSITORY or http://HOST/REPOSITORY";
    if url.contains('@') {
        return Err("credentials do not belong in a URL: log in with docker or podman".into());
    }
    let uri: Uri = url.parse().map_err(|_| wrong)?;
    match (uri.scheme_str(), uri.host(), uri.path().strip_prefix('/')) {
        (Some(scheme @ ("http" | "https")), Some(_), Some(path)) if uri.query().is_none() => {
            let authority = uri.authority().ok_or(wrong)?;
            Ok((format!("{scheme}://{authority}"), path.parse()?))
        }
        _ => Err(wrong.into()),
    }
}

impl<S: BlobSource> BlobSource for Renamed<S> {
    type Body = S::Body;

    async fn manifest(
        &self,
        _: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        let repository = &self.repository;
        self.source.manifest(repository, reference, options).await
    }

    async fn blob(
        &self,
        _: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<S::Body>, SourceError> {
        self.source.blob(&self.repository, digest, options).await
    }

    async fn stat_blob(
        &self,
        _: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        self.source.stat_blob(&self.repository, digest).await
    }

    async fn stat_manifest(
        &self,
        _: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestInfo, SourceError> {
        self.source.stat_manifest(&self.repository, reference).await
    }

    async fn tags(&self, _: &RepositoryName, page: Page<'_>) -> Result<Listing<Tag>, SourceError> {
        self.source.tags(&self.repository, page).await
    }

    async fn referrers(
        &self,
        _: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Result<Listing<Descriptor>, SourceError> {
        let repository = &self.repository;
        self.source.referrers(repository, subject, options).await
    }

    // The names of the others are not served.
}
