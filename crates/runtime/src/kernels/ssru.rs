//! One step of a simpler simple recurrent unit.

use strata_simd::simd;

use super::activations::sigmoid;

/// Moves the `cell` `[d]` of the token before on to this token, and adds what comes out to `x` `[d]`. `forget` and
/// `input` `[d]` are the unit's maps of the token.
///
/// # Panics
/// For slices of different sizes.
pub fn ssru(forget: &[f32], input: &[f32], cell: &mut [f32], x: &mut [f32]) {
    let d = cell.len();
    assert!(forget.len() == d && input.len() == d && x.len() == d, "an SSRU of width {d}");
    simd(
        #[inline(always)]
        || {
            for (((forget, input), cell), x) in forget.iter().zip(input).zip(cell).zip(x) {
                let keep = sigmoid(*forget);
                *cell = keep * *cell + (1.0 - keep) * input;
                *x += cell.max(0.0);
            }
        },
    );
}
