//! Help for the tests of this crate and of those above it.

use std::fmt::Debug;
use std::process::Command;

use crate::level::{ISA_VARIABLE, Level};
use crate::{random, simd_at};

/// `n` values in `-1.0..1.0` that follow from `seed`.
pub fn values(n: usize, seed: u64) -> Vec<f32> {
    (0..n as u32).map(|i| (random::lowbias32(seed, i) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

/// What `work` gives, which must be the same at every level of this processor. `work` is compiled for each level only
/// if it is an `#[inline(always)]` closure.
///
/// # Panics
/// If two levels differ.
pub fn same_bits_at_every_level<R: PartialEq + Debug>(work: impl Fn() -> R) -> R {
    let portable = work();
    for level in Level::available() {
        assert_eq!(simd_at(*level, &work), portable, "{}", level.name());
    }
    portable
}

/// Runs the test program that this is called from once more for each other level of the processor, with the level in
/// the environment. In such a run, and where the level is chosen already, it does nothing.
///
/// # Panics
/// If the tests fail at a level.
pub fn repeat_tests_at_every_level() {
    if std::env::var_os(ISA_VARIABLE).is_some() {
        return;
    }
    let program = std::env::current_exe().expect("the test program's path");
    for level in Level::available().iter().filter(|level| **level != Level::current()) {
        let run = Command::new(&program).env(ISA_VARIABLE, level.name()).output().expect("the test program");
        let report = String::from_utf8_lossy(&run.stdout);
        assert!(run.status.success(), "with {ISA_VARIABLE}={}:\n{report}", level.name());
    }
}
