//! What decodes: the CPU engine or, with the feature `burn`, the model itself on another device.

use std::sync::Arc;

use strata_recipe::ModelConfig;
use strata_runtime::{Engine, Hypothesis, Limits, Model, Precision, Request};
use strata_store::ModelFolder;

#[cfg(feature = "burn")]
use crate::burn::OnDevice;
use crate::error::Error;
use crate::options::TranslateOptions;
use crate::task::Task;
use crate::translator::Placement;

/// Runs a model.
pub(crate) enum Backend {
    Engine(Cpu),
    #[cfg(feature = "burn")]
    Device(Box<OnDevice>),
}

/// The CPU engine, and how many batches it works on side by side; 0 leaves that to it.
pub(crate) struct Cpu {
    pub engine: Engine,
    workers: usize,
}

impl Cpu {
    pub fn limits(&self) -> Limits {
        Limits { threads: rayon::current_num_threads(), workers: self.workers, ..Limits::default() }
    }
}

impl Backend {
    /// The CPU engine for `model`.
    pub fn engine(model: Model, workers: usize) -> Self {
        Self::Engine(Cpu { engine: Engine::new(Arc::new(model)), workers })
    }

    /// Loads the weights of `folder` where `placement` says.
    pub fn load(folder: &ModelFolder, placement: &Placement) -> Result<Self, Error> {
        if placement.is_cpu() {
            let precision = placement.precision.unwrap_or(Precision::F32);
            return Ok(Self::engine(Model::load(folder, precision)?, placement.workers));
        }
        if let Some(precision) = placement.precision.filter(|precision| *precision != Precision::F32) {
            return Err(Error::Unsupported(format!("{} runs on the device cpu only", precision.name())));
        }
        #[cfg(feature = "burn")]
        return Ok(Self::Device(Box::new(OnDevice::load(folder, &placement.device)?)));
        #[cfg(not(feature = "burn"))]
        return Err(Error::Unsupported(format!(
            "this program was built for the device cpu only, not for `{}`",
            placement.device
        )));
    }

    pub fn config(&self) -> &ModelConfig {
        match self {
            Self::Engine(cpu) => cpu.engine.model().config(),
            #[cfg(feature = "burn")]
            Self::Device(model) => model.config(),
        }
    }

    /// The engine, for what only it can do.
    ///
    /// # Errors
    /// A model on another device; `what` is what cannot be done there.
    #[cfg_attr(not(feature = "burn"), allow(unused_variables, clippy::unnecessary_wraps))]
    pub fn cpu(&self, what: &str) -> Result<&Cpu, Error> {
        match self {
            Self::Engine(cpu) => Ok(cpu),
            #[cfg(feature = "burn")]
            Self::Device(_) => Err(Error::Unsupported(format!("{what} needs the device cpu"))),
        }
    }

    /// Refuses options that the backend cannot follow.
    #[cfg_attr(not(feature = "burn"), allow(unused_variables, clippy::unnecessary_wraps))]
    pub fn check(&self, options: &TranslateOptions) -> Result<(), Error> {
        match self {
            Self::Engine(_) => Ok(()),
            #[cfg(feature = "burn")]
            Self::Device(_) => OnDevice::check(options),
        }
    }

    /// Translates requests of `task`.
    pub fn translate(&self, requests: &[Request], task: &Task) -> Result<Vec<Vec<Hypothesis>>, Error> {
        match self {
            Self::Engine(cpu) => {
                let limits = Limits { source_tokens: task.tokens_per_batch, ..cpu.limits() };
                Ok(cpu.engine.translate_until(&task.stop, &task.tally, requests, &limits)?)
            }
            #[cfg(feature = "burn")]
            Self::Device(model) => model.translate(requests, task.tokens_per_batch, &task.tally),
        }
    }
}
