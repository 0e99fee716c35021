//! A store that breaks one promise, and the proof that the suites name it.

use std::{
    collections::{HashMap, HashSet},
    fmt::Display,
    sync::{Arc, Mutex, MutexGuard, mpsc},
    thread,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, SemaphorePermit};
use tower_oci::{
    BlobSource, Descriptor, Digest, Manifest, MemoryStore, Page, RepositoryName, SourceError, Tag,
    UploadBody, UploadId,
    testing::{BrokenContract, source_suite, store_suite},
};

mod commits;
mod deletes;
mod lists;
mod reads;
mod sessions;
mod uploads;
mod ways;
mod writes;

use ways::{How, Suite, WAYS};

type Answer<T> = Result<T, SourceError>;

/// A [`MemoryStore`] that breaks one promise.
#[derive(Clone)]
struct Broken {
    store: MemoryStore,
    how: How,
    state: Arc<Mutex<State>>,
    /// What only one request can have, where it breaks a promise that others wait for it.
    turn: Arc<Semaphore>,
}

/// What some of the ways need to remember.
#[derive(Default)]
struct State {
    marks: HashSet<String>,
    /// The sessions that were begun, and where.
    sessions: HashMap<UploadId, RepositoryName>,
    /// How many sessions or manifests a repository has.
    counts: HashMap<RepositoryName, usize>,
    /// The blobs that were committed, and where.
    committed: Vec<(RepositoryName, Digest)>,
    /// Where blobs were mounted.
    mounts: Vec<RepositoryName>,
    /// Manifests that are found although they were deleted.
    ghosts: HashMap<String, Manifest>,
    deleted_tags: Vec<Tag>,
    /// Lists of referrers, by subject.
    referrers: HashMap<Digest, Vec<Descriptor>>,
}

impl Broken {
    fn new(store: MemoryStore, how: How) -> Self {
        Self {
            store,
            how,
            state: Arc::default(),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    fn is(&self, how: How) -> bool {
        self.how == how
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn mark(&self, what: impl Display) {
        self.state().marks.insert(what.to_string());
    }

    fn is_marked(&self, what: impl Display) -> bool {
        self.state().marks.contains(&what.to_string())
    }

    /// Counts more or fewer in `repository`, and says how many there are.
    fn count(&self, repository: &RepositoryName, change: isize) -> usize {
        let mut state = self.state();
        let count = state.counts.entry(repository.clone()).or_default();
        *count = count.saturating_add_signed(change);
        *count
    }

    /// Waits until no other request has the turn, where that is what is broken.
    async fn wait_turn(&self, ways: &[How]) -> Option<SemaphorePermit<'_>> {
        match ways.contains(&self.how) {
            true => self.turn.acquire().await.ok(),
            false => None,
        }
    }

    /// All repositories.
    async fn names(&self) -> Vec<RepositoryName> {
        self.store
            .repositories(Page::first(1_000))
            .await
            .unwrap()
            .items
    }

    /// Does `work` whether it is waited for or not.
    async fn detached<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        tokio::spawn(work).await.unwrap()
    }
}

/// Marks something if a request is dropped before it has ended.
struct Unfinished<'a> {
    store: &'a Broken,
    mark: Option<String>,
}

impl<'a> Unfinished<'a> {
    /// In these ways only.
    fn new(store: &'a Broken, mark: impl Display, ways: &[How]) -> Self {
        let is_broken = ways.contains(&store.how);
        let mark = is_broken.then(|| mark.to_string());
        Self { store, mark }
    }

    fn end(mut self) {
        self.mark = None;
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(mark) = &self.mark {
            self.store.mark(mark);
        }
    }
}

/// What comes of a body before it ends or breaks.
async fn received(body: &mut UploadBody) -> (Vec<u8>, Option<SourceError>) {
    let mut received = Vec::new();
    while let Some(piece) = body.next().await {
        match piece {
            Ok(piece) => received.extend_from_slice(&piece),
            Err(error) => return (received, Some(error)),
        }
    }
    (received, None)
}

async fn run(suite: Suite, how: How) -> Result<(), BrokenContract> {
    match suite {
        Suite::Source => {
            source_suite(async |fixture| Broken::new(super::holding(fixture), how)).await
        }
        Suite::Store => store_suite(async || Broken::new(MemoryStore::new(), how)).await,
    }
}

#[tokio::test]
async fn a_store_that_breaks_nothing_is_not_blamed() {
    run(Suite::Source, How::Not).await.unwrap();
    run(Suite::Store, How::Not).await.unwrap();
}

/// Each in a thread of its own, because a suite that hangs or panics has failed too.
#[test]
fn every_way_to_break_a_promise_is_told_by_that_promise() {
    let (sender, receiver) = mpsc::channel();
    let ways = WAYS.iter().flat_map(|(suite, promise, ways)| {
        let all = ways.iter();
        all.map(move |how| (*suite, *promise, *how))
    });
    let ways: Vec<(Suite, &str, How)> = ways.collect();
    for (suite, promise, how) in ways.clone() {
        let sender = sender.clone();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            let told = runtime.unwrap().block_on(run(suite, how));
            let _ = sender.send((how, promise, told));
        });
    }
    drop(sender);
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut answered, mut wrong) = (Vec::new(), Vec::new());
    // It ends when all threads have ended, and not before a thread that hangs.
    while let Ok((how, promise, told)) =
        receiver.recv_timeout(deadline.saturating_duration_since(Instant::now()))
    {
        answered.push(how);
        match told {
            Ok(()) => wrong.push(format!("{how:?} is not noticed")),
            Err(told) if told.promise() != promise => wrong.push(format!("{how:?}: {told}")),
            Err(told) => {
                let text = told.to_string();
                assert!(text.starts_with(promise) && text.len() > promise.len() + 2);
            }
        }
    }
    let silent = ways.iter().filter(|(.., how)| !answered.contains(how));
    wrong.extend(silent.map(|(.., how)| format!("{how:?}: the suite panics or hangs")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
