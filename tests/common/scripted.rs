//! A source that does what a test tells it, and remembers how it was asked.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // every test uses a part, and fails by panicking

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::{
    StreamBody,
    channel::{Channel, Sender},
};
use tokio::sync::Semaphore;
use tower_oci::{
    Blob, BlobContent, BlobInfo, BlobSource, BoxError, Cursor, Descriptor, Digest, DynBody, Found,
    GetBlob, GetManifest, ListReferrers, Listing, Manifest, ManifestInfo, MissingContent, Page,
    Reference, RepositoryName, SourceError, Tag,
};

pub type Answer<T> = Result<T, SourceError>;
type Script<I, O> = Option<Arc<dyn Fn(I) -> Answer<O> + Send + Sync>>;

/// Implements every method of [`BlobSource`]. What has no script is not found, or not supported.
#[derive(Clone, Default)]
pub struct Scripted {
    calls: Arc<Mutex<Vec<String>>>,
    manifest: Script<(Reference, Vec<Digest>), Found<Manifest>>,
    blob: Script<(Digest, GetBlob), Blob<DynBody>>,
    stat_blob: Script<Digest, BlobInfo>,
    stat_manifest: Script<Reference, ManifestInfo>,
    tags: Script<usize, Listing<Tag>>,
    referrers: Script<usize, Listing<Descriptor>>,
    repositories: Script<(Option<Cursor>, usize), Listing<RepositoryName>>,
    /// How often each answer is pending before it comes.
    pending: usize,
    /// What every answer takes a permit of before it comes.
    gate: Option<Arc<Semaphore>>,
}

macro_rules! script {
    ($on:ident = $method:ident, $input:ty => $output:ty) => {
        #[must_use]
        pub fn $on(
            mut self,
            script: impl Fn($input) -> Answer<$output> + Send + Sync + 'static,
        ) -> Self {
            self.$method = Some(Arc::new(script));
            self
        }
    };
}

impl Scripted {
    pub fn new() -> Self {
        Self::default()
    }

    script!(on_manifest = manifest, (Reference, Vec<Digest>) => Found<Manifest>);
    script!(on_blob = blob, (Digest, GetBlob) => Blob<DynBody>);
    script!(on_stat_blob = stat_blob, Digest => BlobInfo);
    script!(on_stat_manifest = stat_manifest, Reference => ManifestInfo);
    script!(on_tags = tags, usize => Listing<Tag>);
    script!(on_referrers = referrers, usize => Listing<Descriptor>);
    script!(on_repositories = repositories, (Option<Cursor>, usize) => Listing<RepositoryName>);

    #[must_use]
    pub fn pending(self, pending: usize) -> Self {
        Self { pending, ..self }
    }

    /// Every answer waits for a permit of `gate`, and keeps it.
    #[must_use]
    pub fn behind(self, gate: &Arc<Semaphore>) -> Self {
        let gate = Some(gate.clone());
        Self { gate, ..self }
    }

    /// The calls since this was asked the last time: method and arguments.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    async fn called(&self, call: String) {
        self.calls.lock().unwrap().push(call);
        for _ in 0..self.pending {
            tokio::task::yield_now().await;
        }
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
    }
}

fn run<I, O>(script: &Script<I, O>, input: I, otherwise: SourceError) -> Answer<O> {
    script
        .as_ref()
        .map_or(Err(otherwise), |script| script(input))
}

impl BlobSource for Scripted {
    type Body = DynBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Answer<Found<Manifest>> {
        let known = options.unless.len();
        self.called(format!("manifest {repository} {reference} unless {known}"))
            .await;
        let otherwise = SourceError::NotFound(MissingContent::Manifest);
        run(
            &self.manifest,
            (reference.clone(), options.unless.to_vec()),
            otherwise,
        )
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Answer<Blob<DynBody>> {
        let (range, redirects) = (options.range, options.redirects);
        self.called(format!("blob {repository} {range:?} redirects {redirects}"))
            .await;
        let otherwise = SourceError::NotFound(MissingContent::Blob);
        run(&self.blob, (*digest, options), otherwise)
    }

    async fn stat_blob(&self, repository: &RepositoryName, digest: &Digest) -> Answer<BlobInfo> {
        self.called(format!("stat_blob {repository}")).await;
        let otherwise = SourceError::NotFound(MissingContent::Blob);
        run(&self.stat_blob, *digest, otherwise)
    }

    async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Answer<ManifestInfo> {
        self.called(format!("stat_manifest {repository} {reference}"))
            .await;
        let otherwise = SourceError::NotFound(MissingContent::Manifest);
        run(&self.stat_manifest, reference.clone(), otherwise)
    }

    async fn tags(&self, repository: &RepositoryName, page: Page<'_>) -> Answer<Listing<Tag>> {
        let Page { after, limit, .. } = page;
        self.called(format!("tags {repository} {after:?} {limit}"))
            .await;
        run(&self.tags, limit, SourceError::Unsupported)
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        _: &Digest,
        options: ListReferrers<'_>,
    ) -> Answer<Listing<Descriptor>> {
        let ListReferrers {
            artifact_type,
            page,
            max_bytes,
            ..
        } = options;
        let Page { after, limit, .. } = page;
        self.called(format!(
            "referrers {repository} {artifact_type:?} {after:?} {limit} {max_bytes}"
        ))
        .await;
        run(&self.referrers, limit, SourceError::Unsupported)
    }

    async fn repositories(&self, page: Page<'_>) -> Answer<Listing<RepositoryName>> {
        let Page { after, limit, .. } = page;
        self.called(format!("repositories {after:?} {limit}")).await;
        let page = (after.cloned(), limit);
        run(&self.repositories, page, SourceError::Unsupported)
    }
}

/// A body that yields these pieces, which may end with an error.
pub fn pieces<const N: usize>(pieces: [Result<&[u8], &'static str>; N]) -> DynBody {
    let frames = pieces.map(|piece| piece.map(|piece| Frame::data(Bytes::copy_from_slice(piece))));
    DynBody::new(StreamBody::new(stream::iter(frames)))
}

/// All of `bytes` in small pieces, whatever range is asked for: a source that cannot seek.
pub fn unseekable(bytes: &Bytes) -> Blob<DynBody> {
    let frames: Vec<_> = bytes
        .chunks(7)
        .map(|piece| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    let size = bytes.len() as u64;
    Blob::Content(BlobContent::new(
        BlobInfo::unseekable(size),
        0..size,
        DynBody::new(StreamBody::new(stream::iter(frames))),
    ))
}

/// The hand that holds the bytes of a blob while the answer with it is open.
#[derive(Clone, Default)]
pub struct Hand(Arc<Mutex<Option<Sender<Bytes, BoxError>>>>);

impl Hand {
    /// What sends the bytes of the blob that was opened last.
    pub fn take(&self) -> Sender<Bytes, BoxError> {
        self.0.lock().unwrap().take().unwrap()
    }
}

/// A source whose only blob, of `size` bytes, comes out of the test's hand.
pub fn held(size: u64) -> (Scripted, Hand) {
    let hand = Hand::default();
    let holding = hand.clone();
    let source = Scripted::new().on_blob(move |_| {
        let (sender, body) = Channel::new(1);
        *holding.0.lock().unwrap() = Some(sender);
        Ok(Blob::Content(BlobContent::new(
            BlobInfo::unseekable(size),
            0..size,
            DynBody::new(body),
        )))
    });
    (source, hand)
}
