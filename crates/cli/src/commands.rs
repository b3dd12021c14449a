//! The commands: a file each, with its arguments (what was said) and its `run` (what is done).

pub mod analyze;
pub mod bench;
pub mod capacity;
pub mod doctor;
pub mod evaluate;
pub mod export;
pub mod fetch;
pub mod generate;
pub mod import;
pub mod inspect;
#[cfg(not(feature = "train"))]
pub mod left_out;
pub mod prepare;
pub mod prune;
#[cfg(feature = "train")]
pub mod quickstart;
pub mod score;
pub mod serve;
#[cfg(feature = "train")]
pub mod study;
#[cfg(feature = "train")]
pub mod train;
pub mod translate;
pub mod vocabulary;

#[cfg(not(feature = "train"))]
pub use {left_out as quickstart, left_out as study, left_out as train};
