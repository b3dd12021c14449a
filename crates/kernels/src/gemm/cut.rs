//! How a product is cut into pieces of its output.

use std::ops::Range;

use super::product::Product;
use crate::precision::MatmulPrecision;

/// Most rows of a piece, for the cache that strips are read from again and again.
const ROWS: usize = 1024;

/// Pieces for each thread that a list of products is cut into.
const PIECES: usize = 8;

/// Fewest columns of a piece.
const LEAST_COLUMNS: usize = 32;

/// The cost in multiply-adds of packing a value, measured.
const PACKING: usize = 24;

/// The cost in multiply-adds of reading a value in place, measured.
const READING: usize = 4;

/// What is lost at the end of a list, where threads wait for the last one, as a share of a piece.
const WAITING: f64 = 0.25;

/// Rows and columns of the output that are computed together.
pub(super) struct Piece {
    pub rows: Range<usize>,
    pub columns: Range<usize>,
}

/// How a product is cut into pieces.
pub(super) struct Cut {
    m: usize,
    n: usize,
    rows: usize,
    columns: usize,
}

impl Cut {
    /// The cut of `product` that should be done first, for a product that is `share` (at most 1) of the work of
    /// `threads` threads. `tile` is the rows and columns of a tile. Each row of `a` (unless it is read in place) is
    /// packed once for all columns of a piece, each column of `b` once for all its rows.
    pub fn new(
        tile: (usize, usize),
        product: &Product,
        precision: MatmulPrecision,
        threads: usize,
        share: f64,
    ) -> Self {
        let (m, n, _) = product.shape;
        let rows_cost = if product.in_place(precision) { READING } else { PACKING };
        let least = m.div_ceil(ROWS).max(1);
        let most = if threads > 1 { ((PIECES * threads) as f64 * share).ceil() as usize } else { 1 }.max(least);
        let cuts = (least..=most)
            .flat_map(|down| (1..=n.div_ceil(LEAST_COLUMNS).clamp(1, most / down)).map(move |across| (down, across)));
        let cost = |cut: &Self| {
            let (down, across) = (m.div_ceil(cut.rows), n.div_ceil(cut.columns));
            let all = m * n + rows_cost * m * across + PACKING * n * down;
            let piece = cut.rows * cut.columns + rows_cost * cut.rows + PACKING * cut.columns;
            // Other products fill the time in which a thread has no piece of this one.
            let longest = if share < 1.0 { 0 } else { (down * across).div_ceil(threads) * piece };
            all.div_ceil(threads).max(longest) as f64 + WAITING * share * piece as f64
        };
        let cuts = cuts.map(|(down, across)| Self {
            m,
            n,
            rows: m.div_ceil(down).next_multiple_of(tile.0).max(1),
            columns: n.div_ceil(across).next_multiple_of(tile.1).max(1),
        });
        cuts.min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("at least one cut")
    }

    /// The pieces, which together cover the output once.
    pub fn pieces(self) -> impl Iterator<Item = Piece> {
        (0..self.n).step_by(self.columns).flat_map(move |j| {
            (0..self.m)
                .step_by(self.rows)
                .map(move |i| Piece { rows: i..self.m.min(i + self.rows), columns: j..self.n.min(j + self.columns) })
        })
    }
}
