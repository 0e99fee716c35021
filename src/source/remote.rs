use http::StatusCode;

use super::{
    Blob, BlobContent, BlobInfo, BlobSource, Found, GetBlob, GetManifest, ListReferrers,
    ManifestInfo, MissingContent, SourceError,
};
use crate::{
    body::DynBody,
    client::{ClientError, ClientErrorKind, RegistryClient, StatusError},
    descriptor::Descriptor,
    digest::Digest,
    listing::{Listing, Page},
    manifest::Manifest,
    name::{Reference, RepositoryName, Tag},
};

/// Another registry as a source: a service over it is a proxy.
///
/// Each call is one request to the registry, once the client has a token and unless something fails
/// or redirects. Whole blobs are verified while they flow; parts cannot be. Lists come in the
/// registry's own pages and order. Its failures are told as failures of an upstream: 502, and 504
/// where the client's deadline has passed or the registry says that it timed out.
///
/// ```
/// # use tower_oci::{MemoryStore, OciRegistryService, RemoteSource, client::RegistryClient};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let upstream = OciRegistryService::new(MemoryStore::new());
/// let client = RegistryClient::builder("http://registry.test".parse()?, upstream).build();
/// let proxy = OciRegistryService::new(RemoteSource::new(client));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RemoteSource {
    client: RegistryClient,
    passes_redirects: bool,
}

impl RemoteSource {
    /// What the registry of `client` has.
    pub fn new(client: RegistryClient) -> Self {
        Self {
            client,
            passes_redirects: false,
        }
    }

    /// Says whether a redirect to a blob is passed on to who asks, instead of being followed. The
    /// default is no.
    ///
    /// The bytes do not come through here then, and are not verified here.
    #[must_use]
    pub fn pass_redirects(self, pass: bool) -> Self {
        Self {
            passes_redirects: pass,
            ..self
        }
    }

    /// The client.
    pub fn client(&self) -> &RegistryClient {
        &self.client
    }
}

/// What a failed request means to who asked for `missing`.
fn source_error(error: ClientError, missing: MissingContent) -> SourceError {
    let status = match error.kind() {
        ClientErrorKind::Deadline => return SourceError::UpstreamTimeout(error.into()),
        ClientErrorKind::Status(StatusError {
            status,
            retry_after,
            ..
        }) => (*status, *retry_after),
        _ => return SourceError::Upstream(error.into()),
    };
    match status {
        (StatusCode::NOT_FOUND, _) => SourceError::NotFound(missing),
        (StatusCode::TOO_MANY_REQUESTS, retry_after) => {
            SourceError::TooManyRequests { retry_after }
        }
        (StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT, _) => {
            SourceError::UpstreamTimeout(error.into())
        }
        _ => SourceError::Upstream(error.into()),
    }
}

impl BlobSource for RemoteSource {
    type Body = DynBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        let failed = |error| source_error(error, MissingContent::Manifest);
        let digest = match reference {
            Reference::Digest(digest) if options.unless.contains(digest) => {
                // Whoever has it needs to know only whether it still exists.
                let info = self.client.stat_manifest(repository, reference).await;
                return Ok(Found::NotModified(info.map_err(failed)?.digest));
            }
            Reference::Digest(digest) => Some(digest),
            Reference::Tag(_) => None,
        };
        let found = self
            .client
            .find_manifest(repository, reference, digest, options.unless);
        found.await.map_err(failed)
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<DynBody>, SourceError> {
        let failed = |error| source_error(error, MissingContent::Blob);
        let Some(range) = options.range else {
            let passes = options.redirects && self.passes_redirects;
            let found = self.client.find_blob(repository, digest, passes).await;
            return Ok(match found.map_err(failed)? {
                Err(to) => Blob::Redirect { to, size: None },
                Ok(download) => {
                    let body = DynBody::new(download.body);
                    Blob::Content(BlobContent::new(download.info, download.range, body))
                }
            });
        };
        let found = self.client.find_range(repository, digest, range).await;
        match found.map_err(failed)? {
            Err(size) => Err(SourceError::RangeNotSatisfiable { size }),
            Ok(download) => {
                let body = DynBody::new(download.body);
                // A part is served exactly, however the registry sent it.
                let info = BlobInfo::seekable(download.info.size);
                Ok(Blob::Content(BlobContent::new(info, download.range, body)))
            }
        }
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let info = self.client.stat_blob(repository, digest).await;
        info.map_err(|error| source_error(error, MissingContent::Blob))
    }

    async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestInfo, SourceError> {
        let info = self.client.stat_manifest(repository, reference).await;
        info.map_err(|error| source_error(error, MissingContent::Manifest))
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, SourceError> {
        let tags = self.client.tags(repository, page).await;
        tags.map_err(|error| source_error(error, MissingContent::Repository))
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Result<Listing<Descriptor>, SourceError> {
        let ListReferrers {
            artifact_type,
            page,
            ..
        } = options;
        let listing = self
            .client
            .referrers(repository, subject, artifact_type, page.after)
            .await;
        listing.map_err(|error| source_error(error, MissingContent::Repository))
    }

    async fn repositories(&self, page: Page<'_>) -> Result<Listing<RepositoryName>, SourceError> {
        match self.client.repositories(page).await {
            // A registry without a catalog does not know the path.
            Err(error) if error.is_not_found() => Err(SourceError::Unsupported),
            listing => listing.map_err(|error| source_error(error, MissingContent::Repository)),
        }
    }
}
