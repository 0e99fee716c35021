//! What a client reads: manifests, blobs and lists.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, header};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    BlobBody, ClientError, ClientErrorKind, RangeBody, RegistryClient,
    download::{Answered, Download, accepts_ranges, content_length, unsatisfied_size},
    link,
    origin::{is_same_origin, resolve},
    transport::{Outgoing, collect},
};
use crate::{
    body::DynBody,
    descriptor::Descriptor,
    digest::Digest,
    http::{query::Query, range::ascii_header},
    image::{Image, ImageError},
    listing::{Cursor, Listing, Page},
    manifest::{Manifest, ManifestView},
    media_type::{ArtifactType, MediaType},
    name::{Reference, RepositoryName, Tag},
    request::{OciRequest, PageRequest},
    source::{BlobInfo, ByteRange, DynSource, Found, ManifestInfo, RemoteSource},
};

pub(super) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// How many pages of a list are followed. One that goes on after them has no end.
const MOST_PAGES: usize = 10_000;

/// How many entries of a list are held.
const MOST_ENTRIES: usize = 1_000_000;

/// A blob, or a part of one, on its way.
#[derive(Debug)]
#[non_exhaustive]
pub struct BlobDownload<B> {
    /// What is known of the whole blob.
    pub info: BlobInfo,
    /// What `body` yields of it.
    pub range: Range<u64>,
    /// The bytes.
    pub body: B,
}

impl RegistryClient {
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

    /// Gets the manifest that `reference` names. By digest it is verified; by tag it has the digest
    /// that the registry says, if it says one.
    ///
    /// # Errors
    ///
    /// [`DigestMismatch`](ClientErrorKind::DigestMismatch): the registry sent something else;
    /// [`TooLarge`](ClientErrorKind::TooLarge): it is larger than the client takes.
    // protocol 14
    pub async fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Manifest, ClientError> {
        let digest = match reference {
            Reference::Digest(digest) => Some(digest),
            Reference::Tag(_) => None,
        };
        match self
            .find_manifest(repository, reference, digest, &[])
            .await?
        {
            Found::Content(manifest) => Ok(manifest),
            Found::NotModified(_) => Err(self.unconditional(repository, reference)),
        }
    }

    /// Gets the manifest that `tag` names, which has to have this digest.
    ///
    /// # Errors
    ///
    /// Those of [`manifest`](Self::manifest).
    pub async fn manifest_at(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> Result<Manifest, ClientError> {
        let reference = Reference::Tag(tag.clone());
        match self
            .find_manifest(repository, &reference, Some(digest), &[])
            .await?
        {
            Found::Content(manifest) => Ok(manifest),
            Found::NotModified(_) => Err(self.unconditional(repository, &reference)),
        }
    }

    fn unconditional(&self, repository: &RepositoryName, reference: &Reference) -> ClientError {
        let outgoing = self.outgoing(&get_manifest(repository, reference));
        outgoing.broke_protocol("304 answers a request without conditions")
    }

    /// The manifest of `reference`, which has to have `digest`, unless it is one of `unless`.
    pub(crate) async fn find_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        digest: Option<&Digest>,
        unless: &[Digest],
    ) -> Result<Found<Manifest>, ClientError> {
        let mut outgoing = accepting_manifests(self.outgoing(&get_manifest(repository, reference)));
        if !unless.is_empty() {
            let tags: Vec<String> = unless.iter().map(|known| format!("\"{known}\"")).collect();
            outgoing = outgoing
                .header(header::IF_NONE_MATCH, ascii_header(&tags.join(", ")))
                .accepts(&[StatusCode::NOT_MODIFIED]);
        }
        let mut retries = self.retrying().run();
        loop {
            let response = self.send(&outgoing).await?;
            if response.status() == StatusCode::NOT_MODIFIED {
                return self.not_modified(&outgoing, response.headers(), unless);
            }
            // A body that breaks off is asked for again.
            match self.received_manifest(&outgoing, response, digest).await {
                Ok(manifest) => return Ok(manifest.into()),
                Err(error) => retries.wait(error).await?,
            }
        }
    }

    /// Which of the known manifests it is that was not modified.
    fn not_modified(
        &self,
        outgoing: &Outgoing,
        headers: &HeaderMap,
        unless: &[Digest],
    ) -> Result<Found<Manifest>, ClientError> {
        let etag = headers.get(header::ETAG);
        let etag = etag.and_then(|etag| etag.to_str().ok()?.trim_matches('"').parse().ok());
        let told = content_digest(headers).or(etag);
        match (told, unless) {
            (Some(digest), _) if unless.contains(&digest) => Ok(Found::NotModified(digest)),
            (None, [only]) => Ok(Found::NotModified(*only)),
            _ => Err(outgoing.broke_protocol("304 does not say what was not modified")),
        }
    }

    async fn received_manifest(
        &self,
        outgoing: &Outgoing,
        response: Response<DynBody>,
        digest: Option<&Digest>,
    ) -> Result<Manifest, ClientError> {
        let (parts, body) = response.into_parts();
        let limit = self.shared.manifest_limit;
        let length = content_length(&parts.headers);
        if length.is_some_and(|length| length > limit) {
            return Err(outgoing.failed(ClientErrorKind::TooLarge(limit)));
        }
        let bytes = self.before_deadline(outgoing, collect(outgoing, body, limit));
        let bytes = bytes.await?;
        if length.is_some_and(|length| length != bytes.len() as u64) {
            let error = "the manifest is shorter than announced".into();
            return Err(outgoing.failed(ClientErrorKind::Connection(error)));
        }
        let told = content_digest(&parts.headers);
        let digest = digest.copied().or(told);
        let digest = digest.unwrap_or_else(|| crate::Algorithm::Sha256.digest(&bytes));
        // What the registry says of its own answer has to be true as well.
        for digest in std::iter::once(digest).chain(told) {
            if !digest.verifies(&bytes) {
                return Err(outgoing.failed(ClientErrorKind::DigestMismatch(digest)));
            }
        }
        let failed = |invalid| outgoing.failed(ClientErrorKind::Manifest(invalid));
        let view = ManifestView::parse(&bytes).map_err(failed)?;
        let media_type = match content_type(&parts.headers) {
            Some(media_type) if !is_generic(&media_type) => media_type,
            _ => view.media_type().unwrap_or(MediaType::OCTET_STREAM),
        };
        Ok(Manifest::trusted(digest, media_type, bytes))
    }

    /// What [`manifest`](Self::manifest) would get, without its bytes. Where the registry does not
    /// say enough, they are read all the same.
    ///
    /// # Errors
    ///
    /// Those of [`manifest`](Self::manifest).
    // protocol 19 and 67
    pub async fn stat_manifest(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<ManifestInfo, ClientError> {
        let head = OciRequest::HeadManifest {
            repository: repository.clone(),
            reference: reference.clone(),
        };
        let outgoing = accepting_manifests(self.outgoing(&head));
        let response = self.send(&outgoing).await?;
        let headers = response.headers();
        let told = (
            content_digest(headers),
            content_length(headers),
            content_type(headers),
        );
        let (Some(digest), Some(size), Some(media_type)) = told else {
            return Ok(ManifestInfo::of(
                &self.manifest(repository, reference).await?,
            ));
        };
        match reference {
            Reference::Digest(asked) if *asked != digest => {
                Err(outgoing.failed(ClientErrorKind::DigestMismatch(*asked)))
            }
            _ => Ok(ManifestInfo::new(digest, media_type, size)),
        }
    }

    /// Gets a blob, verified while it flows.
    ///
    /// # Errors
    ///
    /// Those of every request. What goes wrong later is an error of the body.
    // protocol 17
    pub async fn blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobDownload<BlobBody>, ClientError> {
        let outgoing = self.outgoing(&get_blob(repository, digest));
        let response = self.send(&outgoing).await?;
        self.whole_blob(outgoing, response, digest)
    }

    /// The whole blob; or, for who passes redirects on, where the registry sends for it.
    pub(crate) async fn find_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        passes_redirects: bool,
    ) -> Result<Result<BlobDownload<BlobBody>, Uri>, ClientError> {
        let outgoing = self.outgoing(&get_blob(repository, digest));
        if !passes_redirects {
            let response = self.send(&outgoing).await?;
            return self.whole_blob(outgoing, response, digest).map(Ok);
        }
        let unfollowed = Outgoing {
            follows: false,
            ..outgoing.clone()
        };
        let response = self.send(&unfollowed).await?;
        if !response.status().is_redirection() {
            return self.whole_blob(outgoing, response, digest).map(Ok);
        }
        let location = response.headers().get(header::LOCATION);
        let target = location.and_then(|to| resolve(&outgoing.uri, to.to_str().ok()?));
        let target = target.ok_or_else(|| outgoing.broke_protocol("it redirects to nowhere"))?;
        Ok(Err(target))
    }

    fn whole_blob(
        &self,
        outgoing: Outgoing,
        response: Response<DynBody>,
        digest: &Digest,
    ) -> Result<BlobDownload<BlobBody>, ClientError> {
        let answered = Answered::of(&outgoing, &response)?;
        let range = 0..answered.total;
        if answered.range != range {
            return Err(outgoing.broke_protocol("it is a part, and the whole was asked for"));
        }
        let client = self.clone();
        let download = Download::of(
            client,
            outgoing,
            response,
            &answered,
            range.clone(),
            Some(*digest),
        );
        Ok(BlobDownload {
            info: answered.info(),
            range,
            body: BlobBody::new(download),
        })
    }

    /// Gets a part of a blob, which cannot be verified. From a registry that has no ranges, the
    /// whole is read and the rest of it dropped.
    ///
    /// # Errors
    ///
    /// Those of every request. A range without a byte in the blob is a status error with 416.
    // protocol 18
    pub async fn blob_range(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: ByteRange,
    ) -> Result<BlobDownload<RangeBody>, ClientError> {
        match self.find_range(repository, digest, range).await? {
            Ok(download) => Ok(download),
            Err(_) => {
                let outgoing = self.outgoing(&get_blob(repository, digest));
                let status = StatusCode::RANGE_NOT_SATISFIABLE;
                Err(outgoing.failed(super::StatusError::new(status, b"", None)))
            }
        }
    }

    /// The part of the blob, or the size in which it has no byte.
    pub(crate) async fn find_range(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        range: ByteRange,
    ) -> Result<Result<BlobDownload<RangeBody>, u64>, ClientError> {
        let asked = match range {
            ByteRange::From(first) => format!("bytes={first}-"),
            // What is written in Go knows no larger numbers.
            ByteRange::FromTo(first, last) if last > i64::MAX.unsigned_abs() => {
                format!("bytes={first}-")
            }
            ByteRange::FromTo(first, last) => format!("bytes={first}-{last}"),
            ByteRange::Suffix(length) => format!("bytes=-{length}"),
        };
        let outgoing = self.outgoing(&get_blob(repository, digest));
        let first = outgoing
            .clone()
            .header(header::RANGE, ascii_header(&asked))
            .accepts(&[StatusCode::RANGE_NOT_SATISFIABLE]);
        let response = self.send(&first).await?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            let size = match unsatisfied_size(response.headers()) {
                Some(size) => size,
                None => self.stat_blob(repository, digest).await?.size,
            };
            return match range.resolve(size) {
                None => Ok(Err(size)),
                Some(_) => Err(first.broke_protocol("416 answers a range that the blob has")),
            };
        }
        let answered = Answered::of(&first, &response)?;
        let Some(wanted) = range.resolve(answered.total) else {
            return Ok(Err(answered.total));
        };
        let holds_it = answered.range == wanted || answered.range == (0..answered.total);
        if !holds_it {
            return Err(first.broke_protocol("it is another part than was asked for"));
        }
        let info = answered.info();
        let client = self.clone();
        let download = Download::of(client, outgoing, response, &answered, wanted.clone(), None);
        Ok(Ok(BlobDownload {
            info,
            range: wanted,
            body: RangeBody::new(download),
        }))
    }

    /// What [`blob`](Self::blob) would get, without its bytes.
    ///
    /// # Errors
    ///
    /// Those of every request.
    // protocol 19 and 69
    pub async fn stat_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobInfo, ClientError> {
        let head = OciRequest::HeadBlob {
            repository: repository.clone(),
            digest: *digest,
        };
        let outgoing = self.outgoing(&head);
        let response = self.send(&outgoing).await?;
        let size = content_length(response.headers());
        let size = size.ok_or_else(|| outgoing.broke_protocol("it has no Content-Length"))?;
        Ok(match accepts_ranges(response.headers()) {
            true => BlobInfo::seekable(size),
            false => BlobInfo::unseekable(size),
        })
    }

    /// One page of the tags of a repository, in the registry's own order.
    ///
    /// # Errors
    ///
    /// Those of every request.
    // protocol 45 to 48
    pub async fn tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Result<Listing<Tag>, ClientError> {
        #[derive(Deserialize)]
        struct Tags {
            tags: Option<Vec<String>>,
        }

        let list = |page| OciRequest::ListTags {
            repository: repository.clone(),
            page,
        };
        let uri = self.page_uri(&list, page)?;
        let outgoing = self.outgoing_to(&list(PageRequest::default()), uri);
        let answer: ListAnswer<Tags> = self.list(outgoing).await?;
        Ok(listing(
            &answer.body.tags.unwrap_or_default(),
            answer.next,
            page,
        ))
    }

    /// All tags of a repository.
    ///
    /// # Errors
    ///
    /// Those of every request; [`Protocol`](ClientErrorKind::Protocol) if the list has no end.
    pub async fn all_tags(&self, repository: &RepositoryName) -> Result<Vec<Tag>, ClientError> {
        let mut tags = Vec::new();
        let mut after = None;
        for _ in 0..MOST_PAGES {
            let page = Page::first(1_000).after(&after);
            let Listing { items, next } = self.tags(repository, page).await?;
            tags.extend(items);
            if next.is_none() {
                return Ok(tags);
            }
            if next == after || tags.len() > MOST_ENTRIES {
                break;
            }
            after = next;
        }
        let list = OciRequest::ListTags {
            repository: repository.clone(),
            page: PageRequest::default(),
        };
        Err(self.outgoing(&list).broke_protocol("the list has no end"))
    }

    /// One page of the repositories of the registry, in its own order.
    ///
    /// # Errors
    ///
    /// Those of every request.
    // protocol 64
    pub async fn repositories(
        &self,
        page: Page<'_>,
    ) -> Result<Listing<RepositoryName>, ClientError> {
        #[derive(Deserialize)]
        struct Repositories {
            repositories: Option<Vec<String>>,
        }

        let list = |page| OciRequest::ListRepositories { page };
        let uri = self.page_uri(&list, page)?;
        let outgoing = self.outgoing_to(&list(PageRequest::default()), uri);
        let answer: ListAnswer<Repositories> = self.list(outgoing).await?;
        let names = answer.body.repositories.unwrap_or_default();
        Ok(listing(&names, answer.next, page))
    }

    /// One page of what refers to `subject`, in the registry's own order. A registry that has no
    /// such list answers 404; its clients keep the list at the fallback tag, and that is read then.
    ///
    /// # Errors
    ///
    /// Those of every request.
    // protocol 49 to 56
    pub async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&ArtifactType>,
        after: Option<&Cursor>,
    ) -> Result<Listing<Descriptor>, ClientError> {
        let list = |page| OciRequest::ListReferrers {
            repository: repository.clone(),
            subject: *subject,
            artifact_type: artifact_type.cloned(),
            page,
        };
        let uri = match after {
            None => self.shared.registry.uri_of(&list(PageRequest::default())),
            Some(_) => self.page_uri(&list, Page::first(usize::MAX).after(after))?,
        };
        let outgoing = self
            .outgoing_to(&list(PageRequest::default()), uri)
            .accepts(&[StatusCode::NOT_FOUND]);
        let response = self.send(&outgoing).await?;
        let is_index = content_type(response.headers()) == Some(MediaType::OCI_INDEX);
        if response.status() == StatusCode::NOT_FOUND || !is_index {
            return self
                .fallback_referrers(repository, subject, artifact_type)
                .await;
        }
        let is_filtered = response.headers().contains_key(FILTERS_APPLIED);
        let next = self.next_page(&outgoing, response.headers())?;
        let limit = self.shared.list_limit;
        let body = collect(&outgoing, response.into_body(), limit);
        let index = self.before_deadline(&outgoing, body).await?;
        let entries = entries_of(&outgoing, &index)?;
        let wanted = artifact_type.filter(|_| !is_filtered);
        let is_wanted =
            |entry: &Descriptor| wanted.is_none() || entry.artifact_type.as_ref() == wanted;
        Ok(Listing::new(
            entries.into_iter().filter(is_wanted).collect(),
            next,
        ))
    }

    /// All that refers to `subject`.
    ///
    /// # Errors
    ///
    /// Those of every request; [`Protocol`](ClientErrorKind::Protocol) if the list has no end.
    pub async fn all_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&ArtifactType>,
    ) -> Result<Vec<Descriptor>, ClientError> {
        let mut entries = Vec::new();
        let mut after = None;
        for _ in 0..MOST_PAGES {
            let page = self.referrers(repository, subject, artifact_type, after.as_ref());
            let Listing { items, next } = page.await?;
            entries.extend(items);
            if next.is_none() {
                return Ok(entries);
            }
            if next == after || entries.len() > MOST_ENTRIES {
                break;
            }
            after = next;
        }
        let list = OciRequest::ListReferrers {
            repository: repository.clone(),
            subject: *subject,
            artifact_type: None,
            page: PageRequest::default(),
        };
        Err(self.outgoing(&list).broke_protocol("the list has no end"))
    }

    async fn fallback_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&ArtifactType>,
    ) -> Result<Listing<Descriptor>, ClientError> {
        let reference = Reference::Tag(Tag::referrers_of(subject));
        let index = match self.manifest(repository, &reference).await {
            Err(error) if error.is_not_found() => return Ok(Listing::default()),
            index => index?,
        };
        let outgoing = self.outgoing(&get_manifest(repository, &reference));
        let entries = entries_of(&outgoing, index.bytes())?;
        let is_wanted = |entry: &Descriptor| {
            artifact_type.is_none() || entry.artifact_type.as_ref() == artifact_type
        };
        Ok(Listing::new(
            entries.into_iter().filter(is_wanted).collect(),
            None,
        ))
    }

    /// Loads the image that `reference` names, with all manifests that it lists. Its blobs are got
    /// when they are asked for.
    ///
    /// # Errors
    ///
    /// Those of [`Image::load`].
    pub async fn image(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
    ) -> Result<Image, ImageError> {
        let source = DynSource::new(RemoteSource::new(self.clone()));
        Image::load(&source, repository, reference).await
    }

    /// The request, with what it needs the right to do.
    pub(super) fn outgoing(&self, request: &OciRequest) -> Outgoing {
        self.outgoing_to(request, self.shared.registry.uri_of(request))
    }

    /// The same, to where the registry says that it is.
    pub(super) fn outgoing_to(&self, request: &OciRequest, uri: Uri) -> Outgoing {
        let access = request.required_access().into_iter();
        Outgoing::new(request.method(), uri).access(access.chain(request.optional_access()))
    }

    pub(super) async fn send(&self, outgoing: &Outgoing) -> Result<Response<DynBody>, ClientError> {
        let transport = &self.shared.transport;
        transport.send(outgoing, &self.retrying()).await
    }

    pub(super) async fn before_deadline<T>(
        &self,
        outgoing: &Outgoing,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        super::transport::before_deadline(outgoing, &self.retrying(), work).await
    }

    /// The URI of one page of a list. A position that is a query is one that the registry made.
    fn page_uri(
        &self,
        list: &impl Fn(PageRequest) -> OciRequest,
        page: Page<'_>,
    ) -> Result<Uri, ClientError> {
        let registry = &self.shared.registry;
        match page.after.map(Cursor::as_str) {
            Some(query) if query.starts_with('?') => {
                let base = registry.uri_of(&list(PageRequest::default()));
                let outgoing = Outgoing::new(Method::GET, base.clone());
                let uri = resolve(&base, query);
                uri.ok_or_else(|| outgoing.broke_protocol("the position in the list is none"))
            }
            _ => {
                // Some registries refuse a page that is larger than theirs.
                let n = Some(page.limit).filter(|&limit| limit <= 10_000);
                Ok(registry.uri_of(&list(PageRequest::new(n, page.after.cloned()))))
            }
        }
    }

    async fn list<T: DeserializeOwned>(
        &self,
        outgoing: Outgoing,
    ) -> Result<ListAnswer<T>, ClientError> {
        let response = self.send(&outgoing).await?;
        let next = self.next_page(&outgoing, response.headers())?;
        let limit = self.shared.list_limit;
        let bytes = collect(&outgoing, response.into_body(), limit);
        let bytes: Bytes = self.before_deadline(&outgoing, bytes).await?;
        let body = serde_json::from_slice(&bytes);
        let body = body.map_err(|error| outgoing.broke_protocol(format!("no list: {error}")))?;
        Ok(ListAnswer { body, next })
    }

    /// Where the list goes on: after an entry, or at a query that only the registry understands.
    fn next_page(
        &self,
        outgoing: &Outgoing,
        headers: &HeaderMap,
    ) -> Result<Option<Cursor>, ClientError> {
        let Some(target) = link::next(headers) else {
            return Ok(None);
        };
        let next = resolve(&outgoing.uri, target);
        let next = next.ok_or_else(|| outgoing.broke_protocol("its next page is nowhere"))?;
        if !is_same_origin(&next, &outgoing.uri) || next.path() != outgoing.uri.path() {
            return Err(outgoing.broke_protocol("its next page is that of another list"));
        }
        if next == outgoing.uri {
            return Err(outgoing.broke_protocol("its next page is the page itself"));
        }
        let query = next.query().unwrap_or_default();
        let is_known = |pair: &str| {
            let name = pair.split('=').next().unwrap_or_default();
            ["", "n", "last", "artifactType"].contains(&name)
        };
        let last = Query(query).first("last");
        Ok(match last.filter(|_| query.split('&').all(is_known)) {
            Some(last) if !last.starts_with('?') => Cursor::from_text(&last),
            _ => Cursor::from_text(&format!("?{query}")),
        })
    }
}

struct ListAnswer<T> {
    body: T,
    next: Option<Cursor>,
}

impl Answered {
    fn info(&self) -> BlobInfo {
        match self.seekable {
            true => BlobInfo::seekable(self.total),
            false => BlobInfo::unseekable(self.total),
        }
    }
}

/// A page of names, without those that are none. A registry that knows no pages sends all of them:
/// what was not asked for is cut off.
fn listing<T: std::str::FromStr + AsRef<str>>(
    names: &[String],
    next: Option<Cursor>,
    page: Page<'_>,
) -> Listing<T> {
    let after = page.after.map(Cursor::as_str);
    let known = names.iter().position(|name| Some(name.as_str()) == after);
    let names = &names[known.map_or(0, |position| position + 1)..];
    let mut items: Vec<T> = names.iter().filter_map(|name| name.parse().ok()).collect();
    if items.len() <= page.limit {
        return Listing::new(items, next);
    }
    items.truncate(page.limit);
    let last = items.last().map(AsRef::as_ref);
    let next = last.and_then(Cursor::from_text);
    Listing::new(items, next)
}

/// The entries of an index.
fn entries_of(outgoing: &Outgoing, index: &[u8]) -> Result<Vec<Descriptor>, ClientError> {
    let view = ManifestView::parse(index);
    let view = view.map_err(|error| outgoing.failed(ClientErrorKind::Manifest(error)))?;
    Ok(view.manifests)
}

fn get_manifest(repository: &RepositoryName, reference: &Reference) -> OciRequest {
    OciRequest::GetManifest {
        repository: repository.clone(),
        reference: reference.clone(),
    }
}

fn get_blob(repository: &RepositoryName, digest: &Digest) -> OciRequest {
    OciRequest::GetBlob {
        repository: repository.clone(),
        digest: *digest,
    }
}

/// Says which manifests the client understands.
fn accepting_manifests(mut outgoing: Outgoing) -> Outgoing {
    for media_type in [
        MediaType::OCI_MANIFEST,
        MediaType::OCI_INDEX,
        MediaType::DOCKER_MANIFEST,
        MediaType::DOCKER_MANIFEST_LIST,
    ] {
        let media_type: HeaderValue = ascii_header(media_type.as_str());
        outgoing = outgoing.header(header::ACCEPT, media_type);
    }
    outgoing
}

pub(super) fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    headers.get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
}

fn content_type(headers: &HeaderMap) -> Option<MediaType> {
    let media_type = headers.get(header::CONTENT_TYPE)?;
    media_type.to_str().ok()?.parse().ok()
}

/// Whether a server that knows nothing of manifests says this of one.
fn is_generic(media_type: &MediaType) -> bool {
    ["application/json", "application/octet-stream", "text/plain"].contains(&media_type.as_str())
}
