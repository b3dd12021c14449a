//! Who computes which batch, or which part of it, and the sums of all ranks.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use strata_corpus::{Batch, Ragged};
use strata_model::{BlockTrace, GateTrace};
use strata_ranks::Ranks;
use strata_recipe::Side;

use super::bits;
use crate::error::Error;
use crate::stats::RoutingStats;

/// How the batches of an update are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// Batch `i` is that of rank `i % ranks`.
    Batches,
    /// Each batch is split among all ranks by its sentences.
    Sentences,
}

impl Sharing {
    /// How `accumulate` batches are shared out among `ranks`.
    pub fn new(accumulate: usize, ranks: usize) -> Self {
        if accumulate.is_multiple_of(ranks) { Sharing::Batches } else { Sharing::Sentences }
    }
}

/// The sentences of a batch that are those of this rank: all ranks get about as many subwords of both sides.
pub(crate) fn part_of(batch: &Batch, ranks: &Ranks) -> Range<usize> {
    // Subwords before each sentence, and in all.
    let before: Vec<usize> = batch.source.offsets.iter().zip(&batch.target_in.offsets).map(|(s, t)| s + t).collect();
    let (all, sentences) = (before[before.len() - 1], batch.examples.len());
    let bound = |rank: usize| {
        let goal = all * rank / ranks.size();
        let above = before.partition_point(|subwords| *subwords < goal);
        match above.checked_sub(1) {
            Some(below) if goal - before[below] < before[above] - goal => below,
            _ => above,
        }
    };
    let end = if ranks.rank() + 1 == ranks.size() { sentences } else { bound(ranks.rank() + 1) };
    bound(ranks.rank())..end
}

/// The sentences `part` of a batch.
pub(crate) fn cut(batch: Batch, part: &Range<usize>) -> Batch {
    let side = |ragged: &Ragged| {
        let offsets = &ragged.offsets[part.start..=part.end];
        let (start, end) = (offsets[0], offsets[part.len()]);
        Ragged { ids: ragged.ids[start..end].to_vec(), offsets: offsets.iter().map(|o| o - start).collect() }
    };
    let targets = batch.target_in.offsets[part.start]..batch.target_in.offsets[part.end];
    Batch {
        source: side(&batch.source),
        target_in: side(&batch.target_in),
        target_out: batch.target_out[targets].to_vec(),
        examples: batch.examples[part.clone()].to_vec(),
    }
}

/// What a batch, or a rank's part of it, adds to the figures of the log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct BatchSums {
    /// Label-smoothed loss, summed over the target subwords and divided by those of the update.
    #[serde(with = "bits")]
    pub loss: f64,
    /// Loss without smoothing, summed over the target subwords.
    #[serde(with = "bits")]
    pub nll: f64,
    /// Balance loss, times the batch's share of the update's target subwords.
    #[serde(with = "bits")]
    pub balance: f64,
    /// Source and target subwords.
    pub tokens: u64,
    pub routing: RoutingStats,
}

/// What a rank tells the others after its batches.
#[derive(Serialize, Deserialize)]
struct Told {
    stop: bool,
    batches: Vec<(usize, BatchSums)>,
}

impl BatchSums {
    fn add(&mut self, other: &Self) {
        self.loss += other.loss;
        self.nll += other.nll;
        self.balance += other.balance;
        self.tokens += other.tokens;
        self.routing.merge(&other.routing);
    }

    /// The sums of all batches of an update, in their order, from those of each rank's own; and whether any rank was
    /// asked to `stop`.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn gather(ranks: &Ranks, batches: Vec<(usize, Self)>, stop: bool) -> Result<(Vec<Self>, bool), Error> {
        let mut told = vec![Told { stop, batches }];
        if ranks.is_many() {
            told = exchange(ranks, &told[0])?;
        }
        let stop = told.iter().any(|told| told.stop);
        let count = told.iter().flat_map(|told| &told.batches).map(|(batch, _)| batch + 1).max().unwrap_or(0);
        let mut sums = vec![Self::default(); count];
        for (batch, part) in told.iter().flat_map(|told| &told.batches) {
            sums[*batch].add(part);
        }
        Ok((sums, stop))
    }
}

/// What the gates of all ranks chose first, from those of this rank's passes: all that offsets of gates need to know.
///
/// # Errors
/// Of the exchange.
pub(crate) fn all_first_choices(ranks: &Ranks, mine: Vec<BlockTrace>) -> Result<Vec<BlockTrace>, Error> {
    if !ranks.is_many() {
        return Ok(mine);
    }
    /// A block, by its side and layer, and the first choices of its gates, by stratum.
    type First = (Side, usize, Vec<(usize, Vec<u32>)>);
    let gates = |block: BlockTrace| block.gates.into_iter().map(|gate| (gate.stratum, gate.first)).collect();
    let mine: Vec<First> = mine.into_iter().map(|block| (block.side, block.layer, gates(block))).collect();
    let gate = |(stratum, first)| GateTrace { stratum, first, ..GateTrace::default() };
    let block = |(side, layer, gates): First| BlockTrace {
        side,
        layer,
        gates: gates.into_iter().map(gate).collect(),
        ..BlockTrace::default()
    };
    Ok(exchange(ranks, &mine)?.into_iter().flatten().map(block).collect())
}

/// Every rank's `mine`, by rank.
///
/// # Errors
/// Of the exchange.
pub(crate) fn exchange<T: Serialize + for<'a> Deserialize<'a>>(ranks: &Ranks, mine: &T) -> Result<Vec<T>, Error> {
    let all = ranks.gather_bytes(&serde_json::to_vec(mine).map_err(Error::Told)?)?;
    all.iter().map(|bytes| serde_json::from_slice(bytes).map_err(Error::Told)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(lengths: &[usize]) -> Ragged {
        let mut offsets = vec![0];
        lengths.iter().for_each(|n| offsets.push(offsets[offsets.len() - 1] + n));
        Ragged { ids: (0..offsets[lengths.len()] as u32).collect(), offsets }
    }

    #[test]
    fn whole_batches_where_the_ranks_divide_them() {
        let shared = |accumulate| (1..=4).map(|ranks| Sharing::new(accumulate, ranks)).collect::<Vec<_>>();
        use Sharing::{Batches, Sentences};
        assert_eq!(shared(1), [Batches, Sentences, Sentences, Sentences]);
        assert_eq!(shared(4), [Batches, Batches, Sentences, Batches]);
    }

    #[test]
    fn the_parts_of_a_batch_are_the_batch() {
        let id = |index| strata_corpus::ExampleId { direction: 0, index };
        let batch = Batch {
            source: side(&[2, 3, 1]),
            target_in: side(&[4, 1, 2]),
            target_out: (10..17).collect(),
            examples: (0..3).map(id).collect(),
        };
        for size in 1..=5 {
            let part = |ranks: &Ranks| cut(batch.clone(), &part_of(&batch, ranks));
            let parts: Vec<Batch> = Ranks::threads(size).iter().map(part).collect();
            assert_eq!(parts.iter().flat_map(|p| p.source.ids.clone()).collect::<Vec<_>>(), batch.source.ids);
            assert_eq!(parts.iter().flat_map(|p| p.target_out.clone()).collect::<Vec<_>>(), batch.target_out);
            let lengths = |r: &Ragged| r.offsets.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
            assert_eq!(parts.iter().flat_map(|p| lengths(&p.target_in)).collect::<Vec<_>>(), [4, 1, 2]);
            assert!(parts.iter().all(|p| p.source.offsets[0] == 0 && p.examples.len() + 1 == p.source.offsets.len()));
        }
    }

    /// A rank with the long sentences would let the others wait.
    #[test]
    fn ranks_get_as_many_subwords_and_not_as_many_sentences() {
        let lengths = [10, 10, 10, 20, 30, 40];
        let id = |index| strata_corpus::ExampleId { direction: 0, index };
        let batch = Batch {
            source: side(&lengths),
            target_in: side(&lengths),
            target_out: vec![0; 120],
            examples: (0..6).map(id).collect(),
        };
        let parts = |size| Ranks::threads(size).iter().map(|ranks| part_of(&batch, ranks)).collect::<Vec<_>>();
        assert_eq!(parts(2), [0..4, 4..6]);
        assert_eq!(parts(3), [0..4, 4..5, 5..6]);
        assert_eq!(parts(1), std::slice::from_ref(&(0..6)));
        assert_eq!(part_of(&Batch::default(), &Ranks::threads(2)[1]), 0..0);
    }
}
