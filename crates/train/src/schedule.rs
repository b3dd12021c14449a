//! The learning rate of each update.

use strata_recipe::{Schedule, TrainSection};

/// The learning rate of update `update` (from 1): a linear warm-up from `warmup_init_lr` to `learning_rate`, then constant
/// or falling with the inverse square root of the update (Vaswani et al., 2017, equation 3; fairseq's `inverse_sqrt`).
pub fn learning_rate(train: &TrainSection, update: u64) -> f64 {
    let (peak, warmup) = (train.learning_rate, train.warmup);
    if update < warmup {
        let share = update as f64 / warmup as f64;
        return train.warmup_init_lr + (peak - train.warmup_init_lr) * share;
    }
    match train.schedule {
        Schedule::Constant => peak,
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
}
