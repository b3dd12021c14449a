//! Work over rows on several threads. How rows are cut never changes a row's bits: each is computed by itself.

/// Least operations that pay for a second thread.
const GRAIN: usize = 1 << 15;

/// Calls `work(first_row, rows)` for pieces of `out` `[rows, width]`, on up to `threads` threads. A row takes about
/// `cost` operations.
pub(crate) fn over_rows<T: Send>(
    out: &mut [T],
    width: usize,
    threads: usize,
    cost: usize,
    work: impl Fn(usize, &mut [T]) + Send + Sync,
) {
    let rows = out.len().checked_div(width).unwrap_or(0);
    if threads < 2 || rows < 2 || rows * cost < GRAIN {
        return work(0, out);
    }
    let piece = rows.div_ceil(threads);
    rayon::scope(|scope| {
        let work = &work;
        for (i, rows) in out.chunks_mut(piece * width).enumerate() {
            scope.spawn(move |_| work(i * piece, rows));
        }
    });
}

/// The first `len` elements of a buffer that only grows, so that steps of changing size do not allocate.
pub(crate) fn room<T: Clone + Default>(buffer: &mut Vec<T>, len: usize) -> &mut [T] {
    if buffer.len() < len {
        buffer.resize(len, T::default());
    }
    &mut buffer[..len]
}
