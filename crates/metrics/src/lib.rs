//! BLEU, chrF, TER and paired significance tests: pure functions over strings, equal to [sacreBLEU]'s to the printed
//! digit.
//!
//! A metric maps every segment to a short row of counts (its sufficient statistics); a corpus score is a function of
//! the rows' sum. [`Statistics`] keeps the rows, so that scores, confidence intervals and tests need each segment only
//! once.
//!
//! ```
//! use strata_metrics::{Bleu, BleuOptions, Chrf, ChrfOptions, Metric, Scorer, Statistics, significance};
//!
//! let references = ["The cat sat on the mat.", "It is raining again today."];
//! let first = ["The cat sat on a mat.", "Today it rains again."];
//! let second = ["The cat sat on the mat.", "It rains again today."];
//!
//! let bleu = Bleu::new(BleuOptions::default())?;
//! let score = bleu.corpus(&second, &[&references])?;
//! println!("{score}"); // BLEU = ... (BP = ... ratio = ... hyp_len = ... ref_len = ...)
//! println!("{}", bleu.signature(1)); // nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:...
//!
//! let chrf = Chrf::new(ChrfOptions::chrf2())?;
//! let baseline = Statistics::collect(&chrf, &first, &[&references])?;
//! let system = Statistics::collect(&chrf, &second, &[&references])?;
//! let test = significance::paired_bootstrap(&chrf, &baseline, &system, Default::default())?;
//! assert!(test.p_value <= 1.0);
//! # Ok::<(), strata_metrics::MetricError>(())
//! ```
//!
//! What "equal" means: scores, precisions, lengths, p-values and intervals of sacreBLEU [`SACREBLEU_VERSION`] with
//! NumPy 2. Two negligible differences remain: characters that Unicode gained after the release of the Python in use
//! are lowercased here and not there, and Python 3.12 and later sum logarithms with one rounding less (1e-15 of the
//! score).
//!
//! [sacreBLEU]: https://github.com/mjpost/sacrebleu

#![forbid(unsafe_code)]

pub mod bleu;
pub mod chrf;
mod error;
mod ngrams;
mod numpy;
mod score_line;
mod signature;
pub mod significance;
mod statistics;
pub mod ter;
mod text;
pub mod tokenizer;

pub use bleu::{Bleu, BleuOptions, BleuScore, Smoothing};
pub use chrf::{Chrf, ChrfOptions, ChrfScore};
pub use error::MetricError;
pub use signature::Signature;
pub use statistics::{Arithmetic, Metric, Scorer, Statistics, Value};
pub use ter::{Ter, TerScore};
pub use tokenizer::{Tokenize, Tokenizer};

/// The sacreBLEU release whose behavior is reproduced; the `version` field of every signature.
pub const SACREBLEU_VERSION: &str = "2.6.0";
