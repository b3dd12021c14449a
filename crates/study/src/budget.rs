//! `strata capacity`: a stratified model that requests as much capacity as a user wants, without training.
//!
//! Offsets of the gates ([`strata_routing::adjust_offsets`]) say how readily tokens go on. An expert from which `n`
//! strata are left gets `n * tilt` on its logit, with one `tilt` for all gates and blocks, so that the tokens that
//! asked for least are the first to leave; bisection finds the tilt at which validation sentences request what was
//! asked for.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use serde::Serialize;
use strata_recipe::{ConfigError, Exits, Kind, ModelConfig};
use strata_runtime::{Model, Precision, Weights};
use strata_store::{Existing, ModelFolder, ModelParts, TensorFile, TensorList};

use crate::analysis::{AnalyzeOptions, Progress, route, total};
use crate::counts::{Place, places};
use crate::error::Error;
use crate::routed::RoutedModel;

/// Tilts beyond this send all tokens the same way.
const MOST: f64 = 12.0;
/// Halvings of the range of tilts.
const ROUNDS: usize = 12;
/// A requested capacity as near as this is what was asked for.
const CLOSE: f64 = 2e-3;

/// A budget that was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Budget {
    /// The capacity asked for: strata visited per token, the mean over blocks.
    pub wanted: f64,
    /// What the model requested before.
    pub before: f64,
    /// What it requests after, on the same sentences.
    pub after: f64,
    /// What was added to a logit for each stratum left.
    pub tilt: f64,
    /// The model's configuration with the budget.
    #[serde(skip)]
    pub config: ModelConfig,
}

/// The weights of a model with offsets for a tilt on top of its own.
struct Tilted<'a> {
    file: &'a TensorFile,
    config: &'a ModelConfig,
    tilt: f64,
}

impl Tilted<'_> {
    /// The offsets of the gate of `stratum`, `[visible]`, on top of those under `name` if the file has any.
    ///
    /// # Errors
    /// A tensor of that name that is no such offsets.
    fn offsets(&self, name: &str, stratum: usize) -> Result<Vec<f32>, strata_store::Error> {
        let strata = self.config.block_strata();
        let visible = strata.visible(stratum);
        let own = match self.file.names().any(|known| known == name) {
            true => self.file.f32(name, &[visible.len()])?,
            false => Cow::Owned(vec![0.0; visible.len()]),
        };
        let left = visible.map(|expert| strata.count() - strata.next(stratum, expert, || 0.0));
        Ok(own.iter().zip(left).map(|(own, left)| own + (self.tilt * left as f64) as f32).collect())
    }
}

impl Weights for Tilted<'_> {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, strata_runtime::Error> {
        match gate_of(name) {
            Some(stratum) => Ok(Cow::Owned(self.offsets(name, stratum)?)),
            None => Ok(self.file.f32(name, shape)?),
        }
    }
}

/// The stratum of the gate whose offsets have this name.
fn gate_of(name: &str) -> Option<usize> {
    name.strip_suffix(".offset")?.rsplit('.').next()?.parse().ok()
}

/// Finds offsets with which the model of `folder` requests `wanted` strata a token on the split of `options`.
///
/// # Errors
/// A model without strata or with other exits than by choice; a capacity that it cannot have; what routing reports.
pub fn find(
    folder: &ModelFolder,
    prepared: &Path,
    wanted: f64,
    options: &AnalyzeOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Budget, Error> {
    let mut config = folder.model_config()?;
    if config.kind != Kind::Smoe || !matches!(config.exits, Exits::Choice | Exits::Learned) {
        let what = "its tokens do not leave by choice; a budget of capacity needs a model of kind \"smoe\" that exits by \
                    choice";
        return Err(Error::Invalid(format!("{}: {what}", folder.path().display())));
    }
    let strata = config.strata.len();
    if !(1.0..=strata as f64).contains(&wanted) {
        let message = format!("capacity = {wanted} must be between 1 and {strata}, the number of strata");
        return Err(ConfigError { key: "capacity", message }.into());
    }
    config.capacity_budget = wanted;
    config.validate()?;
    let file = folder.weights()?;
    let mut done = 0;
    let mut requested = |tilt: f64| -> Result<f64, Error> {
        let model = Model::pack(&config, &Tilted { file: &file, config: &config, tilt }, Precision::F32)?;
        let routed = RoutedModel::with(model, folder.path(), options.threads)?;
        let found = route(&routed, prepared, options, &|_| true, &mut |_| {})?;
        done += 1;
        progress(Progress { done, of: ROUNDS + 1 });
        let total = total(&routed, prepared, options, &found)?;
        Ok(total.blocks.iter().map(|block| block.requested_capacity()).sum::<f64>() / total.blocks.len() as f64)
    };
    let before = requested(0.0)?;
    let (mut low, mut high) = (-MOST, MOST);
    let (mut tilt, mut after) = (0.0, before);
    for _ in 0..ROUNDS {
        if (after - wanted).abs() < CLOSE {
            break;
        }
        if after < wanted {
            low = tilt
        } else {
            high = tilt
        }
        tilt = 0.5 * (low + high);
        after = requested(tilt)?;
    }
    Ok(Budget { wanted, before, after, tilt, config })
}

/// Writes the model with the budget's offsets: a model folder like any other.
///
/// # Errors
/// Weights that are missing, a folder that exists or cannot be written.
pub fn write(folder: &ModelFolder, budget: &Budget, output: &Path, existing: Existing) -> Result<PathBuf, Error> {
    let file = folder.weights()?;
    let mut weights = TensorList::new();
    for name in file.names().filter(|name| gate_of(name).is_none()) {
        let view = file.view(name)?;
        weights.push(name, view.dtype, view.shape, view.bytes);
    }
    let tilted = Tilted { file: &file, config: &budget.config, tilt: budget.tilt };
    for Place { side, layer } in places(&budget.config) {
        for stratum in 0..budget.config.block_strata().count() {
            let name = format!("{}.layers.{layer}.block.gate.{stratum}.offset", side.name());
            let offsets = tilted.offsets(&name, stratum)?;
            weights.push_f32(name, &[offsets.len()], offsets);
        }
    }
    let (config, tokenizer, languages) = (budget.config.to_json(), folder.tokenizer()?, folder.languages()?);
    let parts = ModelParts {
        config: config.as_bytes(),
        tokenizer: &tokenizer,
        languages: &languages,
        weights: &weights,
        extra: &[],
    };
    Ok(ModelFolder::write(output, &parts, existing)?.path().to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_offsets_of_gates_are_replaced() {
        assert_eq!(gate_of("encoder.layers.1.block.gate.2.offset"), Some(2));
        assert_eq!(gate_of("encoder.layers.1.block.gate.2.weight"), None);
        assert_eq!(gate_of("offset"), None);
    }
}
