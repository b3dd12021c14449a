//! Which rank owns which piece of the weights.

use std::ops::Range;

use strata_kernels::SQUARES_TOGETHER;
use strata_ranks::{Error, Pending, Ranks};

/// Values of a chunk. The gradient's norm is made of sums over as many, so that it does not depend on who owns what.
const CHUNK: usize = SQUARES_TOGETHER;

/// Values that are sent together: 4 MiB.
pub(super) const BUCKET: usize = 1 << 20;

/// Buckets that are underway at once.
const UNDERWAY: usize = 4;

/// A weight as the ranks hold it.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    /// Its name on this rank.
    pub name: String,
    /// Values of each share. One share is with all ranks; of several, as experts that are spread have them, share `s`
    /// is with the ranks whose place in their group is `s`.
    pub shares: Vec<usize>,
}

/// A part of a weight that one rank owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// The weight, in the order of the model's weights.
    pub weight: usize,
    /// Which share of it.
    pub share: usize,
    /// Its values in the share, flattened. A piece begins with a chunk of the share.
    pub range: Range<usize>,
    pub owner: usize,
}

/// All weights of a model cut into pieces, and those into buckets; the same on every rank.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// In the order of the model.
    pub weights: Vec<Weight>,
    pub pieces: Vec<Piece>,
    /// Pieces of each bucket. Owners rise within it, and an owner's pieces are all of one share.
    buckets: Vec<Range<usize>>,
    /// Ranks of a group, over which experts are spread.
    group: usize,
}

/// A chunk of a share: the weight, and values of its share.
type Chunk = (usize, Range<usize>);

impl Layout {
    /// Shares `weights` out among `ranks`, of which each `group` have all experts together.
    pub fn new(weights: Vec<Weight>, ranks: usize, group: usize) -> Self {
        let chunks = |share: usize, shares: usize| -> Vec<Chunk> {
            let weights = weights.iter().enumerate().filter(|(_, weight)| weight.shares.len() == shares);
            let of = |(weight, of): (usize, &Weight)| {
                let values = of.shares[share];
                (0..values).step_by(CHUNK).map(move |start| (weight, start..values.min(start + CHUNK)))
            };
            weights.flat_map(of).collect()
        };
        let (mut pieces, mut buckets): (Vec<Piece>, Vec<Range<usize>>) = (Vec::new(), Vec::new());
        // What all ranks hold, then what is spread: a bucket of that has something of each share.
        for shares in if group > 1 { vec![1, group] } else { vec![1] } {
            let of_shares: Vec<Vec<Vec<Chunk>>> =
                (0..shares).map(|share| filled(&chunks(share, shares), BUCKET / shares)).collect();
            for bucket in 0..of_shares.iter().map(Vec::len).max().unwrap_or(0) {
                let first = pieces.len();
                for (share, chunks) in of_shares.iter().enumerate() {
                    let owner = |part: usize, of: usize| share + shares * (part * (ranks / shares) / of);
                    cut(chunks.get(bucket).map_or(&[], Vec::as_slice), share, owner, &mut pieces);
                }
                pieces[first..].sort_by_key(|piece| piece.owner);
                buckets.push(first..pieces.len());
            }
        }
        Self { weights, pieces, buckets, group }
    }

    /// The pieces of `rank`, by their places in [`Layout::pieces`].
    pub fn of(&self, rank: usize) -> impl Iterator<Item = usize> + '_ {
        self.pieces.iter().enumerate().filter(move |(_, piece)| piece.owner == rank).map(|(place, _)| place)
    }

    /// Whether `rank` holds the share that `piece` is of.
    pub fn holds(&self, rank: usize, piece: &Piece) -> bool {
        self.weights[piece.weight].shares.len() == 1 || rank % self.group == piece.share
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

    /// Puts weights together from the values `mine` of this rank's pieces, in their order: on every rank what it holds,
    /// or all of them on rank 0, where others get weights without values.
    pub fn collect(&self, ranks: &Ranks, mine: &[Vec<f32>], to: Collect) -> Result<Vec<Vec<f32>>, Error> {
        let (rank, size) = (ranks.rank(), ranks.size());
        let gets = |rank: usize, piece: &Piece| match to {
            Collect::Holders => self.holds(rank, piece),
            Collect::First => rank == 0,
        };
        let empty = |weight: &Weight| match to {
            Collect::Holders => vec![0.0; *weight.shares.get(rank % self.group).unwrap_or(&weight.shares[0])],
            Collect::First if rank == 0 => vec![0.0; weight.shares.iter().sum()],
            Collect::First => Vec::new(),
        };
        let mut weights: Vec<Vec<f32>> = self.weights.iter().map(empty).collect();
        let mut own = mine.iter();
        let begin = |bucket: Range<usize>| {
            let pieces = &self.pieces[bucket];
            let here: Vec<&Piece> = pieces.iter().filter(|piece| piece.owner == rank).collect();
            let data = own.by_ref().take(here.len()).map(Vec::as_slice).collect::<Vec<&[f32]>>().concat();
            let goes = |to: usize| here.first().is_some_and(|piece| gets(to, piece));
            let sends: Vec<Range<usize>> = (0..size).map(|to| 0..if goes(to) { data.len() } else { 0 }).collect();
            let values = |from: usize| {
                let comes = pieces.iter().filter(|piece| piece.owner == from && gets(rank, piece));
                comes.map(|piece| piece.range.len()).sum()
            };
            ranks.begin(data, &sends, &(0..size).map(values).collect::<Vec<usize>>())
        };
        self.exchange(begin, |bucket, came| {
            let mut rest = came.as_slice();
            for piece in self.pieces[bucket].iter().filter(|piece| gets(rank, piece)) {
                let (values, others) = rest.split_at(piece.range.len());
                rest = others;
                let before: usize = match to {
                    Collect::Holders => 0,
                    Collect::First => self.weights[piece.weight].shares[..piece.share].iter().sum(),
                };
                let range = before + piece.range.start..before + piece.range.end;
                weights[piece.weight][range].copy_from_slice(values);
            }
        })?;
        Ok(weights)
    }
}

/// Who gets what [`Layout::collect`] puts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Collect {
    /// Every rank, what it holds.
    Holders,
    /// Rank 0, all.
    First,
}

/// The chunks in groups of at most `values` values, or of one chunk.
fn filled(mut rest: &[Chunk], values: usize) -> Vec<Vec<Chunk>> {
    let mut groups = Vec::new();
    while !rest.is_empty() {
        let mut sum = 0;
        let until = rest.iter().take_while(|(_, range)| {
            sum += range.len();
            sum <= values
        });
        let (group, others) = rest.split_at(until.count().max(1));
        groups.push(group.to_vec());
        rest = others;
    }
    groups
}

/// Shares a bucket's chunks of one share out: `owner(part, of)` owns what lies behind `part` of `of` values. Chunks of
/// one weight and owner make a piece.
fn cut(chunks: &[Chunk], share: usize, owner: impl Fn(usize, usize) -> usize, pieces: &mut Vec<Piece>) {
    let values: usize = chunks.iter().map(|(_, range)| range.len()).sum();
    let (mut before, first) = (0, pieces.len());
    for (weight, range) in chunks {
        let owner = owner(before, values);
        before += range.len();
        match pieces[first..].last_mut() {
            Some(last) if last.weight == *weight && last.owner == owner => last.range.end = range.end,
            _ => pieces.push(Piece { weight: *weight, share, range: range.clone(), owner }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights of which every third, from the second on, is spread over groups of `group` ranks.
    fn layout(ranks: usize, group: usize) -> Layout {
        let sizes = [3, 5 * CHUNK + 7, 0, 1, 3 * BUCKET + 5, CHUNK, 40, 2 * CHUNK + 9];
        let weight = |(i, size): (usize, &usize)| {
            let shares =
                if group > 1 && i % 3 == 1 { (0..group).map(|s| size / (s + 1)).collect() } else { vec![*size] };
            Weight { name: format!("w{i}"), shares }
        };
        Layout::new(sizes.iter().enumerate().map(weight).collect(), ranks, group)
    }

    const SETTINGS: [(usize, usize); 7] = [(1, 1), (2, 1), (3, 1), (7, 1), (2, 2), (4, 2), (6, 3)];

    #[test]
    fn every_value_has_one_owner_that_holds_it_and_pieces_begin_with_chunks() {
        for (ranks, group) in SETTINGS {
            let layout = layout(ranks, group);
            let mut sorted: Vec<&Piece> = layout.pieces.iter().collect();
            sorted.sort_by_key(|piece| (piece.weight, piece.share, piece.range.start));
            let mut ends: Vec<Vec<usize>> = layout.weights.iter().map(|w| vec![0; w.shares.len()]).collect();
            for piece in sorted {
                let end = &mut ends[piece.weight][piece.share];
                assert_eq!((piece.range.start, piece.range.start % CHUNK), (*end, 0));
                *end = piece.range.end;
                assert!(layout.holds(piece.owner, piece), "{ranks} ranks in groups of {group}: {piece:?}");
            }
            assert!(ends.iter().zip(&layout.weights).all(|(ends, weight)| *ends == weight.shares));
            for bucket in &layout.buckets {
                let pieces = &layout.pieces[bucket.clone()];
                assert!(pieces.is_sorted_by_key(|piece| piece.owner));
                assert!(pieces.windows(2).all(|w| w[0].owner != w[1].owner || w[0].share == w[1].share));
            }
            let owned = |rank| layout.of(rank).map(|p| layout.pieces[p].range.len()).sum::<usize>();
            let all: Vec<usize> = (0..ranks).map(owned).collect();
            let (least, most) = (all.iter().min().unwrap(), all.iter().max().unwrap());
            assert!(group > 1 || most - least <= layout.buckets.len() * CHUNK, "{all:?}");
        }
    }

    #[test]
    fn weights_come_together_again() {
        for ((size, group), to) in
            SETTINGS.into_iter().flat_map(|setting| [Collect::Holders, Collect::First].map(|to| (setting, to)))
        {
            std::thread::scope(|scope| {
                for ranks in Ranks::threads(size) {
                    scope.spawn(move || {
                        let layout = layout(size, group);
                        let value = |weight: usize, share: usize, i: usize| (weight * 100 + share * 10 + i % 10) as f32;
                        let of = |place| {
                            let Piece { weight, share, range, .. } = &layout.pieces[place];
                            range.clone().map(|i| value(*weight, *share, i)).collect::<Vec<f32>>()
                        };
                        let mine: Vec<Vec<f32>> = layout.of(ranks.rank()).map(of).collect();
                        let found = layout.collect(&ranks, &mine, to).unwrap();
                        for (w, (found, Weight { shares, .. })) in found.iter().zip(&layout.weights).enumerate() {
                            let held = |share: &usize| match to {
                                Collect::Holders => shares.len() == 1 || *share == ranks.rank() % group,
                                Collect::First => ranks.is_first(),
                            };
                            let shares = (0..shares.len()).filter(held).map(|share| (share, shares[share]));
                            let expected = shares.flat_map(|(share, n)| (0..n).map(move |i| value(w, share, i)));
                            assert_eq!(*found, expected.collect::<Vec<f32>>());
                        }
                    });
                }
            });
        }
    }
}
