//! Deletes: a store need not have them.

use super::{
    Checked, Promise, is_not_found,
    manifests::{self, NAME},
    poll_times, read_blob, settle,
    uploads::begin,
};
use crate::{
    body::BytesBody,
    digest::{Algorithm, Digest},
    listing::Page,
    manifest::Manifest,
    name::{Reference, RepositoryName, Tag},
    source::SourceError,
    store::{BlobStore, Precondition, UploadBody},
    testing::IndexBuilder,
};

pub(super) async fn check<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    check_tag(&make().await).await?;
    check_manifest(&make().await).await?;
    check_blob(&make().await).await?;
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

async fn check_tag(store: &impl BlobStore) -> Checked {
    let promise = Promise("a tag that is deleted is gone, and nothing else");
    let (tag, kept) = (Tag::constant("gone"), Tag::constant("kept"));
    let manifest = manifests::manifest("one")?;
    for tag in [&tag, &kept] {
        manifests::put(promise, store, &manifest, tag).await?;
    }
    let deleted = store.delete_tag(&NAME, &tag, unmet()).await;
    if matches!(deleted, Err(SourceError::Unsupported)) {
        return Ok(());
    }
    promise.fails(deleted, is_failed)?;
    let found = manifests::find(promise, store, tag.clone()).await?;
    promise.equal(found.as_ref(), Some(&manifest))?;
    let met = Precondition::default().if_match([*manifest.digest()]);
    promise.ok(store.delete_tag(&NAME, &tag, met).await)?;
    promise.equal(manifests::find(promise, store, tag).await?, None)?;
    let digest = *manifest.digest();
    for reference in [Reference::from(kept.clone()), Reference::from(digest)] {
        let found = manifests::find(promise, store, reference).await?;
        promise.equal(found.as_ref(), Some(&manifest))?;
    }
    promise.ok(store
        .delete_tag(&NAME, &kept, Precondition::default())
        .await)?;
    let promise = Promise("a repository without tags has an empty list of them");
    let listing = store.tags(&NAME, Page::first(10)).await;
    match promise.ok_if_supported(listing)? {
        Some(listing) => promise.equal(listing.items, Vec::new()),
        None => Ok(()),
    }
}

async fn check_manifest(store: &impl BlobStore) -> Checked {
    let promise = Promise("a manifest that is deleted takes its tags and its entry along, no more");
    let subject = manifests::built(IndexBuilder::new().annotation("a", "subject").build())?;
    let artifact = manifests::built(IndexBuilder::new().subject(&subject).build())?;
    let (first, second) = (Tag::constant("a"), Tag::constant("b"));
    let other = Tag::constant("c");
    for tag in [&first, &second] {
        manifests::put(promise, store, artifact.manifest(), tag).await?;
    }
    manifests::put(promise, store, subject.manifest(), &other).await?;
    let deleted = store
        .delete_manifest(&NAME, artifact.digest(), unmet())
        .await;
    if matches!(deleted, Err(SourceError::Unsupported)) {
        return Ok(());
    }
    promise.fails(deleted, is_failed)?;
    let found = manifests::find(promise, store, first.clone()).await?;
    promise.equal(found.as_ref(), Some(artifact.manifest()))?;
    let any = Precondition::default;
    promise.ok(store.delete_manifest(&NAME, artifact.digest(), any()).await)?;
    for tag in [first, second] {
        promise.equal(manifests::find(promise, store, tag).await?, None)?;
    }
    let found = manifests::find(promise, store, *artifact.digest()).await?;
    promise.equal(found, None)?;
    let entries = manifests::referrers(promise, store, subject.digest()).await?;
    promise.equal(entries, Vec::new())?;
    let found = manifests::find(promise, store, other).await?;
    promise.equal(found.as_ref(), Some(subject.manifest()))?;
    let again = store.delete_manifest(&NAME, artifact.digest(), any()).await;
    promise.fails(again, is_not_found)
}

/// The blob in two repositories.
async fn put_blobs(
    promise: Promise,
    store: &impl BlobStore,
) -> Checked<([RepositoryName; 2], Digest)> {
    let names = ["suite/here", "suite/there"].map(RepositoryName::constant);
    let digest = Algorithm::Sha256.digest("blob");
    for name in &names {
        let mut body = UploadBody::new(BytesBody::new("blob"));
        let stored = store.put_blob(name, &digest, begin(), &mut body).await;
        promise.ok(stored)?;
    }
    Ok((names, digest))
}

async fn check_blob(store: &impl BlobStore) -> Checked {
    let promise = Promise("a blob that is deleted is gone from its repository, and from no other");
    let ([here, there], digest) = put_blobs(promise, store).await?;
    let deleted = store.delete_blob(&here, &digest, unmet()).await;
    if matches!(deleted, Err(SourceError::Unsupported)) {
        return Ok(());
    }
    promise.fails(deleted, is_failed)?;
    let any = Precondition::default;
    promise.ok(store.delete_blob(&here, &digest, any()).await)?;
    let found = read_blob(promise, store, &here, &digest).await?;
    promise.equal(found.as_deref(), None)?;
    promise.fails(store.stat_blob(&here, &digest).await, is_not_found)?;
    let found = read_blob(promise, store, &there, &digest).await?;
    promise.equal(found.as_deref(), Some(&b"blob"[..]))?;
    let again = store.delete_blob(&here, &digest, any()).await;
    promise.fails(again, is_not_found)?;
    // It can be pushed again.
    put_blobs(promise, store).await?;
    let found = read_blob(promise, store, &here, &digest).await?;
    promise.equal(found.as_deref(), Some(&b"blob"[..]))
}

async fn check_absent(store: &impl BlobStore) -> Checked {
    let promise = Promise("what is not there is not found when it shall be deleted");
    let (tag, digest) = (Tag::constant("absent"), Algorithm::Sha256.digest("absent"));
    let is_absent =
        |error: &SourceError| is_not_found(error) || matches!(error, SourceError::Unsupported);
    put_blobs(promise, store).await?;
    for name in ["suite/absent", "suite/here"].map(RepositoryName::constant) {
        let any = Precondition::default;
        promise.fails(store.delete_tag(&name, &tag, any()).await, is_absent)?;
        promise.fails(
            store.delete_manifest(&name, &digest, any()).await,
            is_absent,
        )?;
        promise.fails(store.delete_blob(&name, &digest, any()).await, is_absent)?;
    }
    Ok(())
}

async fn check_dropped<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    let promise = Promise("a delete that is dropped has not happened");
    let tag = Tag::constant("latest");
    let manifest: Manifest = manifests::manifest("one")?;
    let mut times = 0;
    loop {
        let store = make().await;
        manifests::put(promise, &store, &manifest, &tag).await?;
        let deleted = store.delete_manifest(&NAME, manifest.digest(), Precondition::default());
        if poll_times(deleted, times).await.is_some() {
            return Ok(());
        }
        settle().await;
        let found = manifests::find(promise, &store, tag.clone()).await?;
        promise.equal(found.as_ref(), Some(&manifest))?;
        times += 1;
    }
}
