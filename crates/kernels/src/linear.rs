//! `y = activation(x W^T + b)`, the affine map with its bias and ReLU in one pass over the output.

use burn::tensor::{Tensor, activation::relu};

use crate::buffer::{Room, Shared, filled};
use crate::flex::{Operand, Values, on_flex, record, tensor};
use crate::gemm::{After, Matrix, Product, Threads, multiply_all, multiply_then};
use crate::parallel::{add_up, for_rows, pieces};
use crate::precision::MatmulPrecision;

/// What follows the affine map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(0, y)`.
    Relu,
}

/// `activation(x W^T + b)`: `x` `[n, inputs]`, `weight` `[outputs, inputs]`, `bias` `[outputs]` -> `[n, outputs]`.
pub fn linear(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
    precision: MatmulPrecision,
) -> Tensor<2> {
    if !on_flex(&x.device()) {
        return composed(x, weight, bias, activation, precision);
    }
    let ([n, inputs], [outputs, _]) = (x.dims(), weight.dims());
    let (x, weight, bias) = (Operand::new(x), Operand::new(weight), bias.map(Operand::new));
    let (xs, ws) = (x.values(), weight.values());
    let bias_values = bias.as_ref().map(Operand::values);
    let after = match activation {
        Activation::None => After::Nothing,
        Activation::Relu => After::Relu,
    };
    let (x_rows, w_columns) = (Matrix::rows(&xs, inputs), Matrix::rows(&ws, inputs).transposed());
    let y = multiply_then((n, outputs, inputs), x_rows, w_columns, bias_values.as_deref(), after, precision);
    let out = tensor(y, [n, outputs]);
    let relu_output = (activation == Activation::Relu).then(|| out.clone());
    let backward = move |grad: Values, wanted: [bool; 3]| {
        let (masked, sums) = relu_output.map(|y| relu_gradient(&grad, y.storage::<f32>(), outputs)).unzip();
        let grad: &[f32] = masked.as_deref().unwrap_or(&grad);
        let db = wanted[2].then(|| tensor(sums.unwrap_or_else(|| column_sums(grad, outputs)), [outputs]));
        let [dx_size, dw_size] =
            [(0, n * inputs), (1, outputs * inputs)].map(|(i, size)| if wanted[i] { size } else { 0 });
        let (mut dx, mut dw) = (Room::new(dx_size), Room::new(dw_size));
        let rows = Matrix::rows(grad, outputs);
        let for_dx = Product::new(dx.shared(), (n, inputs, outputs), rows, Matrix::rows(&ws, inputs));
        let for_dw = (outputs, inputs, n);
        let for_dw = Product::new(dw.shared(), for_dw, rows.transposed(), Matrix::rows(&xs, inputs));
        let list: Vec<_> =
            [for_dx, for_dw].into_iter().zip(wanted).filter_map(|(p, wanted)| wanted.then_some(p)).collect();
        // SAFETY: each product writes all of its room; what is not wanted has none.
        let (dx, dw) = unsafe {
            multiply_all(&list, precision, Threads::All);
            (dx.filled(), dw.filled())
        };
        let dx = wanted[0].then(|| tensor(dx, [n, inputs]));
        let dw = wanted[1].then(|| tensor(dw, [outputs, inputs]));
        [dx, dw, db]
    };
    match bias {
        Some(bias) => record([x, weight, bias], out, backward),
        None => record([x, weight], out, move |grad, [x, w]| {
            let [dx, dw, _] = backward(grad, [x, w, false]);
            [dx, dw]
        }),
    }
}

fn composed(
    x: Tensor<2>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
    precision: MatmulPrecision,
) -> Tensor<2> {
    let y = precision.matmul(x, weight.transpose());
    let y = match bias {
        Some(bias) => y + bias.unsqueeze(),
        None => y,
    };
    match activation {
        Activation::None => y,
        Activation::Relu => relu(y),
    }
}

/// The gradient before a ReLU, `grad` where the output is positive, else zero; and the sums of its columns.
fn relu_gradient(grad: &[f32], output: &[f32], width: usize) -> (Vec<f32>, Vec<f32>) {
    let rows = grad.len() / width.max(1);
    let mut partial = vec![0.0; pieces(rows, width) * width];
    let sums = Shared::new(&mut partial);
    let fill = |out: Shared| {
        for_rows(
            rows,
            width,
            #[inline(always)]
            |piece, first, count| {
                // SAFETY: each piece has rows and a row of partial sums of its own.
                let sums = unsafe { sums.slice(piece * width, width) };
                for row in first..first + count {
                    let here = row * width..(row + 1) * width;
                    // SAFETY: as above.
                    let out = unsafe { out.room(here.start, width) };
                    for (((o, g), y), s) in
                        out.iter_mut().zip(&grad[here.clone()]).zip(&output[here]).zip(sums.iter_mut())
                    {
                        let g = if *y > 0.0 { *g } else { 0.0 };
                        o.write(g);
                        *s += g;
                    }
                }
            },
        );
    };
    // SAFETY: the pieces together write every value.
    let masked = unsafe { filled(grad.len(), fill) };
    (masked, add_up(&partial, width))
}

/// Sums over the rows of a row-major matrix with rows of `width` values.
pub(crate) fn column_sums(values: &[f32], width: usize) -> Vec<f32> {
    let rows = values.len() / width.max(1);
    let mut partial = vec![0.0; pieces(rows, width) * width];
    let out = Shared::new(&mut partial);
    for_rows(
        rows,
        width,
        #[inline(always)]
        |piece, first, count| {
            // SAFETY: each piece has a row of partial sums of its own.
            let sums = unsafe { out.slice(piece * width, width) };
            for row in values[first * width..(first + count) * width].chunks_exact(width) {
                for (s, v) in sums.iter_mut().zip(row) {
                    *s += v;
                }
            }
        },
    );
    add_up(&partial, width)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_same, random};

    #[test]
    fn equals_its_composition_over_odd_shapes() {
        for [n, i, o] in [[0, 3, 2], [1, 1, 1], [3, 17, 5], [130, 33, 67]] {
            for activation in [Activation::None, Activation::Relu] {
                let inputs = || (random([n, i], 1), random([o, i], 2), random([o], 3));
                assert_same(
                    || {
                        let (x, w, b) = inputs();
                        (
                            linear(x.clone(), w.clone(), Some(b.clone()), activation, MatmulPrecision::F32),
                            vec![x.into(), w.into(), b.into()],
                        )
                    },
                    || {
                        let (x, w, b) = inputs();
                        (
                            composed(x.clone(), w.clone(), Some(b.clone()), activation, MatmulPrecision::F32),
                            vec![x.into(), w.into(), b.into()],
                        )
                    },
                );
                assert_same(
                    || {
                        let (x, w, _) = inputs();
                        (linear(x.clone(), w.clone(), None, activation, MatmulPrecision::F32), vec![x.into(), w.into()])
                    },
                    || {
                        let (x, w, _) = inputs();
                        (
                            composed(x.clone(), w.clone(), None, activation, MatmulPrecision::F32),
                            vec![x.into(), w.into()],
                        )
                    },
                );
            }
        }
    }

    /// Small whole numbers, which bfloat16 holds, give exact products; others are off by its 8 bits.
    #[test]
    fn bf16_products_are_those_of_rounded_values() {
        let run = |x: &Tensor<2>, w: &Tensor<2>, products| -> Vec<f32> {
            let y = linear(x.clone(), w.clone(), None, Activation::None, products);
            let grad = x.grad(&y.clone().sum().backward()).expect("a gradient");
            [y.inner(), grad].into_iter().flat_map(|t| t.into_data().iter::<f32>().collect::<Vec<_>>()).collect()
        };
        let differ = |x: Tensor<2>, w: Tensor<2>| {
            let (ours, exact) = (run(&x, &w, MatmulPrecision::Bf16), run(&x, &w, MatmulPrecision::F32));
            ours.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max)
        };
        let whole = |t: Tensor<2>| Tensor::from_inner(t.inner().round()).require_grad();
        let (x, w) = (random([9, 16], 1), random([5, 16], 2));
        assert_eq!(differ(whole(x.clone()), whole(w.clone())), 0.0);
        let difference = differ(x, w);
        assert!(difference > 0.0 && difference < 0.05, "differs by {difference}");
    }
}
