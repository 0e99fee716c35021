//! Where a registry is, and where its links lead.

use std::{fmt, str::FromStr};

use http::{
    Uri,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};

use crate::{request::OciRequest, text::Excerpt};

/// The place of a registry: `https://registry.example:5000`, with a path before `/v2` where it has
/// one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryUrl {
    scheme: Scheme,
    authority: Authority,
    /// Empty, or with a slash at its beginning and none at its end.
    base: String,
}

impl RegistryUrl {
    /// The host, with the port where one is given.
    pub fn host(&self) -> &str {
        self.authority.as_str()
    }

    /// Whether requests go over plain HTTP.
    pub fn is_plain_http(&self) -> bool {
        self.scheme == Scheme::HTTP
    }

    /// The URI of the root of the API.
    pub(crate) fn root(&self) -> Uri {
        self.uri("/")
    }

    /// The URI that `request` is sent to.
    pub(crate) fn uri_of(&self, request: &OciRequest) -> Uri {
        self.uri(&request.path_and_query())
    }

    /// The URI of a path below `/v2`, as the protocol's requests write them.
    pub(crate) fn uri(&self, path_and_query: &str) -> Uri {
        let path = format!("{}/v2{path_and_query}", self.base);
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        // The base was parsed, and requests write nothing but encoded text.
        parts.path_and_query = PathAndQuery::try_from(path).ok();
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl FromStr for RegistryUrl {
    type Err = InvalidRegistryUrl;

    fn from_str(text: &str) -> Result<Self, InvalidRegistryUrl> {
        let invalid = || InvalidRegistryUrl(Excerpt::of(without_user(text)));
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let Parts {
            scheme,
            authority,
            path_and_query,
            ..
        } = uri.into_parts();
        let scheme = scheme.filter(|it| *it == Scheme::HTTP || *it == Scheme::HTTPS);
        // Credentials have their own place.
        let authority = authority.filter(|it| !it.as_str().contains('@'));
        let path = path_and_query.filter(|it| it.query().is_none());
        match (scheme, authority, path) {
            (Some(scheme), Some(authority), Some(path)) => Ok(Self {
                scheme,
                authority,
                base: path.path().trim_end_matches('/').to_owned(),
            }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for RegistryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.base)
    }
}

fn without_user(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(_, host)| host)
}

/// The text is no [`RegistryUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not the URL of a registry: http:// or https://, a host and maybe a path")]
pub struct InvalidRegistryUrl(Excerpt);

/// Whether two URIs have the same scheme, host and port: whoever is trusted with a secret at one is
/// at the other.
// RFC 6454 §4
pub(crate) fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    let port = |uri: &Uri| match uri.port_u16() {
        None if uri.scheme() == Some(&Scheme::HTTPS) => Some(443),
        None if uri.scheme() == Some(&Scheme::HTTP) => Some(80),
        port => port,
    };
    let host = |uri: &Uri| uri.host().unwrap_or_default().to_ascii_lowercase();
    one.scheme() == other.scheme() && host(one) == host(other) && port(one) == port(other)
}

/// What `reference` means in an answer from `base`; nothing if it means nothing.
// RFC 3986 §5.2
pub(crate) fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    // A fragment is for browsers.
    let reference = reference.split('#').next().unwrap_or_default();
    let scheme = base.scheme_str()?;
    let authority = base.authority()?;
    let absolute = if reference.contains("://") && !reference.starts_with(['/', '?']) {
        reference.to_owned()
    } else if reference.starts_with("//") {
        format!("{scheme}:{reference}")
    } else if reference.starts_with('/') {
        format!("{scheme}://{authority}{reference}")
    } else if reference.is_empty() || reference.starts_with('?') {
        let path = base.path();
        format!("{scheme}://{authority}{path}{reference}")
    } else {
        let (folder, _) = base.path().rsplit_once('/').unwrap_or_default();
        format!("{scheme}://{authority}{folder}/{reference}")
    };
    let uri: Uri = absolute.parse().ok()?;
    let (path, query) = (uri.path(), uri.query());
    let path = without_dots(path);
    let path_and_query = match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = uri.into_parts();
    parts.authority.as_ref()?;
    parts.path_and_query = Some(path_and_query.try_into().ok()?);
    Uri::from_parts(parts).ok()
}

/// A path without `.` and `..`.
// RFC 3986 §5.2.4
fn without_dots(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut ends_with_slash = true;
    for segment in path.split('/').skip(1) {
        ends_with_slash = matches!(segment, "" | "." | "..");
        match segment {
            "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let joined = segments.join("/");
    let slash = if ends_with_slash && !joined.ends_with('/') && !joined.is_empty() {
        "/"
    } else {
        ""
    };
    format!("/{joined}{slash}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    #[test]
    fn references_are_resolved_as_in_rfc_3986() {
        let base: Uri = "https://a.example:1/v2/b/c/uploads/d?e=f".parse().unwrap();
        for (reference, expected) in [
            ("https://x.example/y?z", "https://x.example/y?z"),
            ("//x.example/y", "https://x.example/y"),
            ("/v2/x/y?z=1", "https://a.example:1/v2/x/y?z=1"),
            ("?last=1", "https://a.example:1/v2/b/c/uploads/d?last=1"),
            ("x", "https://a.example:1/v2/b/c/uploads/x"),
            ("./x?y", "https://a.example:1/v2/b/c/uploads/x?y"),
            ("../x/", "https://a.example:1/v2/b/c/x/"),
            ("../../../../../../x", "https://a.example:1/x"),
            ("/", "https://a.example:1/"),
            ("/a/b/..", "https://a.example:1/a/"),
        ] {
            let resolved = resolve(&base, reference).map(|uri| uri.to_string());
            assert_eq!(resolved.as_deref(), Some(expected), "{reference}");
        }
        assert_eq!(resolve(&base, "http://"), None);
    }

    #[test]
    fn a_registry_has_a_scheme_a_host_and_maybe_a_path() {
        let url: RegistryUrl = "https://a.example:5000/b/".parse().unwrap();
        assert_eq!(url.root(), "https://a.example:5000/b/v2/");
        assert_eq!(url.to_string(), "https://a.example:5000/b");
        for text in [
            "a.example",
            "ftp://a",
            "https://u:p@a",
            "https://a?b",
            "/v2/",
            "",
        ] {
            let error = text.parse::<RegistryUrl>().unwrap_err().to_string();
            assert!(!error.contains("u:p"), "{error}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let uri = |text: &str| text.parse::<Uri>().unwrap();
        let here = uri("https://a.example/x");
        assert!(is_same_origin(&here, &uri("https://A.example:443/y")));
        for other in [
            "http://a.example/",
            "https://a.example:444/",
            "https://b.example/",
        ] {
            assert!(!is_same_origin(&here, &uri(other)), "{other}");
        }
    }
}
