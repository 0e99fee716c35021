//! One layout: snapshots of its index, and how a change on disk is noticed.

use std::{path::Path, sync::Arc, time::Instant};

use super::{
    super::SourceError,
    archive::Archive,
    error::LayoutError,
    file::{LayoutDirectory, Place},
    index::Index,
    kept::{KeptFiles, KeptOfLayout},
    marker,
    refreshed::{Age, Refreshed},
    stamp::{Seen, read_if_changed},
    view::View,
};
use crate::{text::with_causes, trace};

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
    pub(super) fn open(
        path: &Path,
        when_gone: WhenGone,
        kept: &Arc<KeptFiles>,
    ) -> Result<Self, LayoutError> {
        let looked = Instant::now();
        if !path.is_file() {
            marker::check(path)?;
        }
        let mut snapshot = Snapshot::default();
        let kept = kept.of_layout();
        snapshot.look(path, &kept)?;
        let look = Snapshot::next(path, when_gone, kept);
        Ok(Self(Refreshed::made(snapshot, looked, look)))
    }

    /// The layout in the directory `path`, read at first need.
    pub(super) fn unread(path: &Path, when_gone: WhenGone, kept: &Arc<KeptFiles>) -> Self {
        let look = Snapshot::next(path, when_gone, kept.of_layout());
        Self(Refreshed::unmade(None, look))
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
        kept: KeptOfLayout,
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
            } else if let Err(error) = next.look(&path, &kept) {
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
    fn look(&mut self, path: &Path, kept: &KeptOfLayout) -> Result<(), LayoutError> {
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
            let directory = LayoutDirectory::new(path).keeping(kept.clone());
            self.show(Place::Directory(directory), &bytes)?;
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
        let index = Index::parse(place, json, before.map(View::index))?;
        self.view = Some(Arc::new(View::new(index, before)));
        Ok(())
    }
}
