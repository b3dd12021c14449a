//! Comparing models trained on one corpus, and what each language requests from them.
//!
//! [`analyze`] records the routing of a corpus and reports requested capacity (RC) and the use of the experts;
//! [`study`] trains a grid of models with everything else equal and compares them; [`prune`] drops the experts that
//! some languages do not need; [`budget`] sets how much capacity a model requests; [`report`] draws it all into one
//! HTML file.

#![forbid(unsafe_code)]

pub mod analysis;
pub mod budget;
pub mod counts;
mod error;
mod frequency;
pub mod prune;
pub mod report;
mod routed;
pub mod similarity;
pub mod study;
mod summary;

pub use analysis::{Analysis, AnalyzeOptions, analyze};
pub use error::Error;
pub use frequency::Frequencies;
pub use routed::{RoutedModel, RoutedPair};
