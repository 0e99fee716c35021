//! Content discovery: tags, referrers and the catalog.

use http::{HeaderName, HeaderValue, header};
use serde::Serialize;

use super::{Answer, Call, document};
use crate::{
    access::Visibility,
    body::ResponseBody,
    descriptor::Descriptor,
    digest::Digest,
    http::pagination::link_to_next,
    listing::{Cursor, Listing, Page},
    media_type::{ArtifactType, MediaType},
    name::{RepositoryName, Tag},
    request::{OciRequest, PageRequest},
    source::{BrokenPromise, ListReferrers, SourceError},
    store::BlobStore,
};

/// How many pages of a source are searched for visible repositories. A list that goes on after them
/// is taken for one without end.
const MOST_PAGES_SEARCHED: usize = 1_000;

/// How many names of a source are looked at with one call of it.
const SEARCHED_AT_ONCE: usize = 10_000;

impl<S: BlobStore> Call<'_, S> {
    /// `GET /v2/<name>/tags/list`.
    // protocol 45 to 48
    pub(super) async fn list_tags(
        &self,
        repository: &RepositoryName,
        page: &PageRequest,
    ) -> Answer<S::Body> {
        let source_page = page.page(self.limits());
        let tags = self.store.tags(repository, source_page).await?;
        let Listing { items: tags, next } = page.cut(checked(tags, source_page)?);
        let name = repository;
        let body = TagList { name, tags };
        let next = next.map(|cursor| OciRequest::ListTags {
            repository: repository.clone(),
            page: page.next(cursor, self.limits()),
        });
        self.list(JSON, &body, next)
    }

    /// `GET /v2/<name>/referrers/<digest>`. Never 404, whatever does not exist.
    // protocol 49 to 53
    pub(super) async fn list_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&ArtifactType>,
        page: &PageRequest,
    ) -> Answer<S::Body> {
        // protocol 52: as many as fit into an answer, unless the client wants fewer
        let source_page = Page::first(page.n.unwrap_or(usize::MAX)).after(&page.last);
        let options = ListReferrers::new(source_page).artifact_type(artifact_type);
        let referrers = match self.store.referrers(repository, subject, options).await {
            Err(SourceError::NotFound(_)) => Listing::default(),
            referrers => referrers?,
        };
        let Listing { items, next } = page.cut(checked(referrers, source_page)?);
        let next = next.map(|cursor| OciRequest::ListReferrers {
            repository: repository.clone(),
            subject: *subject,
            artifact_type: artifact_type.cloned(),
            page: PageRequest::new(page.n, Some(cursor)),
        });
        let mut response = self.list(INDEX, &Index::of(items), next)?;
        if artifact_type.is_some() {
            response.headers_mut().insert(
                HeaderName::from_static("oci-filters-applied"),
                HeaderValue::from_static("artifactType"),
            );
        }
        Ok(response)
    }

    /// `GET /v2/_catalog`.
    // protocol 64
    pub(super) async fn list_repositories(&self, page: &PageRequest) -> Answer<S::Body> {
        let source_page = page.page(self.limits());
        // Who wants no entry needs no search, and still learns whether there is a catalog.
        let visibility = self.parts.extensions.get::<Visibility>();
        let repositories = match visibility.filter(|_| page.n != Some(0)) {
            None => checked(self.store.repositories(source_page).await?, source_page)?,
            Some(visibility) => self.visible_repositories(visibility, source_page).await?,
        };
        let Listing {
            items: repositories,
            next,
        } = page.cut(repositories);
        let next = next.map(|cursor| OciRequest::ListRepositories {
            page: page.next(cursor, self.limits()),
        });
        self.list(JSON, &Catalog { repositories }, next)
    }

    /// The page of those repositories that the caller may know of.
    ///
    /// The search goes on for one more than the page holds, so that no link leads to a page on which
    /// the caller sees nothing; and the link names the last that the caller sees, never one that is
    /// hidden. It costs one call of the source for each [`SEARCHED_AT_ONCE`] names that are passed.
    async fn visible_repositories(
        &self,
        visibility: &Visibility,
        page: Page<'_>,
    ) -> Result<Listing<RepositoryName>, SourceError> {
        let mut visible: Vec<RepositoryName> = Vec::new();
        let mut after = page.after.cloned();
        for _ in 0..MOST_PAGES_SEARCHED {
            let searched = Page::first(SEARCHED_AT_ONCE).after(&after);
            let listing = checked(self.store.repositories(searched).await?, searched)?;
            for name in listing
                .items
                .into_iter()
                .filter(|name| visibility.shows(name))
            {
                if visible.len() == page.limit {
                    let last = visible.last().map(RepositoryName::as_str);
                    let next = last.and_then(Cursor::from_text);
                    return Ok(Listing::new(visible, next));
                }
                visible.push(name);
            }
            match listing.next {
                None => return Ok(Listing::new(visible, None)),
                next => after = next,
            }
        }
        Err(SourceError::backend(BrokenPromise::EndlessList))
    }

    /// A list as JSON, with a link to the page that follows.
    fn list(
        &self,
        media_type: &'static str,
        body: &impl Serialize,
        next: Option<OciRequest>,
    ) -> Answer<S::Body> {
        let json = serde_json::to_vec(body).map_err(SourceError::backend)?;
        let mut response: http::Response<ResponseBody<_>> = document(media_type, json);
        if let Some(next) = next {
            let link = link_to_next(&self.location, &next);
            response.headers_mut().insert(header::LINK, link);
        }
        Ok(response)
    }
}

/// Holds a source to the size of the page.
fn checked<T>(listing: Listing<T>, page: Page<'_>) -> Result<Listing<T>, SourceError> {
    let (listed, limit) = (listing.items.len(), page.limit);
    if listed > limit {
        return Err(SourceError::backend(BrokenPromise::TooManyEntries {
            listed,
            limit,
        }));
    }
    Ok(listing)
}

const JSON: &str = "application/json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a RepositoryName,
    tags: Vec<Tag>,
}

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<RepositoryName>,
}

/// An image index, as the list of referrers is one.
// protocol 51
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: MediaType,
    manifests: Vec<Descriptor>,
}

impl Index {
    fn of(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: MediaType::OCI_INDEX,
            manifests,
        }
    }
}
