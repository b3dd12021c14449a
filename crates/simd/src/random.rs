//! Random numbers that follow from a seed and a count, so that any of them can be drawn anywhere, in any order and on
//! any thread. None of them is for cryptography.

/// The SplitMix64 generator (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct SplitMix64 {
    state: u64,
}

/// What SplitMix64 adds to its state for each number: 2^64 over the golden ratio.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl SplitMix64 {
    /// The generator that `seed` starts.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(STEP);
        finish(self.state)
    }

    /// A number in `0..bound`; the bias of the multiplication is under bound / 2^64.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }
}

fn finish(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Number `n`, from 0, of the [`SplitMix64`] that `seed` starts.
#[inline]
pub fn mix(seed: u64, n: u64) -> u64 {
    finish(seed.wrapping_add(STEP.wrapping_mul(n.wrapping_add(1))))
}

/// The upper 24 bits of `bits` as a number in `0.0..1.0`, each as likely as the others.
#[inline]
pub fn unit(bits: u64) -> f32 {
    (bits >> 40) as f32 / (1u64 << 24) as f32
}

/// 32 random bits for place `index` of the stream that `seed` names; cheap, and a loop over it becomes vector code.
///
/// Wellons' `lowbias32` integer hash, keyed with one half of the seed before each of its products.
#[inline(always)]
pub fn lowbias32(seed: u64, index: u32) -> u32 {
    let mut x = index ^ (seed as u32);
    x ^= x >> 16;
    x = x.wrapping_mul(0x7feb_352d) ^ ((seed >> 32) as u32);
    x ^= x >> 15;
    x = x.wrapping_mul(0x846c_a68b);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of the authors' generator for seed 1234567, as other implementations publish them.
    const PUBLISHED: [u64; 5] = [
        6_457_827_717_110_365_317,
        3_203_168_211_198_807_973,
        9_817_491_932_198_370_423,
        4_593_380_528_125_082_431,
        16_408_922_859_458_223_821,
    ];

    #[test]
    fn splitmix64_gives_the_published_numbers_one_by_one_and_by_count() {
        let mut generator = SplitMix64::new(1_234_567);
        for (n, expected) in PUBLISHED.into_iter().enumerate() {
            assert_eq!((generator.next_u64(), mix(1_234_567, n as u64)), (expected, expected));
        }
    }

    /// `lowbias32(1)` by its author's definition, under the seed that leaves it as it is.
    #[test]
    fn lowbias32_without_a_seed_is_the_published_hash() {
        let published = |mut x: u32| {
            x = (x ^ (x >> 16)).wrapping_mul(0x7feb_352d);
            x = (x ^ (x >> 15)).wrapping_mul(0x846c_a68b);
            x ^ (x >> 16)
        };
        for index in [0, 1, 77, u32::MAX] {
            assert_eq!(lowbias32(0, index), published(index));
        }
        assert_ne!(lowbias32(1, 0), lowbias32(1 << 32, 0));
    }

    #[test]
    fn numbers_below_a_bound_and_of_the_unit_interval_cover_it() {
        let mut generator = SplitMix64::new(3);
        let mut counts = [0; 10];
        (0..10_000).for_each(|_| counts[generator.below(10) as usize] += 1);
        assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
        assert_eq!((unit(0), unit(u64::MAX)), (0.0, 1.0 - 2f32.powi(-24)));
    }
}
