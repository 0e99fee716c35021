//! Push: uploads of blobs, mounts and manifests.

use http::{HeaderName, HeaderValue, Response, StatusCode, header};

use super::{Answer, Call, bare, entity::Entity};
use crate::{
    access::Visibility,
    body::ResponseBody,
    digest::{Algorithm, Digest},
    error::Error,
    http::{
        conditional::Conditions,
        content_range::{PieceRange, uploaded_range},
        range::ascii_header,
    },
    manifest::{Manifest, ManifestView},
    media_type::MediaType,
    name::{Reference, RepositoryName, Tag, UploadId},
    request::OciRequest,
    source::SourceError,
    store::{BeginUpload, BlobStore, MountFrom, NewManifest, Precondition, TagUpdate, UploadBody},
};

const UPLOAD_UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");
const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const TAG: HeaderName = HeaderName::from_static("oci-tag");

/// A manifest grows from this size on while it is read, whatever length was announced.
const FIRST_BUFFER: usize = 64 << 10;

impl<S: BlobStore> Call<'_, S> {
    /// `POST /v2/<name>/blobs/uploads/`.
    // protocol 20 to 23
    pub(super) async fn start_upload(
        &self,
        repository: RepositoryName,
        algorithm: Option<Algorithm>,
    ) -> Answer<S::Body> {
        let begin = self.begin().algorithm(algorithm);
        let session = self.store.begin_upload(&repository, begin).await?;
        let mut response = self.upload(StatusCode::ACCEPTED, repository, session.id, 0);
        if let Some(min_chunk) = session.min_chunk {
            let headers = response.headers_mut();
            headers.insert(CHUNK_MIN_LENGTH, min_chunk.into());
        }
        Ok(response)
    }

    /// `POST /v2/<name>/blobs/uploads/?digest=<digest>`.
    // protocol 26
    pub(super) async fn push_blob(
        &self,
        repository: RepositoryName,
        digest: Digest,
        body: &mut UploadBody,
    ) -> Answer<S::Body> {
        if self.announce(body)?.is_some_and(|at| at != 0) {
            return Err(SourceError::OffsetMismatch { current: 0 }.into());
        }
        let begin = self.begin();
        let stored = self.store.put_blob(&repository, &digest, begin, body).await;
        stored?;
        Ok(self.created_blob(repository, digest))
    }

    /// `POST /v2/<name>/blobs/uploads/?mount=<digest>&from=<name>`: 201 with the blob, or a session
    /// to upload it with where it cannot be mounted, whatever the reason.
    // protocol 32, 33, 87 and 93
    pub(super) async fn mount_blob(
        &self,
        repository: RepositoryName,
        digest: Digest,
        from: Option<RepositoryName>,
    ) -> Answer<S::Body> {
        let everything = Visibility::all();
        let visibility = self.parts.extensions.get::<Visibility>();
        let visibility = visibility.unwrap_or(&everything);
        let from = match &from {
            Some(from) => visibility
                .shows(from)
                .then_some(MountFrom::Repository(from)),
            None => self
                .config
                .allows_anonymous_mounts
                .then_some(MountFrom::Anywhere(visibility)),
        };
        if let Some(from) = from {
            match self.store.mount_blob(&repository, &digest, from).await {
                Ok(true) => return Ok(self.created_blob(repository, digest)),
                Ok(false) | Err(SourceError::NotFound(_) | SourceError::Denied) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.start_upload(repository, Some(digest.algorithm()))
            .await
    }

    /// `GET /v2/<name>/blobs/uploads/<id>`.
    // protocol 30
    pub(super) async fn upload_status(
        &self,
        repository: RepositoryName,
        upload: UploadId,
    ) -> Answer<S::Body> {
        let status = self.store.upload_status(&repository, &upload).await?;
        Ok(self.upload(StatusCode::NO_CONTENT, repository, upload, status.offset))
    }

    /// `PATCH /v2/<name>/blobs/uploads/<id>`, with a `Content-Range` or, as most clients send it,
    /// without.
    // protocol 27, 28 and 80
    pub(super) async fn append_upload(
        &self,
        repository: RepositoryName,
        upload: UploadId,
        body: &mut UploadBody,
    ) -> Answer<S::Body> {
        let at = self.announce(body)?;
        let offset = self.store.append_upload(&repository, &upload, at, body);
        let offset = offset.await?;
        Ok(self.upload(StatusCode::ACCEPTED, repository, upload, offset))
    }

    /// `PUT /v2/<name>/blobs/uploads/<id>?digest=<digest>`, with all of the blob, its last piece, or
    /// nothing more.
    // protocol 24, 25 and 29
    pub(super) async fn finish_upload(
        &self,
        repository: RepositoryName,
        upload: &UploadId,
        digest: Digest,
        body: &mut UploadBody,
    ) -> Answer<S::Body> {
        let at = self.announce(body)?;
        self.store
            .finish_upload(&repository, upload, at, body, &digest)
            .await?;
        Ok(self.created_blob(repository, digest))
    }

    /// `DELETE /v2/<name>/blobs/uploads/<id>`.
    // protocol 31
    pub(super) async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Answer<S::Body> {
        self.store.cancel_upload(repository, upload).await?;
        Ok(bare(StatusCode::NO_CONTENT))
    }

    /// `PUT /v2/<name>/manifests/<reference>`.
    // protocol 35 to 44
    pub(super) async fn put_manifest(
        &self,
        repository: RepositoryName,
        reference: Reference,
        tags: Vec<Tag>,
        body: &mut UploadBody,
    ) -> Answer<S::Body> {
        let tags = self.tags_to_set(&reference, tags)?;
        let media_type = self.manifest_type()?;
        if let Some(length) = self.content_length()? {
            body.announce(length);
        }
        let bytes = self.read_manifest(body).await?;
        let mut new = NewManifest::of(received(&reference, media_type, bytes)?)?;
        new.check = self.config.reference_check;
        let is_by_tag = matches!(reference, Reference::Tag(_));
        let demanded = Conditions::of(self.headers()).of_write();
        let (of_tag, of_digest) = match is_by_tag {
            true => (demanded, Precondition::default()),
            false => (Precondition::default(), demanded),
        };
        new.precondition = of_digest;
        let update = |tag: Tag| {
            let precondition = match self.config.is_immutable(&repository, &tag) {
                true => of_tag.clone().create_or_same(),
                false => of_tag.clone(),
            };
            TagUpdate::new(tag, precondition)
        };
        new.tags = tags.iter().cloned().map(update).collect();
        let digest = *new.manifest.digest();
        let subject = new.referrer.as_ref().map(|(subject, _)| *subject);
        let stored = self.store.put_manifest(&repository, new).await?;
        let mut response = self.created(
            digest,
            &OciRequest::GetManifest {
                repository,
                reference: digest.into(),
            },
        );
        let headers = response.headers_mut();
        if let Some(subject) = subject.filter(|_| stored.is_listed_as_referrer) {
            headers.insert(SUBJECT, ascii_header(&subject.to_string()));
        }
        if !is_by_tag {
            for line in tag_lines(&tags) {
                headers.append(TAG, line);
            }
        }
        Ok(response)
    }

    /// The tags that a push is to set: the one it names, or those beside the digest it names.
    // protocol 43
    fn tags_to_set(&self, reference: &Reference, mut tags: Vec<Tag>) -> Result<Vec<Tag>, Error> {
        match reference {
            // The parameters are for pushes by digest; to ignore them is what the answer says by
            // having no OCI-Tag.
            Reference::Tag(tag) => Ok(vec![tag.clone()]),
            Reference::Digest(_) => {
                let most = self.limits().tags_per_request;
                if tags.len() > most {
                    return Err(Error::TooManyTags(most));
                }
                tags.sort_unstable();
                tags.dedup();
                Ok(tags)
            }
        }
    }

    /// The type that a manifest was sent with, without parameters, if it was.
    // protocol 36
    fn manifest_type(&self) -> Result<Option<MediaType>, Error> {
        let Some(value) = self.headers().get(header::CONTENT_TYPE) else {
            return Ok(None);
        };
        Ok(Some(String::from_utf8_lossy(value.as_bytes()).parse()?))
    }

    /// All of a manifest, up to the limit.
    // protocol 40
    async fn read_manifest(&self, body: &mut UploadBody) -> Result<Vec<u8>, SourceError> {
        let limit = self.limits().manifest_size;
        let too_large = || SourceError::TooLarge {
            limit: limit as u64,
        };
        let announced = body.length().unwrap_or(0);
        if announced > limit as u64 {
            return Err(too_large());
        }
        let announced = usize::try_from(announced).unwrap_or(limit);
        let mut bytes = Vec::with_capacity(announced.min(FIRST_BUFFER));
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if piece.len() > limit - bytes.len() {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        // A store may keep it for long: without what it grew by for nothing.
        bytes.shrink_to_fit();
        Ok(bytes)
    }

    fn begin(&self) -> BeginUpload {
        BeginUpload::new(self.limits().uploads)
    }

    /// Holds `body` to the lengths that the headers announce for a piece of a blob, and says at which
    /// byte it begins, if they do.
    // protocol 25 and 28
    fn announce(&self, body: &mut UploadBody) -> Result<Option<u64>, Error> {
        let range = PieceRange::of(self.headers())?;
        let length = self.content_length()?;
        let announced = range.map(|range| range.length).or(length);
        let Some(announced) = announced else {
            return Ok(None);
        };
        if length.is_some_and(|length| length != announced) {
            return Err(SourceError::SizeMismatch { announced }.into());
        }
        let limit = self.limits().uploads.blob_size;
        if announced > limit {
            return Err(SourceError::TooLarge { limit }.into());
        }
        body.announce(announced);
        Ok(range.map(|range| range.start))
    }

    /// The length that the client announces, if it does.
    // RFC 9110 §8.6
    fn content_length(&self) -> Result<Option<u64>, Error> {
        let lengths = self.headers().get_all(header::CONTENT_LENGTH).iter();
        let mut lengths = lengths.map(|length| length.to_str().ok()?.parse::<u64>().ok());
        let Some(first) = lengths.next() else {
            return Ok(None);
        };
        match first.is_some() && lengths.all(|other| other == first) {
            true => Ok(first),
            false => Err(Error::ContentLength),
        }
    }

    /// The state of an upload session.
    fn upload(
        &self,
        status: StatusCode,
        repository: RepositoryName,
        upload: UploadId,
        offset: u64,
    ) -> Response<ResponseBody<S::Body>> {
        let mut response = bare(status);
        let headers = response.headers_mut();
        headers.insert(UPLOAD_UUID, ascii_header(upload.as_str()));
        headers.insert(header::RANGE, uploaded_range(offset));
        headers.insert(
            header::LOCATION,
            self.link(&OciRequest::UploadStatus { repository, upload }),
        );
        no_store(response)
    }

    fn created_blob(
        &self,
        repository: RepositoryName,
        digest: Digest,
    ) -> Response<ResponseBody<S::Body>> {
        self.created(digest, &OciRequest::GetBlob { repository, digest })
    }

    /// 201 for content that `get` finds.
    // protocol 24 and 35
    fn created(&self, digest: Digest, get: &OciRequest) -> Response<ResponseBody<S::Body>> {
        let mut response = bare(StatusCode::CREATED);
        let headers = response.headers_mut();
        headers.insert(header::LOCATION, self.link(get));
        headers.insert(Entity::CONTENT_DIGEST, ascii_header(&digest.to_string()));
        no_store(response)
    }
}

/// The manifest that was sent for `reference`, of the type it was sent with or says it is.
// protocol 37 and 41
fn received(
    reference: &Reference,
    media_type: Option<MediaType>,
    bytes: Vec<u8>,
) -> Result<Manifest, Error> {
    let media_type = match media_type {
        Some(media_type) => media_type,
        None => ManifestView::parse(&bytes)?.declared_media_type()?,
    };
    Ok(match reference {
        Reference::Tag(_) => Manifest::new(media_type, bytes),
        Reference::Digest(digest) => Manifest::verified(*digest, media_type, bytes)?,
    })
}

/// All tags, in few lines: many clients take at most a hundred headers.
// RFC 9110 §5.3, protocol 43
fn tag_lines(tags: &[Tag]) -> impl Iterator<Item = HeaderValue> {
    const MOST_LINES: usize = 10;
    let in_one = tags.len().div_ceil(MOST_LINES).max(1);
    tags.chunks(in_one).map(|tags| {
        let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
        ascii_header(&tags.join(", "))
    })
}

/// What was done is not to be answered from a cache.
fn no_store<B>(mut response: Response<B>) -> Response<B> {
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}
