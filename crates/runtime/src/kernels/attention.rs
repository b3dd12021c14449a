//! Multi-head attention: one query over rows that lie anywhere (decoding), and all tokens of a sentence over one
//! another (encoding).

use strata_simd::{Level, dot, exp, simd, softmax};

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

/// Attends with `query` `[d]` over the rows at `places`, writing `out` `[d]`. `scores` is scratch, left holding the
/// probabilities `[places, heads]`. Scores are scaled by `1 / sqrt(d / heads)`. Without places `out` is zero.
///
/// # Panics
/// For places outside of the rows, and `heads` that do not divide `d`.
pub fn attend(
    query: &[f32],
    over: KeysValues<'_>,
    places: impl ExactSizeIterator<Item = usize> + Clone,
    heads: usize,
    scores: &mut Vec<f32>,
    out: &mut [f32],
) {
    let d = query.len();
    assert!(d.is_multiple_of(heads) && out.len() == d, "{heads} heads of {d} values");
    let width = d / heads;
    let scale = 1.0 / (width as f32).sqrt();
    scores.clear();
    scores.reserve(places.len() * heads);
    simd(
        #[inline(always)]
        || {
            // Row by row, all heads of a row together, so that each row is read in one piece.
            for place in places.clone() {
                let key = &over.rows[place * over.width + over.keys..][..d];
                for (q, k) in query.chunks_exact(width).zip(key.chunks_exact(width)) {
                    scores.push(dot(q, k) * scale);
                }
            }
            softmax_columns(scores, heads);
            out.fill(0.0);
            for (place, scores) in places.zip(scores.chunks_exact(heads)) {
                let value = &over.rows[place * over.width + over.keys + d..][..d];
                for ((out, v), p) in out.chunks_exact_mut(width).zip(value.chunks_exact(width)).zip(scores) {
                    out.iter_mut().zip(v).for_each(|(out, v)| *out += p * v);
                }
            }
        },
    );
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
            let places = [4usize, 0, 8, 3, 3];
            let (mut scores, mut out) = (Vec::new(), vec![f32::NAN; d]);
            attend(&query, over, places.iter().copied(), heads, &mut scores, &mut out);
            let at = |from: usize| places.map(|p| &rows[p * (2 * d + 3) + from..][..d]);
            let exact = reference(&query, &at(2), &at(2 + d), heads);
            assert!(out.iter().zip(&exact).all(|(a, b)| (f64::from(*a) - b).abs() < 2e-6), "{heads} x {width}");
            for head in 0..heads {
                let total: f32 = scores.iter().skip(head).step_by(heads).sum();
                assert!((total - 1.0).abs() < 1e-6);
            }
        }
        let (mut scores, mut out) = (Vec::new(), [1.0; 4]);
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
