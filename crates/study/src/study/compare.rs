//! Differences from the baseline: paired bootstrap (Koehn, 2004) over clusters of sentences with the same English side,
//! for directions and for averages over them, with the seeds of a system pooled. The scores of one English sentence in
//! many directions go together, so that drawing each direction's sentences by themselves would make the intervals of
//! averages too narrow.

use std::collections::HashMap;

use strata_metrics::{Arithmetic, Metric, Statistics};
use strata_simd::random::SplitMix64;

use super::results::{Comparison, RunResult, Spread, Status, SystemResult};
use super::seeds::paired_t;
use crate::error::Error;

/// Resampled test sets.
pub(crate) const RESAMPLES: usize = 1000;

/// What resampling says of a difference.
pub(crate) struct Interval {
    /// The lower end of the 95 % interval.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Two-sided p of no difference.
    pub p: f64,
}

impl Interval {
    /// Of the `real` difference, by its values `drawn` from resampled data.
    pub fn of(real: f64, mut drawn: Vec<f64>) -> Self {
        let center = drawn.iter().sum::<f64>() / drawn.len() as f64;
        let within = drawn.iter().filter(|d| (*d - center).abs() < real.abs()).count();
        drawn.sort_by(f64::total_cmp);
        let outside = drawn.len() / 40; // 2.5 % on either side
        Self {
            low: drawn[outside],
            high: drawn[drawn.len() - 1 - outside],
            // The real data count as one more draw, so that p is never 0. What is no number says nothing, so p is 1.
            p: ((drawn.len() - within) as f64 + 1.0) / (drawn.len() as f64 + 1.0),
        }
    }
}

/// The systems other than the baseline among `runs` (name and seed) that share seeds with it, each with the places of
/// its runs and of the baseline's with the same seed.
pub(crate) fn paired<'a>(runs: &[(&'a str, u64)], baseline: &str) -> Vec<(&'a str, Vec<(usize, usize)>)> {
    let mut systems: Vec<(&str, Vec<(usize, usize)>)> = Vec::new();
    for (i, (name, seed)) in runs.iter().enumerate().filter(|(_, (name, _))| *name != baseline) {
        let Some(base) = runs.iter().position(|run| run.0 == baseline && run.1 == *seed) else { continue };
        match systems.iter_mut().find(|(known, _)| known == name) {
            Some((_, pairs)) => pairs.push((i, base)),
            None => systems.push((*name, vec![(i, base)])),
        }
    }
    systems
}

/// A run's sufficient statistics for one metric: one for each direction.
pub(crate) struct Counted {
    pub name: String,
    pub seed: u64,
    pub directions: Vec<Statistics>,
}

/// The directions that an average is over, or the one direction.
pub(crate) struct Of {
    pub name: String,
    pub directions: Vec<usize>,
}

/// Draws as many clusters as there are with replacement: how often each is drawn, `[clusters]`.
pub(crate) fn draw(times: &mut [f64], random: &mut SplitMix64) {
    times.fill(0.0);
    (0..times.len()).for_each(|_| times[random.below(times.len() as u64) as usize] += 1.0);
}

/// Compares every system with the baseline over the seeds that both have. `clusters` are those of the sentences,
/// `[direction][sentence]`; of each direction the first sentences are translated.
pub(crate) fn compare(
    metric: &dyn Metric,
    runs: &[Counted],
    clusters: &[Vec<usize>],
    baseline: &str,
    groups: &[Of],
) -> Result<Vec<Comparison>, Error> {
    let Some(first) = runs.first() else { return Ok(Vec::new()) };
    let clusters = translated(clusters, &first.directions);
    let resampled = runs.iter().map(|run| resample(metric, run, &clusters)).collect::<Result<Vec<_>, Error>>()?;
    let mut found = Vec::new();
    let named: Vec<(&str, u64)> = runs.iter().map(|run| (run.name.as_str(), run.seed)).collect();
    for (name, pairs) in paired(&named, baseline) {
        for group in groups {
            let mean = |run: usize, draw: usize| {
                let scores = group.directions.iter().map(|direction| resampled[run][*direction][draw]);
                scores.sum::<f64>() / group.directions.len() as f64
            };
            let difference = |draw: usize| {
                let all = pairs.iter().map(|(system, base)| mean(*system, draw) - mean(*base, draw));
                all.sum::<f64>() / pairs.len() as f64
            };
            // Draw 0 is the real test set.
            let real = difference(0);
            let interval = Interval::of(real, (1..=RESAMPLES).map(difference).collect());
            let by_seed: Vec<f64> = pairs.iter().map(|(system, base)| mean(*system, 0) - mean(*base, 0)).collect();
            found.push(Comparison {
                name: name.to_string(),
                of: group.name.clone(),
                metric: metric.name(),
                seeds: pairs.iter().map(|(i, _)| runs[*i].seed).collect(),
                difference: real,
                low: interval.low,
                high: interval.high,
                p_bootstrap: interval.p,
                seeds_test: paired_t(&by_seed),
                seeds_needed: None,
                by_seed,
            });
        }
    }
    Ok(found)
}

/// The clusters of the sentences that are translated, numbered anew: others would only dilute the draws.
fn translated(clusters: &[Vec<usize>], directions: &[Statistics]) -> Vec<Vec<usize>> {
    let mut numbers = HashMap::new();
    let mut number = |cluster: &usize| {
        let next = numbers.len();
        *numbers.entry(*cluster).or_insert(next)
    };
    let of = |(clusters, statistics): (&Vec<usize>, &Statistics)| {
        clusters.iter().take(statistics.rows().len()).map(&mut number).collect()
    };
    clusters.iter().zip(directions).map(of).collect()
}

/// `[direction][draw]`: a run's scores on the real test set (draw 0) and on the drawn ones, which are the same for all
/// runs.
fn resample(metric: &dyn Metric, run: &Counted, clusters: &[Vec<usize>]) -> Result<Vec<Vec<f64>>, Error> {
    let score = |statistics: &Statistics| Ok(vec![statistics.score(metric)?]);
    let mut all = run.directions.iter().map(score).collect::<Result<Vec<Vec<f64>>, Error>>()?;
    let count = clusters.iter().flatten().max().map_or(0, |most| most + 1);
    let (mut times, mut random) = (vec![0.0; count], SplitMix64::new(12345));
    for _ in 0..RESAMPLES {
        draw(&mut times, &mut random);
        for ((scores, statistics), clusters) in all.iter_mut().zip(&run.directions).zip(clusters) {
            let mut totals = vec![0.0; statistics.width()];
            for (row, cluster) in statistics.rows().zip(clusters) {
                if times[*cluster] > 0.0 {
                    totals.iter_mut().zip(row).for_each(|(total, count)| *total += times[*cluster] * *count as f64);
                }
            }
            // A draw without any of a direction's few sentences says nothing of it.
            let none = clusters.iter().all(|cluster| times[*cluster] == 0.0);
            scores.push(if none { scores[0] } else { metric.value(&totals, Arithmetic::Exact).score });
        }
    }
    Ok(all)
}

/// Means and spread over the seeds of each name, in the order of the study.
pub(crate) fn systems(runs: &[RunResult]) -> Vec<SystemResult> {
    let mut found: Vec<SystemResult> = Vec::new();
    for run in runs {
        if found.iter().any(|system| system.name == run.name) {
            continue;
        }
        let done: Vec<&RunResult> = runs.iter().filter(|r| r.name == run.name && r.status == Status::Done).collect();
        let names = done.first().map_or(Vec::new(), |r| r.averages.iter().map(|a| a.name.clone()).collect());
        let averages = names.into_iter().map(|name| {
            let all: Vec<_> = done.iter().filter_map(|r| r.average(&name)).collect();
            let bleu: Vec<f64> = all.iter().map(|a| a.bleu).collect();
            let n = bleu.len() as f64;
            let mean = bleu.iter().sum::<f64>() / n;
            let squares: f64 = bleu.iter().map(|b| (b - mean) * (b - mean)).sum();
            Spread {
                name,
                bleu: mean,
                bleu_min: bleu.iter().copied().fold(f64::INFINITY, f64::min),
                bleu_max: bleu.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                bleu_deviation: (bleu.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
                chrf2: all.iter().map(|a| a.chrf2).sum::<f64>() / n,
            }
        });
        let nll: Vec<f64> = done.iter().filter_map(|r| r.nll).collect();
        found.push(SystemResult {
            name: run.name.clone(),
            averages: averages.collect(),
            nll: (!nll.is_empty()).then(|| nll.iter().sum::<f64>() / nll.len() as f64),
            seeds: done.iter().map(|r| r.seed).collect(),
        });
    }
    found
}

#[cfg(test)]
mod tests {
    use strata_metrics::{Bleu, BleuOptions};

    use super::*;

    const REFERENCES: [&str; 4] = [
        "the cat sat on the mat in the sun",
        "a dog lay by the door of the house",
        "it is raining again on the roof today",
        "we will go to the town by the sea",
    ];

    fn counted(name: &str, seed: u64, sides: [[&str; 4]; 2]) -> Counted {
        let bleu = Bleu::new(BleuOptions::default()).unwrap();
        let of = |hypotheses: &[&str; 4]| {
            let many: Vec<&str> = hypotheses.iter().copied().cycle().take(40).collect();
            let references: Vec<&str> = REFERENCES.iter().copied().cycle().take(40).collect();
            Statistics::collect(&bleu, &many, &[&references]).unwrap()
        };
        Counted { name: name.into(), seed, directions: sides.iter().map(of).collect() }
    }

    #[test]
    fn p_counts_draws_as_far_off_as_the_difference() {
        let draws = || (0..RESAMPLES).map(|i| if i % 4 == 0 { 2.0 } else { 0.0 }).collect();
        let p = |real| Interval::of(real, draws()).p;
        assert_eq!((p(0.0), p(5.0), p(1.0)), (1.0, 1.0 / 1001.0, 251.0 / 1001.0));
        assert_eq!(Interval::of(f64::NAN, vec![f64::NAN; RESAMPLES]).p, 1.0);
    }

    #[test]
    fn better_systems_are_found_and_equal_ones_are_not_called_different() {
        let worse = ["the cat sat on a mat in the rain", "a dog lay at the door of a house", REFERENCES[2], "we go"];
        let runs = [
            counted("base", 1, [worse, worse]),
            counted("base", 2, [worse, worse]),
            counted("best", 1, [REFERENCES, worse]),
            counted("best", 2, [REFERENCES, worse]),
            counted("best", 3, [REFERENCES, REFERENCES]),
            counted("same", 2, [worse, worse]),
            counted("alone", 9, [worse, worse]),
        ];
        let groups =
            [Of { name: "en-de".into(), directions: vec![0] }, Of { name: "all".into(), directions: vec![0, 1] }];
        let bleu = Bleu::new(BleuOptions::default()).unwrap();
        let clusters = [(0..40).collect(), (40..80).collect()];
        let found = compare(&bleu, &runs, &clusters, "base", &groups).unwrap();
        let named: Vec<(&str, &str, &[u64])> =
            found.iter().map(|c| (c.name.as_str(), c.of.as_str(), c.seeds.as_slice())).collect();
        let both: &[u64] = &[1, 2];
        assert_eq!(
            named,
            [("best", "en-de", both), ("best", "all", both), ("same", "en-de", &[2]), ("same", "all", &[2])]
        );
        let (one, all) = (&found[0], &found[1]);
        assert!(one.difference > 20.0 && (all.difference - one.difference / 2.0).abs() < 1e-9, "{found:?}");
        assert!(one.low > 0.0 && one.low < one.difference && one.difference < one.high && one.p_bootstrap < 0.01);
        assert_eq!(one.by_seed, [one.difference; 2]);
        assert_eq!((found[2].difference, found[2].low, found[2].high, found[2].p_bootstrap), (0.0, 0.0, 0.0, 1.0));
    }

    #[test]
    fn the_same_english_sentences_in_two_directions_are_one_sample() {
        let worse = [REFERENCES[0], "a dog lay at the door of a house", REFERENCES[2], "we go"];
        let runs = [counted("base", 1, [worse, worse]), counted("best", 1, [REFERENCES, REFERENCES])];
        let groups =
            [Of { name: "en-de".into(), directions: vec![0] }, Of { name: "all".into(), directions: vec![0, 1] }];
        let bleu = Bleu::new(BleuOptions::default()).unwrap();
        let width = |clusters: [Vec<usize>; 2], of: usize| {
            let found = &compare(&bleu, &runs, &clusters, "base", &groups).unwrap()[of];
            found.high - found.low
        };
        let (own, other): (Vec<usize>, Vec<usize>) = ((0..40).collect(), (40..80).collect());
        // A second direction with the same sentences adds nothing; with others it halves the variance.
        assert_eq!(width([own.clone(), own.clone()], 1), width([own.clone(), own.clone()], 0));
        let ratio = width([own.clone(), other.clone()], 1) / width([own, other], 0);
        assert!((ratio - 0.5f64.sqrt()).abs() < 0.08, "{ratio}");
    }
}
