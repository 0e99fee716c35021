//! What a client writes: blobs, manifests and whole images.

use std::{collections::HashSet, fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use http::{HeaderMap, Method, StatusCode, Uri, header};

use super::{
    ClientError, ClientErrorKind, RegistryClient,
    manifests::content_digest,
    origin::resolve,
    transport::{Content, Outgoing},
};
use crate::{
    access::Access,
    body::DynBody,
    digest::Digest,
    http::range::ascii_header,
    image::Image,
    manifest::{Manifest, ManifestView},
    media_type::MediaType,
    name::{Reference, RepositoryName, Tag},
    request::OciRequest,
    source::{Blob, ByteRange, GetBlob, SourceError},
};

/// How images are pushed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PushOptions {
    /// Send blobs in pieces of so many bytes, or of as many as the registry demands if that is more.
    /// Without it each is sent in one request.
    ///
    /// A blob whose request broke is continued where the registry has got to, either way.
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

/// A blob that is to be pushed: its bytes can be had from any position on.
#[derive(Clone)]
pub struct PushBlob {
    digest: Digest,
    size: u64,
    open: Arc<OpenRange>,
}

type OpenRange =
    dyn Fn(Range<u64>) -> BoxFuture<'static, Result<DynBody, SourceError>> + Send + Sync;

impl PushBlob {
    /// The blob with `digest` and `size`, whose bytes `open` gives: exactly those of the range.
    pub fn new(
        digest: Digest,
        size: u64,
        open: impl Fn(Range<u64>) -> BoxFuture<'static, Result<DynBody, SourceError>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            digest,
            size,
            open: Arc::new(open),
        }
    }

    /// A blob that the image names.
    fn of(image: &Image, digest: Digest, size: u64) -> Self {
        let image = image.clone();
        Self::new(digest, size, move |range| {
            let image = image.clone();
            Box::pin(async move {
                let whole = range == (0..size);
                let wanted = ByteRange::FromTo(range.start, range.end.saturating_sub(1));
                let options = GetBlob::default().range((!whole).then_some(wanted));
                match image.blob(&digest, options).await? {
                    Blob::Content(content) if content.range == range => Ok(content.body),
                    _ => Err(SourceError::Unsupported),
                }
            })
        })
    }

    fn content(&self, range: Range<u64>) -> Content {
        if range.is_empty() {
            return Content::Bytes(Bytes::new());
        }
        let (open, length) = (self.open.clone(), range.end - range.start);
        Content::Stream(length, Arc::new(move || open(range.clone())))
    }
}

impl fmt::Debug for PushBlob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PushBlob")
            .field("digest", &self.digest)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// How a blob got where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Present,
    Mounted,
    Sent,
}

/// An upload session, as the registry told it last.
struct Upload {
    location: Uri,
    offset: u64,
    /// How many bytes a piece has at least.
    min_chunk: u64,
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

    async fn deliver(
        &self,
        repository: &RepositoryName,
        blob: &PushBlob,
        options: &PushOptions,
    ) -> Result<Delivery, ClientError> {
        if self.has_blob(repository, &blob.digest).await? {
            return Ok(Delivery::Present);
        }
        let upload = match &options.mount_from {
            Some(from) => self.mount(repository, &blob.digest, from).await?,
            None => Some(self.start_upload(repository, blob).await?),
        };
        let Some(upload) = upload else {
            return Ok(Delivery::Mounted);
        };
        self.upload(repository, blob, upload, options.chunk).await?;
        Ok(Delivery::Sent)
    }

    async fn has_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, ClientError> {
        // Unlike `stat_blob`, this does not need to be told the size.
        let head = self.outgoing(&OciRequest::HeadBlob {
            repository: repository.clone(),
            digest: *digest,
        });
        match self.send(&head).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Mounts the blob, or gets a session to upload it with.
    // protocol 32
    async fn mount(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: &RepositoryName,
    ) -> Result<Option<Upload>, ClientError> {
        let outgoing = self.outgoing(&OciRequest::MountBlob {
            repository: repository.clone(),
            digest: *digest,
            from: Some(from.clone()),
        });
        let response = self.send(&outgoing).await?;
        if response.status() == StatusCode::CREATED {
            return Ok(None);
        }
        self.upload_of(&outgoing, response.headers()).map(Some)
    }

    async fn start_upload(
        &self,
        repository: &RepositoryName,
        blob: &PushBlob,
    ) -> Result<Upload, ClientError> {
        let algorithm = blob.digest.algorithm();
        let outgoing = self.outgoing(&OciRequest::StartUpload {
            repository: repository.clone(),
            // protocol 22: who does not say is understood by every registry
            algorithm: Some(algorithm).filter(|it| *it != crate::Algorithm::Sha256),
        });
        let response = self.send(&outgoing).await?;
        self.upload_of(&outgoing, response.headers())
    }

    fn upload_of(&self, outgoing: &Outgoing, headers: &HeaderMap) -> Result<Upload, ClientError> {
        let min_chunk = headers.get("oci-chunk-min-length");
        let min_chunk = min_chunk.and_then(|least| least.to_str().ok()?.parse().ok());
        Ok(Upload {
            location: self.location(outgoing, headers)?,
            offset: 0,
            min_chunk: min_chunk.unwrap_or(0),
        })
    }

    /// Where an upload goes on. It may be another server, but not one that listens in.
    fn location(&self, outgoing: &Outgoing, headers: &HeaderMap) -> Result<Uri, ClientError> {
        let location = headers.get(header::LOCATION);
        let location = location
            .and_then(|location| resolve(&outgoing.uri, location.to_str().ok()?))
            .ok_or_else(|| outgoing.broke_protocol("it has no Location of the upload"))?;
        let is_secret = outgoing.uri.scheme_str() == Some("https");
        match is_secret && location.scheme_str() != Some("https") {
            true => Err(outgoing.broke_protocol("the upload goes on without https")),
            false => Ok(location),
        }
    }

    /// Sends the bytes, and continues where the registry has got to when something breaks.
    async fn upload(
        &self,
        repository: &RepositoryName,
        blob: &PushBlob,
        mut upload: Upload,
        chunk: Option<u64>,
    ) -> Result<(), ClientError> {
        let mut retries = self.retrying().run();
        // What only gets there again, after a session was lost, is no progress.
        let mut furthest = 0;
        loop {
            if upload.offset > furthest {
                furthest = upload.offset;
                retries.progressed();
            }
            let before = upload.offset;
            let error = match self.upload_step(repository, blob, &mut upload, chunk).await {
                Ok(true) => return Ok(()),
                Ok(false) => continue,
                Err(error) => error,
            };
            let is_out_of_step = error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE);
            if !is_out_of_step && !error.is_temporary() {
                return Err(error);
            }
            retries.retry(error).await?;
            let refused_at = is_out_of_step.then_some(before);
            match self.status(repository, &mut upload).await {
                Ok(()) if refused_at != Some(upload.offset) && upload.offset <= blob.size => {}
                // The session is gone, or out of step for good.
                Ok(()) => upload = self.start_upload(repository, blob).await?,
                Err(error) if error.is_not_found() => {
                    // It may be gone because it was finished, and the answer was lost.
                    if self.has_blob(repository, &blob.digest).await? {
                        return Ok(());
                    }
                    upload = self.start_upload(repository, blob).await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends the whole, the next piece, or the end. Says whether it was the end.
    async fn upload_step(
        &self,
        repository: &RepositoryName,
        blob: &PushBlob,
        upload: &mut Upload,
        chunk: Option<u64>,
    ) -> Result<bool, ClientError> {
        let chunk = chunk.map_or(blob.size, |chunk| chunk.max(upload.min_chunk).max(1));
        let left = blob.size - upload.offset;
        if left == 0 || (upload.offset == 0 && chunk >= blob.size) {
            // protocol 24: all of it, or nothing more
            let uri = with_digest(&upload.location, &blob.digest);
            let put = self.piece_of(Method::PUT, uri, repository, blob, upload.offset..blob.size);
            self.send_piece(&put).await?;
            return Ok(true);
        }
        let end = upload.offset + chunk.min(left);
        let range = upload.offset..end;
        let content_range = format!("{}-{}", range.start, range.end - 1);
        let patch = self
            .piece_of(
                Method::PATCH,
                upload.location.clone(),
                repository,
                blob,
                range,
            )
            .header(header::CONTENT_RANGE, ascii_header(&content_range));
        let headers = self.send_piece(&patch).await?;
        upload.location = self.location(&patch, &headers).unwrap_or(patch.uri);
        upload.offset = uploaded(&headers).map_or(end, |told| told.min(end));
        Ok(false)
    }

    fn piece_of(
        &self,
        method: Method,
        uri: Uri,
        repository: &RepositoryName,
        blob: &PushBlob,
        range: Range<u64>,
    ) -> Outgoing {
        let media_type = ascii_header(MediaType::OCTET_STREAM.as_str());
        Outgoing::new(method, uri)
            .access(push_access(repository))
            .content(blob.content(range))
            .header(header::CONTENT_TYPE, media_type)
    }

    async fn send_piece(&self, outgoing: &Outgoing) -> Result<HeaderMap, ClientError> {
        let transport = &self.shared.transport;
        let response = transport.send_once(outgoing, &self.retrying()).await?;
        Ok(response.into_parts().0.headers)
    }

    /// Asks how far the upload has come.
    // protocol 30
    async fn status(
        &self,
        repository: &RepositoryName,
        upload: &mut Upload,
    ) -> Result<(), ClientError> {
        let get = Outgoing::new(Method::GET, upload.location.clone());
        let get = get.access(push_access(repository));
        let response = self.send(&get).await?;
        let headers = response.headers();
        let told = uploaded(headers);
        let told = told.ok_or_else(|| get.broke_protocol("it has no Range of what arrived"))?;
        if headers.contains_key(header::LOCATION) {
            upload.location = self.location(&get, headers)?;
        }
        // protocol 89: nothing, and one byte, look the same
        upload.offset = if told == 1 {
            upload.offset.min(1)
        } else {
            told
        };
        Ok(())
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

fn push_access(repository: &RepositoryName) -> Option<Access> {
    let start = OciRequest::StartUpload {
        repository: repository.clone(),
        algorithm: None,
    };
    start.required_access()
}

/// The location with the digest, wherever its own query ends.
// protocol 82
fn with_digest(location: &Uri, digest: &Digest) -> Uri {
    let mark = if location.query().is_some() { '&' } else { '?' };
    let uri = format!("{location}{mark}digest={digest}");
    // A digest has nothing that a query cannot.
    uri.parse().unwrap_or_else(|_| location.clone())
}

/// How many bytes of an upload have arrived, from `Range: 0-<last>`.
fn uploaded(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::RANGE)?.to_str().ok()?;
    let range = range.strip_prefix("bytes=").unwrap_or(range);
    let (_, last) = range.split_once('-')?;
    last.trim().parse::<u64>().ok()?.checked_add(1)
}
