//! How far a translation has come, for others to see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count of translated sentences that another thread can look at while they become more. Clones are the same count.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<AtomicU64>);

/// Whether both are the same count.
impl PartialEq for Tally {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Tally {
    /// Counts sentences that are translated.
    pub fn add(&self, sentences: usize) {
        self.0.fetch_add(sentences as u64, Ordering::Relaxed);
    }

    /// Sentences translated so far.
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
