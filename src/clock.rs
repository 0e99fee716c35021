//! Time, from one place that a test can put another in.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

#[cfg(feature = "client")]
use futures_util::future::BoxFuture;

/// Where a store or a client gets the time from: the system, or a test that does not want to wait.
///
/// It tells the moment, which only ever goes forward, and the date. With the feature `client` it
/// also lets wait: on tokio's timer, or however a test likes.
///
/// Cloning gives the same clock.
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
pub struct Clock {
    now: Arc<dyn Fn() -> Instant + Send + Sync>,
    date: Arc<dyn Fn() -> SystemTime + Send + Sync>,
    #[cfg(feature = "client")]
    sleep: Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Clock {
    /// The clock that `now` reads, which must never go back. Its date is that of the system.
    pub fn new(now: impl Fn() -> Instant + Send + Sync + 'static) -> Self {
        Self {
            now: Arc::new(now),
            date: Arc::new(SystemTime::now),
            #[cfg(feature = "client")]
            sleep: Arc::new(|duration| Box::pin(tokio::time::sleep(duration))),
        }
    }

    /// The same, with this date.
    #[must_use]
    pub fn with_date(self, date: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        let date = Arc::new(date);
        Self { date, ..self }
    }

    /// The same, which waits in this way. What waits may be dropped.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn with_sleep(
        self,
        sleep: impl Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        let sleep = Arc::new(sleep);
        Self { sleep, ..self }
    }

    /// The present moment.
    pub fn now(&self) -> Instant {
        (self.now)()
    }

    /// The present date.
    pub fn date(&self) -> SystemTime {
        (self.date)()
    }

    /// Ends after `duration`.
    #[cfg(feature = "client")]
    pub async fn sleep(&self, duration: Duration) {
        (self.sleep)(duration).await;
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
