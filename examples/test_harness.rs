//! A client under test against a registry in the same process, with no port and no container, and
//! with faults to order: `cargo run --example test_harness`.

#![allow(clippy::print_stdout)] // a program that is run in a terminal

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_oci::{
    Algorithm, BoxError, Digest, MediaType, MemoryStore, OciRegistryService, OciRequest,
    RepositoryName, SourceError, Tag,
    testing::{Fault, Faulty, ImageBuilder, StoreMethod},
};

/// The client under test: pushes and pulls, and tries again when the registry is busy.
///
/// It takes any tower service. In production that is an HTTP client; here it is the registry.
struct Client<S> {
    registry: S,
    repository: RepositoryName,
}

impl<S, B> Client<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    async fn push(&self, tag: &Tag, manifest: Bytes, blobs: &[Bytes]) -> Result<(), BoxError> {
        for blob in blobs {
            let push = OciRequest::PushBlob {
                repository: self.repository.clone(),
                digest: Algorithm::Sha256.digest(blob),
            };
            let blob_type = HeaderValue::from_static("application/octet-stream");
            self.send(push, Some(blob_type), blob, 201).await?;
        }
        let push = OciRequest::PutManifest {
            repository: self.repository.clone(),
            reference: tag.clone().into(),
            tags: Vec::new(),
        };
        let manifest_type = HeaderValue::from_str(MediaType::OCI_MANIFEST.as_str())?;
        self.send(push, Some(manifest_type), &manifest, 201).await?;
        Ok(())
    }

    async fn pull(&self, tag: &Tag) -> Result<Bytes, BoxError> {
        let get = OciRequest::GetManifest {
            repository: self.repository.clone(),
            reference: tag.clone().into(),
        };
        let response = self.send(get, None, &Bytes::new(), 200).await?;
        let digest = response.headers().get("docker-content-digest");
        let digest: Digest = digest.ok_or("no digest")?.to_str()?.parse()?;
        self.verified(digest, response).await
    }

    async fn pull_blob(&self, digest: Digest) -> Result<Bytes, BoxError> {
        let get = OciRequest::GetBlob {
            repository: self.repository.clone(),
            digest,
        };
        let response = self.send(get, None, &Bytes::new(), 200).await?;
        self.verified(digest, response).await
    }

    async fn verified(&self, digest: Digest, response: Response<B>) -> Result<Bytes, BoxError> {
        let bytes = response.into_body().collect().await.map_err(Into::into)?;
        let bytes = bytes.to_bytes();
        match digest.verifies(&bytes) {
            true => Ok(bytes),
            false => Err(format!("what arrived is not {digest}").into()),
        }
    }

    /// Sends a request, which has to be answered with `expected`; again if the registry is busy.
    async fn send(
        &self,
        // The registry's own types build the client's URLs.
        operation: OciRequest,
        content_type: Option<HeaderValue>,
        body: &Bytes,
        expected: u16,
    ) -> Result<Response<B>, BoxError> {
        for _ in 0..3 {
            let uri = format!("/v2{}", operation.path_and_query());
            let mut request = Request::builder().method(operation.method()).uri(uri);
            if let Some(content_type) = &content_type {
                request = request.header(header::CONTENT_TYPE, content_type);
                request = request.header(header::CONTENT_LENGTH, body.len());
            }
            let request = request.body(Full::new(body.clone()))?;
            let response = self.registry.clone().oneshot(request).await;
            let response = response.map_err(Into::into)?;
            match response.status() {
                status if status == expected => return Ok(response),
                StatusCode::SERVICE_UNAVAILABLE => {}
                status => return Err(format!("the registry answered {status}").into()),
            }
        }
        Err("the registry stays busy".into())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let tag: Tag = "latest".parse()?;
    let image = ImageBuilder::new().file("etc/motd", "hello").build()?;
    let mut blobs = Vec::new();
    for blob in image.descriptors() {
        blobs.push(image.read_blob_verified(blob, 1 << 20).await?);
    }
    let manifest = image.manifest().bytes();

    let store = Faulty::new(MemoryStore::new());
    let client = Client {
        registry: OciRegistryService::writable(store.clone()),
        repository: "demo".parse()?,
    };
    client.push(&tag, manifest.clone(), &blobs).await?;
    assert_eq!(client.pull(&tag).await?, manifest);
    let layer = image.layers()[0].digest;
    assert_eq!(client.pull_blob(layer).await?, blobs[1]);
    println!("pushed {} and pulled it back", image.digest());

    let unknown = client.pull(&"other".parse()?).await;
    assert!(unknown.is_err_and(|error| error.to_string().contains("404")));
    println!("an unknown tag is an error");

    // Faults are ordered from the store: for the next calls it is busy…
    let busy = || SourceError::Busy { retry_after: None };
    for method in [StoreMethod::PutBlob, StoreMethod::Manifest] {
        store.order(method, Fault::Error(busy()));
        store.order(method, Fault::Error(busy()));
    }
    client.push(&tag, manifest.clone(), &blobs).await?;
    client.pull(&tag).await?;
    println!("a busy registry is asked again");

    // … does what it is asked, and cannot say so…
    store.order(StoreMethod::PutManifest, Fault::LostAnswer(busy()));
    client.push(&tag, manifest.clone(), &blobs).await?;
    println!("a push whose answer was lost can be repeated");

    // … or breaks off in the middle.
    store.order(StoreMethod::Blob, Fault::CutBody(100));
    assert!(client.pull_blob(layer).await.is_err());
    println!("half a blob is an error");

    // What goes wrong on the way is a layer around the registry.
    let corrupt = Client {
        registry: ServiceBuilder::new()
            .map_response(|response: Response<_>| response.map(|_| Full::from("{}")))
            .service(client.registry),
        repository: client.repository,
    };
    let corrupted = corrupt.pull(&tag).await;
    assert!(corrupted.is_err_and(|error| error.to_string().contains("what arrived is not")));
    println!("bytes with another digest are an error");
    Ok(())
}
