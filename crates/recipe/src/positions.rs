//! Positions of tokens: the one table that training and the CPU engine add to embeddings.

use crate::network::{Frequencies, PositionLayout, Positions};

/// Sinusoidal positions `[count, d]` (Vaswani et al., 2017, section 3.5); row 0 is that of the first token.
pub fn sinusoidal(positions: Positions, count: usize, d: usize) -> Vec<f32> {
    let half = d / 2;
    let mut values = vec![0.0f32; count * d];
    for (place, row) in values.chunks_exact_mut(d).enumerate() {
        let position = (positions.first + place) as f64;
        for i in 0..half {
            let exponent = match positions.frequencies {
                Frequencies::Paper => 2.0 * i as f64 / d as f64,
                Frequencies::Tensor2tensor => i as f64 / (half as f64 - 1.0),
            };
            let angle = position / 10_000f64.powf(exponent);
            let (sine, cosine) = match positions.layout {
                PositionLayout::Halves => (i, half + i),
                PositionLayout::Interleaved => (2 * i, 2 * i + 1),
            };
            row[sine] = angle.sin() as f32;
            row[cosine] = angle.cos() as f32;
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_and_frequency_stands_where_it_should() {
        let table = |layout, frequencies, first| sinusoidal(Positions { layout, frequencies, first }, 2, 6);
        let (paper, tensor2tensor) = (Frequencies::Paper, Frequencies::Tensor2tensor);
        let close = |found: &[f32], angles: [f64; 3], interleaved: bool| {
            for (i, angle) in angles.into_iter().enumerate() {
                let (sine, cosine) = if interleaved { (2 * i, 2 * i + 1) } else { (i, 3 + i) };
                assert!((f64::from(found[sine]) - angle.sin()).abs() < 1e-7, "{found:?}");
                assert!((f64::from(found[cosine]) - angle.cos()).abs() < 1e-7, "{found:?}");
            }
        };
        let halves = table(PositionLayout::Halves, paper, 0);
        assert_eq!(halves[..6], [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
        close(&halves[6..], [1.0, 1e4f64.powf(-1.0 / 3.0), 1e4f64.powf(-2.0 / 3.0)], false);
        // The last frequency is exactly 1/10000, and the first token stands at position 2.
        close(&table(PositionLayout::Halves, tensor2tensor, 2)[..6], [2.0, 0.02, 2e-4], false);
        close(&table(PositionLayout::Interleaved, tensor2tensor, 0)[6..], [1.0, 0.01, 1e-4], true);
    }
}
