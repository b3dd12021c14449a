//! Model configurations, training recipes with variants, and what a model costs in parameters and FLOPs.
//!
//! Knows nothing of tensors: training and the CPU runtime share it.

mod cost;
mod cost_table;
mod error;
mod model_config;
mod validate;

pub use cost::{Cost, Part, Parts, Uncounted, render};
pub use error::{ConfigError, Error};
pub use model_config::{FORMAT_VERSION, Kind, ModelConfig, Normalisation, SecondChoice};
