//! Who makes Adam's steps and keeps the running mean: one process for the whole model, or all ranks for their pieces.

use strata_kernels::AdamStep;
use strata_model::Transformer;
use strata_ranks::Ranks;
use strata_store::TensorFile;

use crate::error::Error;
use crate::optimizer::{Adam, GradientSum};
use crate::running_mean::RunningMean;
use crate::spread::{Reduction, SharedAdam, SharedGradients};

/// The optimizer of a run.
pub(super) enum Optimizer {
    /// Of this process, which is alone.
    Alone {
        /// The moments.
        adam: Adam,
        /// The running mean of the weights, where `train.average_decay` asks for one.
        mean: Option<RunningMean<String>>,
    },
    /// Of all ranks, each for its pieces.
    Shared(Box<SharedAdam>),
}

/// The gradients of one update.
pub(super) enum Gradients {
    /// Summed over its batches.
    Alone(GradientSum),
    /// Of several ranks.
    Shared {
        /// This rank's, as far as they are not added to the others' yet.
        mine: GradientSum,
        /// The sums of this rank's pieces over all ranks.
        all: SharedGradients,
    },
}

impl Optimizer {
    /// An optimizer without moments. `experts` are the ranks over which the experts of each block are spread; `decay`
    /// is the running mean's, 0 = no mean.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn new(ranks: &Ranks, experts: Option<&Ranks>, decay: f64, model: &mut Transformer) -> Result<Self, Error> {
        if ranks.is_many() {
            let group = experts.map_or(1, Ranks::size);
            return Ok(Self::Shared(Box::new(SharedAdam::new(ranks, group, decay, model)?)));
        }
        let mean = (decay > 0.0).then(|| RunningMean::new(decay));
        Ok(Self::Alone { adam: Adam::default(), mean })
    }

    /// Goes on from a checkpoint's moments and running mean, written on any number of ranks.
    ///
    /// # Errors
    /// [`Error::Model`] naming a tensor that is missing or has another shape.
    pub fn load(&mut self, model: &mut Transformer, file: &TensorFile) -> Result<(), Error> {
        match self {
            Self::Alone { adam, mean } => {
                *adam = Adam::load(model, file)?;
                mean.as_mut().map_or(Ok(()), |mean| mean.load(model, file))
            }
            Self::Shared(adam) => adam.load(model, file),
        }
    }

    /// Gradients to which nothing was added yet.
    pub fn gradients(&self) -> Gradients {
        match self {
            Self::Alone { .. } => Gradients::Alone(GradientSum::default()),
            Self::Shared(_) => Gradients::Shared { mine: GradientSum::default(), all: SharedGradients::default() },
        }
    }

    /// Begins to add to the sums of all ranks what this rank has gathered of `gradients`, and what its next backward
    /// pass gives; none for a process alone.
    pub fn begin_to_add_up(&self, gradients: &mut Gradients, ranks: &Ranks) -> Option<Reduction> {
        match (self, gradients) {
            (Self::Shared(adam), Gradients::Shared { mine, all }) => {
                Some(Reduction::begin(ranks, &adam.layout, std::mem::take(mine), std::mem::take(all)))
            }
            _ => None,
        }
    }

    /// The Euclidean norm of all gradients together.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn norm(&self, gradients: &Gradients, ranks: &Ranks) -> Result<f64, Error> {
        match (self, gradients) {
            (Self::Shared(adam), Gradients::Shared { all, .. }) => Ok(all.norm(ranks, &adam.layout)?),
            (_, Gradients::Shared { mine: sum, .. } | Gradients::Alone(sum)) => Ok(sum.norm()),
        }
    }

    /// Takes one step.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn step(&mut self, model: &mut Transformer, gradients: Gradients, step: &AdamStep) -> Result<(), Error> {
        match (self, gradients) {
            (Self::Shared(adam), Gradients::Shared { all, .. }) => adam.step(model, all, step),
            (Self::Alone { adam, .. }, Gradients::Alone(sum)) => {
                adam.step(model, sum, step);
                Ok(())
            }
            _ => unreachable!("gradients are shared where the optimizer is"),
        }
    }

    /// Takes the weights after `update` into the running mean, if there is one.
    pub fn average(&mut self, model: &mut Transformer, update: u64) {
        match self {
            Self::Alone { mean: Some(mean), .. } => mean.add_all(model, update),
            Self::Alone { mean: None, .. } => {}
            Self::Shared(adam) => adam.average(model, update),
        }
    }
}

impl Gradients {
    /// Adds those of one backward pass of this rank.
    pub fn add(&mut self, model: &mut Transformer, of: burn::tensor::Gradients) {
        let (Self::Alone(sum) | Self::Shared { mine: sum, .. }) = self;
        sum.add(model, of);
    }

    /// Ends what [`Optimizer::begin_to_add_up`] began, after the backward pass.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn add_up(&mut self, reduction: &Reduction) -> Result<(), Error> {
        if let Self::Shared { mine, all } = self {
            *all = reduction.end(std::mem::take(mine))?;
        }
        Ok(())
    }
}
