//! `numpy.random.default_rng(seed)`: PCG64 seeded through a SeedSequence (O'Neill's seed_seq_fe128), with the two ways
//! of drawing bounded integers that sacreBLEU uses.

use rand_pcg::{Pcg64, rand_core::RngCore};

/// A NumPy `Generator`.
pub(crate) struct Generator {
    core: Pcg64,
    /// The upper half of the last 64 bits, used by the next 32-bit draw.
    upper: Option<u32>,
}

impl Generator {
    /// `numpy.random.default_rng(seed)`.
    pub(crate) fn new(seed: u64) -> Self {
        let words = seed_sequence(seed);
        let pair = |i: usize| u128::from(words[i]) << 64 | u128::from(words[i + 1]);
        Self { core: Pcg64::new(pair(0), pair(2)), upper: None }
    }

    fn next_u32(&mut self) -> u32 {
        if let Some(upper) = self.upper.take() {
            return upper;
        }
        let bits = self.core.next_u64();
        self.upper = Some((bits >> 32) as u32);
        bits as u32
    }

    /// One element of `integers(0, bound)` for a bound of at least 1: Lemire's unbiased multiplication method.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        if bound <= 1 {
            return 0; // NumPy draws nothing
        }
        let mut product = u64::from(self.next_u32()) * u64::from(bound);
        if (product as u32) < bound {
            let threshold = bound.wrapping_neg() % bound;
            while (product as u32) < threshold {
                product = u64::from(self.next_u32()) * u64::from(bound);
            }
        }
        (product >> 32) as u32
    }

    /// The elements of `integers(2, size, dtype=bool)`, one after the other.
    pub(crate) fn bits(&mut self) -> Bits<'_> {
        Bits { generator: self, word: 0, left: 0 }
    }
}

/// Single bits from 32-bit words, lowest first. The rest of the last word is dropped, as NumPy does.
pub(crate) struct Bits<'a> {
    generator: &'a mut Generator,
    word: u32,
    left: u32,
}

impl Bits<'_> {
    /// The next bit.
    pub(crate) fn next_bit(&mut self) -> bool {
        if self.left == 0 {
            self.word = self.generator.next_u32();
            self.left = 32;
        }
        let bit = self.word & 1 == 1;
        self.word >>= 1;
        self.left -= 1;
        bit
    }
}

/// `SeedSequence(seed).generate_state(4, uint64)`.
fn seed_sequence(seed: u64) -> [u64; 4] {
    const SHIFT: u32 = 16;
    // Mixes the seed's words into a pool of four ...
    let mut multiplier: u32 = 0x43b0_d7e5;
    let mut hash = |word: u32| {
        let mixed = word ^ multiplier;
        multiplier = multiplier.wrapping_mul(0x931e_8875);
        let mixed = mixed.wrapping_mul(multiplier);
        mixed ^ mixed >> SHIFT
    };
    let mut pool = [seed as u32, (seed >> 32) as u32, 0, 0].map(&mut hash);
    for source in 0..pool.len() {
        for target in 0..pool.len() {
            if source != target {
                let hashed = hash(pool[source]);
                let mixed = pool[target].wrapping_mul(0xca01_f9dd).wrapping_sub(hashed.wrapping_mul(0x4973_f715));
                pool[target] = mixed ^ mixed >> SHIFT;
            }
        }
    }
    // ... and draws eight 32-bit words from it.
    let mut multiplier: u32 = 0x8b51_f9dd;
    let mut state = [0; 4];
    for i in 0..8 {
        let mixed = pool[i % 4] ^ multiplier;
        multiplier = multiplier.wrapping_mul(0x58f3_8ded);
        let mixed = mixed.wrapping_mul(multiplier);
        state[i / 2] |= u64::from(mixed ^ mixed >> SHIFT) << (32 * (i % 2));
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_equal_numpy() {
        // numpy.random.SeedSequence(seed).generate_state(4, numpy.uint64)
        let expected = [
            (0, [15793235383387715774, 12390638538380655177, 2361836109651742017, 3188717715514472916]),
            (12345, [13091511679009522556, 13538552136045918767, 7269824232120749972, 4520223790601600371]),
            ((1 << 40) + 7, [974592680304384533, 11164224302760304993, 11068753026110695683, 4650291916314288918]),
        ];
        for (seed, state) in expected {
            assert_eq!(seed_sequence(seed), state, "{seed}");
        }
    }

    #[test]
    fn bits_then_indices_equal_numpy() {
        // r = default_rng(12345); r.integers(2, size=70, dtype=bool); r.choice(1000, size=12)
        let mut generator = Generator::new(12345);
        let mut bits = generator.bits();
        let drawn: String = (0..70).map(|_| if bits.next_bit() { '1' } else { '0' }).collect();
        assert_eq!(drawn, "1011100110000011111111110100110110110001100011010100110001011100011110");
        let indices: Vec<u32> = (0..12).map(|_| generator.below(1000)).collect();
        assert_eq!(indices, [316, 204, 797, 642, 676, 988, 391, 839, 332, 567, 598, 213]);
    }

    #[test]
    fn rejected_draws_equal_numpy() {
        // With 3e9 of 2^32 values every fourth draw is rejected or so: default_rng(7).choice(3_000_000_000, size=12)
        let mut generator = Generator::new(7);
        let drawn: Vec<u32> = (0..12).map(|_| generator.below(3_000_000_000)).collect();
        let expected = [
            2834714867, 2052539810, 2691641402, 1734877356, 2327057070, 2500953064, 675621569, 166594732, 900498854,
            855201101, 2620660335, 2737869579,
        ];
        assert_eq!(drawn, expected);
        assert_eq!([generator.below(1); 3], [0; 3]);
        assert_eq!([(); 5].map(|()| generator.below(10)), [0, 4, 8, 1, 7]);
    }
}
