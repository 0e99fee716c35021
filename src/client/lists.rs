//! Lists: tags, referrers and the catalog.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, Uri};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    ClientError, ClientErrorKind, RegistryClient, link,
    manifests::{content_type, get_manifest},
    origin::{is_same_origin, resolve},
    transport::{Outgoing, collect},
};
use crate::{
    descriptor::Descriptor,
    digest::Digest,
    http::query::Query,
    listing::{Cursor, Listing, Page},
    manifest::ManifestView,
    media_type::{ArtifactType, MediaType},
    name::{Reference, RepositoryName, Tag},
    request::{OciRequest, PageRequest},
};

const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// How many pages of a list are followed. One that goes on after them has no end.
const MOST_PAGES: usize = 10_000;

/// How many bytes of referrers are held.
const MOST_BYTES: usize = 256 << 20;

/// How many entries of a list are held.
const MOST_ENTRIES: usize = 1_000_000;

impl RegistryClient {
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
        let response = self.received(&outgoing).await?;
        let is_index = content_type(response.headers()) == Some(MediaType::OCI_INDEX);
        if response.status() == StatusCode::NOT_FOUND || !is_index {
            return self
                .fallback_referrers(repository, subject, artifact_type)
                .await;
        }
        let is_filtered = response.headers().contains_key(FILTERS_APPLIED);
        let next = self.next_page(&outgoing, response.headers())?;
        let entries = entries_of(&outgoing, response.body())?;
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
        let mut bytes = 0;
        let mut after = None;
        for _ in 0..MOST_PAGES {
            let page = self.referrers(repository, subject, artifact_type, after.as_ref());
            let Listing { items, next } = page.await?;
            bytes += items.iter().map(Descriptor::json_length).sum::<usize>();
            entries.extend(items);
            if next.is_none() {
                return Ok(entries);
            }
            if next == after || entries.len() > MOST_ENTRIES || bytes > MOST_BYTES {
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
        let response = self.received(&outgoing).await?;
        let next = self.next_page(&outgoing, response.headers())?;
        let body = serde_json::from_slice(response.body());
        // The error's own text may quote all of what it found.
        let body = body.map_err(|error| {
            let (line, column) = (error.line(), error.column());
            outgoing.broke_protocol(format!("no list: see line {line}, column {column}"))
        })?;
        Ok(ListAnswer { body, next })
    }

    /// The answer with all of its body, asked for again if that breaks off.
    async fn received(&self, outgoing: &Outgoing) -> Result<Response<Bytes>, ClientError> {
        let retrying = self.retrying();
        let mut retries = retrying.run();
        loop {
            let response = self.send(outgoing).await?;
            let (parts, body) = response.into_parts();
            let body = collect(outgoing, &retrying, body, self.shared.list_limit);
            match self.before_deadline(outgoing, body).await {
                Ok(body) => return Ok(Response::from_parts(parts, body)),
                Err(error) => retries.wait(error).await?,
            }
        }
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
