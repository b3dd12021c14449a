//! Scoring jobs as JSON, for `tests/sacrebleu.rs` (recorded answers) and `examples/score.rs` (answers compared live).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use strata_metrics::{
    Bleu, BleuOptions, Chrf, ChrfOptions, Metric, MetricError, Scorer, Smoothing, Statistics, Tokenizer,
    significance::{
        BootstrapOptions, DEFAULT_SEED, PairedTest, RandomizationOptions, SystemScore, approximate_randomization,
        confidence, paired_bootstrap,
    },
};

/// Texts and what to do with them.
#[derive(Deserialize)]
pub struct Document {
    /// Outputs of each system, line by line.
    pub systems: BTreeMap<String, Vec<String>>,
    /// `[stream][line]`
    pub references: Vec<Vec<String>>,
    pub jobs: Vec<Job>,
    /// One answer a job, as recorded from sacreBLEU.
    #[serde(default)]
    #[allow(dead_code, reason = "only the test has recorded answers")]
    pub expected: Vec<Json>,
}

/// One thing to do with one system (and a baseline) under one metric.
#[derive(Deserialize, Debug)]
pub struct Job {
    pub run: Run,
    pub metric: MetricKind,
    pub system: String,
    #[serde(default)]
    pub baseline: String,
    /// How many reference streams to use.
    pub references: usize,
    /// Resamples or trials.
    #[serde(default)]
    pub samples: usize,
    #[serde(default)]
    pub confidence_samples: Option<usize>,
}

#[derive(Deserialize, Debug, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub enum Run {
    Tokens,
    Corpus,
    Sentences,
    Confidence,
    PairedBs,
    PairedAr,
}

#[derive(Deserialize, Debug)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MetricKind {
    Bleu {
        tokenize: String,
        lowercase: bool,
        smooth_method: String,
        smooth_value: Option<f64>,
        effective_order: bool,
        max_ngram_order: usize,
    },
    Chrf {
        char_order: usize,
        word_order: usize,
        beta: u32,
        lowercase: bool,
        whitespace: bool,
        eps_smoothing: bool,
    },
}

type Failure = Box<dyn std::error::Error>;

impl Document {
    /// The answers, one a job.
    pub fn answers(&self) -> Result<Vec<Json>, Failure> {
        self.jobs.iter().map(|job| self.answer(job)).collect()
    }

    fn answer(&self, job: &Job) -> Result<Json, Failure> {
        let references: Vec<&[String]> = self.references[..job.references].iter().map(Vec::as_slice).collect();
        let hypotheses = &self.systems[&job.system];
        match &job.metric {
            MetricKind::Bleu { tokenize, lowercase, smooth_method, smooth_value, effective_order, max_ngram_order } => {
                let smoothing = match smooth_method.as_str() {
                    "none" => Smoothing::None,
                    "exp" => Smoothing::Exp,
                    "floor" => Smoothing::Floor(smooth_value.unwrap_or(0.1)),
                    "add-k" => Smoothing::AddK(smooth_value.unwrap_or(1.0)),
                    other => return Err(format!("unknown smoothing {other}").into()),
                };
                let tokenizer: Tokenizer = tokenize.parse()?;
                if let Run::Tokens = job.run {
                    let tokens =
                        hypotheses.iter().map(|line| tokenizer.tokenize(line)).collect::<Result<Vec<_>, _>>()?;
                    return Ok(json!(tokens));
                }
                let bleu = Bleu::new(BleuOptions {
                    tokenizer,
                    lowercase: *lowercase,
                    smoothing,
                    effective_order: *effective_order,
                    max_order: *max_ngram_order,
                })?;
                match job.run {
                    Run::Corpus => {
                        let score = bleu.corpus(hypotheses, &references)?;
                        Ok(json!({
                            "line": score.line(Some(&bleu.signature(job.references)), None, 2),
                            "short": bleu.signature(job.references).short(),
                            "score": score.score,
                            "precisions": score.precisions,
                            "bp": score.brevity_penalty,
                            "ratio": score.ratio(),
                            "lengths": [score.hypothesis_length, score.reference_length],
                            "matches": score.matches,
                            "ngrams": score.ngrams,
                        }))
                    }
                    Run::Sentences => per_sentence(hypotheses, &references, |hypothesis, references| {
                        Ok(bleu.sentence(hypothesis, references)?.to_string())
                    }),
                    Run::Confidence => {
                        let interval = confidence_of(&bleu, hypotheses, &references, job)?;
                        let signature = bleu.signature(job.references).with_bootstrap(job.samples, DEFAULT_SEED);
                        Ok(json!(bleu.corpus(hypotheses, &references)?.line(Some(&signature), Some(interval), 2)))
                    }
                    _ => self.paired(&bleu, job, &references),
                }
            }
            &MetricKind::Chrf { char_order, word_order, beta, lowercase, whitespace, eps_smoothing } => {
                let chrf =
                    Chrf::new(ChrfOptions { char_order, word_order, beta, lowercase, whitespace, eps_smoothing })?;
                match job.run {
                    Run::Corpus => {
                        let score = chrf.corpus(hypotheses, &references)?;
                        Ok(json!({
                            "line": score.line(Some(&chrf.signature(job.references)), None, 2),
                            "short": chrf.signature(job.references).short(),
                            "score": score.score,
                        }))
                    }
                    Run::Sentences => per_sentence(hypotheses, &references, |hypothesis, references| {
                        Ok(chrf.sentence(hypothesis, references)?.to_string())
                    }),
                    Run::Confidence => {
                        let interval = confidence_of(&chrf, hypotheses, &references, job)?;
                        let signature = chrf.signature(job.references).with_bootstrap(job.samples, DEFAULT_SEED);
                        Ok(json!(chrf.corpus(hypotheses, &references)?.line(Some(&signature), Some(interval), 2)))
                    }
                    _ => self.paired(&chrf, job, &references),
                }
            }
        }
    }

    fn paired(&self, metric: &dyn Metric, job: &Job, references: &[&[String]]) -> Result<Json, Failure> {
        let baseline = Statistics::collect(metric, &self.systems[&job.baseline], references)?;
        let system = Statistics::collect(metric, &self.systems[&job.system], references)?;
        let signature = metric.signature(job.references);
        let (test, signature) = match job.run {
            Run::PairedBs => {
                let options = BootstrapOptions { resamples: job.samples, ..Default::default() };
                let signature = signature.with_bootstrap(job.samples, DEFAULT_SEED);
                (paired_bootstrap(metric, &baseline, &system, options)?, signature)
            }
            Run::PairedAr => {
                let options = RandomizationOptions {
                    trials: job.samples,
                    confidence_resamples: job.confidence_samples,
                    ..Default::default()
                };
                let signature = signature.with_randomization(job.samples, DEFAULT_SEED);
                let signature = match job.confidence_samples {
                    Some(resamples) => signature.with_bootstrap(resamples, DEFAULT_SEED),
                    None => signature,
                };
                (approximate_randomization(metric, &baseline, &system, options)?, signature)
            }
            other => return Err(format!("{other:?} is not possible for {}", metric.name()).into()),
        };
        Ok(paired_answer(&test, &signature.to_string()))
    }
}

fn per_sentence(
    hypotheses: &[String],
    references: &[&[String]],
    line: impl Fn(&str, &[&String]) -> Result<String, MetricError>,
) -> Result<Json, Failure> {
    let lines = hypotheses.iter().enumerate().map(|(i, hypothesis)| {
        let of_segment: Vec<&String> = references.iter().map(|stream| &stream[i]).collect();
        line(hypothesis, &of_segment)
    });
    Ok(json!(lines.collect::<Result<Vec<_>, _>>()?))
}

fn confidence_of(
    metric: &dyn Metric,
    hypotheses: &[String],
    references: &[&[String]],
    job: &Job,
) -> Result<strata_metrics::significance::Confidence, Failure> {
    let statistics = Statistics::collect(metric, hypotheses, references)?;
    Ok(confidence(metric, &statistics, BootstrapOptions { resamples: job.samples, ..Default::default() })?)
}

fn paired_answer(test: &PairedTest, signature: &str) -> Json {
    let system = |system: &SystemScore| {
        let interval = system.confidence;
        json!({ "score": system.score, "mean": interval.map(|c| c.mean), "ci": interval.map(|c| c.half_width) })
    };
    json!({
        "baseline": system(&test.baseline),
        "system": system(&test.system),
        "p": test.p_value,
        "signature": signature,
    })
}
