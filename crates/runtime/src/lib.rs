//! The CPU inference engine: packed weights, int8 or f32, no tensor library and no automatic differentiation.

mod cache;
mod decoder;
mod dispatch;
mod encoder;
mod engine;
mod error;
mod experts;
mod gate;
pub mod kernels;
pub mod linear;
mod load;
mod model;
mod parallel;
mod positions;
mod request;
mod routing;
mod search;
mod session;
pub mod storage;
mod vocabulary;
mod weights;
mod workspace;

pub use engine::Engine;
pub use error::Error;
pub use linear::{Linear, Precision};
pub use model::{LinearSpec, Model, Part, Parts};
pub use request::{Hypothesis, Request, Sampling, SearchOptions};
pub use routing::{BlockRouting, GateVisit, Routing, TokenRouting};
pub use session::{Finished, Limits, Session};

pub use weights::{RandomWeights, Weights};
