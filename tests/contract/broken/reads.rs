//! The reading side of the broken store.

use bytes::Bytes;
use futures_util::stream;
use http::Uri;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::task::yield_now;
use tower_oci::{
    Blob, BlobContent, BlobInfo, BlobSource, ByteRange, Descriptor, Digest, DynBody, Found,
    GetBlob, GetManifest, ListReferrers, Listing, Manifest, ManifestInfo, MediaType,
    MissingContent, Page, Reference, RepositoryName, SourceError, Tag,
};

use super::{
    Answer, Broken,
    How::{self, *},
    Unfinished,
};

const NO_MANIFEST: SourceError = SourceError::NotFound(MissingContent::Manifest);
const NO_BLOB: SourceError = SourceError::NotFound(MissingContent::Blob);

impl BlobSource for Broken {
    type Body = DynBody;

    async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        options: GetManifest<'_>,
    ) -> Answer<Found<Manifest>> {
        self.pause(DroppedManifestIsLost).await?;
        let folded;
        let asked = match (self.how, reference) {
            (FoldsTags, Reference::Tag(tag)) => {
                folded = Reference::Tag(tag.as_str().to_lowercase().parse().unwrap());
                &folded
            }
            (FindsManifestsByTagOnly, Reference::Digest(_)) => return Err(NO_MANIFEST),
            _ => reference,
        };
        let found = match self.store.manifest(repository, asked, options).await {
            Err(SourceError::NotFound(_)) => self.ghost(repository, reference).await?,
            found => found?,
        };
        let Found::Content(manifest) = found else {
            return Ok(found);
        };
        let (digest, media_type) = (*manifest.digest(), manifest.media_type().clone());
        let is_known = options.unless.first();
        Ok(match (self.how, is_known) {
            (ChangesManifestBytes, _) => {
                let changed = [manifest.bytes(), &b"\n"[..]].concat();
                Manifest::trusted(digest, media_type, changed).into()
            }
            (ForgetsMediaTypes, _) => {
                let bytes = manifest.bytes().clone();
                Manifest::trusted(digest, MediaType::OCTET_STREAM, bytes).into()
            }
            (AnswersNotModifiedUnasked, None) => Found::NotModified(digest),
            (AnswersNotModifiedForUnknownDigests, Some(_)) => Found::NotModified(digest),
            (AnswersNotModifiedWithOtherDigests, Some(other)) => Found::NotModified(*other),
            _ => manifest.into(),
        })
    }

    async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
    ) -> Answer<Blob<DynBody>> {
        self.pause(DroppedBlobIsLost).await?;
        let turn = self.wait_turn(&[AppendLocksReads]).await;
        drop(turn);
        if self.is(DeletedBlobsStayGone) && self.is_marked(format!("{repository} {digest}")) {
            return Err(NO_BLOB);
        }
        let to = self.redirect(options);
        let asked = self.asked(options);
        let blob = match self.store.blob(repository, digest, asked).await {
            Err(SourceError::NotFound(_)) => self.blob_of_others(digest, asked).await?,
            Err(SourceError::RangeNotSatisfiable { .. }) if self.is(ServesRangesWithoutBytes) => {
                let whole = GetBlob::default();
                self.store.blob(repository, digest, whole).await?
            }
            Err(SourceError::RangeNotSatisfiable { .. })
                if self.is(TellsOtherSizesOfRefusedRanges) =>
            {
                return Err(SourceError::RangeNotSatisfiable { size: 1 });
            }
            blob => blob?,
        };
        let Blob::Content(mut content) = blob else {
            return Ok(blob);
        };
        let size = content.info.size;
        if let Some((to, told)) = to {
            let size = size + told;
            return Ok(Blob::Redirect {
                to,
                size: Some(size),
            });
        }
        match self.how {
            TellsOtherSizes => content.info = BlobInfo::seekable(size + 1),
            LosesEmptyBlobs if size == 0 => return Err(NO_BLOB),
            _ => {}
        }
        let content = self.with_body(repository, digest, options, content);
        Ok(Blob::Content(content.await))
    }

    async fn stat_blob(&self, repository: &RepositoryName, digest: &Digest) -> Answer<BlobInfo> {
        let info = match self.store.stat_blob(repository, digest).await {
            Err(SourceError::NotFound(_)) => {
                return self.stat_of_others(repository, digest).await;
            }
            info => info?,
        };
        Ok(match self.how {
            StatsOtherBlobSizes => BlobInfo::seekable(info.size + 1),
            StatsBlobsAsUnseekable => BlobInfo::unseekable(info.size),
            _ => info,
        })
    }

    async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Answer<ManifestInfo> {
        let (how, options) = (self.how, GetManifest::default());
        if how == StatsManifestsOfOthers {
            for name in self.names().await {
                if let Ok(info) = self.store.stat_manifest(&name, reference).await {
                    return Ok(info);
                }
            }
        }
        // What the other ways find, they find here too.
        let manifest = match how {
            FindsManifestsOfOthers | FindsManifestsByOtherAlgorithms | FindsAnyTag => {
                self.store.manifest(repository, reference, options).await
            }
            _ => self.manifest(repository, reference, options).await,
        };
        let Found::Content(manifest) = manifest? else {
            return Err(NO_MANIFEST);
        };
        let mut info = ManifestInfo::of(&manifest);
        match how {
            StatsOtherManifestSizes => info.size += 1,
            StatsOtherMediaTypes => info.media_type = MediaType::OCTET_STREAM,
            _ => {}
        }
        Ok(info)
    }

    async fn tags(&self, repository: &RepositoryName, page: Page<'_>) -> Answer<Listing<Tag>> {
        self.list_tags(repository, page).await
    }

    async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Answer<Listing<Descriptor>> {
        self.list_referrers(repository, subject, options).await
    }

    async fn repositories(&self, page: Page<'_>) -> Answer<Listing<RepositoryName>> {
        self.list_repositories(page).await
    }
}

impl Broken {
    /// A read that is dropped here is not over for the next one.
    async fn pause(&self, how: How) -> Answer<()> {
        if !self.is(how) {
            return Ok(());
        }
        if self.is_marked("dropped") {
            return Err(NO_MANIFEST);
        }
        let unfinished = Unfinished::new(self, "dropped", &[how]);
        yield_now().await;
        unfinished.end();
        Ok(())
    }

    /// A manifest that is not in the repository, and is found in it all the same.
    async fn ghost(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Answer<Found<Manifest>> {
        let options = GetManifest::default();
        let ghost = format!("{repository} {reference}");
        if let Some(ghost) = self.state().ghosts.get(&ghost) {
            return Ok(ghost.clone().into());
        }
        let names = match self.how {
            FailsForAbsentManifests => return Err(SourceError::backend("nothing there")),
            FindsManifestsOfOthers | SharesManifests => self.names().await,
            _ => Vec::new(),
        };
        for name in names {
            if let Ok(found) = self.store.manifest(&name, reference, options).await {
                return Ok(found);
            }
        }
        if !matches!(self.how, FindsAnyTag | FindsManifestsByOtherAlgorithms) {
            return Err(NO_MANIFEST);
        }
        for tag in self.store.tags(repository, Page::first(100)).await?.items {
            let found = self
                .store
                .manifest(repository, &tag.into(), options)
                .await?;
            let is_found = match (reference, &found) {
                (Reference::Tag(_), _) => self.is(FindsAnyTag),
                (Reference::Digest(digest), Found::Content(manifest)) => {
                    self.is(FindsManifestsByOtherAlgorithms) && digest.verifies(manifest.bytes())
                }
                (Reference::Digest(_), Found::NotModified(_)) => false,
            };
            if is_found {
                return Ok(found);
            }
        }
        Err(NO_MANIFEST)
    }

    async fn blob_of_others(&self, digest: &Digest, options: GetBlob) -> Answer<Blob<DynBody>> {
        let names = match self.how {
            FailsForAbsentBlobs => return Err(SourceError::backend("nothing there")),
            FindsBlobsOfOthers => self.names().await,
            MountsEverywhere if self.is_marked(digest) => self.names().await,
            _ => Vec::new(),
        };
        for name in names {
            if let Ok(blob) = self.store.blob(&name, digest, options).await {
                return Ok(blob);
            }
        }
        Err(NO_BLOB)
    }

    /// What is known of a blob that is not in the repository.
    async fn stat_of_others(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Answer<BlobInfo> {
        let names = match self.how {
            StatsBlobsOfOthers | SharesBlobs => self.names().await,
            DeletedBlobsAreStated if self.is_marked(format!("{repository} {digest}")) => {
                return Ok(BlobInfo::seekable(4));
            }
            _ => Vec::new(),
        };
        for name in names {
            if let Ok(info) = self.store.stat_blob(&name, digest).await {
                return Ok(info);
            }
        }
        let committed = self.state().committed.clone();
        for (name, known) in committed {
            let blob = self.store.blob(&name, &known, GetBlob::default()).await?;
            if let Blob::Content(content) = blob
                && self.is(FindsBlobsByOtherAlgorithms)
                && digest.verifies(content.body.collect().await.unwrap().to_bytes())
            {
                return Ok(content.info);
            }
        }
        Err(NO_BLOB)
    }

    /// Where to a request is redirected, and how many bytes too many are told.
    fn redirect(&self, options: GetBlob) -> Option<(Uri, u64)> {
        let elsewhere = Uri::from_static("https://elsewhere.example/");
        match self.how {
            RedirectsUnasked if !options.redirects => Some((elsewhere, 0)),
            RedirectsRangesUnasked if options.range.is_some() => Some((elsewhere, 0)),
            RedirectsToNowhere if options.redirects => Some((Uri::from_static("/nowhere"), 0)),
            RedirectsWithOtherSizes if options.redirects => Some((elsewhere, 1)),
            _ => None,
        }
    }

    /// What the store behind is asked for.
    fn asked(&self, options: GetBlob) -> GetBlob {
        let range = match (self.how, options.range) {
            (IgnoresRanges, _) => None,
            (ServesRangesWithoutTheirLastByte, Some(ByteRange::FromTo(first, last)))
                if first < last =>
            {
                Some(ByteRange::FromTo(first, last - 1))
            }
            (ServesSuffixesFromTheBeginning, Some(ByteRange::Suffix(length))) if length > 0 => {
                Some(ByteRange::FromTo(0, length - 1))
            }
            (RefusesRangesPastTheEnd, Some(ByteRange::FromTo(_, u64::MAX))) => {
                Some(ByteRange::From(u64::MAX))
            }
            (_, range) => range,
        };
        GetBlob::default().range(range)
    }

    /// The blob with the bytes that it shall have.
    async fn with_body(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        options: GetBlob,
        content: BlobContent<DynBody>,
    ) -> BlobContent<DynBody> {
        let BlobContent {
            info, range, body, ..
        } = content;
        let mut bytes = body.collect().await.unwrap().to_bytes().to_vec();
        let is_part = options.range.is_some();
        let mut breaks_off = false;
        match self.how {
            ServesShortBodies => drop(bytes.pop()),
            ServesShortRanges if is_part => drop(bytes.pop()),
            ServesLongBodies => bytes.push(0),
            ServesOtherBytes => bytes.reverse(),
            ServesRangesOneOff if is_part && !bytes.is_empty() => bytes.rotate_left(1),
            BreaksBodiesOff => breaks_off = true,
            FinishStoresOtherContent | PutStoresOtherContent if self.is_marked(digest) => {
                bytes.reverse();
            }
            _ => {}
        }
        let (store, deleted) = (self.clone(), format!("{repository} {digest}"));
        let piece = stream::once(async move {
            breaks_off |= store.is(DeleteBlobBreaksDownloads) && store.is_marked(deleted);
            match breaks_off {
                true => Err("the storage is gone"),
                false => Ok(Frame::data(Bytes::from(bytes))),
            }
        });
        BlobContent::new(info, range, DynBody::new(StreamBody::new(piece)))
    }
}
