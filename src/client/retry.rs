//! Trying again.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::{HeaderMap, header};

use super::ClientError;
use crate::clock::Clock;

/// How often and how soon a request that failed for a while is sent again.
///
/// Sent again is what may succeed later: after a broken connection, unless a certificate was refused,
/// and after the statuses 408, 425, 429, 499 and 5xx except 501, 505 and 511. The pauses double from the first to the longest, each
/// with some chance in it, and are not shorter than a `Retry-After` demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// How often a request is sent again, 5 times. The count begins anew when bytes of a download
    /// have arrived, or more of an upload than ever before.
    pub retries: usize,
    /// The first pause, 200 ms.
    pub first_pause: Duration,
    /// The longest pause, 10 s.
    pub longest_pause: Duration,
    /// The longest `Retry-After` that is waited for, 5 minutes. A longer one ends the request with
    /// the registry's error.
    pub longest_retry_after: Duration,
    /// How long a download may stand still, 60 s. Its connection is given up then, and another goes
    /// on where it was.
    pub longest_stall: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            retries: 5,
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(10),
            longest_retry_after: Duration::from_secs(300),
            longest_stall: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// Nothing is sent again.
    pub fn never() -> Self {
        Self {
            retries: 0,
            ..Self::default()
        }
    }

    fn pauses(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_max_times(self.retries)
            .with_jitter()
            .build()
    }
}

/// A request that is about to be sent again.
#[derive(Debug)]
#[non_exhaustive]
pub struct RetryEvent<'a> {
    /// Why it did not succeed.
    pub error: &'a ClientError,
    /// How often it has failed since it last made progress.
    pub failures: usize,
    /// How long the client waits.
    pub pause: Duration,
}

/// What is told of every retry.
#[derive(Clone)]
pub(super) struct RetryHook(pub(super) Arc<dyn Fn(&RetryEvent<'_>) + Send + Sync>);

impl fmt::Debug for RetryHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RetryHook")
    }
}

/// How requests are sent again, and until when.
#[derive(Clone, Debug)]
pub(super) struct Retrying {
    pub(super) policy: RetryPolicy,
    pub(super) hook: Option<RetryHook>,
    pub(super) clock: Clock,
    pub(super) deadline: Option<Instant>,
}

impl Retrying {
    pub(super) fn run(&self) -> Retries {
        Retries {
            retrying: self.clone(),
            pauses: self.policy.pauses(),
            failures: 0,
        }
    }
}

/// The retries of one request.
pub(super) struct Retries {
    retrying: Retrying,
    pauses: ExponentialBackoff,
    failures: usize,
}

impl Retries {
    /// Waits until the request may be sent again after `error`, or says that it may not.
    pub(super) async fn wait(&mut self, error: ClientError) -> Result<(), ClientError> {
        match error.is_temporary() {
            true => self.retry(error).await,
            false => Err(error),
        }
    }

    /// The same for any error, which the caller does something about.
    pub(super) async fn retry(&mut self, error: ClientError) -> Result<(), ClientError> {
        let Retrying {
            policy,
            hook,
            clock,
            deadline,
        } = &self.retrying;
        let demanded = error.retry_after().unwrap_or_default();
        let Some(pause) = self.pauses.next() else {
            return Err(error);
        };
        let pause = pause.min(policy.longest_pause).max(demanded);
        let is_too_late = deadline.is_some_and(|deadline| clock.after(pause) >= deadline);
        if demanded > policy.longest_retry_after || is_too_late {
            return Err(error);
        }
        self.failures += 1;
        if let Some(RetryHook(hook)) = hook {
            hook(&RetryEvent {
                error: &error,
                failures: self.failures,
                pause,
            });
        }
        clock.sleep(pause).await;
        Ok(())
    }

    /// More has arrived: what fails after this fails for the first time.
    pub(super) fn progressed(&mut self) {
        if self.failures > 0 {
            *self = self.retrying.run();
        }
    }
}

/// The `Retry-After` of an answer, in seconds or as a date.
// RFC 9110 §10.2.3
pub(super) fn retry_after(headers: &HeaderMap, clock: &Clock) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(clock.date()).unwrap_or_default())
}
