//! Loops over rows on all threads, in pieces whose bounds do not depend on the number of threads, so that sums over
//! pieces give the same bits on one thread and on many.

use rayon::prelude::*;
use strata_simd::simd;

/// Values one piece of work should touch at least, so that a thread has enough to do.
const PIECE_VALUES: usize = 16 * 1024;

/// Rows per piece for rows of `width` values.
pub(crate) const fn rows_per_piece(width: usize) -> usize {
    match PIECE_VALUES / if width == 0 { 1 } else { width } {
        0 => 1,
        rows => rows,
    }
}

/// Number of pieces that `rows` rows of `width` values make.
pub(crate) fn pieces(rows: usize, width: usize) -> usize {
    rows.div_ceil(rows_per_piece(width))
}

/// Calls `work(piece, first_row, rows_in_piece)` for every piece, on all threads, with the instructions of the level.
///
/// `work` must be an `#[inline(always)]` closure: another is compiled once, for any processor.
pub(crate) fn for_rows(rows: usize, width: usize, work: impl Fn(usize, usize, usize) + Sync) {
    let per = rows_per_piece(width);
    let run = |piece: usize| {
        let first = piece * per;
        simd(
            #[inline(always)]
            || work(piece, first, per.min(rows - first)),
        )
    };
    match pieces(rows, width) {
        0 => {}
        1 => run(0),
        n => (0..n).into_par_iter().for_each(run),
    }
}

/// Column sums of `partial`, which holds one row of `width` sums for each piece, added up in piece order.
pub(crate) fn add_up(partial: &[f32], width: usize) -> Vec<f32> {
    let mut total = vec![0.0; width];
    for row in partial.chunks_exact(width) {
        for (t, v) in total.iter_mut().zip(row) {
            *t += v;
        }
    }
    total
}
