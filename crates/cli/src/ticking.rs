//! Showing how far work has come while it goes on.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// From one time of showing to the next.
const EVERY: Duration = Duration::from_millis(250);

/// Calls `show` again and again, on a thread of its own, until `work` is done; gives back what it gave.
pub fn while_working<R>(show: impl Fn() + Send, work: impl FnOnce() -> R) -> R {
    let (working, ended) = sync_channel::<()>(0);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                show();
            }
        });
        // Dropped in here, also by a panic, before the scope waits for the thread.
        let _working = working;
        work()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Instant;

    use super::*;

    #[test]
    fn it_shows_until_the_work_is_done_and_holds_nothing_up() {
        let shown = AtomicUsize::new(0);
        let show = || {
            shown.fetch_add(1, Ordering::Relaxed);
        };
        let wait = || {
            while shown.load(Ordering::Relaxed) < 2 {
                std::thread::sleep(EVERY / 10);
            }
        };
        while_working(show, wait);
        let begun = Instant::now();
        assert_eq!(while_working(show, || 3), 3);
        // A thread that waited for its time would make it longer each of these times.
        (0..20).for_each(|_| while_working(show, || ()));
        assert!(begun.elapsed() < 20 * EVERY);
        let fails = || -> usize { panic!("on purpose") };
        let panicked = std::panic::catch_unwind(|| while_working(|| (), fails));
        assert!(panicked.is_err());
    }
}
