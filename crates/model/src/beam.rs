//! Plain beam search on the training model: the reference for the CPU engine, and the decoder on GPUs.

use burn::tensor::Tensor;
use rayon::prelude::*;
use strata_kernels::host;
use strata_recipe::SearchOptions;
use strata_simd::log_sum_exp;

use crate::error::Error;
use crate::forward::Forward;
use crate::packed::Packed;
use crate::transformer::Transformer;

/// The ids that a search must know.
#[derive(Clone, Copy, Debug)]
pub struct SearchIds<'a> {
    /// What the decoder reads first for each sentence, such as the tag of the language to translate into; as many
    /// tokens for each.
    pub prompts: &'a [Vec<u32>],
    /// The end mark.
    pub end: u32,
    /// Ids that never occur in a translation: padding, unknown, language tags.
    pub suppressed: &'a [u32],
}

/// One translation of a sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// Subword ids without the prompt and the end mark.
    pub ids: Vec<u32>,
    /// Sum of the log-probabilities over `length ^ length_penalty`.
    pub score: f32,
}

/// An unfinished hypothesis: its ids, and the sum of their log-probabilities.
#[derive(Clone)]
struct Open {
    ids: Vec<u32>,
    sum: f32,
}

/// An unfinished sentence.
struct Search {
    /// Its index among the sentences of the call.
    sentence: usize,
    longest: usize,
    open: Vec<Open>,
    done: Vec<Hypothesis>,
}

/// A continuation of an open hypothesis.
#[derive(Clone, Copy)]
struct Candidate {
    hypothesis: usize,
    id: u32,
    sum: f32,
}

/// Translates `source` (each sentence with its tag and end mark), and gives up to `nbest` hypotheses for each sentence,
/// best first. Of `options` it heeds `beam`, `nbest`, `length_penalty`, `max_ratio` and `max_extra`.
///
/// # Errors
/// [`Error::Input`] for sentences that do not fit the model.
pub fn beam_search(
    model: &Transformer,
    source: &Packed,
    ids: SearchIds<'_>,
    options: &SearchOptions,
) -> Result<Vec<Vec<Hypothesis>>, Error> {
    model.check(source)?;
    let sentences = ids.prompts.len();
    let mut forward = Forward::inference();
    let memory = model.encode(source, &mut forward);
    let mut state = model.start(memory, source);
    let prompt = ids.prompts.first().map_or(0, Vec::len);
    for at in 0..prompt.saturating_sub(1) {
        let tokens: Vec<u32> = ids.prompts.iter().map(|prompt| prompt[at]).collect();
        model.step(&mut state, &tokens, &mut Forward::inference());
    }
    let mut results = vec![Vec::new(); sentences];
    let longest = |i: usize| {
        let length = (source.offsets[i + 1] - source.offsets[i]) as f32;
        ((length * options.max_ratio as f32) as usize)
            .saturating_add(options.max_extra)
            .clamp(1, model.config().max_length)
    };
    let mut searches: Vec<Search> = (0..sentences)
        .map(|sentence| Search {
            sentence,
            longest: longest(sentence),
            open: vec![Open { ids: ids.prompts[sentence].last().copied().into_iter().collect(), sum: 0.0 }],
            done: Vec::new(),
        })
        .collect();
    while !searches.is_empty() {
        let last: Vec<u32> =
            searches.iter().flat_map(|s| s.open.iter()).filter_map(|open| open.ids.last().copied()).collect();
        let mut forward = Forward::inference();
        let logits = model.step(&mut state, &last, &mut forward);
        let best = best_continuations(logits, 2 * options.beam, ids.suppressed);
        let mut row = 0;
        let (mut kept_hypotheses, mut kept_sentences, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        let mut unfinished = Vec::with_capacity(searches.len());
        for (place, mut search) in searches.into_iter().enumerate() {
            let rows = row..row + search.open.len();
            row = rows.end;
            let parents = search.advance(&best[rows.clone()], ids.end, options);
            if parents.is_empty() {
                let sentence = search.sentence;
                results[sentence] = search.finish(options);
            } else {
                kept_hypotheses.extend(parents.iter().map(|parent| (rows.start + parent) as u32));
                kept_sentences.push(place);
                counts.push(parents.len());
                unfinished.push(search);
            }
        }
        searches = unfinished;
        state.select(&kept_hypotheses, &kept_sentences, &counts);
    }
    Ok(results)
}

impl Search {
    /// Takes the next step given each open hypothesis' best continuations `(id, log-probability)`, best first.
    /// Gives the parents of the new open hypotheses; none when the search is over.
    fn advance(&mut self, best: &[Vec<(u32, f32)>], end: u32, options: &SearchOptions) -> Vec<usize> {
        let mut candidates: Vec<Candidate> = Vec::new();
        for (hypothesis, (open, continuations)) in self.open.iter().zip(best).enumerate() {
            candidates.extend(continuations.iter().map(|(id, log_p)| Candidate {
                hypothesis,
                id: *id,
                sum: open.sum + log_p,
            }));
        }
        // A stable sort: equal scores keep the order of hypotheses and ids, so results are reproducible.
        candidates.sort_by(|a, b| b.sum.total_cmp(&a.sum));
        let length = self.open.first().map_or(0, |open| open.ids.len()); // with the new token, without the prompt
        let at_limit = length >= self.longest;
        let (mut open, mut parents) = (Vec::new(), Vec::new());
        for (rank, candidate) in candidates.iter().enumerate() {
            if open.len() == options.beam || self.done.len() >= options.beam {
                break;
            }
            let from = &self.open[candidate.hypothesis].ids;
            if candidate.id == end || at_limit {
                // An end mark counts only among the best `beam` candidates (Ott et al., 2019, fairseq).
                if rank < options.beam {
                    let mut ids = from[1..].to_vec();
                    if candidate.id != end {
                        ids.push(candidate.id);
                    }
                    let score = candidate.sum / (length as f32).powf(options.length_penalty as f32);
                    self.done.push(Hypothesis { ids, score });
                }
            } else {
                let mut ids = from.clone();
                ids.push(candidate.id);
                open.push(Open { ids, sum: candidate.sum });
                parents.push(candidate.hypothesis);
            }
        }
        if self.done.len() >= options.beam || at_limit {
            parents.clear();
        }
        self.open = open;
        parents
    }

    fn finish(mut self, options: &SearchOptions) -> Vec<Hypothesis> {
        self.done.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.done.truncate(options.nbest.min(options.beam));
        self.done
    }
}

/// For each row of `logits` `[n, vocabulary]` the `count` largest log-probabilities with their ids, largest first.
fn best_continuations(logits: Tensor<2>, count: usize, suppressed: &[u32]) -> Vec<Vec<(u32, f32)>> {
    let [_, vocabulary] = logits.dims();
    let mut values = host(logits);
    values
        .par_chunks_exact_mut(vocabulary)
        .map(|row| {
            let log_total = log_sum_exp(row);
            suppressed.iter().for_each(|id| row[*id as usize] = f32::NEG_INFINITY);
            largest(row, count).into_iter().map(|id| (id, row[id as usize] - log_total)).collect()
        })
        .collect()
}

/// The places of the `count` largest values, largest first, the lower place first among equals.
fn largest(row: &[f32], count: usize) -> Vec<u32> {
    let mut best: Vec<u32> = Vec::with_capacity(count + 1);
    for (id, value) in row.iter().enumerate() {
        let full = best.len() == count;
        if full && best.last().is_some_and(|last| *value <= row[*last as usize]) {
            continue;
        }
        let at = best.partition_point(|other| row[*other as usize] >= *value);
        best.insert(at, id as u32);
        best.truncate(count);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_first_and_ties_keep_their_order() {
        assert_eq!(largest(&[1.0, 5.0, 3.0, 5.0, 2.0], 3), [1, 3, 2]);
        assert_eq!(largest(&[1.0, 2.0], 5), [1, 0]);
    }
}
