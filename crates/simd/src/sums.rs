//! Sums and maxima of rows in an order that vectorizes and is the same at every level.

/// Interleaved partial sums: value `i` of a row goes to lane `i % LANES`.
pub const LANES: usize = 16;

/// The sum of the lanes, as a tree: the first half plus the second, and so on.
#[inline(always)]
pub(crate) fn fold(lanes: [f32; LANES]) -> f32 {
    // The lanes pass through memory, where the compiler cannot see how they are added up: it would keep them in
    // registers of four, or in none, in the loop before.
    let lanes = std::hint::black_box(lanes);
    let [total] = halve::<2, 1>(halve::<4, 2>(halve::<8, 4>(halve::<LANES, 8>(lanes))));
    total
}

/// The first half of the lanes plus the second.
#[inline(always)]
fn halve<const N: usize, const HALF: usize>(lanes: [f32; N]) -> [f32; HALF] {
    std::array::from_fn(
        #[inline(always)]
        |i| lanes[i] + lanes[HALF + i],
    )
}

/// The sum of `map` over the values of rows side by side: whole blocks in [`LANES`] lanes, then the rest in order.
///
/// # Panics
/// If a row is shorter than the first.
#[inline(always)]
pub fn sum<const N: usize>(rows: [&[f32]; N], map: impl Fn([f32; N]) -> f32) -> f32 {
    let n = rows[0].len();
    let mut lanes = [0.0f32; LANES];
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        let mut block = [[0.0f32; LANES]; N];
        for (values, row) in block.iter_mut().zip(&rows) {
            values.copy_from_slice(&row[start..start + LANES]);
        }
        for (lane, total) in lanes.iter_mut().enumerate() {
            let mut values = [0.0; N];
            for (value, row) in values.iter_mut().zip(&block) {
                *value = row[lane];
            }
            *total += map(values);
        }
    }
    let mut total = fold(lanes);
    for i in whole..n {
        let mut values = [0.0; N];
        for (value, row) in values.iter_mut().zip(&rows) {
            *value = row[i];
        }
        total += map(values);
    }
    total
}

/// The sum of `a[i] * b[i]`.
///
/// # Panics
/// If `b` is shorter than `a`.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum(
        [a, b],
        #[inline(always)]
        |[a, b]| a * b,
    )
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The largest value of `row`, leaving out NaN; negative infinity for an empty one.
#[inline(always)]
pub fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for (lane, v) in lanes.iter_mut().zip(block) {
            *lane = larger(*lane, *v);
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger)
}

/// [`max`] of `row` and the sum of its values, in one pass over memory.
#[inline(always)]
pub fn max_and_sum(row: &[f32]) -> (f32, f32) {
    let (mut tops, mut lanes) = ([f32::NEG_INFINITY; LANES], [0.0f32; LANES]);
    let (blocks, rest) = row.as_chunks::<LANES>();
    for block in blocks {
        for ((top, lane), v) in tops.iter_mut().zip(&mut lanes).zip(block) {
            *top = larger(*top, *v);
            *lane += *v;
        }
    }
    let top = tops.iter().chain(rest).copied().fold(f32::NEG_INFINITY, larger);
    (top, rest.iter().fold(fold(lanes), |total, v| total + v))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{same_bits_at_every_level, values};

    #[test]
    fn sums_agree_with_f64_and_have_the_same_bits_at_every_level() {
        for n in [0, 1, 15, 16, 17, 64, 131, 1000] {
            let (a, b, c) = (values(n, 1), values(n, 2), values(n, 3));
            let exact = |of: &dyn Fn(usize) -> f32| (0..n).map(|i| f64::from(of(i))).sum::<f64>();
            let close = |ours: f32, exact: f64| assert!((f64::from(ours) - exact).abs() < 1e-5, "{n}: {ours}, {exact}");
            close(
                same_bits_at_every_level(
                    #[inline(always)]
                    || sum([&a], |[a]| a),
                ),
                exact(&|i| a[i]),
            );
            close(
                same_bits_at_every_level(
                    #[inline(always)]
                    || dot(&a, &b),
                ),
                exact(&|i| a[i] * b[i]),
            );
            close(
                same_bits_at_every_level(
                    #[inline(always)]
                    || sum([&a, &b, &c], |[a, b, c]| a * b - c),
                ),
                exact(&|i| a[i] * b[i] - c[i]),
            );
            let largest = a.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(
                same_bits_at_every_level(
                    #[inline(always)]
                    || max(&a)
                ),
                largest
            );
            let (top, total) = (
                max_and_sum(&a).0,
                same_bits_at_every_level(
                    #[inline(always)]
                    || max_and_sum(&a).1,
                ),
            );
            assert_eq!((top, total), (largest, sum([&a], |[a]| a)));
        }
    }

    #[test]
    fn the_largest_value_leaves_out_nan() {
        let mut row = values(40, 1);
        (row[3], row[39]) = (f32::NAN, f32::NAN);
        (row[20], row[38]) = (5.0, 7.0);
        assert_eq!(max(&row), 7.0);
        assert!(max_and_sum(&row).1.is_nan());
    }

    #[test]
    #[should_panic]
    fn rows_of_unequal_lengths_panic() {
        dot(&[1.0; 20], &[1.0; 19]);
    }
}
