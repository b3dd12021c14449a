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
pub mod prepare;
pub mod prune;
pub mod quickstart;
pub mod score;
pub mod serve;
pub mod study;
pub mod train;
pub mod translate;
pub mod vocabulary;
