//! Two systems on the same sentences: is the difference more than chance?

use serde::Serialize;
use strata_metrics::significance::{
    BootstrapOptions, RandomizationOptions, approximate_randomization, paired_bootstrap,
};
use strata_metrics::{Metric, Statistics};

use crate::error::Error;

/// One metric's comparison of a system with a baseline.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The metric's name, such as `BLEU` or `chrF2`.
    pub metric: String,
    /// The baseline's score.
    pub baseline: f64,
    /// The system's score.
    pub system: f64,
    /// Half the width of the 95 % confidence interval of the system's score.
    pub half_width: f64,
    /// p of paired bootstrap resampling (Koehn, 2004), as `sacrebleu --paired-bs`.
    pub p_bootstrap: f64,
    /// p of paired approximate randomization (Riezler and Maxwell, 2005), as `sacrebleu --paired-ar`.
    pub p_randomization: f64,
}

/// Tests two systems' hypotheses for the same references (`references[stream][segment]`) under each metric, with
/// sacreBLEU's defaults: 1,000 resamples, 10,000 trials, seed 12345.
///
/// # Errors
/// No lines, or sides of different length.
pub fn compare<S: AsRef<str>>(
    metrics: &[&dyn Metric],
    baseline: &[S],
    system: &[S],
    references: &[&[S]],
) -> Result<Vec<Comparison>, Error> {
    let tested = metrics.iter().map(|&metric| {
        let of_baseline = Statistics::collect(metric, baseline, references)?;
        let of_system = Statistics::collect(metric, system, references)?;
        let bootstrap = paired_bootstrap(metric, &of_baseline, &of_system, BootstrapOptions::default())?;
        let trials = RandomizationOptions::default();
        let randomization = approximate_randomization(metric, &of_baseline, &of_system, trials)?;
        Ok(Comparison {
            metric: metric.name(),
            baseline: bootstrap.baseline.score,
            system: bootstrap.system.score,
            half_width: bootstrap.system.confidence.map_or(0.0, |c| c.half_width),
            p_bootstrap: bootstrap.p_value,
            p_randomization: randomization.p_value,
        })
    });
    tested.collect()
}
