//! Negative log-likelihood of the held-out translations, sentence by sentence, and its differences between systems:
//! over the seeds that both have, and over clusters of sentences with the same English side.
//!
//! The same English sentence stands in many directions and its losses go together, so it is English sentences that
//! are drawn with replacement, and, crossed with them, seeds.

use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use strata_corpus::codes::is_english;
use strata_files::IoContext;
use strata_simd::random::SplitMix64;
use strata_translate::Translator;
use strata_translate::evaluate::Text;

use super::compare::{Interval, Of, RESAMPLES, draw, paired};
use super::results::Comparison;
use super::seeds::{paired_t, seeds_needed};
use crate::error::Error;

/// The name of this measure in comparisons.
pub(crate) const NLL: &str = "NLL";

/// The loss of one sentence.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loss {
    /// Nats, all subwords together.
    pub nll: f64,
    /// Target subwords, the end mark included; 0 where the pair was left out: too long for the model, or without a
    /// finite score.
    pub subwords: u64,
}

/// The losses of one run.
pub(crate) struct Losses {
    pub name: String,
    pub seed: u64,
    /// `[direction][sentence]`
    pub directions: Vec<Vec<Loss>>,
}

/// The loss of one direction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Likelihood {
    /// `en-de`.
    pub direction: String,
    /// Sentences, without those that are left out.
    pub sentences: usize,
    /// Sentences that are left out: too long for the model, or without a finite score.
    #[serde(default)]
    pub left_out: usize,
    /// Target subwords.
    pub subwords: u64,
    /// Nats per target subword; none where all sentences are left out.
    pub nll: Option<f64>,
}

impl Likelihood {
    /// The sum of a direction's losses.
    pub fn of(direction: &str, losses: &[Loss]) -> Self {
        let subwords: u64 = losses.iter().map(|loss| loss.subwords).sum();
        let nll = (subwords > 0).then(|| losses.iter().map(|loss| loss.nll).sum::<f64>() / subwords as f64);
        let sentences = losses.iter().filter(|loss| loss.subwords > 0).count();
        let left_out = losses.len() - sentences;
        Self { direction: direction.to_string(), sentences, left_out, subwords, nll }
    }

    /// Nats per target subword over several directions together; none without any.
    pub fn mean(all: &[Likelihood]) -> Option<f64> {
        let scored = || all.iter().filter_map(|of| Some((of.nll?, of.subwords)));
        let subwords: u64 = scored().map(|(_, subwords)| subwords).sum();
        let nats = || scored().map(|(nll, subwords)| nll * subwords as f64).sum::<f64>();
        (subwords > 0).then(|| nats() / subwords as f64)
    }
}

/// The losses of a direction's references, sentence by sentence.
///
/// # Errors
/// A language that the model does not know; a model that is not on the CPU.
pub fn losses(translator: &Translator, text: &Text) -> Result<Vec<Loss>, Error> {
    let (source, target) = (&text.direction.source, &text.direction.target);
    let scored = translator.score(&text.sources, &text.references, Some(source), target)?;
    let loss = |scored: Result<strata_translate::Forced, String>| match scored {
        Ok(forced) => Loss { nll: -f64::from(forced.sum), subwords: forced.tokens.len() as u64 },
        Err(_) => Loss::default(),
    };
    Ok(scored.into_iter().map(loss).collect())
}

/// Writes a line for each sentence: nats and subwords, with a tab between.
pub(crate) fn write(path: &Path, losses: &[Loss]) -> Result<(), Error> {
    let text: String = losses.iter().map(|loss| format!("{}\t{}\n", loss.nll, loss.subwords)).collect();
    Ok(strata_files::write_file(path, text.as_bytes())?)
}

/// Reads what [`write`] wrote.
pub(crate) fn read(path: &Path) -> Result<Vec<Loss>, Error> {
    let text = std::fs::read_to_string(path).io_context("read", path)?;
    let parse = |line: &str| {
        let (nll, subwords) = line.split_once('\t')?;
        Some(Loss { nll: nll.parse().ok()?, subwords: subwords.parse().ok()? })
    };
    let losses: Option<Vec<Loss>> = text.lines().map(parse).collect();
    losses.ok_or_else(|| Error::File {
        place: path.display().to_string(),
        what: "it is damaged; remove it and the run's file in results to measure the run again".into(),
    })
}

/// The cluster of each sentence, `[direction][sentence]`: the number of its English side, or of its source where
/// neither side is English.
pub(crate) fn clusters(texts: &[Text]) -> Vec<Vec<usize>> {
    let mut numbers: HashMap<&str, usize> = HashMap::new();
    let of_text = |text: &Text| is_english(&text.direction.target);
    texts
        .iter()
        .map(|text| {
            let english = if of_text(text) { &text.references } else { &text.sources };
            let mut number = |line| {
                let next = numbers.len();
                *numbers.entry(line).or_insert(next)
            };
            english.iter().map(|line| number(line.as_str())).collect()
        })
        .collect()
}

/// Nats per target subword of two systems over the sentences that no run of either left out, the means over their
/// seeds; none where there is no such sentence. `[direction][sentence]` are the losses of a run, and all runs have the
/// same sentences.
pub(crate) fn common_means(systems: [&[Vec<Vec<Loss>>]; 2]) -> Option<[f64; 2]> {
    let first = systems.iter().find_map(|runs| runs.first())?;
    let places =
        first.iter().enumerate().flat_map(|(direction, losses)| (0..losses.len()).map(move |i| (direction, i)));
    let runs = || systems.iter().copied().flatten();
    let common: Vec<(usize, usize)> =
        places.filter(|(direction, i)| runs().all(|run| run[*direction][*i].subwords > 0)).collect();
    let mean = |runs: &[Vec<Vec<Loss>>]| -> Option<f64> {
        let of_run = |run: &Vec<Vec<Loss>>| {
            let losses = || common.iter().map(|(direction, i)| &run[*direction][*i]);
            let subwords: u64 = losses().map(|loss| loss.subwords).sum();
            (subwords > 0).then(|| losses().map(|loss| loss.nll).sum::<f64>() / subwords as f64)
        };
        let all = runs.iter().map(of_run).collect::<Option<Vec<f64>>>().filter(|all| !all.is_empty())?;
        Some(all.iter().sum::<f64>() / all.len() as f64)
    };
    Some([mean(systems[0])?, mean(systems[1])?])
}

/// Compares every system with the baseline over the seeds that both have, where there are sentences that none of the
/// runs left out. `clusters` are those of the sentences; `difference` is the smallest that matters, for the number of
/// seeds that it needs.
pub(crate) fn compare(
    runs: &[Losses],
    clusters: &[Vec<usize>],
    baseline: &str,
    groups: &[Of],
    difference: f64,
) -> Vec<Comparison> {
    let named: Vec<(&str, u64)> = runs.iter().map(|run| (run.name.as_str(), run.seed)).collect();
    let count = clusters.iter().flatten().max().map_or(0, |most| most + 1);
    let mut found = Vec::new();
    for (name, pairs) in paired(&named, baseline) {
        for group in groups {
            let sums = Sums::new(runs, &pairs, clusters, count, &group.directions);
            if sums.subwords.is_empty() {
                continue;
            }
            let (difference_found, by_seed) = (sums.difference(None), sums.by_seed());
            let interval = Interval::of(difference_found, sums.draws());
            let seeds_test = paired_t(&by_seed);
            found.push(Comparison {
                name: name.to_string(),
                of: group.name.clone(),
                metric: NLL.to_string(),
                seeds: pairs.iter().map(|(i, _)| runs[*i].seed).collect(),
                difference: difference_found,
                low: interval.low,
                high: interval.high,
                p_bootstrap: interval.p,
                seeds_needed: seeds_test.as_ref().and_then(|test| seeds_needed(test.deviation, difference)),
                seeds_test,
                by_seed,
            });
        }
    }
    found
}

/// System minus baseline, summed by cluster, of the sentences that none of the paired runs left out.
struct Sums {
    /// `[seed][cluster]`, nats.
    differences: Vec<Vec<f64>>,
    /// `[cluster]`, target subwords.
    subwords: Vec<f64>,
}

impl Sums {
    fn new(
        runs: &[Losses],
        pairs: &[(usize, usize)],
        clusters: &[Vec<usize>],
        count: usize,
        directions: &[usize],
    ) -> Self {
        let mut subwords = vec![0.0; count];
        let mut differences = vec![vec![0.0; count]; pairs.len()];
        for direction in directions {
            let losses = |run: usize| &runs[run].directions[*direction];
            for (sentence, cluster) in clusters[*direction].iter().enumerate() {
                if pairs.iter().any(|(a, b)| [*a, *b].iter().any(|run| losses(*run)[sentence].subwords == 0)) {
                    continue;
                }
                for (seed, (system, base)) in pairs.iter().enumerate() {
                    differences[seed][*cluster] += losses(*system)[sentence].nll - losses(*base)[sentence].nll;
                }
                subwords[*cluster] += losses(pairs[0].1)[sentence].subwords as f64;
            }
        }
        // Clusters that the group's directions do not have would only dilute the draws.
        let kept: Vec<usize> = (0..count).filter(|cluster| subwords[*cluster] > 0.0).collect();
        let keep = |values: &Vec<f64>| kept.iter().map(|cluster| values[*cluster]).collect();
        Self { differences: differences.iter().map(keep).collect(), subwords: keep(&subwords) }
    }

    /// Nats per subword over all seeds and clusters, or over drawn ones: how often each cluster, and which seeds.
    fn difference(&self, drawn: Option<(&[f64], &[usize])>) -> f64 {
        let all: Vec<usize> = (0..self.differences.len()).collect();
        let times = |cluster: usize| drawn.map_or(1.0, |(times, _)| times[cluster]);
        let seeds = drawn.map_or(&all[..], |(_, seeds)| seeds);
        let clusters = 0..self.subwords.len();
        let subwords: f64 = clusters.clone().map(|c| times(c) * self.subwords[c]).sum();
        let of_seed = |seed: &usize| clusters.clone().map(|c| times(c) * self.differences[*seed][c]).sum::<f64>();
        seeds.iter().map(of_seed).sum::<f64>() / (subwords * seeds.len() as f64)
    }

    fn by_seed(&self) -> Vec<f64> {
        let subwords: f64 = self.subwords.iter().sum();
        self.differences.iter().map(|of_seed| of_seed.iter().sum::<f64>() / subwords).collect()
    }

    /// Differences over resampled seeds and clusters, the two crossed.
    fn draws(&self) -> Vec<f64> {
        let seeds = self.differences.len() as u64;
        let (mut times, mut random) = (vec![0.0; self.subwords.len()], SplitMix64::new(54321));
        (0..RESAMPLES)
            .map(|_| {
                draw(&mut times, &mut random);
                let drawn: Vec<usize> = (0..seeds).map(|_| random.below(seeds) as usize).collect();
                self.difference(Some((&times, &drawn)))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Losses of one direction; each sentence has `1 + its number` subwords.
    fn run(name: &str, seed: u64, nll: &[f64]) -> Losses {
        let loss = |(i, nll): (usize, &f64)| Loss { nll: *nll, subwords: 1 + i as u64 };
        Losses { name: name.into(), seed, directions: vec![nll.iter().enumerate().map(loss).collect()] }
    }

    fn all() -> Vec<Of> {
        vec![Of { name: "all".into(), directions: vec![0] }]
    }

    #[test]
    fn differences_are_weighed_by_subwords_and_paired_by_seed() {
        let runs = [
            run("base", 1, &[1.0, 2.0, 3.0]),
            run("base", 2, &[2.0, 2.0, 2.0]),
            run("new", 2, &[1.0, 2.0, 0.5]),
            run("new", 1, &[1.0, 1.4, 3.0]),
            run("new", 9, &[0.0, 0.0, 0.0]),
        ];
        let found = compare(&runs, &[vec![0, 1, 2]], "base", &all(), 0.1);
        let [one] = &found[..] else { panic!("{found:?}") };
        // Six subwords: -2.5 / 6 with seed 2, -0.6 / 6 with seed 1.
        assert_eq!((one.name.as_str(), one.metric.as_str(), &one.seeds[..]), ("new", "NLL", &[2, 1][..]));
        assert!((one.by_seed[0] + 2.5 / 6.0).abs() < 1e-12 && (one.by_seed[1] + 0.1).abs() < 1e-12, "{one:?}");
        assert!((one.difference - (one.by_seed[0] + one.by_seed[1]) / 2.0).abs() < 1e-12);
        let test = one.seeds_test.as_ref().unwrap();
        assert!((test.deviation - (2.5 / 6.0 - 0.1) / 2f64.sqrt()).abs() < 1e-9);
        assert!(one.seeds_needed.is_some());
    }

    #[test]
    fn sentences_that_a_run_left_out_count_for_none() {
        let mut runs = vec![
            run("base", 1, &[1.0, 2.0, 3.0]),
            run("new", 1, &[1.5, 2.0, 80.0]),
            run("base", 2, &[1.0, 2.0, 3.0]),
            run("new", 2, &[1.5, 2.0, 3.0]),
        ];
        runs[0].directions[0][2] = Loss::default();
        let found = compare(&runs, &[vec![0, 1, 2]], "base", &all(), 0.1);
        // Three subwords are left, of which the first costs half a nat more.
        assert_eq!(found[0].by_seed, [0.5 / 3.0; 2]);
        runs[3].directions[0][0] = Loss::default();
        assert_eq!(compare(&runs, &[vec![0, 1, 2]], "base", &all(), 0.1)[0].by_seed, [0.0; 2]);
        // Where nothing is left there is nothing to compare, in one group or in all.
        runs[3].directions[0][1] = Loss::default();
        assert!(compare(&runs, &[vec![0, 1, 2]], "base", &all(), 0.1).is_empty());
        for run in &mut runs {
            run.directions.push(vec![Loss { nll: 1.0, subwords: 2 }]);
        }
        let groups: Vec<Of> = all().into_iter().chain([Of { name: "both".into(), directions: vec![0, 1] }]).collect();
        let found = compare(&runs, &[vec![0, 1, 2], vec![3]], "base", &groups, 0.1);
        assert_eq!(found.iter().map(|c| (c.of.as_str(), c.difference)).collect::<Vec<_>>(), [("both", 0.0)]);
    }

    #[test]
    fn means_of_two_systems_are_over_the_sentences_of_both() {
        let losses = |nll: &[f64]| run("a", 1, nll).directions;
        let (all, mut fewer) = (losses(&[1.0, 2.0, 9.0]), losses(&[1.0, 3.0, 3.0]));
        fewer[0][2] = Loss::default();
        let means = |a: &[&Vec<Vec<Loss>>], b: &[&Vec<Vec<Loss>>]| {
            let [a, b] = [a, b].map(|runs| runs.iter().copied().cloned().collect::<Vec<_>>());
            common_means([&a, &b])
        };
        assert_eq!(means(&[&all], &[&all]), Some([2.0, 2.0]));
        // One sentence of one subword and one of two.
        assert_eq!(means(&[&all], &[&fewer]), Some([1.0, 4.0 / 3.0]));
        assert_eq!(means(&[&all, &fewer], &[&all]), Some([(1.0 + 4.0 / 3.0) / 2.0, 1.0]));
        let nothing = vec![vec![Loss::default(); 3]];
        assert_eq!(means(&[&all], &[&nothing]), None);
        assert_eq!(means(&[&all], &[]), None);
    }

    /// Against the formula: with clusters of equal size and no noise of sentences, resampled means of n seeds deviate
    /// by the seeds' deviation (over n) divided by sqrt n; without an effect of seeds, by that of the clusters.
    #[test]
    fn intervals_cover_seeds_and_clusters() {
        let width = |runs: &[Losses], clusters: &[Vec<usize>]| {
            let found = compare(runs, clusters, "base", &all(), 0.1);
            (found[0].high - found[0].low) / (2.0 * 1.96)
        };
        let sentences = 200;
        let even = |name: &str, seed, nll: &dyn Fn(usize) -> f64| Losses {
            name: name.into(),
            seed,
            directions: vec![(0..sentences).map(|i| Loss { nll: nll(i), subwords: 1 }).collect()],
        };
        let own: Vec<usize> = (0..sentences).collect();
        let by_seed: Vec<Losses> = (0..8)
            .flat_map(|seed| {
                [even("base", seed, &|_| 0.0), even("new", seed, &|_| if seed % 2 == 0 { 0.2 } else { 0.0 })]
            })
            .collect();
        let found = width(&by_seed, std::slice::from_ref(&own));
        assert!((found - 0.1 / 8f64.sqrt()).abs() < 0.006, "{found}");
        let by_sentence: Vec<Losses> = (0..8)
            .flat_map(|seed| [even("base", seed, &|_| 0.0), even("new", seed, &|i| if i % 2 == 0 { 0.2 } else { 0.0 })])
            .collect();
        let found = width(&by_sentence, &[own]);
        assert!((found - 0.1 / (sentences as f64).sqrt()).abs() < 0.001, "{found}");
        // Twenty clusters of ten alike sentences: as little as twenty sentences say.
        let clustered: Vec<Losses> = (0..8)
            .flat_map(|seed| {
                let new = even("new", seed, &|i| if (i / 10) % 2 == 0 { 0.2 } else { 0.0 });
                [even("base", seed, &|_| 0.0), new]
            })
            .collect();
        let found = width(&clustered, &[(0..sentences).map(|i| i / 10).collect()]);
        assert!((found - 0.1 / 20f64.sqrt()).abs() < 0.003, "{found}");
    }

    #[test]
    fn equal_english_sides_are_one_cluster_and_files_survive() {
        let text = |source: &str, target: &str, sources: [&str; 2], references: [&str; 2]| Text {
            direction: strata_corpus::languages::Direction {
                source: source.into(),
                target: target.into(),
                pair: "de-en".into(),
                swapped: false,
                train: 0,
                valid: 0,
                test: 2,
                level: strata_corpus::languages::Level::High,
            },
            sources: sources.map(String::from).to_vec(),
            references: references.map(String::from).to_vec(),
        };
        let found = clusters(&[
            text("en", "de", ["one", "two"], ["eins", "zwei"]),
            text("fr", "en", ["deux", "trois"], ["two", "three"]),
        ]);
        assert_eq!(found, [[0, 1], [1, 2]]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.en-de.nll");
        let losses = [Loss { nll: 12.345_678_9, subwords: 7 }, Loss::default()];
        write(&path, &losses).unwrap();
        assert_eq!(read(&path).unwrap(), losses);
        std::fs::write(&path, "1.0 3\n").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("damaged"));
        let of = Likelihood::of("en-de", &losses);
        assert_eq!((of.sentences, of.left_out, of.subwords), (1, 1, 7));
        assert!((Likelihood::mean(std::slice::from_ref(&of)).unwrap() - 12.345_678_9 / 7.0).abs() < 1e-12);
        assert_eq!(Likelihood::mean(&[]), None);
        // The loss of nothing is none, not the best there is.
        let nothing = Likelihood::of("en-fr", &[Loss::default()]);
        assert_eq!((nothing.sentences, nothing.left_out, nothing.nll), (0, 1, None));
        assert_eq!(Likelihood::mean(&[Likelihood::of("en-de", &losses), nothing.clone()]), Likelihood::mean(&[of]));
        assert_eq!(Likelihood::mean(&[nothing]), None);
    }
}
