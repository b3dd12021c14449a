//! What an engine does: exchanges of 32-bit words.

use std::ops::Range;

use crate::error::Error;

/// One way to reach the other ranks. Every rank calls the same functions in the same order.
pub(crate) trait Engine: Send + Sync {
    /// This rank, from 0.
    fn rank(&self) -> usize;

    /// Ranks in all.
    fn size(&self) -> usize;

    /// Begins to send `data[sends[p]]` to each rank `p`, and to receive `receives[p]` words from it.
    fn begin(&self, data: Vec<u32>, sends: &[Range<usize>], receives: &[usize]) -> Result<Box<dyn Underway>, Error>;

    /// An engine for the ranks that give the same `color`, in their order.
    fn split(&self, color: usize) -> Result<Box<dyn Engine>, Error>;

    /// Ends this process and all others at once with exit code `code`.
    fn abort(&self, code: i32) -> !;

    /// Says goodbye to the others; no call may follow.
    fn finish(&self) -> Result<(), Error>;
}

/// An exchange that has begun.
pub(crate) trait Underway: Send {
    /// Waits for what the ranks sent, in their order.
    fn wait(self: Box<Self>) -> Result<Vec<u32>, Error>;
}
