//! The registry that is tested.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tower_oci::{BlobStore, Clock, Limits, MemoryStore, OciRegistryService};

use super::{
    common::{ask, put},
    oracle::LIFETIME,
};

pub(crate) type Registry = OciRegistryService<MemoryStore>;

/// A store whose time passes when it is told to.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) store: MemoryStore,
    pub(crate) registry: Registry,
    seconds: Arc<AtomicU64>,
}

impl Setup {
    pub(crate) fn new(limits: Limits, repositories: usize) -> Self {
        let seconds = Arc::<AtomicU64>::default();
        let (passed, beginning) = (seconds.clone(), Instant::now());
        let now = move || beginning + Duration::from_secs(passed.load(Ordering::Relaxed));
        let store = MemoryStore::builder()
            .clock(Clock::new(now))
            .max_repositories(repositories)
            .build();
        Self {
            registry: OciRegistryService::writable(store.clone()).limits(limits),
            store,
            seconds,
        }
    }

    pub(crate) fn pass(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Lets all sessions expire, and drops them.
    pub(crate) async fn end_sessions(&self) {
        self.pass(LIFETIME);
        self.store.sweep().await.unwrap();
    }
}

/// What a store uses that has these repositories, and nothing in them.
pub(crate) async fn cost_of_empty(repositories: impl IntoIterator<Item = &str>) -> u64 {
    let store = MemoryStore::new();
    let registry = OciRegistryService::writable(store.clone());
    for name in repositories {
        let uri = format!("/v2/{name}/manifests/only");
        let headers = [("content-type", "application/json")];
        let answer = put(&registry, "PUT", &uri, &headers, "{}").await;
        assert_eq!(answer.status, 201, "{answer:?}");
        let digest = answer.header("docker-content-digest");
        let uri = format!("/v2/{name}/manifests/{digest}");
        assert_eq!(ask(&registry, "DELETE", &uri, &[]).await.status, 202);
    }
    store.used_bytes()
}
