//! Translation of text with a trained model, and the scores of it: sentences in, sentences out.
//!
//! [`Translator`] reads a model folder and translates lines of any length in batches; [`evaluate`] translates a prepared
//! corpus direction by direction and scores it as sacreBLEU does; [`compare`] tests two systems against each other.

mod alignment;
mod backend;
pub mod compare;
mod error;
pub mod evaluate;
mod glossary;
mod options;
mod parts;
pub mod scores;
mod speed;
mod split;
mod translator;
mod vocabulary;

pub use error::Error;
pub use glossary::Glossary;
pub use options::{More, Options};
pub use parts::{Part, PartSearch, Target, Trace, TracedToken, Wanted};
pub use speed::Speed;
pub use strata_runtime::Sampling;
pub use translator::{Candidate, Forced, Line, Placement, Token, Translator};
pub use vocabulary::VocabularyMap;
