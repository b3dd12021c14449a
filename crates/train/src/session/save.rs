//! What a run writes: checkpoints, and the averaged model at its end.

use std::path::PathBuf;

use strata_recipe::TrainSection;
use strata_records::TrainState;
use strata_store::checkpoint::{AVERAGED_DIR, RECIPE_FILE, STATE_FILE};
use strata_store::{
    Averaging, CheckpointParts, Existing, ModelFolder, ModelParts, Run, TensorList, TensorSource, average_last,
};

use super::Session;
use super::optimizer::Optimizer;
use crate::error::Error;
use crate::running_mean::MEAN_PREFIX;
use crate::spread::Streamed;

/// Contents of a model folder's files besides the weights.
pub(super) struct Files {
    pub config: Vec<u8>,
    pub tokenizer: Vec<u8>,
    pub languages: Vec<u8>,
}

impl Files {
    /// A model folder with these weights.
    fn parts<'a>(&'a self, weights: &'a dyn TensorSource, extra: &'a [(&'a str, &'a [u8])]) -> ModelParts<'a> {
        let Self { config, tokenizer, languages } = self;
        ModelParts { config, tokenizer, languages, weights, extra }
    }
}

impl Session {
    /// Writes the averaged model that the recipe asks for, if any, and gives its folder. Rank 0 writes it.
    pub(super) fn average(&mut self) -> Result<Option<PathBuf>, Error> {
        let train = &self.recipe.train;
        if train.average_last == 0 && train.average_decay == 0.0 {
            return Ok(None);
        }
        let folder = self.folder.join(AVERAGED_DIR);
        if train.average_last > 0 {
            if let Some(run) = &self.run {
                average_last(run, averaging(train), &folder, Existing::Replace)?;
            }
            return Ok(Some(folder));
        }
        let write = |weights: &dyn TensorSource| match &self.run {
            Some(run) => {
                let recipe = run.recipe()?;
                let extra = [(RECIPE_FILE, recipe.as_bytes())];
                ModelFolder::write(&folder, &self.files.parts(weights, &extra), Existing::Replace)?;
                Ok(())
            }
            None => Ok(()),
        };
        match &self.optimizer {
            Optimizer::Shared(adam) => {
                let weights = adam.mean_weights();
                written(&[&weights], || write(&weights))?;
            }
            Optimizer::Alone { mean, .. } => {
                let mut weights = TensorList::new();
                if let Some(mean) = mean {
                    mean.append_to(&mut weights, &mut self.model, "");
                }
                write(&weights)?;
            }
        }
        Ok(Some(folder))
    }

    /// Writes a checkpoint and removes those that need not be kept. Rank 0 writes what all have, tensor by tensor.
    pub(super) fn save(&mut self, best: bool) -> Result<PathBuf, Error> {
        self.last_saved = Some(self.state.update);
        let (files, state, train) = (&self.files, &self.state, &self.recipe.train);
        let run = &mut self.run;
        let mut write = |weights: &dyn TensorSource, moments: &dyn TensorSource| match run {
            Some(run) => write_checkpoint(run, files, state, [weights, moments], best, train),
            None => Ok(PathBuf::new()),
        };
        let path = match &self.optimizer {
            Optimizer::Alone { adam, mean } => {
                let mut moments = adam.tensors(&mut self.model);
                if let Some(mean) = mean {
                    mean.append_to(&mut moments, &mut self.model, MEAN_PREFIX);
                }
                write(&self.model.weights(), &moments)?
            }
            Optimizer::Shared(adam) => {
                let (weights, moments) = (adam.weights(&mut self.model), adam.tensors());
                written(&[&weights, &moments], || write(&weights, &moments))?
            }
        };
        // Nobody goes on before the checkpoint is whole.
        self.ranks.barrier()?;
        Ok(path)
    }
}

/// The checkpoints of which the averaged model is made.
fn averaging(train: &TrainSection) -> Averaging {
    Averaging { count: train.average_last, every: train.checkpoint_every }
}

/// Writes the checkpoint of a run with these weights and moments.
fn write_checkpoint(
    run: &mut Run,
    files: &Files,
    state: &TrainState,
    [weights, moments]: [&dyn TensorSource; 2],
    best: bool,
    train: &TrainSection,
) -> Result<PathBuf, Error> {
    let step = state.update;
    let recipe = run.recipe()?;
    let state = serde_json::to_value(state)
        .map_err(|source| Error::State { path: run.checkpoint_path(step).join(STATE_FILE), source })?;
    let extra = [(RECIPE_FILE, recipe.as_bytes())];
    let parts = CheckpointParts { model: files.parts(weights, &extra), optimizer: moments, state: &state };
    let path = run.save_checkpoint(step, &parts)?;
    if best {
        run.set_best(step)?;
    }
    run.prune(train.keep_last, averaging(train))?;
    Ok(path)
}

/// What `write` gives, which on rank 0 writes `tensors` one after another, while the others send theirs.
fn written<T>(tensors: &[&Streamed<'_>], write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    for tensors in tensors.iter().filter(|tensors| !tensors.is_first()) {
        tensors.send()?;
    }
    // If another rank was lost, that is what there is to say.
    write().map_err(|error| tensors.iter().find_map(|tensors| tensors.failure()).map_or(error, Error::from))
}
