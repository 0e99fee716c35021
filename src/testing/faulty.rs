use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame};
use pin_project_lite::pin_project;

use crate::{
    body::{BoxError, DynBody},
    descriptor::Descriptor,
    digest::Digest,
    listing::{Listing, Page},
    manifest::Manifest,
    name::{Reference, RepositoryName, Tag, UploadId},
    source::{
        Blob, BlobInfo, BlobSource, Found, GetBlob, GetManifest, ListReferrers, ManifestInfo,
        SourceError,
    },
    store::{
        BeginUpload, BlobStore, MountFrom, NewManifest, Precondition, Session, StoredManifest,
        UploadBody, UploadStatus,
    },
};

/// A source or store that fails to order: each call meets the next fault that was ordered for its
/// method, and without one is handed on.
///
/// Cloning gives another handle to the same orders.
///
/// ```
/// # use tower::ServiceExt;
/// # use tower_oci::{MemoryStore, OciRegistryService, SourceError};
/// # use tower_oci::testing::{Fault, Faulty, StoreMethod};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = Faulty::new(MemoryStore::new());
/// store.order(StoreMethod::Tags, Fault::Error(SourceError::Busy { retry_after: None }));
/// let registry = OciRegistryService::writable(store);
/// for status in [503, 404] {
///     let request = http::Request::get("/v2/demo/tags/list").body(String::new())?;
///     assert_eq!(registry.clone().oneshot(request).await?.status(), status);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Faulty<S> {
    inner: S,
    orders: Arc<Mutex<HashMap<StoreMethod, Orders>>>,
}

/// What is ordered for one method, in the order in which it is met.
type Orders = VecDeque<Fault>;

/// A method of [`BlobSource`] or [`BlobStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // each is the method of that name
pub enum StoreMethod {
    Manifest,
    Blob,
    StatBlob,
    StatManifest,
    Tags,
    Referrers,
    Repositories,
    BeginUpload,
    AppendUpload,
    UploadStatus,
    FinishUpload,
    CancelUpload,
    PutBlob,
    MountBlob,
    PutManifest,
    DeleteManifest,
    DeleteTag,
    DeleteBlob,
    Sweep,
}

/// What goes wrong in one call.
#[non_exhaustive]
pub enum Fault {
    /// The call fails, and nothing is done.
    Error(SourceError),
    /// The call fails after it was done: an answer that is lost.
    LostAnswer(SourceError),
    /// The call is done after this has ended: `tokio::time::sleep(…)`, or what a test lets go.
    Delay(BoxFuture<'static, ()>),
    /// The body of the blob that is read, or of the upload that is written, breaks off with an error
    /// after so many bytes. A call without a body is done as ever.
    CutBody(u64),
}

impl Fault {
    /// [`Fault::Delay`] until `end`.
    pub fn delay(end: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::Delay(Box::pin(end))
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => f.debug_tuple("Error").field(error).finish(),
            Self::LostAnswer(error) => f.debug_tuple("LostAnswer").field(error).finish(),
            Self::Delay(_) => f.debug_tuple("Delay").finish_non_exhaustive(),
            Self::CutBody(after) => f.debug_tuple("CutBody").field(after).finish(),
        }
    }
}

impl<S> Faulty<S> {
    /// Hands on every call to `inner`, until faults are ordered.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            orders: Arc::default(),
        }
    }

    /// Lets a call of `method` meet `fault`: the next one, or the one after those that are ordered
    /// already.
    pub fn order(&self, method: StoreMethod, fault: Fault) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.entry(method).or_default().push_back(fault);
    }

    fn next(&self, method: StoreMethod) -> Option<Fault> {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.get_mut(&method)?.pop_front()
    }

    /// Does `call`, unless what is ordered for `method` says otherwise.
    async fn call<T>(
        &self,
        method: StoreMethod,
        call: impl Future<Output = Result<T, SourceError>>,
    ) -> Result<T, SourceError> {
        self.call_with(method, |_| call).await
    }

    /// Does `call`, which gets the number of bytes after which its body shall break off.
    async fn call_with<T, F>(
        &self,
        method: StoreMethod,
        call: impl FnOnce(Option<u64>) -> F,
    ) -> Result<T, SourceError>
    where
        F: Future<Output = Result<T, SourceError>>,
    {
        match self.next(method) {
            None => call(None).await,
            Some(Fault::Error(error)) => Err(error),
            Some(Fault::LostAnswer(error)) => {
                call(None).await?;
                Err(error)
            }
            Some(Fault::Delay(end)) => {
                end.await;
                call(None).await
            }
            Some(Fault::CutBody(after)) => call(Some(after)).await,
        }
    }
}

impl<S: BlobSource> BlobSource for Faulty<S> {
    type Body = DynBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        let call = self.inner.manifest(repository, reference, options);
        self.call(StoreMethod::Manifest, call).await
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<DynBody>, SourceError> {
        let call = async |cut| {
            let blob = self.inner.blob(repository, digest, options).await?;
            Ok(blob.map_body(|body| match cut {
                Some(after) => DynBody::new(Cut::new(body, after)),
                None => DynBody::new(body),
            }))
        };
        self.call_with(StoreMethod::Blob, call).await
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let call = self.inner.stat_blob(repository, digest);
        self.call(StoreMethod::StatBlob, call).await
    }

    async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestInfo, SourceError> {
        let call = self.inner.stat_manifest(repository, reference);
        self.call(StoreMethod::StatManifest, call).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, SourceError> {
        let call = self.inner.tags(repository, page);
        self.call(StoreMethod::Tags, call).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Result<Listing<Descriptor>, SourceError> {
        let call = self.inner.referrers(repository, subject, options);
        self.call(StoreMethod::Referrers, call).await
    }

    async fn repositories(&self, page: Page<'_>) -> Result<Listing<RepositoryName>, SourceError> {
        let call = self.inner.repositories(page);
        self.call(StoreMethod::Repositories, call).await
    }
}

impl<S: BlobStore> BlobStore for Faulty<S> {
    async fn begin_upload(
        &self,
        repository: &RepositoryName,
        begin: BeginUpload,
    ) -> Result<Session, SourceError> {
        let call = self.inner.begin_upload(repository, begin);
        self.call(StoreMethod::BeginUpload, call).await
    }

    async fn append_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        body: &mut UploadBody,
    ) -> Result<u64, SourceError> {
        let call = async |cut| {
            cut_upload(body, cut);
            self.inner.append_upload(repository, upload, at, body).await
        };
        self.call_with(StoreMethod::AppendUpload, call).await
    }

    async fn upload_status(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<UploadStatus, SourceError> {
        let call = self.inner.upload_status(repository, upload);
        self.call(StoreMethod::UploadStatus, call).await
    }

    async fn finish_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
        at: Option<u64>,
        last: &mut UploadBody,
        expect: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        let call = async |cut| {
            cut_upload(last, cut);
            self.inner
                .finish_upload(repository, upload, at, last, expect)
                .await
        };
        self.call_with(StoreMethod::FinishUpload, call).await
    }

    async fn cancel_upload(
        &self,
        repository: &RepositoryName,
        upload: &UploadId,
    ) -> Result<(), SourceError> {
        let call = self.inner.cancel_upload(repository, upload);
        self.call(StoreMethod::CancelUpload, call).await
    }

    async fn put_blob(
        &self,
        repository: &RepositoryName,
        expect: &Digest,
        begin: BeginUpload,
        body: &mut UploadBody,
    ) -> Result<BlobInfo, SourceError> {
        let call = async |cut| {
            cut_upload(body, cut);
            self.inner.put_blob(repository, expect, begin, body).await
        };
        self.call_with(StoreMethod::PutBlob, call).await
    }

    async fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: MountFrom<'_>,
    ) -> Result<bool, SourceError> {
        let call = self.inner.mount_blob(repository, digest, from);
        self.call(StoreMethod::MountBlob, call).await
    }

    async fn put_manifest(
        &self,
        repository: &RepositoryName,
        new: NewManifest,
    ) -> Result<StoredManifest, SourceError> {
        let call = self.inner.put_manifest(repository, new);
        self.call(StoreMethod::PutManifest, call).await
    }

    async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        let call = self.inner.delete_manifest(repository, digest, precondition);
        self.call(StoreMethod::DeleteManifest, call).await
    }

    async fn delete_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        let call = self.inner.delete_tag(repository, tag, precondition);
        self.call(StoreMethod::DeleteTag, call).await
    }

    async fn delete_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        precondition: Precondition,
    ) -> Result<(), SourceError> {
        let call = self.inner.delete_blob(repository, digest, precondition);
        self.call(StoreMethod::DeleteBlob, call).await
    }

    async fn sweep(&self) -> Result<(), SourceError> {
        let call = self.inner.sweep();
        self.call(StoreMethod::Sweep, call).await
    }
}

/// Lets the body of an upload break off. What is behind that is gone with it.
fn cut_upload(body: &mut UploadBody, after: Option<u64>) {
    if let Some(after) = after {
        *body = UploadBody::new(Cut::new(std::mem::take(body), after));
    }
}

pin_project! {
    /// A body that breaks off.
    struct Cut<B> {
        #[pin]
        body: B,
        left: u64,
    }
}

impl<B> Cut<B> {
    fn new(body: B, after: u64) -> Self {
        Self { body, left: after }
    }
}

impl<B> Body for Cut<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if *this.left == 0 {
            let error = BoxError::from("the body was cut to order");
            return Poll::Ready(Some(Err(error)));
        }
        let Some(frame) = ready!(this.body.poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame.map_err(Into::into)?.map_data(|mut piece| {
            let fits = usize::try_from(*this.left).unwrap_or(usize::MAX);
            piece.truncate(fits);
            *this.left -= piece.len() as u64;
            piece
        });
        Poll::Ready(Some(Ok(frame)))
    }
}
