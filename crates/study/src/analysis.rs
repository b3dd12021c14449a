//! `strata analyze`: the capacity and the experts that each direction, language and subword requests.

use std::path::Path;

use serde::{Deserialize, Serialize};
use strata_corpus::languages::{Direction, LANGUAGES_FILE, Languages, Level};
use strata_corpus::subword::SPECIALS;
use strata_recipe::{Cost, ModelConfig, Side};
use strata_translate::evaluate::read_texts;

use crate::counts::{BlockCounts, DirectionCounts, Place, places};
use crate::error::Error;
use crate::frequency::Frequencies;
use crate::routed::{CHUNK, RoutedModel, RoutedPair};
use crate::similarity::{self, Similarity};
use crate::summary;

/// What to analyze.
#[derive(Clone, Debug)]
pub struct AnalyzeOptions {
    /// `valid` or `test`.
    pub split: String,
    /// Directions such as `en-de`; all if empty.
    pub directions: Vec<String>,
    /// At most this many sentences of each direction, from the first; 0 for all.
    pub max_sentences: usize,
    /// Length of the lists of subwords with the highest and the lowest requested capacity.
    pub subwords: usize,
    /// A subword must occur this often in the analyzed text of a direction to be listed.
    pub min_count: u32,
    /// CPU threads.
    pub threads: usize,
}

/// The paper lists 25 subwords; requiring five occurrences keeps chance out of the lists.
impl Default for AnalyzeOptions {
    fn default() -> Self {
        let (split, directions) = ("test".to_string(), Vec::new());
        Self { split, directions, max_sentences: 0, subwords: 25, min_count: 5, threads: 1 }
    }
}

/// The result of an analysis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Analysis {
    /// The model's name.
    pub model: String,
    /// The split whose sentences were routed, with their references as translations (teacher forcing).
    pub split: String,
    /// Pairs routed.
    pub sentences: usize,
    /// Pairs left out because a side is empty or longer than the model takes.
    pub skipped: usize,
    /// Choices dropped because their expert was full. Inference has no limit, so this is always 0; training logs count
    /// theirs.
    pub dropped: u64,
    /// Experts of each stratum.
    pub strata: Vec<usize>,
    /// Mean requested capacity of the encoder's blocks over all tokens; none without such blocks.
    pub rc_encoder: Option<f64>,
    /// Mean requested capacity of the decoder's blocks over all tokens.
    pub rc_decoder: Option<f64>,
    /// Forward FLOPs per token under uniform routing.
    pub flops_per_token: u64,
    /// The same with the requested capacity found here.
    pub flops_per_token_measured: u64,
    /// Each expert block over all tokens, encoder blocks first.
    pub blocks: Vec<BlockSummary>,
    /// Each direction, in the order of the corpus.
    pub directions: Vec<DirectionSummary>,
    /// Means over directions: out of and into English and between others, each as a whole and by resource level.
    pub groups: Vec<Group>,
    /// Each language.
    pub languages: Vec<LanguageSummary>,
    /// Languages compared by the experts that serve them.
    pub similarity: Similarity,
    /// A sentence of each direction, token by token.
    pub examples: Vec<Example>,
}

/// An expert block over all tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlockSummary {
    /// `encoder` or `decoder`.
    pub side: String,
    /// Its layer, from 0 as in the names of weights.
    pub layer: usize,
    /// Tokens that passed through it.
    pub tokens: u64,
    /// Mean strata visited by a token.
    pub requested_capacity: f64,
    /// Share of the tokens that visited 1, 2, ... strata.
    pub capacity_shares: Vec<f64>,
    /// Share of all choices that fell on each expert.
    pub choice_share: Vec<f64>,
    /// Share of each expert in the gate mass: what expert outputs are multiplied by, summed.
    pub mass_share: Vec<f64>,
    /// Mean entropy of the gates' probabilities, nats.
    pub entropy: f64,
    /// The balance loss: 1 for perfectly even experts.
    pub balance: f64,
}

/// One direction's routing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectionSummary {
    /// `en-de`.
    pub direction: String,
    /// Language translated from.
    pub source: String,
    /// Language translated into.
    pub target: String,
    /// Resource level of the direction.
    pub level: Level,
    /// Pairs routed.
    pub sentences: usize,
    /// Mean requested capacity of the encoder's blocks.
    pub rc_encoder: Option<f64>,
    /// Mean requested capacity of the decoder's blocks.
    pub rc_decoder: Option<f64>,
    /// Mean requested capacity of each block, encoder blocks first.
    pub rc_blocks: Vec<f64>,
    /// Subwords by requested capacity in each block, in the same order; empty where every token visits the same number
    /// of strata.
    pub subwords: Vec<SubwordLists>,
}

/// The subwords with the highest and the lowest mean requested capacity in a block, without tags and end marks. Among
/// subwords with equal capacity the more frequent come first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubwordLists {
    /// Highest first.
    pub highest: Vec<SubwordCapacity>,
    /// Lowest first.
    pub lowest: Vec<SubwordCapacity>,
}

/// A subword's requested capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubwordCapacity {
    /// The subword as the subword model prints it.
    pub piece: String,
    /// Mean strata visited.
    pub requested_capacity: f64,
    /// Occurrences in the analyzed text.
    pub count: u32,
    /// Its rank by frequency in the training text of its language, 1 for the most frequent; none if it does not occur
    /// there, or if the text was prepared with other subwords.
    pub rank: Option<u32>,
}

/// Means over the directions of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// `from en`, `into en, low`, ...
    pub name: String,
    /// Directions in it.
    pub directions: usize,
    /// Mean requested capacity of the encoder's blocks.
    pub rc_encoder: Option<f64>,
    /// Mean requested capacity of the decoder's blocks.
    pub rc_decoder: Option<f64>,
}

/// One language: the capacity it requests from the encoder as a source and from the decoder as a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanguageSummary {
    /// Its tag.
    pub language: String,
    /// By training pairs.
    pub level: Level,
    /// Mean requested capacity of the encoder's blocks when it is the source.
    pub rc_encoder: Option<f64>,
    /// Mean requested capacity of the decoder's blocks when it is the target.
    pub rc_decoder: Option<f64>,
    /// For each block, encoder blocks first: each expert's share of the gate mass of the language's tokens; none
    /// without tokens.
    pub mass_share: Vec<Option<Vec<f64>>>,
}

/// A sentence pair, token by token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// `en-de`.
    pub direction: String,
    /// What the encoder read.
    pub source: Vec<TokenCapacity>,
    /// What the decoder read.
    pub target: Vec<TokenCapacity>,
}

/// A token's requested capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenCapacity {
    /// The subword as the subword model prints it.
    pub piece: String,
    /// Strata visited, the mean over the blocks of its side.
    pub requested_capacity: f64,
}

/// Progress of an analysis.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Directions done.
    pub done: usize,
    /// Directions in total.
    pub of: usize,
}

/// The counts of each direction that was routed, and an example of it.
pub(crate) struct Routed {
    pub direction: Direction,
    pub counts: DirectionCounts,
    pub example: Option<Example>,
    pub skipped: usize,
}

/// Routes a split of a prepared corpus, sentences with their references, and reports the requested capacity.
///
/// # Errors
/// Missing or damaged files, languages that the model does not know, no text at all, or none that the model can read.
pub fn analyze(
    model: &RoutedModel,
    prepared: &Path,
    options: &AnalyzeOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Analysis, Error> {
    let routed = route(model, prepared, options, &|_| true, progress)?;
    let languages = Languages::load(&prepared.join(LANGUAGES_FILE))?;
    let frequencies = Frequencies::read(prepared, &languages, model.subwords())?;
    let config = model.config();
    let places = places(config);
    let total = total(model, prepared, options, &routed)?;
    let capacities: Vec<f64> = total.blocks.iter().map(BlockCounts::requested_capacity).collect();
    let cost = Cost::of(config, Some(&capacities))?;
    let directions: Vec<DirectionSummary> = routed
        .iter()
        .map(|routed| {
            let lists = |(place, block)| subword_lists(model, routed, place, block, &frequencies, options);
            DirectionSummary {
                direction: routed.direction.name(),
                source: routed.direction.source.clone(),
                target: routed.direction.target.clone(),
                level: routed.direction.level,
                sentences: routed.counts.sentences,
                rc_encoder: summary::mean_rc(&places, &routed.counts, Side::Encoder),
                rc_decoder: summary::mean_rc(&places, &routed.counts, Side::Decoder),
                rc_blocks: routed.counts.blocks.iter().map(BlockCounts::requested_capacity).collect(),
                subwords: places.iter().zip(&routed.counts.blocks).map(lists).collect(),
            }
        })
        .collect();
    let languages = summary::languages(config, &places, &routed, &languages);
    let tags: Vec<String> = languages.iter().map(|l| l.language.clone()).collect();
    let uses: Vec<Vec<Option<Vec<f64>>>> = languages.iter().map(|l| l.mass_share.clone()).collect();
    Ok(Analysis {
        model: config.name(),
        split: options.split.clone(),
        sentences: total.sentences,
        skipped: routed.iter().map(|r| r.skipped).sum(),
        dropped: 0,
        strata: config.block_strata().sizes(),
        rc_encoder: summary::mean_rc(&places, &total, Side::Encoder),
        rc_decoder: summary::mean_rc(&places, &total, Side::Decoder),
        flops_per_token: cost.flops_per_token,
        flops_per_token_measured: cost.flops_per_token_measured.unwrap_or(cost.flops_per_token),
        blocks: places.iter().zip(&total.blocks).map(|(place, block)| summary::block(*place, block)).collect(),
        groups: summary::groups(&directions),
        directions,
        similarity: similarity::compare(&tags, &uses),
        languages,
        examples: routed.into_iter().filter_map(|r| r.example).collect(),
    })
}

/// The counts of all directions together.
///
/// # Errors
/// [`Error::NothingRouted`].
pub(crate) fn total(
    model: &RoutedModel,
    prepared: &Path,
    options: &AnalyzeOptions,
    routed: &[Routed],
) -> Result<DirectionCounts, Error> {
    let total = DirectionCounts::total(model.config(), routed.iter().map(|routed| &routed.counts));
    if total.blocks.iter().all(|block| block.tokens > 0) {
        return Ok(total);
    }
    let (prepared, split) = (prepared.to_path_buf(), options.split.clone());
    let pairs = routed.iter().map(|routed| routed.skipped).sum();
    Err(Error::NothingRouted { prepared, split, pairs, max_length: model.config().max_length })
}

/// Routes the sentences of the wanted directions of a split, and counts.
pub(crate) fn route(
    model: &RoutedModel,
    prepared: &Path,
    options: &AnalyzeOptions,
    wanted: &dyn Fn(&Direction) -> bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<Routed>, Error> {
    let mut texts = read_texts(prepared, &options.split, &options.directions, options.max_sentences)?;
    texts.retain(|text| wanted(&text.direction));
    let places = places(model.config());
    let (mut found, of) = (Vec::new(), texts.len());
    for text in texts {
        let mut counts = DirectionCounts::new(model.config());
        let mut example: Option<(usize, Example)> = None;
        let chunks = text.sources.chunks(CHUNK).zip(text.references.chunks(CHUNK));
        let languages = [&text.direction.source, &text.direction.target].map(String::as_str);
        for (sources, references) in chunks {
            for (i, pair) in model.route(sources, references, languages)? {
                counts.add(&places, &pair);
                // A sentence of medium length fits a line and shows most.
                let unlike = sources[i].chars().count().abs_diff(50);
                if example.as_ref().is_none_or(|(best, _)| unlike < *best) {
                    example = Some((unlike, colored(model, &text.direction, &pair)));
                }
            }
        }
        let skipped = text.sources.len() - counts.sentences;
        found.push(Routed { direction: text.direction, counts, example: example.map(|(_, e)| e), skipped });
        progress(Progress { done: found.len(), of });
    }
    Ok(found)
}

/// A routed pair token by token.
pub(crate) fn colored(model: &RoutedModel, direction: &Direction, pair: &RoutedPair) -> Example {
    let side = |ids: &[u32], tokens: &[strata_runtime::TokenRouting]| -> Vec<TokenCapacity> {
        let token = |(id, blocks): (&u32, &strata_runtime::TokenRouting)| {
            let visits: usize = blocks.iter().map(|block| block.visits.len()).sum();
            let requested_capacity = visits as f64 / blocks.len().max(1) as f64;
            TokenCapacity { piece: model.subwords().piece(*id), requested_capacity }
        };
        ids.iter().zip(tokens).map(token).collect()
    };
    Example {
        direction: direction.name(),
        source: side(&pair.source, &pair.routing.source),
        target: side(&pair.target, &pair.routing.target),
    }
}

fn subword_lists(
    model: &RoutedModel,
    routed: &Routed,
    place: &Place,
    block: &BlockCounts,
    frequencies: &Frequencies,
    options: &AnalyzeOptions,
) -> SubwordLists {
    if !varies(model.config()) {
        return SubwordLists::default();
    }
    let language = if place.side == Side::Decoder { &routed.direction.target } else { &routed.direction.source };
    let reserved = (SPECIALS.len() + model.subwords().languages().len()) as u32;
    let mut all: Vec<Visited> = block
        .subwords
        .iter()
        .filter(|(id, (count, _))| **id >= reserved && *count >= options.min_count.max(1))
        .map(|(id, (count, visits))| (*id, *count, f64::from(*visits) / f64::from(*count)))
        .collect();
    let list = |order: &[Visited]| {
        let entry = |(id, count, rc): &Visited| SubwordCapacity {
            piece: model.subwords().piece(*id),
            requested_capacity: *rc,
            count: *count,
            rank: frequencies.rank(language, *id),
        };
        order.iter().map(entry).collect()
    };
    let (highest, lowest) = extremes(&mut all, options.subwords);
    SubwordLists { highest: list(highest), lowest: list(lowest) }
}

/// A subword's id, its occurrences and its mean requested capacity.
type Visited = (u32, u32, f64);

/// The `length` subwords with the highest capacity and those with the lowest, as far as no subword is in both; among
/// equal ones the more frequent come first.
fn extremes(all: &mut [Visited], length: usize) -> (&[Visited], &[Visited]) {
    let length = length.min(all.len() / 2);
    all.sort_by(|a, b| b.2.total_cmp(&a.2).then(b.1.cmp(&a.1)).then(a.0.cmp(&b.0)));
    // What is left may be as high as the last of these, but is less frequent then.
    let (highest, rest) = all.split_at_mut(length);
    rest.sort_by(|a, b| a.2.total_cmp(&b.2).then(b.1.cmp(&a.1)).then(a.0.cmp(&b.0)));
    (highest, &rest[..length])
}

/// Whether tokens can visit different numbers of strata.
fn varies(config: &ModelConfig) -> bool {
    config.kind == strata_recipe::Kind::Smoe && config.strata.len() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_subword_has_both_the_highest_and_the_lowest_capacity() {
        let subwords = [(1, 9, 2.0), (2, 5, 1.0), (3, 7, 2.0), (4, 8, 2.0), (5, 1, 3.0), (6, 2, 2.0), (7, 3, 2.0)];
        let lists = |length| {
            let mut all = subwords;
            let (highest, lowest) = extremes(&mut all, length);
            [highest, lowest].map(|list| list.iter().map(|subword| subword.0).collect::<Vec<_>>())
        };
        assert_eq!(lists(2), [[5, 1], [2, 4]]);
        assert_eq!(lists(9), [[5, 1, 4], [2, 3, 7]], "half of them each");
        assert_eq!(lists(0), [[0; 0]; 2]);
    }
}
