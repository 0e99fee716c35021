//! What else the broken store commits: mounts and manifests.

use tokio::task::yield_now;
use tower_oci::{
    Algorithm, BlobSource, BlobStore, BytesBody, ContentReference, Digest, Found, GetManifest,
    Manifest, MountFrom, NewManifest, Precondition, Reference, ReferenceCheck, RepositoryName,
    SourceError, StoredManifest, UploadBody, Visibility,
};

use super::{Answer, Broken, How::*};

impl Broken {
    pub(super) async fn mount(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        mut from: MountFrom<'_>,
    ) -> Answer<bool> {
        let everything = Visibility::all();
        match (self.how, from) {
            (MountsNothing, _) => return Ok(true),
            (RefusesMountsFromItself, MountFrom::Repository(from)) if from == repository => {
                return Ok(false);
            }
            (FailsForUnknownOrigins, MountFrom::Repository(from)) => {
                self.store.stat_blob(from, digest).await?;
            }
            (MountsFromAnyRepository, MountFrom::Repository(_))
            | (MountsWhatIsHidden, MountFrom::Anywhere(_)) => {
                from = MountFrom::Anywhere(&everything);
            }
            _ => {}
        }
        let is_mounted = match (self.how, from) {
            (DroppedMountLands, MountFrom::Repository(from)) => {
                let (store, digest) = (self.store.clone(), *digest);
                let (repository, from) = (repository.clone(), from.clone());
                self.detached(async move {
                    let from = MountFrom::Repository(&from);
                    store.mount_blob(&repository, &digest, from).await
                })
                .await?
            }
            _ => self.store.mount_blob(repository, digest, from).await?,
        };
        match (self.how, from) {
            (MountsEverywhere, _) => self.mark(digest),
            (MountsWhatIsMissing, _) => return Ok(true),
            (DeleteBlobDeletesMounts, _) => self.state().mounts.push(repository.clone()),
            (MountMovesTheBlob, MountFrom::Repository(from)) if is_mounted => {
                let any = Precondition::default();
                self.store.delete_blob(from, digest, any).await?;
            }
            (FailedMountMakesARepository, _) if !is_mounted => self.make(repository).await?,
            _ => {}
        }
        Ok(is_mounted)
    }

    /// Makes a repository that has nothing.
    async fn make(&self, repository: &RepositoryName) -> Answer<()> {
        let digest = Algorithm::Sha256.digest("nothing");
        let mut body = UploadBody::new(BytesBody::new("nothing"));
        let stored = self
            .store
            .put_blob(repository, &digest, Default::default(), &mut body);
        stored.await?;
        let any = Precondition::default();
        self.store.delete_blob(repository, &digest, any).await
    }

    pub(super) async fn put_new(
        &self,
        repository: &RepositoryName,
        mut new: NewManifest,
    ) -> Answer<StoredManifest> {
        let refused = new.clone();
        self.change_references(&mut new).await;
        self.change_tags(repository, &mut new).await;
        self.change_preconditions(&mut new);
        let new = match self.how {
            PutsTagByTag if new.tags.len() > 1 => {
                for update in &new.tags {
                    let mut one = new.clone();
                    one.tags = vec![update.clone()];
                    self.store.put_manifest(repository, one).await?;
                }
                new
            }
            RacesForNewTags | RacesForOldTags | RacesForManifests => {
                self.race(repository, new).await?
            }
            _ => new,
        };
        let (digest, referrer) = (*new.manifest.digest(), new.referrer.clone());
        let before = self.store.stat_manifest(repository, &digest.into()).await;
        if let Some((subject, entry)) = referrer.clone() {
            self.list(subject, entry).await;
        }
        let stored = match self.how {
            DroppedPutManifestLands => {
                let (store, repository) = (self.store.clone(), repository.clone());
                self.detached(async move { store.put_manifest(&repository, new).await })
                    .await
            }
            _ => self.store.put_manifest(repository, new).await,
        };
        if self.is(DroppedPutManifestIsKept) {
            yield_now().await;
        }
        if let Err(SourceError::MissingReferences(missing)) = stored {
            return Err(self.refused(repository, refused, missing).await?);
        }
        let mut stored = stored?;
        if self.is(DroppedPutManifestLeavesItsEntry)
            && let Some((subject, _)) = referrer
        {
            self.state().referrers.remove(&subject);
        }
        if self.is(RepositoryEndsWithItsManifests) && before.is_err() {
            self.count(repository, 1);
        }
        match self.how {
            ListsSomeReferrers => stored.is_listed_as_referrer &= digest.as_bytes()[0] & 1 == 0,
            DeniesThatItListsReferrers => stored.is_listed_as_referrer = false,
            _ => {}
        }
        Ok(stored)
    }

    async fn change_references(&self, new: &mut NewManifest) {
        match self.how {
            IgnoresReferences => new.check = ReferenceCheck::Sparse,
            RefusesSparseManifests => new.check = ReferenceCheck::Required,
            IgnoresEntries => new
                .references
                .retain(|reference| matches!(reference, ContentReference::Blob(_))),
            RefusesIndexesOfBlobs => {
                // No blob has the digest of a manifest.
                for reference in &mut new.references {
                    if let ContentReference::Entry(digest) = reference
                        && self.is_blob_anywhere(digest).await
                    {
                        *digest = Algorithm::Sha512.digest(digest.to_string());
                    }
                }
            }
            FindsReferencesElsewhere => {
                let mut missing = Vec::new();
                for reference in &new.references {
                    if !self.is_blob_anywhere(reference.digest()).await {
                        missing.push(*reference);
                    }
                }
                new.references = missing;
            }
            _ => {}
        }
    }

    async fn is_blob_anywhere(&self, digest: &Digest) -> bool {
        for name in self.names().await {
            if self.store.stat_blob(&name, digest).await.is_ok() {
                return true;
            }
        }
        false
    }

    async fn change_tags(&self, repository: &RepositoryName, new: &mut NewManifest) {
        let (digest, options) = (*new.manifest.digest(), GetManifest::default());
        match self.how {
            SetsOneTagOnly => new.tags.truncate(1),
            FoldsNewTags => {
                for update in &mut new.tags {
                    update.tag = update.tag.as_str().to_lowercase().parse().unwrap();
                }
            }
            TagsDoNotMove | MovedTagTakesItsManifestAlong => {
                for update in std::mem::take(&mut new.tags) {
                    let tag = Reference::from(update.tag.clone());
                    match self.store.stat_manifest(repository, &tag).await {
                        Ok(old) if self.is(MovedTagTakesItsManifestAlong) => {
                            if old.digest != digest {
                                let any = Precondition::default();
                                let deleted =
                                    self.store.delete_manifest(repository, &old.digest, any);
                                deleted.await.unwrap();
                            }
                            new.tags.push(update);
                        }
                        Ok(_) => {}
                        Err(_) => new.tags.push(update),
                    }
                }
            }
            NamesManifestsBySha256 => {
                let (media_type, bytes) = (new.manifest.media_type(), new.manifest.bytes());
                new.manifest = Manifest::new(media_type.clone(), bytes.clone());
            }
            KeepsTheFirstMediaType => {
                let known = self
                    .store
                    .manifest(repository, &digest.into(), options)
                    .await;
                if let Ok(Found::Content(known)) = known {
                    new.manifest = known;
                }
            }
            _ => {}
        }
    }

    fn change_preconditions(&self, new: &mut NewManifest) {
        if self.is(IgnoresPreconditionsOfDigests) {
            new.precondition = Precondition::default();
        }
        for update in &mut new.tags {
            let kind = Kind::of(&update.precondition);
            let any = Precondition::default();
            match (self.how, kind) {
                (IgnoresMustExist, Kind::MustExist)
                | (IgnoresIfMatch, Kind::IfMatch)
                | (IgnoresCreateOnly, Kind::CreateOnly)
                | (IgnoresCreateOrSame, Kind::CreateOrSame)
                | (IgnoresUnless, Kind::Unless) => update.precondition = any,
                (RefusesTheSameAgain, Kind::CreateOrSame) => {
                    update.precondition = any.create_only();
                }
                (RefusesListsOfDigests, Kind::IfMatch) => update.precondition = any.if_match([]),
                _ => {}
            }
        }
    }

    /// Checks preconditions, and lets others in before what they are about is written.
    async fn race(&self, repository: &RepositoryName, mut new: NewManifest) -> Answer<NewManifest> {
        let digest = *new.manifest.digest();
        let tags = new.tags.iter_mut();
        let tags = tags.map(|update| {
            (
                Reference::from(update.tag.clone()),
                &mut update.precondition,
            )
        });
        let of_digest = (Reference::from(digest), &mut new.precondition);
        for (reference, precondition) in tags.chain([of_digest]) {
            let is_raced = match self.how {
                RacesForManifests => matches!(reference, Reference::Digest(_)),
                RacesForNewTags => Kind::of(precondition) == Kind::CreateOnly,
                _ => Kind::of(precondition) == Kind::IfMatch,
            };
            if is_raced {
                let current = self.store.stat_manifest(repository, &reference).await;
                let current = current.ok().map(|info| info.digest);
                let wanted = std::mem::take(precondition);
                if wanted.check(current.as_ref(), Some(&digest)).is_err() {
                    return Err(SourceError::PreconditionFailed);
                }
            }
        }
        yield_now().await;
        Ok(new)
    }

    /// Keeps a list of referrers of its own.
    async fn list(&self, subject: Digest, entry: tower_oci::Descriptor) {
        let list = self.state().referrers.get(&subject).cloned();
        let mut list = list.unwrap_or_default();
        match self.how {
            RewritesTheListOfReferrers => {
                yield_now().await;
                list.retain(|known| known.digest != entry.digest);
                list.push(entry);
            }
            ListsRepeatedReferrersTwice => list.push(entry),
            DeleteManifestKeepsItsEntry => list = vec![],
            DroppedPutManifestLeavesItsEntry => list = vec![entry],
            _ => return,
        }
        self.state().referrers.insert(subject, list);
        if self.is(DroppedPutManifestLeavesItsEntry) {
            yield_now().await;
        }
    }

    /// What becomes of a manifest that was refused.
    async fn refused(
        &self,
        repository: &RepositoryName,
        mut new: NewManifest,
        mut missing: Vec<Digest>,
    ) -> Answer<SourceError> {
        match self.how {
            TellsOneMissingReference => missing.truncate(1),
            StoresRefusedManifests => {
                new.check = ReferenceCheck::Sparse;
                self.store.put_manifest(repository, new).await?;
            }
            RefusedManifestMakesARepository => self.make(repository).await?,
            _ => {}
        }
        Ok(SourceError::MissingReferences(missing))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    MustExist,
    IfMatch,
    CreateOnly,
    CreateOrSame,
    Unless,
}

impl Kind {
    /// What is demanded, as far as it can be seen from outside.
    fn of(precondition: &Precondition) -> Self {
        let any = Precondition::default;
        let [stranger, other] = ["stranger", "other"].map(|text| Algorithm::Sha256.digest(text));
        let with_none = precondition.check(None, Some(&other)).is_ok();
        let with_stranger = precondition.check(Some(&stranger), Some(&other)).is_ok();
        match (with_none, with_stranger) {
            _ if *precondition == any() => Self::Any,
            _ if *precondition == any().create_or_same() => Self::CreateOrSame,
            (false, false) => Self::IfMatch,
            (false, true) => Self::MustExist,
            (true, false) => Self::CreateOnly,
            (true, true) => Self::Unless,
        }
    }
}
