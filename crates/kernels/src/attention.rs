//! Multi-head scaled dot-product attention (Vaswani et al., 2017, equation 1) over packed, ragged batches: sentences of
//! different lengths lie one after another, and no work is done for padding.

use std::sync::Arc;

use burn::tensor::{Bool, Distribution, Tensor, TensorData, activation::softmax};
use rayon::prelude::*;
use strata_simd::{dot, simd, softmax as softmax_row};

use crate::buffer::{Shared, filled};
use crate::flex::{Operand, Values, on_flex, record, tensor};
use crate::gemm::{Matrix, Product, Threads, multiply_all};
use crate::mask::Dropout;
use crate::precision::MatmulPrecision;
use crate::rows::index;

/// Where each sentence of a packed batch starts: sentence `i` is rows `offsets[i]..offsets[i + 1]`.
pub type Offsets = Arc<[usize]>;

/// What one call of [`attention`] attends over.
#[derive(Clone, Debug)]
pub struct AttentionShape {
    /// Sentences of the queries.
    pub queries: Offsets,
    /// Sentences of the keys and values, as many as of the queries.
    pub keys: Offsets,
    /// Number of heads; it divides the width.
    pub heads: usize,
    /// Whether query `i` of a sentence sees keys `0..=i` only (queries and keys are then the same sentences).
    pub causal: bool,
    /// Dropout rate of the attention probabilities.
    pub dropout: f32,
    /// Seed of the dropout mask on the CPU; other devices draw it from their own.
    pub seed: u64,
    /// Probabilities of the batch's earlier sentences, where these are a part of a batch: the parts get the masks of
    /// the whole.
    pub first: usize,
}

/// Attention of `q` `[queries, d]` over `k` and `v` `[keys, d]`, sentence by sentence and head by head ->
/// `[queries, d]`.
///
/// # Panics
/// If the offsets do not cover the rows, or heads do not divide the width.
pub fn attention(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, shape: &AttentionShape) -> Tensor<2> {
    let ([nq, d], [nk, _]) = (q.dims(), k.dims());
    assert_eq!(shape.queries.len(), shape.keys.len(), "attention: queries and keys have the same sentences");
    assert_eq!(shape.queries.last(), Some(&nq), "attention: the query offsets cover the queries");
    assert_eq!(shape.keys.last(), Some(&nk), "attention: the key offsets cover the keys");
    assert_eq!(d % shape.heads, 0, "attention: heads divide the width");
    if !on_flex(&q.device()) {
        return composed(q, k, v, shape);
    }
    let (q, k, v) = (Operand::new(q), Operand::new(k), Operand::new(v));
    let (qs, ks, vs) = (q.values(), k.values(), v.values());
    let plan = Plan::new(shape, d);
    // Softmax of the scores, before dropout: one block [queries, keys] for each sentence and head.
    let mut probabilities = vec![0.0f32; plan.size];
    let mut out = vec![0.0f32; nq * d];
    plan.forward(&qs, &ks, &vs, &mut probabilities, &mut out);
    record([q, k, v], tensor(out, [nq, d]), move |grad: Values, _| {
        let [dq, dk, dv] = plan.backward(&qs, &ks, &vs, &probabilities, &grad);
        [Some(tensor(dq, [nq, d])), Some(tensor(dk, [nk, d])), Some(tensor(dv, [nk, d]))]
    })
}

struct Plan {
    shape: AttentionShape,
    /// Width of a row and of a head.
    d: usize,
    dh: usize,
    /// Where each sentence's probabilities start; its heads follow one another.
    starts: Vec<usize>,
    /// Number of probabilities.
    size: usize,
}

/// One sentence and head: query rows, key rows, first column, and where the probabilities lie.
struct Block {
    q: std::ops::Range<usize>,
    k: std::ops::Range<usize>,
    column: usize,
    start: usize,
}

impl Plan {
    fn new(shape: &AttentionShape, d: usize) -> Self {
        let mut starts = Vec::with_capacity(shape.queries.len());
        let mut size = 0;
        for (q, k) in shape.queries.windows(2).zip(shape.keys.windows(2)) {
            starts.push(size);
            size += (q[1] - q[0]) * (k[1] - k[0]) * shape.heads;
        }
        Self { shape: shape.clone(), d, dh: d / shape.heads, starts, size }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.dh as f32).sqrt()
    }

    fn block(&self, sentence: usize, head: usize) -> Block {
        let q = self.shape.queries[sentence]..self.shape.queries[sentence + 1];
        let k = self.shape.keys[sentence]..self.shape.keys[sentence + 1];
        let start = self.starts[sentence] + head * q.len() * k.len();
        Block { q, k, column: head * self.dh, start }
    }

    /// Calls `work` for every sentence and head, on all threads.
    fn for_blocks(&self, work: impl Fn(Block) + Sync) {
        let heads = self.shape.heads;
        (0..self.starts.len() * heads).into_par_iter().for_each(|i| {
            let block = self.block(i / heads, i % heads);
            if !block.q.is_empty() && !block.k.is_empty() {
                work(block);
            }
        });
    }

    /// A head's columns of `rows` as a matrix.
    fn head<'a>(&self, values: &'a [f32], rows: &std::ops::Range<usize>, column: usize) -> Matrix<'a> {
        Matrix::strided(&values[rows.start * self.d + column..], self.d)
    }

    fn forward(&self, q: &[f32], k: &[f32], v: &[f32], probabilities: &mut [f32], out: &mut [f32]) {
        let (probabilities, out) = (Shared::new(probabilities), Shared::new(out));
        let (d, dh) = (self.d, self.dh);
        self.for_blocks(|block| {
            let (tq, tk) = (block.q.len(), block.k.len());
            // SAFETY: every sentence and head has probabilities and output columns of its own.
            let p = unsafe { probabilities.slice(block.start, tq * tk) };
            let (qh, kh) = (self.head(q, &block.q, block.column), self.head(k, &block.k, block.column));
            // SAFETY: as above.
            unsafe { product(Shared::new(p), tk, (tq, tk, dh), qh, kh.transposed(), self.scale()) };
            simd(
                #[inline(always)]
                || {
                    for (i, row) in p.chunks_exact_mut(tk).enumerate() {
                        let seen = if self.shape.causal { (i + 1).min(tk) } else { tk };
                        softmax_row(&mut row[..seen]);
                        row[seen..].fill(0.0);
                    }
                },
            );
            let dropped = self.dropped(p, &block);
            let p = Matrix::rows(dropped.as_deref().unwrap_or(p), tk);
            // SAFETY: as above; the block's columns of its rows are this block's alone.
            unsafe {
                let out = out.from(block.q.start * d + block.column);
                product(out, d, (tq, dh, tk), p, self.head(v, &block.k, block.column), 1.0);
            }
        });
    }

    /// The probabilities after dropout, where there is any.
    fn dropped(&self, p: &[f32], block: &Block) -> Option<Vec<f32>> {
        (self.shape.dropout > 0.0).then(|| {
            let dropout = Dropout::new(self.shape.dropout, self.shape.seed);
            let mut dropped = vec![0.0; p.len()];
            simd(
                #[inline(always)]
                || {
                    for (i, (out, v)) in dropped.iter_mut().zip(p).enumerate() {
                        *out = v * dropout.factor((self.shape.first + block.start + i) as u32);
                    }
                },
            );
            dropped
        })
    }

    fn backward(&self, q: &[f32], k: &[f32], v: &[f32], probabilities: &[f32], grad: &[f32]) -> [Vec<f32>; 3] {
        let (d, dh) = (self.d, self.dh);
        let (mut dq, mut dk, mut dv) = (vec![0.0f32; q.len()], vec![0.0f32; k.len()], vec![0.0f32; v.len()]);
        let outs = [&mut dq, &mut dk, &mut dv].map(|values| Shared::new(values));
        self.for_blocks(|block| {
            let (tq, tk) = (block.q.len(), block.k.len());
            let p = &probabilities[block.start..block.start + tq * tk];
            let dropped = self.dropped(p, &block);
            let after = Matrix::rows(dropped.as_deref().unwrap_or(p), tk);
            let (qh, kh) = (self.head(q, &block.q, block.column), self.head(k, &block.k, block.column));
            let (vh, gh) = (self.head(v, &block.k, block.column), self.head(grad, &block.q, block.column));
            let [q_start, k_start] = [&block.q, &block.k].map(|rows| rows.start * d + block.column);
            let [dq, dk, dv] = [outs[0].from(q_start), outs[1].from(k_start), outs[2].from(k_start)];
            // SAFETY: the block's columns of its rows are this block's alone.
            unsafe { product(dv, d, (tk, dh, tq), after.transposed(), gh, 1.0) };
            let fill = |ds: Shared| {
                // SAFETY: the output is this call's own.
                unsafe { product(ds, tk, (tq, tk, dh), gh, vh.transposed(), 1.0) }
            };
            // SAFETY: a product writes every value of its output.
            let mut ds = unsafe { filled(tq * tk, fill) };
            let dropout = Dropout::new(self.shape.dropout, self.shape.seed);
            simd(
                #[inline(always)]
                || {
                    if self.shape.dropout > 0.0 {
                        for (i, g) in ds.iter_mut().enumerate() {
                            *g *= dropout.factor((self.shape.first + block.start + i) as u32);
                        }
                    }
                    for (g, p) in ds.chunks_exact_mut(tk).zip(p.chunks_exact(tk)) {
                        let along = dot(g, p);
                        for (g, p) in g.iter_mut().zip(p) {
                            *g = p * (*g - along);
                        }
                    }
                },
            );
            let ds = Matrix::rows(&ds, tk);
            // SAFETY: as above.
            unsafe {
                product(dq, d, (tq, dh, tk), ds, kh, self.scale());
                product(dk, d, (tk, dh, tq), ds.transposed(), qh, self.scale());
            }
        });
        [dq, dk, dv]
    }
}

/// `out[m, n] = scale * a[m, k] b[k, n]` on this thread, in f32; rows of `out` start `stride` values apart.
///
/// # Safety
/// As for [`multiply_all`].
unsafe fn product(out: Shared, stride: usize, shape: (usize, usize, usize), a: Matrix, b: Matrix, scale: f32) {
    let product = Product { out_stride: stride, scale, ..Product::new(out, shape, a, b) };
    // SAFETY: the caller's promise.
    unsafe { multiply_all(&[product], MatmulPrecision::F32, Threads::One) }
}

/// The same by padding to the longest sentence, for the devices that want regular shapes.
fn composed(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, shape: &AttentionShape) -> Tensor<2> {
    let [nq, d] = q.dims();
    let device = q.device();
    let sentences = shape.queries.len() - 1;
    let longest = |offsets: &[usize]| offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
    let (tq, tk, heads) = (longest(&shape.queries), longest(&shape.keys), shape.heads);
    if nq == 0 || tk == 0 {
        return q.zeros_like();
    }
    // [sentences * t] row numbers; padding repeats row 0 and is masked or thrown away.
    let padded_rows = |offsets: &[usize], t: usize| -> Vec<u32> {
        let row = |s: usize, i: usize| if offsets[s] + i < offsets[s + 1] { (offsets[s] + i) as u32 } else { 0 };
        (0..sentences).flat_map(|s| (0..t).map(move |i| row(s, i))).collect()
    };
    let split = |x: Tensor<2>, offsets: &[usize], t: usize| -> Tensor<4> {
        let rows = index(&padded_rows(offsets, t), &x);
        x.select(0, rows).reshape([sentences, t, heads, d / heads]).swap_dims(1, 2)
    };
    let (q, k, v) = (split(q, &shape.queries, tq), split(k, &shape.keys, tk), split(v, &shape.keys, tk));
    let hidden: Vec<bool> = (0..sentences)
        .flat_map(|s| (0..tq).flat_map(move |i| (0..tk).map(move |j| (s, i, j))))
        .map(|(s, i, j)| j >= shape.keys[s + 1] - shape.keys[s] || (shape.causal && j > i))
        .collect();
    let hidden = Tensor::<4, Bool>::from_data(TensorData::new(hidden, [sentences, 1, tq, tk]), &device);
    let scores = q.matmul(k.swap_dims(2, 3)) / (d as f32 / heads as f32).sqrt();
    let hidden = hidden.expand([sentences, heads, tq, tk]);
    // A large negative number instead of infinity: rows that see nothing are padding, and stay finite.
    let mut p = softmax(scores.mask_fill(hidden, -1e9), 3);
    if shape.dropout > 0.0 {
        let keep = p.random_like(Distribution::Bernoulli(f64::from(1.0 - shape.dropout)));
        p = p * keep / (1.0 - shape.dropout);
    }
    let y = p.matmul(v).swap_dims(1, 2).reshape([sentences * tq, d]);
    let kept: Vec<u32> = shape
        .queries
        .windows(2)
        .enumerate()
        .flat_map(|(s, w)| (0..w[1] - w[0]).map(move |i| (s * tq + i) as u32))
        .collect();
    let kept = index(&kept, &y);
    y.select(0, kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_same, random};

    fn shape(queries: &[usize], keys: &[usize], causal: bool, dropout: f32) -> AttentionShape {
        AttentionShape { queries: queries.into(), keys: keys.into(), heads: 2, causal, dropout, seed: 3, first: 0 }
    }

    #[test]
    fn equals_its_padded_composition() {
        let cases: [(&[usize], &[usize], bool); 5] = [
            (&[0, 1], &[0, 1], true),
            (&[0, 5, 6, 23], &[0, 5, 6, 23], true),
            (&[0, 5, 6, 23], &[0, 5, 6, 23], false),
            (&[0, 3, 4, 10], &[0, 7, 9, 10], false),
            (&[0, 0, 3], &[0, 2, 4], false),
        ];
        for (queries, keys, causal) in cases {
            let (nq, nk) = (*queries.last().unwrap(), *keys.last().unwrap());
            let inputs = || (random([nq, 10], 1), random([nk, 10], 2), random([nk, 10], 3));
            let shape = shape(queries, keys, causal, 0.0);
            assert_same(
                || {
                    let (q, k, v) = inputs();
                    (attention(q.clone(), k.clone(), v.clone(), &shape), vec![q.into(), k.into(), v.into()])
                },
                || {
                    let (q, k, v) = inputs();
                    (composed(q.clone(), k.clone(), v.clone(), &shape), vec![q.into(), k.into(), v.into()])
                },
            );
        }
    }

    /// With dropout the two draw different masks, so the gradient is checked against finite differences.
    #[test]
    fn gradient_with_dropout_agrees_with_finite_differences() {
        let shape = shape(&[0, 4, 7], &[0, 5, 7], false, 0.3);
        let inputs = [random([7, 4], 1), random([7, 4], 2), random([7, 4], 3)];
        let loss = |x: [Tensor<2>; 3]| {
            let [q, k, v] = x;
            let y = attention(q, k, v, &shape);
            let weights = random(y.dims(), 8).detach();
            (y * weights).sum()
        };
        let grads = loss(inputs.clone()).backward();
        for (which, input) in inputs.iter().enumerate() {
            let grad: Vec<f32> = input.grad(&grads).unwrap().into_data().try_to_vec().unwrap();
            let values: Vec<f32> = input.clone().inner().into_data().try_to_vec().unwrap();
            for i in (0..values.len()).step_by(5) {
                let moved = |by: f32| {
                    let mut moved = values.clone();
                    moved[i] += by;
                    let mut x = inputs.clone();
                    x[which] = Tensor::from_data(TensorData::new(moved, input.dims()), &input.device());
                    loss(x).into_scalar::<f32>()
                };
                let numeric = (moved(1e-2) - moved(-1e-2)) / 2e-2;
                assert!((numeric - grad[i]).abs() < 2e-2, "operand {which} value {i}: {} against {numeric}", grad[i]);
            }
        }
    }
}
