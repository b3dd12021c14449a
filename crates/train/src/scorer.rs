//! How training scores translations of the validation text without a translator of its own.

use strata_model::Transformer;
use strata_recipe::Recipe;

/// Why a validation could not be scored.
pub type ScoreError = Box<dyn std::error::Error + Send + Sync>;

/// Measures BLEU during training: given the recipe of the run and its model without gradients, it translates
/// `train.validate_bleu_sentences` sentences of each direction of the prepared folder's validation text, searching as
/// the recipe's `[translate]` says, and returns the mean BLEU over the directions.
///
/// Translation builds on other crates than training, so the program that has both hands this in.
pub type Scorer<'a> = dyn Fn(&Recipe, Transformer) -> Result<f64, ScoreError> + Sync + 'a;
