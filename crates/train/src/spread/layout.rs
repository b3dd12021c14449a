//! Which rank owns which piece of the weights.

use std::ops::Range;

use strata_kernels::SQUARES_TOGETHER;
use strata_ranks::{Error, Pending, Ranks};

/// Values of a chunk. The gradient's norm is made of sums over as many, so that it does not depend on who owns what.
const CHUNK: usize = SQUARES_TOGETHER;

/// Values that are sent together: 4 MiB.
const BUCKET: usize = 1 << 20;

/// Buckets that are underway at once.
const UNDERWAY: usize = 4;

/// A part of a weight that one rank owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The weight, in the order of the model's weights.
    pub weight: usize,
    /// Its values, flattened. A piece begins with a chunk of its weight.
    pub range: Range<usize>,
    pub owner: usize,
}

/// All weights of a model cut into pieces, and those into buckets; the same on every rank.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// Names in the order of the model, and values of each weight.
    pub weights: Vec<(String, usize)>,
    pub pieces: Vec<Piece>,
    /// Pieces of each bucket. Owners rise within it.
    buckets: Vec<Range<usize>>,
}

impl Layout {
    pub fn new(weights: Vec<(String, usize)>, ranks: usize) -> Self {
        let chunks = weights.iter().enumerate().flat_map(|(weight, (_, values))| {
            let values = *values;
            (0..values).step_by(CHUNK).map(move |start| (weight, start..values.min(start + CHUNK)))
        });
        let chunks: Vec<(usize, Range<usize>)> = chunks.collect();
        let (mut pieces, mut buckets): (Vec<Piece>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
        let mut rest = chunks.as_slice();
        while !rest.is_empty() {
            let mut values = 0;
            let until = rest.iter().take_while(|(_, range)| {
                values += range.len();
                values <= BUCKET
            });
            let (bucket, others) = rest.split_at(until.count().max(1));
            let first = pieces.len();
            cut(bucket, ranks, &mut pieces);
            buckets.push(first..pieces.len());
            rest = others;
        }
        Self { weights, pieces, buckets }
    }

    /// The pieces of `rank`, by their places in [`Layout::pieces`].
    pub fn of(&self, rank: usize) -> impl Iterator<Item = usize> + '_ {
        self.pieces.iter().enumerate().filter(move |(_, piece)| piece.owner == rank).map(|(place, _)| place)
    }

    /// Exchanges buckets one after another, some underway at once: `begin` starts one, `finish` takes what came. Both
    /// get the places of the bucket's pieces.
    pub fn exchange(
        &self,
        mut begin: impl FnMut(Range<usize>) -> Result<Pending, Error>,
        mut finish: impl FnMut(Range<usize>, Vec<f32>),
    ) -> Result<(), Error> {
        let mut underway = std::collections::VecDeque::new();
        for bucket in &self.buckets {
            if underway.len() == UNDERWAY
                && let Some((bucket, pending)) = underway.pop_front()
            {
                finish(bucket, Pending::values(pending)?);
            }
            underway.push_back((bucket.clone(), begin(bucket.clone())?));
        }
        for (bucket, pending) in underway {
            finish(bucket, pending.values()?);
        }
        Ok(())
    }

    /// Puts the weights together again from the values `mine` of this rank's pieces, in their order, on rank 0 alone or
    /// on all. Other ranks get weights without values.
    pub fn collect(&self, ranks: &Ranks, mine: &[Vec<f32>], all: bool) -> Result<Vec<Vec<f32>>, Error> {
        let (rank, size) = (ranks.rank(), ranks.size());
        let receives_any = all || ranks.is_first();
        let full = |values: &usize| if receives_any { vec![0.0; *values] } else { Vec::new() };
        let mut weights: Vec<Vec<f32>> = self.weights.iter().map(|(_, values)| full(values)).collect();
        let mut own = mine.iter();
        let values = |bucket: &Range<usize>, owner: usize| -> usize {
            self.pieces[bucket.clone()].iter().filter(|p| p.owner == owner).map(|p| p.range.len()).sum()
        };
        let begin = |bucket: Range<usize>| {
            let here = self.pieces[bucket.clone()].iter().filter(|piece| piece.owner == rank).count();
            let data: Vec<f32> = own.by_ref().take(here).flatten().copied().collect();
            let sends: Vec<Range<usize>> =
                (0..size).map(|to| if all || to == 0 { 0..data.len() } else { 0..0 }).collect();
            let receives: Vec<usize> =
                (0..size).map(|from| if receives_any { values(&bucket, from) } else { 0 }).collect();
            ranks.begin(data, &sends, &receives)
        };
        self.exchange(begin, |bucket, came| {
            if !receives_any {
                return;
            }
            let mut rest = came.as_slice();
            for piece in &self.pieces[bucket] {
                let (values, others) = rest.split_at(piece.range.len());
                weights[piece.weight][piece.range.clone()].copy_from_slice(values);
                rest = others;
            }
        })?;
        Ok(weights)
    }
}

/// Shares a bucket's chunks out, each rank about as many values; chunks of one weight and owner make a piece.
fn cut(bucket: &[(usize, Range<usize>)], ranks: usize, pieces: &mut Vec<Piece>) {
    let values: usize = bucket.iter().map(|(_, range)| range.len()).sum();
    let (mut before, first) = (0, pieces.len());
    for (weight, range) in bucket {
        let owner = before * ranks / values;
        before += range.len();
        match pieces[first..].last_mut() {
            Some(last) if last.weight == *weight && last.owner == owner => last.range.end = range.end,
            _ => pieces.push(Piece { weight: *weight, range: range.clone(), owner }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(ranks: usize) -> Layout {
        let sizes = [3, 5 * CHUNK + 7, 0, 1, 3 * BUCKET + 5, CHUNK, 40];
        Layout::new(sizes.iter().enumerate().map(|(i, size)| (format!("w{i}"), *size)).collect(), ranks)
    }

    #[test]
    fn every_value_has_one_owner_and_pieces_begin_with_chunks() {
        for ranks in [1, 2, 3, 7] {
            let layout = layout(ranks);
            let mut ends = vec![0; layout.weights.len()];
            for piece in &layout.pieces {
                assert_eq!((piece.range.start, piece.range.start % CHUNK), (ends[piece.weight], 0));
                ends[piece.weight] = piece.range.end;
            }
            assert!(ends.iter().zip(&layout.weights).all(|(end, (_, values))| end == values));
            let owned = |rank| layout.of(rank).map(|p| layout.pieces[p].range.len()).sum::<usize>();
            let all: Vec<usize> = (0..ranks).map(owned).collect();
            let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            assert!(most - least <= layout.buckets.len() * CHUNK, "{all:?}");
            for bucket in &layout.buckets {
                assert!(layout.pieces[bucket.clone()].is_sorted_by_key(|piece| piece.owner));
            }
        }
    }

    #[test]
    fn weights_come_together_again() {
        for all in [false, true] {
            std::thread::scope(|scope| {
                for ranks in Ranks::threads(3) {
                    scope.spawn(move || {
                        let layout = layout(3);
                        let value = |piece: &Piece, i: usize| (piece.weight * 1_000_000 + i) as f32;
                        let of = |place| {
                            let piece: &Piece = &layout.pieces[place];
                            piece.range.clone().map(|i| value(piece, i)).collect::<Vec<f32>>()
                        };
                        let mine: Vec<Vec<f32>> = layout.of(ranks.rank()).map(of).collect();
                        let weights = layout.collect(&ranks, &mine, all).unwrap();
                        for (w, (values, (_, size))) in weights.iter().zip(&layout.weights).enumerate() {
                            let size = if all || ranks.is_first() { *size } else { 0 };
                            assert_eq!(values.len(), size);
                            assert!(values.iter().enumerate().all(|(i, v)| *v == (w * 1_000_000 + i) as f32));
                        }
                    });
                }
            });
        }
    }
}
