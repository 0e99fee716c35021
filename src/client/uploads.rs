//! Uploads of blobs, continued where the registry has got to when something breaks.

use std::{fmt, ops::Range, sync::Arc};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, StatusCode, Uri, header};

use super::{
    ClientError, ClientErrorKind, PushOptions, RegistryClient,
    origin::resolve,
    transport::{Content, Outgoing},
};
use crate::{
    access::Access,
    body::DynBody,
    digest::Digest,
    http::range::ascii_header,
    image::Image,
    media_type::MediaType,
    name::RepositoryName,
    request::OciRequest,
    source::{Blob, ByteRange, GetBlob, SourceError},
};

/// A blob that is to be pushed: its bytes can be had from any position on.
#[derive(Clone)]
pub struct PushBlob {
    pub(super) digest: Digest,
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
    pub(super) fn of(image: &Image, digest: Digest, size: u64) -> Self {
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
pub(super) enum Delivery {
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
    pub(super) async fn deliver(
        &self,
        repository: &RepositoryName,
        blob: &PushBlob,
        options: &PushOptions,
    ) -> Result<Delivery, ClientError> {
        if self.has_blob(repository, &blob.digest).await? {
            return Ok(Delivery::Present);
        }
        let upload = match &options.mount_from {
            Some(from) => self.mount(repository, blob, from).await?,
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
        blob: &PushBlob,
        from: &RepositoryName,
    ) -> Result<Option<Upload>, ClientError> {
        let outgoing = self.outgoing(&OciRequest::MountBlob {
            repository: repository.clone(),
            digest: blob.digest,
            from: Some(from.clone()),
        });
        let response = match self.send(&outgoing).await {
            // A registry that refuses to mount may take the blob all the same.
            Err(error)
                if error
                    .status()
                    .is_some_and(|status| status.is_client_error()) =>
            {
                return self.start_upload(repository, blob).await.map(Some);
            }
            response => response?,
        };
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
                Ok(false) if upload.offset > before => continue,
                Ok(false) => self.stands_still(&upload),
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

    /// A piece was taken, and the upload is where it was before.
    fn stands_still(&self, upload: &Upload) -> ClientError {
        let patch = Outgoing::new(Method::PATCH, upload.location.clone());
        let error = "the registry takes pieces and does not get on".into();
        patch.failed(ClientErrorKind::Connection(error))
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
