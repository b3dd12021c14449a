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

/// Rows that are held against all packed panels before the next ones are, for the second-level cache: a multiple of every tile's rows.
const NEAR: usize = 48;

/// Panels of `b` that are packed together, so that whole cache lines of its rows are read.
const PANELS: usize = 8;

/// Values between one packed strip or panel and the next, so that they do not begin a power of two apart, which caches take ill.
const APART: usize = 16;

/// Most pieces for each thread that a list of products is cut into, and the least columns of one.
const PIECES: usize = 8;
const LEAST_COLUMNS: usize = 32;

/// What it costs to pack a value and to read one in place, in multiply-adds, found by trying.
const PACKING: usize = 24;
const READING: usize = 4;

/// What is lost at the end of a list, where threads wait for one that was kept from its work, as a share of a piece.
const WAITING: f64 = 0.25;

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
    /// The cut of `product`, which is `share` (at most 1) of a list that `threads` threads compute, that is expected to be done
    /// first. Each row of `a` (unless it is read in place) is packed once for all columns of a piece, each column of `b` once
    /// for all its rows.
    pub fn new(level: Level, product: &Product, numbers: Products, threads: usize, share: f64) -> Self {
        let (m, n, _) = product.shape;
        let (tile_rows, tile_columns) = level.tile();
        let rows_cost = if in_place(product, numbers) { READING } else { PACKING };
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
            rows: m.div_ceil(down).next_multiple_of(tile_rows).max(1),
            columns: n.div_ceil(across).next_multiple_of(tile_columns).max(1),
        });
        cuts.min_by(|a, b| cost(a).total_cmp(&cost(b))).expect("at least one cut")
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
    let (strip_length, panel_length) = (high * depth + APART, wide * depth + APART);
    let in_place = in_place(product, if ROUND { Products::Bf16 } else { Products::F32 });
    let room = |buffer: &mut Vec<f32>, lines: usize| {
        let room = lines * depth + lines.div_ceil(high) * APART;
        if buffer.len() < room {
            buffer.resize(room, 0.0);
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
                for first in piece.rows.clone().step_by(NEAR) {
                    let last = piece.rows.end.min(first + NEAR);
                    for panel in 0..columns.div_ceil(wide) {
                        let column = column + panel * wide;
                        for row in (first..last).step_by(high) {
                            let strip = (row - piece.rows.start) / high;
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
                            C::tile((last - row).min(high), in_place, &tile);
                        }
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
