//! Translation of text with a trained model, and the scores of it: sentences in, sentences out.
//!
//! Every way from text to text takes the same steps: [`Translator::task`] checks the options and turns them into ids,
//! text is cut into [`sentences`] that the model takes ([`Translator::parts`]), [`Translator::begin`] makes the work of
//! parts, the engine decodes the work's requests, and what it found becomes [`Candidate`]s. What the model cannot know
//! is copied ([`Translator::copied`]), and what it leaves out is tried again in pieces ([`Work`]).
//! [`Translator::translate`] does all of that for many lines in batches; [`Translator::translate_parts`] shows each
//! part with its tokens; a server takes the steps by itself. [`evaluate`] translates a prepared corpus direction by
//! direction and scores it as sacreBLEU does; [`compare`] tests two systems against each other.
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
mod copied;
mod endings;
mod error;
pub mod evaluate;
mod export;
mod forced;
mod glossary;
pub mod invisible;
mod joined;
pub mod layout;
mod lines;
mod options;
mod parts;
mod pieces;
pub mod scores;
mod sentences;
mod shortfall;
mod signs;
mod spaces;
mod speed;
mod split;
mod stand_in;
mod task;
mod trace;
mod translator;
mod vocabulary;
mod work;

pub use candidate::{Candidate, Token};
pub use copied::code;
pub use error::Error;
pub use export::{export_ctranslate2, export_packed};
pub use forced::Forced;
pub use glossary::{Glossary, Term};
pub use lines::{Line, Translated};
pub use options::TranslateOptions;
pub use parts::Part;
pub use pieces::PieceIds;
pub use sentences::sentences;
pub use shortfall::Shortfall;
pub use speed::Speed;
pub use strata_recipe::SearchOptions;
pub use strata_runtime::{Stop, Tally};
pub use task::Task;
pub use trace::{Target, Trace, TracedToken};
pub use translator::{Placement, Translator};
pub use vocabulary::{MappedLanguage, VOCABULARY_MAP_FILE, VocabularyMap};
pub use work::Work;
