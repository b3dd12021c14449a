//! Model configurations, training recipes with variants, and what a model costs in parameters and FLOPs.
//!
//! Knows nothing of tensors: training and the CPU runtime share it.

#![forbid(unsafe_code)]

mod agreement;
mod config_file;
mod cost;
mod cost_table;
mod device;
mod error;
mod init;
mod keys;
mod memory;
mod model_config;
mod network;
mod positions;
mod recipe;
mod recipe_file;
mod rules;
mod search_options;
mod shape;
mod suggest;
mod validate;
mod wording;
mod write;

pub use config_file::FORMAT_VERSION;
pub use cost::{Cost, Part, Parts, Uncounted, render};
pub use device::is_cpu;
pub use error::{ConfigError, Error};
pub use keys::{Key, SECTIONS, Values, key, keys, render_keys};
pub use memory::{Memory, Purpose, check_memory};
pub use model_config::ModelConfig;
pub use network::{
    Activation, Decoder, EmbeddingScale, Embeddings, Frequencies, LayerNorm, Mark, Mixer, Network, NormPlace,
    PositionLayout, Positions, Prompts, Side, Tables,
};
pub use positions::sinusoidal;
pub use recipe::{DataSection, ModelSection, Precision, Recipe, Schedule, Subwords, TrainSection, TranslateSection};
pub use recipe_file::RecipeFile;
pub use rules::{Exits, ExpertDropout, Initialization, Kind, Normalization, SecondChoice, Visible};
pub use search_options::SearchOptions;
pub use shape::Shape;
pub use suggest::nearest;
