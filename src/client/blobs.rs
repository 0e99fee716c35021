//! Blobs, whole or in part.

use std::ops::Range;

use http::{Response, StatusCode, Uri, header};

use super::{
    BlobBody, ClientError, RangeBody, RegistryClient,
    download::{Answered, Download, accepts_ranges, content_length, unsatisfied_size},
    origin::resolve,
    transport::Outgoing,
};
use crate::{
    body::DynBody,
    digest::Digest,
    http::range::ascii_header,
    name::RepositoryName,
    request::OciRequest,
    source::{BlobInfo, ByteRange},
};

/// A blob, or a part of one, on its way.
#[derive(Debug)]
#[non_exhaustive]
pub struct BlobDownload<B> {
    /// What is known of the whole blob.
    pub info: BlobInfo,
    /// What `body` yields of it.
    pub range: Range<u64>,
    /// The bytes.
    pub body: B,
}

impl RegistryClient {
    /// Gets a blob, verified while it flows.
    ///
    /// # Errors
    ///
    /// Those of every request. What goes wrong later is an error of the body.
    // protocol 17
    pub async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobDownload<BlobBody>, ClientError> {
        let outgoing = self.outgoing(&get_blob(repository, digest));
        let response = self.send(&outgoing).await?;
        self.whole_blob(outgoing, response, digest)
    }

    /// The whole blob; or, for who passes redirects on, where the registry sends for it.
    pub(crate) async fn find_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        passes_redirects: bool,
    ) -> Result<Result<BlobDownload<BlobBody>, Uri>, ClientError> {
        let outgoing = self.outgoing(&get_blob(repository, digest));
        if !passes_redirects {
            let response = self.send(&outgoing).await?;
            return self.whole_blob(outgoing, response, digest).map(Ok);
        }
        let unfollowed = Outgoing {
            follows: false,
            ..outgoing.clone()
        };
        let response = self.send(&unfollowed).await?;
        if !response.status().is_redirection() {
            return self.whole_blob(outgoing, response, digest).map(Ok);
        }
        let location = response.headers().get(header::LOCATION);
        let target = location.and_then(|to| resolve(&outgoing.uri, to.to_str().ok()?));
        let target = target.ok_or_else(|| outgoing.broke_protocol("it redirects to nowhere"))?;
        let is_secret = outgoing.uri.scheme_str() == Some("https");
        match is_secret && target.scheme_str() != Some("https") {
            true => Err(outgoing.broke_protocol("it redirects from https to another scheme")),
            false => Ok(Err(target)),
        }
    }

    fn whole_blob(
        &self,
        outgoing: Outgoing,
        response: Response<DynBody>,
        digest: &Digest,
    ) -> Result<BlobDownload<BlobBody>, ClientError> {
        let answered = Answered::of(&outgoing, &response)?;
        let range = 0..answered.total;
        if answered.range != range {
            return Err(outgoing.broke_protocol("it is a part, and the whole was asked for"));
        }
        let client = self.clone();
        let download = Download::of(
            client,
            outgoing,
            response,
            &answered,
            range.clone(),
            Some(*digest),
        );
        Ok(BlobDownload {
            info: answered.info(),
            range,
            body: BlobBody::new(download),
        })
    }

    /// Gets a part of a blob, which cannot be verified. From a registry that has no ranges, the
    /// whole is read and the rest of it dropped.
    ///
    /// # Errors
    ///
    /// Those of every request. A range without a byte in the blob is a status error with 416.
    // protocol 18
    pub async fn blob_range(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: ByteRange,
    ) -> Result<BlobDownload<RangeBody>, ClientError> {
        match self.find_range(repository, digest, range).await? {
            Ok(download) => Ok(download),
            Err(_) => {
                let outgoing = self.outgoing(&get_blob(repository, digest));
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                Err(outgoing.failed(super::StatusError::new(status, b"", None)))
            }
        }
    }

    /// The part of the blob, or the size in which it has no byte.
    pub(crate) async fn find_range(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: ByteRange,
    ) -> Result<Result<BlobDownload<RangeBody>, u64>, ClientError> {
        let asked = match range {
            ByteRange::From(first) => format!("bytes={first}-"),
            // What is written in Go knows no larger numbers.
            ByteRange::FromTo(first, last) if last > i64::MAX.unsigned_abs() => {
                format!("bytes={first}-")
            }
            ByteRange::FromTo(first, last) => format!("bytes={first}-{last}"),
            ByteRange::Suffix(length) => format!("bytes=-{length}"),
        };
        let outgoing = self.outgoing(&get_blob(repository, digest));
        let first = outgoing
            .clone()
            .header(header::RANGE, ascii_header(&asked))
            .accepts(&[StatusCode::RANGE_NOT_SATISFIABLE]);
        let response = self.send(&first).await?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            let size = match unsatisfied_size(response.headers()) {
                Some(size) => size,
                None => self.stat_blob(repository, digest).await?.size,
            };
            return match range.resolve(size) {
                None => Ok(Err(size)),
                Some(_) => Err(first.broke_protocol("416 answers a range that the blob has")),
            };
        }
        let answered = Answered::of(&first, &response)?;
        let Some(wanted) = range.resolve(answered.total) else {
            return Ok(Err(answered.total));
        };
        let is_part = response.status() == StatusCode::PARTIAL_CONTENT;
        let holds_it = !is_part || answered.range == wanted;
        if !holds_it {
            return Err(first.broke_protocol("it is another part than was asked for"));
        }
        let info = answered.info();
        let client = self.clone();
        let download = Download::of(client, outgoing, response, &answered, wanted.clone(), None);
        Ok(Ok(BlobDownload {
            info,
            range: wanted,
            body: RangeBody::new(download),
        }))
    }

    /// What [`blob`](Self::blob) would get, without its bytes.
    ///
    /// # Errors
    ///
    /// Those of every request.
    // protocol 19 and 69
    pub async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, ClientError> {
        let head = OciRequest::HeadBlob {
            repository: repository.clone(),
            digest: *digest,
        };
        let outgoing = self.outgoing(&head);
        let response = self.send(&outgoing).await?;
        let size = content_length(response.headers());
        let size = size.ok_or_else(|| outgoing.broke_protocol("it has no Content-Length"))?;
        Ok(match accepts_ranges(response.headers()) {
            true => BlobInfo::seekable(size),
            false => BlobInfo::unseekable(size),
        })
    }
}

impl Answered {
    fn info(&self) -> BlobInfo {
        match self.seekable {
            true => BlobInfo::seekable(self.total),
            false => BlobInfo::unseekable(self.total),
        }
    }
}

fn get_blob(repository: &RepositoryName, digest: &Digest) -> OciRequest {
    OciRequest::GetBlob {
        repository: repository.clone(),
        digest: *digest,
    }
}
