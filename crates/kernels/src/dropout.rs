//! Inverted dropout (Srivastava et al., 2014) with counter-based randomness: the mask is computed again where it is
//! needed instead of being kept, and the same seed gives the same mask on any number of threads. Other devices than the
//! CPU draw masks themselves: from the seed that the device was given, whatever the call's seed and place.

use std::mem::MaybeUninit;

use burn::tensor::{Distribution, Tensor};

use crate::buffer::{Shared, filled};
use crate::flex::{Operand, Values, on_flex, record, tensor};
use crate::mask::Dropout;
use crate::parallel::for_rows;

/// `residual + dropout(x)`: both `[n, d]`; each value of `x` is zeroed with probability `rate`, the rest scaled by
/// `1 / (1 - rate)`. `rate` 0 is a plain sum. `first` is the place of the first row in its batch, of which `x` may be a
/// part: the parts get the masks of the whole.
pub fn add_dropout(residual: Tensor<2>, x: Tensor<2>, rate: f32, seed: u64, first: usize) -> Tensor<2> {
    if !on_flex(&x.device()) {
        return residual + drawn_by_device(x, rate);
    }
    let [n, d] = x.dims();
    let (residual, x) = (Operand::new(residual), Operand::new(x));
    let (rs, xs) = (residual.values(), x.values());
    let y = masked(&xs, Some(&rs), [d, first], rate, seed);
    record([residual, x], tensor(y, [n, d]), move |grad: Values, [residual, x]| {
        let dx = || match rate {
            0.0 => grad.share(),
            _ => tensor(masked(&grad, None, [d, first], rate, seed), [n, d]),
        };
        let dx = x.then(dx);
        [residual.then(|| grad.share()), dx]
    })
}

/// `dropout(x)` for `x` `[n, d]`, whose first row is row `first` of its batch.
pub fn dropout(x: Tensor<2>, rate: f32, seed: u64, first: usize) -> Tensor<2> {
    if rate == 0.0 {
        return x;
    }
    if !on_flex(&x.device()) {
        return drawn_by_device(x, rate);
    }
    let [n, d] = x.dims();
    let x = Operand::new(x);
    let xs = x.values();
    record([x], tensor(masked(&xs, None, [d, first], rate, seed), [n, d]), move |grad: Values, _| {
        [Some(tensor(masked(&grad, None, [d, first], rate, seed), [n, d]))]
    })
}

/// `dropout(x)` with a mask that `x`'s device draws from its own seed.
pub(crate) fn drawn_by_device(x: Tensor<2>, rate: f32) -> Tensor<2> {
    if rate == 0.0 {
        return x;
    }
    let keep = x.random_like(Distribution::Bernoulli(f64::from(1.0 - rate)));
    x * keep / (1.0 - rate)
}

/// `add + mask * x` (or `mask * x`), values in rows of `width`; the mask is that of the rows from `first_row` on.
fn masked(x: &[f32], add: Option<&[f32]>, [width, first_row]: [usize; 2], rate: f32, seed: u64) -> Vec<f32> {
    let dropout = Dropout::new(rate, seed);
    let before = first_row * width;
    let fill = |out: Shared| {
        for_rows(
            x.len() / width.max(1),
            width,
            #[inline(always)]
            |_, first, count| {
                let (start, len) = (first * width, count * width);
                // SAFETY: each piece has rows of its own.
                let out = unsafe { out.room(start, len) };
                let (x, add) = (&x[start..start + len], add.map(|add| &add[start..start + len]));
                match add {
                    Some(add) if rate > 0.0 => each(
                        &dropout,
                        before + start,
                        out,
                        x,
                        #[inline(always)]
                        |i, v| add[i] + v,
                    ),
                    Some(add) => out.iter_mut().zip(x).zip(add).for_each(|((o, v), a)| _ = o.write(a + v)),
                    None => each(
                        &dropout,
                        before + start,
                        out,
                        x,
                        #[inline(always)]
                        |_, v| v,
                    ),
                }
            },
        );
    };
    // SAFETY: every value is written.
    unsafe { filled(x.len(), fill) }
}

/// `out[i] = then(i, factor * x[i])`, with the factors of the places from `start` on.
#[inline(always)]
fn each(dropout: &Dropout, start: usize, out: &mut [MaybeUninit<f32>], x: &[f32], then: impl Fn(usize, f32) -> f32) {
    const TOGETHER: usize = Dropout::TOGETHER;
    // Rows of most widths begin with a block.
    let blocks = if start.is_multiple_of(TOGETHER) { x.len() / TOGETHER } else { 0 };
    for block in 0..blocks {
        let factors = dropout.factors((start / TOGETHER + block) as u32);
        let from = block * TOGETHER;
        let (out, x) = (&mut out[from..from + TOGETHER], &x[from..from + TOGETHER]);
        for i in 0..TOGETHER {
            out[i].write(then(from + i, factors[i] * x[i]));
        }
    }
    for i in blocks * TOGETHER..x.len() {
        out[i].write(then(i, dropout.factor((start + i) as u32) * x[i]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_same, random};

    #[test]
    fn without_rate_it_is_a_sum() {
        for n in [0, 1, 77] {
            let inputs = || (random([n, 19], 1), random([n, 19], 2));
            assert_same(
                || {
                    let (r, x) = inputs();
                    (add_dropout(r.clone(), x.clone(), 0.0, 5, 0), vec![r.into(), x.into()])
                },
                || {
                    let (r, x) = inputs();
                    (r.clone() + x.clone(), vec![r.into(), x.into()])
                },
            );
        }
    }

    #[test]
    fn gradient_takes_the_same_mask() {
        let x = random([50, 31], 1);
        let y = dropout(x.clone(), 0.4, 11, 0);
        let grad = x.grad(&y.clone().sum().backward()).expect("a gradient");
        // y = x * mask and dy/dx = mask.
        let difference = (y.inner() - x.inner() * grad).abs().max().into_scalar::<f32>();
        assert!(difference < 1e-6, "mask of the backward pass differs by {difference}");
    }

    /// Parts of a batch get the masks of the whole, forward and backward, wherever they are cut.
    #[test]
    fn parts_have_the_masks_of_the_whole() {
        for d in [16, 31] {
            let x = random([50, d], 1);
            let whole = |x: Tensor<2>| dropout(x.clone(), 0.4, 11, 0) + add_dropout(x.clone(), x, 0.3, 12, 0);
            let part = |x: Tensor<2>, first: usize, rows: usize| {
                let x = x.narrow(0, first, rows);
                dropout(x.clone(), 0.4, 11, first) + add_dropout(x.clone(), x, 0.3, 12, first)
            };
            assert_same(
                || (Tensor::cat(vec![part(x.clone(), 0, 7), part(x.clone(), 7, 43)], 0), vec![x.clone().into()]),
                || (whole(x.clone()), vec![x.clone().into()]),
            );
        }
    }
}
