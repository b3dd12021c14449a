//! How a session of training ended.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// All updates are made.
    Finished,
    /// The stop flag was set.
    Interrupted,
    /// `train.patience` validations brought nothing better.
    EarlyStop,
}

/// How a session of training went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The run's folder.
    pub run: PathBuf,
    /// Updates made.
    pub update: u64,
    /// Updates in all.
    pub updates: u64,
    /// Why it ended.
    pub stopped: Stopped,
    /// The best validation loss.
    pub best_loss: Option<f64>,
    /// The update of the best validation loss.
    pub best_update: Option<u64>,
    /// Time spent training, in seconds, all sessions together.
    pub seconds: f64,
    /// Source and target subwords per second of this session's updates.
    pub tokens_per_second: f64,
    /// The folder of averaged weights, where the recipe asks for them.
    pub averaged: Option<PathBuf>,
}
