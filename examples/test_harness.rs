//! A client under test against a registry in the same process, with no port and no container, and
//! with faults to order: `cargo run --example test_harness`.

#![allow(clippy::print_stdout)] // a program that is run in a terminal

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_oci::{
    BoxError, Digest, MemoryStore, OciRegistryService, OciRequest, Reference, RepositoryName, Tag,
    testing::ImageBuilder,
};

/// The client under test: gets a tag's manifest, and tries again when the registry is busy.
///
/// It takes any tower service. In production that is an HTTP client; here it is the registry.
async fn pull<S, B>(registry: S, repository: &RepositoryName, tag: &Tag) -> Result<Bytes, BoxError>
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error: Into<BoxError>> + Clone,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    // The registry's own types build the client's URLs.
    let get = OciRequest::GetManifest {
        repository: repository.clone(),
        reference: Reference::Tag(tag.clone()),
    };
    for _ in 0..3 {
        let uri = format!("/v2{}", get.path_and_query());
        let request = Request::get(uri).body(Empty::new())?;
        let response = registry
            .clone()
            .oneshot(request)
            .await
            .map_err(Into::into)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::SERVICE_UNAVAILABLE => continue,
            status => return Err(format!("the registry answered {status}").into()),
        }
        let digest = response.headers().get("docker-content-digest");
        let digest: Digest = digest.ok_or("no digest")?.to_str()?.parse()?;
        let bytes = response.into_body().collect().await.map_err(Into::into)?;
        let bytes = bytes.to_bytes();
        if !digest.verifies(&bytes) {
            return Err(format!("what arrived is not {digest}").into());
        }
        return Ok(bytes);
    }
    Err("the registry stays busy".into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let (repository, tag) = ("demo".parse()?, "latest".parse()?);
    let image = ImageBuilder::new().file("etc/motd", "hello").build()?;
    let store = MemoryStore::new();
    store.add_image(&repository, Some(&tag), &image);
    let registry = OciRegistryService::new(store);

    let pulled = pull(registry.clone(), &repository, &tag).await?;
    assert_eq!(&pulled, image.manifest().bytes());
    println!("pulled {} from a registry in this process", image.digest());

    let unknown = pull(registry.clone(), &repository, &"other".parse()?).await;
    assert!(unknown.is_err_and(|error| error.to_string().contains("404")));
    println!("an unknown tag is an error");

    // Faults are layers around the registry: the first two requests find it busy…
    let requests = Arc::new(AtomicUsize::new(0));
    let busy_at_first = ServiceBuilder::new()
        .map_response({
            let requests = requests.clone();
            move |mut response: Response<_>| {
                if requests.fetch_add(1, Ordering::Relaxed) < 2 {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                }
                response
            }
        })
        .service(registry.clone());
    assert_eq!(pull(busy_at_first, &repository, &tag).await?, pulled);
    assert_eq!(requests.load(Ordering::Relaxed), 3);
    println!("a busy registry is asked again");

    // … and something on the way changes what was sent.
    let corrupt = ServiceBuilder::new()
        .map_response(|mut response: Response<_>| {
            response.headers_mut().remove(header::CONTENT_LENGTH);
            response.map(|_| Full::from("{}"))
        })
        .service(registry);
    let corrupted = pull(corrupt, &repository, &tag).await;
    assert!(corrupted.is_err_and(|error| error.to_string().contains("what arrived is not")));
    println!("bytes with another digest are an error");
    Ok(())
}
