//! What is done for each operation, by the categories of the specification.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request::Parts};

use crate::{
    body::ResponseBody,
    error::Error,
    http::range::ascii_header,
    limits::Limits,
    mount::Location,
    request::{AllowedMethods, OciRequest},
    service::Config,
    source::SourceError,
    store::{BlobStore, UploadBody},
};

mod discover;
mod entity;
mod manage;
mod pull;
mod push;

/// A response, or the error that becomes one.
pub(crate) type Answer<B> = Result<Response<ResponseBody<B>>, Error>;

/// One request on its way through a handler.
pub(crate) struct Call<'a, S> {
    pub(crate) store: &'a S,
    /// The same, for a body that goes on when the handler is done.
    pub(crate) shared: &'a Arc<S>,
    pub(crate) config: &'a Config,
    pub(crate) parts: &'a Parts,
    pub(crate) location: Location<'a>,
}

impl<S: BlobStore> Call<'_, S> {
    /// Hands `request` to the handler of its operation.
    pub(crate) async fn handle(
        &self,
        request: &OciRequest,
        body: &mut UploadBody,
    ) -> Answer<S::Body> {
        match request {
            OciRequest::Ping => Ok(pull::ping()),
            OciRequest::GetManifest {
                repository,
                reference,
            } => self.get_manifest(repository, reference).await,
            OciRequest::HeadManifest {
                repository,
                reference,
            } => self.head_manifest(repository, reference).await,
            OciRequest::GetBlob { repository, digest } => self.get_blob(repository, digest).await,
            OciRequest::HeadBlob { repository, digest } => self.head_blob(repository, digest).await,
            OciRequest::ListTags { repository, page } => self.list_tags(repository, page).await,
            OciRequest::ListReferrers {
                repository,
                subject,
                artifact_type,
                page,
            } => {
                let artifact_type = artifact_type.as_ref();
                self.list_referrers(repository, subject, artifact_type, page)
                    .await
            }
            OciRequest::ListRepositories { page } => self.list_repositories(page).await,
            _ if !self.config.is_writable() => Err(self.not_allowed("this registry is read-only")),
            delete if delete.is_delete() && !self.config.allows_deletes() => {
                Err(self.not_allowed("this registry deletes nothing"))
            }
            write => {
                let is_delete = write.is_delete();
                // Boxed, so that reads do not pay for the room that writes need.
                let answer = Box::pin(self.write(write.clone(), body)).await;
                answer.map_err(|error| match error {
                    // What a source cannot list is not found, what a store cannot do is not allowed.
                    Error::Source(SourceError::Unsupported) => self.unsupported(is_delete),
                    error => error,
                })
            }
        }
    }

    async fn write(&self, request: OciRequest, body: &mut UploadBody) -> Answer<S::Body> {
        match request {
            OciRequest::StartUpload {
                repository,
                algorithm,
            } => self.start_upload(repository, algorithm).await,
            OciRequest::PushBlob { repository, digest } => {
                self.push_blob(repository, digest, body).await
            }
            OciRequest::MountBlob {
                repository,
                digest,
                from,
            } => self.mount_blob(repository, digest, from).await,
            OciRequest::UploadStatus { repository, upload } => {
                self.upload_status(repository, upload).await
            }
            OciRequest::AppendUpload { repository, upload } => {
                self.append_upload(repository, upload, body).await
            }
            OciRequest::FinishUpload {
                repository,
                upload,
                digest,
            } => self.finish_upload(repository, &upload, digest, body).await,
            OciRequest::CancelUpload { repository, upload } => {
                self.cancel_upload(&repository, &upload).await
            }
            OciRequest::PutManifest {
                repository,
                reference,
                tags,
            } => self.put_manifest(repository, reference, tags, body).await,
            OciRequest::DeleteManifest {
                repository,
                reference,
            } => self.delete_manifest(&repository, &reference).await,
            OciRequest::DeleteBlob { repository, digest } => {
                self.delete_blob(&repository, &digest).await
            }
            // All others were answered before.
            _ => Err(SourceError::Unsupported.into()),
        }
    }

    /// 405 for this path, with the methods that it does have.
    // RFC 9110 §15.5.6
    pub(crate) fn not_allowed(&self, message: impl Into<String>) -> Error {
        let methods = AllowedMethods::of_path(self.location.path);
        Error::NotAllowed {
            message: message.into(),
            allowed: self.config.allowed(methods),
        }
    }

    /// 405 for what the store does not do: deletes, or whatever it is that writes.
    fn unsupported(&self, is_delete: bool) -> Error {
        let methods = AllowedMethods::of_path(self.location.path);
        let (message, methods) = match is_delete {
            true => ("this repository deletes nothing", methods.without_deletes()),
            false => ("this repository is read-only", methods.without_writes()),
        };
        Error::NotAllowed {
            message: message.to_owned(),
            allowed: self.config.allowed(methods),
        }
    }

    fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// Where a client finds what `request` asks for.
    fn link(&self, request: &OciRequest) -> HeaderValue {
        ascii_header(&self.location.link_to(request))
    }
}

/// A response with these bytes, which the service made itself.
fn document<B>(media_type: &'static str, bytes: Vec<u8>) -> Response<ResponseBody<B>> {
    let length = bytes.len();
    let mut response = Response::new(ResponseBody::bytes(bytes));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(
        header::CACHE_CONTROL,
        const { HeaderValue::from_static("no-store") },
    );
    response
}

/// A response without content, but for its headers.
fn bare<B>(status: StatusCode) -> Response<ResponseBody<B>> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = status;
    if status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED {
        response
            .headers_mut()
            .insert(header::CONTENT_LENGTH, 0.into());
    }
    response
}
