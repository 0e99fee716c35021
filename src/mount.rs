//! Where the service is mounted: which part of the path is ours, and what links begin with.

use std::{borrow::Cow, sync::Arc};

use http::{Request, Uri, request::Parts};

use crate::{
    request::{InvalidRequest, OciRequest},
    text::Excerpt,
};

/// The root of the API in a server without any prefix.
const API_ROOT: &str = "/v2";

/// The longest prefix, in bytes: a path is a URI, and [`Uri`] has no longer ones.
const LONGEST_PREFIX: usize = u16::MAX as usize - 1;

/// Where the registry is mounted.
///
/// Clients break on wrong links, so the service has to know the path that a client sees. It takes
/// it from the first of these that is there:
///
/// 1. a `Mount` among the extensions of the request;
/// 2. the service itself:
///    [`nested_at`](crate::OciRegistryService::nested_at),
///    [`served_at`](crate::OciRegistryService::served_at);
/// 3. axum 0.8, with the feature `axum`: `nest`, `nest_service`, `route_service` and
///    `fallback_service` need nothing, at any depth and with any captures;
/// 4. else the path is taken as it stands, and begins with `/v2`.
///
/// Not every way to mount leads all of the API to the service. Many clients begin with `/v2/`, some
/// with `/v2`:
///
/// | axum | reaches the service |
/// |---|---|
/// | `nest_service("/v2", registry)`, `fallback_service(registry)` | everything |
/// | `nest_service("/v2/", registry)` | all but `/v2` |
/// | `nest("/v2", Router::new().fallback_service(registry))` | all but `/v2/` |
/// | `route_service("/v2/{*rest}", registry)` | all but `/v2/` and `/v2` |
///
/// Links are always path-absolute: `/registry/v2/…`, never with a scheme and a host, which are
/// wrong behind a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    prefix: Arc<str>,
    path: ArrivingPath,
}

/// What is left of the path where the service sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ArrivingPath {
    /// The prefix was taken away.
    Stripped,
    /// The prefix is still there.
    Whole,
}

impl Mount {
    /// The service gets whole paths, which begin with `prefix`: `/registry/v2`.
    ///
    /// # Errors
    ///
    /// [`InvalidMount`] if that is not an absolute path of visible ASCII characters.
    pub fn served_at(prefix: &str) -> Result<Self, InvalidMount> {
        Self::new(prefix, ArrivingPath::Whole)
    }

    /// The service gets paths from which `prefix` was taken away: what a client sees as
    /// `/registry/v2/demo/tags/list` arrives as `/demo/tags/list`.
    ///
    /// # Errors
    ///
    /// [`InvalidMount`] if that is not an absolute path of visible ASCII characters.
    pub fn nested_at(prefix: &str) -> Result<Self, InvalidMount> {
        Self::new(prefix, ArrivingPath::Stripped)
    }

    fn new(prefix: &str, path: ArrivingPath) -> Result<Self, InvalidMount> {
        let trimmed = prefix.trim_end_matches('/');
        if !is_prefix(trimmed) {
            return Err(InvalidMount(Excerpt::of(prefix)));
        }
        Ok(Self {
            prefix: trimmed.into(),
            path,
        })
    }

    /// The path before the name of a repository, as a client sees it: `/registry/v2`.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Parses a request as a client sent it, for a layer that decides about access.
    ///
    /// The layer stands around the router that the service is nested in, where paths are whole. With
    /// the feature `axum` it may stand inside as well: axum keeps the path that the client sent.
    /// [`Access`](crate::Access) shows a whole layer.
    ///
    /// ```
    /// # use tower_oci::Mount;
    /// let mount = Mount::nested_at("/registry/v2")?;
    /// let request = http::Request::get("/registry/v2/demo/tags/list").body(())?;
    /// let access = mount.parse(&request)?.required_access();
    /// assert_eq!(access.map(|access| access.to_string()).as_deref(), Some("repository:demo:pull"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`InvalidRequest`]: the path is not below the mount, or the request is none of the
    /// protocol's. Refuse it, with [`InvalidRequest::into_response`]. Do not hand it on unchecked:
    /// if the mount is a mistake, or a layer in between trims a slash from the path, the service may
    /// find more in it.
    pub fn parse<B>(&self, request: &Request<B>) -> Result<OciRequest, InvalidRequest> {
        let uri = original_uri(request);
        let unknown = || InvalidRequest::UnknownPath(Excerpt::of(uri.path()));
        let path = below(uri.path(), &self.prefix).ok_or_else(unknown)?;
        OciRequest::parse(request.method(), path, uri.query().unwrap_or_default())
    }
}

#[cfg(feature = "axum")]
fn original_uri<B>(request: &Request<B>) -> &Uri {
    let original = request.extensions().get::<axum::extract::OriginalUri>();
    original.map_or(request.uri(), |original| &original.0)
}

#[cfg(not(feature = "axum"))]
fn original_uri<B>(request: &Request<B>) -> &Uri {
    request.uri()
}

impl Default for Mount {
    /// Whole paths that begin with `/v2`.
    fn default() -> Self {
        Self {
            prefix: API_ROOT.into(),
            path: ArrivingPath::Whole,
        }
    }
}

/// A prefix is not one that links can begin with.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not an absolute path to mount at: as /registry/v2, of visible ASCII characters")]
pub struct InvalidMount(Excerpt);

/// Why a request has no place in the registry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MountError {
    #[error("the path is not below {0:?}, where this registry is")]
    Elsewhere(String),
    #[error("the registry cannot be at {0}")]
    Prefix(Excerpt),
    #[error("X-Forwarded-Prefix is not one absolute path of visible ASCII characters")]
    ForwardedPrefix,
    #[cfg(feature = "axum")]
    #[error("the registry cannot tell where it is mounted")]
    Rewritten,
}

/// Where one request arrived.
#[derive(Debug)]
pub(crate) struct Location<'a> {
    /// What links begin with: empty, or a path without a slash at its end.
    prefix: Cow<'a, str>,
    /// The path after the root of the API.
    pub(crate) path: &'a str,
}

impl<'a> Location<'a> {
    /// Finds out where `parts` arrived, at a service that was told `mount`.
    pub(crate) fn of(
        parts: &'a Parts,
        mount: Option<&'a Mount>,
        trust_forwarded_prefix: bool,
    ) -> Result<Self, MountError> {
        let mut location = match parts.extensions.get::<Mount>().or(mount) {
            Some(mount) => Self::at(mount, parts.uri.path())?,
            None => Self::derived(parts)?,
        };
        if trust_forwarded_prefix {
            let forwarded = forwarded_prefix(parts)?;
            if !forwarded.is_empty() {
                location.prefix = checked(format!("{forwarded}{}", location.prefix))?;
            }
        }
        Ok(location)
    }

    fn at(mount: &'a Mount, path: &'a str) -> Result<Self, MountError> {
        let prefix = mount.prefix();
        let path = match mount.path {
            ArrivingPath::Stripped => path,
            ArrivingPath::Whole => {
                below(path, prefix).ok_or_else(|| MountError::Elsewhere(prefix.to_owned()))?
            }
        };
        Ok(Self {
            prefix: prefix.into(),
            path,
        })
    }

    /// A path whose beginning `outer` was taken away, and that has to begin with `/v2` itself.
    fn below_outer(outer: &'a str, path: &'a str) -> Result<Self, MountError> {
        let elsewhere = || MountError::Elsewhere(format!("{outer}{API_ROOT}"));
        let path = below(path, API_ROOT).ok_or_else(elsewhere)?;
        let prefix = match outer {
            "" => API_ROOT.into(),
            outer => checked(format!("{outer}{API_ROOT}"))?,
        };
        Ok(Self { prefix, path })
    }

    #[cfg(not(feature = "axum"))]
    fn derived(parts: &'a Parts) -> Result<Self, MountError> {
        Self::below_outer("", parts.uri.path())
    }

    #[cfg(feature = "axum")]
    fn derived(parts: &'a Parts) -> Result<Self, MountError> {
        use axum::extract::{NestedPath, OriginalUri};

        let arrived = parts.uri.path();
        let Some(OriginalUri(original)) = parts.extensions.get::<OriginalUri>() else {
            return Self::below_outer("", arrived);
        };
        // Whether the root of the API was taken away too is read from the pattern, never from the
        // path: a tenant or a repository may be called `v2`.
        let pattern = parts.extensions.get::<NestedPath>();
        let pattern = pattern.map_or("", NestedPath::as_str);
        let has_root = pattern.trim_end_matches('/').ends_with(API_ROOT);
        let outer = taken_away(original.path(), arrived)
            .filter(|outer| !has_root || outer.ends_with(API_ROOT))
            .ok_or_else(|| {
                crate::trace::mount_rewritten(original.path(), arrived);
                MountError::Rewritten
            })?;
        if has_root {
            Ok(Self {
                prefix: checked(outer)?,
                path: arrived,
            })
        } else {
            Self::below_outer(outer, arrived)
        }
    }

    /// The link to `request`, as a client has to ask for it.
    pub(crate) fn link_to(&self, request: &OciRequest) -> String {
        format!("{}{}", self.prefix, request.path_and_query())
    }
}

/// What routers took away from the beginning of `original` before the rest `arrived`; nothing if
/// something else rewrote the path.
#[cfg(feature = "axum")]
fn taken_away<'a>(original: &'a str, arrived: &str) -> Option<&'a str> {
    let original = original.trim_end_matches('/');
    original.strip_suffix(arrived.trim_end_matches('/'))
}

/// The rest of `path` below `prefix`: empty, or with a slash at its beginning.
fn below<'a>(path: &'a str, prefix: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// A prefix that a request has led to, if links can begin with it.
fn checked<'a>(prefix: impl Into<Cow<'a, str>>) -> Result<Cow<'a, str>, MountError> {
    let prefix = prefix.into();
    match is_prefix(&prefix) {
        true => Ok(prefix),
        false => Err(MountError::Prefix(Excerpt::of(&prefix))),
    }
}

/// What a proxy took away, from `X-Forwarded-Prefix`.
///
/// A list of prefixes, from a chain of proxies, is refused: they do not agree on whether a client
/// sees the first, the last or all of them, and a guess makes wrong links.
fn forwarded_prefix(parts: &Parts) -> Result<&str, MountError> {
    let mut prefixes = parts.headers.get_all("x-forwarded-prefix").iter();
    let prefix = match (prefixes.next(), prefixes.next()) {
        (None, _) => return Ok(""),
        (Some(prefix), None) => prefix.to_str().map_err(|_| MountError::ForwardedPrefix)?,
        _ => return Err(MountError::ForwardedPrefix),
    };
    let prefix = prefix.trim_end_matches('/');
    if is_prefix(prefix) && !prefix.contains(',') {
        Ok(prefix)
    } else {
        Err(MountError::ForwardedPrefix)
    }
}

/// Whether links can begin with `prefix`: nothing, or an absolute path.
///
/// `//host` would send clients to another host, and control characters, quotes and angle brackets
/// would break the headers that links stand in.
fn is_prefix(prefix: &str) -> bool {
    let is_path_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte);
    let is_dots = |segment: &str| segment == "." || segment == "..";
    prefix.is_empty()
        || (prefix.starts_with('/')
            && !prefix.starts_with("//")
            && prefix.bytes().all(is_path_byte)
            && prefix.len() <= LONGEST_PREFIX
            && !prefix.split('/').any(is_dots))
}
