//! The learning rate of each update.

use strata_recipe::{Schedule, TrainSection};

/// The learning rate of update `update` (from 1): a linear warm-up from `warmup_init_lr` to `learning_rate`, then
/// constant, falling with the inverse square root of the update (Vaswani et al., 2017, equation 3; fairseq's
/// `inverse_sqrt`), or falling to 0 at the last update: in equal steps, or along half a cosine (Loshchilov and Hutter,
/// 2017).
pub fn learning_rate(train: &TrainSection, update: u64) -> f64 {
    let (peak, warmup) = (train.learning_rate, train.warmup);
    if update < warmup {
        let share = update as f64 / warmup as f64;
        return train.warmup_init_lr + (peak - train.warmup_init_lr) * share;
    }
    // The share of the updates after the warm-up that are made.
    let made = (update - warmup) as f64 / train.updates.saturating_sub(warmup).max(1) as f64;
    match train.schedule {
        Schedule::Constant => peak,
        Schedule::Linear => peak * (1.0 - made).max(0.0),
        Schedule::Cosine => peak * 0.5 * (1.0 + (std::f64::consts::PI * made.min(1.0)).cos()),
        Schedule::InverseSqrt => peak * (warmup.max(1) as f64 / update.max(1) as f64).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(schedule: Schedule, warmup: u64) -> TrainSection {
        let recipe = strata_recipe::RecipeFile::parse("model.kind = \"dense\"", "test.toml")
            .and_then(|file| file.resolve(None, &[]));
        let mut train = recipe.expect("a recipe has every default").train;
        (train.learning_rate, train.warmup_init_lr, train.schedule, train.warmup) = (8e-4, 1e-7, schedule, warmup);
        train
    }

    #[test]
    fn rises_to_the_peak_and_falls_with_the_root() {
        let train = section(Schedule::InverseSqrt, 8000);
        assert!((learning_rate(&train, 4000) - (1e-7 + (8e-4 - 1e-7) * 0.5)).abs() < 1e-12);
        assert!((learning_rate(&train, 8000) - 8e-4).abs() < 1e-12);
        assert!((learning_rate(&train, 32_000) - 4e-4).abs() < 1e-12);
        assert!((learning_rate(&section(Schedule::Constant, 10), 32_000) - 8e-4).abs() < 1e-12);
        assert!((learning_rate(&section(Schedule::InverseSqrt, 0), 1) - 8e-4).abs() < 1e-12);
    }

    #[test]
    fn reaches_zero_with_the_last_update() {
        let at = |schedule, update| {
            let train = TrainSection { updates: 1000, ..section(schedule, 200) };
            learning_rate(&train, update)
        };
        // A quarter, a half and all of the 800 updates after the warm-up; cos(pi / 4) = sqrt(1/2).
        let cosine = 0.5 * (1.0 + 0.5f64.sqrt());
        for (schedule, quarter) in [(Schedule::Linear, 0.75), (Schedule::Cosine, cosine)] {
            let expected = [(200, 1.0), (400, quarter), (600, 0.5), (1000, 0.0)];
            for (update, share) in expected {
                assert!((at(schedule, update) - 8e-4 * share).abs() < 1e-12, "{schedule:?} {update}");
            }
            assert!((at(schedule, 100) - 4e-4).abs() < 1e-7, "the warm-up is the same");
        }
        let short = TrainSection { updates: 100, ..section(Schedule::Linear, 200) };
        assert!(learning_rate(&short, 100) > 3.9e-4, "a warm-up longer than the run");
    }
}
