//! [`OciRequest`]: every operation of the protocol, parsed from a request and written back.

use http::Method;

use crate::{
    access::{Access, Action},
    digest::{Algorithm, Digest},
    http::query::{PathAndQuery, Query},
    listing::Cursor,
    media_type::ArtifactType,
    name::{Reference, RepositoryName, Tag, UploadId},
    operation::Operation,
};

mod parse;

pub use parse::{AllowedMethods, InvalidRequest};

/// One request of the OCI distribution protocol: which operation, on what.
///
/// It is parsed once, at the edge, into types that cannot be wrong, so nothing behind it checks a
/// string again. A layer outside of the service gets it from [`Mount::parse`](crate::Mount::parse)
/// to learn which [access](Self::required_access) a request needs; a client builds its URLs with it.
/// `parse` of what [`method`](Self::method) and [`path_and_query`](Self::path_and_query) write is
/// the same request again.
///
/// The `end-…` beside each variant is its row in the table of endpoints of the specification.
///
/// ```
/// use http::Method;
/// use tower_oci::OciRequest;
///
/// let request = OciRequest::parse(&Method::GET, "/library/alpine/tags/list", "n=10&last=3.1")?;
/// let OciRequest::ListTags { repository, page } = &request else { unreachable!() };
/// assert_eq!(repository.as_str(), "library/alpine");
/// assert_eq!(page.n, Some(10));
/// assert_eq!(request.path_and_query(), "/library/alpine/tags/list?n=10&last=3.1");
/// # Ok::<(), tower_oci::InvalidRequest>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OciRequest {
    /// `GET /v2/` (end-1): is this a registry, and may I use it?
    Ping,
    /// `GET /v2/<name>/manifests/<reference>` (end-3).
    GetManifest {
        /// The repository.
        repository: RepositoryName,
        /// The tag or digest.
        reference: Reference,
    },
    /// `HEAD /v2/<name>/manifests/<reference>` (end-3).
    HeadManifest {
        /// The repository.
        repository: RepositoryName,
        /// The tag or digest.
        reference: Reference,
    },
    /// `GET /v2/<name>/blobs/<digest>` (end-2).
    GetBlob {
        /// The repository.
        repository: RepositoryName,
        /// The digest.
        digest: Digest,
    },
    /// `HEAD /v2/<name>/blobs/<digest>` (end-2).
    HeadBlob {
        /// The repository.
        repository: RepositoryName,
        /// The digest.
        digest: Digest,
    },
    /// `POST /v2/<name>/blobs/uploads/` (end-4a): opens an upload session.
    StartUpload {
        /// The repository.
        repository: RepositoryName,
        /// What the client will verify with, if it says so.
        algorithm: Option<Algorithm>,
    },
    /// `POST /v2/<name>/blobs/uploads/?digest=<digest>` (end-4b): a blob in one request.
    PushBlob {
        /// The repository.
        repository: RepositoryName,
        /// The digest of the body.
        digest: Digest,
    },
    /// `POST /v2/<name>/blobs/uploads/?mount=<digest>&from=<name>` (end-11): a blob from another
    /// repository of this registry.
    MountBlob {
        /// The repository that gets it.
        repository: RepositoryName,
        /// The digest.
        digest: Digest,
        /// The repository that has it; without it, any that the caller may read.
        from: Option<RepositoryName>,
    },
    /// `GET /v2/<name>/blobs/uploads/<id>` (end-13): how far an upload has come.
    UploadStatus {
        /// The repository.
        repository: RepositoryName,
        /// The upload session.
        upload: UploadId,
    },
    /// `PATCH /v2/<name>/blobs/uploads/<id>` (end-5): the next piece of an upload.
    AppendUpload {
        /// The repository.
        repository: RepositoryName,
        /// The upload session.
        upload: UploadId,
    },
    /// `PUT /v2/<name>/blobs/uploads/<id>?digest=<digest>` (end-6): the end of an upload.
    FinishUpload {
        /// The repository.
        repository: RepositoryName,
        /// The upload session.
        upload: UploadId,
        /// The digest of the whole blob.
        digest: Digest,
    },
    /// `DELETE /v2/<name>/blobs/uploads/<id>` (end-14): gives an upload up.
    CancelUpload {
        /// The repository.
        repository: RepositoryName,
        /// The upload session.
        upload: UploadId,
    },
    /// `PUT /v2/<name>/manifests/<reference>` (end-7).
    PutManifest {
        /// The repository.
        repository: RepositoryName,
        /// The tag or digest that it is to be known by.
        reference: Reference,
        /// The tags of `?tag=`, for a push by digest.
        tags: Vec<Tag>,
    },
    /// `DELETE /v2/<name>/manifests/<reference>` (end-9): a tag, or a manifest with its tags.
    DeleteManifest {
        /// The repository.
        repository: RepositoryName,
        /// The tag or digest.
        reference: Reference,
    },
    /// `DELETE /v2/<name>/blobs/<digest>` (end-10).
    DeleteBlob {
        /// The repository.
        repository: RepositoryName,
        /// The digest.
        digest: Digest,
    },
    /// `GET /v2/<name>/tags/list` (end-8).
    ListTags {
        /// The repository.
        repository: RepositoryName,
        /// The part of the list.
        page: PageRequest,
    },
    /// `GET /v2/<name>/referrers/<digest>` (end-12).
    ListReferrers {
        /// The repository.
        repository: RepositoryName,
        /// The manifest that they refer to.
        subject: Digest,
        /// Only those of this type.
        artifact_type: Option<ArtifactType>,
        /// The part of the list.
        page: PageRequest,
    },
    /// `GET /v2/_catalog`: the repositories, an extension that clients rely on.
    ListRepositories {
        /// The part of the list.
        page: PageRequest,
    },
}

/// The part of a list that a request asks for: `?n=<number>&last=<position>`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PageRequest {
    /// How many entries, if the client says so. A number beyond 64 bits counts as the largest.
    pub n: Option<usize>,
    /// The position that the page begins after.
    pub last: Option<Cursor>,
}

impl OciRequest {
    /// Parses the request with `method` for `path`, which begins after the `/v2` of the API, and
    /// `query`, which may be empty.
    ///
    /// Names are taken as they stand, tags and digests are percent-decoded once. Parameters that
    /// an operation does not know are ignored.
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`]: the path is not one of the protocol's, it does not have this method, or
    /// a part of it is malformed.
    pub fn parse(method: &Method, path: &str, query: &str) -> Result<Self, InvalidRequest> {
        parse::request(method, path, Query(query))
    }

    /// The method of this request; `GET` for those that are also answered to `HEAD`.
    pub fn method(&self) -> Method {
        match self {
            Self::Ping
            | Self::GetManifest { .. }
            | Self::GetBlob { .. }
            | Self::UploadStatus { .. }
            | Self::ListTags { .. }
            | Self::ListReferrers { .. }
            | Self::ListRepositories { .. } => Method::GET,
            Self::HeadManifest { .. } | Self::HeadBlob { .. } => Method::HEAD,
            Self::StartUpload { .. } | Self::PushBlob { .. } | Self::MountBlob { .. } => {
                Method::POST
            }
            Self::AppendUpload { .. } => Method::PATCH,
            Self::FinishUpload { .. } | Self::PutManifest { .. } => Method::PUT,
            Self::CancelUpload { .. } | Self::DeleteManifest { .. } | Self::DeleteBlob { .. } => {
                Method::DELETE
            }
        }
    }

    /// The path after the `/v2` of the API, with the query string.
    pub fn path_and_query(&self) -> String {
        let mut uri = PathAndQuery::new(self.path());
        match self {
            Self::StartUpload {
                algorithm: Some(algorithm),
                ..
            } => uri.parameter("digest-algorithm", algorithm),
            Self::PushBlob { digest, .. } | Self::FinishUpload { digest, .. } => {
                uri.parameter("digest", digest);
            }
            Self::MountBlob { digest, from, .. } => {
                uri.parameter("mount", digest);
                if let Some(from) = from {
                    uri.parameter("from", from);
                }
            }
            Self::PutManifest { tags, .. } => {
                for tag in tags {
                    uri.parameter("tag", tag);
                }
            }
            Self::ListReferrers {
                artifact_type,
                page,
                ..
            } => {
                if let Some(artifact_type) = artifact_type {
                    uri.parameter("artifactType", artifact_type);
                }
                page.write(&mut uri);
            }
            Self::ListTags { page, .. } | Self::ListRepositories { page } => page.write(&mut uri),
            _ => {}
        }
        uri.finish()
    }

    fn path(&self) -> String {
        match self {
            Self::Ping => "/".to_owned(),
            Self::ListRepositories { .. } => "/_catalog".to_owned(),
            Self::GetManifest {
                repository,
                reference,
            }
            | Self::HeadManifest {
                repository,
                reference,
            }
            | Self::PutManifest {
                repository,
                reference,
                ..
            }
            | Self::DeleteManifest {
                repository,
                reference,
            } => format!("/{repository}/manifests/{reference}"),
            Self::GetBlob { repository, digest }
            | Self::HeadBlob { repository, digest }
            | Self::DeleteBlob { repository, digest } => format!("/{repository}/blobs/{digest}"),
            Self::StartUpload { repository, .. }
            | Self::PushBlob { repository, .. }
            | Self::MountBlob { repository, .. } => format!("/{repository}/blobs/uploads/"),
            Self::UploadStatus { repository, upload }
            | Self::AppendUpload { repository, upload }
            | Self::FinishUpload {
                repository, upload, ..
            }
            | Self::CancelUpload { repository, upload } => {
                format!("/{repository}/blobs/uploads/{upload}")
            }
            Self::ListTags { repository, .. } => format!("/{repository}/tags/list"),
            Self::ListReferrers {
                repository,
                subject,
                ..
            } => format!("/{repository}/referrers/{subject}"),
        }
    }

    /// Which operation this is, without what it is on.
    pub fn operation(&self) -> Operation {
        match self {
            Self::Ping => Operation::Ping,
            Self::GetManifest { .. } => Operation::GetManifest,
            Self::HeadManifest { .. } => Operation::HeadManifest,
            Self::GetBlob { .. } => Operation::GetBlob,
            Self::HeadBlob { .. } => Operation::HeadBlob,
            Self::StartUpload { .. } => Operation::StartUpload,
            Self::PushBlob { .. } => Operation::PushBlob,
            Self::MountBlob { .. } => Operation::MountBlob,
            Self::UploadStatus { .. } => Operation::UploadStatus,
            Self::AppendUpload { .. } => Operation::AppendUpload,
            Self::FinishUpload { .. } => Operation::FinishUpload,
            Self::CancelUpload { .. } => Operation::CancelUpload,
            Self::PutManifest { .. } => Operation::PutManifest,
            Self::DeleteManifest { .. } => Operation::DeleteManifest,
            Self::DeleteBlob { .. } => Operation::DeleteBlob,
            Self::ListTags { .. } => Operation::ListTags,
            Self::ListReferrers { .. } => Operation::ListReferrers,
            Self::ListRepositories { .. } => Operation::ListRepositories,
        }
    }

    /// The repository that the request is about; [`Ping`](Self::Ping) and
    /// [`ListRepositories`](Self::ListRepositories) have none.
    pub fn repository(&self) -> Option<&RepositoryName> {
        match self {
            Self::Ping | Self::ListRepositories { .. } => None,
            Self::GetManifest { repository, .. }
            | Self::HeadManifest { repository, .. }
            | Self::GetBlob { repository, .. }
            | Self::HeadBlob { repository, .. }
            | Self::StartUpload { repository, .. }
            | Self::PushBlob { repository, .. }
            | Self::MountBlob { repository, .. }
            | Self::UploadStatus { repository, .. }
            | Self::AppendUpload { repository, .. }
            | Self::FinishUpload { repository, .. }
            | Self::CancelUpload { repository, .. }
            | Self::PutManifest { repository, .. }
            | Self::DeleteManifest { repository, .. }
            | Self::DeleteBlob { repository, .. }
            | Self::ListTags { repository, .. }
            | Self::ListReferrers { repository, .. } => Some(repository),
        }
    }

    /// Whether it removes content. To give up an upload removes none.
    pub(crate) fn is_delete(&self) -> bool {
        matches!(self, Self::DeleteManifest { .. } | Self::DeleteBlob { .. })
    }

    /// The access without which the request must be refused. [`Ping`](Self::Ping) needs none but
    /// that of any user at all.
    // protocol 92
    pub fn required_access(&self) -> Option<Access> {
        let actions: &'static [Action] = match self.method() {
            _ if matches!(self, Self::UploadStatus { .. } | Self::CancelUpload { .. }) => {
                // A client may end what it may begin: `delete` is not asked for (protocol 87).
                &[Action::Pull, Action::Push]
            }
            Method::GET | Method::HEAD => &[Action::Pull],
            Method::DELETE => &[Action::Delete],
            _ => &[Action::Pull, Action::Push],
        };
        match self {
            Self::Ping => None,
            Self::ListRepositories { .. } => Some(Access::Catalog),
            _ => self
                .repository()
                .map(|repository| Access::repository(repository.clone(), actions)),
        }
    }

    /// The access without which the request can still be carried out in another way: reading where
    /// a mount would take the blob from. Without it the answer is an upload session, not a refusal.
    // protocol 93
    pub fn optional_access(&self) -> Option<Access> {
        match self {
            Self::MountBlob {
                from: Some(from), ..
            } => Some(Access::repository(from.clone(), &[Action::Pull])),
            _ => None,
        }
    }
}

impl PageRequest {
    /// The page of `n` entries after `last`.
    pub fn new(n: Option<usize>, last: Option<Cursor>) -> Self {
        Self { n, last }
    }

    fn write(&self, uri: &mut PathAndQuery) {
        if let Some(n) = self.n {
            uri.parameter("n", &n);
        }
        if let Some(last) = &self.last {
            uri.parameter("last", last);
        }
    }
}
