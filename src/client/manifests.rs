//! Manifests, and images made of them.

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{
    ClientError, ClientErrorKind, RegistryClient,
    download::content_length,
    transport::{Outgoing, collect},
};
use crate::{
    body::DynBody,
    digest::Digest,
    http::range::ascii_header,
    image::{Image, ImageError},
    manifest::{InvalidManifest, Manifest, ManifestView},
    media_type::MediaType,
    name::{Reference, RepositoryName, Tag},
    request::OciRequest,
    source::{DynSource, Found, ManifestInfo, RemoteSource},
};

pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

impl RegistryClient {
    /// Gets the manifest that `reference` names. By digest it is verified; by tag it has the digest
    /// that the registry says, if it says one.
    ///
    /// # Errors
    ///
    /// [`DigestMismatch`](ClientErrorKind::DigestMismatch): the registry sent something else;
    /// [`TooLarge`](ClientErrorKind::TooLarge): it is larger than the client takes.
    // protocol 14
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Manifest, ClientError> {
        let digest = match reference {
            Reference::Digest(digest) => Some(digest),
            Reference::Tag(_) => None,
        };
        match self
            .find_manifest(repository, reference, digest, &[])
            .await?
        {
            Found::Content(manifest) => Ok(manifest),
            Found::NotModified(_) => Err(self.unconditional(repository, reference)),
        }
    }

    /// Gets the manifest that `tag` names, which has to have this digest.
    ///
    /// # Errors
    ///
    /// Those of [`manifest`](Self::manifest).
    pub async fn manifest_at(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<Manifest, ClientError> {
        let reference = Reference::Tag(tag.clone());
        match self
            .find_manifest(repository, &reference, Some(digest), &[])
            .await?
        {
            Found::Content(manifest) => Ok(manifest),
            Found::NotModified(_) => Err(self.unconditional(repository, &reference)),
        }
    }

    fn unconditional(&self, repository: &RepositoryName, reference: &Reference) -> ClientError {
        let outgoing = self.outgoing(&get_manifest(repository, reference));
        outgoing.broke_protocol("304 answers a request without conditions")
    }

    /// The manifest of `reference`, which has to have `digest`, unless it is one of `unless`.
    pub(crate) async fn find_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        digest: Option<&Digest>,
        unless: &[Digest],
    ) -> Result<Found<Manifest>, ClientError> {
        let mut outgoing = accepting_manifests(self.outgoing(&get_manifest(repository, reference)));
        if !unless.is_empty() {
            let tags: Vec<String> = unless.iter().map(|known| format!("\"{known}\"")).collect();
            outgoing = outgoing
                .header(header::IF_NONE_MATCH, ascii_header(&tags.join(", ")))
                .accepts(&[StatusCode::NOT_MODIFIED]);
        }
        let mut retries = self.retrying().run();
        loop {
            let response = self.send(&outgoing).await?;
            if response.status() == StatusCode::NOT_MODIFIED {
                return self.not_modified(&outgoing, response.headers(), unless);
            }
            // A body that breaks off is asked for again.
            match self.received_manifest(&outgoing, response, digest).await {
                Ok(manifest) => return Ok(manifest.into()),
                Err(error) => retries.wait(error).await?,
            }
        }
    }

    /// Which of the known manifests it is that was not modified.
    fn not_modified(
        &self,
        outgoing: &Outgoing,
        headers: &HeaderMap,
        unless: &[Digest],
    ) -> Result<Found<Manifest>, ClientError> {
        let etag = headers.get(header::ETAG);
        let etag = etag.and_then(|etag| etag.to_str().ok()?.trim_matches('"').parse().ok());
        let told = content_digest(headers).or(etag);
        match (told, unless) {
            (Some(digest), _) if unless.contains(&digest) => Ok(Found::NotModified(digest)),
            (None, [only]) => Ok(Found::NotModified(*only)),
            _ => Err(outgoing.broke_protocol("304 does not say what was not modified")),
        }
    }

    async fn received_manifest(
        &self,
        outgoing: &Outgoing,
        response: Response<DynBody>,
        digest: Option<&Digest>,
    ) -> Result<Manifest, ClientError> {
        let (parts, body) = response.into_parts();
        let retrying = self.retrying();
        let limit = self.shared.manifest_limit;
        let length = content_length(&parts.headers);
        if length.is_some_and(|length| length > limit) {
            return Err(outgoing.failed(ClientErrorKind::TooLarge(limit)));
        }
        let bytes = self.before_deadline(outgoing, collect(outgoing, &retrying, body, limit));
        let bytes = bytes.await?;
        if length.is_some_and(|length| length != bytes.len() as u64) {
            let error = "the manifest is shorter than announced".into();
            return Err(outgoing.failed(ClientErrorKind::Connection(error)));
        }
        let told = content_digest(&parts.headers);
        let digest = digest.copied().or(told);
        let digest = digest.unwrap_or_else(|| crate::Algorithm::Sha256.digest(&bytes));
        // What the registry says of its own answer has to be true as well.
        for digest in std::iter::once(digest).chain(told) {
            if !digest.verifies(&bytes) {
                return Err(outgoing.failed(ClientErrorKind::DigestMismatch(digest)));
            }
        }
        let failed = |invalid| outgoing.failed(ClientErrorKind::Manifest(invalid));
        let view = ManifestView::parse(&bytes).map_err(failed)?;
        let sent = content_type(&parts.headers).filter(|sent| !is_generic(sent));
        if let (Some(sent), Ok(declared)) = (&sent, view.declared_media_type())
            && !declared.as_str().eq_ignore_ascii_case(sent.as_str())
        {
            // Bytes that are of two kinds are what a digest does not tell apart.
            let sent = sent.clone();
            return Err(failed(InvalidManifest::MediaTypeMismatch {
                sent,
                declared,
            }));
        }
        let media_type = match sent {
            Some(media_type) => media_type,
            None => view.media_type().unwrap_or(MediaType::OCTET_STREAM),
        };
        Ok(Manifest::trusted(digest, media_type, bytes))
    }

    /// What [`manifest`](Self::manifest) would get, without its bytes. Where the registry does not
    /// say enough, they are read all the same.
    ///
    /// # Errors
    ///
    /// Those of [`manifest`](Self::manifest).
    // protocol 19 and 67
    pub async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestInfo, ClientError> {
        let head = OciRequest::HeadManifest {
            repository: repository.clone(),
            reference: reference.clone(),
        };
        let outgoing = accepting_manifests(self.outgoing(&head));
        let response = self.send(&outgoing).await?;
        let headers = response.headers();
        let told = (
            content_digest(headers),
            content_length(headers),
            content_type(headers),
        );
        let (Some(digest), Some(size), Some(media_type)) = told else {
            return Ok(ManifestInfo::of(
                &self.manifest(repository, reference).await?,
            ));
        };
        match reference {
            Reference::Digest(asked) if *asked != digest => {
                Err(outgoing.failed(ClientErrorKind::DigestMismatch(*asked)))
            }
            _ => Ok(ManifestInfo::new(digest, media_type, size)),
        }
    }

    /// Loads the image that `reference` names, with all manifests that it lists. Its blobs are got
    /// when they are asked for.
    ///
    /// # Errors
    ///
    /// Those of [`Image::load`].
    pub async fn image(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Image, ImageError> {
        let source = DynSource::new(RemoteSource::new(self.clone()));
        Image::load(&source, repository, reference).await
    }
}

pub(super) fn get_manifest(repository: &RepositoryName, reference: &Reference) -> OciRequest {
    OciRequest::GetManifest {
        repository: repository.clone(),
        reference: reference.clone(),
    }
}

/// Says which manifests the client understands.
fn accepting_manifests(mut outgoing: Outgoing) -> Outgoing {
    for media_type in [
        MediaType::OCI_MANIFEST,
        MediaType::OCI_INDEX,
        MediaType::DOCKER_MANIFEST,
        MediaType::DOCKER_MANIFEST_LIST,
    ] {
        let media_type: HeaderValue = ascii_header(media_type.as_str());
        outgoing = outgoing.header(header::ACCEPT, media_type);
    }
    outgoing
}

pub(super) fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<MediaType> {
    let media_type = headers.get(header::CONTENT_TYPE)?;
    media_type.to_str().ok()?.parse().ok()
}

/// Whether a server that knows nothing of manifests says this of one.
fn is_generic(media_type: &MediaType) -> bool {
    ["application/json", "application/octet-stream", "text/plain"].contains(&media_type.as_str())
}
