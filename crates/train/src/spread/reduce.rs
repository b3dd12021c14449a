//! The gradients of an update, each piece summed by its owner.

use std::collections::HashMap;
use std::ops::Range;

use strata_kernels::{SQUARES_TOGETHER, partial_squares};
use strata_ranks::{Error, Ranks};

use super::layout::{Layout, Piece};
use crate::optimizer::GradientSum;

/// Sums of the gradients of this rank's pieces, by their places in the layout. A piece is missing while no batch has
/// reached its weight.
#[derive(Default)]
pub(crate) struct SharedGradients {
    pub(super) sums: HashMap<usize, Vec<f32>>,
}

impl SharedGradients {
    /// Adds every rank's `gradients`, in the order of the ranks.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn add(&mut self, ranks: &Ranks, layout: &Layout, gradients: GradientSum) -> Result<(), Error> {
        let ranks = ranks.counting("gradients");
        let (rank, size) = (ranks.rank(), ranks.size());
        let mut mine = gradients.into_values();
        let mine: Vec<Option<Vec<f32>>> = layout.weights.iter().map(|weight| mine.remove(&weight.name)).collect();
        let present = ranks.gather(&mine.iter().map(|values| u32::from(values.is_some())).collect::<Vec<u32>>())?;
        let has = |from: usize, place: usize| {
            let piece = &layout.pieces[place];
            layout.holds(from, piece) && present[from][piece.weight] != 0
        };
        let of = |bucket: Range<usize>, owner: usize| bucket.filter(move |place| layout.pieces[*place].owner == owner);
        let begin = |bucket: Range<usize>| {
            let mut data = Vec::new();
            let mut sends = Vec::with_capacity(size);
            for to in 0..size {
                let start = data.len();
                let pieces = of(bucket.clone(), to).map(|place| &layout.pieces[place]);
                for piece in pieces.filter(|piece| layout.holds(rank, piece)) {
                    data.extend_from_slice(mine[piece.weight].as_ref().map_or(&[][..], |v| &v[piece.range.clone()]));
                }
                sends.push(start..data.len());
            }
            let values = |from: usize| {
                let there = of(bucket.clone(), rank).filter(|place| has(from, *place));
                there.map(|place| layout.pieces[place].range.len()).sum()
            };
            ranks.begin(data, &sends, &(0..size).map(values).collect::<Vec<usize>>())
        };
        layout.exchange(begin, |bucket, came| {
            let mut rest = came.as_slice();
            for from in 0..size {
                for place in of(bucket.clone(), rank).filter(|place| has(from, *place)) {
                    let (values, others) = rest.split_at(layout.pieces[place].range.len());
                    rest = others;
                    match self.sums.get_mut(&place) {
                        Some(sum) => sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value),
                        None => drop(self.sums.insert(place, values.to_vec())),
                    }
                }
            }
        })
    }

    /// The Euclidean norm of all ranks' sums together, bit for bit that of [`GradientSum::norm`] on the CPU as long as
    /// experts are not spread.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn norm(&self, ranks: &Ranks, layout: &Layout) -> Result<f64, Error> {
        let size = ranks.size();
        let squares = |place: usize| match self.sums.get(&place) {
            Some(values) => partial_squares(values),
            None => vec![0.0; layout.pieces[place].range.len().div_ceil(SQUARES_TOGETHER)],
        };
        let mine: Vec<f32> = layout.of(ranks.rank()).flat_map(squares).collect();
        let count = |place: usize| layout.pieces[place].range.len().div_ceil(SQUARES_TOGETHER);
        let counts: Vec<usize> = (0..size).map(|rank| layout.of(rank).map(count).sum()).collect();
        let sends = vec![0..mine.len(); size];
        let all = ranks.begin(mine, &sends, &counts)?.values()?;
        let mut next: Vec<usize> = counts.iter().scan(0, |end, n| Some(std::mem::replace(end, *end + n))).collect();
        let mut squares: Vec<(&Piece, &[f32])> = Vec::with_capacity(layout.pieces.len());
        for (place, piece) in layout.pieces.iter().enumerate() {
            let from = next[piece.owner];
            next[piece.owner] += count(place);
            squares.push((piece, &all[from..next[piece.owner]]));
        }
        squares.sort_by_key(|(piece, _)| (piece.weight, piece.share, piece.range.start));
        let mut by_weight: Vec<f64> = vec![0.0; layout.weights.len()];
        for (piece, squares) in squares {
            squares.iter().for_each(|v| by_weight[piece.weight] += f64::from(*v));
        }
        let mut names: Vec<usize> = (0..by_weight.len()).collect();
        names.sort_unstable_by_key(|w| &layout.weights[*w].name);
        Ok(names.into_iter().map(|w| by_weight[w]).sum::<f64>().sqrt())
    }
}
