//! Which challenge is answered.

use http::{Uri, uri::Scheme};

use super::Challenge;
use crate::{client::auth::scope::Scope, text::Excerpt};

/// How a registry wants to be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// With a token, which is had elsewhere.
    Bearer(Bearer),
    /// With user name and password.
    Basic,
}

/// Where a token is had, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The token server: a URI with `http` or `https` and a host, and without user info.
    pub(crate) realm: Uri,
    pub(crate) service: Option<String>,
    pub(crate) scope: Scope,
}

/// No challenge of an answer can be met.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnusableChallenge {
    #[error("the registry does not say how to authenticate")]
    Missing,
    #[error("the registry wants the authentication {0}, which is neither Bearer nor Basic")]
    Scheme(Excerpt),
    #[error("the registry wants a token and does not say from where: no realm in quotes")]
    NoRealm,
    #[error("the registry wants a token from {0}, which is not the URL of a token server")]
    Realm(Excerpt),
}

impl Demand {
    /// The best of `challenges`: Bearer before Basic, and the first Bearer that makes sense.
    ///
    /// Where there is a Bearer challenge, it is never Basic, not even if the former makes no sense:
    /// a password must not go to a registry that has asked for a token.
    // protocol 94
    pub(crate) fn of(challenges: &[Challenge]) -> Result<Self, UnusableChallenge> {
        let bearers = challenges.iter().filter(|it| it.is("Bearer"));
        let mut error = None;
        for bearer in bearers.map(Bearer::of) {
            match bearer {
                Ok(bearer) => return Ok(Self::Bearer(bearer)),
                Err(unusable) => error = error.or(Some(unusable)),
            }
        }
        if let Some(error) = error {
            return Err(error);
        }
        if challenges.iter().any(|it| it.is("Basic")) {
            return Ok(Self::Basic);
        }
        Err(match challenges {
            [] => UnusableChallenge::Missing,
            [first, ..] => UnusableChallenge::Scheme(Excerpt::of(&first.scheme)),
        })
    }
}

impl Bearer {
    // protocol 92
    fn of(challenge: &Challenge) -> Result<Self, UnusableChallenge> {
        let realm = challenge.parameter("realm");
        let realm = realm.ok_or(UnusableChallenge::NoRealm)?;
        let service = challenge.parameter("service");
        Ok(Self {
            realm: token_server(realm).ok_or_else(|| {
                // Without what may be a password.
                let shown = realm.rsplit('@').next().unwrap_or_default();
                UnusableChallenge::Realm(Excerpt::of(shown))
            })?,
            service: service.filter(|it| !it.is_empty()).map(str::to_owned),
            scope: Scope::parse(challenge.parameter("scope").unwrap_or_default()),
        })
    }
}

fn token_server(realm: &str) -> Option<Uri> {
    let uri: Uri = realm.parse().ok()?;
    let scheme = uri.scheme()?;
    let is_http = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
    let authority = uri.authority()?.as_str();
    let is_host = !authority.contains('@') && uri.host().is_some_and(|host| !host.is_empty());
    (is_http && is_host).then_some(uri)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::{super::tests::parsed, *};

    fn demand(headers: &[&str]) -> Result<Demand, UnusableChallenge> {
        Demand::of(&parsed(headers))
    }

    fn bearer(realm: &'static str, service: Option<&str>, scope: &str) -> Demand {
        Demand::Bearer(Bearer {
            realm: Uri::from_static(realm),
            service: service.map(str::to_owned),
            scope: Scope::parse(scope),
        })
    }

    #[test]
    fn what_registries_send_is_understood() {
        for (who, header, expected) in [
            (
                "Docker Hub",
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull""#,
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    "repository:library/alpine:pull",
                ),
            ),
            (
                "ghcr, of the root of its API",
                r#"Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull""#,
                bearer(
                    "https://ghcr.io/token",
                    Some("ghcr.io"),
                    "repository:user/image:pull",
                ),
            ),
            (
                "quay, without a scope",
                r#"Bearer realm="https://quay.io/v2/auth",service="quay.io""#,
                bearer("https://quay.io/v2/auth", Some("quay.io"), ""),
            ),
            (
                "GitLab, with an error",
                r#"Bearer realm="https://gitlab.com/jwt/auth",service="container_registry",scope="repository:group/project:pull",error="invalid_token""#,
                bearer(
                    "https://gitlab.com/jwt/auth",
                    Some("container_registry"),
                    "repository:group/project:pull",
                ),
            ),
            (
                "Harbor",
                r#"Bearer realm="https://harbor.example/service/token",service="harbor-registry",scope="repository:library/app:pull,push""#,
                bearer(
                    "https://harbor.example/service/token",
                    Some("harbor-registry"),
                    "repository:library/app:pull,push",
                ),
            ),
            (
                "ECR",
                r#"Basic realm="https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/",service="ecr.amazonaws.com""#,
                Demand::Basic,
            ),
            (
                "ACR",
                r#"Bearer realm="https://myregistry.azurecr.io/oauth2/token",service="myregistry.azurecr.io",scope="repository:app:metadata_read,pull""#,
                bearer(
                    "https://myregistry.azurecr.io/oauth2/token",
                    Some("myregistry.azurecr.io"),
                    "repository:app:pull,metadata_read",
                ),
            ),
            (
                "Google's Artifact Registry",
                r#"Bearer realm="https://europe-docker.pkg.dev/v2/token",service="europe-docker.pkg.dev",scope="repository:project/repo/image:pull""#,
                bearer(
                    "https://europe-docker.pkg.dev/v2/token",
                    Some("europe-docker.pkg.dev"),
                    "repository:project/repo/image:pull",
                ),
            ),
            (
                "distribution, when a token is not enough",
                r#"Bearer realm="http://localhost:5001/auth",service="Docker registry",scope="repository:a/b:pull,push",error="insufficient_scope""#,
                bearer(
                    "http://localhost:5001/auth",
                    Some("Docker registry"),
                    "repository:a/b:pull,push",
                ),
            ),
            (
                "distribution, when a blob is mounted",
                r#"Bearer realm="https://a.example/token",service="a",scope="repository:to:pull,push repository:from:pull""#,
                bearer(
                    "https://a.example/token",
                    Some("a"),
                    "repository:from:pull repository:to:pull,push",
                ),
            ),
            (
                "distribution, of the catalog",
                r#"Bearer realm="https://a.example/token",service="a",scope="registry:catalog:*""#,
                bearer("https://a.example/token", Some("a"), "registry:catalog:*"),
            ),
            (
                "distribution with htpasswd",
                r#"Basic realm="Registry Realm""#,
                Demand::Basic,
            ),
            (
                "zot, with Bearer",
                r#"Bearer realm="https://zot.example/zot/auth/token",service="zot.example",scope="""#,
                bearer(
                    "https://zot.example/zot/auth/token",
                    Some("zot.example"),
                    "",
                ),
            ),
            (
                "zot, with htpasswd",
                r#"Basic realm="Authorization Required""#,
                Demand::Basic,
            ),
            (
                "a realm with a query",
                r#"Bearer realm="https://a.example/token?tenant=1",service="""#,
                bearer("https://a.example/token?tenant=1", None, ""),
            ),
        ] {
            assert_eq!(demand(&[header]), Ok(expected), "{who}");
        }
    }

    #[test]
    fn bearer_comes_before_basic() {
        const BASIC: &str = r#"Basic realm="a""#;
        const BEARER: &str = r#"Bearer realm="https://a.example/t""#;
        let expected = Ok(bearer("https://a.example/t", None, ""));
        assert_eq!(demand(&[BASIC, BEARER]), expected);
        assert_eq!(demand(&[BEARER, BASIC]), expected);
        assert_eq!(demand(&[&format!("{BASIC}, {BEARER}")]), expected);
        assert_eq!(
            demand(&[&format!("Negotiate, {BEARER}, {BASIC}")]),
            expected
        );
        assert_eq!(demand(&["Negotiate", BASIC]), Ok(Demand::Basic));
        // The first that makes sense.
        let other = r#"Bearer realm="https://b.example/t""#;
        assert_eq!(demand(&["Bearer", BEARER, other]), expected);
    }

    #[test]
    fn a_bearer_challenge_that_makes_no_sense_is_never_answered_with_a_password() {
        // protocol 94
        let basic = r#"Basic realm="a""#;
        for header in [
            "Bearer",
            "Bearer abc",
            "Bearer service=a",
            "Bearer realm=https://a.example/t",
            r#"Bearer realm="https://a.example/t"#,
            "Bearer @",
        ] {
            assert_eq!(
                demand(&[basic, header]),
                Err(UnusableChallenge::NoRealm),
                "{header}"
            );
        }
        for realm in [
            "",
            "/token",
            "a.example",
            "//a.example/token",
            "ftp://a.example/token",
            "https:///token",
            "https://a.example/to ken",
            "https://user:sesame@a.example/token",
        ] {
            let error = demand(&[basic, &format!("Bearer realm=\"{realm}\"")]).unwrap_err();
            assert!(matches!(error, UnusableChallenge::Realm(_)), "{realm}");
            assert!(!error.to_string().contains("sesame"));
        }
    }

    #[test]
    fn what_cannot_be_answered_is_an_error() {
        assert_eq!(demand(&[]), Err(UnusableChallenge::Missing));
        assert_eq!(demand(&["@"]), Err(UnusableChallenge::Missing));
        let error = demand(&["Negotiate", "NTLM"]).unwrap_err();
        assert!(error.to_string().contains("\"Negotiate\""), "{error}");
    }
}
