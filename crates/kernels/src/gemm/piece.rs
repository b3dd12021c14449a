//! A piece of a product: some rows and columns of the output, through the whole inner dimension.

use std::ops::Range;

use super::level::Level;
use super::pack::{pack, to_pairs, to_rounded};
use super::tile::{Block, Columns, Tile};
use super::{After, Product};
use crate::products::Products;

/// Most of the inner dimension that a block takes. A panel of `b` then fills a first-level cache of 32 KiB and comes from
/// the second while it is used; with half of it every output is loaded and stored twice as often, which costs more.
const DEPTH: usize = 512;

/// Most rows of a piece, for the cache that strips are read from again and again.
const ROWS: usize = 1024;

/// Panels of `b` that are packed together, so that whole cache lines of its rows are read.
const PANELS: usize = 4;

/// Pieces for each thread that a list of products is cut into, and the least columns of one.
pub(super) const PIECES: usize = 6;
const LEAST_COLUMNS: usize = 32;

/// Rows and columns of the output that are computed together.
pub(super) struct Piece {
    rows: Range<usize>,
    columns: Range<usize>,
}

/// How a product is cut into pieces.
pub(super) struct Cut {
    m: usize,
    n: usize,
    rows: usize,
    columns: usize,
}

impl Cut {
    /// The cut of `product` into at least `wanted` pieces, where it is large enough, that packs the fewest values: each row
    /// of `a` (unless it is read in place) once for all columns of a piece, and each column of `b` once for all rows.
    pub fn new(level: Level, product: &Product, numbers: Products, wanted: usize) -> Self {
        let (m, n, _) = product.shape;
        let (tile_rows, tile_columns) = level.tile();
        let packed_rows = if in_place(product, numbers) { 0 } else { m };
        let least = m.div_ceil(ROWS).max(1);
        let cuts = (least..least + wanted.max(1)).map(|down| {
            let across = wanted.div_ceil(down).min(n.div_ceil(LEAST_COLUMNS)).max(1);
            let rows = m.div_ceil(down).next_multiple_of(tile_rows).max(1);
            let columns = n.div_ceil(across).next_multiple_of(tile_columns).max(1);
            let (down, across) = (m.div_ceil(rows), n.div_ceil(columns));
            let missing = wanted.saturating_sub(down * across);
            ((missing, packed_rows * across + n * down), Self { m, n, rows, columns })
        });
        cuts.min_by_key(|(cost, _)| *cost).expect("at least one cut").1
    }

    pub fn pieces(self) -> impl Iterator<Item = Piece> {
        (0..self.n).step_by(self.columns).flat_map(move |j| {
            (0..self.m)
                .step_by(self.rows)
                .map(move |i| Piece { rows: i..self.m.min(i + self.rows), columns: j..self.n.min(j + self.columns) })
        })
    }
}

/// Whether rows of `a` are read where they are: they lie in one run, and as the numbers that are multiplied.
fn in_place(product: &Product, numbers: Products) -> bool {
    product.a.column_stride == 1 && numbers == Products::F32
}

/// Packed strips of `a` and panels of `b`, kept between products.
#[derive(Default)]
pub(super) struct Packed {
    strips: Vec<f32>,
    panels: Vec<f32>,
}

/// Computes a piece with the columns of `C`, with operands rounded to bfloat16 if `ROUND`.
///
/// # Safety
/// The processor has the instructions of `C`; the product's output is as [`super::multiply_all`] asks.
#[inline(always)]
pub(super) unsafe fn run<C: Columns, const ROUND: bool>(product: &Product, piece: &Piece, packed: &mut Packed) {
    let k = product.shape.2;
    let depth = k.div_ceil(k.div_ceil(DEPTH).max(1)).next_multiple_of(8);
    let rows = piece.rows.len();
    let (high, wide) = (C::ROWS, C::WIDTH);
    let (strip_length, panel_length) = (high * depth, wide * depth);
    let in_place = in_place(product, if ROUND { Products::Bf16 } else { Products::F32 });
    let room = |buffer: &mut Vec<f32>, lines: usize| {
        if buffer.len() < lines * depth {
            buffer.resize(lines * depth, 0.0);
        }
    };
    if !in_place {
        room(&mut packed.strips, rows.next_multiple_of(high));
    }
    room(&mut packed.panels, PANELS * wide);
    let (strips, panels) = (packed.strips.as_mut_ptr(), packed.panels.as_mut_ptr());
    let mut from = 0;
    loop {
        let taken = depth.min(k - from);
        let (first, last) = (from == 0, from + taken == k);
        let block = Block {
            a_stride: product.a.row_stride,
            words: if C::PAIRS { taken.div_ceil(2) } else { taken },
            out_stride: product.out_stride,
            add: product.add || !first,
            scale: product.scale,
            bias: product.bias.filter(|_| last),
            after: if last { product.after } else { After::Nothing },
        };
        // SAFETY: buffers have the sizes given above; the matrices cover the product's shape.
        unsafe {
            if !in_place {
                let start = product.a.at(piece.rows.start, from);
                let strides = (product.a.row_stride, product.a.column_stride);
                pack::<C>(strips, strip_length, high, start, strides, rows, taken);
                convert::<C, ROUND>(strips, strip_length, rows.div_ceil(high), high, taken);
            }
            for column in piece.columns.clone().step_by(PANELS * wide) {
                let columns = (piece.columns.end - column).min(PANELS * wide);
                let start = product.b.at(from, column);
                let strides = (product.b.column_stride, product.b.row_stride);
                pack::<C>(panels, panel_length, wide, start, strides, columns, taken);
                convert::<C, ROUND>(panels, panel_length, columns.div_ceil(wide), wide, taken);
                for panel in 0..columns.div_ceil(wide) {
                    let column = column + panel * wide;
                    for (strip, row) in piece.rows.clone().step_by(high).enumerate() {
                        let a = if in_place { product.a.at(row, from) } else { strips.add(strip * strip_length) };
                        let tile = Tile {
                            block: &block,
                            a,
                            b: panels.add(panel * panel_length),
                            out: product.out.at(row * product.out_stride + column),
                            row,
                            column,
                            columns: (piece.columns.end - column).min(wide),
                        };
                        C::tile((piece.rows.end - row).min(high), in_place, &tile);
                    }
                }
            }
        }
        from += taken;
        if from >= k {
            break;
        }
    }
}

/// Rounds packed values to bfloat16 where asked, as pairs in words where the processor multiplies such.
#[inline(always)]
unsafe fn convert<C: Columns, const ROUND: bool>(
    packed: *mut f32,
    length: usize,
    count: usize,
    width: usize,
    depth: usize,
) {
    for i in 0..count {
        // SAFETY: the caller packed `count` panels of `depth` lines of `width` values, `length` apart.
        unsafe {
            let panel = packed.add(i * length);
            if C::PAIRS {
                to_pairs(panel, width, depth);
            } else if ROUND {
                to_rounded(panel, width * depth);
            }
        }
    }
}
