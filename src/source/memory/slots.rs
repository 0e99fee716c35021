use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{limits::UploadLimits, name::RepositoryName};

/// How many uploads are open, in all and in each repository that has any.
#[derive(Debug, Default)]
pub(super) struct Slots(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_repository: HashMap<RepositoryName, usize>,
}

impl Slots {
    /// Counts one more, until the slot is dropped; nothing if that is one too many.
    pub(super) fn take(
        self: &Arc<Self>,
        repository: &RepositoryName,
        limits: &UploadLimits,
    ) -> Option<Slot> {
        let mut counts = self.lock();
        let here = counts.by_repository.get(repository).copied().unwrap_or(0);
        if counts.all >= limits.sessions || here >= limits.sessions_per_repository {
            return None;
        }
        counts.all += 1;
        counts.by_repository.insert(repository.clone(), here + 1);
        Some(Slot {
            slots: self.clone(),
            repository: repository.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one open upload.
#[derive(Debug)]
pub(super) struct Slot {
    slots: Arc<Slots>,
    repository: RepositoryName,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.slots.lock();
        counts.all -= 1;
        if let Some(here) = counts.by_repository.get_mut(&self.repository) {
            *here -= 1;
            if *here == 0 {
                counts.by_repository.remove(&self.repository);
            }
        }
    }
}
