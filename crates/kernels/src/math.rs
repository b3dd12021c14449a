//! Vectorisable pieces of arithmetic: a fast exponential, sums in a fixed order, and counter-based random bits.

/// e^x to within 2 units in the last place, without branches, so that loops over it become vector code.
///
/// Cody-Waite range reduction and a degree-6 polynomial (the coefficients of Cephes' `expf`). Below -87.3 the result
/// is 0 (where the true value is not a normal number any more); above 88.3 it is the value at 88.3.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let clamped = x.clamp(-87.3, 88.3);
    let n = (clamped * std::f32::consts::LOG2_E + 12_582_912.0) - 12_582_912.0; // rounds to the nearest integer
    let r = clamped - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = ((((1.987_569_1e-4 * r + 1.398_199_9e-3) * r + 8.333_452e-3) * r + 4.166_579_6e-2) * r + 0.166_666_65) * r
        + 0.5;
    let mantissa = p * r * r + r + 1.0;
    let scale = f32::from_bits((((n as i32) + 127) << 23) as u32);
    if x < -87.3 { 0.0 } else { mantissa * scale }
}

const LANES: usize = 16;

/// Sum of `map(i)` over `0..n` in 16 interleaved lanes: a fixed order that vectorises.
#[inline(always)]
pub(crate) fn sum(n: usize, map: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let blocks = n / LANES;
    for block in 0..blocks {
        for lane in 0..LANES {
            lanes[lane] += map(block * LANES + lane);
        }
    }
    let mut total = lanes.iter().sum::<f32>();
    for i in blocks * LANES..n {
        total += map(i);
    }
    total
}

/// Largest value of `row` (negative infinity for an empty one) and the sum of its values.
#[inline(always)]
pub(crate) fn max_and_sum(row: &[f32]) -> (f32, f32) {
    let mut lanes = [(f32::NEG_INFINITY, 0.0f32); LANES];
    let mut blocks = row.chunks_exact(LANES);
    let take = |(top, total): (f32, f32), v: f32| (if v > top { v } else { top }, total + v);
    for block in &mut blocks {
        for (lane, v) in lanes.iter_mut().zip(block) {
            *lane = take(*lane, *v);
        }
    }
    let head = lanes.into_iter().fold((f32::NEG_INFINITY, 0.0), |(a, b), (c, d)| (a.max(c), b + d));
    blocks.remainder().iter().copied().fold(head, take)
}

/// Turns a row of scores into `e^(score - largest)`, where `largest` is the row's largest, and gives back their sum.
#[inline(always)]
pub(crate) fn exponentials(row: &mut [f32], largest: f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let mut blocks = row.chunks_exact_mut(LANES);
    for block in &mut blocks {
        for (lane, v) in lanes.iter_mut().zip(block) {
            *v = exp(*v - largest);
            *lane += *v;
        }
    }
    let mut total = lanes.iter().sum::<f32>();
    for v in blocks.into_remainder() {
        *v = exp(*v - largest);
        total += *v;
    }
    total
}

/// Turns a row of scores into probabilities in place and gives back the log of the sum of exponentials.
#[inline(always)]
pub(crate) fn softmax(row: &mut [f32]) -> f32 {
    let (top, _) = max_and_sum(row);
    let total = exponentials(row, top);
    let scale = 1.0 / total;
    for v in row.iter_mut() {
        *v *= scale;
    }
    top + total.ln()
}

/// 32 random bits for place `index` of the stream named by `seed`: the same bits for the same pair, whoever asks.
///
/// Wellons' `lowbias32` integer hash, keyed with one half of the seed before each of its products.
#[inline(always)]
pub(crate) fn random_bits(seed: u64, index: u32) -> u32 {
    let mut x = index ^ (seed as u32);
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d) ^ ((seed >> 32) as u32);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

/// The factors of dropout: 0 with probability `rate`, else `1 / (1 - rate)`, by counter-based randomness.
#[derive(Clone, Copy)]
pub(crate) struct Dropout {
    seed: u64,
    /// Of 65,536 equally likely values, those that drop.
    threshold: u32,
    scale: f32,
}

impl Dropout {
    /// Places that one call of [`Dropout::factors`] decides: two for each 32 random bits.
    pub const TOGETHER: usize = 2 * Self::HALF;
    const HALF: usize = 8;

    /// Dropout with a `rate` in 0..1, to the nearest of 65,536.
    pub fn new(rate: f32, seed: u64) -> Self {
        let threshold = ((rate * 65_536.0).round() as u32).min(65_535);
        Self { seed, threshold, scale: 65_536.0 / (65_536 - threshold) as f32 }
    }

    #[inline(always)]
    fn of(&self, bits: u32) -> f32 {
        if bits < self.threshold { 0.0 } else { self.scale }
    }

    /// The factors of the places of a block: `TOGETHER * block` and those that follow it.
    #[inline(always)]
    pub fn factors(&self, block: u32) -> [f32; Self::TOGETHER] {
        let mut factors = [0.0; Self::TOGETHER];
        for i in 0..Self::HALF {
            let bits = random_bits(self.seed, block * Self::HALF as u32 + i as u32);
            factors[i] = self.of(bits & 0xffff);
            factors[Self::HALF + i] = self.of(bits >> 16);
        }
        factors
    }

    /// The factor of one place.
    #[inline(always)]
    pub fn factor(&self, place: u32) -> f32 {
        let (together, half) = (Self::TOGETHER as u32, Self::HALF as u32);
        let bits = random_bits(self.seed, place / together * half + place % half);
        self.of(if place % together < half { bits & 0xffff } else { bits >> 16 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_the_standard_library() {
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((ours - exact).abs() <= 2.5e-7 * exact, "exp({x}) = {ours}, expected {exact}");
        }
        assert_eq!(exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn softmax_sums_to_one_and_returns_log_sum_exp() {
        let mut row: Vec<f32> = (0..37).map(|i| (i as f32 * 0.7).sin() * 9.0).collect();
        let exact: f64 = row.iter().map(|v| f64::from(*v).exp()).sum::<f64>().ln();
        let lse = softmax(&mut row);
        assert!((f64::from(lse) - exact).abs() < 1e-5);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }

    #[test]
    fn dropout_drops_its_share_without_bias() {
        for (rate, seed) in [(0.1, 7), (0.3, 1 << 40), (0.5, u64::MAX)] {
            let dropout = Dropout::new(rate, seed);
            let factors: Vec<f32> = (0..100_000).map(|i| dropout.factor(i)).collect();
            let dropped = factors.iter().filter(|f| **f == 0.0).count() as f32 / 100_000.0;
            assert!((dropped - rate).abs() < 0.006, "{dropped} dropped at rate {rate}");
            let mean = factors.iter().sum::<f32>() / 100_000.0;
            assert!((mean - 1.0).abs() < 0.01, "factors have mean {mean}");
            // A place says nothing of its neighbour, nor of the one that shares its random bits.
            for apart in [1, 8, 16] {
                let both = factors.windows(apart + 1).filter(|w| w[0] == 0.0 && w[apart] == 0.0).count() as f32;
                let expected = rate * rate * 100_000.0;
                assert!((both - expected).abs() < 5.0 * expected.sqrt() + 100.0, "{both} pairs {apart} apart");
            }
        }
    }

    #[test]
    fn blocks_of_factors_are_the_factors_of_their_places() {
        let dropout = Dropout::new(0.4, 0x1234_5678_9abc_def0);
        for block in [0, 1, 77] {
            let alone: Vec<f32> = (0..16).map(|i| dropout.factor(block * 16 + i)).collect();
            assert_eq!(dropout.factors(block).as_slice(), alone);
        }
    }
}
