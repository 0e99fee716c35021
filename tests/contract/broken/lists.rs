//! The lists of the broken store.

use tokio::task::yield_now;
use tower_oci::{
    BlobSource, Cursor, Descriptor, Digest, ListReferrers, Listing, MediaType, MissingContent,
    Page, RepositoryName, SourceError, Tag,
};

use super::{Answer, Broken, How::*};

const NO_REPOSITORY: SourceError = SourceError::NotFound(MissingContent::Repository);

impl Broken {
    pub(super) async fn list_tags(
        &self,
        repository: &RepositoryName,
        page: Page<'_>,
    ) -> Answer<Listing<Tag>> {
        if self.is(DroppedTagsKeepALock) {
            self.turn.acquire().await.unwrap().forget();
            yield_now().await;
            self.turn.add_permits(1);
        }
        let listing = match self.store.tags(repository, page).await {
            Err(SourceError::NotFound(_)) if self.is(ListsTagsOfOthers) => {
                let name = self.names().await.remove(0);
                self.store.tags(&name, page).await
            }
            Err(SourceError::NotFound(_))
                if self.is(HasTagListsOfUploads) && self.is_marked(repository) =>
            {
                Ok(Listing::default())
            }
            listing => listing,
        };
        let mut listing = listing?;
        let is_gone = match self.how {
            RepositoryEndsWithItsTags => listing.items.is_empty() && self.is_marked("deleted"),
            RepositoryEndsWithItsManifests | RepositoryEndsWithItsBlobs => {
                self.is_marked(repository)
            }
            _ => false,
        };
        if is_gone {
            return Err(NO_REPOSITORY);
        }
        let all = self.store.tags(repository, Page::first(1_000)).await;
        let all = all.unwrap_or_default().items;
        match self.how {
            TagPagesAreTooLong => listing = Listing::new(all, None),
            TagPagesNeverEnd => listing.next = listing.next.or(Cursor::from_text("zzz")),
            TagPagesBeginAgain => listing = Listing::page_of(all, Page::first(page.limit)),
            TagPagesOverlap => overlap(&mut listing, &all, page),
            TagPagesLoseTags if page.after.is_some() => drop(listing.items.drain(..1)),
            ForgetsTagsInLists => drop(listing.items.pop()),
            ListsTagsTwice if page.limit > 3 => listing.items.extend(all.into_iter().take(1)),
            DeletedTagsStayListed => listing.items.extend(self.state().deleted_tags.clone()),
            _ => {}
        }
        Ok(listing)
    }

    pub(super) async fn list_referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        options: ListReferrers<'_>,
    ) -> Answer<Listing<Descriptor>> {
        let mut asked = options;
        match self.how {
            ListsReferrersOfAnyType => asked.artifact_type = None,
            ReferrerPagesHaveTooManyBytes => asked.max_bytes = usize::MAX,
            ReferrerPagesAreTooLong => asked.page.limit += 1,
            ListsReferrersOfOthers => {
                let name = self.names().await.remove(0);
                return self.store.referrers(&name, subject, options).await;
            }
            _ => {}
        }
        let listing = self.store.referrers(repository, subject, asked).await;
        let mut listing = listing?;
        for item in &mut listing.items {
            match self.how {
                ListsReferrersWithoutAnnotations => item.annotations.clear(),
                ListsReferrersWithoutTheirType => item.artifact_type = None,
                _ => {}
            }
        }
        let last = listing.items.last().cloned();
        let kept = self.state().referrers.get(subject).cloned();
        match self.how {
            LosesReferrers => drop(listing.items.pop()),
            ListsReferrersTwice if asked.page.limit > 3 && asked.max_bytes > 1 => {
                listing.items.extend(last);
            }
            ReferrerPagesNeverEnd => listing.next = listing.next.or(Cursor::from_text("sha256:")),
            ListsNoReferrers => listing.items.clear(),
            ListsReferrersOfNobody if listing.items.is_empty() => {
                let nobody = Descriptor::new(MediaType::OCI_MANIFEST, *subject, 1);
                listing.items.push(nobody);
            }
            RewritesTheListOfReferrers | ListsRepeatedReferrersTwice => {
                listing.items = kept.unwrap_or_default();
            }
            DeleteManifestKeepsItsEntry | DroppedPutManifestLeavesItsEntry => {
                listing.items.extend(kept.unwrap_or_default());
            }
            _ => {}
        }
        Ok(listing)
    }

    pub(super) async fn list_repositories(
        &self,
        page: Page<'_>,
    ) -> Answer<Listing<RepositoryName>> {
        let mut listing = self.store.repositories(page).await?;
        let all = self.names().await;
        match self.how {
            CatalogIsEmpty => listing.items.clear(),
            CatalogBeginsAgain => listing = Listing::page_of(all, Page::first(page.limit)),
            CatalogNeverEnds => listing.next = listing.next.or(Cursor::from_text("zzz")),
            CatalogPagesAreTooLong if page.limit == 2 => {
                let page = Page::first(3).after(page.after);
                listing = self.store.repositories(page).await?;
            }
            CatalogPagesOverlap => overlap(&mut listing, &all, page),
            ListsRepositoriesOfUploads => {
                let state = self.state();
                let begun = state.sessions.values();
                let begun = begun.filter(|name| !all.contains(name)).cloned();
                listing.items.extend(begun);
            }
            RepositoryEndsWithItsManifests | RepositoryEndsWithItsBlobs => {
                listing.items.retain(|name| !self.is_marked(name));
            }
            _ => {}
        }
        Ok(listing)
    }
}

/// Lets the page begin with the entry that the page before ended with.
fn overlap<T: Clone + AsRef<str>>(listing: &mut Listing<T>, all: &[T], page: Page<'_>) {
    let after = page.after.map(Cursor::as_str);
    let last = all.iter().find(|entry| Some(entry.as_ref()) == after);
    listing.items.splice(..0, last.cloned());
    listing.items.truncate(page.limit);
}
