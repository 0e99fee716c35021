//! Pull: the ping, manifests and blobs.

use std::{ops::Range, sync::Arc};

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::{
    Answer, Call, bare, document,
    entity::{Entity, accept_ranges},
};
use crate::{
    body::{BoxError, BytesBody, DynBody, ResponseBody, slice},
    digest::Digest,
    http::{
        conditional::{Conditions, Verdict},
        range::{RangeHeader, Selection},
    },
    manifest::Manifest,
    media_type::MediaType,
    name::{Reference, RepositoryName},
    source::{
        Blob, BlobContent, BlobInfo, BlobSource, BrokenPromise, ByteRange, Found, GetBlob,
        GetManifest, ManifestInfo, SourceError,
    },
    store::BlobStore,
};

/// `GET /v2/`.
// protocol 5 and 62
pub(super) fn ping<B>() -> Response<ResponseBody<B>> {
    document("application/json", b"{}".to_vec())
}

impl<S: BlobStore> Call<'_, S> {
    /// `GET /v2/<name>/manifests/<reference>`.
    ///
    /// The `Accept` header is ignored: a registry that refuses what a client did not list breaks
    /// more clients than it helps (protocol 75).
    // protocol 14 to 16
    pub(super) async fn get_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Answer<S::Body> {
        let conditions = Conditions::of(self.headers());
        if conditions.knows_any() {
            return self.head_manifest(repository, reference).await;
        }
        let known = conditions.known_digests();
        let options = GetManifest::default().unless(&known);
        let found = self.store.manifest(repository, reference, options).await?;
        let digest = match &found {
            Found::Content(manifest) => *manifest.digest(),
            Found::NotModified(digest) => *digest,
        };
        let entity = Entity::of_manifest(reference, digest)?;
        if let Some(response) = entity.judge(&conditions)? {
            return Ok(response);
        }
        let Found::Content(manifest) = found else {
            return Err(SourceError::backend(BrokenPromise::NotModified).into());
        };
        send_manifest(&entity, &manifest, self.headers())
    }

    /// `HEAD /v2/<name>/manifests/<reference>`.
    // protocol 19 and 67
    pub(super) async fn head_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Answer<S::Body> {
        let info = self.store.stat_manifest(repository, reference).await?;
        let ManifestInfo {
            digest,
            media_type,
            size,
        } = info;
        let entity = Entity::of_manifest(reference, digest)?;
        if let Some(response) = entity.judge(&Conditions::of(self.headers()))? {
            return Ok(response);
        }
        let response = entity.whole(&media_type, size, ResponseBody::empty());
        Ok(accept_ranges(response, BlobInfo::seekable(size)))
    }

    /// `GET /v2/<name>/blobs/<digest>`.
    // protocol 17 and 18
    pub(super) async fn get_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Answer<S::Body> {
        let entity = Entity::of_blob(*digest);
        if Conditions::of(self.headers()).judge(digest) != Verdict::Proceed {
            // Existence is decided first, and needs no open blob.
            return self.head_blob(repository, digest).await;
        }
        match entity.ranges(self.headers()) {
            RangeHeader::Whole => self.send_blob(repository, &entity, None).await,
            RangeHeader::Ranges(ranges) if ranges.len() == 1 => {
                let range = ranges.first().copied();
                self.send_blob(repository, &entity, range).await
            }
            // Boxed, as it is seldom and large.
            ranges => Box::pin(self.send_parts_of_blob(repository, &entity, &ranges)).await,
        }
    }

    /// `HEAD /v2/<name>/blobs/<digest>`. A `Range` is ignored: it is for GET (RFC 9110 §14.2).
    // protocol 19 and 69
    pub(super) async fn head_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Answer<S::Body> {
        let info = self.store.stat_blob(repository, digest).await?;
        let entity = Entity::of_blob(*digest);
        if let Some(response) = entity.judge(&Conditions::of(self.headers()))? {
            return Ok(response);
        }
        let response = entity.whole(&MediaType::OCTET_STREAM, info.size, ResponseBody::empty());
        Ok(accept_ranges(response, info))
    }

    /// All of a blob, or one range of it, in one call to the source.
    async fn send_blob(
        &self,
        repository: &RepositoryName,
        entity: &Entity,
        range: Option<ByteRange>,
    ) -> Answer<S::Body> {
        let options = GetBlob::default().range(range).redirects(true);
        let blob = self.store.blob(repository, &entity.digest, options).await;
        let BlobContent {
            info,
            range: served,
            body,
        } = match blob {
            Ok(Blob::Content(content)) => content,
            Ok(Blob::Redirect { to, .. }) => return redirect(entity, &to),
            Err(SourceError::RangeNotSatisfiable { size })
                if range.is_none_or(|range| range.resolve(size).is_some()) =>
            {
                return Err(SourceError::backend(BrokenPromise::RefusedRange { size }).into());
            }
            Err(SourceError::RangeNotSatisfiable { size: 0 }) => {
                // An empty blob has no ranges: all of it is sent.
                let response = entity.whole(&MediaType::OCTET_STREAM, 0, ResponseBody::empty());
                return Ok(accept_ranges(response, BlobInfo::seekable(0)));
            }
            Err(error) => return Err(error.into()),
        };
        let length = served.end.saturating_sub(served.start);
        let body = ResponseBody::blob(body, length);
        let asked = range.and_then(|range| range.resolve(info.size));
        let is_whole = served == (0..info.size);
        let response = if asked.as_ref() == Some(&served) && (info.seekable || !is_whole) {
            entity.part(&MediaType::OCTET_STREAM, &served, info.size, body)
        } else if is_whole {
            // A source that cannot seek serves the whole, and so do we.
            entity.whole(&MediaType::OCTET_STREAM, info.size, body)
        } else {
            return Err(SourceError::backend(BrokenPromise::OtherRange(served)).into());
        };
        Ok(accept_ranges(response, info))
    }

    /// Several ranges of a blob, or ranges that make no sense: the size has to be known first.
    async fn send_parts_of_blob(
        &self,
        repository: &RepositoryName,
        entity: &Entity,
        ranges: &RangeHeader,
    ) -> Answer<S::Body> {
        let info = self.store.stat_blob(repository, &entity.digest).await?;
        let selection = match info.seekable {
            true => Selection::of(ranges, info.size),
            false => Selection::Whole,
        };
        let parts = match selection {
            Selection::Whole => return self.send_blob(repository, entity, None).await,
            Selection::Part(part) => {
                let range = ByteRange::FromTo(part.start, part.end - 1);
                return self.send_blob(repository, entity, Some(range)).await;
            }
            Selection::Unsatisfiable => {
                return Err(SourceError::RangeNotSatisfiable { size: info.size }.into());
            }
            Selection::Parts(parts) => parts,
        };
        let (store, repository, digest) = (self.shared.clone(), repository.clone(), entity.digest);
        let target = Arc::new((store, repository, digest));
        let open = move |part: Range<u64>| open_part(target.clone(), part);
        let response = entity.parts(&MediaType::OCTET_STREAM, parts, info.size, open);
        Ok(accept_ranges(response, info))
    }
}

/// One part of a blob that is sent in several.
async fn open_part<S: BlobSource>(
    target: Arc<(Arc<S>, RepositoryName, Digest)>,
    part: Range<u64>,
) -> Result<DynBody, BoxError> {
    let (store, repository, digest) = &*target;
    let range = ByteRange::FromTo(part.start, part.end - 1);
    let options = GetBlob::default().range(range);
    match store.blob(repository, digest, options).await? {
        Blob::Content(content) if content.range == part => Ok(DynBody::new(content.body)),
        Blob::Content(content) => Err(BrokenPromise::OtherRange(content.range).into()),
        Blob::Redirect { .. } => Err(BrokenPromise::Redirect.into()),
    }
}

/// A manifest, or the ranges of it that the client asks for.
fn send_manifest<B>(entity: &Entity, manifest: &Manifest, headers: &HeaderMap) -> Answer<B> {
    let (media_type, size) = (manifest.media_type(), manifest.size());
    let bytes = manifest.bytes().clone();
    let response = match Selection::of(&entity.ranges(headers), size) {
        Selection::Whole => entity.whole(media_type, size, ResponseBody::bytes(bytes)),
        Selection::Part(part) => {
            let body = ResponseBody::bytes(slice(&bytes, &part));
            entity.part(media_type, &part, size, body)
        }
        Selection::Parts(parts) => {
            let open = move |part: Range<u64>| {
                let body = DynBody::new(BytesBody::new(slice(&bytes, &part)));
                std::future::ready(Ok(body))
            };
            entity.parts(media_type, parts, size, open)
        }
        Selection::Unsatisfiable => return Err(SourceError::RangeNotSatisfiable { size }.into()),
    };
    Ok(accept_ranges(response, BlobInfo::seekable(size)))
}

/// Sends the client to where the source says that the bytes are. Such an address is often signed
/// for a short time, so nobody may keep it.
fn redirect<B>(entity: &Entity, to: &http::Uri) -> Answer<B> {
    if to.scheme().is_none() {
        return Err(SourceError::backend(BrokenPromise::RelativeRedirect).into());
    }
    let location = HeaderValue::try_from(to.to_string()).map_err(SourceError::backend)?;
    let mut response = bare(StatusCode::TEMPORARY_REDIRECT);
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(Entity::CONTENT_DIGEST, entity.digest_header());
    Ok(response)
}
