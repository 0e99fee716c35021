//! What the operator is told of, once.

use std::{collections::BTreeSet, path::Path};

/// How many new faults are logged one by one. Anybody who may write a layout could fill the log
/// otherwise.
const MOST: usize = 10;

/// The faults that one look at the disk found, each with what it is about.
#[derive(Default)]
pub(super) struct Faults(BTreeSet<String>);

impl Faults {
    pub(super) fn add(&mut self, fault: String) {
        self.0.insert(fault);
    }

    /// One of them.
    pub(super) fn first(&self) -> Option<&str> {
        self.0.first().map(String::as_str)
    }

    /// Logs those that the look before did not find. All are found in or below `place`.
    pub(super) fn tell(&self, before: Option<&Self>, place: &Path, log: impl Fn(&str)) {
        let is_new = |fault: &&String| before.is_none_or(|before| !before.0.contains(*fault));
        let mut new = self.0.iter().filter(is_new);
        for fault in new.by_ref().take(MOST) {
            log(fault);
        }
        let others = new.count();
        if others > 0 {
            let place = place.display();
            log(&format!("{place} has {others} more faults like the last"));
        }
    }
}
