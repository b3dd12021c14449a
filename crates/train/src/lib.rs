//! Training: the loss, the schedule, the optimizer, the loop, exact resume.
//!
//! | module | idea |
//! |---|---|
//! | `trainer` | [`train`]: from a recipe or a run to the first update; `inputs` and `init` are what it opens |
//! | `session` | the loop: updates, validation, checkpoints; `session::update` is one update |
//! | `optimizer`, `running_mean`, `schedule` | Adam, the mean of the weights, the learning rate |
//! | `spread` | the same update made by several ranks |
//! | `validate`, `scorer` | validation loss, and BLEU by a translator that the caller brings |
//! | `window`, `stats`, `logs`, [`event_log`], [`tensorboard`] | what a run says while it runs |

#![forbid(unsafe_code)]

mod batch;
pub mod bench;
mod by_weight;
mod error;
mod event;
pub mod event_log;
mod host;
mod init;
mod inputs;
mod logs;
mod optimizer;
mod running_mean;
mod schedule;
mod scorer;
mod session;
mod spread;
mod stats;
pub mod tensorboard;
#[cfg(test)]
mod testing;
mod trainer;
mod validate;
mod window;

pub use error::Error;
pub use event::{Event, Progress};
pub use optimizer::{Adam, GradientSum};
pub use schedule::learning_rate;
pub use scorer::{ScoreError, Scorer};
pub use stats::RoutingStats;
/// The model that a [`Scorer`] is given.
pub use strata_model::Transformer;
pub use trainer::{RESUMABLE, Start, train};
pub use validate::{Validation, validate};
