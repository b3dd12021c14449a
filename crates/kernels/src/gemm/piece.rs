//! A piece of a product: some rows and columns of the output, through the whole inner dimension.

use super::cut::Piece;
use super::pack::{pack, round_rows, to_rounded};
use super::product::{After, Product};
use super::tile::{Block, Columns, Tile, multiply_tile};
use crate::precision::MatmulPrecision;

/// Most words of the inner dimension that a block takes. A panel of `b` then fills a first-level cache of 32 KiB and
/// comes from the second while it is used; half as much would load and store every output twice as often, which costs
/// more.
const DEPTH: usize = 512;

/// Rows that are held against all packed panels before the next ones are, for the second-level cache: a multiple of
/// every tile's rows.
const NEAR: usize = 48;

/// Panels of `b` that are packed together, so that whole cache lines of its rows are read.
const PANELS: usize = 8;

/// Padding in values between packed strips or panels: power-of-two strides collide in the same cache sets.
const PADDING: usize = 16;

/// Packed strips or rounded rows of `a` and panels of `b`, kept between products.
#[derive(Default)]
pub(super) struct Packed {
    rows: Vec<f32>,
    panels: Vec<f32>,
}

/// Computes a piece with the columns of `C`, with operands rounded to bfloat16 if `ROUND`.
///
/// # Safety
/// The processor has the instructions of `C`; the product's output is as [`super::multiply_all`] asks.
#[inline(always)]
pub(super) unsafe fn run<C: Columns, const ROUND: bool>(product: &Product, piece: &Piece, packed: &mut Packed) {
    let k = product.shape.2;
    let values = if C::PAIRS { 2 } else { 1 };
    let depth = k.div_ceil(k.div_ceil(DEPTH * values).max(1)).next_multiple_of(8 * values);
    let rows = piece.rows.len();
    let (high, wide) = (C::ROWS, C::WIDTH);
    let [row_length, strip_length, panel_length] = [1, high, wide].map(|lines| lines * depth / values + PADDING);
    let in_place = product.in_place(if ROUND { MatmulPrecision::Bf16 } else { MatmulPrecision::F32 });
    // Rows that hold pairs side by side need rounding but no strips.
    let rounded = C::PAIRS && product.a.column_stride == 1;
    let room = |buffer: &mut Vec<f32>, room: usize| {
        if buffer.len() < room {
            buffer.resize(room, 0.0);
        }
    };
    if rounded {
        room(&mut packed.rows, rows * row_length);
    } else if !in_place {
        room(&mut packed.rows, rows.div_ceil(high) * strip_length);
    }
    room(&mut packed.panels, PANELS * panel_length);
    let (packed_rows, panels) = (packed.rows.as_mut_ptr(), packed.panels.as_mut_ptr());
    let mut from = 0;
    loop {
        let taken = depth.min(k - from);
        let (first, last) = (from == 0, from + taken == k);
        let block = Block {
            a_stride: if rounded { row_length } else { product.a.row_stride },
            words: if C::PAIRS { taken.div_ceil(2) } else { taken },
            out_stride: product.out_stride,
            add: product.add || !first,
            scale: product.scale,
            bias: product.bias.filter(|_| last),
            after: if last { product.after } else { After::Nothing },
        };
        // SAFETY: buffers have the sizes given above; the matrices cover the product's shape.
        unsafe {
            let start = product.a.at(piece.rows.start, from);
            if rounded {
                round_rows::<C>(packed_rows, row_length, start, product.a.row_stride, rows, taken);
            } else if !in_place {
                let strides = (product.a.row_stride, product.a.column_stride);
                pack::<C>(packed_rows, strip_length, high, start, strides, rows, taken);
                round::<C, ROUND>(packed_rows, strip_length, rows.div_ceil(high), high, taken);
            }
            for column in piece.columns.clone().step_by(PANELS * wide) {
                let columns = (piece.columns.end - column).min(PANELS * wide);
                let start = product.b.at(from, column);
                let strides = (product.b.column_stride, product.b.row_stride);
                pack::<C>(panels, panel_length, wide, start, strides, columns, taken);
                round::<C, ROUND>(panels, panel_length, columns.div_ceil(wide), wide, taken);
                for first in piece.rows.clone().step_by(NEAR) {
                    let last = piece.rows.end.min(first + NEAR);
                    for panel in 0..columns.div_ceil(wide) {
                        let column = column + panel * wide;
                        for row in (first..last).step_by(high) {
                            let packed_row = row - piece.rows.start;
                            let a = if in_place {
                                product.a.at(row, from)
                            } else if rounded {
                                packed_rows.add(packed_row * row_length).cast_const()
                            } else {
                                packed_rows.add(packed_row / high * strip_length).cast_const()
                            };
                            let tile = Tile {
                                block: &block,
                                a,
                                b: panels.add(panel * panel_length),
                                out: product.out.as_mut_ptr().add(row * product.out_stride + column),
                                row,
                                column,
                                columns: (piece.columns.end - column).min(wide),
                            };
                            multiply_tile::<C>((last - row).min(high), in_place || rounded, &tile);
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

/// Rounds packed values to bfloat16 where that is asked and packing did not.
///
/// # Safety
/// The processor has the instructions of `C`, and `packed` holds as many values as said.
#[inline(always)]
unsafe fn round<C: Columns, const ROUND: bool>(
    packed: *mut f32,
    length: usize,
    count: usize,
    width: usize,
    depth: usize,
) {
    if ROUND && !C::PAIRS {
        for i in 0..count {
            // SAFETY: the caller packed `count` panels of `depth` lines of `width` values, `length` apart.
            unsafe { to_rounded(packed.add(i * length), width * depth) };
        }
    }
}
