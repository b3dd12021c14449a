//! The mask of dropout, by counter-based randomness.

use strata_simd::random::lowbias32;

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

    /// The factor of what is kept.
    pub fn scale(&self) -> f32 {
        self.scale
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
            let bits = lowbias32(self.seed, block * Self::HALF as u32 + i as u32);
            factors[i] = self.of(bits & 0xffff);
            factors[Self::HALF + i] = self.of(bits >> 16);
        }
        factors
    }

    /// The factor of one place.
    #[inline(always)]
    pub fn factor(&self, place: u32) -> f32 {
        let (together, half) = (Self::TOGETHER as u32, Self::HALF as u32);
        let bits = lowbias32(self.seed, place / together * half + place % half);
        self.of(if place % together < half { bits & 0xffff } else { bits >> 16 })
    }

    /// Multiplies `values`, whose first has the place `start`, by their factors.
    #[inline(always)]
    pub fn multiply(&self, start: usize, values: &mut [f32]) {
        // Rows of most widths begin with a block.
        let blocks = if start.is_multiple_of(Self::TOGETHER) { values.len() / Self::TOGETHER } else { 0 };
        let (whole, rest) = values.split_at_mut(blocks * Self::TOGETHER);
        for (block, values) in whole.chunks_exact_mut(Self::TOGETHER).enumerate() {
            let factors = self.factors((start / Self::TOGETHER + block) as u32);
            for (value, factor) in values.iter_mut().zip(&factors) {
                *value *= factor;
            }
        }
        for (i, value) in rest.iter_mut().enumerate() {
            *value *= self.factor((start + whole.len() + i) as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_drops_its_share_without_bias() {
        for (rate, seed) in [(0.1, 7), (0.3, 1 << 40), (0.5, u64::MAX)] {
            let dropout = Dropout::new(rate, seed);
            let factors: Vec<f32> = (0..100_000).map(|i| dropout.factor(i)).collect();
            let dropped = factors.iter().filter(|f| **f == 0.0).count() as f32 / 100_000.0;
            assert!((dropped - rate).abs() < 0.006, "{dropped} dropped at rate {rate}");
            let mean = factors.iter().sum::<f32>() / 100_000.0;
            assert!((mean - 1.0).abs() < 0.01, "factors have mean {mean}");
            // A place says nothing of its neighbor, nor of the one that shares its random bits.
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
        for start in [0, 5, 32] {
            let mut values = [2.0; 37];
            dropout.multiply(start, &mut values);
            let alone: Vec<f32> = (0..37).map(|i| 2.0 * dropout.factor(start as u32 + i)).collect();
            assert_eq!(values.as_slice(), alone);
        }
    }
}
