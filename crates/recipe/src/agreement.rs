//! The values of a recipe that must agree with each other.

use crate::error::ConfigError;
use crate::init::check_upcycling;
use crate::keys::keys;
use crate::recipe::{ModelSection, Recipe};
use crate::rules::{Kind, Normalization, SecondChoice};

/// A contradiction, with the full name of the key at fault.
pub(crate) struct Fault {
    pub key: &'static str,
    pub message: String,
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Fault {
        let key = match error.key {
            "vocab_size" => "data.vocabulary",
            leaf => {
                keys().find(|key| key.section() == "model" && key.leaf() == leaf).map_or("model.kind", |key| key.name)
            }
        };
        Fault { key, message: format!("[{}] {}", key.split('.').next().unwrap_or_default(), error.message) }
    }
}

/// The values that must agree with each other.
pub(crate) fn check(recipe: &Recipe) -> Result<(), Fault> {
    recipe.planned_model_config()?;
    let Recipe { data, model, train, .. } = recipe;
    check_effects(model)?;
    let fault = |key, message| Err(Fault { key, message });
    if data.max_length > model.max_length {
        let message = format!(
            "data.max_length = {} is more than model.max_length = {}, the longest that the model can read",
            data.max_length, model.max_length
        );
        return fault("data.max_length", message);
    }
    if let Some(direction) = data.directions.iter().find(|direction| !may_be_direction(direction)) {
        let message =
            format!("data.directions: \"{direction}\" is not a direction; write SOURCE-TARGET, e.g. \"en-de\"");
        return fault("data.directions", message);
    }
    if train.warmup_init_lr > train.learning_rate {
        let message = format!(
            "train.warmup_init_lr = {} is more than train.learning_rate = {}, where the warm-up ends",
            train.warmup_init_lr, train.learning_rate
        );
        return fault("train.warmup_init_lr", message);
    }
    if train.upcycle {
        check_upcycling(model)?;
        if train.init.is_empty() {
            let message = "train.upcycle = true makes experts of a dense model; name it in train.init".to_string();
            return fault("train.init", message);
        }
    } else if train.upcycle_noise > 0.0 {
        let message = format!(
            "train.upcycle_noise = {} is for experts that train.upcycle = true copies; set that, or leave this out",
            train.upcycle_noise
        );
        return fault("train.upcycle_noise", message);
    }
    if train.average_decay > 0.0 && train.average_last > 0 {
        let message = format!(
            "train.average_decay = {} and train.average_last = {} both make the run's averaged model; set one to 0",
            train.average_decay, train.average_last
        );
        return fault("train.average_decay", message);
    }
    Ok(())
}

/// Whether a text may be a direction. Languages have hyphens too (`zh-Hans`), so it is the corpus that knows.
fn may_be_direction(text: &str) -> bool {
    text.match_indices('-').any(|(at, _)| {
        let (source, target) = (&text[..at], &text[at + 1..]);
        !source.is_empty() && !target.is_empty() && source != target
    })
}

/// Values of `[model]` that a recipe sets without effect. Models may have them: earlier programs took such recipes.
fn check_effects(model: &ModelSection) -> Result<(), ConfigError> {
    let ModelSection { kind, top_k, .. } = *model;
    let fault = |key, message: String| Err(ConfigError { key, message });
    if model.normalization == Normalization::Reference && kind != Kind::Smoe {
        return fault(
            "normalization",
            format!("normalization = \"reference\" is for strata, and kind \"{kind}\" has none; set \"paper\""),
        );
    }
    if model.second_choice == SecondChoice::Gumbel && (kind == Kind::Dense || top_k == 1) {
        let why = match kind {
            Kind::Dense => "kind \"dense\" has no experts".to_string(),
            _ => "top_k = 1 chooses one".to_string(),
        };
        return fault(
            "second_choice",
            format!("second_choice = \"gumbel\" samples second experts, but {why}; set \"argmax\""),
        );
    }
    Ok(())
}
