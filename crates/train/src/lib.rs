//! Training: the loss, the schedule, the optimiser, the loop, exact resume.

mod batch;
pub mod bench;
mod error;
mod event;
pub mod event_log;
mod logs;
mod optimizer;
mod schedule;
mod state;
mod stats;
pub mod tensorboard;
mod trainer;
mod validate;

pub use error::Error;
pub use event::{Event, Progress, Stopped, Summary};
pub use optimizer::{Adam, GradientSum};
pub use schedule::learning_rate;
pub use state::{Best, TrainState};
pub use stats::{BlockRouting, RoutingStats};
pub use trainer::{Start, train};
pub use validate::{Validation, validate};
