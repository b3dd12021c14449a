//! The rules that the fields of [`crate::ModelConfig`] choose among: kinds of expert blocks, and rules of routing and
//! training, the paper's first.

use std::fmt;

use serde::{Deserialize, Serialize};
use strata_routing::Norms;

/// What stands in place of the FFN in every `moe_every`-th layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The FFN itself: a Transformer without experts.
    Dense,
    /// One gate over all experts, the `top_k` best for each token (GShard).
    Moe,
    /// One gate, the single best expert, weighted by its own probability.
    Switch,
    /// Conditional MoE routing: a sigmoid gate per token mixes a shared FFN and a MoE.
    Cmr,
    /// Several MoE layers one after another, without a norm or a residual between them.
    Stacked,
    /// Stratified MoE: a token moves on to the strata behind that of its first choice.
    Smoe,
}

/// Where an SMoE block normalizes (`smoe`; the other kinds have one pre-norm either way). With one stratum the paper's
/// order is a plain pre-norm MoE, and the authors' is an MoE with a norm on leaving, the control that tells what this
/// norm alone gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalization {
    /// As the paper writes it: a norm in front of each stratum, un-normalized residuals: L norms.
    Paper,
    /// As the authors' code computes it: a norm on leaving each stratum, which is also the next residual: L + 1 norms.
    Reference,
}

/// How the second expert of a token is chosen in training (inference always takes the arg-max).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecondChoice {
    /// The second most probable expert.
    Argmax,
    /// Sampled: the arg-max, without the first choice, of logits with Gumbel noise.
    Gumbel,
}

impl From<Normalization> for Norms {
    fn from(variant: Normalization) -> Norms {
        match variant {
            Normalization::Paper => Norms::OnArrival,
            Normalization::Reference => Norms::OnLeaving,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Dense => "dense",
            Kind::Moe => "moe",
            Kind::Switch => "switch",
            Kind::Cmr => "cmr",
            Kind::Stacked => "stacked",
            Kind::Smoe => "smoe",
        })
    }
}

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
pub enum Exits {
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
