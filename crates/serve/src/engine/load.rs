//! How much a model's thread has to do, and how fast it does it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Figures that the thread writes and everybody reads.
#[derive(Debug, Default)]
pub struct Load {
    /// Sentences admitted and not answered yet.
    sentences: AtomicUsize,
    /// Sentences finished since the start.
    finished: AtomicU64,
    /// Subwords written since the start.
    subwords: AtomicU64,
    /// Recent sentences per second, as the bits of an f64; 0 before the first measurement.
    rate: AtomicU64,
    /// Whether a fault has ended the thread.
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

    /// Sentences per second while there is work; 0 before the first measurement.
    pub fn rate(&self) -> f64 {
        f64::from_bits(self.rate.load(Ordering::Relaxed))
    }

    /// Whether a fault has ended the thread.
    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    /// Counts a finished sentence of `subwords`.
    pub fn finish(&self, subwords: usize) {
        self.subwords.fetch_add(subwords as u64, Ordering::Relaxed);
        self.finished.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a measurement, in sentences per second.
    pub fn measured(&self, rate: f64) {
        self.rate.store(rate.to_bits(), Ordering::Relaxed);
    }

    /// Notes that a fault has ended the thread.
    pub fn stopped(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// How long this many sentences will take.
    pub fn wait(&self, sentences: usize) -> Duration {
        let rate = self.rate();
        if rate > 0.0 { Duration::from_secs_f64((sentences as f64 / rate).min(86_400.0)) } else { Duration::ZERO }
    }
}

/// Room for sentences; dropping it makes the room free.
pub struct Admission {
    load: Arc<Load>,
    sentences: usize,
}

impl Admission {
    /// Admits sentences, and returns how many there were before.
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
