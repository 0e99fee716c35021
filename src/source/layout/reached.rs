//! What requests have led to so far, before there is a walk.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{content::Content, file::Size};
use crate::{digest::Digest, media_type::MediaType};

/// What the manifests say that requests have read, so that what lies on the way of a pull is found
/// without a walk.
///
/// It is a part of what a walk through the same index finds. Manifests that nobody has read may
/// describe the same content otherwise, so it tells what to look at, and of what it does not have it
/// tells nothing.
/// Only content of the layout is in it, however many requests there are.
#[derive(Default)]
pub(super) struct Reached(Mutex<Contents>);

#[derive(Default)]
struct Contents {
    /// The manifests that were read.
    read: HashMap<Digest, Arc<Content>>,
    /// The manifests that those list, with the type and the size that the first of them gives.
    children: HashMap<Digest, (MediaType, Size)>,
    /// The blobs that those name, with the size that the first of them gives.
    blobs: HashMap<Digest, Size>,
}

/// A manifest that an index led to.
pub(super) struct Child {
    pub(super) media_type: MediaType,
    pub(super) size: Size,
    /// What it says, if it was read.
    pub(super) content: Option<Arc<Content>>,
}

impl Reached {
    /// Follows what the manifest with `digest` says, unless that was done.
    ///
    /// It is parsed in between, without holding others up: two that read it at the same moment may
    /// both parse it.
    pub(super) fn follow(&self, digest: Digest, parse: impl FnOnce() -> Content) {
        if self.content(&digest).is_none() {
            let content = Arc::new(parse());
            self.lock().add(digest, content);
        }
    }

    /// What the manifest with `digest` says, if it was read.
    pub(super) fn content(&self, digest: &Digest) -> Option<Arc<Content>> {
        self.lock().read.get(digest).cloned()
    }

    /// The manifest with `digest`, if an index led to it.
    pub(super) fn child(&self, digest: &Digest) -> Option<Child> {
        let contents = self.lock();
        let (media_type, size) = contents.children.get(digest)?;
        Some(Child {
            media_type: media_type.clone(),
            size: *size,
            content: contents.read.get(digest).cloned(),
        })
    }

    /// The size of the blob with `digest`, if a manifest led to it.
    pub(super) fn blob(&self, digest: &Digest) -> Option<Size> {
        self.lock().blobs.get(digest).copied()
    }

    /// Forgets all, because a walk has found it, and more.
    pub(super) fn forget(&self) {
        // Freed after the lock.
        let _all = mem::take(&mut *self.lock());
    }

    // What is half added after a panic is true all the same, and is added again.
    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    fn add(&mut self, digest: Digest, content: Arc<Content>) {
        for (child, size, media_type) in &content.children {
            let listed = || (media_type.clone(), Size::Stated(*size));
            self.children.entry(*child).or_insert_with(listed);
        }
        for (blob, size, _) in &content.blobs {
            let stated = Size::Stated(*size);
            self.blobs.entry(*blob).or_insert(stated);
        }
        self.read.insert(digest, content);
    }
}
