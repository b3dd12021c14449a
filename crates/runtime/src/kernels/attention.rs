//! Multi-head attention: one query over rows that lie anywhere (decoding), and all tokens of a sentence over one
//! another (encoding).

use strata_simd::{FloatWork, Floats, LANES, Level, exp, simd, simd_floats, softmax};

use super::drive::{self, Job};
use super::float_tiles::F32Lines;
use crate::product::{PANEL, ProductOptions, pack_f32};
use crate::storage::Storage;

/// Rows that hold a key and a value each.
#[derive(Clone, Copy, Debug)]
pub struct KeysValues<'a> {
    /// The rows, one after another.
    pub rows: &'a [f32],
    /// Length of a row.
    pub width: usize,
    /// Where the key starts in a row; the value follows it.
    pub keys: usize,
}

impl<'a> KeysValues<'a> {
    /// `len` values in the row of each of the next `N` places, from `first` on.
    #[inline(always)]
    fn next<const N: usize>(
        self,
        places: &mut impl Iterator<Item = usize>,
        first: usize,
        len: usize,
    ) -> [&'a [f32]; N] {
        let mut found = [&self.rows[..0]; N];
        for found in &mut found {
            let row = places.next().unwrap_or_default() * self.width;
            *found = &self.rows[row + first..][..len];
        }
        found
    }
}

/// Buffers of [`attend`]; they only grow.
#[derive(Default, Debug)]
pub struct Scores {
    /// After a call, the probabilities `[places, heads]`.
    pub probabilities: Vec<f32>,
    /// Partial sums of scores `[TOGETHER, heads, LANES]`.
    lanes: Vec<f32>,
}

/// Rows that are read side by side: what they are multiplied with is loaded once for all, and while one waits for the
/// memory the others are on their way.
const TOGETHER: usize = 4;

/// Attends with `query` `[d]` over the rows at `places`, writing `out` `[d]` and the probabilities in `scores`. Scores
/// are scaled by `1 / sqrt(d / heads)`. Without places `out` is zero.
///
/// A score is summed as by [`strata_simd::dot`], an output in the order of places.
///
/// # Panics
/// For places outside of the rows, and `heads` that do not divide `d`.
pub fn attend(
    query: &[f32],
    over: KeysValues<'_>,
    places: impl ExactSizeIterator<Item = usize> + Clone,
    heads: usize,
    scores: &mut Scores,
    out: &mut [f32],
) {
    let d = query.len();
    assert!(d.is_multiple_of(heads) && out.len() == d, "{heads} heads of {d} values");
    simd_floats(Attend { query, over, places, width: d / heads, heads, scores, out });
}

/// The arguments of [`attend`].
struct Attend<'a, P> {
    query: &'a [f32],
    over: KeysValues<'a>,
    places: P,
    /// Values of a head.
    width: usize,
    heads: usize,
    scores: &'a mut Scores,
    out: &'a mut [f32],
}

impl<P: ExactSizeIterator<Item = usize> + Clone> FloatWork for Attend<'_, P> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<F: Floats>(mut self) {
        let (heads, count) = (self.heads, self.places.len());
        let Scores { probabilities, lanes } = &mut *self.scores;
        // Sums are taken in whole registers.
        let padded = |rows: usize| rows.next_multiple_of(F::LANES);
        probabilities.clear();
        probabilities.resize(padded(count * heads) + padded(TOGETHER * heads), 0.0);
        lanes.resize(padded(TOGETHER * heads) * LANES, 0.0);
        let mut places = self.places.clone();
        let mut done = 0;
        // SAFETY: the caller's promise.
        unsafe {
            while done + TOGETHER <= count {
                self.score::<F, TOGETHER>(&mut places, done);
                done += TOGETHER;
            }
            while done < count {
                self.score::<F, 1>(&mut places, done);
                done += 1;
            }
        }
        let probabilities = &mut self.scores.probabilities;
        probabilities.truncate(count * heads);
        let scale = 1.0 / (self.width as f32).sqrt();
        probabilities.iter_mut().for_each(|score| *score *= scale);
        softmax_columns(probabilities, heads);
        self.out.fill(0.0);
        let (mut places, mut done) = (self.places.clone(), 0);
        // SAFETY: the caller's promise.
        unsafe {
            while done + TOGETHER <= count {
                self.add_values::<F, TOGETHER>(&mut places, done);
                done += TOGETHER;
            }
            while done < count {
                self.add_values::<F, 1>(&mut places, done);
                done += 1;
            }
        }
    }
}

impl<P: Iterator<Item = usize>> Attend<'_, P> {
    /// Puts the scores of the next `N` places, the first of which is the `done`-th, into the probabilities, unscaled.
    ///
    /// # Safety
    /// The processor has the instructions of `F`.
    #[inline(always)]
    unsafe fn score<F: Floats, const N: usize>(&mut self, places: &mut P, done: usize) {
        let (width, heads) = (self.width, self.heads);
        let keys = self.over.next::<N>(places, self.over.keys, self.query.len());
        let query = self.query;
        let whole = width / LANES * LANES;
        let Scores { probabilities, lanes } = &mut *self.scores;
        let scores = &mut probabilities[done * heads..];
        assert!(lanes.len() >= N * heads * LANES && heads * width <= query.len(), "room for the lanes");
        // SAFETY: a head's values lie in the query and in each key; the lanes and scores have room for whole registers.
        unsafe {
            for head in 0..heads {
                let first = head * width;
                for lane in (0..LANES).step_by(F::LANES) {
                    let mut sums = [F::zero(); N];
                    for i in (first + lane..first + whole).step_by(LANES) {
                        let q = F::load(query.as_ptr().add(i));
                        for n in 0..N {
                            sums[n] = sums[n].add(q.mul(F::load(keys[n].as_ptr().add(i))));
                        }
                    }
                    for n in 0..N {
                        sums[n].store(lanes.as_mut_ptr().add((n * heads + head) * LANES + lane));
                    }
                }
            }
            let count = (N * heads).next_multiple_of(F::LANES);
            assert!(scores.len() >= count && lanes.len() >= count * LANES, "room for whole registers");
            for i in (0..count).step_by(F::LANES) {
                F::sum_rows(lanes.as_ptr().add(i * LANES)).store(scores.as_mut_ptr().add(i));
            }
        }
        if whole < width {
            for (scores, key) in scores.chunks_exact_mut(heads).zip(keys) {
                let heads = query.chunks_exact(width).zip(key.chunks_exact(width));
                for (score, (q, k)) in scores.iter_mut().zip(heads) {
                    *score = q[whole..].iter().zip(&k[whole..]).fold(*score, |sum, (q, k)| sum + q * k);
                }
            }
        }
    }

    /// Adds the values of the next `N` places, the first of which is the `done`-th, with their probabilities to the
    /// output.
    ///
    /// # Safety
    /// The processor has the instructions of `F`.
    #[inline(always)]
    unsafe fn add_values<F: Floats, const N: usize>(&mut self, places: &mut P, done: usize) {
        let (width, heads) = (self.width, self.heads);
        let values = self.over.next::<N>(places, self.over.keys + self.query.len(), self.query.len());
        let probabilities = &self.scores.probabilities[done * heads..];
        let whole = width / F::LANES * F::LANES;
        assert!(probabilities.len() >= N * heads && heads * width <= self.out.len(), "a probability for each head");
        for head in 0..heads {
            let p: [f32; N] = std::array::from_fn(
                #[inline(always)]
                |n| probabilities[n * heads + head],
            );
            let first = head * width;
            // SAFETY: a head's values lie in the output and in each value.
            unsafe {
                let splat = p.map(
                    #[inline(always)]
                    |p| F::splat(p),
                );
                for i in (first..first + whole).step_by(F::LANES) {
                    let out = self.out.as_mut_ptr().add(i);
                    let mut sum = F::load(out);
                    for n in 0..N {
                        sum = sum.add(splat[n].mul(F::load(values[n].as_ptr().add(i))));
                    }
                    sum.store(out);
                }
            }
            for i in first + whole..first + width {
                self.out[i] = (0..N).fold(self.out[i], |sum, n| sum + p[n] * values[n][i]);
            }
        }
    }
}

/// Softmax of each column of `scores` `[rows, columns]`; sums run down the columns in order.
#[inline(always)]
fn softmax_columns(scores: &mut [f32], columns: usize) {
    /// Columns that are kept in registers together.
    const TOGETHER: usize = 8;
    let mut first = 0;
    while first < columns {
        let n = (columns - first).min(TOGETHER);
        let mut top = [f32::NEG_INFINITY; TOGETHER];
        let mut total = [0.0; TOGETHER];
        for row in scores.chunks_exact(columns) {
            for (top, v) in top.iter_mut().zip(&row[first..first + n]) {
                *top = if *v > *top { *v } else { *top };
            }
        }
        for row in scores.chunks_exact_mut(columns) {
            for ((v, top), total) in row[first..first + n].iter_mut().zip(&top).zip(&mut total) {
                *v = exp(*v - top);
                *total += *v;
            }
        }
        let scale = total.map(|t| 1.0 / t);
        for row in scores.chunks_exact_mut(columns) {
            row[first..first + n].iter_mut().zip(&scale).for_each(|(v, s)| *v *= s);
        }
        first += n;
    }
}

/// Buffers of [`attend_all`]; they only grow.
#[derive(Default, Debug)]
pub struct AttentionScratch {
    /// Keys of one head as panels `[panels of tokens, d / heads, PANEL]`.
    keys: Storage<f32>,
    /// Values of one head as panels `[panels of the head's width, tokens, PANEL]`.
    values: Storage<f32>,
    /// Queries of one head `[tokens, d / heads]`.
    queries: Vec<f32>,
    /// `[tokens, tokens]`
    scores: Vec<f32>,
    zeros: Storage<f32>,
}

/// Attention of all tokens of a sentence over one another, without a mask: `projections` `[tokens, 3d]` holds a query,
/// a key and a value for each token; `out` is `[tokens, d]`. Runs on the calling thread.
///
/// Scores are scaled by `1 / sqrt(d / heads)`. Each score is one sum over the head's width in order, and each output
/// one sum over the tokens in order.
///
/// # Panics
/// For slices of other sizes, and `heads` that do not divide `d`.
pub fn attend_all(projections: &[f32], d: usize, heads: usize, scratch: &mut AttentionScratch, out: &mut [f32]) {
    let tokens = out.len().checked_div(d).unwrap_or(0);
    assert!(d.is_multiple_of(heads) && out.len() == tokens * d, "{heads} heads of {d} values");
    assert_eq!(projections.len(), tokens * 3 * d, "projections of {tokens} tokens");
    if tokens == 0 {
        return;
    }
    let width = d / heads;
    let scale = 1.0 / (width as f32).sqrt();
    let (token_panels, width_panels) = (tokens.div_ceil(PANEL), width.div_ceil(PANEL));
    let AttentionScratch { keys, values, queries, scores, zeros } = scratch;
    // What lies behind the last token and the head's width is multiplied too, but never read.
    let keys = keys.resize(token_panels * width * PANEL);
    let values = values.resize(width_panels * tokens * PANEL);
    zeros.resize(tokens.max(width).next_multiple_of(PANEL)).fill(0.0);
    queries.resize(queries.len().max(tokens * width), 0.0);
    scores.resize(scores.len().max(tokens * tokens), 0.0);
    let (queries, scores) = (&mut queries[..tokens * width], &mut scores[..tokens * tokens]);
    for head in 0..heads {
        pack_f32(&projections[d + head * width..], 3 * d, tokens, width, keys);
        for (token, row) in projections.chunks_exact(3 * d).enumerate() {
            let query = &row[head * width..][..width];
            queries[token * width..][..width].iter_mut().zip(query).for_each(|(q, v)| *q = v * scale);
            for (panel, value) in row[2 * d + head * width..][..width].chunks(PANEL).enumerate() {
                values[(panel * tokens + token) * PANEL..][..value.len()].copy_from_slice(value);
            }
        }
        let options = ProductOptions { threads: 1, ..ProductOptions::default() };
        let bias = &zeros[..token_panels * PANEL];
        let job = Job { rows: tokens, inputs: width, outputs: tokens, bias, options };
        drive::floats::<F32Lines>(Level::current(), job, queries, keys, scores);
        simd(
            #[inline(always)]
            || {
                for row in scores.chunks_exact_mut(tokens) {
                    softmax(row);
                }
            },
        );
        let options = ProductOptions { out_stride: Some(d), ..options };
        let bias = &zeros[..width_panels * PANEL];
        let job = Job { rows: tokens, inputs: tokens, outputs: width, bias, options };
        drive::floats::<F32Lines>(Level::current(), job, scores, values, &mut out[head * width..]);
    }
}

#[cfg(test)]
mod tests {
    use strata_simd::testing::values;

    use super::*;

    /// Attention of one query in f64.
    fn reference(query: &[f32], keys: &[&[f32]], values: &[&[f32]], heads: usize) -> Vec<f64> {
        let width = query.len() / heads;
        let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let mut out = vec![0.0; query.len()];
        for head in 0..heads {
            let of_head = head * width..(head + 1) * width;
            let score =
                |k: &&[f32]| (product(&query[of_head.clone()], &k[of_head.clone()]) / (width as f64).sqrt()).exp();
            let weights: Vec<f64> = keys.iter().map(score).collect();
            for i in of_head {
                let sum: f64 = weights.iter().zip(values).map(|(w, v)| w * f64::from(v[i])).sum();
                out[i] = sum / weights.iter().sum::<f64>();
            }
        }
        out
    }

    #[test]
    fn one_query_over_scattered_rows_agrees_with_f64() {
        for (heads, width) in [(1, 1), (2, 8), (4, 20), (10, 7), (8, 64)] {
            let d = heads * width;
            let (rows, query) = (values(9 * (2 * d + 3), 3), values(d, 4));
            let over = KeysValues { rows: &rows, width: 2 * d + 3, keys: 2 };
            let places = [4usize, 0, 8, 3, 3, 1, 7];
            let (mut scores, mut out) = (Scores::default(), vec![f32::NAN; d]);
            attend(&query, over, places.iter().copied(), heads, &mut scores, &mut out);
            let at = |from: usize| places.map(|p| &rows[p * (2 * d + 3) + from..][..d]);
            let exact = reference(&query, &at(2), &at(2 + d), heads);
            assert!(out.iter().zip(&exact).all(|(a, b)| (f64::from(*a) - b).abs() < 2e-6), "{heads} x {width}");
            for head in 0..heads {
                let total: f32 = scores.probabilities.iter().skip(head).step_by(heads).sum();
                assert!((total - 1.0).abs() < 1e-6);
            }
        }
        let (mut scores, mut out) = (Scores::default(), [1.0; 4]);
        attend(&[1.0; 4], KeysValues { rows: &[], width: 8, keys: 0 }, 0..0, 2, &mut scores, &mut out);
        assert_eq!(out, [0.0; 4]);
    }

    #[test]
    fn all_tokens_over_one_another_agree_with_f64() {
        let mut scratch = AttentionScratch::default();
        for (tokens, heads, width) in [(40, 2, 24), (1, 1, 1), (3, 2, 5), (17, 4, 16), (33, 1, 64), (0, 2, 4)] {
            let d = heads * width;
            let projections = values(tokens * 3 * d, 6);
            let mut out = vec![f32::NAN; tokens * d];
            attend_all(&projections, d, heads, &mut scratch, &mut out);
            let part = |i: usize| projections.chunks(3 * d).map(|r| &r[i * d..(i + 1) * d]).collect::<Vec<_>>();
            for (t, out) in out.chunks(d).enumerate() {
                let exact = reference(part(0)[t], &part(1), &part(2), heads);
                assert!(out.iter().zip(&exact).all(|(a, b)| (f64::from(*a) - b).abs() < 2e-6), "{tokens} x {heads}");
            }
        }
    }
}
