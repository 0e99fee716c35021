use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::source::SourceError;

/// How many bytes clients may fill, and how many they have filled.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    /// What every entry costs besides its content: a tag, a manifest, a blob of a repository, an
    /// upload, a repository.
    pub(super) const ENTRY: u64 = 256;

    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicU64::new(0),
        })
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Says at once that `amount` bytes would be too many, without taking them: who only announces
    /// them must not keep others out.
    pub(super) fn check(&self, amount: u64) -> Result<(), SourceError> {
        match self.used().saturating_add(amount) <= self.limit {
            true => Ok(()),
            false => Err(SourceError::Full),
        }
    }

    /// Takes `amount` bytes until the charge is dropped.
    pub(super) fn take(self: &Arc<Self>, amount: u64) -> Result<Charge, SourceError> {
        let mut charge = self.free();
        charge.grow(amount)?;
        Ok(charge)
    }

    /// A charge of nothing: for what the program adds itself, and to grow.
    pub(super) fn free(self: &Arc<Self>) -> Charge {
        Charge {
            budget: self.clone(),
            amount: 0,
        }
    }
}

/// Bytes that something fills for as long as it is kept.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    amount: u64,
}

impl Charge {
    /// Takes `amount` bytes more, or none.
    pub(super) fn grow(&mut self, amount: u64) -> Result<(), SourceError> {
        let limit = self.budget.limit;
        let within = |used: u64| used.checked_add(amount).filter(|used| *used <= limit);
        let used = &self.budget.used;
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
            .map_err(|_| SourceError::Full)?;
        self.amount += amount;
        Ok(())
    }

    /// Takes over what `other` has taken.
    pub(super) fn merge(&mut self, mut other: Self) {
        self.amount += std::mem::take(&mut other.amount);
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.amount, Ordering::Relaxed);
    }
}
