//! Packed products against f64, and against themselves: cut otherwise, on other threads, with other instructions.

use std::sync::Arc;

use strata_simd::testing::values;
use strata_simd::to_bf16;
use strata_store::MappedFile;

use super::*;
use crate::product::Activation;

const SHAPES: [(usize, usize); 9] =
    [(1, 1), (3, 7), (16, 4), (17, 33), (15, 512), (64, 64), (130, 70), (200, 129), (5, 0)];

struct Case {
    x: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

fn case(rows: usize, (outputs, inputs): (usize, usize)) -> Case {
    Case { x: values(rows * inputs, 1), weight: values(outputs * inputs, 2), bias: values(outputs, 3) }
}

impl Case {
    fn linear(&self, (outputs, inputs): (usize, usize), precision: Precision) -> Linear {
        Linear::pack(&self.weight, Some(&self.bias), outputs, inputs, precision)
    }
}

fn apply(level: Level, linear: &Linear, x: &[f32], rows: usize, options: ProductOptions) -> Vec<f32> {
    let mut out = vec![f32::NAN; rows * linear.outputs()];
    linear.apply_at(level, x, rows, &mut out, options, &mut Scratch::default());
    out
}

/// `x W^T + b` in f64, of what the precision makes of `x` and `W`.
fn reference(case: &Case, rows: usize, (outputs, inputs): (usize, usize), precision: Precision) -> Vec<f64> {
    let quantize = |row: &[f32]| -> Vec<f64> {
        let largest = row.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        if precision != Precision::Int8 || largest == 0.0 {
            return row.iter().map(|v| f64::from(*v)).collect();
        }
        let factor = 127.0 / largest;
        row.iter().map(|v| f64::from((v * factor).round_ties_even()) * f64::from(largest / 127.0)).collect()
    };
    let row = |o: usize| &case.weight[o * inputs..][..inputs];
    let weight: Vec<Vec<f64>> = match precision {
        Precision::Bf16 => (0..outputs).map(|o| row(o).iter().map(|w| f64::from(rounded(*w))).collect()).collect(),
        _ => (0..outputs).map(|o| quantize(row(o))).collect(),
    };
    let mut out = Vec::new();
    for r in 0..rows {
        let x = quantize(&case.x[r * inputs..][..inputs]);
        for o in 0..outputs {
            out.push(x.iter().zip(&weight[o]).map(|(x, w)| x * w).sum::<f64>() + f64::from(case.bias[o]));
        }
    }
    out
}

#[test]
fn products_agree_with_f64_at_every_level() {
    for shape in SHAPES {
        for rows in [0, 1, 2, 3, 4, 5, 6, 7, 8, 17, 130] {
            let case = case(rows, shape);
            for precision in Precision::ALL {
                let linear = case.linear(shape, precision);
                let exact = reference(&case, rows, shape, precision);
                for level in Level::available() {
                    let out = apply(*level, &linear, &case.x, rows, ProductOptions::default());
                    for (i, (a, b)) in out.iter().zip(&exact).enumerate() {
                        let error = (f64::from(*a) - b).abs();
                        assert!(
                            error < 1e-5 * (1.0 + b.abs()),
                            "{level:?} {precision:?} {rows} x {shape:?}, {i}: {a}, {b}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn precisions_are_found_by_their_names() {
    for precision in Precision::ALL {
        assert_eq!(precision.name().parse::<Precision>().unwrap(), precision);
    }
    let error = "f16".parse::<Precision>().unwrap_err().to_string();
    assert_eq!(error, "`f16` is no precision; choose f32, bf16 or int8");
}

/// The nearest bfloat16.
fn rounded(value: f32) -> f32 {
    from_bf16(to_bf16(value) as u16)
}

#[test]
fn bf16_has_the_bits_of_f32_with_rounded_weights() {
    for shape in SHAPES {
        for rows in [1, 2, 3, 4, 5, 6, 7, 8, 19] {
            let case = case(rows, shape);
            let near = Case { weight: case.weight.iter().map(|w| rounded(*w)).collect(), ..case };
            let [ours, exact] = [Precision::Bf16, Precision::F32].map(|precision| near.linear(shape, precision));
            for level in Level::available() {
                let [ours, exact] =
                    [&ours, &exact].map(|map| apply(*level, map, &near.x, rows, ProductOptions::default()));
                assert_eq!(ours, exact, "{level:?} {rows} rows of {shape:?}");
            }
            let row = |map: &Linear| {
                let mut row = vec![f32::NAN; shape.1];
                map.row(shape.0 - 1, &mut row);
                row
            };
            assert_eq!(row(&ours), row(&exact));
        }
    }
}

/// The input behind the last one of an odd row belongs to the next row, which may hold anything.
#[test]
fn bf16_reads_no_further_than_its_row() {
    let linear = Linear::pack(&values(20 * 9, 2), None, 20, 9, Precision::Bf16);
    for level in Level::available() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut x = values(3 * 9, 1);
            x[9] = bad;
            let out = apply(*level, &linear, &x, 3, ProductOptions::default());
            assert!(out[..20].iter().chain(&out[40..]).all(|v| v.is_finite()), "{level:?}: {out:?}");
        }
    }
}

#[test]
fn levels_give_the_same_bits() {
    for shape in SHAPES {
        let case = case(19, shape);
        for precision in Precision::ALL {
            let linear = case.linear(shape, precision);
            // Without fused multiply-add the portable level rounds f32 sums more often.
            let skip = if precision == Precision::Int8 { 0 } else { 1 };
            let mut levels = Level::available().iter().skip(skip);
            let first = levels.next().map(|l| apply(*l, &linear, &case.x, 19, ProductOptions::default()));
            for level in levels {
                assert_eq!(
                    first,
                    Some(apply(*level, &linear, &case.x, 19, ProductOptions::default())),
                    "{level:?} {shape:?}"
                );
            }
        }
    }
}

#[test]
fn a_row_has_the_same_bits_in_any_batch_and_on_any_threads() {
    for shape in [(17, 33), (130, 70), (1000, 257)] {
        let case = case(64, shape);
        let inputs = shape.1;
        for precision in Precision::ALL {
            let linear = case.linear(shape, precision);
            for level in Level::available() {
                let one = ProductOptions { threads: 1, ..ProductOptions::default() };
                let alone: Vec<f32> =
                    case.x.chunks(inputs).flat_map(|row| apply(*level, &linear, row, 1, one)).collect();
                for rows in [1, 2, 3, 4, 5, 7, 64] {
                    for threads in [1, 2, 3] {
                        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                        for first in [0, 1, 64 - rows].into_iter().filter(|f| f + rows <= 64) {
                            let x = &case.x[first * inputs..(first + rows) * inputs];
                            let out = pool.install(|| apply(*level, &linear, x, rows, ProductOptions::default()));
                            assert!(
                                out[..] == alone[first * shape.0..(first + rows) * shape.0],
                                "{level:?} {precision:?} {shape:?}: {rows} rows from {first} on {threads} threads"
                            );
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn activation_accumulation_and_stride_follow_the_product() {
    let small = Precision::ALL.map(|precision| (precision, (37, 20)));
    for (precision, shape) in small.into_iter().chain([(Precision::F32, (600, 300)), (Precision::Bf16, (600, 301))]) {
        let (rows, outputs) = (9, shape.0);
        let case = case(rows, shape);
        let linear = case.linear(shape, precision);
        for level in Level::available() {
            let plain = apply(*level, &linear, &case.x, rows, ProductOptions::default());
            for (relu, accumulate) in [(false, true), (true, false), (true, true)] {
                let stride = outputs + 5;
                let before = values(rows * stride, 8);
                let mut out = before.clone();
                let options = ProductOptions {
                    activation: if relu { Activation::Relu } else { Activation::None },
                    accumulate,
                    out_stride: Some(stride),
                    ..ProductOptions::default()
                };
                // Written into columns 5.. of a wider buffer.
                linear.apply_at(*level, &case.x, rows, &mut out[5..], options, &mut Scratch::default());
                for (i, (after, before)) in out.iter().zip(&before).enumerate() {
                    let (row, column) = (i / stride, i % stride);
                    if column < 5 {
                        assert_eq!(after, before, "a value beside the columns");
                        continue;
                    }
                    let y = plain[row * outputs + column - 5];
                    let y = if relu { y.max(0.0) } else { y };
                    assert_eq!(*after, if accumulate { before + y } else { y }, "{level:?} row {row} column {column}");
                }
            }
        }
    }
}

#[test]
fn selected_columns_have_the_same_bits() {
    let (rows, shape) = (6, (130, 33));
    let case = case(rows, shape);
    for precision in Precision::ALL {
        let linear = case.linear(shape, precision);
        let all = apply(Level::current(), &linear, &case.x, rows, ProductOptions::default());
        for columns in [(0..130).rev().collect::<Vec<u32>>(), vec![], vec![129], vec![5, 5, 18, 64, 3]] {
            let out = apply(Level::current(), &linear.select(&columns), &case.x, rows, ProductOptions::default());
            let expected: Vec<f32> = all.chunks(130).flat_map(|row| columns.iter().map(|c| row[*c as usize])).collect();
            assert_eq!(out, expected, "{precision:?}, {} columns", columns.len());
        }
    }
}

#[test]
fn int8_sums_never_saturate() {
    // The largest products that there are, all of one sign: 127 * 127 * 3000 in each sum.
    let inputs = 3000;
    for sign in [1.0, -1.0] {
        let linear = Linear::pack(&vec![2.0; 5 * inputs], None, 5, inputs, Precision::Int8);
        for level in Level::available() {
            for rows in 1..8 {
                let out = apply(*level, &linear, &vec![sign; rows * inputs], rows, ProductOptions::default());
                assert!(out.iter().all(|v| (v - 6000.0 * sign).abs() < 0.01), "{level:?}: {out:?}");
            }
        }
    }
}

#[test]
fn nan_is_not_hidden() {
    for precision in Precision::ALL {
        let linear = Linear::pack(&values(20 * 9, 2), None, 20, 9, precision);
        let mut x = values(3 * 9, 1);
        x[9 + 4] = f32::NAN;
        for level in Level::available() {
            let options = ProductOptions { activation: Activation::Relu, ..ProductOptions::default() };
            let out = apply(*level, &linear, &x, 3, options);
            for (i, v) in out.iter().enumerate() {
                assert_eq!(v.is_nan(), i / 20 == 1, "{level:?} {precision:?} {i}: {v}");
            }
        }
    }
}

#[test]
fn tensors_make_the_same_map_again() {
    let (rows, shape) = (4, (37, 18));
    let case = case(rows, shape);
    let folder = tempfile::tempdir().unwrap();
    for precision in Precision::ALL {
        let linear = case.linear(shape, precision);
        let (mut bytes, mut ranges) = (Vec::new(), Vec::new());
        for tensor in linear.tensors() {
            bytes.resize(bytes.len().next_multiple_of(crate::storage::ALIGNMENT), 0);
            ranges.push((tensor.name, bytes.len()..bytes.len() + tensor.bytes.len()));
            let size = tensor.shape.iter().product::<usize>() * tensor.dtype.bitsize() / 8;
            assert_eq!(size, tensor.bytes.len(), "{}", tensor.name);
            bytes.extend_from_slice(tensor.bytes);
        }
        let path = folder.path().join(format!("{precision:?}"));
        std::fs::write(&path, &bytes).unwrap();
        let file = Arc::new(MappedFile::open(&path).unwrap());
        let find = |name| ranges.iter().find(|(n, _)| *n == name).map(|(_, range)| range.clone());
        let shape = Shape { outputs: 37, inputs: 18, precision };
        let mapped = Linear::mapped(&file, shape, find).unwrap();
        assert_eq!(mapped.bytes(), linear.bytes());
        let result = |linear| apply(Level::current(), linear, &case.x, rows, ProductOptions::default());
        assert_eq!(result(&mapped), result(&linear));
        let wrong = Linear::mapped(&file, Shape { inputs: 40, ..shape }, find);
        assert!(matches!(wrong, Err(LayoutError::Size { part: "weight", .. })));
        let missing = Linear::mapped(&file, shape, |name| if name == "bias" { None } else { find(name) });
        assert!(matches!(missing, Err(LayoutError::Missing("bias"))));
    }
}
