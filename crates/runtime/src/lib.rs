//! The CPU inference engine: packed weights in f32, bf16 or int8, no tensor library and no automatic differentiation.
//!
//! | module | idea |
//! |---|---|
//! | `engine`, `session` | many requests in, hypotheses out; sentences join and leave the batch at any step |
//! | `search` | one sentence's search, which knows no model: it says which tokens to read and takes their candidates |
//! | `model`, `parts` | the model as a tree of named parts |
//! | `encoder`, `decoder`, `layers` | a pass over packed, ragged tokens; `cache` has the decoder's keys and values |
//! | `experts`, `gate`, `dispatch` | expert blocks, by the rules of [`strata_routing`]; `routing` records them |
//! | `vocabulary` | from the decoder's output to candidates |
//! | `linear`, `product`, `kernels` | packed weights, and the arithmetic on them at every instruction level |
//! | `load`, `packed`, `storage`, `weights` | where weights come from, and packed folders used where they lie |
//! | `ctranslate2` | dense models written as CTranslate2 folders |
//!
//! A sentence's translation has the same bits whatever is translated beside it.

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
mod stop;
mod storage;
mod tally;
mod vocabulary;
mod weights;
mod workspace;

pub use ctranslate2::write_ctranslate2;
pub use engine::Engine;
pub use error::Error;
pub use linear::{InvalidPrecision, Linear, Precision};
pub use model::Model;
pub use packed::{PackedFolder, write_packed};
pub use product::{Activation, ProductOptions, Scratch};
pub use request::{Hypothesis, Request};
pub use routing::{BlockRouting, GateVisit, Routing, TokenRouting};
pub use session::{Finished, Limits, Session};
pub use stop::Stop;
pub use strata_recipe::SearchOptions;
pub use tally::Tally;
pub use weights::{RandomWeights, Weights};
