//! What is decided before the first run: the measure that counts, and the steps of the study with the conditions under
//! which it goes on.

use serde::{Deserialize, Serialize};

use super::results::RunResult;

/// What the study is to decide, and by which measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Primary {
    /// The question, in words, for the report.
    #[serde(default)]
    pub question: String,
    /// The measure that decides it; the others are secondary.
    #[serde(default)]
    pub measure: Measure,
    /// The smallest difference that matters, in units of the measure; the tables say how many seeds it needs.
    #[serde(default = "hundredth")]
    pub difference: f64,
}

fn hundredth() -> f64 {
    0.01
}

impl Default for Primary {
    fn default() -> Self {
        Self { question: String::new(), measure: Measure::Nll, difference: hundredth() }
    }
}

/// A figure of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// Negative log-likelihood of all references of the split, nats per target subword.
    #[default]
    Nll,
    /// BLEU, the mean over all directions.
    Bleu,
    /// chrF2, the mean over all directions.
    Chrf2,
}

impl Measure {
    /// The figure of a run that is done.
    pub fn of(self, run: &RunResult) -> Option<f64> {
        let average = run.average("all");
        match self {
            Measure::Nll => run.nll,
            Measure::Bleu => average.map(|average| average.bleu),
            Measure::Chrf2 => average.map(|average| average.chrf2),
        }
    }

    /// Its name in comparisons.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Nll => super::likelihood::NLL,
            Measure::Bleu => "BLEU",
            Measure::Chrf2 => "chrF2",
        }
    }
}

/// Runs that belong together, and what must hold of them for the study to go on.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its name in messages.
    pub name: String,
    /// Names of its runs, in their order.
    pub runs: Vec<String>,
    /// Their seeds, in place of their own and of the study's. A run with a seed that an earlier step had is not made
    /// twice.
    pub seeds: Option<Vec<u64>>,
    /// All of these must hold after the step.
    #[serde(default)]
    pub go_on_if: Vec<Condition>,
}

/// That one system is above another in the primary measure, by the means over their seeds; in NLL over the sentences
/// that no run of either left out.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The system with the higher figure. For `nll` that is the worse one.
    pub higher: String,
    /// The system with the lower figure.
    pub lower: String,
    /// By how much at least.
    pub by: f64,
}

impl Condition {
    /// Why the study does not go on, by the means of the higher and the lower system; none if the condition holds.
    pub(crate) fn fails(&self, measure: Measure, [above, below]: [f64; 2]) -> Option<String> {
        let Condition { higher, lower, by } = self;
        let found = above - below;
        // One that is not a number holds nothing.
        let holds = found >= *by;
        (!holds).then(|| {
            format!("{} of `{higher}` is {found:+.4} above that of `{lower}`, not {by} or more", measure.name())
        })
    }
}
