//! What a client writes: blobs, manifests and whole images.

use std::collections::HashSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, StatusCode, header};

use super::{
    ClientError, ClientErrorKind, PushBlob, RegistryClient, manifests::content_digest,
    transport::Content, uploads::Delivery,
};
use crate::{
    digest::Digest,
    http::range::ascii_header,
    image::Image,
    manifest::{Manifest, ManifestView},
    media_type::MediaType,
    name::{Reference, RepositoryName, Tag},
    request::OciRequest,
};

/// How images are pushed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PushOptions {
    /// Send blobs in pieces of so many bytes, or of as many as the registry demands if that is more.
    /// Without it each is sent in one request.
    ///
    /// A blob whose request broke is continued where the registry has got to. Most registries keep
    /// whole pieces only, so on a bad network a blob in one request begins anew, and pieces get
    /// through.
    pub chunk: Option<u64>,
    /// Another repository of the registry that may have the blobs, from which they are mounted then.
    pub mount_from: Option<RepositoryName>,
    /// How many blobs are sent at the same time, 4.
    pub concurrency: usize,
}

impl Default for PushOptions {
    fn default() -> Self {
        Self {
            chunk: None,
            mount_from: None,
            concurrency: 4,
        }
    }
}

/// What a push has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pushed {
    /// How many blobs were sent.
    pub sent: usize,
    /// How many were mounted from another repository.
    pub mounted: usize,
    /// How many were there already.
    pub present: usize,
}

impl RegistryClient {
    /// Pushes `image` with everything that it is made of, and points `tag` at it: blobs first, each
    /// only if the repository does not have it, then the manifests below it, and itself last.
    ///
    /// Without a tag it is found by its digest. Entries of an index that the image's source does not
    /// have are left out; most registries refuse such an index.
    ///
    /// # Errors
    ///
    /// Those of every request, and [`Content`](ClientErrorKind::Content) if the image's source
    /// fails. What was pushed before stays.
    pub async fn push_image(
        &self,
        repository: &RepositoryName,
        tag: Option<&Tag>,
        image: &Image,
        options: &PushOptions,
    ) -> Result<Pushed, ClientError> {
        let images = image.with_children();
        let mut seen = HashSet::new();
        let blobs: Vec<PushBlob> = images
            .iter()
            .flat_map(|image| image.blobs_to_push())
            .filter(|blob| seen.insert(blob.digest))
            .collect();
        let deliveries: Vec<Delivery> = stream::iter(&blobs)
            .map(|blob| self.deliver(repository, blob, options))
            .buffer_unordered(options.concurrency.max(1))
            .try_collect()
            .await?;
        for part in images {
            let digest = Reference::Digest(*part.digest());
            let reference = match tag {
                Some(tag) if part.digest() == image.digest() => Reference::Tag(tag.clone()),
                _ => digest,
            };
            self.push_manifest(repository, &reference, part.manifest())
                .await?;
        }
        let count = |kind| deliveries.iter().filter(|one| **one == kind).count();
        Ok(Pushed {
            sent: count(Delivery::Sent),
            mounted: count(Delivery::Mounted),
            present: count(Delivery::Present),
        })
    }

    /// Pushes one blob, unless the repository has it. Says whether it was sent.
    ///
    /// # Errors
    ///
    /// Those of every request, and [`Content`](ClientErrorKind::Content) if the blob cannot be read.
    // protocol 20 to 34
    pub async fn push_blob(
        &self,
        repository: &RepositoryName,
        blob: &PushBlob,
        options: &PushOptions,
    ) -> Result<bool, ClientError> {
        let delivery = self.deliver(repository, blob, options).await?;
        Ok(delivery == Delivery::Sent)
    }

    /// Pushes a manifest, whose content has to be there.
    ///
    /// Where the registry does not list referrers itself, the index at the fallback tag of its
    /// subject is kept up to date.
    ///
    /// # Errors
    ///
    /// Those of every request; [`DigestMismatch`](ClientErrorKind::DigestMismatch) if the registry
    /// stored something else.
    // protocol 35 to 44
    pub async fn push_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        manifest: &Manifest,
    ) -> Result<(), ClientError> {
        let headers = self
            .put_manifest(repository, reference, manifest, HeaderMap::new())
            .await?;
        let referrer = manifest.referrer().ok().flatten();
        if let Some((subject, _)) = referrer
            && !headers.contains_key("oci-subject")
        {
            self.add_fallback_referrer(repository, &subject, manifest)
                .await?;
        }
        Ok(())
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        manifest: &Manifest,
        conditions: HeaderMap,
    ) -> Result<HeaderMap, ClientError> {
        let put = OciRequest::PutManifest {
            repository: repository.clone(),
            reference: reference.clone(),
            tags: Vec::new(),
        };
        let media_type = ascii_header(manifest.media_type().as_str());
        let mut outgoing = self
            .outgoing(&put)
            .content(Content::Bytes(manifest.bytes().clone()))
            .header(header::CONTENT_TYPE, media_type);
        outgoing.headers.extend(conditions);
        let response = self.send(&outgoing).await?;
        match content_digest(response.headers()) {
            Some(told) if !told.verifies(manifest.bytes()) => {
                Err(outgoing.failed(ClientErrorKind::DigestMismatch(told)))
            }
            _ => Ok(response.into_parts().0.headers),
        }
    }

    /// Adds a manifest to the index at its subject's fallback tag, which is created if need be.
    // protocol 56
    async fn add_fallback_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        manifest: &Manifest,
    ) -> Result<(), ClientError> {
        let Ok(Some((_, entry))) = manifest.referrer() else {
            return Ok(());
        };
        let tag = Reference::Tag(Tag::referrers_of(subject));
        let mut retries = self.retrying().run();
        loop {
            let known = match self.manifest(repository, &tag).await {
                Err(error) if error.is_not_found() => None,
                known => Some(known?),
            };
            let view = known
                .as_ref()
                .map(|known| ManifestView::parse(known.bytes()));
            let mut entries = view
                .and_then(Result::ok)
                .map_or_else(Vec::new, |view| view.manifests);
            if entries.iter().any(|known| known.digest == entry.digest) {
                return Ok(());
            }
            entries.push(entry.clone());
            let index = serde_json::json!({
                "schemaVersion": 2,
                "mediaType": MediaType::OCI_INDEX,
                "manifests": entries,
            });
            let index = Manifest::new(MediaType::OCI_INDEX, index.to_string());
            let mut conditions = HeaderMap::new();
            // Registries that know no conditions ignore them.
            match &known {
                Some(known) => {
                    let etag = ascii_header(&format!("\"{}\"", known.digest()));
                    conditions.insert(header::IF_MATCH, etag);
                }
                None => {
                    conditions.insert(header::IF_NONE_MATCH, ascii_header("*"));
                }
            }
            match self
                .put_manifest(repository, &tag, &index, conditions)
                .await
            {
                Ok(_) => return Ok(()),
                Err(error) if error.status() == Some(StatusCode::PRECONDITION_FAILED) => {
                    retries.retry(error).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl Image {
    /// The blobs that its own manifest names and a registry has to have.
    fn blobs_to_push(&self) -> Vec<PushBlob> {
        let blobs = self.descriptors();
        let blobs = blobs.filter(|it| !it.media_type.is_manifest() && !it.is_elsewhere());
        blobs
            .map(|blob| PushBlob::of(self, blob.digest, blob.size))
            .collect()
    }
}
