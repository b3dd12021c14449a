//! Colors of requested capacity and of shares.

/// Red, green and blue of a share from 0 (blue) over one half (near white) to 1 (red): ColorBrewer's RdBu, which people
/// with color-blindness can read, and pale enough for black text.
pub fn color(share: f64) -> [u8; 3] {
    const ENDS: [[f64; 3]; 3] = [[146.0, 197.0, 222.0], [247.0, 247.0, 247.0], [244.0, 165.0, 130.0]];
    let at = if share.is_finite() { share.clamp(0.0, 1.0) * 2.0 } else { 0.0 };
    let (low, part) = if at < 1.0 { (0, at) } else { (1, at - 1.0) };
    std::array::from_fn(|c| (ENDS[low][c] + part * (ENDS[low + 1][c] - ENDS[low][c])).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_middle_are_told_apart() {
        assert_eq!([0.0, 0.5, 1.0].map(color), [[146, 197, 222], [247, 247, 247], [244, 165, 130]]);
        assert_eq!((color(-1.0), color(7.0), color(f64::NAN)), (color(0.0), color(1.0), color(0.0)));
        assert_eq!(color(0.25), [197, 222, 235]);
    }
}
