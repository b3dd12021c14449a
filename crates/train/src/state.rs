//! What a checkpoint holds besides weights and moments, so that training goes on as if it had never stopped.

use serde::{Deserialize, Serialize};
use strata_corpus::StreamPosition;
use strata_store::Checkpoint;

use crate::error::Error;

/// The trainer's own state after an update.
///
/// There is no generator to save: all randomness of an update follows from `train.seed` and the number of the update.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct TrainState {
    /// Updates made.
    pub update: u64,
    /// The next batch.
    pub position: StreamPosition,
    /// Best validation loss so far and the update it belongs to.
    pub best: Option<Best>,
    /// Validations since the best one.
    pub validations_since_best: u64,
    /// Target subwords learnt from.
    pub target_tokens: u64,
    /// Time spent training, all sessions together.
    pub seconds: f64,
    /// Mean requested capacity of each expert block at the last validation, encoder blocks first.
    pub requested_capacity: Option<Vec<f64>>,
}

/// The best validation so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq)]
pub struct Best {
    /// Validation loss per target subword.
    pub loss: f64,
    /// The update after which it was measured.
    pub update: u64,
}

impl TrainState {
    /// The state in a checkpoint.
    ///
    /// # Errors
    /// [`Error::State`] where keys are missing or of another type.
    pub fn read(checkpoint: &Checkpoint) -> Result<Self, Error> {
        serde_json::from_value(checkpoint.state().clone()).map_err(|error| Error::State {
            path: checkpoint.path().join("state.json").display().to_string(),
            what: error.to_string(),
        })
    }
}
