//! What a training run writes down about itself, as training writes it and others read it.
//!
//! | on disk | type |
//! |---|---|
//! | `checkpoints/step-NNNNNN/state.json` | [`TrainState`] |
//! | a line of `log.jsonl` | [`LogLine`], holding a [`TrainRecord`] or a [`ValidRecord`] |
//! | standard output of `strata train` as JSON | [`Summary`] |
//!
//! These are plain data: the trainer writes them, a study of many runs reads them.

#![forbid(unsafe_code)]

mod log;
mod state;
mod summary;

pub use log::{LogLine, LogRecord, LoggedBlock, LoggedTraffic, TrainRecord, ValidRecord};
pub use state::{Best, TrainState};
pub use summary::{Stopped, Summary};
