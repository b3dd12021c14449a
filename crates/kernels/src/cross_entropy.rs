//! Label-smoothed cross-entropy (Szegedy et al., 2016) over a tied vocabulary: the logits are never stored whole, and
//! the gradient is made in the same pass.

use burn::tensor::{Int, Tensor, TensorData, activation::log_softmax};
use strata_simd::{exponentials, max_and_sum};

use crate::buffer::{Room, Shared};
use crate::flex::{Operand, Values, on_flex, record, tensor};
use crate::gemm::{Matrix, Product, Threads, multiply, multiply_all};
use crate::parallel::for_rows;
use crate::precision::MatmulPrecision;
use crate::rows::Rows;

/// What [`cross_entropy`] gives.
pub struct CrossEntropy {
    /// Smoothed loss summed over the tokens, times the scale; `[1]`, differentiable.
    pub loss: Tensor<1>,
    /// Negative log-likelihood summed over the tokens in nats, without smoothing or scale.
    pub nll: f64,
}

/// Logits kept at a time, in values: large enough for efficient products, small beside the activations.
const CHUNK_VALUES: usize = 8 * 1024 * 1024;

/// Cross-entropy of `softmax(x W^T)` against targets that put `1 - smoothing` on the right subword and share
/// `smoothing` evenly among the others: `x` `[tokens, d]`, `weight` `[vocabulary, d]`, `targets` one for each token.
///
/// `scale` multiplies the loss (and so its gradient): pass one over the number of target tokens of the whole update.
///
/// # Panics
/// If the targets are not one for each row, or not below the vocabulary's size.
pub fn cross_entropy(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: Rows,
    smoothing: f32,
    scale: f32,
    precision: MatmulPrecision,
) -> CrossEntropy {
    let ([n, d], [vocabulary, _]) = (x.dims(), weight.dims());
    assert_eq!(targets.len(), n, "cross_entropy: one target for each row");
    assert!(targets.iter().all(|t| (*t as usize) < vocabulary), "cross_entropy: a target is not below {vocabulary}");
    if !on_flex(&x.device()) {
        return composed(x, weight, &targets, smoothing, scale, precision);
    }
    let (x, weight) = (Operand::new(x), Operand::new(weight));
    let chunk = (CHUNK_VALUES / vocabulary.max(1)).max(1);
    let pass = Pass { n, d, vocabulary, smoothing, scale, precision, chunk };
    let wanted = x.tracked() || weight.tracked();
    let result = pass.run(&x.values(), &weight.values(), &targets, wanted);
    let loss = tensor(vec![result.loss as f32], [1]);
    let loss = record([x, weight], loss, move |grad: Values, _| {
        let times = |mut values: Vec<f32>, shape: [usize; 2]| {
            if grad[0] != 1.0 {
                values.iter_mut().for_each(|v| *v *= grad[0]);
            }
            Some(tensor(values, shape))
        };
        [times(result.dx, [n, d]), times(result.dweight, [vocabulary, d])]
    });
    CrossEntropy { loss, nll: result.nll }
}

struct Pass {
    n: usize,
    d: usize,
    vocabulary: usize,
    smoothing: f32,
    scale: f32,
    precision: MatmulPrecision,
    /// Rows whose logits are kept at a time.
    chunk: usize,
}

struct PassResult {
    loss: f64,
    nll: f64,
    dx: Vec<f32>,
    dweight: Vec<f32>,
}

impl Pass {
    fn run(&self, x: &[f32], weight: &[f32], targets: &[u32], gradient: bool) -> PassResult {
        let (n, d, v) = (self.n, self.d, self.vocabulary);
        let others = self.smoothing / (v as f32 - 1.0).max(1.0);
        let right = 1.0 - self.smoothing;
        // The first rows write the weight's gradient, the others add to it.
        let room = |count: usize| Room::new(if gradient { count } else { 0 });
        let (mut dx, mut dweight) = (room(n * d), room(v * d));
        let (mut losses, mut nlls) = (vec![0.0f32; n], vec![0.0f32; n]);
        for start in (0..n).step_by(self.chunk) {
            let m = self.chunk.min(n - start);
            let rows = &x[start * d..(start + m) * d];
            let w = Matrix::rows(weight, d);
            let mut logits = multiply((m, v, d), Matrix::rows(rows, d), w.transposed(), self.precision);
            let logits_out = Shared::new(&mut logits);
            let (losses_out, nlls_out) = (Shared::new(&mut losses), Shared::new(&mut nlls));
            for_rows(
                m,
                v,
                #[inline(always)]
                |_, first, count| {
                    for r in first..first + count {
                        // SAFETY: each piece has rows of its own.
                        let (row, loss, nll) = unsafe {
                            (logits_out.slice(r * v, v), losses_out.slice(start + r, 1), nlls_out.slice(start + r, 1))
                        };
                        let target = targets[start + r] as usize;
                        let at_target = row[target];
                        let (largest, all) = max_and_sum(row);
                        let total = exponentials(row, largest);
                        let lse = largest + total.ln();
                        nll[0] = lse - at_target;
                        let nll_of_all = lse * v as f32 - all;
                        loss[0] = (right - others) * nll[0] + others * nll_of_all;
                        if gradient {
                            let (times, less) = (self.scale / total, others * self.scale);
                            for value in row.iter_mut() {
                                *value = *value * times - less;
                            }
                            row[target] += (others - right) * self.scale;
                        }
                    }
                },
            );
            if gradient {
                let g = Matrix::rows(&logits, v);
                let (dx, dweight) = (dx.shared(), dweight.shared());
                // SAFETY: these rows of dx are written here and nowhere else; dweight is this pass's own, and
                // initialized once there were rows.
                unsafe {
                    let dx = Product::new(dx.from(start * d), (m, d, v), g, w);
                    let dweight = Product::new(dweight, (v, d, m), g.transposed(), Matrix::rows(rows, d));
                    let dweight = if start > 0 { dweight.added() } else { dweight };
                    multiply_all(&[dx, dweight], self.precision, Threads::All);
                }
            }
        }
        let (dx, dweight) = if gradient && n == 0 {
            (Vec::new(), vec![0.0; v * d])
        } else {
            // SAFETY: the products have written all rows of both, which have none without a gradient.
            unsafe { (dx.filled(), dweight.filled()) }
        };
        let total = |values: &[f32]| values.iter().map(|v| f64::from(*v)).sum::<f64>();
        PassResult { loss: total(&losses) * f64::from(self.scale), nll: total(&nlls), dx, dweight }
    }
}

fn composed(
    x: Tensor<2>,
    weight: Tensor<2>,
    targets: &[u32],
    smoothing: f32,
    scale: f32,
    precision: MatmulPrecision,
) -> CrossEntropy {
    let (n, vocabulary) = (targets.len(), weight.dims()[0]);
    if n == 0 {
        return CrossEntropy { loss: x.sum() * 0.0, nll: 0.0 };
    }
    let others = smoothing / (vocabulary as f32 - 1.0).max(1.0);
    let log_p = log_softmax(precision.matmul(x, weight.transpose()), 1);
    let targets: Vec<i32> = targets.iter().map(|t| *t as i32).collect();
    let targets = Tensor::<2, Int>::from_data(TensorData::new(targets, [n, 1]), &log_p.device());
    let nll = -log_p.clone().gather(1, targets).sum();
    let of_all = -log_p.sum();
    let loss = (nll.clone() * (1.0 - smoothing - others) + of_all * others) * scale;
    CrossEntropy { loss, nll: f64::from(nll.into_scalar::<f32>()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_same, random};

    #[test]
    fn equals_its_composition() {
        for (n, v) in [(1, 2), (7, 33), (64, 131)] {
            let targets: Rows = (0..n).map(|i| (i * 7 % v) as u32).collect();
            let inputs = || (random([n, 12], 1), random([v, 12], 2));
            for smoothing in [0.0, 0.1] {
                let nll = |f: fn(Tensor<2>, Tensor<2>, &Rows, f32) -> CrossEntropy| {
                    let (x, w) = inputs();
                    f(x, w, &targets, smoothing).nll
                };
                let ours = nll(|x, w, t, s| cross_entropy(x, w, t.clone(), s, 0.5, MatmulPrecision::F32));
                let reference = nll(|x, w, t, s| composed(x, w, t, s, 0.5, MatmulPrecision::F32));
                assert!((ours - reference).abs() < 1e-4 * reference, "{ours} against {reference}");
                assert_same(
                    || {
                        let (x, w) = inputs();
                        let loss =
                            cross_entropy(x.clone(), w.clone(), targets.clone(), smoothing, 0.5, MatmulPrecision::F32)
                                .loss;
                        (loss, vec![x.into(), w.into()])
                    },
                    || {
                        let (x, w) = inputs();
                        (
                            composed(x.clone(), w.clone(), &targets, smoothing, 0.5, MatmulPrecision::F32).loss,
                            vec![x.into(), w.into()],
                        )
                    },
                );
            }
        }
    }

    #[test]
    fn chunks_give_what_all_rows_together_give() {
        let (n, d, vocabulary) = (7, 12, 33);
        let values = |shape, seed| -> Vec<f32> { random(shape, seed).inner().into_data().try_to_vec().expect("f32") };
        let (x, weight) = (values([n, d], 1), values([vocabulary, d], 2));
        let targets: Vec<u32> = (0..n as u32).map(|i| i * 5 % 33).collect();
        let run = |chunk| {
            let pass = Pass { n, d, vocabulary, smoothing: 0.1, scale: 0.5, precision: MatmulPrecision::F32, chunk };
            let result = pass.run(&x, &weight, &targets, true);
            [vec![result.loss as f32, result.nll as f32], result.dx, result.dweight].concat()
        };
        let whole = run(n);
        for chunk in [1, 3] {
            let worst = run(chunk).iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
            assert!(worst < 1e-5, "chunks of {chunk} rows are off by {worst}");
        }
    }

    #[test]
    fn no_tokens_cost_nothing() {
        let result =
            cross_entropy(random([0, 4], 1), random([5, 4], 2), Vec::new().into(), 0.1, 1.0, MatmulPrecision::F32);
        assert_eq!((result.loss.into_scalar::<f32>(), result.nll), (0.0, 0.0));
    }
}
