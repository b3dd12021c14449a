//! What is known of an engine from outside: how much there is to do, and how fast it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// What is known of an engine from outside.
#[derive(Debug, Default)]
pub struct Load {
    /// Sentences that were let in and are not answered.
    sentences: AtomicUsize,
    /// Sentences finished since the start.
    finished: AtomicU64,
    /// Subwords written since the start.
    subwords: AtomicU64,
    /// Sentences per second, lately; bits of an f64, 0 before the first measurement.
    rate: AtomicU64,
    /// Whether the engine's thread has ended by a fault.
    broken: AtomicBool,
}

impl Load {
    /// Sentences waiting or under way.
    pub fn sentences(&self) -> usize {
        self.sentences.load(Ordering::Relaxed)
    }

    /// Sentences finished since the start.
    pub fn finished(&self) -> u64 {
        self.finished.load(Ordering::Relaxed)
    }

    /// Subwords written since the start.
    pub fn subwords(&self) -> u64 {
        self.subwords.load(Ordering::Relaxed)
    }

    /// Sentences per second while there is work; 0 before anything was measured.
    pub fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    /// Whether the engine has stopped by a fault.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// A sentence was finished, of so many subwords.
    pub fn finish(&self, subwords: usize) {
        self.subwords.fetch_add(subwords as u64, Ordering::Relaxed);
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    /// Sentences per second were measured.
    pub fn measured(&self, rate: f64) {
        self.rate.store(rate.to_bits(), Ordering::Relaxed);
    }

    /// The engine has stopped by a fault.
    pub fn stopped(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// How long so many sentences will take.
    pub fn wait(&self, sentences: usize) -> Duration {
        let rate = self.rate();
        if rate > 0.0 { Duration::from_secs_f64((sentences as f64 / rate).min(86_400.0)) } else { Duration::ZERO }
    }
}

/// Sentences let in; they leave the count when this is dropped.
pub struct Admission {
    load: Arc<Load>,
    sentences: usize,
}

impl Admission {
    /// Lets sentences in; gives how many there were before.
    pub fn new(load: &Arc<Load>, sentences: usize) -> (Self, usize) {
        let before = load.sentences.fetch_add(sentences, Ordering::Relaxed);
        (Self { load: load.clone(), sentences }, before)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.load.sentences.fetch_sub(self.sentences, Ordering::Relaxed);
    }
}
