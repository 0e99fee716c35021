//! The registry that the clients talk to.

use std::{
    convert::Infallible,
    path::Path,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::Body;
use tokio::{net::TcpListener, sync::mpsc};
use tower::{Service, ServiceExt, service_fn};
use tower_oci::{
    BlobSource, BlobStore, BoxError, DynStore, LayoutSource, MemoryStore, OciRegistryService,
};

use crate::{
    common::name,
    repositories::Repositories,
    server::{self, Arriving},
};

/// A registry on a socket of this machine, for as long as it is kept. It remembers what it was
/// asked.
pub(crate) struct Server {
    pub(crate) address: String,
    requests: Requests,
    _stop: mpsc::Sender<()>,
}

type Requests = Arc<Mutex<Vec<Recorded>>>;

/// A request that was answered.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) status: StatusCode,
    pub(crate) answered: HeaderMap,
}

impl Server {
    /// Serves `source` to pull from.
    pub(crate) async fn of<S: BlobSource>(source: S) -> Self {
        Self::of_service(OciRegistryService::new(source)).await
    }

    /// Serves `store` to push to.
    pub(crate) async fn writable<S: BlobStore>(store: S) -> Self {
        Self::of_service(OciRegistryService::writable(store)).await
    }

    /// Serves a registry that is empty, to push to.
    pub(crate) async fn empty() -> Self {
        Self::writable(MemoryStore::new()).await
    }

    /// Serves the layout at `path` as the repository `layout`, and takes pushes beside it, as the
    /// example does.
    pub(crate) async fn with_layout(layout: &str, path: &Path) -> Self {
        let layouts = LayoutSource::open([(name(layout), path)]).await.unwrap();
        let mut repositories = Repositories::new(DynStore::new(MemoryStore::new()));
        repositories.add(name(layout), layouts).unwrap();
        Self::writable(repositories).await
    }

    pub(crate) async fn of_service<S, B>(service: S) -> Self
    where
        S: Service<Request<Arriving>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = mpsc::channel(1);
        let requests = Requests::default();
        let service = recorded(service, requests.clone());
        tokio::spawn(server::serve(listener, service, stopped));
        Self {
            address,
            requests,
            _stop: stop,
        }
    }

    /// An image as skopeo names it.
    pub(crate) fn image(&self, image: &str) -> String {
        format!("docker://{}/{image}", self.address)
    }

    /// What is at `path`, for curl.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far with this method whose URI contains `part`.
    pub(crate) fn requests(&self, method: &Method, part: &str) -> Vec<Recorded> {
        let requests = self.requests.lock().unwrap();
        let asked = |one: &&Recorded| one.method == *method && one.uri.to_string().contains(part);
        requests.iter().filter(asked).cloned().collect()
    }

    /// How those requests were answered.
    pub(crate) fn answers(&self, method: &Method, part: &str) -> Vec<u16> {
        let requests = self.requests(method, part).into_iter();
        requests.map(|request| request.status.as_u16()).collect()
    }
}

/// A service that keeps a record of its requests.
fn recorded<S, B>(
    service: S,
    requests: Requests,
) -> impl Service<Request<Arriving>, Response = Response<B>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static
where
    S: Service<Request<Arriving>, Response = Response<B>, Error = Infallible, Future: Send>,
    S: Clone + Send + 'static,
    B: 'static,
{
    service_fn(move |request: Request<Arriving>| {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let headers = request.headers().clone();
        let requests = requests.clone();
        let answer = service.clone().oneshot(request);
        async move {
            let response = answer.await?;
            requests.lock().unwrap().push(Recorded {
                method,
                uri,
                headers,
                status: response.status(),
                answered: response.headers().clone(),
            });
            Ok(response)
        }
    })
}
