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

/// How a piece is computed: where its operands lie, and how far apart.
#[derive(Clone, Copy)]
struct Layout {
    /// Words of the inner dimension that a block takes.
    depth: usize,
    /// Whether rows of `a` are read where they are.
    in_place: bool,
    /// Whether rows of `a` hold pairs side by side, which need rounding but no strips.
    rounded: bool,
    /// Values from one rounded row to the next, from one strip to the next, and from one panel to the next.
    row_length: usize,
    strip_length: usize,
    panel_length: usize,
}

impl Layout {
    #[inline(always)]
    fn new<C: Columns, const ROUND: bool>(product: &Product) -> Self {
        let k = product.shape.2;
        let values = if C::PAIRS { 2 } else { 1 };
        let depth = k.div_ceil(k.div_ceil(DEPTH * values).max(1)).next_multiple_of(8 * values);
        let length = |lines: usize| lines * depth / values + PADDING;
        Self {
            depth,
            in_place: product.in_place(if ROUND { MatmulPrecision::Bf16 } else { MatmulPrecision::F32 }),
            rounded: C::PAIRS && product.a.column_stride == 1,
            row_length: length(1),
            strip_length: length(C::ROWS),
            panel_length: length(C::WIDTH),
        }
    }

    /// Makes room for the packed operands of a piece of `rows` rows.
    fn make_room<C: Columns>(&self, packed: &mut Packed, rows: usize) {
        let room = |buffer: &mut Vec<f32>, room: usize| {
            if buffer.len() < room {
                buffer.resize(room, 0.0);
            }
        };
        if self.rounded {
            room(&mut packed.rows, rows * self.row_length);
        } else if !self.in_place {
            room(&mut packed.rows, rows.div_ceil(C::ROWS) * self.strip_length);
        }
        room(&mut packed.panels, PANELS * self.panel_length);
    }
}

/// Computes a piece with the columns of `C`, with operands rounded to bfloat16 if `ROUND`.
///
/// # Safety
/// The processor has the instructions of `C`; the product's output is as [`super::multiply_all`] asks.
#[inline(always)]
pub(super) unsafe fn run<C: Columns, const ROUND: bool>(product: &Product, piece: &Piece, packed: &mut Packed) {
    let k = product.shape.2;
    let layout = Layout::new::<C, ROUND>(product);
    layout.make_room::<C>(packed, piece.rows.len());
    let (packed_rows, panels) = (packed.rows.as_mut_ptr(), packed.panels.as_mut_ptr());
    let mut from = 0;
    loop {
        let taken = layout.depth.min(k - from);
        let (first, last) = (from == 0, from + taken == k);
        let block = Block {
            a_stride: if layout.rounded { layout.row_length } else { product.a.row_stride },
            words: if C::PAIRS { taken.div_ceil(2) } else { taken },
            out_stride: product.out_stride,
            add: product.add || !first,
            scale: product.scale,
            bias: product.bias.filter(|_| last),
            after: if last { product.after } else { After::Nothing },
        };
        // SAFETY: buffers have the room that `layout` made; the matrices cover the product's shape.
        unsafe {
            pack_rows::<C, ROUND>(product, piece, &layout, packed_rows, from, taken);
            for column in piece.columns.clone().step_by(PANELS * C::WIDTH) {
                let columns = (piece.columns.end - column).min(PANELS * C::WIDTH);
                let start = product.b.at(from, column);
                let strides = (product.b.column_stride, product.b.row_stride);
                pack::<C>(panels, layout.panel_length, C::WIDTH, start, strides, columns, taken);
                round::<C, ROUND>(panels, layout.panel_length, columns.div_ceil(C::WIDTH), C::WIDTH, taken);
                let place = Place { from, column, columns };
                multiply_panels::<C>(product, piece, &layout, &block, (packed_rows, panels), place);
            }
        }
        from += taken;
        if from >= k {
            break;
        }
    }
}

/// Packs or rounds the words `from..from + taken` of a piece's rows, where they are not read in place.
///
/// # Safety
/// As for [`run`]; `packed_rows` has the room that `layout` makes.
#[inline(always)]
unsafe fn pack_rows<C: Columns, const ROUND: bool>(
    product: &Product,
    piece: &Piece,
    layout: &Layout,
    packed_rows: *mut f32,
    from: usize,
    taken: usize,
) {
    let (rows, high) = (piece.rows.len(), C::ROWS);
    let start = product.a.at(piece.rows.start, from);
    // SAFETY: the caller's promise.
    unsafe {
        if layout.rounded {
            round_rows::<C>(packed_rows, layout.row_length, start, product.a.row_stride, rows, taken);
        } else if !layout.in_place {
            let strides = (product.a.row_stride, product.a.column_stride);
            pack::<C>(packed_rows, layout.strip_length, high, start, strides, rows, taken);
            round::<C, ROUND>(packed_rows, layout.strip_length, rows.div_ceil(high), high, taken);
        }
    }
}

/// The panels that are multiplied together: their first word of the inner dimension, and their columns.
#[derive(Clone, Copy)]
struct Place {
    from: usize,
    column: usize,
    columns: usize,
}

/// Multiplies a block of all rows of a piece with packed panels, tile by tile.
///
/// # Safety
/// As for [`run`]; rows and panels are packed as `layout` says.
#[inline(always)]
unsafe fn multiply_panels<C: Columns>(
    product: &Product,
    piece: &Piece,
    layout: &Layout,
    block: &Block,
    (packed_rows, panels): (*mut f32, *mut f32),
    place: Place,
) {
    let (high, wide) = (C::ROWS, C::WIDTH);
    let Layout { in_place, rounded, row_length, strip_length, panel_length, .. } = *layout;
    for first in piece.rows.clone().step_by(NEAR) {
        let last = piece.rows.end.min(first + NEAR);
        for panel in 0..place.columns.div_ceil(wide) {
            let column = place.column + panel * wide;
            for row in (first..last).step_by(high) {
                let packed_row = row - piece.rows.start;
                // SAFETY: the caller's promise.
                unsafe {
                    let a = if in_place {
                        product.a.at(row, place.from)
                    } else if rounded {
                        packed_rows.add(packed_row * row_length).cast_const()
                    } else {
                        packed_rows.add(packed_row / high * strip_length).cast_const()
                    };
                    let tile = Tile {
                        block,
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
