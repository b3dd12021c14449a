//! Runs with as much computation, or time, as another one: their updates follow from the other's.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use strata_corpus::Subwords;
use strata_files::names::TOKENIZER_FILE;
use strata_recipe::{Cost, Recipe};

use crate::error::Error;

/// What a run has in common with another besides the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Budget {
    /// Training FLOPs.
    Flops,
    /// Training time on one machine at rest.
    Time,
}

/// The updates of a run by those of another one: as many as cost the same.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equal {
    /// What is the same.
    pub budget: Budget,
    /// The run that sets the budget.
    pub to: String,
    /// For FLOPs: the requested capacity of the other run as an earlier step measured it (strata visited per token, the
    /// mean over all blocks); without it, that of uniform routing.
    pub requested_capacity: Option<f64>,
    /// For time: the tokens that this run trains on in the time in which the other trains on one, as measured.
    pub speed: Option<f64>,
}

impl Equal {
    /// The updates of a run of `own` recipe that cost what the run of the `other` recipe costs in all, with as many
    /// subwords as `vocabularies` say.
    ///
    /// # Errors
    /// What is missing or does not go together; a recipe without a model.
    pub(crate) fn updates(&self, own: &Recipe, other: &Recipe, vocabularies: &Vocabularies) -> Result<u64, Error> {
        let flops = |recipe, capacity| flops(recipe, capacity, vocabularies.of(recipe)?);
        let ratio = match (self.budget, self.requested_capacity, self.speed) {
            (Budget::Flops, capacity, None) => flops(other, capacity)? / flops(own, None)?,
            (Budget::Time, None, Some(speed)) if speed > 0.0 && speed.is_finite() => speed,
            (Budget::Time, None, _) => {
                let what = "equal: budget = \"time\" needs speed, the tokens that this run trains on in the time of one \
                            of the other's, as measured";
                return Err(Error::Invalid(what.into()));
            }
            (Budget::Flops, _, Some(_)) | (Budget::Time, Some(_), _) => {
                let what = "equal: requested_capacity goes with budget = \"flops\", speed with budget = \"time\"";
                return Err(Error::Invalid(what.into()));
            }
        };
        // Batches of other sizes: the same tokens in other updates.
        let batch = |recipe: &Recipe| (recipe.data.tokens_per_batch * recipe.train.accumulate) as f64;
        Ok((other.train.updates as f64 * ratio * batch(other) / batch(own)).round().max(1.0) as u64)
    }
}

/// How many subwords models have, by their prepared folder.
#[derive(Default)]
pub(crate) struct Vocabularies(RefCell<HashMap<String, usize>>);

impl Vocabularies {
    /// The vocabulary of a recipe's prepared folder, or the planned one where there is no such folder yet.
    fn of(&self, recipe: &Recipe) -> Result<usize, Error> {
        let prepared = &recipe.data.prepared;
        if let Some(known) = self.0.borrow().get(prepared) {
            return Ok(*known);
        }
        let tokenizer = Path::new(prepared).join(TOKENIZER_FILE);
        if !tokenizer.exists() {
            return Ok(recipe.data.vocabulary);
        }
        let found = Subwords::load(&tokenizer)?.vocab_size();
        self.0.borrow_mut().insert(prepared.clone(), found);
        Ok(found)
    }
}

/// Forward FLOPs per token, to which those of training are proportional.
fn flops(recipe: &Recipe, requested_capacity: Option<f64>, vocabulary: usize) -> Result<f64, Error> {
    let config = recipe.model_config(vocabulary)?;
    let (encoder, decoder) = config.expert_blocks();
    let measured = requested_capacity.map(|rc| vec![rc; encoder + decoder]);
    let cost = Cost::of(&config, measured.as_deref())?;
    Ok(cost.flops_per_token_measured.unwrap_or(cost.flops_per_token) as f64)
}
