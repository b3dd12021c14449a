//! The server's one habit for mutexes: a poisoned lock is taken all the same.
//!
//! A panic in one request must not fail the next ones, and a counter or a queue that refuses service forever would be
//! the worse end. It is safe here, because every guarded value is valid after each single change (a push, a pop, a
//! number, an `Option` that is replaced) and nothing that is guarded spans two of them. Keep it so, or do not use this.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also where another thread panicked with the lock in its hands.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_with_the_lock_in_its_hands_stops_nobody_else() {
        let count = Mutex::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            *lock(&count) += 1;
            let _held = lock(&count);
            panic!("on purpose");
        }));
        assert!(panicked.is_err() && count.is_poisoned());
        assert_eq!(*lock(&count), 2);
    }
}
