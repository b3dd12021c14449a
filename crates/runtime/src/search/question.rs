//! What a search asks of the logits after a token, and the answer, which is found block by block, so that the logits
//! need not exist all at once.

use std::ops::Range;

use crate::kernels::{Total, keep, log_sum_exp, top_k, total};

/// What a search asks of the logits after a token. Columns are places in the request's vocabulary.
#[derive(Clone, Default)]
pub(crate) struct Question {
    /// Columns that must not follow, in ascending order.
    pub forbidden: Vec<u32>,
    /// Ids whose logits are wanted, forbidden or not, with their columns.
    pub wanted: Vec<(u32, u32)>,
    /// How many of the largest logits are wanted.
    pub best: usize,
    /// Whether all logits are wanted, for drawing.
    pub all: bool,
}

impl Question {
    pub fn clear(&mut self) {
        self.forbidden.clear();
        self.wanted.clear();
        (self.best, self.all) = (0, false);
    }
}

/// The answer to a [`Question`] from consecutive blocks of columns.
#[derive(Clone, Default)]
pub(crate) struct Answer {
    /// Of each block.
    totals: Vec<Total>,
    /// The best columns that are not forbidden, with their logits.
    pub best: Vec<(u32, f32)>,
    /// Places in [`Question::wanted`] with their logits, in the order of blocks.
    pub wanted: Vec<(u32, f32)>,
    /// All logits if they are wanted, forbidden ones as minus infinity.
    pub logits: Vec<f32>,
}

impl Answer {
    pub fn clear(&mut self) {
        self.totals.clear();
        self.best.clear();
        self.wanted.clear();
        self.logits.clear();
    }

    /// Takes the logits (changed) of the columns from `first` on, which follow those of the last call.
    pub fn add(&mut self, question: &Question, first: u32, logits: &mut [f32]) {
        let columns = first..first + logits.len() as u32;
        let total = total(logits);
        self.totals.push(total);
        for (place, (_, column)) in question.wanted.iter().enumerate() {
            if columns.contains(column) {
                self.wanted.push((place as u32, logits[(column - first) as usize]));
            }
        }
        for column in within(&question.forbidden, &columns) {
            logits[(column - first) as usize] = f32::NEG_INFINITY;
        }
        if self.best.len() < question.best || self.best.last().is_some_and(|(_, worst)| total.top > *worst) {
            top_k(logits, first, question.best, &mut self.best);
        }
        if question.all {
            self.logits.extend_from_slice(logits);
        }
    }

    /// Takes what was found in the blocks that follow.
    pub fn append(&mut self, question: &Question, next: &mut Answer) {
        self.totals.append(&mut next.totals);
        next.best.drain(..).for_each(|found| keep(question.best, &mut self.best, found));
        self.wanted.append(&mut next.wanted);
        self.logits.append(&mut next.logits);
    }

    /// The logarithm of the sum of the exponentials of all logits, forbidden ones included.
    pub fn log_total(&self) -> f32 {
        log_sum_exp(&self.totals)
    }
}

/// Those of `sorted` that lie in `columns`.
fn within<'a>(sorted: &'a [u32], columns: &Range<u32>) -> &'a [u32] {
    let from = |column| sorted.partition_point(|c| *c < column);
    &sorted[from(columns.start)..from(columns.end)]
}

#[cfg(test)]
mod tests {
    use strata_simd::testing::values;

    use super::*;

    /// The answer from blocks of `block` columns, in pieces of `piece` blocks.
    fn answer(question: &Question, logits: &[f32], block: usize, piece: usize) -> Answer {
        let mut whole = Answer::default();
        for (i, columns) in logits.chunks(block * piece).enumerate() {
            let mut part = Answer::default();
            for (j, logits) in columns.chunks(block).enumerate() {
                part.add(question, (block * (i * piece + j)) as u32, &mut logits.to_vec());
            }
            whole.append(question, &mut part);
        }
        whole
    }

    #[test]
    fn the_answer_is_the_same_however_blocks_are_shared_out() {
        let logits: Vec<f32> = values(50, 2).iter().map(|v| (v * 5.0).round()).collect();
        let (forbidden, wanted) = (vec![0, 9, 10, 11, 49], vec![(70, 49), (71, 3), (72, 10)]);
        let question = Question { forbidden, wanted, best: 6, all: true };
        let mut allowed = logits.clone();
        question.forbidden.iter().for_each(|column| allowed[*column as usize] = f32::NEG_INFINITY);
        let mut sorted: Vec<(u32, f32)> = (0..).zip(allowed.iter().copied()).collect();
        sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let exact: f64 = logits.iter().map(|v| f64::from(*v).exp()).sum();
        let first = answer(&question, &logits, 10, 5).log_total();
        for piece in [1, 2, 3, 5] {
            let found = answer(&question, &logits, 10, piece);
            assert_eq!(found.best, sorted[..6], "pieces of {piece} blocks");
            assert_eq!(found.logits, allowed);
            assert_eq!(found.wanted, [(1, logits[3]), (2, logits[10]), (0, logits[49])]);
            assert_eq!(found.log_total().to_bits(), first.to_bits());
            assert!((f64::from(first) - exact.ln()).abs() < 1e-5);
        }
    }

    #[test]
    fn what_is_not_asked_for_is_not_kept() {
        let found = answer(&Question::default(), &values(20, 1), 7, 2);
        assert!(found.best.is_empty() && found.wanted.is_empty() && found.logits.is_empty());
    }
}
