//! Training: the loss, the schedule, the optimizer, the loop, exact resume.

#![forbid(unsafe_code)]

mod batch;
pub mod bench;
mod by_weight;
mod error;
mod event;
pub mod event_log;
mod init;
mod inputs;
mod logs;
mod optimizer;
mod running_mean;
mod schedule;
mod scorer;
mod spread;
mod stats;
pub mod tensorboard;
mod trainer;
mod validate;
mod window;

pub use error::Error;
pub use event::{Event, Progress};
pub use optimizer::{Adam, GradientSum};
pub use running_mean::RunningMean;
pub use schedule::learning_rate;
pub use scorer::{ScoreError, Scorer};
pub use stats::RoutingStats;
/// The model that a [`Scorer`] is given.
pub use strata_model::Transformer;
pub use trainer::{Start, train};
pub use validate::{Validation, validate};
