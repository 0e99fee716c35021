use std::{future::Future, ops::Range};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::bare;
use crate::{
    body::{BoxError, DynBody, Multipart, Part, ResponseBody},
    digest::Digest,
    error::Error,
    http::{
        conditional::{Conditions, Verdict, if_range_holds},
        range::{RangeHeader, ascii_bytes_header, ascii_header, content_range},
    },
    media_type::MediaType,
    name::Reference,
    source::{BlobInfo, BrokenPromise, SourceError},
};

/// How many headers an answer has: these, what every answer has, and room for a layer's own.
const HEADERS: usize = 12;

/// Content that a request asked for and that exists: a manifest or a blob, named by its digest.
pub(super) struct Entity {
    pub(super) digest: Digest,
    /// Whether the request named the digest, so that the answer can never become another.
    is_immutable: bool,
}

impl Entity {
    pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

    /// The manifest that the source found for `reference`.
    pub(super) fn of_manifest(reference: &Reference, found: Digest) -> Result<Self, Error> {
        match reference {
            Reference::Tag(_) => Ok(Self {
                digest: found,
                is_immutable: false,
            }),
            Reference::Digest(asked) if *asked == found => Ok(Self::of_blob(found)),
            Reference::Digest(asked) => Err(SourceError::backend(BrokenPromise::OtherDigest {
                asked: *asked,
                answered: found,
            })
            .into()),
        }
    }

    /// Content that the request named by `digest`.
    pub(super) fn of_blob(digest: Digest) -> Self {
        Self {
            digest,
            is_immutable: true,
        }
    }

    /// The response that the request's preconditions demand, if they do: 304, or 412.
    pub(super) fn judge<B>(
        &self,
        conditions: &Conditions,
    ) -> Result<Option<Response<ResponseBody<B>>>, Error> {
        match conditions.judge(&self.digest) {
            Verdict::Proceed => Ok(None),
            Verdict::Failed => Err(SourceError::PreconditionFailed.into()),
            Verdict::NotModified => {
                // RFC 9110 §15.4.5
                let mut response = bare(StatusCode::NOT_MODIFIED);
                self.add_validators(response.headers_mut(), self.quoted_digest());
                Ok(Some(response))
            }
        }
    }

    /// The ranges that the request asks for, unless its `If-Range` is about other content.
    pub(super) fn ranges(&self, headers: &HeaderMap) -> RangeHeader {
        if if_range_holds(headers, &self.digest) {
            RangeHeader::of(headers)
        } else {
            RangeHeader::Whole
        }
    }

    /// 200 with all `size` bytes.
    pub(super) fn whole<B>(
        &self,
        media_type: &MediaType,
        size: u64,
        body: ResponseBody<B>,
    ) -> Response<ResponseBody<B>> {
        self.response(StatusCode::OK, media_type.to_header(), size, body)
    }

    /// 206 with one part of `size` bytes.
    pub(super) fn part<B>(
        &self,
        media_type: &MediaType,
        part: &Range<u64>,
        size: u64,
        body: ResponseBody<B>,
    ) -> Response<ResponseBody<B>> {
        let length = part.end - part.start;
        let content_type = media_type.to_header();
        let mut response = self.response(StatusCode::PARTIAL_CONTENT, content_type, length, body);
        let content_range = ascii_header(&content_range(part, size));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_RANGE, content_range);
        response
    }

    /// 206 with several parts of `size` bytes, each opened with `open` when its turn comes.
    // RFC 9110 §14.6
    pub(super) fn parts<B, F>(
        &self,
        media_type: &MediaType,
        parts: Vec<Range<u64>>,
        size: u64,
        open: impl Fn(Range<u64>) -> F + Clone + Send + 'static,
    ) -> Response<ResponseBody<B>>
    where
        F: Future<Output = Result<DynBody, BoxError>> + Send + 'static,
    {
        let boundary = self.boundary();
        let part = |part: Range<u64>| {
            let content_range = content_range(&part, size);
            let open = open.clone();
            Part {
                head: format!(
                    "\r\n--{boundary}\r\nContent-Type: {media_type}\r\n\
                     Content-Range: {content_range}\r\n\r\n"
                )
                .into(),
                length: part.end - part.start,
                open: Box::new(move || Box::pin(open(part))),
            }
        };
        let tail = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        let body = Multipart::new(parts.into_iter().map(part).collect(), tail);
        let content_type = ascii_header(&format!("multipart/byteranges; boundary={boundary}"));
        let length = body.length();
        let body = ResponseBody::multipart(body);
        self.response(StatusCode::PARTIAL_CONTENT, content_type, length, body)
    }

    /// What separates the parts: the digest of the content, which the content cannot hold itself.
    // RFC 2046 §5.1.1: at most 70 characters
    fn boundary(&self) -> String {
        self.digest.encoded().chars().take(64).collect()
    }

    fn response<B>(
        &self,
        status: StatusCode,
        content_type: HeaderValue,
        length: u64,
        body: ResponseBody<B>,
    ) -> Response<ResponseBody<B>> {
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(header::CONTENT_TYPE, content_type);
        headers.insert(header::CONTENT_LENGTH, length.into());
        let quoted = self.quoted_digest();
        let digest = quoted.slice(1..quoted.len() - 1);
        headers.insert(Self::CONTENT_DIGEST, ascii_bytes_header(digest));
        self.add_validators(&mut headers, quoted);
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }

    /// The digest between quotes, as an entity tag has it. What is within them is the digest.
    // RFC 9110 §8.8.3
    fn quoted_digest(&self) -> Bytes {
        let mut quoted = String::with_capacity(self.digest.text_length() + 2);
        quoted.push('"');
        self.digest.write_to(&mut quoted);
        quoted.push('"');
        quoted.into()
    }

    /// What lets a client keep the content, and ask whether it still holds.
    fn add_validators(&self, headers: &mut HeaderMap, quoted_digest: Bytes) {
        headers.insert(header::ETAG, ascii_bytes_header(quoted_digest));
        let cache_control = match self.is_immutable {
            true => const { HeaderValue::from_static("private, max-age=31536000, immutable") },
            false => const { HeaderValue::from_static("no-cache") },
        };
        headers.insert(header::CACHE_CONTROL, cache_control);
    }

    pub(super) fn digest_header(&self) -> HeaderValue {
        ascii_header(&self.digest.to_string())
    }
}

/// Says that ranges can be asked for, if they can.
// RFC 9110 §14.3
pub(super) fn accept_ranges<B>(mut response: Response<B>, info: BlobInfo) -> Response<B> {
    if info.seekable {
        let bytes = const { HeaderValue::from_static("bytes") };
        response.headers_mut().insert(header::ACCEPT_RANGES, bytes);
    }
    response
}
