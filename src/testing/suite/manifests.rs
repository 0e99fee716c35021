//! Manifests, tags and referrers.

use futures_util::future::join_all;

use super::{
    Checked, Promise, is_no_repository, is_not_found, known, poll_times, settle, uploads::begin,
};
use crate::{
    body::BytesBody,
    descriptor::Descriptor,
    digest::{Algorithm, Digest},
    image::Image,
    listing::Page,
    manifest::Manifest,
    media_type::MediaType,
    name::{Reference, RepositoryName, Tag},
    source::{BlobSource, Found, GetManifest, ListReferrers, SourceError},
    store::{BlobStore, NewManifest, ReferenceCheck, StoredManifest, UploadBody},
    testing::{BuildError, ImageBuilder, IndexBuilder},
};

pub(super) async fn check<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    check_references(&make().await).await?;
    check_tags(&make().await).await?;
    check_media_types(&make().await).await?;
    check_referrers(&make().await).await?;
    check_dropped(make).await
}

pub(super) static NAME: RepositoryName = RepositoryName::constant("suite/manifests");
pub(super) static OTHER: RepositoryName = RepositoryName::constant("suite/others");
static LATEST: Tag = Tag::constant("latest");

pub(super) fn built(image: Result<Image, BuildError>) -> Checked<Image> {
    image.map_err(|error| Promise("the suite is written right").broken(error))
}

/// A manifest that is made of nothing.
pub(super) fn manifest(text: &str) -> Checked<Manifest> {
    let index = built(IndexBuilder::new().annotation("text", text).build())?;
    Ok(index.manifest().clone())
}

pub(super) fn new(manifest: &Manifest) -> Checked<NewManifest> {
    let new = NewManifest::of(manifest.clone());
    new.map_err(|error| Promise("the suite is written right").broken(error))
}

/// Puts a manifest, and points `tag` at it.
pub(super) async fn put(
    promise: Promise,
    store: &impl BlobStore,
    manifest: &Manifest,
    tag: &Tag,
) -> Checked<StoredManifest> {
    put_in(promise, store, &NAME, manifest, tag).await
}

/// Puts a manifest into `repository`, and points `tag` at it.
pub(super) async fn put_in(
    promise: Promise,
    store: &impl BlobStore,
    repository: &RepositoryName,
    manifest: &Manifest,
    tag: &Tag,
) -> Checked<StoredManifest> {
    let new = new(manifest)?.tag(tag.clone());
    promise.ok(store.put_manifest(repository, new).await)
}

/// The manifest that `reference` finds, if it finds one.
pub(super) async fn find(
    promise: Promise,
    store: &impl BlobSource,
    reference: impl Into<Reference>,
) -> Checked<Option<Manifest>> {
    find_in(promise, store, &NAME, reference).await
}

/// The manifest that `reference` finds in `repository`, if it finds one.
pub(super) async fn find_in(
    promise: Promise,
    store: &impl BlobSource,
    repository: &RepositoryName,
    reference: impl Into<Reference>,
) -> Checked<Option<Manifest>> {
    let reference = reference.into();
    let found = store.manifest(repository, &reference, GetManifest::default());
    match found.await {
        Err(error) if is_not_found(&error) => Ok(None),
        found => match promise.ok(found)? {
            Found::Content(manifest) => Ok(Some(manifest)),
            Found::NotModified(_) => Err(promise.broken("NotModified without a condition")),
        },
    }
}

/// Puts a blob of `image`.
async fn put_blob_of(
    promise: Promise,
    store: &impl BlobStore,
    repository: &RepositoryName,
    image: &Image,
    blob: &Descriptor,
) -> Checked {
    let bytes = image.read_blob_verified(blob, 1 << 20).await;
    let bytes = bytes.map_err(|error| promise.broken(error))?;
    let mut body = UploadBody::new(BytesBody::new(bytes));
    let stored = store.put_blob(repository, &blob.digest, begin(), &mut body);
    promise.ok(stored.await).map(drop)
}

async fn check_references(store: &impl BlobStore) -> Checked {
    let promise =
        Promise("a manifest is refused unless all of its content is there, or may be missing");
    let image = built(
        ImageBuilder::new()
            .file("a", "one")
            .file("b", "two")
            .build(),
    )?;
    let index = built(IndexBuilder::new().image(&image).build())?;
    let mut blobs: Vec<&Descriptor> = image.descriptors().collect();
    // What another repository has is not there.
    for blob in &blobs {
        put_blob_of(promise, store, &OTHER, &image, blob).await?;
    }
    while let Some(blob) = blobs.pop() {
        let refused = new(image.manifest())?.tag(LATEST.clone());
        let refused = store.put_manifest(&NAME, refused).await;
        let mut missing: Vec<Digest> = blobs.iter().map(|blob| blob.digest).collect();
        missing.push(blob.digest);
        missing.sort();
        promise.fails(refused, |error| match error {
            SourceError::MissingReferences(told) => {
                let mut told = told.clone();
                told.sort();
                told == missing
            }
            _ => false,
        })?;
        promise.equal(find(promise, store, LATEST.clone()).await?, None)?;
        promise.equal(find(promise, store, *image.digest()).await?, None)?;
        if blobs.len() + 1 == image.descriptors().count() {
            is_no_repository(promise, store, &NAME).await?;
        }
        put_blob_of(promise, store, &NAME, &image, blob).await?;
    }
    put_in(promise, store, &OTHER, image.manifest(), &LATEST).await?;
    let refused = store.put_manifest(&NAME, new(index.manifest())?).await;
    let is_missing = |error: &SourceError| matches!(error, SourceError::MissingReferences(told) if told[..] == [*image.digest()]);
    promise.fails(refused, is_missing)?;
    put(promise, store, image.manifest(), &LATEST).await?;
    promise.ok(store.put_manifest(&NAME, new(index.manifest())?).await)?;
    let found = find(promise, store, *index.digest()).await?;
    promise.equal(found.as_ref(), Some(index.manifest()))?;
    check_other_references(promise, store, image.layers()).await
}

/// An index of plain blobs, and one whose entries are missing.
async fn check_other_references(
    promise: Promise,
    store: &impl BlobStore,
    layers: &[Descriptor],
) -> Checked {
    let of_blobs = layers.iter().cloned();
    let of_blobs = built(
        of_blobs
            .fold(IndexBuilder::new(), IndexBuilder::missing)
            .build(),
    )?;
    promise.ok(store.put_manifest(&NAME, new(of_blobs.manifest())?).await)?;
    let absent = built(ImageBuilder::new().file("b", "absent").build())?;
    let sparse = built(IndexBuilder::new().image(&absent).build())?;
    let sparse_put = new(sparse.manifest())?.check(ReferenceCheck::Sparse);
    promise.ok(store.put_manifest(&NAME, sparse_put).await)?;
    let found = find(promise, store, *sparse.digest()).await?;
    promise.equal(found.as_ref(), Some(sparse.manifest()))
}

async fn check_tags(store: &impl BlobStore) -> Checked {
    let promise = Promise("a tag points at what was put last, and digests find what they named");
    let other = Tag::constant("Latest");
    let (one, two) = (manifest("one")?, manifest("two")?);
    put(promise, store, &one, &LATEST).await?;
    let both = new(&two)?.tag(LATEST.clone()).tag(other.clone());
    promise.ok(store.put_manifest(&NAME, both).await)?;
    let listing = store.tags(&NAME, Page::first(100)).await;
    if let Some(mut listing) = promise.ok_if_supported(listing)? {
        listing.items.sort();
        promise.equal(&listing.items[..], &[other.clone(), LATEST.clone()][..])?;
    }
    for tag in [&LATEST, &other] {
        let found = find(promise, store, tag.clone()).await?;
        promise.equal(found.as_ref(), Some(&two))?;
    }
    put(promise, store, &one, &LATEST).await?;
    let found = find(promise, store, LATEST.clone()).await?;
    promise.equal(found.as_ref(), Some(&one))?;
    let found = find(promise, store, other).await?;
    promise.equal(found.as_ref(), Some(&two))?;
    for manifest in [&one, &two] {
        let found = find(promise, store, *manifest.digest()).await?;
        promise.equal(found.as_ref(), Some(manifest))?;
    }
    let digest = Algorithm::Sha512.digest(one.bytes());
    promise.equal(find(promise, store, digest).await?, None)?;
    let long = Manifest::trusted(digest, one.media_type().clone(), one.bytes().clone());
    let tag = Tag::constant("long");
    put(promise, store, &long, &tag).await?;
    let found = find(promise, store, tag.clone()).await?;
    promise.equal(found.as_ref(), Some(&long))?;

    let promise = Promise("a manifest belongs to the repository that it was put in, and no other");
    put_in(promise, store, &OTHER, &manifest("three")?, &LATEST).await?;
    for reference in [Reference::from(tag), Reference::from(*one.digest())] {
        let found = find_in(promise, store, &OTHER, reference).await?;
        promise.equal(found, None)?;
    }
    let found = find(promise, store, LATEST.clone()).await?;
    promise.equal(found.as_ref(), Some(&one))
}

/// The same bytes, put with one type and then with another.
async fn check_media_types(store: &impl BlobStore) -> Checked {
    let promise = Promise("a manifest has the type that it was put with last");
    for media_type in ["application/vnd.suite.one", "application/vnd.suite.two"] {
        let media_type: MediaType = known(media_type)?;
        let manifest = Manifest::new(media_type, "{}");
        put(promise, store, &manifest, &LATEST).await?;
        for reference in [
            Reference::from(LATEST.clone()),
            Reference::from(*manifest.digest()),
        ] {
            let found = find(promise, store, reference).await?;
            promise.equal(found.as_ref(), Some(&manifest))?;
        }
    }
    Ok(())
}

/// Nothing where the store leaves the list of referrers to its clients.
pub(super) async fn referrers(
    promise: Promise,
    store: &impl BlobSource,
    subject: &Digest,
) -> Checked<Vec<Descriptor>> {
    let options = ListReferrers::new(Page::first(1_000));
    match store.referrers(&NAME, subject, options).await {
        Err(SourceError::Unsupported) => Ok(Vec::new()),
        Err(error) if is_not_found(&error) => Ok(Vec::new()),
        listing => Ok(promise.ok(listing)?.items),
    }
}

async fn check_referrers(store: &impl BlobStore) -> Checked {
    let promise = Promise("what says that it lists referrers lists each once, and loses none");
    // The subject need not be there.
    let subject = built(ImageBuilder::new().build())?;
    let artifacts = (0..8).map(|number| {
        let artifact = IndexBuilder::new()
            .annotation("number", number.to_string())
            .subject(&subject);
        built(artifact.build())
    });
    let artifacts = artifacts.collect::<Checked<Vec<Image>>>()?;
    let puts = artifacts.iter().map(async |artifact| {
        // Twice, as a client does that has lost the answer.
        promise.ok(store.put_manifest(&NAME, new(artifact.manifest())?).await)?;
        promise.ok(store.put_manifest(&NAME, new(artifact.manifest())?).await)
    });
    let stored = join_all(puts)
        .await
        .into_iter()
        .collect::<Checked<Vec<_>>>()?;
    let mut found = referrers(promise, store, subject.digest()).await?;
    found.sort_by_key(|entry| entry.digest);
    if stored.iter().all(|stored| !stored.is_listed_as_referrer) {
        return promise.equal(found, Vec::new());
    }
    let are_all_listed = stored.iter().all(|stored| stored.is_listed_as_referrer);
    promise.holds(are_all_listed, "some are listed and some are not")?;
    let mut expected: Vec<Descriptor> = artifacts
        .iter()
        .filter_map(|artifact| Some(artifact.referrer()?.1))
        .collect();
    expected.sort_by_key(|entry| entry.digest);
    promise.equal(found, expected)
}

async fn check_dropped<S: BlobStore>(make: &impl AsyncFn() -> S) -> Checked {
    let promise = Promise("a put that is dropped has not happened, and no late write lands");
    let before = built(IndexBuilder::new().annotation("text", "one").build())?;
    let dropped = IndexBuilder::new().subject(&before).build();
    let (dropped, before) = (built(dropped)?, before.manifest());
    let mut times = 0;
    loop {
        let store = make().await;
        put(promise, &store, before, &LATEST).await?;
        let new = new(dropped.manifest())?.tag(LATEST.clone());
        let stored = store.put_manifest(&NAME, new);
        if let Some(stored) = poll_times(stored, times).await {
            promise.ok(stored)?;
            let found = find(promise, &store, LATEST.clone()).await?;
            return promise.equal(found.as_ref(), Some(dropped.manifest()));
        }
        settle().await;
        let found = find(promise, &store, LATEST.clone()).await?;
        promise.equal(found.as_ref(), Some(before))?;
        promise.equal(find(promise, &store, *dropped.digest()).await?, None)?;
        let entries = referrers(promise, &store, before.digest()).await?;
        promise.equal(entries, Vec::new())?;
        times += 1;
    }
}
