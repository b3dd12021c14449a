//! The CPU inference engine: packed weights, int8 or f32, no tensor library and no automatic differentiation.

pub mod bench;
mod cache;
mod ctranslate2;
mod decoder;
mod dispatch;
mod encoder;
mod engine;
mod error;
mod experts;
mod gate;
mod kernels;
mod layers;
mod linear;
mod load;
mod model;
mod packed;
mod parallel;
mod parts;
mod product;
mod request;
mod routing;
mod search;
mod session;
mod storage;
mod vocabulary;
mod weights;
mod workspace;

pub use ctranslate2::write_ctranslate2;
pub use engine::Engine;
pub use error::Error;
pub use linear::{Linear, Precision};
pub use model::Model;
pub use packed::{PackedFolder, write_packed};
pub use product::{Activation, ProductOptions, Scratch};
pub use request::{Hypothesis, Request, Sampling, SearchOptions};
pub use routing::{BlockRouting, GateVisit, Routing, TokenRouting};
pub use session::{Finished, Limits, Session};

pub use weights::{RandomWeights, Weights};
