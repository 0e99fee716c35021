//! From a method, a path and a query to an [`OciRequest`].

use std::borrow::Cow;

use http::Method;

use super::{OciRequest, PageRequest};
use crate::{
    digest::InvalidDigest,
    http::query::{Query, decode},
    listing::Cursor,
    media_type::InvalidArtifactType,
    name::{
        InvalidName, InvalidReference, InvalidTag, InvalidUploadId, Reference, RepositoryName,
        UploadId,
    },
    text::Excerpt,
};

pub(super) fn request(
    method: &Method,
    path: &str,
    query: Query<'_>,
) -> Result<OciRequest, InvalidRequest> {
    let unknown = || InvalidRequest::UnknownPath(Excerpt::of(path));
    let endpoint = Endpoint::parse(path).ok_or_else(unknown)?;
    let allowed = endpoint.methods();
    if !allowed.all().any(|allowed| allowed == method) {
        let method = Excerpt::of(method.as_str());
        return Err(InvalidRequest::Method { method, allowed });
    }
    endpoint.request(method, query)
}

impl PageRequest {
    fn parse(query: Query<'_>) -> Result<Self, InvalidRequest> {
        let n = match query.all("n").next() {
            None => None,
            Some(n) if !n.is_empty() && n.bytes().all(|digit| digit.is_ascii_digit()) => {
                Some(n.parse().unwrap_or(usize::MAX))
            }
            Some(n) => return Err(InvalidRequest::PageSize(Excerpt::of(&n))),
        };
        let last = query
            .first("last")
            .and_then(|last| Cursor::from_text(&last));
        Ok(Self { n, last })
    }
}

/// A path of the protocol, before its parts are checked.
enum Endpoint<'a> {
    Root,
    Catalog,
    Manifest { name: &'a str, reference: &'a str },
    Blob { name: &'a str, digest: &'a str },
    Uploads { name: &'a str },
    Upload { name: &'a str, upload: &'a str },
    Tags { name: &'a str },
    Referrers { name: &'a str, subject: &'a str },
}

impl<'a> Endpoint<'a> {
    /// Splits a path from the right, because a name may hold any of the protocol's own words.
    fn parse(path: &'a str) -> Option<Self> {
        let path = match path {
            "" | "/" => return Some(Self::Root),
            "/_catalog" => return Some(Self::Catalog),
            _ => path.strip_prefix('/')?,
        };
        let (rest, last) = split_last(path)?;
        let (name, kind) = split_last(rest)?;
        Some(match (kind, last) {
            ("manifests", reference) if !reference.is_empty() => Self::Manifest { name, reference },
            ("tags", "list") => Self::Tags { name },
            ("referrers", subject) if !subject.is_empty() => Self::Referrers { name, subject },
            ("blobs", "uploads") => Self::Uploads { name },
            ("blobs", digest) if !digest.is_empty() => Self::Blob { name, digest },
            ("uploads", upload) => match (name.strip_suffix("/blobs")?, upload) {
                (name, "") => Self::Uploads { name },
                (name, upload) => Self::Upload { name, upload },
            },
            _ => return None,
        })
    }

    fn methods(&self) -> AllowedMethods {
        const READ: &[Method] = &[Method::GET, Method::HEAD];
        const NONE: AllowedMethods = AllowedMethods::NONE;
        match self {
            Self::Root | Self::Catalog | Self::Tags { .. } | Self::Referrers { .. } => {
                AllowedMethods {
                    reads: READ,
                    ..NONE
                }
            }
            Self::Manifest { .. } => AllowedMethods {
                reads: READ,
                writes: &[Method::PUT],
                deletes: &[Method::DELETE],
            },
            Self::Blob { .. } => AllowedMethods {
                reads: READ,
                deletes: &[Method::DELETE],
                ..NONE
            },
            Self::Uploads { .. } => AllowedMethods {
                writes: &[Method::POST],
                ..NONE
            },
            Self::Upload { .. } => AllowedMethods {
                writes: &[
                    Method::GET,
                    Method::HEAD,
                    Method::PATCH,
                    Method::PUT,
                    Method::DELETE,
                ],
                ..NONE
            },
        }
    }

    fn request(self, method: &Method, query: Query<'_>) -> Result<OciRequest, InvalidRequest> {
        match self {
            Self::Root => Ok(OciRequest::Ping),
            Self::Catalog => {
                let page = PageRequest::parse(query)?;
                Ok(OciRequest::ListRepositories { page })
            }
            Self::Manifest { name, reference } => {
                manifest_request(name.parse()?, &decode(reference), method, query)
            }
            Self::Blob { name, digest } => {
                let (repository, digest) = (name.parse()?, decode(digest).parse()?);
                Ok(match *method {
                    Method::GET => OciRequest::GetBlob { repository, digest },
                    Method::HEAD => OciRequest::HeadBlob { repository, digest },
                    _ => OciRequest::DeleteBlob { repository, digest },
                })
            }
            Self::Uploads { name } => start_request(name.parse()?, query),
            Self::Upload { name, upload } => {
                upload_request(name.parse()?, upload.parse()?, method, query)
            }
            Self::Tags { name } => Ok(OciRequest::ListTags {
                repository: name.parse()?,
                page: PageRequest::parse(query)?,
            }),
            Self::Referrers { name, subject } => Ok(OciRequest::ListReferrers {
                repository: name.parse()?,
                subject: decode(subject).parse()?,
                artifact_type: parse_parameter(query.first("artifactType"))?,
                page: PageRequest::parse(query)?,
            }),
        }
    }
}

/// What stands before and after the last slash. Paths are short: a loop is faster than a search.
fn split_last(path: &str) -> Option<(&str, &str)> {
    let slash = path.bytes().rposition(|byte| byte == b'/')?;
    Some((&path[..slash], &path[slash + 1..]))
}

fn manifest_request(
    repository: RepositoryName,
    reference: &str,
    method: &Method,
    query: Query<'_>,
) -> Result<OciRequest, InvalidRequest> {
    let invalid = |invalid: InvalidReference| match (invalid, *method == Method::PUT) {
        (InvalidReference::Digest(digest), _) => InvalidRequest::Digest(digest),
        (InvalidReference::Tag(tag), true) => InvalidRequest::NewTag(tag),
        (InvalidReference::Tag(tag), false) => InvalidRequest::Tag(tag),
    };
    let reference: Reference = reference.parse().map_err(invalid)?;
    Ok(match *method {
        Method::GET => OciRequest::GetManifest {
            repository,
            reference,
        },
        Method::HEAD => OciRequest::HeadManifest {
            repository,
            reference,
        },
        Method::DELETE => OciRequest::DeleteManifest {
            repository,
            reference,
        },
        _ => {
            let tags = query.all("tag").map(|tag| tag.parse());
            let tags = tags.collect::<Result<_, _>>();
            OciRequest::PutManifest {
                repository,
                reference,
                tags: tags.map_err(InvalidRequest::NewTag)?,
            }
        }
    })
}

fn start_request(
    repository: RepositoryName,
    query: Query<'_>,
) -> Result<OciRequest, InvalidRequest> {
    if let Some(digest) = query.all("mount").next() {
        return Ok(OciRequest::MountBlob {
            repository,
            digest: digest.parse()?,
            from: parse_parameter(query.first("from"))?,
        });
    }
    if let Some(digest) = query.all("digest").next() {
        let digest = digest.parse()?;
        return Ok(OciRequest::PushBlob { repository, digest });
    }
    Ok(OciRequest::StartUpload {
        repository,
        algorithm: parse_parameter(query.first("digest-algorithm"))?,
    })
}

fn upload_request(
    repository: RepositoryName,
    upload: UploadId,
    method: &Method,
    query: Query<'_>,
) -> Result<OciRequest, InvalidRequest> {
    Ok(match *method {
        Method::PATCH => OciRequest::AppendUpload { repository, upload },
        Method::DELETE => OciRequest::CancelUpload { repository, upload },
        Method::PUT => {
            let digest = query.first("digest");
            let digest = digest.ok_or(InvalidRequest::MissingDigest)?.parse()?;
            OciRequest::FinishUpload {
                repository,
                upload,
                digest,
            }
        }
        _ => OciRequest::UploadStatus { repository, upload },
    })
}

fn parse_parameter<T: std::str::FromStr>(value: Option<Cow<'_, str>>) -> Result<Option<T>, T::Err> {
    value.map(|value| value.parse()).transpose()
}

/// The methods that a path has in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AllowedMethods {
    reads: &'static [Method],
    writes: &'static [Method],
    deletes: &'static [Method],
}

impl AllowedMethods {
    const NONE: Self = Self {
        reads: &[],
        writes: &[],
        deletes: &[],
    };

    /// Those of a path after the `/v2` of the API; none if it is no path of the protocol.
    pub(crate) fn of_path(path: &str) -> Self {
        Endpoint::parse(path).map_or(Self::NONE, |endpoint| endpoint.methods())
    }

    /// Those that read content, which every registry has.
    pub fn reads(self) -> &'static [Method] {
        self.reads
    }

    /// Those that add content, or belong to an upload.
    pub fn writes(self) -> &'static [Method] {
        self.writes
    }

    /// Those that remove content.
    pub fn deletes(self) -> &'static [Method] {
        self.deletes
    }

    pub(crate) fn without_deletes(self) -> Self {
        Self {
            deletes: &[],
            ..self
        }
    }

    pub(crate) fn without_writes(self) -> Self {
        Self {
            writes: &[],
            ..self.without_deletes()
        }
    }

    /// All of them.
    pub fn all(self) -> impl Iterator<Item = &'static Method> {
        self.reads.iter().chain(self.writes).chain(self.deletes)
    }
}

/// Why a request is none of the protocol's.
///
/// [`into_response`](Self::into_response) is the answer that the service gives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRequest {
    /// The path is not one of the protocol's.
    #[error("{0} is not a path of the registry API")]
    UnknownPath(Excerpt),
    /// The path does not have this method.
    #[error("{method} is not a method of this path")]
    #[non_exhaustive]
    Method {
        /// The method.
        method: Excerpt,
        /// Those that the path has.
        allowed: AllowedMethods,
    },
    /// The path names no repository.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A digest is malformed, or of an algorithm that is not supported.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// A tag that is read or deleted is malformed, so it cannot exist.
    #[error(transparent)]
    Tag(InvalidTag),
    /// A tag that is written is malformed.
    #[error(transparent)]
    NewTag(InvalidTag),
    /// The id of an upload session is malformed, so the session cannot exist.
    #[error(transparent)]
    Upload(#[from] InvalidUploadId),
    /// The artifact type of a filter is malformed.
    #[error(transparent)]
    ArtifactType(#[from] InvalidArtifactType),
    /// The size of a page is no number.
    #[error("{0} is not a page size: a number from 0")]
    PageSize(Excerpt),
    /// The end of an upload has no digest.
    #[error("the end of an upload needs the parameter digest")]
    MissingDigest,
}
