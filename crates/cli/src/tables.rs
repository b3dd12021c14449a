//! Results as tables for people; programs ask for `--json`.

pub mod analysis;
pub mod scores;
pub mod study;
