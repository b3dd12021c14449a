//! Products of every level against sums in f64.

use strata_simd::testing::values;

use super::*;
use crate::buffer::Shared;

fn rounded(values: &[f32]) -> Vec<f32> {
    values.iter().map(|v| bf16(*v)).collect()
}

/// The nearest bfloat16 by arithmetic: 8 significant bits, ties to even.
fn bf16(value: f32) -> f32 {
    if value == 0.0 {
        return value;
    }
    let unit = 2f32.powi(value.abs().log2().floor() as i32 - 7);
    (value / unit).round_ties_even() * unit
}

/// How operands lie in memory: row-major or transposed, as whole rows or as a block of wider ones.
#[derive(Clone, Copy, Debug)]
struct Layout {
    transposed: bool,
    gap: usize,
}

impl Layout {
    /// How far apart lines of `columns` (or, transposed, `rows`) values start, and how many values there are.
    fn size(self, rows: usize, columns: usize) -> (usize, usize) {
        let (lines, length) = if self.transposed { (columns, rows) } else { (rows, columns) };
        (length + self.gap, lines * (length + self.gap))
    }

    fn matrix(self, values: &[f32], stride: usize) -> Matrix<'_> {
        let matrix = Matrix::strided(values, stride);
        if self.transposed { matrix.transposed() } else { matrix }
    }
}

struct Case {
    shape: (usize, usize, usize),
    layouts: [Layout; 2],
    add: bool,
    scale: f32,
    bias: bool,
    after: usize,
    precision: MatmulPrecision,
}

impl Case {
    /// The largest error relative to what f32 sums may be off, and whether values beside the output were left alone.
    fn error(&self, level: Level) -> f64 {
        let (m, n, k) = self.shape;
        let ((a_stride, a_count), (b_stride, b_count)) = (self.layouts[0].size(m, k), self.layouts[1].size(k, n));
        let (mut a, mut b) = (values(a_count, 1), values(b_count, 2));
        let (bias, relu_output) = (values(n, 3), values(m * (n + 2), 4));
        let out_stride = n + 3;
        let before = values(m * out_stride, 5);
        let mut out = before.clone();
        let run = |a: &[f32], b: &[f32], out: &mut [f32]| {
            let mut product = Product::new(
                Shared::new(out),
                self.shape,
                self.layouts[0].matrix(a, a_stride),
                self.layouts[1].matrix(b, b_stride),
            );
            product.out_stride = out_stride;
            product.add = self.add;
            product.scale = self.scale;
            product.bias = self.bias.then_some(bias.as_slice());
            product.after = match self.after {
                0 => After::Nothing,
                1 => After::Relu,
                _ => After::ReluGradient(Matrix::strided(&relu_output, n + 2)),
            };
            // SAFETY: the output has these rows, and the level is one of those available.
            unsafe { multiply_at(level, &[product], self.precision, Threads::All) }
        };
        run(&a, &b, &mut out);
        if self.precision == MatmulPrecision::Bf16 {
            (a, b) = (rounded(&a), rounded(&b));
        }
        let (a, b) = (self.layouts[0].matrix(&a, a_stride), self.layouts[1].matrix(&b, b_stride));
        let at = |m: &Matrix, i: usize, j: usize| f64::from(m.values[i * m.row_stride + j * m.column_stride]);
        let mut worst = 0.0f64;
        for i in 0..m {
            for j in 0..out_stride {
                let (was, is) = (before[i * out_stride + j], out[i * out_stride + j]);
                if j >= n {
                    assert_eq!(was, is, "the value beside row {i} of the output");
                    continue;
                }
                let sum: f64 = (0..k).map(|l| at(&a, i, l) * at(&b, l, j)).sum();
                let mut value = sum * f64::from(self.scale);
                value += if self.add { f64::from(was) } else { 0.0 };
                value += if self.bias { f64::from(bias[j]) } else { 0.0 };
                let kept = match self.after {
                    0 => true,
                    1 => value > 0.0,
                    _ => relu_output[i * (n + 2) + j] > 0.0,
                };
                let value = if kept { value } else { 0.0 };
                worst = worst.max((f64::from(is) - value).abs() / (1.0 + (k as f64).sqrt()));
            }
        }
        worst
    }
}

#[test]
fn every_level_equals_sums_in_f64_over_odd_shapes() {
    let shapes = [
        (0, 3, 2),
        (3, 0, 2),
        (1, 1, 1),
        (2, 3, 0),
        (5, 17, 9),
        (6, 16, 8),
        (7, 33, 31),
        (13, 40, 255),
        (12, 64, 257),
        (97, 5, 513),
        (391, 67, 40),
        (25, 530, 33),
        (200, 150, 100),
        (14, 35, 1030),
    ];
    let layout = |bits: usize| Layout { transposed: bits & 1 > 0, gap: bits & 2 };
    for level in Level::available() {
        for (number, shape) in shapes.into_iter().enumerate() {
            for variant in 0..16 {
                let case = Case {
                    shape,
                    layouts: [layout(variant), layout(variant >> 2)],
                    add: (variant + number) % 3 == 0,
                    scale: if (variant + number) % 4 == 0 { 0.25 } else { 1.0 },
                    bias: (variant + number) % 2 == 0,
                    after: (variant + number) % 5 / 2,
                    precision: if variant % 7 == 0 { MatmulPrecision::Bf16 } else { MatmulPrecision::F32 },
                };
                let error = case.error(*level);
                assert!(error < 1e-6, "{level:?} {shape:?} variant {variant}: off by {error}");
            }
        }
    }
}

/// A list of products gives the bits of each product by itself, whatever the number of threads.
#[test]
fn threads_and_company_do_not_change_bits() {
    let shapes = [(70, 200, 300), (1, 64, 64), (0, 8, 8), (500, 90, 270), (40, 1000, 520)];
    let inputs: Vec<_> = shapes.iter().map(|(m, n, k)| (values(m * k, 1), values(n * k, 2))).collect();
    let run = |threads: usize, together: bool| -> Vec<Vec<f32>> {
        let mut outs: Vec<Vec<f32>> = shapes.iter().map(|(m, n, _)| vec![f32::NAN; m * n]).collect();
        let list: Vec<Product> = outs
            .iter_mut()
            .zip(&inputs)
            .zip(shapes)
            .map(|((out, (a, b)), (m, n, k))| {
                let b = Matrix::rows(b, k).transposed();
                Product::new(Shared::new(out), (m, n, k), Matrix::rows(a, k), b)
            })
            .collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        // SAFETY: every product has an output of its own.
        pool.install(|| unsafe {
            match together {
                true => multiply_all(&list, MatmulPrecision::F32, Threads::All),
                false => list.iter().for_each(|p| multiply_all(&[*p], MatmulPrecision::F32, Threads::One)),
            }
        });
        outs
    };
    let alone = run(1, false);
    assert!(alone.iter().flatten().all(|v| v.is_finite()));
    for threads in [1, 2, 3] {
        assert_eq!(run(threads, true), alone, "{threads} threads");
    }
}

#[test]
fn rounding_to_bf16_keeps_what_is_no_number() {
    let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 3.4e38, 0.0];
    for level in Level::available() {
        for (number, value) in values.into_iter().enumerate() {
            let mut out = [0.0f32];
            let (a, one) = ([value], [1.0f32]);
            let product = Product::new(Shared::new(&mut out), (1, 1, 1), Matrix::rows(&a, 1), Matrix::rows(&one, 1));
            // SAFETY: the output is one value.
            unsafe { multiply_at(*level, &[product], MatmulPrecision::Bf16, Threads::One) };
            let expected = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::INFINITY, 0.0][number];
            assert!(out[0] == expected || (out[0].is_nan() && expected.is_nan()), "{level:?}: {value} gave {}", out[0]);
        }
    }
}
