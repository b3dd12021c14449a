//! The one error type of the crate.

use crate::tokenizer::TokenizeError;

/// Why a score or a test could not be computed.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    /// There is no segment to score.
    #[error("nothing to score: there are no hypotheses; give at least one line")]
    NoSegments,
    /// There is no reference stream (or none for this segment).
    #[error("nothing to score against: there are no references; give at least one reference stream")]
    NoReferences,
    /// A reference stream is not aligned with the hypotheses.
    #[error(
        "{hypotheses} hypotheses but {references} references in reference stream {stream} (counted from 1); \
         they must be line by line translations of the same source"
    )]
    LengthsDiffer {
        /// Number of hypotheses.
        hypotheses: usize,
        /// Number of segments in the reference stream.
        references: usize,
        /// Which reference stream, from 1.
        stream: usize,
    },
    /// Two systems of a paired test have different numbers of segments.
    #[error("a paired test needs the same segments: the baseline has {baseline}, the system {system}")]
    SystemsDiffer {
        /// Segments of the baseline.
        baseline: usize,
        /// Segments of the system.
        system: usize,
    },
    /// Statistics were collected with another metric or other orders than they are scored with.
    #[error(
        "these statistics have {found} counts per segment, but {metric} needs {expected}; collect them with the same metric"
    )]
    WrongStatistics {
        /// Name of the metric asked to score.
        metric: String,
        /// Counts per segment that the metric needs.
        expected: usize,
        /// Counts per segment that the statistics hold.
        found: usize,
    },
    /// An option is outside what the metric is defined for.
    #[error("{option} = {value} is not possible: {allowed}")]
    Option {
        /// Name of the option.
        option: &'static str,
        /// The value it was given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// No built-in tokenizer has this name.
    #[error(
        "there is no built-in tokenizer `{name}`; built in are 13a, intl, zh, char and none \
         (a SentencePiece one such as flores200 needs its model)"
    )]
    UnknownTokenizer {
        /// The name asked for.
        name: String,
    },
    /// A tokenizer of sacreBLEU that rests on MeCab.
    #[error(
        "the tokenizer `{name}` needs MeCab and its dictionary, which are not part of this program; use char or a \
         SentencePiece model such as flores200, or split both sides with MeCab and use none"
    )]
    NoMecab {
        /// The name asked for.
        name: String,
    },
    /// A caller-supplied tokenizer failed.
    #[error("tokenizer `{name}` failed on {text:?}: {source}")]
    Tokenizer {
        /// The tokenizer's name.
        name: String,
        /// The start of the segment it failed on.
        text: String,
        /// What it reported.
        source: TokenizeError,
    },
}
