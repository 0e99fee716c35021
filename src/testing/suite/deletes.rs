//! Deletes: a store need not have them.

use super::{
    Checked, Promise, collect, has_blob, is_not_found, is_repository, is_upload_unknown,
    manifests::{self, NAME, OTHER, built, find, find_in, put, put_in, referrers},
    poll_times, settle,
    uploads::begin,
};
use crate::{
    body::BytesBody,
    digest::{Algorithm, Digest},
    listing::Page,
    name::{Reference, RepositoryName, Tag},
    source::{Blob, GetBlob, SourceError},
    store::{BlobStore, MountFrom, Precondition, UploadBody},
    testing::IndexBuilder,
};

pub(super) async fn check<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    check_tag(&make().await).await?;
    check_manifest(&make().await).await?;
    check_relatives(&make().await).await?;
    check_blob(&make().await).await?;
    check_copies(&make().await).await?;
    check_absent(&make().await).await?;
    check_dropped(make).await
}

fn is_failed(error: &SourceError) -> bool {
    matches!(error, SourceError::PreconditionFailed)
}

/// A precondition that does not hold of what is there.
fn unmet() -> Precondition {
    Precondition::default().if_match([Algorithm::Sha256.digest("other")])
}

fn any() -> Precondition {
    Precondition::default()
}

async fn check_tag(store: &impl BlobStore) -> Checked {
    let promise = Promise("a tag that is deleted is gone, and nothing else");
    let (tag, kept) = (Tag::constant("gone"), Tag::constant("kept"));
    let manifest = manifests::manifest("one")?;
    for tag in [&tag, &kept] {
        put(promise, store, &manifest, tag).await?;
    }
    put_in(promise, store, &OTHER, &manifest, &tag).await?;
    let deleted = store.delete_tag(&NAME, &tag, unmet()).await;
    if matches!(deleted, Err(SourceError::Unsupported)) {
        return Ok(());
    }
    promise.fails(deleted, is_failed)?;
    let found = find(promise, store, tag.clone()).await?;
    promise.equal(found.as_ref(), Some(&manifest))?;
    let met = Precondition::default().if_match([*manifest.digest()]);
    promise.ok(store.delete_tag(&NAME, &tag, met).await)?;
    promise.equal(find(promise, store, tag.clone()).await?, None)?;
    let digest = *manifest.digest();
    for reference in [Reference::from(kept.clone()), Reference::from(digest)] {
        let found = find(promise, store, reference).await?;
        promise.equal(found.as_ref(), Some(&manifest))?;
    }
    let found = find_in(promise, store, &OTHER, tag).await?;
    promise.equal(found.as_ref(), Some(&manifest))?;
    let listing = store.tags(&NAME, Page::first(10)).await;
    if let Some(listing) = promise.ok_if_supported(listing)? {
        promise.equal(&listing.items[..], std::slice::from_ref(&kept))?;
    }
    promise.ok(store.delete_tag(&NAME, &kept, any()).await)?;
    let promise = Promise("a repository without tags has an empty list of them");
    let listing = store.tags(&NAME, Page::first(10)).await;
    match promise.ok_if_supported(listing)? {
        Some(listing) => promise.equal(listing.items, Vec::new()),
        None => Ok(()),
    }
}

async fn check_manifest(store: &impl BlobStore) -> Checked {
    let promise = Promise("a manifest that is deleted takes its tags and its entry along, no more");
    let subject = built(IndexBuilder::new().annotation("a", "subject").build())?;
    let artifact = built(IndexBuilder::new().subject(&subject).build())?;
    let (first, second) = (Tag::constant("a"), Tag::constant("b"));
    let other = Tag::constant("c");
    for tag in [&first, &second] {
        put(promise, store, artifact.manifest(), tag).await?;
    }
    put(promise, store, subject.manifest(), &other).await?;
    put_in(promise, store, &OTHER, artifact.manifest(), &first).await?;
    let digest = artifact.digest();
    let deleted = store.delete_manifest(&NAME, digest, unmet()).await;
    if matches!(deleted, Err(SourceError::Unsupported)) {
        return Ok(());
    }
    promise.fails(deleted, is_failed)?;
    let found = find(promise, store, first.clone()).await?;
    promise.equal(found.as_ref(), Some(artifact.manifest()))?;
    promise.ok(store.delete_manifest(&NAME, digest, any()).await)?;
    for reference in [
        Reference::from(first.clone()),
        Reference::from(second),
        Reference::from(*digest),
    ] {
        promise.equal(find(promise, store, reference).await?, None)?;
    }
    let entries = referrers(promise, store, subject.digest()).await?;
    promise.equal(entries, Vec::new())?;
    let found = find(promise, store, other.clone()).await?;
    promise.equal(found.as_ref(), Some(subject.manifest()))?;
    let found = find_in(promise, store, &OTHER, first).await?;
    promise.equal(found.as_ref(), Some(artifact.manifest()))?;
    let listing = store.tags(&NAME, Page::first(10)).await;
    if let Some(listing) = promise.ok_if_supported(listing)? {
        promise.equal(&listing.items[..], &[other])?;
    }
    let again = store.delete_manifest(&NAME, digest, any()).await;
    promise.fails(again, is_not_found)
}

/// What a manifest that is deleted leaves: what refers to it, what it lists, and its repository.
async fn check_relatives(store: &impl BlobStore) -> Checked {
    let promise = Promise("a manifest that is deleted takes its tags and its entry along, no more");
    let child = built(IndexBuilder::new().annotation("a", "child").build())?;
    let index = built(IndexBuilder::new().image(&child).build())?;
    let artifact = built(IndexBuilder::new().subject(&index).build())?;
    for image in [&child, &index, &artifact] {
        let new = manifests::new(image.manifest())?;
        promise.ok(store.put_manifest(&NAME, new).await)?;
    }
    let before = referrers(promise, store, index.digest()).await?;
    let deleted = store.delete_manifest(&NAME, index.digest(), any()).await;
    if promise.ok_if_supported(deleted)?.is_none() {
        return Ok(());
    }
    for kept in [&child, &artifact] {
        let found = find(promise, store, *kept.digest()).await?;
        promise.equal(found.as_ref(), Some(kept.manifest()))?;
    }
    let entries = referrers(promise, store, index.digest()).await?;
    promise.equal(entries, before)?;

    let promise = Promise("a repository is there also when all that it had is deleted");
    for gone in [&child, &artifact] {
        let deleted = store.delete_manifest(&NAME, gone.digest(), any()).await;
        promise.ok(deleted)?;
    }
    is_repository(promise, store, &NAME).await
}

static HERE: RepositoryName = RepositoryName::constant("suite/here");
static THERE: RepositoryName = RepositoryName::constant("suite/there");

fn blob() -> Digest {
    Algorithm::Sha256.digest("blob")
}

async fn put_blob(promise: Promise, store: &impl BlobStore, name: &RepositoryName) -> Checked {
    let mut body = UploadBody::new(BytesBody::new("blob"));
    let stored = store.put_blob(name, &blob(), begin(), &mut body).await;
    promise.ok(stored).map(drop)
}

async fn has(promise: Promise, store: &impl BlobStore, name: &RepositoryName) -> Checked {
    has_blob(promise, store, name, &blob(), Some(b"blob")).await
}

async fn check_blob(store: &impl BlobStore) -> Checked {
    let promise = Promise("a blob that is deleted is gone from its repository, and from no other");
    for name in [&HERE, &THERE] {
        put_blob(promise, store, name).await?;
    }
    let deleted = store.delete_blob(&HERE, &blob(), unmet()).await;
    if matches!(deleted, Err(SourceError::Unsupported)) {
        return Ok(());
    }
    promise.fails(deleted, is_failed)?;
    has(promise, store, &HERE).await?;
    promise.ok(store.delete_blob(&HERE, &blob(), any()).await)?;
    has_blob(promise, store, &HERE, &blob(), None).await?;
    promise.fails(store.stat_blob(&HERE, &blob()).await, is_not_found)?;
    has(promise, store, &THERE).await?;
    let again = store.delete_blob(&HERE, &blob(), any()).await;
    promise.fails(again, is_not_found)?;
    is_repository(promise, store, &HERE).await?;
    // It can be pushed again.
    put_blob(promise, store, &HERE).await?;
    has(promise, store, &HERE).await
}

/// What else there is of a blob that is deleted: mounts, downloads, and the upload that brought it.
async fn check_copies(store: &impl BlobStore) -> Checked {
    let promise = Promise("a blob that is deleted is gone from its repository, and from no other");
    let session = store.begin_upload(&HERE, begin()).await;
    let upload = promise.ok(session)?.id;
    let finish = async || {
        let mut last = UploadBody::new(BytesBody::new("blob"));
        store
            .finish_upload(&HERE, &upload, None, &mut last, &blob())
            .await
    };
    promise.ok(finish().await)?;
    let from = MountFrom::Repository(&HERE);
    let is_mounted = promise.ok(store.mount_blob(&THERE, &blob(), from).await)?;
    let download = store.blob(&HERE, &blob(), GetBlob::default()).await;
    let download = promise.ok(download)?;
    let deleted = store.delete_blob(&HERE, &blob(), any()).await;
    if promise.ok_if_supported(deleted)?.is_none() {
        return Ok(());
    }
    if is_mounted {
        has(promise, store, &THERE).await?;
    }
    let promise = Promise("a download that has begun goes on when its blob is deleted");
    if let Blob::Content(content) = download {
        let body = collect(content.body).await;
        let bytes = body.map_err(|error| promise.broken(error))?;
        promise.equal(&bytes[..], b"blob")?;
    }
    let promise = Promise("the end of an upload is not repeated when its blob is deleted");
    promise.fails(finish().await, is_upload_unknown)?;
    has_blob(promise, store, &HERE, &blob(), None).await
}

async fn check_absent(store: &impl BlobStore) -> Checked {
    let promise = Promise("what is not there is not found when it shall be deleted");
    let (tag, digest) = (Tag::constant("absent"), Algorithm::Sha256.digest("absent"));
    let is_absent =
        |error: &SourceError| is_not_found(error) || matches!(error, SourceError::Unsupported);
    put_blob(promise, store, &HERE).await?;
    for name in [&RepositoryName::constant("suite/absent"), &HERE] {
        promise.fails(store.delete_tag(name, &tag, any()).await, is_absent)?;
        let deleted = store.delete_manifest(name, &digest, any()).await;
        promise.fails(deleted, is_absent)?;
        promise.fails(store.delete_blob(name, &digest, any()).await, is_absent)?;
    }
    Ok(())
}

/// What can be deleted.
#[derive(Clone, Copy)]
enum Kind {
    Tag,
    Manifest,
    Blob,
}

async fn check_dropped<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    let promise = Promise("a delete that is dropped has not happened");
    let tag = Tag::constant("latest");
    let manifest = manifests::manifest("one")?;
    for kind in [Kind::Tag, Kind::Manifest, Kind::Blob] {
        let mut times = 0;
        loop {
            let store = make().await;
            put(promise, &store, &manifest, &tag).await?;
            put_blob(promise, &store, &NAME).await?;
            let delete = async {
                match kind {
                    Kind::Tag => store.delete_tag(&NAME, &tag, any()).await,
                    Kind::Manifest => {
                        let digest = manifest.digest();
                        store.delete_manifest(&NAME, digest, any()).await
                    }
                    Kind::Blob => store.delete_blob(&NAME, &blob(), any()).await,
                }
            };
            if poll_times(delete, times).await.is_some() {
                break;
            }
            settle().await;
            let found = find(promise, &store, tag.clone()).await?;
            promise.equal(found.as_ref(), Some(&manifest))?;
            has(promise, &store, &NAME).await?;
            times += 1;
        }
    }
    Ok(())
}
