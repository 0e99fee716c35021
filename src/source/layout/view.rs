//! One layout: snapshots of its index, and how a change on disk is noticed.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    super::{MissingContent, SourceError},
    archive::Archive,
    error::LayoutError,
    file::{ContentFile, FileError, Place, Size},
    index::{Index, IndexEntry},
    marker,
    refreshed::{Age, Refreshed, on_blocking_thread},
    stamp::{Seen, read_if_changed},
    verified::Verified,
    walk::Walk,
};
use crate::{
    digest::Digest,
    media_type::MediaType,
    name::{Reference, Tag},
    text::with_causes,
    trace,
};

/// How long the result of a walk that met missing or broken files is used before the next.
const WALK_AGAIN: Duration = Duration::from_secs(1);

/// A layout on disk: a directory or an archive.
pub(super) struct Layout(Refreshed<Snapshot>);

/// What happens when a layout disappears.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenGone {
    /// What was seen last is served on: the operator named this layout.
    Keep,
    /// It is no repository any more.
    Forget,
}

/// What one look at a layout found.
#[derive(Default)]
pub(super) struct Snapshot {
    /// The last view that could be read.
    view: Option<Arc<View>>,
    /// The `index.json` file, or the archive, that it was read from.
    seen: Option<Seen>,
    /// Why there is no newer one.
    failure: Option<String>,
    pub(super) gone: bool,
}

impl Layout {
    /// The layout at `path`, which must be one. Blocks.
    pub(super) fn open(path: &Path, when_gone: WhenGone) -> Result<Self, LayoutError> {
        let looked = Instant::now();
        if !path.is_file() {
            marker::check(path)?;
        }
        let mut snapshot = Snapshot::default();
        snapshot.look(path)?;
        let look = Snapshot::next(path, when_gone);
        Ok(Self(Refreshed::made(snapshot, looked, look)))
    }

    /// The layout in the directory `path`, read at first need.
    pub(super) fn unread(path: &Path, when_gone: WhenGone) -> Self {
        Self(Refreshed::unmade(None, Snapshot::next(path, when_gone)))
    }

    /// The layout as it was at most a second ago.
    pub(super) async fn snapshot(&self) -> Result<Arc<Snapshot>, SourceError> {
        self.0.get(Age::of_snapshot).await
    }
}

impl Snapshot {
    pub(super) fn view(&self) -> Result<Arc<View>, SourceError> {
        let failure = || self.failure.clone().unwrap_or_default();
        self.view
            .clone()
            .ok_or_else(|| SourceError::backend(failure()))
    }

    /// How the next snapshot is made from the one before.
    fn next(
        path: &Path,
        when_gone: WhenGone,
    ) -> impl Fn(Option<Arc<Self>>) -> Arc<Self> + Send + Sync + 'static {
        let path = path.to_owned();
        move |before| {
            let mut next = before.as_deref().map_or_else(Self::default, |before| Self {
                view: before.view.clone(),
                seen: before.seen.clone(),
                failure: None,
                gone: false,
            });
            if when_gone == WhenGone::Forget && marker::is_gone(&path) {
                next.gone = true;
            } else if let Err(error) = next.look(&path) {
                let failure = with_causes(&error);
                if before.and_then(|before| before.failure.clone()).as_ref() != Some(&failure) {
                    trace::layout_failed(&failure);
                }
                next.failure = Some(failure);
            }
            Arc::new(next)
        }
    }

    /// Reads what changed since the last look. What is a file is an archive.
    fn look(&mut self, path: &Path) -> Result<(), LayoutError> {
        if path.is_file() {
            return self.look_into_archive(path);
        }
        let file = path.join("index.json");
        let Some((seen, bytes)) = read_if_changed(&file, self.seen.as_ref())? else {
            return Ok(());
        };
        let is_new = self
            .seen
            .as_ref()
            .is_none_or(|before| !before.same_content(&seen));
        if is_new {
            marker::check(path)?;
            self.show(Place::Directory(path.into()), &bytes)?;
        }
        self.seen = Some(seen);
        Ok(())
    }

    fn look_into_archive(&mut self, path: &Path) -> Result<(), LayoutError> {
        let Some((seen, archive, documents)) = Archive::read_if_changed(path, self.seen.as_ref())?
        else {
            return Ok(());
        };
        // Another file may have the same index and other bytes behind it, or get written to later.
        let is_new = |before: &Seen| !(before.same_file(&seen) && before.same_content(&seen));
        if self.seen.as_ref().is_none_or(is_new) {
            self.show(Place::Archive(Arc::new(archive)), &documents.index)?;
        }
        self.seen = Some(seen);
        Ok(())
    }

    /// Makes the view of an `index.json`.
    fn show(&mut self, place: Place, json: &[u8]) -> Result<(), LayoutError> {
        let before = self.view.as_deref();
        let index = Index::parse(place, json, before.map(|view| &*view.index))?;
        self.view = Some(Arc::new(View::new(index, before)));
        Ok(())
    }
}

/// A layout as it was at one moment. It never changes.
pub(super) struct View {
    index: Arc<Index>,
    walk: Refreshed<Walk>,
    verified: Arc<Verified>,
}

/// A manifest that a request names.
pub(super) struct FoundManifest {
    pub(super) media_type: MediaType,
    pub(super) file: ContentFile,
    pub(super) verified: Arc<Verified>,
}

impl FoundManifest {
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
    fn new(index: Index, before: Option<&Self>) -> Self {
        let index = Arc::new(index);
        let of_walk = index.clone();
        // What the walk through the view before found is still true of what has the same digest.
        let seed = before.and_then(|before| before.walk.last());
        let walk = move |before: Option<Arc<Walk>>| Arc::new(Walk::of(&of_walk, before.as_deref()));
        Self {
            index,
            walk: Refreshed::unmade(seed, walk),
            verified: Arc::default(),
        }
    }

    pub(super) fn tags(&self) -> &BTreeMap<Tag, Digest> {
        &self.index.tags
    }

    /// The manifest that `reference` names. One that stands in `index.json` needs no walk.
    pub(super) async fn manifest(
        &self,
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
        if let Some(IndexEntry { media_type, size }) = self.index.entries.get(digest)
            && media_type.is_manifest()
        {
            return Ok(FoundManifest {
                media_type: media_type.clone(),
                file: self.file(digest, *size, true),
                verified: self.verified.clone(),
            });
        }
        let found = |walk: &Walk| {
            let manifest = walk.manifests.get(digest)?;
            Some(FoundManifest {
                media_type: manifest.media_type.clone(),
                file: self.file(digest, manifest.size, manifest.required),
                verified: self.verified.clone(),
            })
        };
        self.find(digest, found).await?.ok_or(missing)
    }

    /// The blob with `digest`.
    pub(super) async fn blob(&self, digest: &Digest) -> Result<ContentFile, SourceError> {
        let found = |walk: &Walk| {
            let blob = walk.blobs.get(digest)?;
            Some(self.file(digest, blob.size, blob.required))
        };
        let found = self.find(digest, found).await?;
        found.ok_or(SourceError::NotFound(MissingContent::Blob))
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

    fn file(&self, digest: &Digest, size: Size, required: bool) -> ContentFile {
        ContentFile {
            place: self.index.place.clone(),
            digest: *digest,
            size,
            required,
        }
    }
}
