//! What a checkpoint holds besides weights and moments, so that training resumes as if it had never stopped.

use serde::{Deserialize, Serialize};
use strata_corpus::StreamPosition;

/// The trainer's own state after an update.
///
/// There is no generator to save: all randomness of an update follows from `train.seed` and the update's number.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
pub struct TrainState {
    /// Updates made.
    pub update: u64,
    /// The next batch.
    pub position: StreamPosition,
    /// The best validation so far.
    pub best: Option<Best>,
    /// Validations since the best one.
    pub validations_since_best: u64,
    /// Target subwords trained on.
    pub target_tokens: u64,
    /// Source and target subwords trained on; 0 in checkpoints of earlier programs.
    #[serde(default)]
    pub tokens: u64,
    /// Time spent training, in seconds, all sessions together.
    pub seconds: f64,
    /// SHA-256 of the training text, whose next batch [`TrainState::position`] names; none in checkpoints of earlier
    /// programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Mean requested capacity of each expert block at the last validation, encoder blocks first.
    pub requested_capacity: Option<Vec<f64>>,
}

/// The best validation so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, PartialEq)]
pub struct Best {
    /// Validation loss per target subword, in nats.
    pub loss: f64,
    /// The update after which it was measured.
    pub update: u64,
}

impl TrainState {
    /// Whether training stops early: the last `patience` validations brought nothing better. 0 never stops.
    pub fn out_of_patience(&self, patience: u64) -> bool {
        patience > 0 && self.validations_since_best >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_after_so_many_validations_and_0_is_endless() {
        let state = TrainState { validations_since_best: 3, ..TrainState::default() };
        assert_eq!([0, 2, 3, 4].map(|patience| state.out_of_patience(patience)), [false, true, true, false]);
    }
}
