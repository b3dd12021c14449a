//! The values of a recipe that must agree with each other.

use crate::error::ConfigError;
use crate::init::check_upcycling;
use crate::keys::keys;
use crate::recipe::Recipe;

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
    let fault = |key, message| Err(Fault { key, message });
    if data.max_length > model.max_length {
        let message = format!(
            "data.max_length = {} is more than model.max_length = {}, the longest that the model can read",
            data.max_length, model.max_length
        );
        return fault("data.max_length", message);
    }
    if let Some(direction) = data.directions.iter().find(|direction| !is_direction(direction)) {
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
    if train.average_last > train.keep_last {
        let message = format!(
            "train.average_last = {} is more than train.keep_last = {}; keep at least as many checkpoints as are averaged",
            train.average_last, train.keep_last
        );
        return fault("train.average_last", message);
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

fn is_direction(text: &str) -> bool {
    text.split_once('-').is_some_and(|(source, target)| {
        !source.is_empty() && !target.is_empty() && !target.contains('-') && source != target
    })
}
