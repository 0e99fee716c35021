//! A client that pulls from any registry and pushes to it, over any tower service.
//!
//! [`RegistryClient`] takes the service that its requests go through: an HTTP client, or an
//! [`OciRegistryService`](crate::OciRegistryService) in the same process. With the feature `network`
//! it brings its own, over HTTP/1.1 and HTTP/2 with rustls.
//!
//! What it promises whatever the registry does: content has the digest that was asked for, or there
//! is an error; answers are held to sizes and lengths; what fails for a while is tried again; and
//! secrets go nowhere but where they belong.

use std::{fmt, sync::Arc, time::Instant};

use http::{HeaderValue, Request, Response, Uri};
use http_body::Body;
use tower_service::Service;

use crate::{
    access::Access,
    body::{BoxError, DynBody},
    clock::Clock,
    request::OciRequest,
};

mod auth;
mod blobs;
mod download;
mod error;
mod link;
mod lists;
mod manifests;
#[cfg(feature = "network")]
mod network;
mod origin;
mod push;
mod retry;
mod transport;
mod uploads;

pub use auth::{CredentialSource, Credentials, DockerConfig, DockerConfigError};
pub use blobs::BlobDownload;
pub use download::{BlobBody, RangeBody};
pub use error::{ClientError, ClientErrorKind, RegistryError, StatusError};
#[cfg(feature = "network")]
pub use network::{HttpBody, HttpService, Network, NetworkError};
pub use origin::{InvalidRegistryUrl, RegistryUrl};

pub use push::{PushOptions, Pushed};
pub use retry::{RetryEvent, RetryPolicy};
pub use uploads::PushBlob;

use auth::Authenticator;
use retry::{RetryHook, Retrying};
use transport::{Outgoing, Transport};

/// A client of one registry.
///
/// It can be cloned and shared: all clones share connections and tokens.
///
/// ```
/// use tower_oci::{MemoryStore, OciRegistryService, client::RegistryClient, testing::ImageBuilder};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new();
/// let image = ImageBuilder::new().file("greeting", "hello").build()?;
/// store.add_image(&"demo".parse()?, Some(&"latest".parse()?), &image);
///
/// let registry = OciRegistryService::new(store);
/// let client = RegistryClient::builder("http://registry.test".parse()?, registry).build();
/// let pulled = client.image(&"demo".parse()?, &"latest".parse()?).await?;
/// assert_eq!(pulled.digest(), image.digest());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RegistryClient {
    shared: Arc<Shared>,
    deadline: Option<Instant>,
}

#[derive(Debug)]
struct Shared {
    registry: RegistryUrl,
    transport: Transport,
    retrying: Retrying,
    manifest_limit: u64,
    list_limit: u64,
}

impl RegistryClient {
    /// Makes a client of the registry at `registry`, whose requests go through `service`.
    ///
    /// The service gets absolute URIs. It need not be shared between threads: each request gets a
    /// clone.
    pub fn builder<S, B>(registry: RegistryUrl, service: S) -> ClientBuilder<S>
    where
        S: Service<Request<DynBody>, Response = Response<B>, Error: Into<BoxError>>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        ClientBuilder {
            registry,
            service,
            credentials: Arc::new(Credentials::Anonymous),
            scope: Vec::new(),
            user_agent: HeaderValue::from_static(concat!("tower-oci/", env!("CARGO_PKG_VERSION"))),
            retrying: Retrying {
                policy: RetryPolicy::default(),
                hook: None,
                clock: Clock::default(),
                deadline: None,
            },
            manifest_limit: crate::Manifest::USUAL_LIMIT as u64,
        }
    }

    /// Where the registry is.
    pub fn registry(&self) -> &RegistryUrl {
        &self.shared.registry
    }

    /// The same client, whose requests and downloads end with [`ClientErrorKind::Deadline`] if they
    /// are not finished then. Nothing is tried again that would be later.
    #[must_use]
    pub fn until(&self, deadline: Instant) -> Self {
        Self {
            shared: self.shared.clone(),
            deadline: Some(deadline),
        }
    }

    /// Asks whether this is a registry that the client may use.
    ///
    /// # Errors
    ///
    /// Those of every request.
    // protocol 5
    pub async fn ping(&self) -> Result<(), ClientError> {
        self.send(&self.outgoing(&OciRequest::Ping)).await?;
        Ok(())
    }

    /// The request, with what it needs the right to do.
    fn outgoing(&self, request: &OciRequest) -> Outgoing {
        self.outgoing_to(request, self.shared.registry.uri_of(request))
    }

    /// The same, to where the registry says that it is.
    fn outgoing_to(&self, request: &OciRequest, uri: Uri) -> Outgoing {
        let access = request.required_access().into_iter();
        Outgoing::new(request.method(), uri).access(access.chain(request.optional_access()))
    }

    async fn send(&self, outgoing: &Outgoing) -> Result<Response<DynBody>, ClientError> {
        let transport = &self.shared.transport;
        transport.send(outgoing, &self.retrying()).await
    }

    async fn before_deadline<T>(
        &self,
        outgoing: &Outgoing,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        transport::before_deadline(outgoing, &self.retrying(), work).await
    }

    fn retrying(&self) -> Retrying {
        Retrying {
            deadline: self.deadline,
            ..self.shared.retrying.clone()
        }
    }
}

/// Makes a [`RegistryClient`].
#[must_use]
pub struct ClientBuilder<S> {
    registry: RegistryUrl,
    service: S,
    credentials: Arc<dyn CredentialSource>,
    scope: Vec<Access>,
    user_agent: HeaderValue,
    retrying: Retrying,
    manifest_limit: u64,
}

impl<S> ClientBuilder<S> {
    /// Who the client is. Without this it is anonymous.
    pub fn credentials(self, credentials: impl CredentialSource) -> Self {
        Self {
            credentials: Arc::new(credentials),
            ..self
        }
    }

    /// Asks for tokens with all of these rights, for every request. Without this a token is asked
    /// for each repository, with the rights that the request needs.
    pub fn scope(self, scope: impl IntoIterator<Item = Access>) -> Self {
        Self {
            scope: scope.into_iter().collect(),
            ..self
        }
    }

    /// How the client calls itself; `tower-oci/` and its version without this.
    pub fn user_agent(self, user_agent: HeaderValue) -> Self {
        Self { user_agent, ..self }
    }

    /// How often and how soon requests are sent again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retrying.policy = policy;
        self
    }

    /// What is told of every retry, before the pause.
    pub fn on_retry(mut self, hook: impl Fn(&RetryEvent<'_>) + Send + Sync + 'static) -> Self {
        self.retrying.hook = Some(RetryHook(Arc::new(hook)));
        self
    }

    /// Where the client gets the time from, and how it waits.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.retrying.clock = clock;
        self
    }

    /// The largest manifest in bytes, 4 MiB. It is held in memory.
    pub fn manifest_limit(self, limit: u64) -> Self {
        Self {
            manifest_limit: limit,
            ..self
        }
    }

    /// Makes the client. It sends nothing yet.
    pub fn build<B>(self) -> RegistryClient
    where
        S: Service<Request<DynBody>, Response = Response<B>, Error: Into<BoxError>>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Error: Into<BoxError>> + Send + 'static,
    {
        let authenticator = Authenticator::new(&self.registry, self.credentials, self.scope);
        let transport = Transport::new(self.service, authenticator, self.user_agent);
        RegistryClient {
            shared: Arc::new(Shared {
                registry: self.registry,
                transport,
                retrying: self.retrying,
                manifest_limit: self.manifest_limit,
                // What clients read at most of one answer.
                list_limit: 2 * crate::Manifest::USUAL_LIMIT as u64,
            }),
            deadline: None,
        }
    }
}

impl<S> fmt::Debug for ClientBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}
