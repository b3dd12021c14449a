//! Translation of text with a trained model, and the scores of it: sentences in, sentences out.
//!
//! Every way from text to text takes the same steps: [`Translator::task`] checks the options and turns them into ids,
//! text is cut into parts that the model takes, [`Translator::request`] makes the engine's request for a part, the
//! engine decodes, and what it found becomes [`Candidate`]s. [`Translator::translate`] does all of that for many lines
//! in batches; [`Translator::translate_parts`] shows each part with its tokens; a server takes the steps by itself.
//! [`evaluate`] translates a prepared corpus direction by direction and scores it as sacreBLEU does; [`compare`] tests
//! two systems against each other.
//!
//! The feature `burn` adds the model's own beam search on every device that Burn has; without it only the CPU engine is
//! built.

#![forbid(unsafe_code)]

mod alignment;
mod backend;
#[cfg(feature = "burn")]
mod burn;
mod candidate;
pub mod compare;
mod error;
pub mod evaluate;
mod forced;
mod glossary;
mod lines;
mod options;
mod parts;
pub mod scores;
mod speed;
mod split;
mod task;
mod trace;
mod translator;
mod vocabulary;

pub use candidate::{Candidate, Token};
pub use error::Error;
pub use forced::Forced;
pub use glossary::Glossary;
pub use lines::Line;
pub use options::TranslateOptions;
pub use parts::{Part, Requests};
pub use speed::Speed;
pub use strata_recipe::SearchOptions;
pub use task::Task;
pub use trace::{Target, Trace, TracedToken};
pub use translator::{Placement, Translator};
pub use vocabulary::VocabularyMap;
