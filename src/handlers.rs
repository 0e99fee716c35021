//! What is done for each operation, by the categories of the specification.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header, request::Parts};

use crate::{
    body::ResponseBody, error::Error, mount::Location, request::OciRequest, source::BlobSource,
};

mod discover;
mod entity;
mod pull;

/// A response, or the error that becomes one.
pub(crate) type Answer<B> = Result<Response<ResponseBody<B>>, Error>;

/// One request on its way through a handler.
pub(crate) struct Call<'a, S> {
    pub(crate) store: &'a Arc<S>,
    pub(crate) parts: &'a Parts,
    pub(crate) location: &'a Location<'a>,
}

impl<S: BlobSource> Call<'_, S> {
    /// Hands `request` to the handler of its operation.
    pub(crate) async fn handle(self, request: OciRequest) -> Answer<S::Body> {
        match request {
            OciRequest::Ping => Ok(pull::ping()),
            OciRequest::GetManifest {
                repository,
                reference,
            } => self.get_manifest(&repository, &reference).await,
            OciRequest::HeadManifest {
                repository,
                reference,
            } => self.head_manifest(&repository, &reference).await,
            OciRequest::GetBlob { repository, digest } => self.get_blob(&repository, &digest).await,
            OciRequest::HeadBlob { repository, digest } => {
                self.head_blob(&repository, &digest).await
            }
            OciRequest::ListTags { repository, page } => self.list_tags(repository, page).await,
            OciRequest::ListReferrers {
                repository,
                subject,
                artifact_type,
                page,
            } => {
                self.list_referrers(repository, subject, artifact_type, page)
                    .await
            }
            OciRequest::ListRepositories { page } => self.list_repositories(page).await,
            OciRequest::PutManifest { .. }
            | OciRequest::DeleteManifest { .. }
            | OciRequest::DeleteBlob { .. } => Err(Error::ReadOnly(&[Method::GET, Method::HEAD])),
            OciRequest::StartUpload { .. }
            | OciRequest::PushBlob { .. }
            | OciRequest::MountBlob { .. }
            | OciRequest::UploadStatus { .. }
            | OciRequest::AppendUpload { .. }
            | OciRequest::FinishUpload { .. }
            // An empty `Allow`: without uploads these paths have no method (RFC 9110 §10.2.1).
            | OciRequest::CancelUpload { .. } => Err(Error::ReadOnly(&[])),
        }
    }

    fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }
}

/// A response with these bytes, which the service made itself.
fn document<B>(media_type: &'static str, bytes: Vec<u8>) -> Response<ResponseBody<B>> {
    let length = bytes.len();
    let mut response = Response::new(ResponseBody::bytes(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A response without content, but for its headers.
fn bare<B>(status: StatusCode) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    response
}
