//! The deletes of the broken store.

use tower_oci::{
    BlobSource, BlobStore, Digest, Found, GetManifest, ListReferrers, Manifest, MissingContent,
    Page, Precondition, Reference, RepositoryName, SourceError, Tag,
};

use super::{Answer, Broken, How::*};

impl Broken {
    pub(super) async fn delete_one_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
        mut precondition: Precondition,
    ) -> Answer<()> {
        let reference = Reference::from(tag.clone());
        let info = self.store.stat_manifest(repository, &reference).await;
        match self.how {
            DeleteTagDoesNothing => return info.map(drop),
            DeleteTagIgnoresItsPrecondition => precondition = Precondition::default(),
            _ => {}
        }
        let deleted = match self.how {
            DroppedDeleteOfTagLands => {
                let store = self.store.clone();
                let (repository, tag) = (repository.clone(), tag.clone());
                self.detached(
                    async move { store.delete_tag(&repository, &tag, precondition).await },
                )
                .await
            }
            _ => self.store.delete_tag(repository, tag, precondition).await,
        };
        self.absent(deleted, self.is(DeletesAbsentTags))?;
        let any = Precondition::default;
        match (self.how, info) {
            (DeleteTagDeletesTheManifest, Ok(info)) => {
                let deleted = self.store.delete_manifest(repository, &info.digest, any());
                deleted.await?;
            }
            (DeleteTagDeletesOtherTags, _) => {
                for other in self.store.tags(repository, Page::first(100)).await?.items {
                    self.store.delete_tag(repository, &other, any()).await?;
                }
            }
            (DeleteTagDeletesEverywhere, _) => {
                for name in self.names().await {
                    let _ = self.store.delete_tag(&name, tag, any()).await;
                }
            }
            (DeletedTagsStayListed, _) => self.state().deleted_tags.push(tag.clone()),
            (RepositoryEndsWithItsTags, _) => self.mark("deleted"),
            _ => {}
        }
        Ok(())
    }

    /// What is told of something that is not there.
    fn absent(&self, deleted: Answer<()>, is_fine: bool) -> Answer<()> {
        match (self.how, deleted) {
            (_, Err(SourceError::NotFound(_))) if is_fine => Ok(()),
            (
                DeletesInAbsentRepositories,
                Err(SourceError::NotFound(MissingContent::Repository)),
            ) => Ok(()),
            (FailsToDeleteWhatIsAbsent, Err(SourceError::NotFound(MissingContent::Repository))) => {
                Err(SourceError::backend("nothing there"))
            }
            (_, deleted) => deleted,
        }
    }

    async fn found(&self, repository: &RepositoryName, digest: &Digest) -> Option<Manifest> {
        let (reference, options) = (Reference::from(*digest), GetManifest::default());
        let found = self.store.manifest(repository, &reference, options).await;
        match found {
            Ok(Found::Content(manifest)) => Some(manifest),
            _ => None,
        }
    }

    pub(super) async fn delete_one_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        mut precondition: Precondition,
    ) -> Answer<()> {
        let manifest = self.found(repository, digest).await;
        match self.how {
            DeleteManifestDoesNothing if precondition == Precondition::default() => {
                let missing = SourceError::NotFound(MissingContent::Manifest);
                return manifest.map(drop).ok_or(missing);
            }
            DeleteManifestIgnoresItsPrecondition => precondition = Precondition::default(),
            DeleteManifestKeepsTags => self.keep_tags(repository, digest).await?,
            _ => {}
        }
        let deleted = match self.how {
            DroppedDeleteOfManifestLands => {
                let (store, repository) = (self.store.clone(), repository.clone());
                let digest = *digest;
                self.detached(async move {
                    store
                        .delete_manifest(&repository, &digest, precondition)
                        .await
                })
                .await
            }
            _ => {
                let deleted = self.store.delete_manifest(repository, digest, precondition);
                deleted.await
            }
        };
        self.absent(deleted, self.is(DeletesManifestsTwice))?;
        match manifest {
            Some(manifest) => self.delete_relatives(repository, &manifest).await,
            None => Ok(()),
        }
    }

    async fn keep_tags(&self, repository: &RepositoryName, digest: &Digest) -> Answer<()> {
        for tag in self.store.tags(repository, Page::first(100)).await?.items {
            let reference = Reference::from(tag);
            let info = self.store.stat_manifest(repository, &reference).await?;
            if info.digest == *digest
                && let Some(manifest) = self.found(repository, digest).await
            {
                let ghost = format!("{repository} {reference}");
                self.state().ghosts.insert(ghost, manifest);
            }
        }
        Ok(())
    }

    /// What goes with a manifest although it should not, or stays.
    async fn delete_relatives(
        &self,
        repository: &RepositoryName,
        manifest: &Manifest,
    ) -> Answer<()> {
        let digest = manifest.digest();
        let referrer = manifest.referrer().unwrap();
        let json: serde_json::Value = serde_json::from_slice(manifest.bytes()).unwrap();
        let children = json["manifests"].as_array().cloned().unwrap_or_default();
        let children = children.iter().filter_map(|child| child["digest"].as_str());
        let relatives: Vec<Digest> = match self.how {
            DeleteManifestDeletesItsSubject => {
                referrer.into_iter().map(|(subject, _)| subject).collect()
            }
            DeleteManifestDeletesItsChildren => children.map(|it| it.parse().unwrap()).collect(),
            DeleteManifestDeletesItsReferrers => {
                let options = ListReferrers::new(Page::first(100));
                let entries = self.store.referrers(repository, digest, options).await?;
                entries.items.iter().map(|entry| entry.digest).collect()
            }
            DeleteManifestKeepsItsEntry => {
                if let Some((subject, entry)) = referrer {
                    let mut state = self.state();
                    state.referrers.entry(subject).or_default().push(entry);
                }
                Vec::new()
            }
            RepositoryEndsWithItsManifests => {
                if self.count(repository, -1) == 0 {
                    self.mark(repository);
                }
                Vec::new()
            }
            _ => Vec::new(),
        };
        let any = Precondition::default;
        for relative in relatives {
            let _ = self
                .store
                .delete_manifest(repository, &relative, any())
                .await;
        }
        for name in self.names().await {
            if self.is(DeleteManifestDeletesEverywhere) {
                let _ = self.store.delete_manifest(&name, digest, any()).await;
            }
        }
        Ok(())
    }

    pub(super) async fn delete_one_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        mut precondition: Precondition,
    ) -> Answer<()> {
        match self.how {
            DeleteBlobDoesNothing if precondition == Precondition::default() => {
                return self.store.stat_blob(repository, digest).await.map(drop);
            }
            DeleteBlobIgnoresItsPrecondition => precondition = Precondition::default(),
            _ => {}
        }
        let deleted = match self.how {
            DroppedDeleteOfBlobLands => {
                let (store, repository) = (self.store.clone(), repository.clone());
                let digest = *digest;
                self.detached(
                    async move { store.delete_blob(&repository, &digest, precondition).await },
                )
                .await
            }
            _ => {
                self.store
                    .delete_blob(repository, digest, precondition)
                    .await
            }
        };
        self.absent(deleted, self.is(DeletesBlobsTwice))?;
        match self.how {
            DeletedBlobsAreStated | DeletedBlobsStayGone | DeleteBlobBreaksDownloads => {
                self.mark(format!("{repository} {digest}"));
            }
            RepeatsTheFinishOfDeletedBlobs => self.mark("deleted"),
            RepositoryEndsWithItsBlobs => self.mark(repository),
            _ => {}
        }
        let names = match self.how {
            DeleteBlobDeletesEverywhere => self.names().await,
            DeleteBlobDeletesMounts => self.state().mounts.clone(),
            _ => Vec::new(),
        };
        for name in names {
            let any = Precondition::default();
            let _ = self.store.delete_blob(&name, digest, any).await;
        }
        Ok(())
    }
}
