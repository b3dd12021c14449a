//! The checks behind [`ModelConfig::validate`]: each value alone, then the values that must agree.

use strata_routing::MOST_CHOICES;

use crate::cost::Cost;
use crate::error::ConfigError;
use crate::model_config::ModelConfig;
use crate::network::{Frequencies, Mark, NormPlace, Side};
use crate::rules::{Exits, Kind, Visible};

/// Far beyond today's models, and low enough that no count of parameters overflows.
const MOST_LAYERS: usize = 1_024;
const MOST_EXPERTS: usize = 65_536;
/// Visits are counted in bytes.
const MOST_STRATA: usize = 255;
const MOST_D_MODEL: usize = 65_536;
const MOST_D_FFN: usize = 1 << 20;
const MOST_SUBWORDS: usize = 1 << 24;
const LONGEST: usize = 1 << 20;
/// Tokens around the text.
const MOST_MARKS: usize = 16;
/// 4 TB of f32 weights.
const MOST_PARAMETERS: u128 = 1_000_000_000_000;

fn fault(key: &'static str, message: String) -> ConfigError {
    ConfigError { key, message }
}

pub(crate) fn validate(config: &ModelConfig) -> Result<(), ConfigError> {
    sizes(config)?;
    probabilities(config)?;
    experts(config)?;
    network(config)?;
    prompts(config)?;
    let parameters = Cost::parameters_of(config);
    if parameters > MOST_PARAMETERS {
        let message = format!("these sizes make {parameters} parameters; the limit is {MOST_PARAMETERS}");
        return Err(fault("d_model", message));
    }
    Ok(())
}

pub(crate) fn sizes(config: &ModelConfig) -> Result<(), ConfigError> {
    let d_model = config.d_model;
    for (key, value, most) in [
        ("encoder_layers", config.encoder_layers, MOST_LAYERS),
        ("decoder_layers", config.decoder_layers, MOST_LAYERS),
        ("moe_every", config.moe_every, MOST_LAYERS),
        ("d_model", d_model, MOST_D_MODEL),
        ("d_ffn", config.d_ffn, MOST_D_FFN),
        ("network.decoder.d_ffn", config.d_ffn_of(Side::Decoder), MOST_D_FFN),
        ("heads", config.heads, MOST_D_MODEL),
        ("network.decoder.heads", config.heads_of(Side::Decoder), MOST_D_MODEL),
        ("vocab_size", config.vocab_size, MOST_SUBWORDS),
        ("max_length", config.max_length, LONGEST),
    ] {
        if value == 0 || value > most {
            return Err(fault(key, format!("{key} = {value} must be between 1 and {most}")));
        }
    }
    if !d_model.is_multiple_of(2) {
        let message = format!("d_model = {d_model} must be even: sinusoidal positions are pairs of sine and cosine");
        return Err(fault("d_model", message));
    }
    for (key, heads) in [("heads", config.heads), ("network.decoder.heads", config.heads_of(Side::Decoder))] {
        if !d_model.is_multiple_of(heads) {
            return Err(fault(key, format!("{key} = {heads} does not divide d_model = {d_model}")));
        }
    }
    let experts = config.experts;
    if experts > MOST_EXPERTS {
        return Err(fault("experts", format!("experts = {experts} is more than the limit of {MOST_EXPERTS}")));
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
    check_block_experts(config)?;
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
    if strata.iter().any(|&experts| experts > MOST_EXPERTS) {
        return Err(fault("strata", format!("strata have more than the limit of {MOST_EXPERTS} experts")));
    }
    if strata.len() > MOST_STRATA {
        return Err(fault("strata", format!("strata has {} numbers; at most {MOST_STRATA} are taken", strata.len())));
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

fn check_block_experts(config: &ModelConfig) -> Result<(), ConfigError> {
    let ModelConfig { kind, experts, ref block_experts, top_k, .. } = *config;
    let Some(largest) = block_experts.iter().max() else { return Ok(()) };
    let wrong = |message| Err(fault("block_experts", message));
    if !matches!(kind, Kind::Moe | Kind::Switch) {
        return wrong(format!(
            "block_experts differ by block, but the blocks of kind \"{kind}\" are alike; leave it out"
        ));
    }
    let (encoder, decoder) = config.expert_blocks();
    if block_experts.len() != encoder + decoder {
        return wrong(format!(
            "block_experts has {} numbers, but there are {encoder} expert blocks in the encoder and {decoder} in the \
             decoder",
            block_experts.len()
        ));
    }
    if let Some(block) = block_experts.iter().position(|experts| *experts < top_k.max(1)) {
        return wrong(format!(
            "block_experts: block {} has {} experts, but a token chooses top_k = {top_k}",
            block + 1,
            block_experts[block]
        ));
    }
    if *largest != experts {
        return wrong(format!("experts = {experts} must be the largest of block_experts, {largest}"));
    }
    Ok(())
}

fn network(config: &ModelConfig) -> Result<(), ConfigError> {
    let ModelConfig { kind, d_model, ref network, .. } = *config;
    if network.positions.first > LONGEST {
        let message = format!("network.positions.first = {} must be at most {LONGEST}", network.positions.first);
        return Err(fault("network.positions.first", message));
    }
    if network.positions.frequencies == Frequencies::Tensor2tensor && d_model < 4 {
        let message = format!("d_model = {d_model} is too small for positions with frequencies \"tensor2tensor\": 4");
        return Err(fault("d_model", message));
    }
    let epsilon = network.layer_norm.epsilon;
    // Below, f32 would not see it beside a variance of 1.
    if !(1e-30..1.0).contains(&epsilon) {
        let message = format!("network.layer_norm.epsilon = {epsilon} must be positive and below 1, such as 1e-5");
        return Err(fault("network.layer_norm.epsilon", message));
    }
    if network.layer_norm.place == NormPlace::Post && !matches!(kind, Kind::Dense | Kind::Moe | Kind::Switch) {
        let message = format!(
            "network.layer_norm.place = \"post\", but the blocks of kind \"{kind}\" have their own norms; set \"pre\""
        );
        return Err(fault("network.layer_norm.place", message));
    }
    if network.gate_bias && kind == Kind::Dense {
        let message = "network.gate_bias = true, but kind \"dense\" has no gates; set it to false".to_owned();
        return Err(fault("network.gate_bias", message));
    }
    match network.embeddings.source_vocab_size {
        Some(rows) if !network.embeddings.tables.source_apart() => {
            let message = format!(
                "network.embeddings.source_vocab_size = {rows}, but the source has no table of its own; set tables = \
                 \"source-apart\" or \"apart\""
            );
            Err(fault("network.embeddings.source_vocab_size", message))
        }
        Some(rows) if rows == 0 || rows > MOST_SUBWORDS => {
            let message =
                format!("network.embeddings.source_vocab_size = {rows} must be between 1 and {MOST_SUBWORDS}");
            Err(fault("network.embeddings.source_vocab_size", message))
        }
        _ => Ok(()),
    }
}

fn prompts(config: &ModelConfig) -> Result<(), ConfigError> {
    let prompts = &config.prompts;
    if prompts.decoder.is_empty() {
        let message = "prompts.decoder is empty, but the decoder needs a token to begin with, e.g. [\"target\"]";
        return Err(fault("prompts.decoder", message.to_owned()));
    }
    for (key, marks, rows) in [
        ("prompts.source_front", &prompts.source_front, config.source_vocab_size()),
        ("prompts.source_end", &prompts.source_end, config.source_vocab_size()),
        ("prompts.decoder", &prompts.decoder, config.vocab_size),
    ] {
        if marks.len() > MOST_MARKS {
            return Err(fault(key, format!("{key} has {} tokens; the limit is {MOST_MARKS}", marks.len())));
        }
        for (place, mark) in marks.iter().enumerate() {
            match *mark {
                Mark::Zero if key != "prompts.decoder" || place > 0 => {
                    let message = format!("{key}: \"zero\" can only be the first token of prompts.decoder");
                    return Err(fault(key, message));
                }
                Mark::Subword(id) if id as usize >= rows => {
                    return Err(fault(key, format!("{key}: subword {id} is outside the vocabulary of {rows}")));
                }
                _ => {}
            }
        }
    }
    let around = prompts.source_front.len() + prompts.source_end.len();
    if around.max(prompts.decoder.len()) >= config.max_length {
        let message = format!("max_length = {} leaves no room for text beside the prompts", config.max_length);
        return Err(fault("max_length", message));
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
            ("exits", exits != Exits::Choice),
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
        Exits::Random if !between.contains(&random_capacity) => {
            let message = format!(
                "random_capacity = {random_capacity} must be between 1 and {strata}, the number of strata, where exits \
                 are \"random\""
            );
            return Err(fault("random_capacity", message));
        }
        Exits::Choice | Exits::Learned | Exits::Never if random_capacity != 0.0 => {
            let message =
                format!("random_capacity = {random_capacity} needs exits = \"random\"; set exits, or leave it out");
            return Err(fault("random_capacity", message));
        }
        Exits::Never | Exits::Random if capacity_budget != 0.0 => {
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
