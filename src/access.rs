//! What a request needs the right to do, for layers that decide about it.

use std::{fmt, sync::Arc};

use crate::name::RepositoryName;

/// A right that a request needs. As text it is the scope of Docker's token authentication.
///
/// ```
/// # use http::Method;
/// # use tower_oci::OciRequest;
/// let request = OciRequest::parse(&Method::PUT, "/demo/manifests/latest", "")?;
/// let access = request.required_access().map(|access| access.to_string());
/// assert_eq!(access.as_deref(), Some("repository:demo:pull,push"));
/// # Ok::<(), tower_oci::InvalidRequest>(())
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
/// those that are visible. Whether a request may reach its own repository is the layer's decision,
/// from [`OciRequest::required_access`](crate::OciRequest::required_access).
///
/// ```
/// # use tower::ServiceExt;
/// # use tower_oci::{MemoryStore, OciRegistryService, Visibility};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let visibility = Visibility::new(|name| name.as_str().starts_with("public/"));
/// let request = http::Request::get("/v2/_catalog").extension(visibility).body(String::new())?;
/// let response = OciRegistryService::new(MemoryStore::new()).oneshot(request).await?;
/// assert_eq!(response.status(), 200);
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
