//! A registry with one image in it, and how a request is put to it without a socket. The counts
//! of instructions share it.

use std::{pin::pin, thread, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;
use tower_oci::{
    BlobSource, BlobStore, BoxError, Image, LayoutSource, LayoutWriter, MediaType, MemoryStore,
    OciRegistryService, ReadOnly, ResponseBody, testing::ImageBuilder,
};

/// The repository of all benches.
pub(crate) const REPOSITORY: &str = "library/demo";
/// The size of the first layer of [`image`].
const SMALL: usize = 2 << 10;
/// As many layers as images often have.
const LAYERS: usize = 8;
/// A layout trusts no file that was changed in the last two seconds, and reads it again and again.
const SETTLING: Duration = Duration::from_millis(2_100);

/// What is asked.
pub(crate) type Ask = Request<Empty<Bytes>>;
/// What is answered.
pub(crate) type Answer<S> = Response<ResponseBody<<S as BlobSource>::Body>>;

/// An image whose manifest has a usual size, between 1 and 2 KiB.
pub(crate) fn image() -> Result<Image, BoxError> {
    let first = ImageBuilder::new().layer(MediaType::OCI_LAYER, vec![7; SMALL]);
    let image = (1..LAYERS).fold(first, |image, number| {
        image.layer(MediaType::OCI_LAYER, format!("layer {number}"))
    });
    Ok(image.build()?)
}

/// A request for a path below `/v2/`.
pub(crate) fn ask(method: Method, path: &str) -> Result<Ask, BoxError> {
    let request = Request::builder().method(method);
    Ok(request.uri(format!("/v2/{path}")).body(Empty::new())?)
}

/// Where an image is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Storage {
    Memory,
    Layout,
}

/// What of an image is pulled.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    ManifestByTag,
    ManifestByDigest,
    FirstLayer,
}

/// The request that pulls a part of an image, and the length of the body of its answer.
pub(crate) fn pull(image: &Image, part: Part, method: Method) -> Result<(Ask, usize), BoxError> {
    let (path, size) = match part {
        Part::ManifestByTag => ("manifests/latest".to_owned(), image.manifest().size()),
        Part::ManifestByDigest => {
            let digest = image.digest();
            (format!("manifests/{digest}"), image.manifest().size())
        }
        Part::FirstLayer => {
            let layer = image.layers().first().ok_or("the image has no layer")?;
            (format!("blobs/{}", layer.digest), layer.size)
        }
    };
    let length = match method {
        Method::HEAD => 0,
        _ => size.try_into()?,
    };
    Ok((ask(method, &format!("{REPOSITORY}/{path}"))?, length))
}

/// A service, and the runtime that its requests are answered on.
pub(crate) struct Registry<S> {
    service: OciRegistryService<S>,
    runtime: Runtime,
    // The last, because it is deleted after all that is open in it was closed.
    _directory: Option<TempDir>,
}

impl Registry<ReadOnly<MemoryStore>> {
    /// What `store` has.
    pub(crate) fn over(store: MemoryStore) -> Result<Self, BoxError> {
        Ok(Self {
            service: OciRegistryService::new(store),
            runtime: runtime()?,
            _directory: None,
        })
    }

    /// `image` as `latest`, in memory.
    pub(crate) fn in_memory(image: &Image) -> Result<Self, BoxError> {
        let store = MemoryStore::new();
        store.add_image(&REPOSITORY.parse()?, Some(&"latest".parse()?), image);
        Self::over(store)
    }
}

impl Registry<ReadOnly<LayoutSource>> {
    /// `image` as `latest`, in a layout on disk that lasts as long as the registry.
    pub(crate) fn on_disk(image: &Image) -> Result<Self, BoxError> {
        let runtime = runtime()?;
        let directory = tempfile::tempdir()?;
        let source = runtime.block_on(async {
            let writer = LayoutWriter::directory(directory.path());
            writer.write(image, Some(&"latest".parse()?)).await?;
            thread::sleep(SETTLING);
            let layouts = [(REPOSITORY.parse()?, directory.path())];
            Ok::<_, BoxError>(LayoutSource::open(layouts).await?)
        })?;
        Ok(Self {
            service: OciRegistryService::new(source),
            runtime,
            _directory: Some(directory),
        })
    }
}

impl<S: BlobStore> Registry<S> {
    /// Puts a request to a clone of the service, as servers do, and lets `read` have the answer.
    pub(crate) fn oneshot<T>(&self, request: Ask, read: impl AsyncFnOnce(Answer<S>) -> T) -> T {
        self.runtime.block_on(async {
            let Ok(answer) = self.service.clone().oneshot(request).await;
            read(answer).await
        })
    }

    /// The status of the answer to a request, and the length of its body, which is read to its end
    /// piece by piece, as servers do.
    pub(crate) fn exchange(&self, request: Ask) -> Result<(StatusCode, usize), BoxError> {
        self.oneshot(request, async |answer| {
            let status = answer.status();
            let mut body = pin!(answer.into_body());
            let mut length = 0;
            while let Some(frame) = body.frame().await {
                length += frame?.into_data().map_or(0, |piece| piece.len());
            }
            Ok((status, length))
        })
    }
}

/// A runtime whose only other threads are those that the library asks for.
pub(crate) fn runtime() -> Result<Runtime, BoxError> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}
