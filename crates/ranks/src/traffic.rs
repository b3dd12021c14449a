//! What the exchanges of a process cost, by what they are for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a process has exchanged with others for one purpose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// What the exchanges were for.
    pub purpose: &'static str,
    /// Bytes sent to other ranks.
    pub bytes: u64,
    /// Time spent waiting for what others send.
    pub waited: Duration,
}

/// The counters of a process, one for each purpose.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Vec<(&'static str, Arc<Counter>)>>);

/// What one purpose has cost.
#[derive(Default)]
pub(crate) struct Counter {
    bytes: AtomicU64,
    microseconds: AtomicU64,
}

impl Ledger {
    /// The counter of `purpose`.
    pub fn counter(&self, purpose: &'static str) -> Arc<Counter> {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = counters.iter().find(|(name, _)| *name == purpose) {
            return Arc::clone(counter);
        }
        let counter = Arc::<Counter>::default();
        counters.push((purpose, Arc::clone(&counter)));
        counter
    }

    /// All counters, in the order in which their purposes came up.
    pub fn totals(&self) -> Vec<Traffic> {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total = |(purpose, counter): &(&'static str, Arc<Counter>)| Traffic {
            purpose,
            bytes: counter.bytes.load(Ordering::Relaxed),
            waited: Duration::from_micros(counter.microseconds.load(Ordering::Relaxed)),
        };
        counters.iter().map(total).collect()
    }
}

impl Counter {
    pub fn sent(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn waited(&self, time: Duration) {
        self.microseconds.fetch_add(time.as_micros() as u64, Ordering::Relaxed);
    }
}
