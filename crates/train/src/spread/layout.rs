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
    /// The stage of a backward pass with which its gradient is whole.
    pub stage: usize,
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

/// Pieces that travel together.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    /// Their places in [`Layout::pieces`]. Owners rise, and an owner's pieces are all of one share.
    pub pieces: Range<usize>,
    /// The stage of a backward pass with which the gradients of all of them are whole.
    pub stage: usize,
}

/// All weights of a model cut into pieces, and those into buckets; the same on every rank.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// In the order of the model.
    pub weights: Vec<Weight>,
    pub pieces: Vec<Piece>,
    /// In the order in which a backward pass is done with them.
    pub buckets: Vec<Bucket>,
    /// Ranks of a group, over which experts are spread.
    group: usize,
}

/// A chunk of a share: the weight, and values of its share.
type Chunk = (usize, Range<usize>);

impl Layout {
    /// Shares `weights` out among `ranks`, of which each `group` have all experts together.
    pub fn new(weights: Vec<Weight>, ranks: usize, group: usize) -> Self {
        // What all ranks hold, and what is spread.
        let mut filled = in_buckets(&weights, 1);
        if group > 1 {
            filled.extend(in_buckets(&weights, group));
        }
        filled.sort_by_key(|bucket| bucket.stage);
        let (mut pieces, mut buckets): (Vec<Piece>, Vec<Bucket>) = (Vec::new(), Vec::new());
        // Values that each rank owns so far, of what all hold and of what is spread.
        let (mut of_all, mut of_spread) = (vec![0; ranks], vec![0; ranks]);
        for bucket in &filled {
            let (first, shares) = (pieces.len(), bucket.by_share.len());
            let owned = if shares == 1 { &mut of_all } else { &mut of_spread };
            for (share, chunks) in bucket.by_share.iter().enumerate() {
                let owners: Vec<usize> = (share..ranks).step_by(shares).collect();
                cut(chunks, share, &owners, owned, &mut pieces);
            }
            pieces[first..].sort_by_key(|piece| piece.owner);
            buckets.push(Bucket { pieces: first..pieces.len(), stage: bucket.stage });
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
                && let Some((pieces, pending)) = underway.pop_front()
            {
                finish(pieces, Pending::values(pending)?);
            }
            underway.push_back((bucket.pieces.clone(), begin(bucket.pieces.clone())?));
        }
        for (pieces, pending) in underway {
            finish(pieces, pending.values()?);
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

/// What goes into a bucket.
struct Filled {
    /// The chunks of each share, in the order of stages.
    by_share: Vec<Vec<Chunk>>,
    stage: usize,
}

/// The weights of `shares` shares in buckets of about [`BUCKET`] values, in the order of stages. The shares of a weight
/// go side by side, since a backward pass is done with them at the same time.
fn in_buckets(weights: &[Weight], shares: usize) -> Vec<Filled> {
    let mut of_shares: Vec<(usize, &Weight)> = weights.iter().enumerate().collect();
    of_shares.retain(|(_, weight)| weight.shares.len() == shares);
    of_shares.sort_by_key(|(_, weight)| weight.stage);
    let (mut buckets, mut full): (Vec<Filled>, usize) = (Vec::new(), BUCKET);
    for (weight, of) in of_shares {
        for start in (0..of.shares.iter().copied().max().unwrap_or(0)).step_by(CHUNK) {
            let range = |share: usize| start..of.shares[share].min(start + CHUNK);
            let values: usize = (0..shares).map(|share| range(share).len()).sum();
            if full + values > BUCKET {
                buckets.push(Filled { by_share: vec![Vec::new(); shares], stage: 0 });
                full = 0;
            }
            full += values;
            if let Some(bucket) = buckets.last_mut() {
                bucket.stage = of.stage;
                for (share, chunks) in bucket.by_share.iter_mut().enumerate() {
                    if !range(share).is_empty() {
                        chunks.push((weight, range(share)));
                    }
                }
            }
        }
    }
    buckets
}

/// Shares a bucket's chunks of one share out among `owners`, so that what each has `owned` becomes as even as whole
/// chunks let it: who got less of earlier buckets gets more of this one. Chunks of one weight and owner make a piece.
fn cut(chunks: &[Chunk], share: usize, owners: &[usize], owned: &mut [usize], pieces: &mut Vec<Piece>) {
    let values: usize = chunks.iter().map(|(_, range)| range.len()).sum();
    let mut so_far = 0;
    let all = values + owners.iter().map(|owner| owned[*owner]).sum::<usize>();
    // Where the part of each owner ends. One that has more than its due already gets nothing: its end lies before that
    // of the owner in front.
    let ends: Vec<isize> = owners
        .iter()
        .enumerate()
        .map(|(i, owner)| {
            so_far += owned[*owner];
            (all * (i + 1) / owners.len()).cast_signed() - so_far.cast_signed()
        })
        .collect();
    let (mut before, mut next, first) = (0, 0, pieces.len());
    for (weight, range) in chunks {
        let middle = (before + range.len() / 2).cast_signed();
        while middle >= ends[next] && next + 1 < owners.len() {
            next += 1;
        }
        let owner = owners[next];
        owned[owner] += range.len();
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
            Weight { name: format!("w{i}"), stage: 7 - i / 2, shares }
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
                let pieces = &layout.pieces[bucket.pieces.clone()];
                assert!(pieces.is_sorted_by_key(|piece| piece.owner));
                assert!(pieces.windows(2).all(|w| w[0].owner != w[1].owner || w[0].share == w[1].share));
                let stage = pieces.iter().map(|piece| layout.weights[piece.weight].stage).max();
                assert_eq!(stage, Some(bucket.stage));
                let values: usize = pieces.iter().map(|piece| piece.range.len()).sum();
                assert!(values <= BUCKET, "{values} values in one bucket");
            }
            assert!(layout.buckets.is_sorted_by_key(|bucket| bucket.stage), "what is whole first leaves first");
        }
    }

    /// Who owns more sends its weights to more others and waits longer for Adam. Many ranks have fewer chunks in a
    /// bucket than there are ranks, so they take turns.
    #[test]
    fn ranks_that_hold_the_same_own_as_much_as_whole_chunks_let_them() {
        for (ranks, group) in SETTINGS.into_iter().chain([(48, 1), (100, 1), (64, 4)]) {
            let layout = layout(ranks, group);
            for shares in if group > 1 { vec![1, group] } else { vec![1] } {
                let of = |piece: &&Piece| layout.weights[piece.weight].shares.len() == shares;
                let mut owned = vec![0; ranks];
                layout.pieces.iter().filter(of).for_each(|piece| owned[piece.owner] += piece.range.len());
                for share in 0..shares {
                    let same = owned.iter().skip(share).step_by(shares);
                    let uneven = same.clone().max().unwrap() - same.min().unwrap();
                    assert!(uneven <= 2 * CHUNK, "{ranks} ranks in groups of {group}: {owned:?}");
                }
            }
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
