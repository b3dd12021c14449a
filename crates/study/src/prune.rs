//! `strata prune`: a smaller model without the experts that some languages use least.

mod languages;
mod smaller;

use std::path::Path;

use serde::Serialize;
use strata_recipe::{ConfigError, Cost, Kind, ModelConfig, Side};
use strata_routing::Strata;

use self::languages::Chosen;
pub use self::smaller::write;
use crate::analysis::{AnalyzeOptions, Progress, route};
use crate::counts::{DirectionCounts, Place, places};
use crate::error::Error;
use crate::routed::RoutedModel;

/// What to keep.
#[derive(Clone, Debug)]
pub struct PruneOptions {
    /// The languages that the model is kept for, by any of their codes.
    pub languages: Vec<String>,
    /// The language that each of them is translated from and into besides, by any of its codes; where it is none,
    /// English if the model has it.
    pub pivot: Option<String>,
    /// Shares of the experts of each block that are kept, in the encoder and in the decoder; above 0 and at most 1.
    pub keep: [f64; 2],
    /// The split whose routing says what is important: not the one that the model is tested on.
    pub split: String,
    /// At most this many sentences of each direction, from the first; 0 for all.
    pub max_sentences: usize,
    /// CPU threads.
    pub threads: usize,
}

/// What is kept of a model and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrunePlan {
    /// The languages that it is kept for, as the model calls them.
    pub languages: Vec<String>,
    /// The language that they are translated from and into besides; none in a model without English.
    pub pivot: Option<String>,
    /// The directions whose routing was recorded, as the corpus calls them.
    pub directions: Vec<String>,
    /// Directions between the languages and the pivot, as the model calls them, of which the corpus has no sentences.
    pub without_text: Vec<String>,
    /// Experts of each stratum before; where blocks differ, in the largest.
    pub strata_before: Vec<usize>,
    /// Experts of each stratum that are kept; where blocks differ, in the largest.
    pub strata_after: Vec<usize>,
    /// Parameters before.
    pub parameters_before: u64,
    /// Parameters after.
    pub parameters_after: u64,
    /// Each expert block, encoder blocks first.
    pub blocks: Vec<PrunedBlock>,
    /// The smaller model's configuration.
    #[serde(skip)]
    pub config: ModelConfig,
}

/// What is kept of one block.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrunedBlock {
    /// `encoder` or `decoder`.
    pub side: String,
    /// Its layer, from 0 as in the names of weights.
    pub layer: usize,
    /// Share of each expert in the recorded gate mass: its importance.
    pub importance: Vec<f64>,
    /// The experts kept, by their index before; their order is that of their indices after.
    pub kept: Vec<usize>,
}

impl PrunePlan {
    /// Share of the gate mass that stays, the mean over blocks.
    pub fn mass_kept(&self) -> f64 {
        let of = |block: &PrunedBlock| block.kept.iter().map(|e| block.importance[*e]).sum::<f64>();
        self.blocks.iter().map(of).sum::<f64>() / self.blocks.len().max(1) as f64
    }
}

/// Records the routing of the chosen languages and decides what is kept.
///
/// # Errors
/// `keep` outside (0, 1], languages without directions in the corpus, two shares for a model whose blocks are alike,
/// what the routing reports.
pub fn plan(
    model: &RoutedModel,
    prepared: &Path,
    options: &PruneOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<PrunePlan, Error> {
    let config = model.config();
    check_keep(config, options.keep)?;
    let chosen = Chosen::of(model, options)?;
    let analyze = AnalyzeOptions {
        split: options.split.clone(),
        max_sentences: options.max_sentences,
        threads: options.threads,
        ..AnalyzeOptions::default()
    };
    let routed = route(model, prepared, &analyze, &|direction| chosen.has(direction), progress)?;
    let total = DirectionCounts::total(config, routed.iter().map(|routed| &routed.counts));
    if total.blocks.iter().any(|block| block.tokens == 0) {
        return Err(Error::Invalid(format!(
            "{}: the {} split has no sentences of {}",
            prepared.display(),
            options.split,
            chosen.words()
        )));
    }
    let importance: Vec<Vec<f64>> = total.blocks.iter().map(|block| block.mass_share()).collect();
    let smaller = smaller(config, &importance, options.keep);
    let blocks: Vec<PrunedBlock> = places(config)
        .into_iter()
        .zip(importance)
        .enumerate()
        .map(|(block, (place, importance))| PrunedBlock {
            side: place.side.name().to_owned(),
            layer: place.layer,
            kept: best(&config.strata_of_block(block), &smaller.strata_of_block(block).sizes(), &importance),
            importance,
        })
        .collect();
    Ok(PrunePlan {
        without_text: chosen.without_text(&routed),
        languages: chosen.languages.iter().map(ToString::to_string).collect(),
        pivot: chosen.pivot.map(str::to_string),
        directions: routed.iter().map(|r| r.direction.name()).collect(),
        strata_before: config.block_strata().sizes(),
        strata_after: smaller.block_strata().sizes(),
        parameters_before: Cost::of(config, None)?.parameters,
        parameters_after: Cost::of(&smaller, None)?.parameters,
        blocks,
        config: smaller,
    })
}

/// Refuses shares that are none, and two where a model's blocks are alike.
fn check_keep(config: &ModelConfig, keep: [f64; 2]) -> Result<(), Error> {
    let wrong = |message| Err(ConfigError { key: "keep", message }.into());
    if let Some(share) = keep.iter().find(|share| !(**share > 0.0 && **share <= 1.0)) {
        return wrong(format!("keep = {share} must be above 0 and at most 1"));
    }
    if keep[0] != keep[1] && !matches!(config.kind, Kind::Moe | Kind::Switch) {
        let message = format!(
            "keep = {},{}: the blocks of {} are alike in encoder and decoder; give one share",
            keep[0],
            keep[1],
            config.name()
        );
        return wrong(message);
    }
    Ok(())
}

/// The smaller model: only what it says of experts is another.
fn smaller(config: &ModelConfig, importance: &[Vec<f64>], keep: [f64; 2]) -> ModelConfig {
    let mut smaller = config.clone();
    if matches!(config.kind, Kind::Smoe | Kind::Stacked) {
        smaller.strata = strata_after(config, importance, keep[0]);
        smaller.experts = smaller.strata.iter().sum();
        return smaller;
    }
    let of_block = |(block, place): (usize, Place)| {
        share(keep[usize::from(place.side == Side::Decoder)], config.top_k, config.strata_of_block(block).experts())
    };
    let counts: Vec<usize> = places(config).into_iter().enumerate().map(of_block).collect();
    smaller.experts = counts.iter().copied().max().unwrap_or(config.experts);
    smaller.block_experts = if counts.iter().all(|count| *count == smaller.experts) { Vec::new() } else { counts };
    smaller
}

/// The experts of a stratum, most important first; of equals the one of lower index.
fn ranked(strata: &Strata, stratum: usize, importance: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = strata.owned(stratum).collect();
    order.sort_by(|a, b| importance[*b].total_cmp(&importance[*a]).then(a.cmp(b)));
    order
}

/// How many of a gate's experts are kept: at least as many as a token chooses there.
fn share(keep: f64, top_k: usize, experts: usize) -> usize {
    ((keep * experts as f64).round() as usize).clamp(top_k.min(experts), experts)
}

/// How many experts of each stratum are kept. All blocks of an SMoE have the same strata, so one more expert in a
/// stratum counts by what it adds in all of them. Every stratum keeps one, and the last at least as many as a token
/// chooses there. The layers of a stack have a gate each and stay equal.
fn strata_after(config: &ModelConfig, importance: &[Vec<f64>], keep: f64) -> Vec<usize> {
    let layout = config.block_strata();
    let strata = layout.sizes();
    if config.kind == Kind::Stacked {
        return strata.iter().map(|experts| share(keep, config.top_k, *experts)).collect();
    }
    let wanted = (keep * strata.iter().sum::<usize>() as f64).round() as usize;
    let mut after: Vec<usize> = vec![1; strata.len()];
    if let (Some(last), Some(experts)) = (after.last_mut(), strata.last()) {
        *last = config.top_k.min(*experts);
    }
    let ranked: Vec<Vec<Vec<usize>>> =
        importance.iter().map(|block| (0..strata.len()).map(|s| ranked(&layout, s, block)).collect()).collect();
    let gain = |stratum: usize, next: usize| -> f64 {
        ranked.iter().zip(importance).map(|(ranked, block)| block[ranked[stratum][next]]).sum()
    };
    while after.iter().sum::<usize>() < wanted {
        let open = (0..strata.len()).filter(|s| after[*s] < strata[*s]);
        let Some(most) = open.max_by(|a, b| gain(*a, after[*a]).total_cmp(&gain(*b, after[*b])).then(b.cmp(a))) else {
            break;
        };
        after[most] += 1;
    }
    after
}

/// The experts of a block that are kept, ascending.
fn best(strata: &Strata, after: &[usize], importance: &[f64]) -> Vec<usize> {
    let mut kept: Vec<usize> = after
        .iter()
        .enumerate()
        .flat_map(|(stratum, count)| ranked(strata, stratum, importance).into_iter().take(*count))
        .collect();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn smoe(strata: &[usize]) -> ModelConfig {
        ModelConfig { kind: Kind::Smoe, strata: strata.to_vec(), ..ModelConfig::default() }
    }

    #[test]
    fn the_most_used_experts_stay_and_no_stratum_is_emptied() {
        let config = smoe(&[4, 4]);
        // All that matters is in the first stratum; the last still keeps two, which a token chooses there.
        let one = vec![0.3, 0.1, 0.3, 0.2, 0.04, 0.03, 0.02, 0.01];
        let other = vec![0.1, 0.3, 0.2, 0.3, 0.01, 0.02, 0.03, 0.04];
        let both = [one.clone(), other.clone()];
        assert_eq!(strata_after(&config, &both, 0.5), [2, 2]);
        assert_eq!(strata_after(&config, &both, 0.75), [4, 2]);
        assert_eq!(strata_after(&config, &both, 0.01), [1, 2]);
        assert_eq!(strata_after(&config, &both, 1.0), [4, 4]);
        assert_eq!(best(&config.block_strata(), &[2, 2], &one), [0, 2, 4, 5]);
        assert_eq!(best(&config.block_strata(), &[2, 2], &other), [1, 3, 6, 7]);
        let last = vec![0.0, 0.0, 0.0, 0.0, 0.4, 0.3, 0.2, 0.1];
        assert_eq!(strata_after(&config, &[last], 0.5), [1, 3]);
        let stacked = ModelConfig { kind: Kind::Stacked, ..smoe(&[4, 4]) };
        assert_eq!(strata_after(&stacked, &both, 0.5), [2, 2]);
    }

    #[test]
    fn encoder_and_decoder_keep_their_own_shares() {
        let base = ModelConfig { encoder_layers: 4, decoder_layers: 2, moe_every: 2, ..ModelConfig::default() };
        let moe = |experts, block_experts: &[usize]| ModelConfig {
            kind: Kind::Moe,
            experts,
            block_experts: block_experts.to_vec(),
            ..base.clone()
        };
        for (before, keep, expected) in [
            (moe(8, &[]), [0.5, 0.5], moe(4, &[])),
            (moe(8, &[]), [0.75, 0.25], moe(6, &[6, 6, 2])),
            (moe(8, &[]), [0.25, 1.0], moe(8, &[2, 2, 8])),
            (moe(8, &[]), [0.1, 0.2], moe(2, &[])), // a token chooses two
            (moe(8, &[8, 4, 6]), [0.5, 0.5], moe(4, &[4, 2, 3])),
            (moe(8, &[8, 4, 6]), [0.5, 0.7], moe(4, &[4, 2, 4])),
            (moe(8, &[8, 4, 6]), [1.0, 1.0], moe(8, &[8, 4, 6])),
        ] {
            check_keep(&before, keep).unwrap();
            assert_eq!(smaller(&before, &[], keep), expected, "{keep:?}");
            expected.validate().unwrap();
        }
        let refused = |config, keep| check_keep(&config, keep).unwrap_err().to_string();
        assert!(refused(smoe(&[4, 4]), [0.5, 0.2]).contains("keep = 0.5,0.2: the blocks of SMoE-4-4 are alike"));
        assert!(refused(moe(8, &[]), [0.5, 1.5]).contains("keep = 1.5 must be"));
        check_keep(&smoe(&[4, 4]), [0.5, 0.5]).unwrap();
    }
}
