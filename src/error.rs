//! Every failure as a response: one envelope, one table.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use serde::Serialize;

use crate::{
    body::BytesBody,
    digest::Digest,
    http::{
        content_range::{InvalidPieceRange, uploaded_range},
        range::{ascii_header, unsatisfied_range},
    },
    manifest::InvalidManifest,
    media_type::InvalidMediaType,
    mount::MountError,
    operation::Operation,
    request::InvalidRequest,
    source::{MissingContent, SourceError},
    trace,
};

/// The codes of errors in the protocol.
///
/// Specification: "Error Codes"; the last two are the ones that every registry uses where the
/// server is at fault, for which the specification has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The blob is unknown.
    BlobUnknown,
    /// The upload cannot go on like this.
    BlobUploadInvalid,
    /// The upload session is unknown.
    BlobUploadUnknown,
    /// The digest is malformed, or not that of the content.
    DigestInvalid,
    /// The manifest names a blob that is unknown.
    ManifestBlobUnknown,
    /// The manifest is malformed.
    ManifestInvalid,
    /// The manifest is unknown.
    ManifestUnknown,
    /// The name of the repository is malformed.
    NameInvalid,
    /// The repository is unknown.
    NameUnknown,
    /// The length is not the one that was announced, or not one that is allowed.
    SizeInvalid,
    /// Credentials are needed.
    Unauthorized,
    /// The caller may not do this.
    Denied,
    /// The operation is not supported.
    Unsupported,
    /// Too many requests.
    TooManyRequests,
    /// The server cannot do this now. Only with status 503.
    Unavailable,
    /// The server failed, or what it depends on. Only with status 500, 502, 504 and 507.
    Unknown,
}

impl ErrorCode {
    /// The code as it stands in an error: `MANIFEST_UNKNOWN`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// An error in the form that clients of a registry read, for layers that refuse requests
    /// before the service sees them.
    ///
    /// It has the headers that every response of the service has. A 401 still needs its
    /// `WWW-Authenticate`, a 429 its `Retry-After`.
    ///
    /// ```
    /// # use http::StatusCode;
    /// # use tower_oci::ErrorCode;
    /// let mut response =
    ///     ErrorCode::Unauthorized.response(StatusCode::UNAUTHORIZED, "this registry needs a login");
    /// let challenge = http::HeaderValue::from_static("Basic realm=\"registry\"");
    /// response.headers_mut().insert("www-authenticate", challenge);
    /// assert_eq!(response.headers()["content-type"], "application/json");
    /// ```
    pub fn response(self, status: StatusCode, message: impl Into<String>) -> Response<BytesBody> {
        envelope(status, vec![Entry::new(self, message.into())])
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why the service does not do what it was asked.
#[derive(Debug)]
pub(crate) enum Error {
    Request(InvalidRequest),
    Mount(MountError),
    Source(SourceError),
    /// The path does not have this method, here or at all.
    NotAllowed {
        message: String,
        allowed: Vec<Method>,
    },
    /// The `Content-Range` of an upload's piece.
    PieceRange(InvalidPieceRange),
    /// The `Content-Length` is no number, or several.
    ContentLength,
    /// The type that a manifest was sent with.
    ManifestType(InvalidMediaType),
    Manifest(InvalidManifest),
    /// A push of a manifest names more tags than are allowed.
    TooManyTags(usize),
}

impl From<InvalidRequest> for Error {
    fn from(error: InvalidRequest) -> Self {
        Self::Request(error)
    }
}

impl From<MountError> for Error {
    fn from(error: MountError) -> Self {
        Self::Mount(error)
    }
}

impl From<InvalidPieceRange> for Error {
    fn from(error: InvalidPieceRange) -> Self {
        Self::PieceRange(error)
    }
}

impl From<InvalidMediaType> for Error {
    fn from(error: InvalidMediaType) -> Self {
        Self::ManifestType(error)
    }
}

impl From<InvalidManifest> for Error {
    fn from(error: InvalidManifest) -> Self {
        Self::Manifest(error)
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl Error {
    /// The table: which status and which code each failure has.
    fn status_and_code(&self) -> (StatusCode, ErrorCode) {
        use ErrorCode as Code;
        use StatusCode as Status;

        match self {
            Self::NotAllowed { .. } => (Status::METHOD_NOT_ALLOWED, Code::Unsupported),
            Self::PieceRange(_) => (Status::BAD_REQUEST, Code::BlobUploadInvalid),
            Self::ContentLength => (Status::BAD_REQUEST, Code::SizeInvalid),
            Self::ManifestType(_) => (Status::BAD_REQUEST, Code::ManifestInvalid),
            Self::Manifest(InvalidManifest::DigestMismatch(_)) => {
                (Status::BAD_REQUEST, Code::DigestInvalid)
            }
            Self::Manifest(_) => (Status::BAD_REQUEST, Code::ManifestInvalid),
            Self::TooManyTags(_) => (Status::URI_TOO_LONG, Code::ManifestInvalid),
            Self::Mount(error) => match error {
                MountError::Elsewhere(_) | MountError::Prefix(_) => {
                    (Status::NOT_FOUND, Code::Unsupported)
                }
                MountError::ForwardedPrefix => (Status::BAD_REQUEST, Code::Unsupported),
                #[cfg(feature = "axum")]
                MountError::Rewritten => (Status::INTERNAL_SERVER_ERROR, Code::Unknown),
            },
            Self::Request(error) => match error {
                InvalidRequest::UnknownPath(_) => (Status::NOT_FOUND, Code::Unsupported),
                InvalidRequest::Method { .. } => (Status::METHOD_NOT_ALLOWED, Code::Unsupported),
                InvalidRequest::Name(_) => (Status::BAD_REQUEST, Code::NameInvalid),
                InvalidRequest::Digest(_) => (Status::BAD_REQUEST, Code::DigestInvalid),
                InvalidRequest::MissingDigest => (Status::BAD_REQUEST, Code::DigestInvalid),
                InvalidRequest::Tag(_) => (Status::NOT_FOUND, Code::ManifestUnknown),
                InvalidRequest::NewTag(_) => (Status::BAD_REQUEST, Code::ManifestInvalid),
                InvalidRequest::Upload(_) => (Status::NOT_FOUND, Code::BlobUploadUnknown),
                InvalidRequest::ArtifactType(_) => (Status::BAD_REQUEST, Code::Unsupported),
                InvalidRequest::PageSize(_) => (Status::BAD_REQUEST, Code::Unsupported),
            },
            Self::Source(error) => match error {
                SourceError::NotFound(missing) => (
                    Status::NOT_FOUND,
                    match missing {
                        MissingContent::Repository => Code::NameUnknown,
                        MissingContent::Manifest => Code::ManifestUnknown,
                        MissingContent::Blob => Code::BlobUnknown,
                    },
                ),
                SourceError::RangeNotSatisfiable { .. } => {
                    (Status::RANGE_NOT_SATISFIABLE, Code::SizeInvalid)
                }
                SourceError::Denied | SourceError::Immutable => (Status::FORBIDDEN, Code::Denied),
                SourceError::Unsupported => (Status::NOT_FOUND, Code::Unsupported),
                SourceError::Busy { .. } => (Status::SERVICE_UNAVAILABLE, Code::Unavailable),
                SourceError::TooManyRequests { .. } => {
                    (Status::TOO_MANY_REQUESTS, Code::TooManyRequests)
                }
                SourceError::TooLarge { .. } => (Status::PAYLOAD_TOO_LARGE, Code::SizeInvalid),
                SourceError::Full => (Status::INSUFFICIENT_STORAGE, Code::Unknown),
                SourceError::DigestMismatch { .. } => (Status::BAD_REQUEST, Code::DigestInvalid),
                SourceError::OffsetMismatch { .. } => {
                    (Status::RANGE_NOT_SATISFIABLE, Code::BlobUploadInvalid)
                }
                SourceError::SizeMismatch { .. } => (Status::BAD_REQUEST, Code::SizeInvalid),
                SourceError::Superseded => (Status::CONFLICT, Code::BlobUploadInvalid),
                SourceError::UploadUnknown => (Status::NOT_FOUND, Code::BlobUploadUnknown),
                SourceError::MissingReferences(_) => {
                    (Status::BAD_REQUEST, Code::ManifestBlobUnknown)
                }
                SourceError::PreconditionFailed => (Status::PRECONDITION_FAILED, Code::Denied),
                SourceError::Invalid(_) => (Status::BAD_REQUEST, Code::ManifestInvalid),
                SourceError::RequestBody(error) if is_length_limit(&**error) => {
                    (Status::PAYLOAD_TOO_LARGE, Code::SizeInvalid)
                }
                SourceError::RequestBody(_) => (Status::BAD_REQUEST, Code::BlobUploadInvalid),
                SourceError::Upstream(_) => (Status::BAD_GATEWAY, Code::Unknown),
                SourceError::UpstreamTimeout(_) => (Status::GATEWAY_TIMEOUT, Code::Unknown),
                SourceError::Backend(_) => (Status::INTERNAL_SERVER_ERROR, Code::Unknown),
            },
        }
    }

    /// The headers that a failure has besides those of every error.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        let retry = |after: &Option<Duration>| {
            let after = after.unwrap_or_default();
            let rounded_up = after.as_secs() + u64::from(after.subsec_nanos() > 0);
            (header::RETRY_AFTER, rounded_up.max(1).into())
        };
        let allow = |methods: Vec<&str>| (header::ALLOW, ascii_header(&methods.join(", ")));
        match self {
            Self::NotAllowed { allowed, .. } => {
                Some(allow(allowed.iter().map(Method::as_str).collect()))
            }
            Self::Request(InvalidRequest::Method { allowed, .. }) => {
                Some(allow(allowed.all().map(Method::as_str).collect()))
            }
            // protocol 28 and 89
            Self::Source(SourceError::OffsetMismatch { current }) => {
                Some((header::RANGE, uploaded_range(*current)))
            }
            Self::Source(SourceError::RangeNotSatisfiable { size }) => {
                Some((header::CONTENT_RANGE, unsatisfied_range(*size)))
            }
            // protocol 9
            Self::Source(
                SourceError::Busy { retry_after } | SourceError::TooManyRequests { retry_after },
            ) => Some(retry(retry_after)),
            _ => None,
        }
    }

    fn entries(&self, code: ErrorCode) -> Vec<Entry> {
        match self {
            Self::Source(SourceError::MissingReferences(digests)) => {
                let entry = |digest: &Digest| Entry {
                    code,
                    message: format!("the repository does not have {digest}"),
                    detail: Some(Detail { digest: *digest }),
                };
                digests.iter().take(MOST_ERRORS).map(entry).collect()
            }
            error => vec![Entry::new(code, error.to_string())],
        }
    }

    fn response(&self) -> Response<BytesBody> {
        let (status, code) = self.status_and_code();
        let mut response = envelope(status, self.entries(code));
        response.headers_mut().extend(self.header());
        response
    }

    /// The response, with the cause in its extensions if the storage failed.
    pub(crate) fn into_response(self, operation: Operation) -> Response<BytesBody> {
        let mut response = self.response();
        if let Self::Source(
            error @ (SourceError::Backend(_)
            | SourceError::Upstream(_)
            | SourceError::UpstreamTimeout(_)),
        ) = self
        {
            trace::source_failed(operation.as_str(), &error);
            response.extensions_mut().insert(Arc::new(error));
        }
        response.extensions_mut().insert(operation);
        response
    }
}

impl InvalidRequest {
    /// The answer that the service gives to such a request, for a layer that refuses it before.
    pub fn into_response(self) -> Response<BytesBody> {
        Error::Request(self).into_response(Operation::Invalid)
    }
}

/// The most errors in one envelope.
const MOST_ERRORS: usize = 100;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(error) => error.fmt(f),
            Self::Mount(error) => error.fmt(f),
            Self::Source(error) => error.fmt(f),
            Self::NotAllowed { message, .. } => f.write_str(message),
            Self::PieceRange(error) => error.fmt(f),
            Self::ContentLength => f.write_str("the Content-Length is not one number"),
            Self::ManifestType(error) => error.fmt(f),
            Self::Manifest(InvalidManifest::Json(cause)) => {
                write!(f, "the manifest is broken JSON: {cause}")
            }
            Self::Manifest(error) => error.fmt(f),
            Self::TooManyTags(most) => {
                write!(
                    f,
                    "a manifest can be pushed with at most {most} tags at once"
                )
            }
        }
    }
}

/// Whether a length limit, as tower-http's, cut the request's body.
fn is_length_limit(error: &(dyn StdError + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .any(<dyn StdError>::is::<http_body_util::LengthLimitError>)
}

/// An error in the form of the protocol.
// protocol 8
fn envelope(status: StatusCode, errors: Vec<Entry>) -> Response<BytesBody> {
    #[derive(Serialize)]
    struct Envelope {
        errors: Vec<Entry>,
    }

    // Codes, strings and digests can always be written as JSON.
    let json = serde_json::to_vec(&Envelope { errors }).unwrap_or_default();
    let length = json.len();
    let mut response = Response::new(BytesBody::new(json));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    add_common_headers(headers);
    response
}

/// Adds the headers that every response of a registry has.
pub(crate) fn add_common_headers(headers: &mut HeaderMap) {
    // protocol 61
    headers.insert(
        const { HeaderName::from_static("docker-distribution-api-version") },
        const { HeaderValue::from_static("registry/2.0") },
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        const { HeaderValue::from_static("nosniff") },
    );
    // Whoever may push chooses the media type of a manifest. A browser that is led to one runs
    // nothing in it, even where the registry shares its host with a web app.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        const { HeaderValue::from_static("default-src 'none'; sandbox") },
    );
}

#[derive(Serialize)]
struct Entry {
    code: ErrorCode,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Detail>,
}

impl Entry {
    fn new(code: ErrorCode, message: String) -> Self {
        Self {
            code,
            message,
            detail: None,
        }
    }
}

#[derive(Serialize)]
struct Detail {
    digest: Digest,
}
