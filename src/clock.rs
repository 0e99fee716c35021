//! Time, from one place that a test can put another in.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

/// Where a store gets the time from: the system, or a test that does not want to wait.
///
/// It only ever goes forward, and has nothing to do with the date. Cloning gives the same clock.
///
/// ```
/// # use std::{sync::Mutex, time::{Duration, Instant}};
/// # use tower_oci::Clock;
/// let now: &'static Mutex<Instant> = Box::leak(Box::new(Mutex::new(Instant::now())));
/// let clock = Clock::new(|| *now.lock().unwrap());
/// let before = clock.now();
/// *now.lock().unwrap() += Duration::from_secs(3600);
/// assert_eq!(clock.now() - before, Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Instant + Send + Sync>);

impl Clock {
    /// The clock that `now` reads. It must never go back.
    pub fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present moment.
    pub fn now(&self) -> Instant {
        (self.0)()
    }

    /// The moment after `duration`, or one so far away that nobody will see it.
    pub(crate) fn after(&self, duration: Duration) -> Instant {
        const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
        let now = self.now();
        now.checked_add(duration).unwrap_or(now + NEVER)
    }
}

impl Default for Clock {
    /// The clock of the system.
    fn default() -> Self {
        Self::new(Instant::now)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
