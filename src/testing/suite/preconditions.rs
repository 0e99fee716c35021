//! Preconditions of puts, one compare-and-swap each.

use futures_util::future::join_all;

use super::{
    Checked, Promise,
    manifests::{NAME, find, manifest, new, put},
};
use crate::{
    digest::Digest,
    manifest::Manifest,
    name::Tag,
    source::SourceError,
    store::{BlobStore, Precondition, StoredManifest, TagUpdate},
};

pub(super) async fn check<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    check_each(&make().await).await?;
    check_all_tags(&make().await).await?;
    check_tag_races(&make().await).await?;
    check_digest_race(&make().await).await
}

static GUARDED: Tag = Tag::constant("guarded");

fn none() -> Precondition {
    Precondition::default()
}

fn failed(error: &SourceError) -> bool {
    matches!(
        error,
        SourceError::PreconditionFailed | SourceError::Immutable
    )
}

/// Puts a manifest with a tag, each with its precondition.
async fn put_if(
    store: &impl BlobStore,
    manifest: &Manifest,
    of_tag: Precondition,
    of_digest: Precondition,
) -> Checked<Result<StoredManifest, SourceError>> {
    let mut new = new(manifest)?;
    new.tags = vec![TagUpdate::new(GUARDED.clone(), of_tag)];
    new.precondition = of_digest;
    Ok(store.put_manifest(&NAME, new).await)
}

async fn check_each(store: &impl BlobStore) -> Checked {
    let promise = Promise("a precondition that does not hold changes nothing");
    let (one, two) = (manifest("one")?, manifest("two")?);
    for absent in [none().must_exist(), none().if_match([*one.digest()])] {
        let refused = put_if(store, &one, absent.clone(), none()).await?;
        promise.fails(refused, failed)?;
        let refused = put_if(store, &one, none(), absent).await?;
        promise.fails(refused, failed)?;
        promise.equal(find(promise, store, GUARDED.clone()).await?, None)?;
        promise.equal(find(promise, store, *one.digest()).await?, None)?;
    }
    let created = put_if(store, &one, none().create_only(), none().create_only()).await?;
    promise.ok(created)?;
    for present in [
        none().create_only(),
        none().create_or_same(),
        none().if_match([*two.digest()]),
        none().unless([*one.digest()]),
    ] {
        let refused = put_if(store, &two, present, none()).await?;
        promise.fails(refused, failed)?;
        let found = find(promise, store, GUARDED.clone()).await?;
        promise.equal(found.as_ref(), Some(&one))?;
        promise.equal(find(promise, store, *two.digest()).await?, None)?;
    }
    let refused = put_if(store, &one, none(), none().create_only()).await?;
    promise.fails(refused, failed)?;

    let promise = Promise("a precondition that holds lets a put happen");
    let same = put_if(store, &one, none().create_or_same(), none().must_exist()).await?;
    promise.ok(same)?;
    let matched = none().if_match([*two.digest(), *one.digest()]);
    promise.ok(put_if(store, &two, matched, none()).await?)?;
    let other = none().unless([*one.digest()]);
    promise.ok(put_if(store, &two, other, none()).await?)?;
    let found = find(promise, store, GUARDED.clone()).await?;
    promise.equal(found.as_ref(), Some(&two))
}

/// Of several tags one cannot be set, so none is.
async fn check_all_tags(store: &impl BlobStore) -> Checked {
    let promise = Promise("all preconditions hold, or nothing of a put happens");
    let (before, after) = (Tag::constant("before"), Tag::constant("later"));
    let (one, two) = (manifest("one")?, manifest("two")?);
    put(promise, store, &one, &GUARDED).await?;
    put(promise, store, &one, &before).await?;
    let mut new = new(&two)?.tag(before.clone());
    let guarded = TagUpdate::new(GUARDED.clone(), none().create_only());
    new.tags.push(guarded);
    let refused = store.put_manifest(&NAME, new.tag(after.clone())).await;
    promise.fails(refused, failed)?;
    for (tag, expected) in [
        (before, Some(&one)),
        (GUARDED.clone(), Some(&one)),
        (after, None),
    ] {
        let found = find(promise, store, tag).await?;
        promise.equal(found.as_ref(), expected)?;
    }
    promise.equal(find(promise, store, *two.digest()).await?, None)
}

/// Puts several manifests at once, all with this precondition of the tag. One of them wins.
async fn race(promise: Promise, store: &impl BlobStore, of_tag: Precondition) -> Checked<Digest> {
    let manifests = (0..8).map(|number| manifest(&format!("{number} {of_tag:?}")));
    let manifests = manifests.collect::<Checked<Vec<Manifest>>>()?;
    let puts = manifests.iter().map(async |manifest| {
        let stored = put_if(store, manifest, of_tag.clone(), none()).await?;
        Ok((stored.is_ok(), manifest))
    });
    let results = join_all(puts).await;
    let results = results.into_iter().collect::<Checked<Vec<_>>>()?;
    let winners = results.into_iter().filter(|(won, _)| *won);
    let winners: Vec<&Manifest> = winners.map(|(_, manifest)| manifest).collect();
    let [winner] = winners[..] else {
        return Err(promise.broken(format_args!("{} succeeded", winners.len())));
    };
    let found = find(promise, store, GUARDED.clone()).await?;
    promise.equal(found.as_ref(), Some(winner))?;
    Ok(*winner.digest())
}

async fn check_tag_races(store: &impl BlobStore) -> Checked {
    let promise = Promise("of puts that all want to create one tag exactly one succeeds");
    let created = race(promise, store, none().create_only()).await?;
    let promise = Promise("of puts that all want to move one tag exactly one succeeds");
    race(promise, store, none().if_match([created]))
        .await
        .map(drop)
}

async fn check_digest_race(store: &impl BlobStore) -> Checked {
    let promise = Promise("of puts that all want to create one manifest exactly one succeeds");
    let manifest = manifest("raced")?;
    let puts = (0..8).map(|_| put_if(store, &manifest, none(), none().create_only()));
    let results = join_all(puts).await;
    let results = results.into_iter().collect::<Checked<Vec<_>>>()?;
    let winners = results.iter().filter(|stored| stored.is_ok());
    promise.equal(winners.count(), 1)
}
