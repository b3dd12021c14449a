//! Layer normalization over the last dimension (Ba et al., 2016).

use burn::tensor::Tensor;
use strata_simd::{dot, sum};

use crate::buffer::{Shared, filled};
use crate::flex::{Operand, Values, on_flex, record, tensor};
use crate::parallel::{add_up, for_rows, pieces};

/// `(x - mean) / sqrt(variance + epsilon) * gamma + beta` for every row: `x` `[n, d]`, `gamma` and `beta` `[d]`.
pub fn layer_norm(x: Tensor<2>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f32) -> Tensor<2> {
    if !on_flex(&x.device()) {
        return composed(x, gamma, beta, epsilon);
    }
    let [n, d] = x.dims();
    let (x, gamma, beta) = (Operand::new(x), Operand::new(gamma), Operand::new(beta));
    let (xs, gs, bs) = (x.values(), gamma.values(), beta.values());
    // Mean and reciprocal standard deviation of each row, kept for the backward pass.
    let mut statistics = vec![(0.0f32, 0.0f32); n];
    let fill = |out: Shared| {
        // Opened once: a tensor's slice is looked up at every use.
        let (xs, gs, bs): (&[f32], &[f32], &[f32]) = (&xs, &gs, &bs);
        let stats = Shared::new(&mut statistics);
        for_rows(
            n,
            d,
            #[inline(always)]
            |_, first, count| {
                for r in first..first + count {
                    let row = &xs[r * d..(r + 1) * d];
                    let mean = sum([row], |[v]| v) / d as f32;
                    let variance = sum([row], |[v]| (v - mean) * (v - mean)) / d as f32;
                    let rstd = 1.0 / (variance + epsilon).sqrt();
                    // SAFETY: each piece has rows of its own.
                    let (out, stat) = unsafe { (out.room(r * d, d), stats.slice(r, 1)) };
                    stat[0] = (mean, rstd);
                    for (((o, v), g), b) in out.iter_mut().zip(row).zip(gs).zip(bs) {
                        o.write((v - mean) * rstd * g + b);
                    }
                }
            },
        );
    };
    // SAFETY: every row is written.
    let y = unsafe { filled(n * d, fill) };
    record([x, gamma, beta], tensor(y, [n, d]), move |grad: Values, _| {
        let count = pieces(n, d);
        let (mut dgamma, mut dbeta) = (vec![0.0; count * d], vec![0.0; count * d]);
        let (shared_gamma, shared_beta) = (Shared::new(&mut dgamma), Shared::new(&mut dbeta));
        let fill = |out: Shared| {
            let (xs, gs, grad): (&[f32], &[f32], &[f32]) = (&xs, &gs, &grad);
            for_rows(
                n,
                d,
                #[inline(always)]
                |piece, first, count| {
                    // SAFETY: each piece has a row of partial sums and rows of the output of its own.
                    let (dgamma, dbeta) =
                        unsafe { (shared_gamma.slice(piece * d, d), shared_beta.slice(piece * d, d)) };
                    for r in first..first + count {
                        let (mean, rstd) = statistics[r];
                        let (row, g) = (&xs[r * d..(r + 1) * d], &grad[r * d..(r + 1) * d]);
                        let mean_g = dot(g, gs) / d as f32;
                        let mean_gx = sum([g, gs, row], |[g, gamma, v]| g * gamma * (v - mean) * rstd) / d as f32;
                        // SAFETY: as above.
                        let dx = unsafe { out.room(r * d, d) };
                        for i in 0..d {
                            let normed = (row[i] - mean) * rstd;
                            dx[i].write(rstd * (g[i] * gs[i] - mean_g - normed * mean_gx));
                            dgamma[i] += g[i] * normed;
                            dbeta[i] += g[i];
                        }
                    }
                },
            );
        };
        // SAFETY: every row is written.
        let dx = unsafe { filled(n * d, fill) };
        [Some(tensor(dx, [n, d])), Some(tensor(add_up(&dgamma, d), [d])), Some(tensor(add_up(&dbeta, d), [d]))]
    })
}

fn composed(x: Tensor<2>, gamma: Tensor<1>, beta: Tensor<1>, epsilon: f32) -> Tensor<2> {
    let centered = x.clone() - x.mean_dim(1);
    let variance = centered.clone().square().mean_dim(1);
    centered / (variance + epsilon).sqrt() * gamma.unsqueeze() + beta.unsqueeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_same, random};

    #[test]
    fn equals_its_composition_over_odd_shapes() {
        for [n, d] in [[0, 4], [1, 2], [5, 17], [300, 130]] {
            let inputs = || (random([n, d], 1), random([d], 2), random([d], 3));
            assert_same(
                || {
                    let (x, g, b) = inputs();
                    (layer_norm(x.clone(), g.clone(), b.clone(), 1e-5), vec![x.into(), g.into(), b.into()])
                },
                || {
                    let (x, g, b) = inputs();
                    (composed(x.clone(), g.clone(), b.clone(), 1e-5), vec![x.into(), g.into(), b.into()])
                },
            );
        }
    }
}
