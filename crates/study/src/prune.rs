//! `strata prune`: a smaller model without the experts that some languages use least.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strata_corpus::languages::Direction;
use strata_recipe::{ConfigError, Cost, Kind, ModelConfig};
use strata_routing::Strata;
use strata_store::{Existing, ModelFolder, ModelParts, TensorFile, TensorList};

use crate::analysis::{AnalyzeOptions, Progress, route};
use crate::counts::{DirectionCounts, Place, places};
use crate::error::Error;
use crate::routed::RoutedModel;

/// What to keep.
#[derive(Clone, Debug)]
pub struct PruneOptions {
    /// The languages that the model is kept for, with English.
    pub languages: Vec<String>,
    /// Share of the experts of each block that is kept, above 0 and at most 1.
    pub keep: f64,
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
    /// The languages that it is kept for.
    pub languages: Vec<String>,
    /// The directions whose routing was recorded.
    pub directions: Vec<String>,
    /// Experts of each stratum before.
    pub strata_before: Vec<usize>,
    /// Experts of each stratum that are kept, the same in every block.
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

/// Whether a direction belongs to the chosen languages: both sides are among them or English, and not both English.
pub fn belongs(direction: &Direction, languages: &[String]) -> bool {
    let own = |tag: &String| languages.contains(tag);
    let known = |tag: &String| own(tag) || tag == "en";
    known(&direction.source) && known(&direction.target) && (own(&direction.source) || own(&direction.target))
}

/// Records the routing of the chosen languages and decides what is kept.
///
/// # Errors
/// `keep` outside (0, 1], languages without directions in the corpus, what the routing reports.
pub fn plan(
    model: &RoutedModel,
    prepared: &Path,
    options: &PruneOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<PrunePlan, Error> {
    let config = model.config();
    if !(options.keep > 0.0 && options.keep <= 1.0) {
        let message = format!("keep = {} must be above 0 and at most 1", options.keep);
        return Err(ConfigError { key: "keep", message }.into());
    }
    let known: Vec<&str> = model.languages().languages.iter().map(|language| language.tag.as_str()).collect();
    if let Some(language) = options.languages.iter().find(|language| !known.contains(&language.as_str())) {
        let near = strata_recipe::nearest(language, known.iter().copied());
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        return Err(Error::Invalid(format!(
            "the model has no language `{language}`{hint} (it knows: {})",
            known.join(", ")
        )));
    }
    let analyze = AnalyzeOptions {
        split: options.split.clone(),
        max_sentences: options.max_sentences,
        threads: options.threads,
        ..AnalyzeOptions::default()
    };
    let routed = route(model, prepared, &analyze, &|direction| belongs(direction, &options.languages), progress)?;
    let mut total = DirectionCounts::new(config);
    for direction in &routed {
        total.blocks.iter_mut().zip(&direction.counts.blocks).for_each(|(sum, block)| sum.merge(block));
    }
    if total.blocks.iter().any(|block| block.tokens == 0) {
        return Err(Error::Invalid(format!(
            "{}: the {} split has no sentences of {} with English or each other",
            prepared.display(),
            options.split,
            options.languages.join(", ")
        )));
    }
    let importance: Vec<Vec<f64>> = total.blocks.iter().map(|block| block.mass_share()).collect();
    let after = strata_after(config, &importance, options.keep);
    let mut smaller = config.clone();
    smaller.experts = after.iter().sum();
    smaller.block_experts.iter_mut().for_each(|experts| *experts = share(options.keep, config.top_k, *experts));
    if matches!(config.kind, Kind::Smoe | Kind::Stacked) {
        smaller.strata.clone_from(&after);
    }
    let blocks: Vec<PrunedBlock> = places(config)
        .into_iter()
        .zip(importance)
        .enumerate()
        .map(|(block, (place, importance))| PrunedBlock {
            side: if place.decoder { "decoder" } else { "encoder" }.to_string(),
            layer: place.layer,
            kept: best(&config.strata_of_block(block), &smaller.strata_of_block(block).sizes(), &importance),
            importance,
        })
        .collect();
    Ok(PrunePlan {
        languages: options.languages.clone(),
        directions: routed.iter().map(|r| r.direction.name()).collect(),
        strata_before: config.block_strata().sizes(),
        strata_after: after,
        parameters_before: Cost::of(config, None)?.parameters,
        parameters_after: Cost::of(&smaller, None)?.parameters,
        blocks,
        config: smaller,
    })
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

/// How many experts of each stratum are kept; where blocks differ, in the largest. All blocks of an SMoE have the same
/// strata, so one more expert in a stratum counts by what it adds in all of them. Every stratum keeps one, and the last
/// at least as many as a token chooses there.
fn strata_after(config: &ModelConfig, importance: &[Vec<f64>], keep: f64) -> Vec<usize> {
    let layout = config.block_strata();
    let strata = layout.sizes();
    if config.kind != Kind::Smoe {
        // One stratum, or the equal layers of a stack, each with a gate of its own.
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

/// Writes the smaller model: a model folder like any other, with `pruned.json` that says what was kept.
///
/// # Errors
/// Weights that are missing, a folder that exists or cannot be written.
pub fn write(folder: &ModelFolder, plan: &PrunePlan, output: &Path, existing: Existing) -> Result<PathBuf, Error> {
    let file = folder.weights()?;
    let before = folder.model_config()?;
    let weights = smaller_weights(&file, &before, plan)?;
    let note = serde_json::to_string_pretty(plan)
        .map_err(|e| Error::File { place: "pruned.json".into(), what: e.to_string() })?;
    let (config, tokenizer, languages) = (plan.config.to_json(), folder.tokenizer()?, folder.languages()?);
    let parts = ModelParts {
        config: config.as_bytes(),
        tokenizer: &tokenizer,
        languages: &languages,
        weights: &weights,
        extra: &[("pruned.json", note.as_bytes())],
    };
    Ok(ModelFolder::write(output, &parts, existing)?.path().to_path_buf())
}

/// The weights under their names in the smaller model.
fn smaller_weights<'a>(file: &'a TensorFile, before: &ModelConfig, plan: &PrunePlan) -> Result<TensorList<'a>, Error> {
    let places = places(before);
    let mut weights = TensorList::new();
    for name in file.names() {
        let view = file.view(name)?;
        let Some((place, path, rest)) = in_block(name) else {
            weights.push(name, view.dtype, view.shape, view.bytes);
            continue;
        };
        let unknown = || Error::File {
            place: file.path().display().to_string(),
            what: format!("tensor `{name}` fits no expert block of config.json"),
        };
        let block = places.iter().position(|p| *p == place).ok_or_else(unknown)?;
        let (kept, strata) = (&plan.blocks[block].kept, before.strata_of_block(block));
        let mut parts = rest.splitn(3, '.');
        match (parts.next(), parts.next().and_then(|n| n.parse::<usize>().ok()), parts.next()) {
            (Some("experts"), Some(expert), Some(kind)) => {
                if let Some(now) = kept.iter().position(|e| *e == expert) {
                    weights.push(format!("{path}experts.{now}.{kind}"), view.dtype, view.shape, view.bytes);
                }
            }
            (Some("gate"), Some(stratum), Some("weight" | "bias" | "offset")) => {
                let seen = strata.visible(stratum);
                let [rows, ref rest @ ..] = *view.shape else { return Err(unknown()) };
                if rows != seen.len() {
                    return Err(unknown());
                }
                let row = view.bytes.len() / rows.max(1);
                let chosen: Vec<usize> = kept.iter().copied().filter(|e| seen.contains(e)).collect();
                let bytes: Vec<u8> =
                    chosen.iter().flat_map(|e| view.bytes[(e - seen.start) * row..][..row].iter().copied()).collect();
                weights.push(name, view.dtype, &[&[chosen.len()], rest].concat(), bytes);
            }
            _ => weights.push(name, view.dtype, view.shape, view.bytes),
        }
    }
    Ok(weights)
}

/// Splits `encoder.layers.1.block.gate.0.weight` into the block's place, `encoder.layers.1.block.` and `gate.0.weight`.
fn in_block(name: &str) -> Option<(Place, &str, &str)> {
    let mut parts = name.splitn(5, '.');
    let decoder = match (parts.next()?, parts.next()?) {
        ("encoder", "layers") => false,
        ("decoder", "layers") => true,
        _ => return None,
    };
    let layer = parts.next()?.parse().ok()?;
    if parts.next()? != "block" {
        return None;
    }
    let rest = parts.next()?;
    Some((Place { decoder, layer }, &name[..name.len() - rest.len()], rest))
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
        let moe = ModelConfig { kind: Kind::Moe, experts: 8, ..ModelConfig::default() };
        assert_eq!(strata_after(&moe, &both, 0.5), [4]);
        assert_eq!(strata_after(&moe, &both, 0.1), [2]);
        let stacked = ModelConfig { kind: Kind::Stacked, ..smoe(&[4, 4]) };
        assert_eq!(strata_after(&stacked, &both, 0.5), [2, 2]);
    }

    #[test]
    fn weights_of_blocks_are_told_from_others() {
        let place = Place { decoder: true, layer: 3 };
        let (found, path, rest) = in_block("decoder.layers.3.block.experts.12.fc1.weight").unwrap();
        assert_eq!((found, path, rest), (place, "decoder.layers.3.block.", "experts.12.fc1.weight"));
        for other in
            ["embedding.weight", "encoder.layers.0.ffn.fc1.weight", "encoder.norm.bias", "encoder.layers.x.block.a"]
        {
            assert!(in_block(other).is_none(), "{other}");
        }
    }
}
