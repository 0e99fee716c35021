//! One version of a layout: what its index leads to, found without a walk where that is possible.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;

use super::{
    super::{MissingContent, SourceError},
    content::Content,
    file::{ContentFile, FileError, Size},
    index::Index,
    reached::{Child, Reached},
    refreshed::{Age, Refreshed, on_blocking_thread},
    verified::Verified,
    walk::Walk,
};
use crate::{
    digest::Digest,
    media_type::MediaType,
    name::{Reference, Tag},
};

/// How long the result of a walk that met missing or broken files is used before the next.
const WALK_AGAIN: Duration = Duration::from_secs(1);

/// A layout as it was at one moment. It never changes; more of it gets known.
pub(super) struct View {
    index: Arc<Index>,
    reached: Arc<Reached>,
    walk: Refreshed<Walk>,
    verified: Arc<Verified>,
}

/// A manifest that a request names.
pub(super) struct FoundManifest {
    pub(super) media_type: MediaType,
    pub(super) file: ContentFile,
    view: Arc<View>,
    /// Whether the view knows what it says.
    is_followed: bool,
    /// The bytes, if they were read to find it.
    bytes: Option<Bytes>,
}

impl FoundManifest {
    /// The bytes, if they are at hand and nothing is left to be learnt from them.
    pub(super) fn bytes_now(&self) -> Option<Bytes> {
        if !self.is_followed {
            return None;
        }
        self.bytes.clone().or_else(|| self.file.manifest_now())
    }

    /// The bytes, verified. What they say is known to the view then. Blocks.
    pub(super) fn read(&self) -> Result<Bytes, FileError> {
        let bytes = self.view.verified.read(&self.file)?;
        if !self.is_followed {
            self.view
                .follow(&self.file.digest, &self.media_type, &bytes);
        }
        Ok(bytes)
    }

    /// The length of the file, which has the right content. Blocks.
    pub(super) fn length(&self) -> Result<u64, FileError> {
        match self.is_followed {
            true => self.view.verified.length(&self.file),
            false => Ok(self.read()?.len() as u64),
        }
    }

    /// Looks at the file on a blocking thread, and answers for it if that fails.
    pub(super) async fn on_file<T: Send + 'static>(
        self,
        look: fn(&Self) -> Result<T, FileError>,
    ) -> Result<T, SourceError> {
        let answer = move || {
            let failed = |error| self.file.answer(error, MissingContent::Manifest);
            look(&self).map_err(failed)
        };
        on_blocking_thread(answer).await?
    }
}

impl View {
    /// The view of an index that takes the place of the one `before`.
    pub(super) fn new(index: Index, before: Option<&Self>) -> Self {
        let (index, reached) = (Arc::new(index), Arc::new(Reached::default()));
        let of_walk = (index.clone(), reached.clone());
        // What the walk through the view before found is still true of what has the same digest.
        let seed = before.and_then(|before| before.walk.last());
        let walk = move |before: Option<Arc<Walk>>| {
            let (index, reached) = &of_walk;
            let walk = Walk::of(index, before.as_deref(), reached);
            if walk.is_complete() {
                reached.forget();
            }
            Arc::new(walk)
        };
        Self {
            index,
            reached,
            walk: Refreshed::unmade(seed, walk),
            verified: Arc::default(),
        }
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn tags(&self) -> &BTreeMap<Tag, Digest> {
        &self.index.tags
    }

    /// The manifest that `reference` names. One that stands in `index.json` needs no walk, nor does
    /// one that requests have led to.
    pub(super) async fn manifest(
        self: &Arc<Self>,
        reference: &Reference,
    ) -> Result<FoundManifest, SourceError> {
        let missing = SourceError::NotFound(MissingContent::Manifest);
        let digest = match reference {
            Reference::Digest(digest) => digest,
            Reference::Tag(tag) => match self.index.tags.get(tag) {
                Some(digest) => digest,
                None => return Err(missing),
            },
        };
        let entry = self.index.entries.get(digest);
        if let Some(entry) = entry.filter(|entry| entry.media_type.is_manifest()) {
            return Ok(FoundManifest {
                is_followed: entry.is_followed.load(Ordering::Acquire),
                ..self.found(&entry.media_type, self.file(digest, entry.size, true))
            });
        }
        let walked = |walk: &Walk| {
            let manifest = walk.manifests.get(digest)?;
            let file = self.file(digest, manifest.size, manifest.required);
            Some(FoundManifest {
                is_followed: manifest.read.is_some() || self.reached.content(digest).is_some(),
                ..self.found(&manifest.media_type, file)
            })
        };
        if let Some(found) = self.walked(digest, walked) {
            return Ok(found);
        }
        // What `index.json` lists has the type that is given there.
        if entry.is_none()
            && let Some(child) = self.reached.child(digest)
            && let Some(found) = Box::pin(self.child(digest, child)).await?
        {
            return Ok(found);
        }
        Box::pin(self.find(digest, walked)).await?.ok_or(missing)
    }

    /// A manifest that an index has led to, and `index.json` does not list, unless only a walk can
    /// tell what it is.
    async fn child(
        self: &Arc<Self>,
        digest: &Digest,
        child: Child,
    ) -> Result<Option<FoundManifest>, SourceError> {
        let found = || self.found(&child.media_type, self.file(digest, child.size, false));
        let (mut content, mut bytes) = (child.content, None);
        if content.is_none() {
            bytes = match found().on_file(FoundManifest::read).await {
                Ok(bytes) => Some(bytes),
                // No index says that it has to be there.
                Err(absent @ SourceError::NotFound(_)) => return Err(absent),
                Err(_) => return Ok(None),
            };
            content = self.reached.content(digest);
        }
        // Indexes that nobody has read may give it another type. The walk prefers its own.
        let is_own = |content: Arc<Content>| content.own_type.as_ref() == Some(&child.media_type);
        Ok(content.is_some_and(is_own).then(|| FoundManifest {
            is_followed: true,
            bytes,
            ..found()
        }))
    }

    /// Does `work` with the blob that has `digest`. One that requests have led to needs no walk.
    pub(super) async fn with_blob<T, F: Future<Output = Result<T, SourceError>>>(
        &self,
        digest: &Digest,
        work: impl Fn(ContentFile) -> F,
    ) -> Result<T, SourceError> {
        let walked = |walk: &Walk| {
            let blob = walk.blobs.get(digest)?;
            Some(self.file(digest, blob.size, blob.required))
        };
        if let Some(file) = self.walked(digest, walked) {
            return work(file).await;
        }
        let mut failure = SourceError::NotFound(MissingContent::Blob);
        if let Some(size) = self.reached.blob(digest) {
            match work(self.file(digest, size, true)).await {
                // Other manifests may give it another size, or not have to have it.
                Err(error @ (SourceError::Backend(_) | SourceError::NotFound(_))) => {
                    failure = error;
                }
                done => return done,
            }
        }
        let file = self.find(digest, walked).await?.ok_or(failure)?;
        work(file).await
    }

    /// The walk, as complete as it can be now.
    pub(super) async fn walk(&self) -> Result<Arc<Walk>, SourceError> {
        let age = |walk: &Walk, age| {
            if walk.is_complete() || age < WALK_AGAIN {
                Age::Fresh
            } else {
                Age::Stale
            }
        };
        self.walk.get(age).await
    }

    /// What `look` finds in the last walk, if there is one that can tell what the content is.
    fn walked<T>(&self, digest: &Digest, look: impl Fn(&Walk) -> Option<T>) -> Option<T> {
        let walk = self.walk.last_made()?;
        walk.tells_type_of(digest).then(|| look(&walk)).flatten()
    }

    /// What `look` finds. Only a walk that does not have it, or cannot tell what it is, and is not
    /// complete, is done again.
    async fn find<T>(
        &self,
        digest: &Digest,
        look: impl Fn(&Walk) -> Option<T>,
    ) -> Result<Option<T>, SourceError> {
        let any = self.walk.get(|_, _| Age::Fresh).await?;
        if any.tells_type_of(digest)
            && let Some(found) = look(&any)
        {
            return Ok(Some(found));
        }
        drop(any);
        let walk = self.walk().await?;
        let found = look(&walk);
        if let (None, Some(trouble)) = (&found, walk.trouble()) {
            // What could not be read may name this content. Without a file it is absent all the
            // same; with one nobody knows.
            let file = self.file(digest, Size::AsFile, true);
            if !on_blocking_thread(move || file.is_absent()).await? {
                return Err(SourceError::backend(trouble));
            }
        }
        Ok(found)
    }

    /// Lets requests go on from a manifest that was read.
    fn follow(&self, digest: &Digest, stated: &MediaType, bytes: &Bytes) {
        // One that is not complete is done again, and may lose what it has.
        let walk = self.walk.last_made();
        if !walk.is_some_and(|walk| walk.is_complete()) {
            let parse = || Content::of(*digest, stated, bytes.clone());
            self.reached.follow(*digest, parse);
        }
        if let Some(entry) = self.index.entries.get(digest) {
            entry.is_followed.store(true, Ordering::Release);
        }
    }

    fn found(self: &Arc<Self>, media_type: &MediaType, file: ContentFile) -> FoundManifest {
        FoundManifest {
            media_type: media_type.clone(),
            file,
            view: self.clone(),
            is_followed: false,
            bytes: None,
        }
    }

    fn file(&self, digest: &Digest, size: Size, required: bool) -> ContentFile {
        ContentFile {
            place: self.index.place.clone(),
            digest: *digest,
            size,
            required,
        }
    }
}
