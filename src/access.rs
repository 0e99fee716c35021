//! What a request needs the right to do, for layers that decide about it.

use std::{fmt, sync::Arc};

use crate::name::RepositoryName;

/// A right that a request needs. As text it is the scope of Docker's token authentication.
///
/// A layer that decides about access, around an axum app in which the service is nested:
///
/// ```
/// use axum::{
///     body::Body,
///     extract::Request,
///     http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE},
///     middleware::Next,
///     response::Response,
/// };
/// use tower_oci::{Access, Action, ErrorCode, Mount, RepositoryName, Visibility};
///
/// /// Alice may pull everything that is hers; others may not even ask.
/// async fn authorize(mut request: Request, next: Next) -> Response {
///     let is_hers = |name: &RepositoryName| name.as_str().starts_with("alice/");
///     let refusal = if request.headers().get("authorization").is_none() {
///         // The root of the API too: from that clients learn that there is a login (protocol 63).
///         let message = "this registry needs a login";
///         let mut refusal = ErrorCode::Unauthorized.response(StatusCode::UNAUTHORIZED, message);
///         let challenge = HeaderValue::from_static("Basic realm=\"registry\"");
///         refusal.headers_mut().insert(WWW_AUTHENTICATE, challenge);
///         refusal
///     } else {
///         let mount = Mount::default();
///         match mount.parse(&request).map(|request| request.required_access()) {
///             Ok(None) => return next.run(request).await,
///             Ok(Some(Access::Catalog)) => {
///                 request.extensions_mut().insert(Visibility::new(is_hers));
///                 return next.run(request).await;
///             }
///             Ok(Some(Access::Repository { name, actions, .. }))
///                 if is_hers(&name) && actions == [Action::Pull] =>
///             {
///                 return next.run(request).await;
///             }
///             Ok(Some(access)) => {
///                 ErrorCode::Denied.response(StatusCode::FORBIDDEN, format!("{access} is denied"))
///             }
///             // What is not understood is refused here, and not handed on.
///             Err(invalid) => invalid.into_response(),
///         }
///     };
///     refusal.map(Body::new)
/// }
///
/// # use tower::ServiceExt;
/// # use tower_oci::{MemoryStore, OciRegistryService, testing::ImageBuilder};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (store, image) = (MemoryStore::new(), ImageBuilder::new().build()?);
/// # store.add_image(&"alice/app".parse()?, None, &image);
/// # store.add_image(&"bob/app".parse()?, None, &image);
/// let app = axum::Router::new()
///     .nest_service("/v2", OciRegistryService::new(store))
///     .layer(axum::middleware::from_fn(authorize));
/// # for (path, login, status) in [
/// #     ("/v2/", false, 401),
/// #     ("/v2/", true, 200),
/// #     ("/v2/alice/app/tags/list", true, 200),
/// #     ("/v2/bob/app/tags/list", true, 403),
/// #     ("/v2/bob/app/tags/list/", true, 404),
/// #     ("/v2/_catalog", true, 200),
/// # ] {
/// #     let mut request = Request::get(path);
/// #     if login { request = request.header("authorization", "Basic YWxpY2U6"); }
/// #     let response = app.clone().oneshot(request.body(Body::empty())?).await?;
/// #     assert_eq!(response.status(), status, "{path}");
/// # }
/// # Ok(())
/// # }
/// ```
// protocol 92
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Access {
    /// Doing all of these in a repository.
    #[non_exhaustive]
    Repository {
        /// Where.
        name: RepositoryName,
        /// What; at least one.
        actions: &'static [Action],
    },
    /// Listing the repositories.
    Catalog,
}

impl Access {
    pub(crate) fn repository(name: RepositoryName, actions: &'static [Action]) -> Self {
        Self::Repository { name, actions }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repository { name, actions } => {
                write!(f, "repository:{name}:")?;
                for (position, action) in actions.iter().enumerate() {
                    let comma = if position == 0 { "" } else { "," };
                    write!(f, "{comma}{action}")?;
                }
                Ok(())
            }
            Self::Catalog => f.write_str("registry:catalog:*"),
        }
    }
}

/// What is done in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Reading content and lists.
    Pull,
    /// Adding content and moving tags.
    Push,
    /// Removing content and tags.
    Delete,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        })
    }
}

/// Which repositories the caller may know of: an extension that an authenticating layer leaves on
/// the request.
///
/// The service applies it where one request speaks of several repositories: the catalog lists only
/// those that are visible, and a blob is mounted only from one of them. Whether a request may reach its own repository is the layer's decision,
/// from [`OciRequest::required_access`](crate::OciRequest::required_access).
///
/// ```
/// # use http_body_util::BodyExt;
/// # use tower::ServiceExt;
/// # use tower_oci::{BoxError, MemoryStore, OciRegistryService, Visibility, testing::ImageBuilder};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let (store, image) = (MemoryStore::new(), ImageBuilder::new().build()?);
/// for name in ["public/app", "secret/app"] {
///     store.add_image(&name.parse()?, None, &image);
/// }
/// let visibility = Visibility::new(|name| name.as_str().starts_with("public/"));
/// let request = http::Request::get("/v2/_catalog").extension(visibility).body(String::new())?;
/// let response = OciRegistryService::new(store).oneshot(request).await?;
/// let body = response.into_body().collect().await?.to_bytes();
/// assert_eq!(body, r#"{"repositories":["public/app"]}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Visibility(Arc<dyn Fn(&RepositoryName) -> bool + Send + Sync>);

impl Visibility {
    /// The repositories for which `is_visible` holds.
    pub fn new(is_visible: impl Fn(&RepositoryName) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_visible))
    }

    /// All repositories: what holds where no layer has left another.
    pub fn all() -> Self {
        Self::new(|_| true)
    }

    /// Whether the caller may know of `repository`.
    pub fn shows(&self, repository: &RepositoryName) -> bool {
        (self.0)(repository)
    }
}

impl fmt::Debug for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visibility").finish_non_exhaustive()
    }
}
