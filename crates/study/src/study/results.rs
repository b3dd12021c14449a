//! What a study found: the figures of each run, means over seeds, and comparisons.

use serde::{Deserialize, Serialize};
use strata_translate::evaluate::{Evaluation, ScoredDirection};

use super::file::Primary;
use super::likelihood::Likelihood;
pub use super::seeds::PairedT;
use crate::analysis::TokenCapacity;

/// The state of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Trained and measured.
    Done,
    /// Not started.
    Waiting,
    /// Stopped by the user; the next call resumes it.
    Interrupted,
    /// Not trained or not measured; see [`RunResult::reason`].
    Failed,
}

/// The figures of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// `moe-8.seed1`.
    pub id: String,
    /// The name in the study.
    pub name: String,
    /// Its seed.
    pub seed: u64,
    /// The model's name, such as `SMoE-4-4`.
    pub model: String,
    /// Its state.
    pub status: Status,
    /// Why it failed.
    pub reason: Option<String>,
    /// Settings, other than the model's, that differ from the baseline's: then the comparison is not of models alone.
    pub differs: Vec<String>,
    /// Weights of the model.
    pub parameters: u64,
    /// Forward FLOPs per token under uniform routing.
    pub flops_per_token: u64,
    /// Forward FLOPs per token at the requested capacity of the analyzed sentences; the same number for a dense model.
    pub flops_per_token_measured: Option<u64>,
    /// Mean requested capacity of the encoder's blocks.
    pub rc_encoder: Option<f64>,
    /// Mean requested capacity of the decoder's blocks.
    pub rc_decoder: Option<f64>,
    /// Updates made.
    pub updates: u64,
    /// Best validation loss, label-smoothed, nats per target subword.
    pub best_loss: Option<f64>,
    /// The update of the best validation loss.
    pub best_update: Option<u64>,
    /// Time spent training, in seconds, all sessions together.
    pub train_seconds: f64,
    /// Source and target subwords per second in training, the median over the log.
    pub tokens_per_second: Option<f64>,
    /// Choices that found their expert full, over all logged updates of training.
    pub dropped: u64,
    /// Time spent translating, in seconds.
    pub translate_seconds: f64,
    /// Scores of each direction, in the order of the corpus.
    pub directions: Vec<Scored>,
    /// Averages as `strata evaluate` makes them.
    pub averages: Vec<Averaged>,
    /// Negative log-likelihood of the references of the whole split, nats per target subword, all directions together.
    #[serde(default)]
    pub nll: Option<f64>,
    /// The same of each direction.
    #[serde(default)]
    pub likelihoods: Vec<Likelihood>,
    /// The validations.
    pub curve: Vec<CurvePoint>,
    /// A translation in each direction, of the same sentence in every run.
    pub examples: Vec<ShownTranslation>,
}

/// A translation shown as an example.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShownTranslation {
    /// `en-de`.
    pub direction: String,
    /// The sentence.
    pub source: String,
    /// Its translation by people.
    pub reference: String,
    /// The translation by the run's model.
    pub translation: String,
    /// The source's tokens with the capacity that each requested; empty for a dense model.
    pub source_tokens: Vec<TokenCapacity>,
    /// The translation's tokens with the capacity that each requested; empty for a dense model.
    pub tokens: Vec<TokenCapacity>,
}

/// Scores of one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The direction.
    #[serde(flatten)]
    pub of: ScoredDirection,
    /// BLEU.
    pub bleu: f64,
    /// chrF2.
    pub chrf2: f64,
    /// BLEU of the sources, untranslated.
    pub copy_bleu: f64,
}

/// Means over directions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Averaged {
    /// `from en`, `into en, low`, `all`, ...
    pub name: String,
    /// Directions in it.
    pub directions: usize,
    /// Mean BLEU.
    pub bleu: f64,
    /// Mean chrF2.
    pub chrf2: f64,
}

/// One validation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Updates made.
    pub update: u64,
    /// Label-smoothed loss, nats per target subword.
    pub loss: f64,
    /// BLEU of a sample of the validation sentences, where it was measured.
    pub bleu: Option<f64>,
    /// Source and target subwords trained on; 0 where the log does not say.
    #[serde(default)]
    pub tokens: u64,
    /// Time spent training, in seconds; 0 where the log does not say.
    #[serde(default)]
    pub seconds: f64,
}

impl RunResult {
    /// Takes the scores of an evaluation.
    pub(crate) fn take_scores(&mut self, evaluation: &Evaluation) {
        self.translate_seconds = evaluation.directions.iter().map(|d| d.seconds).sum();
        let scored = evaluation.directions.iter().map(|d| Scored {
            of: d.of.clone(),
            bleu: d.scores.bleu,
            chrf2: d.scores.chrf2,
            copy_bleu: d.copy.bleu,
        });
        self.directions = scored.collect();
        let averaged = evaluation.averages.iter().map(|a| Averaged {
            name: a.name.clone(),
            directions: a.directions,
            bleu: a.scores.bleu,
            chrf2: a.scores.chrf2,
        });
        self.averages = averaged.collect();
    }

    /// References that its likelihoods leave out: too long for the model, or without a finite score.
    pub fn left_out(&self) -> usize {
        self.likelihoods.iter().map(|of| of.left_out).sum()
    }

    /// An average by its name.
    pub fn average(&self, name: &str) -> Option<&Averaged> {
        self.averages.iter().find(|average| average.name == name)
    }
}

/// Everything that a study has found so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyResult {
    /// The study's file.
    pub study: String,
    /// The corpus.
    pub prepared: String,
    /// The split that was translated.
    pub split: String,
    /// The run with which the others are compared.
    pub baseline: String,
    /// What was decided before the first run.
    pub primary: Primary,
    /// Why the study ended before its last step, where a step's condition did not hold.
    #[serde(default)]
    pub ended: Option<String>,
    /// How BLEU and chrF2 were computed, as sacreBLEU writes it.
    pub signatures: Vec<String>,
    /// Each run, in the order of the plan.
    pub runs: Vec<RunResult>,
    /// Each name of the study: means over its seeds.
    pub systems: Vec<SystemResult>,
    /// Differences from the baseline.
    pub comparisons: Vec<Comparison>,
}

/// The runs of one name, over their seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SystemResult {
    /// The name in the study.
    pub name: String,
    /// Seeds whose runs are done.
    pub seeds: Vec<u64>,
    /// Each average over directions, summarized over the seeds.
    pub averages: Vec<Spread>,
    /// Mean over the seeds of [`RunResult::nll`].
    #[serde(default)]
    pub nll: Option<f64>,
}

/// A figure over seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// `from en`, ..., as [`Averaged::name`].
    pub name: String,
    /// Mean BLEU over seeds.
    pub bleu: f64,
    /// The lowest BLEU of a seed.
    pub bleu_min: f64,
    /// The highest BLEU of a seed.
    pub bleu_max: f64,
    /// Standard deviation of BLEU over seeds (n - 1); none with one seed.
    pub bleu_deviation: Option<f64>,
    /// Mean chrF2 over seeds.
    pub chrf2: f64,
}

/// A system against the baseline, both over their common seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The system's name in the study.
    pub name: String,
    /// A direction such as `en-de`, or an average such as `from en`.
    pub of: String,
    /// `NLL`, `BLEU` or `chrF2`.
    pub metric: String,
    /// Seeds that both have.
    pub seeds: Vec<u64>,
    /// System minus baseline, the mean over the seeds.
    pub difference: f64,
    /// Lower end of the 95 % interval: over resampled sentences, for NLL over resampled seeds and English sentences.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// How often, in resampled test sets, the difference strays from its mean by more than its size: two-sided p.
    pub p_bootstrap: f64,
    /// Student's paired t over the seeds, where there are two or more.
    #[serde(default)]
    pub seeds_test: Option<PairedT>,
    /// For NLL: seeds with which a difference of the study's size would be found four times in five.
    #[serde(default)]
    pub seeds_needed: Option<usize>,
    /// The difference of each seed.
    pub by_seed: Vec<f64>,
}
