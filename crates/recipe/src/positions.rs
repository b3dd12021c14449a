//! Positions of tokens: the one table that training and the CPU engine add to embeddings.

/// Sinusoidal positions `[count, d]` (Vaswani et al., 2017, section 3.5), sines in the first half of a row and cosines
/// in the second.
pub fn sinusoidal(count: usize, d: usize) -> Vec<f32> {
    let half = d / 2;
    let mut values = vec![0.0f32; count * d];
    for (place, row) in values.chunks_exact_mut(d).enumerate() {
        for i in 0..half {
            let angle = place as f64 / 10_000f64.powf(2.0 * i as f64 / d as f64);
            row[i] = angle.sin() as f32;
            row[half + i] = angle.cos() as f32;
        }
    }
    values
}
