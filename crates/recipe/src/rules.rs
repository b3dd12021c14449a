//! Rules of routing and training beyond the paper's, each the value of a field of [`crate::ModelConfig`].

use serde::{Deserialize, Serialize};

/// The experts that the gate of a stratum chooses among.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visible {
    /// Those of its own stratum and of all later ones, as the paper has it.
    #[default]
    Later,
    /// All: one pool.
    All,
}

/// When a token leaves an SMoE block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitRule {
    /// When its first choice is an expert of the last stratum, as the paper has it.
    #[default]
    Choice,
    /// The same, and in training the gate that sends a token on learns from what the next stratum made of it
    /// (straight-through: the next visit's output is multiplied by `q / q`, of which only the upper q, the probability
    /// of going on, has a gradient).
    Learned,
    /// After the last stratum only: every token visits all.
    Never,
    /// By chance, at a mean requested capacity of [`crate::ModelConfig::random_capacity`].
    Random,
}

/// How FFNs, experts and the projections of attention start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Initialization {
    /// Uniform as Glorot and Bengio (2010), biases zero.
    #[default]
    Glorot,
    /// As the authors' code, which builds on fairseq: FFNs and experts uniform in `1 / sqrt(inputs)`, biases too;
    /// query, key and value Glorot times `1 / sqrt 2`.
    Fairseq,
}

/// Where dropout acts on the output of experts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpertDropout {
    /// On the weighted sum of a visit, as in any other sub-layer.
    #[default]
    Sum,
    /// On each expert's output, before it is weighted, as in the authors' code.
    Each,
}

/// Fields that are not written where they hold the paper's rule, so that files of models without them stay as they are.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The same for a factor.
pub(crate) fn is_one(value: &f64) -> bool {
    *value == 1.0
}

pub(crate) fn one() -> f64 {
    1.0
}
