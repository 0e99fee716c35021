//! Files of a source that stay open between requests.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{position::PositionedFile, stamp::Stamp};
use crate::digest::Digest;

/// How many files stay open: few of the 1,024 that a process usually may have.
const MOST_FILES: usize = 256;

/// The largest file that stays open, in bytes. To open it is nothing beside sending a larger one, and
/// the disk keeps what is open, even if it was deleted.
const LARGEST_FILE: u64 = 1 << 20;

/// The largest content whose bytes are kept too: 16 MiB in all.
const LARGEST_CONTENT: usize = 64 << 10;

/// How long a file is served before its path is looked at again. A change of the folders above it
/// shows only there.
const FRESH: Duration = Duration::from_millis(500);

/// How long a file stays open that nobody has opened again.
const STALE: Duration = Duration::from_secs(2);

/// The files of all layouts of a source that were asked for lately.
///
/// A request that finds its file here opens, looks up and waits for nothing. It never gets what was
/// deleted or written to: the file itself is looked at each time, and has to be what it was. Where
/// an open file does not show that it was deleted (in the lower layer of an overlay, or by another
/// machine), its path does, when it is looked at again.
#[derive(Default)]
pub(super) struct KeptFiles {
    files: Mutex<Files>,
    layouts: AtomicU64,
}

#[derive(Default)]
struct Files {
    kept: HashMap<(u64, Digest), Entry>,
    swept: Option<Instant>,
}

struct Entry {
    content: Arc<Kept>,
    since: Instant,
}

/// The part of [`KeptFiles`] that belongs to one layout.
#[derive(Clone)]
pub(super) struct KeptOfLayout {
    all: Arc<KeptFiles>,
    layout: u64,
}

/// Content whose file is open.
pub(super) struct Kept {
    pub(super) file: Arc<PositionedFile>,
    /// That of the file when it was opened.
    pub(super) stamp: Stamp,
    /// All of it, if it is small, and was not changed shortly before.
    pub(super) bytes: Option<Bytes>,
    /// Whether these have the digest, as those of a manifest must.
    pub(super) is_verified: bool,
}

impl Kept {
    /// The bytes, if they are verified.
    pub(super) fn verified(&self) -> Option<&Bytes> {
        self.bytes.as_ref().filter(|_| self.is_verified)
    }

    /// Whether it is of the same file as `other`, and has all that that has.
    fn includes(&self, other: &Self) -> bool {
        let has = |kept: &Self| (kept.is_verified, kept.bytes.is_some());
        self.stamp == other.stamp && has(self) >= has(other)
    }
}

impl KeptFiles {
    /// Room for the files of one more layout.
    pub(super) fn of_layout(self: &Arc<Self>) -> KeptOfLayout {
        KeptOfLayout {
            all: self.clone(),
            layout: self.layouts.fetch_add(1, Ordering::Relaxed),
        }
    }

    // Each change is a single one, of the map or of an entry, so a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptOfLayout {
    /// The content with `digest`, if its file is open, was found at its path a moment ago, and is
    /// still what it was. Waits for no disk.
    pub(super) fn get(&self, digest: &Digest) -> Option<Arc<Kept>> {
        let kept = {
            let files = self.all.lock();
            let entry = files.kept.get(&(self.layout, *digest))?;
            (entry.since.elapsed() < FRESH).then(|| entry.content.clone())?
        };
        (kept.file.stamp_now().as_ref() == Some(&kept.stamp)).then_some(kept)
    }

    /// The manifest with `digest` as it was verified before, if its file had this stamp then.
    pub(super) fn verified(&self, digest: &Digest, stamp: &Stamp) -> Option<Bytes> {
        let files = self.all.lock();
        let content = &files.kept.get(&(self.layout, *digest))?.content;
        content
            .verified()
            .filter(|_| content.stamp == *stamp)
            .cloned()
    }

    /// Keeps a file open that was found at its path at `since` or later, unless it is too large or
    /// there are too many.
    pub(super) fn keep(&self, digest: Digest, mut content: Kept, since: Instant) {
        if content.stamp.size() > LARGEST_FILE || content.stamp.is_deleted() {
            return;
        }
        content.bytes.take_if(|bytes| bytes.len() > LARGEST_CONTENT);
        let content = Arc::new(content);
        let key = (self.layout, digest);
        // To close a file may wait for the disk, and async threads wait for the lock: it comes after.
        let _closed = {
            let mut files = self.all.lock();
            let mut closed = files.sweep();
            let has_room = files.has_room();
            match files.kept.get_mut(&key) {
                Some(entry) if entry.content.includes(&content) => entry.since = since,
                None if !has_room => {}
                _ => closed.extend(files.kept.insert(key, Entry { content, since })),
            }
            closed
        };
    }

    /// Goes on to keep a manifest whose path was looked at, at `since` or later, and led to a file
    /// with this stamp. Whether that is done, or the manifest cannot be kept.
    pub(super) fn renew(&self, digest: &Digest, stamp: &Stamp, since: Instant) -> bool {
        let (is_renewed, has_room, _closed) = {
            let mut files = self.all.lock();
            let is_renewed = files.renew(&(self.layout, *digest), stamp, since);
            let closed = files.sweep();
            (is_renewed, files.has_room(), closed)
        };
        is_renewed || stamp.size() > LARGEST_CONTENT as u64 || !has_room
    }
}

impl Files {
    fn has_room(&self) -> bool {
        self.kept.len() < MOST_FILES
    }

    /// Whether it is a manifest with this stamp that is kept, from `since` on.
    fn renew(&mut self, key: &(u64, Digest), stamp: &Stamp, since: Instant) -> bool {
        match self.kept.get_mut(key) {
            Some(Entry { content, since: at })
                if content.verified().is_some() && content.stamp == *stamp =>
            {
                *at = since;
                true
            }
            _ => false,
        }
    }

    /// Takes out the files that nobody has opened for a while, now and then.
    fn sweep(&mut self) -> Vec<Entry> {
        if self.swept.is_some_and(|swept| swept.elapsed() < FRESH) {
            return Vec::new();
        }
        self.swept = Some(Instant::now());
        let is_stale = |entry: &Entry| entry.since.elapsed() >= STALE;
        let stale = self.kept.extract_if(|_, entry| is_stale(entry));
        stale.map(|(_, entry)| entry).collect()
    }
}
