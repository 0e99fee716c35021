//! Who a client is.

use std::{fmt, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::future::BoxFuture;
use http::HeaderValue;

use crate::{body::BoxError, name::RepositoryName};

/// Who a client is, to one registry.
///
/// Its `Debug` form shows no secret.
///
/// ```
/// # use tower_oci::client::Credentials;
/// let credentials = Credentials::basic("alice", "open sesame");
/// assert!(!format!("{credentials:?}").contains("sesame"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// Nobody in particular. Most registries give tokens for public repositories to everybody.
    #[default]
    Anonymous,
    /// A user name and a password, or an access token in its place. They are sent to the registry
    /// if it asks for them, or to its token server.
    Basic {
        /// The user name, which has no colon.
        username: String,
        /// The password.
        password: String,
    },
    /// A refresh token, which is sent to the registry's token server and to nobody else: what Docker
    /// calls an identity token.
    IdentityToken(String),
    /// A token that the registry itself takes, as it is. It is not renewed.
    RegistryToken(String),
}

impl Credentials {
    /// A user name and a password.
    pub fn basic(username: impl Into<String>, password: impl Into<String>) -> Self {
        Self::Basic {
            username: username.into(),
            password: password.into(),
        }
    }

    /// The `Authorization` that answers a Basic challenge; nothing without user name and password.
    // RFC 7617 §2
    pub(crate) fn basic_authorization(&self) -> Option<HeaderValue> {
        let Self::Basic { username, password } = self else {
            return None;
        };
        let encoded = STANDARD.encode(format!("{username}:{password}"));
        secret_header(&format!("Basic {encoded}"))
    }
}

/// A header whose value is never shown; nothing if headers cannot have that value.
pub(super) fn secret_header(value: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(value).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SECRET: fmt::Arguments<'_> = format_args!("…");
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { username, .. } => f
                .debug_struct("Basic")
                .field("username", username)
                .field("password", &SECRET)
                .finish(),
            Self::IdentityToken(_) => f.debug_tuple("IdentityToken").field(&SECRET).finish(),
            Self::RegistryToken(_) => f.debug_tuple("RegistryToken").field(&SECRET).finish(),
        }
    }
}

/// Where a client gets its [`Credentials`] from.
///
/// [`Credentials`] are a source themselves: they are the same everywhere. So is a
/// [`DockerConfig`](super::DockerConfig). A source of one's own may look where it likes:
///
/// ```
/// use tower_oci::{
///     BoxError, RepositoryName,
///     client::{CredentialSource, Credentials, DockerConfig},
/// };
///
/// /// The Docker configuration, read again each time: a login is seen at once.
/// #[derive(Debug)]
/// struct Fresh;
///
/// impl CredentialSource for Fresh {
///     fn credentials<'a>(
///         &'a self,
///         registry: &'a str,
///         repository: Option<&'a RepositoryName>,
///     ) -> futures_util::future::BoxFuture<'a, Result<Credentials, BoxError>> {
///         Box::pin(async move {
///             DockerConfig::load()
///                 .await?
///                 .credentials(registry, repository)
///                 .await
///         })
///     }
/// }
/// ```
pub trait CredentialSource: Send + Sync + 'static {
    /// The credentials for a registry, which is named by its host and, where its URL has one, its
    /// port: `registry.example:5000`. If they are for one repository, it is named too: a source may
    /// have others for it.
    ///
    /// A client asks when a registry demands credentials, once for each token or password that it
    /// needs, and not for every request that it has one for. Where the source has nothing that answers
    /// the demand, it is asked again with the next request. It keeps no credentials that it is not
    /// using.
    ///
    /// # Errors
    ///
    /// The credentials could not be looked up: the request fails with the error. That there are none
    /// is not an error but [`Credentials::Anonymous`]. The error is shown to users, so it has no
    /// secret in its text.
    fn credentials<'a>(
        &'a self,
        registry: &'a str,
        repository: Option<&'a RepositoryName>,
    ) -> BoxFuture<'a, Result<Credentials, BoxError>>;
}

impl CredentialSource for Credentials {
    fn credentials<'a>(
        &'a self,
        _registry: &'a str,
        _repository: Option<&'a RepositoryName>,
    ) -> BoxFuture<'a, Result<Credentials, BoxError>> {
        Box::pin(async move { Ok(self.clone()) })
    }
}

impl<S: CredentialSource + ?Sized> CredentialSource for Arc<S> {
    fn credentials<'a>(
        &'a self,
        registry: &'a str,
        repository: Option<&'a RepositoryName>,
    ) -> BoxFuture<'a, Result<Credentials, BoxError>> {
        (**self).credentials(registry, repository)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    #[test]
    fn debug_shows_who_but_no_secret() {
        for (credentials, expected) in [
            (Credentials::Anonymous, "Anonymous"),
            (
                Credentials::basic("alice", "sesame"),
                r#"Basic { username: "alice", password: … }"#,
            ),
            (
                Credentials::IdentityToken("sesame".to_owned()),
                "IdentityToken(…)",
            ),
            (
                Credentials::RegistryToken("sesame".to_owned()),
                "RegistryToken(…)",
            ),
        ] {
            assert_eq!(format!("{credentials:?}"), expected);
        }
    }

    #[test]
    fn basic_authorization_is_that_of_rfc_7617() {
        let header = |user, password| {
            let header = Credentials::basic(user, password).basic_authorization();
            header.unwrap()
        };
        assert_eq!(
            header("Aladdin", "open sesame"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert_eq!(header("test", "123\u{a3}"), "Basic dGVzdDoxMjPCow==");
        assert_eq!(header("", ""), "Basic Og==");
        assert!(header("a", "b\r\nX: y").is_sensitive());
    }

    #[test]
    fn what_is_no_password_does_not_answer_basic() {
        for credentials in [
            Credentials::Anonymous,
            Credentials::IdentityToken("token".to_owned()),
            Credentials::RegistryToken("token".to_owned()),
        ] {
            assert_eq!(credentials.basic_authorization(), None);
        }
    }
}
