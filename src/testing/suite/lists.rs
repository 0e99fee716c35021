//! Lists and their pages.

use super::{Checked, Fixture, Promise, is_not_found, known};
use crate::{
    descriptor::Descriptor,
    digest::Algorithm,
    listing::{Cursor, Listing, Page},
    media_type::ArtifactType,
    name::RepositoryName,
    source::{BlobSource, ListReferrers, SourceError},
};

pub(super) async fn check(source: &impl BlobSource, fixture: &Fixture) -> Checked {
    check_tags(source, fixture).await?;
    check_referrers(source, fixture).await?;
    check_catalog(source, &fixture.repository).await
}

/// All of a list that has `entries` entries, page after page; nothing if there is no such list.
async fn read_pages<T>(
    promise: Promise,
    limit: usize,
    entries: usize,
    read: impl AsyncFn(Page<'_>) -> Result<Listing<T>, SourceError>,
) -> Checked<Option<Vec<T>>> {
    let mut found = Vec::new();
    let mut after: Option<Cursor> = None;
    // More pages than there are entries are pages without end.
    for _ in 0..=entries {
        let listing = read(Page::first(limit).after(&after)).await;
        let Some(Listing { items, next }) = promise.ok_if_supported(listing)? else {
            return Ok(None);
        };
        promise.holds(items.len() <= limit, "a page is longer than asked for")?;
        found.extend(items);
        after = next;
        if after.is_none() {
            return Ok(Some(found));
        }
    }
    let pages = format_args!("{entries} entries have more than {entries} pages of {limit}");
    Err(promise.broken(pages))
}

/// A list that is not there, or has nothing in it.
fn is_empty<T: PartialEq + std::fmt::Debug>(
    promise: Promise,
    listing: Result<Listing<T>, SourceError>,
) -> Checked {
    match listing {
        Ok(listing) => promise.equal(listing.items, Vec::new()),
        listing => promise.fails(listing, is_not_found),
    }
}

async fn check_tags(source: &impl BlobSource, fixture: &Fixture) -> Checked {
    let promise = Promise("tags are listed once, and continue exactly after a page");
    let expected = fixture.tags();
    for limit in [1, 2, 100] {
        let read = async |page: Page<'_>| source.tags(&fixture.repository, page).await;
        let Some(mut found) = read_pages(promise, limit, expected.len(), read).await? else {
            return Ok(());
        };
        found.sort();
        promise.equal(&found, &expected)?;
    }
    // A source may have the other repository, with nothing in it.
    is_empty(promise, source.tags(&fixture.other, Page::first(1)).await)
}

async fn check_referrers(source: &impl BlobSource, fixture: &Fixture) -> Checked {
    let promise =
        Promise("referrers are listed once, with type and annotations, filtered and paged");
    let (subject, all) = fixture.referrers();
    let wanted: ArtifactType = known("suite/a")?;
    for artifact_type in [None, Some(&wanted)] {
        let is_wanted = |entry: &&Descriptor| {
            artifact_type.is_none() || entry.artifact_type.as_ref() == artifact_type
        };
        let expected: Vec<Descriptor> = all.iter().filter(is_wanted).cloned().collect();
        // One entry is always allowed, and no two fit in one byte.
        for (asked, max_bytes, limit) in [(1, 1 << 20, 1), (100, 1 << 20, 100), (100, 1, 1)] {
            let read = async |page: Page<'_>| {
                let page = Page::first(asked).after(page.after);
                let mut options = ListReferrers::new(page).artifact_type(artifact_type);
                options.max_bytes = max_bytes;
                let referrers = source.referrers(&fixture.repository, &subject, options);
                referrers.await
            };
            let Some(mut found) = read_pages(promise, limit, all.len(), read).await? else {
                return Ok(());
            };
            found.sort_by_key(|entry| entry.digest);
            promise.equal(&found, &expected)?;
        }
    }
    let nobody = Algorithm::Sha256.digest("nobody");
    for (repository, subject) in [(&fixture.repository, &nobody), (&fixture.other, &subject)] {
        let options = ListReferrers::new(Page::first(1));
        is_empty(
            promise,
            source.referrers(repository, subject, options).await,
        )?;
    }
    Ok(())
}

/// The catalog, which has `repository`.
pub(super) async fn check_catalog(
    source: &impl BlobSource,
    repository: &RepositoryName,
) -> Checked {
    let promise = Promise("the catalog lists the repository, and continues after any listed name");
    let read = async |page: Page<'_>| source.repositories(page).await;
    // A source may have other repositories, and many of them.
    let Some(all) = read_pages(promise, 1_000, 1_000, read).await? else {
        return Ok(());
    };
    promise.holds(all.contains(repository), "the repository is not listed")?;
    for (position, name) in all.iter().enumerate().take(10) {
        let after = Cursor::from_text(name.as_str());
        let page = Page::first(1_000).after(&after);
        let rest = promise.ok(source.repositories(page).await)?.items;
        let continues = all[position + 1..].starts_with(&rest);
        promise.holds(continues, format_args!("{rest:?} follows {name}"))?;
    }
    for limit in [1, 2] {
        if all.len() <= 10 {
            let found = read_pages(promise, limit, all.len(), read).await?;
            promise.equal(found.as_ref(), Some(&all))?;
        }
    }
    Ok(())
}
