//! One test per fault; the message must name the key and the value and say what to do.

use super::*;
use crate::{Embeddings, LayerNorm, Network, Normalization, Positions, Prompts, SecondChoice, Tables};

fn smoe(strata: &[usize]) -> ModelConfig {
    ModelConfig { kind: Kind::Smoe, strata: strata.to_vec(), ..ModelConfig::default() }
}

fn moe(kind: Kind, experts: usize) -> ModelConfig {
    ModelConfig { kind, experts, ..ModelConfig::default() }
}

#[track_caller]
fn refused(config: ModelConfig, key: &str, words: &[&str]) {
    let error = config.validate().expect_err("should be refused");
    assert_eq!(error.key, key, "{error}");
    for word in words {
        assert!(error.message.contains(word), "`{word}` is not in: {error}");
    }
}

#[test]
fn every_kind_has_a_configuration_that_passes() {
    let switch = ModelConfig { top_k: 1, ..moe(Kind::Switch, 8) };
    let stacked = ModelConfig { kind: Kind::Stacked, ..smoe(&[4, 4]) };
    let top_1 = ModelConfig { top_k: 1, ..smoe(&[4, 1]) };
    let reference = ModelConfig {
        normalization: Normalization::Reference,
        second_choice: SecondChoice::Gumbel,
        experts: 16,
        eom: 0.1,
        capacity_factor: Some(1.0),
        ..smoe(&[4, 12])
    };
    for config in [ModelConfig::default(), moe(Kind::Moe, 8), moe(Kind::Cmr, 8), switch, stacked, top_1, reference] {
        config.validate().unwrap();
    }
}

#[test]
fn sizes_are_checked_alone_too() {
    // No prompts and no strata: nothing but sizes counts.
    let prompts = Prompts { decoder: vec![], ..Prompts::default() };
    let sizes = ModelConfig { prompts, ..smoe(&[]) };
    sizes.check_sizes().unwrap();
    assert!(sizes.validate().is_err());
    let most = usize::MAX;
    for (config, key) in [
        (ModelConfig { encoder_layers: most, ..sizes.clone() }, "encoder_layers"),
        (ModelConfig { vocab_size: most, ..sizes.clone() }, "vocab_size"),
        (ModelConfig { experts: most, ..sizes.clone() }, "experts"),
        (ModelConfig { d_model: 0, ..sizes }, "d_model"),
    ] {
        assert_eq!(config.check_sizes().unwrap_err().key, key);
    }
}

#[test]
fn an_empty_list_of_strata() {
    refused(smoe(&[]), "strata", &["empty", "[4, 4]"]);
    refused(ModelConfig { kind: Kind::Stacked, experts: 8, ..smoe(&[]) }, "strata", &["empty", "stacked"]);
}

#[test]
fn zero_experts() {
    refused(smoe(&[4, 0, 4]), "strata", &["[4, 0, 4]", "stratum 2"]);
    refused(moe(Kind::Moe, 0), "experts", &["experts = 0", "moe"]);
}

#[test]
fn top_k_larger_than_the_last_stratum() {
    refused(smoe(&[4, 1]), "top_k", &["top_k = 2", "last stratum", "[4, 1]"]);
    refused(ModelConfig { top_k: 5, ..smoe(&[4, 4]) }, "top_k", &["top_k = 5", "last stratum", "(4)"]);
    refused(moe(Kind::Moe, 1), "top_k", &["top_k = 2", "experts = 1"]);
    refused(ModelConfig { top_k: 0, ..smoe(&[4, 4]) }, "top_k", &["top_k = 0", "between 1 and 8"]);
    refused(ModelConfig { top_k: 9, ..smoe(&[16, 16]) }, "top_k", &["top_k = 9", "between 1 and 8"]);
}

#[test]
fn kinds_that_contradict_other_keys() {
    refused(ModelConfig { kind: Kind::Cmr, experts: 8, ..smoe(&[4, 4]) }, "strata", &["cmr", "strata = []"]);
    refused(ModelConfig { kind: Kind::Dense, ..smoe(&[4, 4]) }, "strata", &["dense", "[4, 4]"]);
    refused(moe(Kind::Switch, 8), "top_k", &["switch", "top_k = 1"]);
    refused(ModelConfig { eom: 0.1, ..ModelConfig::default() }, "eom", &["dense", "set it to 0"]);
    refused(moe(Kind::Dense, 8), "experts", &["dense"]);
    refused(ModelConfig { experts: 8, ..smoe(&[4, 12]) }, "experts", &["experts = 8", "16"]);
    refused(ModelConfig { kind: Kind::Stacked, ..smoe(&[4, 12]) }, "strata", &["same number"]);
    refused(ModelConfig { moe_every: 7, ..smoe(&[4, 4]) }, "moe_every", &["moe_every = 7", "no expert block"]);
}

#[test]
fn sizes() {
    let base = ModelConfig::default;
    refused(ModelConfig { heads: 7, ..base() }, "heads", &["heads = 7", "d_model = 512"]);
    refused(ModelConfig { d_model: 513, heads: 3, ..base() }, "d_model", &["513", "even"]);
    refused(ModelConfig { encoder_layers: 0, ..base() }, "encoder_layers", &["between 1 and"]);
    refused(ModelConfig { moe_every: 0, ..smoe(&[4, 4]) }, "moe_every", &["between 1 and"]);
    refused(ModelConfig { vocab_size: usize::MAX, ..base() }, "vocab_size", &["between 1 and"]);
    refused(ModelConfig { d_ffn: 1 << 40, ..base() }, "d_ffn", &["between 1 and"]);
    refused(moe(Kind::Moe, usize::MAX), "experts", &["limit"]);
    refused(smoe(&[usize::MAX, usize::MAX]), "strata", &["limit"]);
    refused(smoe(&[65_536, 65_536]), "strata", &["131072"]);
    refused(smoe(&[2; 256]), "strata", &["256", "255"]);
    smoe(&[2; 255]).validate().unwrap();
    refused(ModelConfig { d_model: 65_536, d_ffn: 1 << 20, ..smoe(&[65_536]) }, "d_model", &["parameters", "limit"]);
}

#[test]
fn probabilities_and_weights() {
    let base = ModelConfig::default;
    refused(ModelConfig { dropout: 1.0, ..base() }, "dropout", &["dropout = 1", "below 1"]);
    refused(ModelConfig { attention_dropout: -0.1, ..base() }, "attention_dropout", &["-0.1"]);
    refused(ModelConfig { activation_dropout: f64::NAN, ..base() }, "activation_dropout", &["NaN"]);
    refused(ModelConfig { eom: 1.5, ..smoe(&[4, 4]) }, "eom", &["1.5"]);
    refused(ModelConfig { cmr_gate_dropout: 2.0, ..base() }, "cmr_gate_dropout", &["2"]);
    refused(ModelConfig { cmr_budget: 1.2, ..base() }, "cmr_budget", &["between 0 and 1"]);
    refused(ModelConfig { balance_weight: -1.0, ..base() }, "balance_weight", &["-1"]);
    refused(ModelConfig { cmr_weight: f64::INFINITY, ..base() }, "cmr_weight", &["inf"]);
    refused(ModelConfig { capacity_factor: Some(0.0), ..base() }, "capacity_factor", &["no limit"]);
}

#[test]
fn rules_for_strata_need_strata_and_go_together() {
    let strata = || smoe(&[4, 4]);
    let accepted = [
        ModelConfig { visible: Visible::All, exits: Exits::Learned, capacity_budget: 1.2, ..strata() },
        ModelConfig { exits: Exits::Random, random_capacity: 2.0, ..strata() },
        ModelConfig { exits: Exits::Never, visit_scale: 0.5, learned_scale: true, ..strata() },
        // One pool: the last gate sees all experts.
        ModelConfig { visible: Visible::All, top_k: 2, ..smoe(&[4, 1]) },
        ModelConfig { top_k: 4, ..smoe(&[8, 8]) },
    ];
    accepted.iter().for_each(|config| config.validate().unwrap());
    let random = |random_capacity| ModelConfig { exits: Exits::Random, random_capacity, ..strata() };
    refused(random(0.0), "random_capacity", &["between 1 and 2"]);
    refused(random(2.1), "random_capacity", &["2.1", "between 1 and 2"]);
    refused(ModelConfig { random_capacity: 1.5, ..strata() }, "random_capacity", &["exits = \"random\""]);
    refused(ModelConfig { capacity_budget: 3.0, ..strata() }, "capacity_budget", &["between 1 and 2"]);
    let fixed = ModelConfig { exits: Exits::Never, capacity_budget: 1.5, ..strata() };
    refused(fixed, "capacity_budget", &["exits by choice"]);
    refused(ModelConfig { visit_scale: 0.0, ..strata() }, "visit_scale", &["above 0"]);
    refused(ModelConfig { exits: Exits::Never, ..moe(Kind::Moe, 8) }, "exits", &["strata", "\"moe\""]);
    refused(ModelConfig { learned_scale: true, ..ModelConfig::default() }, "learned_scale", &["\"dense\""]);
    refused(ModelConfig { fom: 0.1, ..ModelConfig::default() }, "fom", &["masks the output of experts"]);
}

#[test]
fn experts_by_block_that_do_not_fit() {
    let config = |block_experts: &[usize]| ModelConfig { block_experts: block_experts.to_vec(), ..moe(Kind::Moe, 8) };
    config(&[8, 4, 4, 8, 2, 8]).validate().unwrap();
    refused(config(&[8, 4]), "block_experts", &["2 numbers", "3 expert blocks"]);
    refused(config(&[8, 4, 4, 8, 1, 8]), "block_experts", &["block 5", "1 experts", "top_k = 2"]);
    refused(config(&[4, 4, 4, 4, 4, 4]), "block_experts", &["experts = 8", "4"]);
    refused(ModelConfig { kind: Kind::Cmr, ..config(&[8; 6]) }, "block_experts", &["cmr", "leave it out"]);
}

#[test]
fn networks_that_cannot_be() {
    let with = |network| ModelConfig { network, ..ModelConfig::default() };
    let positions = Positions { first: usize::MAX, ..Positions::default() };
    refused(with(Network { positions, ..Network::default() }), "network.positions.first", &["at most"]);
    let frequencies = Frequencies::Tensor2tensor;
    let positions = Positions { frequencies, ..Positions::default() };
    let narrow = ModelConfig { d_model: 2, heads: 1, ..with(Network { positions, ..Network::default() }) };
    refused(narrow, "d_model", &["d_model = 2", "tensor2tensor"]);
    for epsilon in [0.0, -1e-5, f64::NAN, 1.0] {
        let layer_norm = LayerNorm { epsilon, ..LayerNorm::default() };
        refused(with(Network { layer_norm, ..Network::default() }), "network.layer_norm.epsilon", &["positive"]);
    }
    let layer_norm = LayerNorm { place: NormPlace::Post, ..LayerNorm::default() };
    let post = Network { layer_norm, ..Network::default() };
    with(post).validate().unwrap();
    refused(ModelConfig { network: post, ..smoe(&[4, 4]) }, "network.layer_norm.place", &["post", "smoe"]);
    refused(with(Network { gate_bias: true, ..Network::default() }), "network.gate_bias", &["no gates"]);
    let mut decoder = Network::default();
    decoder.decoder.heads = Some(7);
    refused(with(decoder), "network.decoder.heads", &["= 7", "512"]);
    decoder.decoder.heads = Some(0);
    refused(with(decoder), "network.decoder.heads", &["= 0"]);
    decoder = Network::default();
    decoder.decoder.d_ffn = Some(0);
    refused(with(decoder), "network.decoder.d_ffn", &["= 0"]);
    let tables = |tables, rows| {
        let embeddings = Embeddings { tables, source_vocab_size: Some(rows), ..Embeddings::default() };
        with(Network { embeddings, ..Network::default() })
    };
    tables(Tables::Apart, 70).validate().unwrap();
    refused(tables(Tables::Shared, 70), "network.embeddings.source_vocab_size", &["= 70", "source-apart"]);
    refused(tables(Tables::Apart, 0), "network.embeddings.source_vocab_size", &["= 0"]);
}

#[test]
fn prompts_that_cannot_be() {
    let usual = Prompts::default;
    let with = |prompts| ModelConfig { prompts, ..ModelConfig::default() };
    with(Prompts { decoder: vec![Mark::Zero], ..usual() }).validate().unwrap();
    with(Prompts { source_front: vec![], source_end: vec![], ..usual() }).validate().unwrap();
    refused(with(Prompts { decoder: vec![], ..usual() }), "prompts.decoder", &["empty"]);
    refused(with(Prompts { decoder: vec![Mark::End, Mark::Zero], ..usual() }), "prompts.decoder", &["zero", "first"]);
    refused(with(Prompts { source_end: vec![Mark::Zero], ..usual() }), "prompts.source_end", &["zero"]);
    let beyond = Prompts { source_front: vec![Mark::Subword(32_000)], ..usual() };
    refused(with(beyond), "prompts.source_front", &["32000"]);
    refused(with(Prompts { source_end: vec![Mark::End; 17], ..usual() }), "prompts.source_end", &["17"]);
    let full = Prompts { decoder: vec![Mark::Target; 3], ..usual() };
    refused(ModelConfig { max_length: 3, ..with(full) }, "max_length", &["max_length = 3", "no room"]);
}
