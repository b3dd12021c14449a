//! How fast this process and its ranks exchange values.

use std::time::Instant;

use crate::error::Error;
use crate::ranks::Ranks;

/// Bytes that a rank sends to each other one, from a count to a bucket of gradients.
pub const SIZES: [usize; 5] = [4, 1 << 10, 1 << 15, 1 << 20, 1 << 22];

/// Exchanges of one size, in which every rank sends as much to each rank. A time is that of the slowest rank.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExchangeSpeed {
    /// Bytes that a rank sends to each other one.
    pub bytes: usize,
    /// The fastest exchange, in seconds.
    pub best: f64,
    /// Half of the exchanges were faster, in seconds.
    pub median: f64,
}

/// Times `rounds` exchanges of each of [`SIZES`], after two that are not timed. All ranks call it together.
///
/// # Errors
/// As [`Ranks::exchange`].
///
/// # Panics
/// If `rounds` is 0.
pub fn exchanges(ranks: &Ranks, rounds: usize) -> Result<Vec<ExchangeSpeed>, Error> {
    assert!(rounds > 0, "at least one round");
    let speed = |bytes: usize| {
        let counts = vec![bytes / 4; ranks.size()];
        let mut times = Vec::with_capacity(rounds);
        for round in 0..rounds + 2 {
            let values = vec![1.0f32; counts.iter().sum()];
            ranks.barrier()?;
            let begun = Instant::now();
            ranks.exchange(values, &counts, &counts)?;
            let mine = u32::try_from(begun.elapsed().as_nanos() / 100).unwrap_or(u32::MAX);
            let slowest = ranks.gather(&[mine])?.into_iter().map(|of| of[0]).max().unwrap_or(mine);
            if round >= 2 {
                times.push(f64::from(slowest) * 1e-7);
            }
        }
        times.sort_by(f64::total_cmp);
        Ok(ExchangeSpeed { bytes, best: times[0], median: times[times.len() / 2] })
    };
    SIZES.into_iter().map(speed).collect()
}
