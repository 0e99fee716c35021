//! A value that is made on a blocking thread, shared, and made again when it is too old.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{runtime::Handle, sync::watch};

use super::SourceError;

/// How long a snapshot is served without a new look at the disk being started.
const FRESH: Duration = Duration::from_millis(500);
/// How long a snapshot is served at all: a change on disk is seen within this time.
const STALE: Duration = Duration::from_secs(1);

/// What may be done with a value.
pub(super) enum Age {
    /// It is used.
    Fresh,
    /// It is used, and one request begins to make the next.
    Ageing,
    /// It is not used: all requests wait for the next.
    Stale,
}

impl Age {
    /// The age of what shows the disk as it was.
    pub(super) fn of_snapshot<T>(_: &T, age: Duration) -> Self {
        match age {
            _ if age < FRESH => Self::Fresh,
            _ if age < STALE => Self::Ageing,
            _ => Self::Stale,
        }
    }
}

type Make<T> = dyn Fn(Option<Arc<T>>) -> Arc<T> + Send + Sync;

/// A value, and how to make it from the one before.
///
/// At most one thread makes it at a time. It is no part of the request that began it: that one may
/// be dropped, and the others that wait still get their answer.
pub(super) struct Refreshed<T>(Arc<Inner<T>>);

struct Inner<T> {
    state: Mutex<State<T>>,
    make: Box<Make<T>>,
}

struct State<T> {
    value: Option<Arc<T>>,
    /// When the value began to be made. None for one that only helps to make the first.
    made: Option<Instant>,
    /// Closed when the thread that makes the next value has ended, however it ended.
    making: Option<watch::Receiver<()>>,
}

impl<T: Send + Sync + 'static> Refreshed<T> {
    /// A value that is made at first need, from `seed`.
    pub(super) fn unmade(
        seed: Option<Arc<T>>,
        make: impl Fn(Option<Arc<T>>) -> Arc<T> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                value: seed,
                made: None,
                making: None,
            }),
            make: Box::new(make),
        }))
    }

    /// A value that began to be made at `made`.
    pub(super) fn made(
        value: T,
        made: Instant,
        make: impl Fn(Option<Arc<T>>) -> Arc<T> + Send + Sync + 'static,
    ) -> Self {
        let refreshed = Self::unmade(Some(Arc::new(value)), make);
        refreshed.0.lock().made = Some(made);
        refreshed
    }

    /// The last value, of any age, or the seed.
    pub(super) fn last(&self) -> Option<Arc<T>> {
        self.0.lock().value.clone()
    }

    /// The last value that was made, of any age. Waits for nothing.
    pub(super) fn last_made(&self) -> Option<Arc<T>> {
        let state = self.0.lock();
        state.made.and_then(|_| state.value.clone())
    }

    /// A value that `judge` does not call stale, or one that began to be made during this call.
    pub(super) async fn get(&self, judge: fn(&T, Duration) -> Age) -> Result<Arc<T>, SourceError> {
        let asked = Instant::now();
        // At most two are waited for: one that began before this call, and one that began in it.
        for _ in 0..3 {
            let mut making = {
                let mut state = self.0.lock();
                let usable = state.usable(asked, judge);
                if let Some((value, Age::Fresh)) = usable {
                    return Ok(value);
                }
                let making = self.0.join(&mut state);
                if let Some((value, _)) = usable {
                    return Ok(value);
                }
                making?
            };
            // An error is the end of the channel, which is what is waited for.
            let _ = making.changed().await;
        }
        Err(SourceError::backend(
            "the thread that reads the layout ended without a result",
        ))
    }
}

impl<T> State<T> {
    fn usable(&self, asked: Instant, judge: fn(&T, Duration) -> Age) -> Option<(Arc<T>, Age)> {
        let (value, made) = (self.value.as_ref()?, self.made?);
        let age = match asked.checked_duration_since(made) {
            // What began to be made since then is as new as it can be.
            None | Some(Duration::ZERO) => Age::Fresh,
            Some(age) => judge(value, age),
        };
        match age {
            Age::Stale => None,
            age => Some((value.clone(), age)),
        }
    }
}

impl<T: Send + Sync + 'static> Inner<T> {
    // A panic while the lock is held cannot happen between two changes that belong together.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The end of the thread that makes the next value, which begins unless it runs already.
    fn join(self: &Arc<Self>, state: &mut State<T>) -> Result<watch::Receiver<()>, SourceError> {
        if let Some(making) = &state.making
            && making.has_changed().is_ok()
        {
            return Ok(making.clone());
        }
        let runtime = Handle::try_current().map_err(SourceError::backend)?;
        let (ended, making) = watch::channel(());
        state.making = Some(making.clone());
        let this = self.clone();
        runtime.spawn_blocking(move || {
            let ended = ended;
            this.make();
            drop(ended);
        });
        Ok(making)
    }

    fn make(&self) {
        let made = Instant::now();
        let before = self.lock().value.clone();
        let value = (self.make)(before);
        let mut state = self.lock();
        state.value = Some(value);
        state.made = Some(made);
        state.making = None;
    }
}

impl<T> Clone for Refreshed<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Runs `work` on a blocking thread. It runs to its end even if this future is dropped.
pub(crate) async fn on_blocking_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SourceError> {
    let runtime = Handle::try_current().map_err(SourceError::backend)?;
    let done = runtime.spawn_blocking(work).await;
    done.map_err(SourceError::backend)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        thread,
    };

    use super::*;

    /// A value that takes time, is the number of times it was made, and that number.
    fn counted(fails: bool) -> (Refreshed<usize>, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let counter = made.clone();
        let refreshed = Refreshed::unmade(None, move |_| {
            let number = counter.fetch_add(1, SeqCst) + 1;
            thread::sleep(Duration::from_millis(50));
            assert!(!fails, "the test asked for this panic");
            Arc::new(number)
        });
        (refreshed, made)
    }

    #[tokio::test]
    async fn many_that_wait_share_one_thread_and_one_that_leaves_takes_nothing_away() {
        let (refreshed, made) = counted(false);
        let leaves = tokio::time::timeout(Duration::from_millis(5), async {
            refreshed.get(Age::of_snapshot).await.unwrap()
        });
        assert!(leaves.await.is_err());
        let wait = |refreshed: Refreshed<usize>| async move {
            *refreshed.get(|_, _| Age::Fresh).await.unwrap()
        };
        let waiting: Vec<_> = (0..100)
            .map(|_| tokio::spawn(wait(refreshed.clone())))
            .collect();
        for value in waiting {
            assert_eq!(value.await.unwrap(), 1);
        }
        assert_eq!(made.load(SeqCst), 1);
    }

    #[tokio::test]
    async fn an_ageing_value_is_used_while_one_thread_makes_the_next() {
        let (refreshed, made) = counted(false);
        refreshed.get(Age::of_snapshot).await.unwrap();
        for _ in 0..100 {
            assert!(*refreshed.get(|_, _| Age::Ageing).await.unwrap() <= 2);
        }
        let next = refreshed.get(|_, _| Age::Stale).await.unwrap();
        assert!(*next >= 2);
        assert!(made.load(SeqCst) <= 4);
    }

    #[tokio::test]
    async fn a_stale_value_is_never_used() {
        let (refreshed, _) = counted(false);
        for number in 1..4 {
            assert_eq!(*refreshed.get(|_, _| Age::Stale).await.unwrap(), number);
        }
    }

    #[tokio::test]
    async fn a_thread_that_panics_is_an_error_for_those_who_wait() {
        let (refreshed, _) = counted(true);
        let failed = refreshed.get(Age::of_snapshot).await;
        assert!(matches!(failed, Err(SourceError::Backend(_))));
    }
}
