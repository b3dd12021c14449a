//! The checks behind [`ModelConfig::validate`]: each value alone, then the values that must agree.

use strata_routing::MOST_CHOICES;

use crate::cost::Cost;
use crate::error::ConfigError;
use crate::model_config::{Kind, ModelConfig};
use crate::rules::{ExitRule, Visible};

/// Far beyond today's models, and low enough that no count of parameters overflows.
const MOST_LAYERS: usize = 1_024;
const MOST_EXPERTS: usize = 65_536;
const MOST_D_MODEL: usize = 65_536;
const MOST_D_FFN: usize = 1 << 20;
const MOST_SUBWORDS: usize = 1 << 24;
const LONGEST: usize = 1 << 20;
/// 4 TB of f32 weights.
const MOST_PARAMETERS: u128 = 1_000_000_000_000;

fn fault(key: &'static str, message: String) -> ConfigError {
    ConfigError { key, message }
}

pub(crate) fn validate(config: &ModelConfig) -> Result<(), ConfigError> {
    sizes(config)?;
    probabilities(config)?;
    experts(config)?;
    let parameters = Cost::parameters_of(config);
    if parameters > MOST_PARAMETERS {
        let message = format!("these sizes make {parameters} parameters; the limit is {MOST_PARAMETERS}");
        return Err(fault("d_model", message));
    }
    Ok(())
}

fn sizes(config: &ModelConfig) -> Result<(), ConfigError> {
    let ModelConfig { d_model, heads, .. } = *config;
    for (key, value, most) in [
        ("encoder_layers", config.encoder_layers, MOST_LAYERS),
        ("decoder_layers", config.decoder_layers, MOST_LAYERS),
        ("moe_every", config.moe_every, MOST_LAYERS),
        ("d_model", d_model, MOST_D_MODEL),
        ("d_ffn", config.d_ffn, MOST_D_FFN),
        ("heads", heads, MOST_D_MODEL),
        ("vocab_size", config.vocab_size, MOST_SUBWORDS),
        ("max_length", config.max_length, LONGEST),
    ] {
        if value == 0 || value > most {
            return Err(fault(key, format!("{key} = {value} must be between 1 and {most}")));
        }
    }
    if d_model % 2 != 0 {
        let message = format!("d_model = {d_model} must be even: sinusoidal positions are pairs of sine and cosine");
        return Err(fault("d_model", message));
    }
    if d_model % heads != 0 {
        let message = format!("heads = {heads} does not divide d_model = {d_model}");
        return Err(fault("heads", message));
    }
    Ok(())
}

fn probabilities(config: &ModelConfig) -> Result<(), ConfigError> {
    for (key, value) in [
        ("dropout", config.dropout),
        ("attention_dropout", config.attention_dropout),
        ("activation_dropout", config.activation_dropout),
        ("eom", config.eom),
        ("fom", config.fom),
        ("cmr_gate_dropout", config.cmr_gate_dropout),
    ] {
        if !(0.0..1.0).contains(&value) {
            return Err(fault(key, format!("{key} = {value} must be a probability, at least 0 and below 1")));
        }
    }
    if !(0.0..=1.0).contains(&config.cmr_budget) {
        let message = format!("cmr_budget = {} is a share and must be between 0 and 1", config.cmr_budget);
        return Err(fault("cmr_budget", message));
    }
    for (key, value) in [("balance_weight", config.balance_weight), ("cmr_weight", config.cmr_weight)] {
        if !(value >= 0.0 && value.is_finite()) {
            return Err(fault(key, format!("{key} = {value} weighs a loss and must be 0 or more")));
        }
    }
    match config.capacity_factor {
        Some(factor) if !(factor > 0.0 && factor <= MOST_EXPERTS as f64) => {
            let message = format!(
                "capacity_factor = {factor} must be positive and at most {MOST_EXPERTS}; leave it out for no limit"
            );
            Err(fault("capacity_factor", message))
        }
        _ => Ok(()),
    }
}

fn experts(config: &ModelConfig) -> Result<(), ConfigError> {
    let ModelConfig { kind, experts, ref strata, top_k, eom, .. } = *config;
    if experts > MOST_EXPERTS {
        return Err(fault("experts", format!("experts = {experts} is more than the limit of {MOST_EXPERTS}")));
    }
    if kind == Kind::Dense {
        if experts > 0 {
            return Err(fault("experts", format!("experts = {experts}, but kind \"dense\" has no experts")));
        }
        for (key, rate) in [("eom", eom), ("fom", config.fom)] {
            if rate > 0.0 {
                let message =
                    format!("{key} = {rate} masks the output of experts, but kind \"dense\" has none; set it to 0");
                return Err(fault(key, message));
            }
        }
    }
    match kind {
        Kind::Smoe | Kind::Stacked => check_strata(config)?,
        Kind::Dense | Kind::Moe | Kind::Switch | Kind::Cmr if !strata.is_empty() => {
            let message =
                format!("strata = {strata:?}, but kind \"{kind}\" has no strata; set strata = [], or kind = \"smoe\"");
            return Err(fault("strata", message));
        }
        Kind::Moe | Kind::Switch | Kind::Cmr if experts == 0 => {
            return Err(fault("experts", format!("experts = 0, but kind \"{kind}\" needs at least one expert")));
        }
        _ => {}
    }
    check_top_k(config)?;
    check_strata_rules(config)?;
    if kind == Kind::Switch && top_k != 1 {
        let message =
            format!("top_k = {top_k}, but kind \"switch\" uses one expert a token; set top_k = 1, or kind = \"moe\"");
        return Err(fault("top_k", message));
    }
    if kind != Kind::Dense && config.expert_blocks() == (0, 0) {
        let message = format!(
            "moe_every = {} leaves no expert block in {} encoder and {} decoder layers; lower it, or set kind = \"dense\"",
            config.moe_every, config.encoder_layers, config.decoder_layers
        );
        return Err(fault("moe_every", message));
    }
    Ok(())
}

fn check_strata(config: &ModelConfig) -> Result<(), ConfigError> {
    let ModelConfig { kind, experts, ref strata, .. } = *config;
    if strata.is_empty() {
        let message = format!("strata is empty, but kind \"{kind}\" needs the experts of each stratum, e.g. [4, 4]");
        return Err(fault("strata", message));
    }
    if let Some(at) = strata.iter().position(|&experts| experts == 0) {
        let message = format!("strata = {strata:?}: stratum {} has no experts; each needs at least one", at + 1);
        return Err(fault("strata", message));
    }
    // Compared before summing, so that the sum cannot overflow.
    if strata.len() > MOST_EXPERTS || strata.iter().any(|&experts| experts > MOST_EXPERTS) {
        return Err(fault("strata", format!("strata have more than the limit of {MOST_EXPERTS} experts")));
    }
    let sum: usize = strata.iter().sum();
    if sum > MOST_EXPERTS {
        return Err(fault("strata", format!("strata have {sum} experts, more than the limit of {MOST_EXPERTS}")));
    }
    if experts != 0 && experts != sum {
        let message =
            format!("experts = {experts}, but strata = {strata:?} have {sum}; leave experts out or change it");
        return Err(fault("experts", message));
    }
    if kind == Kind::Stacked && strata.iter().any(|&experts| experts != strata[0]) {
        let message =
            format!("strata = {strata:?}, but the layers of kind \"stacked\" have the same number of experts");
        return Err(fault("strata", message));
    }
    Ok(())
}

/// The last gate sees the fewest experts, those of the last stratum.
fn check_top_k(config: &ModelConfig) -> Result<(), ConfigError> {
    let ModelConfig { kind, top_k, .. } = *config;
    let strata = config.block_strata();
    let last = strata.visible(strata.count().saturating_sub(1)).len();
    if strata.count() > 0 && top_k > last {
        let message = match kind {
            Kind::Smoe | Kind::Stacked => format!(
                "top_k = {top_k} is more than the last stratum of strata = {:?} has ({last}); lower top_k or enlarge it",
                config.strata
            ),
            _ => format!("top_k = {top_k} is more than experts = {last}; lower top_k or add experts"),
        };
        return Err(fault("top_k", message));
    }
    if !(1..=MOST_CHOICES).contains(&top_k) {
        return Err(fault("top_k", format!("top_k = {top_k} must be between 1 and {MOST_CHOICES}")));
    }
    Ok(())
}

/// The rules for strata beyond the paper's.
fn check_strata_rules(config: &ModelConfig) -> Result<(), ConfigError> {
    let ModelConfig { kind, exits, random_capacity, capacity_budget, visit_scale, .. } = *config;
    if !(visit_scale > 0.0 && visit_scale.is_finite()) {
        return Err(fault("visit_scale", format!("visit_scale = {visit_scale} is a factor and must be above 0")));
    }
    if kind != Kind::Smoe {
        for (key, set) in [
            ("visible", config.visible != Visible::Later),
            ("exits", exits != ExitRule::Choice),
            ("random_capacity", random_capacity != 0.0),
            ("capacity_budget", capacity_budget != 0.0),
            ("visit_scale", visit_scale != 1.0),
            ("learned_scale", config.learned_scale),
        ] {
            if set {
                let message = format!("{key} is for strata, and kind \"{kind}\" has none; leave it out");
                return Err(fault(key, message));
            }
        }
        return Ok(());
    }
    let strata = config.strata.len();
    let between = 1.0..=strata as f64;
    match exits {
        ExitRule::Random if !between.contains(&random_capacity) => {
            let message = format!(
                "random_capacity = {random_capacity} must be between 1 and {strata}, the number of strata, where exits \
                 are \"random\""
            );
            return Err(fault("random_capacity", message));
        }
        ExitRule::Choice | ExitRule::Learned | ExitRule::Never if random_capacity != 0.0 => {
            let message =
                format!("random_capacity = {random_capacity} needs exits = \"random\"; set exits, or leave it out");
            return Err(fault("random_capacity", message));
        }
        ExitRule::Never | ExitRule::Random if capacity_budget != 0.0 => {
            let message = format!(
                "capacity_budget = {capacity_budget} needs exits by choice; set exits = \"choice\" or \"learned\""
            );
            return Err(fault("capacity_budget", message));
        }
        _ => {}
    }
    if capacity_budget != 0.0 && !between.contains(&capacity_budget) {
        let message =
            format!("capacity_budget = {capacity_budget} must be between 1 and {strata}, the number of strata");
        return Err(fault("capacity_budget", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
