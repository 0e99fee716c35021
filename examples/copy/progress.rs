//! What is shown while blobs flow: a bar for each, if somebody is looking.

use std::{
    collections::HashMap,
    fmt::Display,
    io::{self, Write},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use indicatif::{
    HumanBytes, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, style::TemplateError,
};
use tower_oci::{
    Blob, BlobContent, BlobInfo, BlobSource, BoxError, Descriptor, Digest, DynBody, DynSource,
    Found, GetBlob, GetManifest, ListReferrers, Listing, Manifest, ManifestInfo, Page, Reference,
    RepositoryName, SourceError, Tag,
};

const TEMPLATE: &str =
    "{prefix} [{wide_bar}] {bytes:>10} of {total_bytes:10} {bytes_per_sec:>12} {eta:>4}";

/// The bars of all blobs on their way, and the lines that are said between them.
pub(crate) struct Progress {
    bars: MultiProgress,
    style: ProgressStyle,
    /// Those of blobs that have not come to their end.
    blobs: Mutex<HashMap<Digest, ProgressBar>>,
    quiet: bool,
}

impl Progress {
    /// Bars on stderr, if that is a terminal and should not be quiet.
    pub(crate) fn new(quiet: bool) -> Result<Self, TemplateError> {
        let target = match quiet {
            true => ProgressDrawTarget::hidden(),
            false => ProgressDrawTarget::stderr(),
        };
        Ok(Self {
            bars: MultiProgress::with_draw_target(target),
            style: ProgressStyle::with_template(TEMPLATE)?.progress_chars("=> "),
            blobs: Mutex::default(),
            quiet,
        })
    }

    /// Says something on stderr that is no error.
    pub(crate) fn note(&self, line: impl Display) {
        let line = format!("copy: {line}");
        match self.bars.is_hidden() {
            _ if self.quiet => {}
            // Nobody needs to read it: a closed pipe, or a terminal that is gone, is no reason to stop.
            true => drop(writeln!(io::stderr(), "{line}")),
            false => drop(self.bars.println(line)),
        }
    }

    /// Takes all bars away.
    pub(crate) fn clear(&self) {
        // As above.
        drop(self.bars.clear());
    }

    /// The bar of a blob, of which the byte at `position` is the next.
    fn bar(&self, digest: &Digest, size: u64, position: u64) -> ProgressBar {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is sent in pieces, or again, has a bar already.
        let bar = blobs.entry(*digest).or_insert_with(|| {
            let bar = ProgressBar::new(size).with_style(self.style.clone());
            self.bars.add(bar.with_prefix(short(digest)))
        });
        bar.set_position(position);
        bar.clone()
    }

    /// A blob has come to its end: a line takes the place of its bar.
    fn ended(&self, digest: &Digest, size: u64) {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = blobs.remove(digest) {
            bar.finish_and_clear();
            self.bars.remove(&bar);
            drop(
                self.bars
                    .println(format!("{} {}", short(digest), HumanBytes(size))),
            );
        }
    }
}

/// Enough of a digest to tell it from others.
fn short(digest: &Digest) -> String {
    digest
        .to_string()
        .chars()
        .take("sha256:".len() + 12)
        .collect()
}

/// A source whose blobs are counted while they flow, wherever they flow to.
pub(crate) struct Counted {
    source: DynSource,
    progress: Arc<Progress>,
}

impl Counted {
    pub(crate) fn new(source: DynSource, progress: &Arc<Progress>) -> Self {
        let progress = progress.clone();
        Self { source, progress }
    }
}

impl BlobSource for Counted {
    type Body = CountedBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Result<Found<Manifest>, SourceError> {
        self.source.manifest(repository, reference, options).await
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Result<Blob<CountedBody>, SourceError> {
        let content = match self.source.blob(repository, digest, options).await? {
            Blob::Content(content) => content,
            Blob::Redirect { to, size } => return Ok(Blob::Redirect { to, size }),
        };
        let BlobContent {
            info, range, body, ..
        } = content;
        let body = CountedBody {
            body,
            progress: self.progress.clone(),
            bar: self.progress.bar(digest, info.size, range.start),
            digest: *digest,
            size: info.size,
            position: range.start,
        };
        Ok(Blob::Content(BlobContent::new(info, range, body)))
    }

    async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, SourceError> {
        self.source.stat_blob(repository, digest).await
    }

    async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestInfo, SourceError> {
        self.source.stat_manifest(repository, reference).await
    }

    async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, SourceError> {
        self.source.tags(repository, page).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Result<Listing<Descriptor>, SourceError> {
        self.source.referrers(repository, subject, options).await
    }

    async fn repositories(&self, page: Page<'_>) -> Result<Listing<RepositoryName>, SourceError> {
        self.source.repositories(page).await
    }
}

/// The bytes of a blob, which move its bar.
pub(crate) struct CountedBody {
    body: DynBody,
    progress: Arc<Progress>,
    bar: ProgressBar,
    digest: Digest,
    size: u64,
    position: u64,
}

impl Body for CountedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            this.bar.inc(bytes);
            this.position += bytes;
            if bytes > 0 && this.position == this.size {
                this.progress.ended(&this.digest, this.size);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
