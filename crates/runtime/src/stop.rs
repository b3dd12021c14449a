//! Ending a translation from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A switch by which another thread ends a translation: the decoder looks at it before every step. Clones are the same
/// switch.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

/// Whether both are the same switch.
impl PartialEq for Stop {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Stop {
    /// Asks the translation to end.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the translation was asked to end.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
