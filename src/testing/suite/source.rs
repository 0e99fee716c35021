//! The reading side.

use std::{future::Future, ops::Range};

use super::{
    BrokenContract, Checked, Promise, collect, is_not_found, known, poll_times, read_blob,
};
use crate::{
    descriptor::Descriptor,
    digest::{Algorithm, Digest},
    image::Image,
    listing::{Cursor, Listing, Page},
    manifest::Manifest,
    media_type::{ArtifactType, MediaType},
    name::{Reference, RepositoryName, Tag},
    source::{
        Blob, BlobSource, ByteRange, Found, GetBlob, GetManifest, ListReferrers, ManifestInfo,
        SourceError,
    },
    testing::{BuildError, ImageBuilder, IndexBuilder},
};

/// What a source has to hold for [`source_suite`]: these images in this repository, and no other
/// content in it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fixture {
    /// The repository that holds the images.
    pub repository: RepositoryName,
    /// Another repository, which the source does not have, or which has nothing of this.
    pub other: RepositoryName,
    /// The images, with their tags: an index of images (whose children have no tags of their own), an
    /// image with a layer of some size and an empty one, and artifacts that refer to it.
    pub images: Vec<(Option<Tag>, Image)>,
}

impl Fixture {
    fn build() -> Result<Self, BuildError> {
        let layer: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let image = ImageBuilder::new()
            .layer(MediaType::OCI_LAYER, layer)
            .layer(MediaType::OCI_LAYER, "")
            .build()?;
        let index = IndexBuilder::new()
            .image(&ImageBuilder::new().file("a", "one").build()?)
            .image(&ImageBuilder::new().file("b", "two").build()?)
            .build()?;
        let artifact = |kind: ArtifactType, text: &'static str| {
            ImageBuilder::artifact(kind)
                .layer(MediaType::OCTET_STREAM, text)
                .annotation("text", text)
                .subject(&image)
                .build()
        };
        let kinds = ["suite/a", "suite/b"].map(str::parse::<ArtifactType>);
        let [Ok(first), Ok(second)] = kinds else {
            return Err(BuildError::Config("an artifact type".into()));
        };
        let artifacts = [
            artifact(first.clone(), "first")?,
            artifact(first, "second")?,
            artifact(second, "third")?,
        ];
        let tag = |tag: &str| tag.parse::<Tag>().ok();
        let tagged = [
            (tag("b"), index),
            (tag("B"), image.clone()),
            (tag("a.1"), image),
        ];
        let untagged = artifacts.into_iter().map(|artifact| (None, artifact));
        let name = |error: crate::InvalidName| BuildError::Config(error.into());
        Ok(Self {
            repository: "suite/images".parse().map_err(name)?,
            other: "suite/other".parse().map_err(name)?,
            images: tagged.into_iter().chain(untagged).collect(),
        })
    }

    /// Every image once, also those that an index lists.
    fn all_images(&self) -> impl Iterator<Item = &Image> {
        self.images
            .iter()
            .flat_map(|(_, image)| image.with_children())
    }

    fn tags(&self) -> Vec<Tag> {
        let tags = self.images.iter().filter_map(|(tag, _)| tag.clone());
        let mut tags: Vec<Tag> = tags.collect();
        tags.sort();
        tags
    }

    /// The entries among the referrers of the subject that has some, in the order of digests.
    fn referrers(&self) -> (Digest, Vec<Descriptor>) {
        let entries = self.images.iter().filter_map(|(_, image)| image.referrer());
        let (subjects, mut entries): (Vec<_>, Vec<_>) = entries.unzip();
        entries.sort_by_key(|entry| entry.digest);
        let subject = subjects.first().copied();
        (
            subject.unwrap_or_else(|| Algorithm::Sha256.digest("")),
            entries,
        )
    }
}

/// Checks a [`BlobSource`] against its contract: manifests, blobs and their ranges, lists and pages.
///
/// `make` gives a source that holds what [`Fixture`] says. Lists that the source cannot give may be
/// [`Unsupported`](SourceError::Unsupported). Futures are dropped at every poll, which must not
/// change what the next call finds.
///
/// # Errors
///
/// [`BrokenContract`] says which promise was broken, and how.
///
/// ```
/// # use tower_oci::{MemoryStore, testing::{Fixture, source_suite}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// source_suite(async |fixture: &Fixture| {
///     let store = MemoryStore::new();
///     for (tag, image) in &fixture.images {
///         store.add_image(&fixture.repository, tag.as_ref(), image);
///     }
///     store
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
pub async fn source_suite<S: BlobSource>(
    make: impl AsyncFn(&Fixture) -> S,
) -> Result<(), BrokenContract> {
    let written = Promise("the suite is written right");
    let fixture = Fixture::build().map_err(|error| written.broken(error))?;
    let source = make(&fixture).await;
    check_manifests(&source, &fixture).await?;
    check_absent(&source, &fixture).await?;
    for image in fixture.all_images() {
        for blob in image
            .descriptors()
            .filter(|it| !it.media_type.is_manifest())
        {
            check_blob(&source, &fixture, blob).await?;
        }
    }
    check_tags(&source, &fixture).await?;
    check_referrers(&source, &fixture).await?;
    check_catalog(&source, &fixture).await?;
    check_drops(&source, &fixture).await
}

async fn check_manifests(source: &impl BlobSource, fixture: &Fixture) -> Checked {
    for (tag, image) in &fixture.images {
        if let Some(tag) = tag {
            let reference = Reference::Tag(tag.clone());
            let promise = Promise("a tag finds the exact bytes of its manifest");
            check_manifest(promise, source, fixture, &reference, image.manifest()).await?;
        }
    }
    for image in fixture.all_images() {
        let reference = Reference::Digest(*image.digest());
        let promise = Promise("a digest finds the exact bytes of its manifest");
        check_manifest(promise, source, fixture, &reference, image.manifest()).await?;
    }
    Ok(())
}

async fn check_manifest(
    promise: Promise,
    source: &impl BlobSource,
    fixture: &Fixture,
    reference: &Reference,
    expected: &Manifest,
) -> Checked {
    let repository = &fixture.repository;
    let found = source
        .manifest(repository, reference, GetManifest::default())
        .await;
    match promise.ok(found)? {
        Found::Content(manifest) => promise.equal(&manifest, expected)?,
        Found::NotModified(_) => {
            return Err(promise.broken("answered NotModified to a request without conditions"));
        }
    }
    let info = source.stat_manifest(repository, reference).await;
    Promise("a stat finds what is read").equal(promise.ok(info)?, ManifestInfo::of(expected))?;

    let promise = Promise("only a digest that is known already is not modified");
    let known = [*expected.digest()];
    for unless in [&known[..], &[Algorithm::Sha256.digest("other")]] {
        let options = GetManifest::default().unless(unless);
        let found = source.manifest(repository, reference, options).await;
        match promise.ok(found)? {
            Found::Content(manifest) => promise.equal(&manifest, expected)?,
            Found::NotModified(digest) => {
                let is_right = digest == *expected.digest() && unless.contains(&digest);
                promise.holds(is_right, format_args!("answered NotModified({digest})"))?;
            }
        }
    }
    Ok(())
}

async fn check_absent(source: &impl BlobSource, fixture: &Fixture) -> Checked {
    let promise = Promise("what a repository does not have is not found in it");
    let Some((_, image)) = fixture.images.first() else {
        return Ok(());
    };
    let here = &fixture.repository;
    let elsewhere = &fixture.other;
    let absent = Algorithm::Sha256.digest("absent");
    let of_sha512 = Algorithm::Sha512.digest(image.manifest().bytes());
    let blob = image.with_children().into_iter().find_map(Image::config);
    let blob = blob.map_or(absent, |config| config.digest);
    for (repository, reference) in [
        (here, Reference::Tag(known("absent")?)),
        (here, Reference::Digest(absent)),
        // Known by one digest, it is not known by another.
        (here, Reference::Digest(of_sha512)),
        (elsewhere, Reference::Tag(known("b")?)),
        (elsewhere, Reference::Digest(*image.digest())),
    ] {
        let options = GetManifest::default();
        let found = source.manifest(repository, &reference, options).await;
        promise.fails(found, is_not_found)?;
        let found = source.stat_manifest(repository, &reference).await;
        promise.fails(found, is_not_found)?;
    }
    for (repository, digest) in [(here, absent), (elsewhere, blob)] {
        let found = source.blob(repository, &digest, GetBlob::default()).await;
        promise.fails(found.map(|_| "a blob"), is_not_found)?;
        let found = source.stat_blob(repository, &digest).await;
        promise.fails(found, is_not_found)?;
    }
    Ok(())
}

async fn check_blob(source: &impl BlobSource, fixture: &Fixture, blob: &Descriptor) -> Checked {
    let repository = &fixture.repository;
    let promise = Promise("a blob has the bytes of its digest, as many as it says");
    let bytes = read_blob(promise, source, repository, &blob.digest).await?;
    let bytes = bytes.ok_or_else(|| promise.broken(format_args!("{} is missing", blob.digest)))?;
    let has_digest = blob.digest.verifies(&bytes);
    promise.holds(has_digest, format_args!("{} has other bytes", blob.digest))?;

    let promise = Promise("a stat finds what is read");
    let info = promise.ok(source.stat_blob(repository, &blob.digest).await)?;
    promise.equal(info.size, bytes.len() as u64)?;

    let last = info.size.saturating_sub(1);
    for range in [
        ByteRange::From(0),
        ByteRange::From(last),
        ByteRange::FromTo(0, 0),
        ByteRange::FromTo(1, u64::MAX),
        ByteRange::FromTo(last / 3, last / 2),
        ByteRange::Suffix(1),
        ByteRange::Suffix(u64::MAX),
        ByteRange::From(info.size),
        ByteRange::Suffix(0),
    ] {
        check_range(source, repository, &blob.digest, range, &bytes).await?;
    }
    Ok(())
}

async fn check_range(
    source: &impl BlobSource,
    repository: &RepositoryName,
    digest: &Digest,
    range: ByteRange,
    bytes: &[u8],
) -> Checked {
    let promise = Promise("a range is served exactly, or the whole where the source cannot seek");
    let size = bytes.len() as u64;
    let options = GetBlob::default().range(range);
    let blob = source.blob(repository, digest, options).await;
    let Some(asked) = range.resolve(size) else {
        return match blob {
            Err(SourceError::RangeNotSatisfiable { size: told }) => promise.equal(told, size),
            Ok(Blob::Content(content)) if !content.info.seekable => Ok(()),
            Ok(_) => Err(promise.broken(format_args!("{range:?} of {size} bytes was served"))),
            Err(error) => Err(promise.broken(format_args!("{range:?} failed: {error:?}"))),
        };
    };
    let Blob::Content(content) = promise.ok(blob)? else {
        return Err(promise.broken("redirected without being allowed"));
    };
    let served = content.range.clone();
    let is_right = served == asked || (!content.info.seekable && served == (0..size));
    promise.holds(is_right, format_args!("{range:?} was served as {served:?}"))?;
    let body = collect(content.body).await;
    let body = body.map_err(|error| promise.broken(error))?;
    let expected = in_memory(&served).and_then(|served| bytes.get(served));
    promise.holds(
        expected == Some(&body[..]),
        format_args!("{range:?} has other bytes"),
    )
}

fn in_memory(range: &Range<u64>) -> Option<Range<usize>> {
    Some(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

async fn check_tags(source: &impl BlobSource, fixture: &Fixture) -> Checked {
    let promise = Promise("tags are listed once, and continue exactly after a page");
    let repository = &fixture.repository;
    for limit in [1, 2, 100] {
        let mut found = Vec::new();
        let mut after: Option<Cursor> = None;
        // More pages than there are tags are pages without end.
        for _ in 0..=fixture.tags().len() {
            let page = Page::first(limit).after(&after);
            let listing = source.tags(repository, page).await;
            let Some(Listing { items, next }) = promise.ok_if_supported(listing)? else {
                return Ok(());
            };
            promise.holds(items.len() <= limit, "a page is longer than asked for")?;
            found.extend(items);
            after = next;
            if after.is_none() {
                break;
            }
        }
        found.sort();
        promise.equal(found, fixture.tags())?;
    }
    let missing = source.tags(&fixture.other, Page::first(1)).await;
    match missing {
        // A source may have the other repository, with nothing in it.
        Ok(listing) => promise.equal(listing.items, Vec::new()),
        missing => promise.fails(missing, is_not_found),
    }
}

async fn check_referrers(source: &impl BlobSource, fixture: &Fixture) -> Checked {
    let promise =
        Promise("referrers are listed once, with type and annotations, filtered and paged");
    let (subject, expected) = fixture.referrers();
    let wanted: ArtifactType = known("suite/a")?;
    for artifact_type in [None, Some(&wanted)] {
        for limit in [1, 100] {
            let mut found: Vec<Descriptor> = Vec::new();
            let mut after: Option<Cursor> = None;
            for _ in 0..=expected.len() {
                let page = Page::first(limit).after(&after);
                let options = ListReferrers::new(page).artifact_type(artifact_type);
                let listing = source.referrers(&fixture.repository, &subject, options);
                let Some(Listing { items, next }) = promise.ok_if_supported(listing.await)? else {
                    return Ok(());
                };
                promise.holds(items.len() <= limit, "a page is longer than asked for")?;
                found.extend(items);
                after = next;
                if after.is_none() {
                    break;
                }
            }
            found.sort_by_key(|entry| entry.digest);
            let is_wanted = |entry: &&Descriptor| {
                artifact_type.is_none() || entry.artifact_type.as_ref() == artifact_type
            };
            let expected: Vec<Descriptor> = expected.iter().filter(is_wanted).cloned().collect();
            promise.equal(found, expected)?;
        }
    }
    let nobody = Algorithm::Sha256.digest("nobody");
    let options = ListReferrers::new(Page::first(1));
    match source
        .referrers(&fixture.repository, &nobody, options)
        .await
    {
        Err(SourceError::NotFound(_)) => Ok(()),
        listing => promise.equal(promise.ok(listing)?.items, Vec::new()),
    }
}

async fn check_catalog(source: &impl BlobSource, fixture: &Fixture) -> Checked {
    let promise = Promise("the catalog lists the repository, and continues after any listed name");
    let listing = source.repositories(Page::first(1_000)).await;
    let Some(Listing { items, .. }) = promise.ok_if_supported(listing)? else {
        return Ok(());
    };
    let has_it = items.contains(&fixture.repository);
    promise.holds(has_it, "the repository is not listed")?;
    let after = Cursor::from_text(fixture.repository.as_str());
    let page = Page::first(1_000).after(&after);
    let rest = promise.ok(source.repositories(page).await)?.items;
    promise.holds(!rest.contains(&fixture.repository), "it is listed twice")
}

/// Drops each future at every poll before it ends: nothing that follows may see it.
async fn check_drops(source: &impl BlobSource, fixture: &Fixture) -> Checked {
    let repository = &fixture.repository;
    let Some((_, image)) = fixture.images.get(1) else {
        return Ok(());
    };
    let reference = Reference::Digest(*image.digest());
    let blob = image
        .layers()
        .first()
        .map_or(*image.digest(), |it| it.digest);
    let page = Page::first(2);
    drop_at_every_poll(|| source.manifest(repository, &reference, GetManifest::default())).await;
    drop_at_every_poll(|| source.stat_manifest(repository, &reference)).await;
    drop_at_every_poll(|| source.stat_blob(repository, &blob)).await;
    drop_at_every_poll(|| source.tags(repository, page)).await;
    drop_at_every_poll(|| source.repositories(page)).await;
    let subject = fixture.referrers().0;
    drop_at_every_poll(|| source.referrers(repository, &subject, ListReferrers::new(page))).await;
    drop_at_every_poll(|| async {
        let blob = source.blob(repository, &blob, GetBlob::default()).await;
        if let Ok(Blob::Content(content)) = blob {
            // What breaks here is found below.
            let _ = collect(content.body).await;
        }
    })
    .await;
    let promise = Promise("a future that was dropped changes nothing");
    check_manifest(promise, source, fixture, &reference, image.manifest()).await?;
    let bytes = read_blob(promise, source, repository, &blob).await?;
    promise.holds(bytes.is_some(), "a blob is gone")
}

async fn drop_at_every_poll<F: Future>(make: impl Fn() -> F) {
    let mut times = 0;
    while poll_times(make(), times).await.is_none() {
        times += 1;
    }
}
