//! What goes wrong between a client and a registry.

use std::{fmt, time::Duration};

use http::{Method, StatusCode, Uri};
use serde::Deserialize;

use crate::{
    body::BoxError, digest::Digest, http::query::decode, manifest::InvalidManifest,
    source::SourceError,
};

/// A request that did not succeed: what was asked, and why there is no answer to it.
///
/// Its text has no secret of the client's: user names and the values of a query are left out of the
/// URI, except `scope` and `service`. What the service that sends requests says of a broken connection
/// is shown as it says it.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct ClientError(Box<Failure>);

#[derive(Debug, thiserror::Error)]
#[error("{method} {uri}: {kind}")]
struct Failure {
    method: Method,
    uri: String,
    #[source]
    kind: ClientErrorKind,
}

/// Why a request did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientErrorKind {
    /// The registry answered with another status than one of success.
    #[error(transparent)]
    Status(#[from] StatusError),
    /// The registry could not be reached, or the connection broke.
    #[error("the connection failed: {}", crate::text::with_causes(&**.0))]
    Connection(#[source] BoxError),
    /// The caller's deadline has passed.
    #[error("the deadline has passed")]
    Deadline,
    /// The registry's answer breaks the protocol.
    #[error("the registry's answer makes no sense: {0}")]
    Protocol(String),
    /// The registry sent other content than was asked for.
    #[error("the registry sent content that does not have the digest {0}")]
    DigestMismatch(Digest),
    /// The answer is larger than the client takes.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(u64),
    /// The registry sent a manifest that is none.
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    /// Credentials could not be had, or could not be sent where the registry wants them.
    #[error("no credentials: {0}")]
    Credentials(#[source] BoxError),
    /// What was to be pushed could not be read.
    #[error("what is to be pushed cannot be read: {0}")]
    Content(#[source] SourceError),
}

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StatusError {
    /// The status.
    pub status: StatusCode,
    /// What the registry says is wrong, at most ten errors.
    pub errors: Vec<RegistryError>,
    /// The beginning of an answer that is not in the protocol's form, at most 2 KiB.
    pub body: String,
    /// When the registry wants to be asked again.
    pub retry_after: Option<Duration>,
}

/// One error in the protocol's envelope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct RegistryError {
    /// The code: `MANIFEST_UNKNOWN`. Registries also send codes of their own.
    pub code: String,
    /// What the registry says about it, at most 512 characters.
    pub message: String,
}

impl StatusError {
    /// How much of an answer is read to find out what is wrong.
    pub(super) const MOST_READ: usize = 64 << 10;
    const MOST_ERRORS: usize = 10;
    const LONGEST_MESSAGE: usize = 512;
    const LONGEST_BODY: usize = 2 << 10;

    pub(super) fn new(status: StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        #[derive(Deserialize)]
        struct Envelope {
            errors: Vec<serde_json::Value>,
        }

        let mut error = Self {
            status,
            errors: Vec::new(),
            body: String::new(),
            retry_after,
        };
        match serde_json::from_slice(body) {
            Ok(Envelope { errors }) => {
                let errors = errors.into_iter().take(Self::MOST_ERRORS);
                let errors = errors.filter_map(|error| serde_json::from_value(error).ok());
                error.errors = errors
                    .map(|RegistryError { code, message }| RegistryError {
                        code: shown(&code, Self::LONGEST_MESSAGE),
                        message: shown(&message, Self::LONGEST_MESSAGE),
                    })
                    .collect();
            }
            Err(_) => error.body = shown(&String::from_utf8_lossy(body), Self::LONGEST_BODY),
        }
        error
    }

    /// Whether the same request may succeed later.
    pub(super) fn is_temporary(&self) -> bool {
        match self.status.as_u16() {
            408 | 425 | 429 | 499 => true,
            501 | 505 | 511 => false,
            status => (500..600).contains(&status),
        }
    }
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        for RegistryError { code, message } in &self.errors {
            write!(f, ": {code}: {message}")?;
        }
        if !self.body.is_empty() {
            write!(f, ": {}", self.body)?;
        }
        Ok(())
    }
}

impl std::error::Error for StatusError {}

/// At most `longest` bytes of `text`, in which nothing moves the cursor of a terminal.
fn shown(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for character in text.chars() {
        if shown.len() + character.len_utf8() > longest {
            break;
        }
        shown.push(if character.is_control() {
            ' '
        } else {
            character
        });
    }
    shown
}

impl ClientError {
    pub(super) fn new(method: &Method, uri: &Uri, kind: impl Into<ClientErrorKind>) -> Self {
        Self(Box::new(Failure {
            method: method.clone(),
            uri: redacted(uri),
            kind: kind.into(),
        }))
    }

    /// Why the request did not succeed.
    pub fn kind(&self) -> &ClientErrorKind {
        &self.0.kind
    }

    /// The status of the answer, if there was one that said so.
    pub fn status(&self) -> Option<StatusCode> {
        match &self.0.kind {
            ClientErrorKind::Status(error) => Some(error.status),
            _ => None,
        }
    }

    /// The method of the request.
    pub fn method(&self) -> &Method {
        &self.0.method
    }

    /// Where the request went, without secrets.
    pub fn uri(&self) -> &str {
        &self.0.uri
    }

    /// Whether the registry says that it does not have what was asked for.
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(StatusCode::NOT_FOUND)
    }

    /// Whether the same request may succeed later. A certificate that was refused will be refused
    /// again.
    pub fn is_temporary(&self) -> bool {
        match &self.0.kind {
            ClientErrorKind::Status(error) => error.is_temporary(),
            #[cfg(feature = "network")]
            ClientErrorKind::Connection(error) => !super::network::is_refusal(&**error),
            #[cfg(not(feature = "network"))]
            ClientErrorKind::Connection(_) => true,
            _ => false,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match &self.0.kind {
            ClientErrorKind::Status(error) => error.retry_after,
            _ => None,
        }
    }
}

/// A URI without user, and without the values of its query but `scope` and `service`.
pub(super) fn redacted(uri: &Uri) -> String {
    let mut text = String::new();
    if let Some(scheme) = uri.scheme_str() {
        text.push_str(scheme);
        text.push_str("://");
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    text.push_str(authority.rsplit('@').next().unwrap_or_default());
    text.push_str(uri.path());
    let Some(query) = uri.query() else {
        return text;
    };
    let mut mark = '?';
    for pair in query.split('&') {
        // What has no value may be a secret itself.
        let (name, value) = pair.split_once('=').unwrap_or(("…", ""));
        let value = match &*decode(name) {
            "scope" | "service" => value,
            _ => "…",
        };
        text.push(mark);
        text.push_str(name);
        text.push('=');
        text.push_str(value);
        mark = '&';
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_shown_without_secrets() {
        let uri = "https://user:secret@a.example/t?service=s&scope=x&token=secret&n"
            .parse()
            .unwrap();
        let shown = redacted(&uri);
        assert_eq!(shown, "https://a.example/t?service=s&scope=x&token=…&…=…");
    }

    #[test]
    fn an_error_keeps_a_bounded_part_of_what_the_registry_says() {
        let entry = r#"{"code":"DENIED","message":"no\u001b[2J"}"#;
        let body = format!(
            r#"{{"errors":[{}{entry}]}}"#,
            format!("{entry},").repeat(1_000)
        );
        let error = StatusError::new(StatusCode::FORBIDDEN, body.as_bytes(), None);
        assert_eq!(
            (error.errors.len(), error.errors[0].message.as_str()),
            (10, "no [2J")
        );
        let error = StatusError::new(StatusCode::BAD_GATEWAY, "é".repeat(9_000).as_bytes(), None);
        assert_eq!(error.body.len(), 2048);
    }
}
