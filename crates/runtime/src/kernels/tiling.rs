//! How a piece of a product is cut into tiles, and which weights they prefetch.

use std::ops::Range;

/// Bytes of panels that are multiplied with all rows before the next ones come; they should stay in a core's cache.
const CACHED: usize = 192 << 10;

/// The place of a tile in its run of panels, which decides the weights that it prefetches.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Panels of the run.
    run: usize,
    /// Which tile of the run it is.
    tile: usize,
    /// Tiles of the run.
    tiles: usize,
}

/// The weights that a tile prefetches in step `i` of its loop: those `distance + i * step` bytes behind its first ones.
pub(super) struct Prefetch {
    pub distance: usize,
    pub step: usize,
}

impl Place {
    /// For a panel of `steps` lines of `line` bytes, of which this is pass `share` of `shares`.
    ///
    /// Where all rows are one tile, weights are read once and in one direction, but faster than the processor itself
    /// looks ahead, and it stops at the end of each page. With several tiles the first of a run would wait for its
    /// weights at the memory's speed while the others leave the memory alone; so each prefetches an equal share of the
    /// next run, as even in time as can be.
    #[inline(always)]
    pub fn prefetch(self, line: usize, steps: usize, shares: usize, share: usize) -> Prefetch {
        const SOON: usize = 4096;
        if self.tiles == 1 {
            return Prefetch { distance: SOON, step: line };
        }
        let step = line.div_ceil(self.tiles * shares);
        Prefetch { distance: self.run * steps * line + (self.tile * shares + share) * steps * step, step }
    }
}

/// Calls `strip(first_row, rows, panels, place)` for tiles of 1 to `max_rows` rows and runs of panels that fit the
/// cache, rows in tiles as equal as can be.
#[inline(always)]
pub(super) fn tile(
    rows: Range<usize>,
    panels: Range<usize>,
    max_rows: usize,
    panel_bytes: usize,
    strip: impl Fn(usize, usize, Range<usize>, Place),
) {
    let tiles = rows.len().div_ceil(max_rows);
    let run = if tiles == 1 { panels.len() } else { (CACHED / panel_bytes.max(1)).clamp(1, 12) };
    let mut first = panels.start;
    while first < panels.end {
        let end = panels.end.min(first + run);
        for t in 0..tiles {
            let (start, stop) = (rows.len() * t / tiles, rows.len() * (t + 1) / tiles);
            strip(rows.start + start, stop - start, first..end, Place { run, tile: t, tiles });
        }
        first = end;
    }
}

/// Runs `work` without special instructions; `unsafe` like its counterparts, for the macros that make tiles.
///
/// # Safety
/// None is asked for.
#[inline(always)]
pub(super) unsafe fn plainly<R>(work: impl FnOnce() -> R) -> R {
    work()
}
