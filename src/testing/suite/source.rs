//! The reading side.

use std::{future::Future, ops::Range};

use super::{
    BrokenContract, Checked, Fixture, Promise, bounded, collect, is_not_found, known, lists,
    poll_times, read_blob,
};
use crate::{
    descriptor::Descriptor,
    digest::{Algorithm, Digest},
    image::Image,
    listing::Page,
    manifest::Manifest,
    name::{Reference, RepositoryName},
    source::{
        Blob, BlobSource, ByteRange, Found, GetBlob, GetManifest, ListReferrers, ManifestInfo,
        SourceError,
    },
};

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
    lists::check(&source, &fixture).await?;
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
    let read = source.blob(repository, &blob.digest, GetBlob::default());
    if let Blob::Content(read) = promise.ok(read.await)? {
        promise.equal(info, read.info)?;
    }
    check_redirect(source, repository, &blob.digest, info.size).await?;

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

async fn check_redirect(
    source: &impl BlobSource,
    repository: &RepositoryName,
    digest: &Digest,
    size: u64,
) -> Checked {
    let promise = Promise("a redirect tells the size, and leads to somewhere else");
    let options = GetBlob::default().redirects(true);
    match promise.ok(source.blob(repository, digest, options).await)? {
        Blob::Content(content) => promise.equal(content.range, 0..size),
        Blob::Redirect { to, size: told } => {
            let is_absolute = to.scheme().is_some() && to.host().is_some();
            promise.holds(is_absolute, format_args!("{to} is not absolute"))?;
            promise.holds(
                told.is_none_or(|told| told == size),
                format_args!("told the size {told:?}"),
            )
        }
    }
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
    drop_at_every_poll(|| source.manifest(repository, &reference, GetManifest::default())).await?;
    drop_at_every_poll(|| source.stat_manifest(repository, &reference)).await?;
    drop_at_every_poll(|| source.stat_blob(repository, &blob)).await?;
    drop_at_every_poll(|| source.tags(repository, page)).await?;
    drop_at_every_poll(|| source.repositories(page)).await?;
    let subject = fixture.referrers().0;
    drop_at_every_poll(|| source.referrers(repository, &subject, ListReferrers::new(page))).await?;
    drop_at_every_poll(|| async {
        let blob = source.blob(repository, &blob, GetBlob::default()).await;
        if let Ok(Blob::Content(content)) = blob {
            // What breaks here is found below.
            let _ = collect(content.body).await;
        }
    })
    .await?;
    check_manifest(DROPPED, source, fixture, &reference, image.manifest()).await?;
    let bytes = read_blob(DROPPED, source, repository, &blob).await?;
    DROPPED.holds(bytes.is_some(), "a blob is gone")
}

const DROPPED: Promise = Promise("a future that was dropped changes nothing");

async fn drop_at_every_poll<F: Future>(make: impl Fn() -> F) -> Checked {
    bounded(DROPPED, async {
        let mut times = 0;
        while poll_times(make(), times).await.is_none() {
            times += 1;
        }
    })
    .await
}
