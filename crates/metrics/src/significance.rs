//! Is one system better than another, or was it chance? Bootstrap confidence intervals (Koehn, 2004) and the paired
//! tests: bootstrap resampling and approximate randomization (Riezler and Maxwell, 2005), both over corpus scores.
//!
//! With sacreBLEU's seed (12345, the default) the same resamples and trials are drawn as there, so p-values, means and
//! intervals are the same too.

use std::fmt;

use crate::{
    error::MetricError,
    numpy::{Generator, mean},
    statistics::{Arithmetic, Metric, Statistics},
};

/// sacreBLEU's seed.
pub const DEFAULT_SEED: u64 = 12345;

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootstrapOptions {
    /// How many corpora to draw; 1,000 by default.
    pub resamples: usize,
    /// Seed of the draws.
    pub seed: u64,
}

impl Default for BootstrapOptions {
    fn default() -> Self {
        Self { resamples: 1000, seed: DEFAULT_SEED }
    }
}

/// How to shuffle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RandomizationOptions {
    /// How often to exchange segments at random between the systems; 10,000 by default.
    pub trials: usize,
    /// Seed of the draws.
    pub seed: u64,
    /// How many bootstrap resamples to draw for confidence intervals; none by default.
    pub confidence_resamples: Option<usize>,
}

impl Default for RandomizationOptions {
    fn default() -> Self {
        Self { trials: 10_000, seed: DEFAULT_SEED, confidence_resamples: None }
    }
}

/// A 95 % confidence interval. `Display` is sacreBLEU's `μ = MEAN ± HALF`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Confidence {
    /// Mean score of the resampled corpora.
    pub mean: f64,
    /// Half of the interval's width.
    pub half_width: f64,
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = f.precision().unwrap_or(2);
        write!(f, "μ = {:.decimals$} ± {:.decimals$}", self.mean, self.half_width)
    }
}

/// A system's corpus score, with an interval where one was asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SystemScore {
    /// The score of the real corpus, 0 to 100.
    pub score: f64,
    /// Its confidence interval.
    pub confidence: Option<Confidence>,
}

/// The outcome of a paired test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedTest {
    /// The baseline's score.
    pub baseline: SystemScore,
    /// The score of the system compared to it.
    pub system: SystemScore,
    /// About the probability of a difference at least as large if both systems were equally good. Two-sided.
    pub p_value: f64,
}

/// The confidence interval of one system's score (`sacrebleu --confidence`).
///
/// # Errors
/// No resamples, or statistics of another metric.
pub fn confidence<M: Metric + ?Sized>(
    metric: &M,
    statistics: &Statistics,
    options: BootstrapOptions,
) -> Result<Confidence, MetricError> {
    let counts = Resampler::new(metric, statistics, options.resamples)?;
    let scores = counts.scores(options.resamples, &mut Generator::new(options.seed));
    let mut confidence = scores.confidence();
    // Here sacreBLEU takes the mean with Python's `statistics`, which rounds once; no printed digit differs.
    confidence.mean = scores.arithmetic.round(mean(&scores.values, Arithmetic::Exact));
    Ok(confidence)
}

/// Paired bootstrap resampling: how often does a corpus drawn from the segments show a difference that is, beyond the
/// mean difference, larger than the real one? (`sacrebleu --paired-bs`)
///
/// # Errors
/// No resamples, statistics of another metric, or systems of different length.
pub fn paired_bootstrap<M: Metric + ?Sized>(
    metric: &M,
    baseline: &Statistics,
    system: &Statistics,
    options: BootstrapOptions,
) -> Result<PairedTest, MetricError> {
    same_segments(baseline, system)?;
    let scores = |statistics| -> Result<Scores, MetricError> {
        let counts = Resampler::new(metric, statistics, options.resamples)?;
        // Paired: the same seed draws the same segments for both systems.
        Ok(counts.scores(options.resamples, &mut Generator::new(options.seed)))
    };
    let (of_baseline, of_system) = (scores(baseline)?, scores(system)?);
    let (baseline, system) = (baseline.score(metric)?, system.score(metric)?);

    let arithmetic = match (of_baseline.arithmetic, of_system.arithmetic) {
        (Arithmetic::Single, Arithmetic::Single) => Arithmetic::Single,
        _ => Arithmetic::Exact,
    };
    let pairs = of_baseline.values.iter().zip(&of_system.values);
    let differences: Vec<f64> = pairs.map(|(b, s)| arithmetic.round(s - b).abs()).collect();
    let mean_difference = mean(&differences, arithmetic);
    let real = arithmetic.round((baseline - system).abs());
    let beyond = differences.iter().filter(|&&d| arithmetic.round(d - mean_difference) > real).count();
    Ok(PairedTest {
        baseline: SystemScore { score: baseline, confidence: Some(of_baseline.confidence()) },
        system: SystemScore { score: system, confidence: Some(of_system.confidence()) },
        p_value: p_value(beyond, options.resamples),
    })
}

/// Paired approximate randomization: how often do two systems made by exchanging each segment's outputs at random
/// differ by more than the real ones? (`sacrebleu --paired-ar`)
///
/// # Errors
/// No trials or resamples, statistics of another metric, or systems of different length.
pub fn approximate_randomization<M: Metric + ?Sized>(
    metric: &M,
    baseline: &Statistics,
    system: &Statistics,
    options: RandomizationOptions,
) -> Result<PairedTest, MetricError> {
    same_segments(baseline, system)?;
    let (baseline_score, system_score) = (baseline.score(metric)?, system.score(metric)?);
    positive("trials", options.trials)?;
    let real = (baseline_score - system_score).abs();
    let mut generator = Generator::new(options.seed);
    let beyond = count_beyond(metric, baseline, system, real, options.trials, &mut generator);

    let interval = |statistics, generator: &mut Generator| -> Result<Option<Confidence>, MetricError> {
        let Some(resamples) = options.confidence_resamples else { return Ok(None) };
        Ok(Some(Resampler::new(metric, statistics, resamples)?.scores(resamples, generator).confidence()))
    };
    Ok(PairedTest {
        // sacreBLEU draws the baseline's resamples anew from the seed and the system's after its trials.
        baseline: SystemScore {
            score: baseline_score,
            confidence: interval(baseline, &mut Generator::new(options.seed))?,
        },
        system: SystemScore { score: system_score, confidence: interval(system, &mut generator)? },
        p_value: p_value(beyond, options.trials),
    })
}

/// In how many trials two systems of exchanged segments differ by more than `real`.
fn count_beyond<M: Metric + ?Sized>(
    metric: &M,
    baseline: &Statistics,
    system: &Statistics,
    real: f64,
    trials: usize,
    generator: &mut Generator,
) -> usize {
    let system_totals: Vec<i64> = system.totals().iter().map(|&count| count as i64).collect();
    let both: Vec<i64> = baseline.totals().iter().zip(&system_totals).map(|(&b, s)| b as i64 + s).collect();
    let pairs = baseline.rows().flatten().zip(system.rows().flatten());
    let gains: Vec<i64> = pairs.map(|(&b, &s)| b as i64 - s as i64).collect(); // [segments, width]
    let score = |totals: &[f64]| metric.value(totals, Arithmetic::Integer).score;

    let mut bits = generator.bits();
    let mut first = system_totals.clone();
    let mut beyond = 0;
    for _ in 0..trials {
        first.copy_from_slice(&system_totals);
        for gain in gains.chunks_exact(baseline.width()) {
            // All ones where this segment is the baseline's; a branch would be mispredicted half the time.
            let taken = -i64::from(bits.next_bit());
            for (total, g) in first.iter_mut().zip(gain) {
                *total += g & taken;
            }
        }
        let one: Vec<f64> = first.iter().map(|&count| count as f64).collect();
        let other: Vec<f64> = first.iter().zip(&both).map(|(count, all)| (all - count) as f64).collect();
        beyond += usize::from((score(&one) - score(&other)).abs() > real);
    }
    beyond
}

/// One system's counts, ready to be drawn from.
struct Resampler<'a, M: ?Sized> {
    metric: &'a M,
    segments: u32,
    /// `[segments, width]`, single precision as in sacreBLEU: sums are exact below 2^24.
    counts: Vec<f32>,
}

impl<'a, M: Metric + ?Sized> Resampler<'a, M> {
    fn new(metric: &'a M, statistics: &Statistics, resamples: usize) -> Result<Self, MetricError> {
        statistics.check(metric)?;
        positive("resamples", resamples)?;
        let segments = u32::try_from(statistics.segments()).map_err(|_| MetricError::Option {
            option: "segments",
            value: statistics.segments().to_string(),
            allowed: "a test can draw from 4,294,967,295 segments at most",
        })?;
        Ok(Self { metric, segments, counts: statistics.rows().flatten().map(|&count| count as f32).collect() })
    }

    /// The scores of corpora of the same size, drawn with replacement.
    fn scores(&self, resamples: usize, generator: &mut Generator) -> Scores {
        let width = self.metric.width();
        let mut values = Vec::with_capacity(resamples);
        let mut single = true;
        let mut totals = vec![0_f32; width];
        for _ in 0..resamples {
            totals.fill(0.0);
            for _ in 0..self.segments {
                let start = generator.below(self.segments) as usize * width;
                for (total, count) in totals.iter_mut().zip(&self.counts[start..start + width]) {
                    *total += count;
                }
            }
            let totals: Vec<f64> = totals.iter().map(|&total| f64::from(total)).collect();
            let value = self.metric.value(&totals, Arithmetic::Single);
            values.push(value.score);
            single &= value.single;
        }
        // One Python float among them makes NumPy's array double.
        Scores { values, arithmetic: if single { Arithmetic::Single } else { Arithmetic::Exact } }
    }
}

/// The scores of resamples, as a NumPy array of float32 or float64.
struct Scores {
    values: Vec<f64>,
    arithmetic: Arithmetic,
}

impl Scores {
    fn confidence(&self) -> Confidence {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let outside = sorted.len() / 40; // 2.5 % on either side
        let width = self.arithmetic.round(sorted[sorted.len() - 1 - outside] - sorted[outside]);
        Confidence { mean: mean(&sorted, self.arithmetic), half_width: 0.5 * width }
    }
}

fn same_segments(baseline: &Statistics, system: &Statistics) -> Result<(), MetricError> {
    if baseline.segments() == system.segments() {
        return Ok(());
    }
    Err(MetricError::SystemsDiffer { baseline: baseline.segments(), system: system.segments() })
}

fn positive(option: &'static str, value: usize) -> Result<(), MetricError> {
    if value > 0 {
        return Ok(());
    }
    Err(MetricError::Option { option, value: value.to_string(), allowed: "a test needs at least one" })
}

/// The real systems count as one more trial, so that a p-value is never 0.
fn p_value(beyond: usize, trials: usize) -> f64 {
    (beyond as f64 + 1.0) / (trials as f64 + 1.0)
}
