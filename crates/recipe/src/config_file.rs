//! `config.json`: how a [`ModelConfig`] is written and read.

use std::path::Path;

use serde::Deserialize;

use crate::error::Error;
use crate::model_config::ModelConfig;

/// The version of `config.json` that this crate writes; it reads every version up to this one.
///
/// Version 1 had neither `block_experts`, `network` nor `prompts`: their defaults are what it meant.
pub const FORMAT_VERSION: u32 = 2;

impl ModelConfig {
    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Io`] if the file cannot be read, otherwise as [`ModelConfig::from_json`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::unreadable(path.display().to_string(), source))?;
        Self::from_json(&text, &path.display().to_string())
    }

    /// Parses and checks the text of a `config.json`; `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::FormatVersion`] for a file of a later version, [`Error::Json`] for text that is not a configuration,
    /// [`Error::Config`] for values that cannot be.
    pub fn from_json(text: &str, origin: &str) -> Result<Self, Error> {
        /// Only the version, so that a later format is named as such before its unknown fields are.
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let json = |source| Error::Json { origin: origin.to_owned(), source };
        let version: Version = serde_json::from_str(text).map_err(json)?;
        if version.format_version == 0 || version.format_version > FORMAT_VERSION {
            return Err(Error::FormatVersion {
                origin: origin.to_owned(),
                found: version.format_version,
                known: FORMAT_VERSION,
            });
        }
        let mut config: ModelConfig = serde_json::from_str(text).map_err(json)?;
        config.format_version = FORMAT_VERSION;
        config.validate().map_err(|source| Error::Config { origin: origin.to_owned(), source })?;
        Ok(config)
    }

    /// The text of `config.json`, indented, with a final newline.
    pub fn to_json(&self) -> String {
        // A struct of plain fields always serializes; non-finite numbers become null and are refused when read.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Mark, Network, Prompts, Side};
    use crate::rules::{Exits, ExpertDropout, Initialization, Kind, Normalization, Visible};

    fn smoe(strata: &[usize]) -> ModelConfig {
        ModelConfig { kind: Kind::Smoe, strata: strata.to_vec(), ..ModelConfig::default() }
    }

    /// Files of models that the paper's rules make are as they were before there were others.
    #[test]
    fn rules_beyond_the_paper_are_written_only_where_they_hold() {
        let plain = smoe(&[4, 4]).to_json();
        for field in [
            "fom",
            "visible",
            "exits",
            "random",
            "budget\"",
            "visit_scale",
            "learned_scale",
            "initialization",
            "expert_dropout",
        ] {
            assert!(!plain.contains(field) || field == "budget\"" && plain.matches(field).count() == 1, "{field}");
        }
        let other = ModelConfig {
            visible: Visible::All,
            exits: Exits::Learned,
            capacity_budget: 1.25,
            visit_scale: 0.5,
            learned_scale: true,
            initialization: Initialization::Fairseq,
            expert_dropout: ExpertDropout::Each,
            fom: 0.1,
            ..smoe(&[4, 4])
        };
        assert_eq!(ModelConfig::from_json(&other.to_json(), "config.json").unwrap(), other);
    }

    #[test]
    fn json_round_trip() {
        let config = ModelConfig { capacity_factor: Some(1.0), eom: 0.1, ..smoe(&[4, 12]) };
        assert_eq!(ModelConfig::from_json(&config.to_json(), "config.json").unwrap(), config);
    }

    #[test]
    fn a_file_of_version_1_is_the_model_that_it_was() {
        let text = r#"{
            "format_version": 1, "kind": "smoe", "experts": 8, "strata": [4, 4], "top_k": 2, "moe_every": 2,
            "normalisation": "reference", "capacity_factor": null, "second_choice": "argmax", "eom": 0.0,
            "cmr_gate_dropout": 0.1, "cmr_budget": 0.8, "cmr_weight": 0.01, "balance_weight": 0.01,
            "encoder_layers": 6, "decoder_layers": 6, "d_model": 512, "d_ffn": 2048, "heads": 8, "dropout": 0.3,
            "attention_dropout": 0.1, "activation_dropout": 0.0, "vocab_size": 32000, "max_length": 512
        }"#;
        let config = ModelConfig::from_json(text, "config.json").unwrap();
        let same = ModelConfig { experts: 8, normalization: Normalization::Reference, ..smoe(&[4, 4]) };
        assert_eq!(config, same);
        assert_eq!(config.format_version, 2);
        assert_eq!((config.network, config.prompts), (Network::default(), Prompts::default()));
    }

    #[test]
    fn what_other_architectures_say_comes_back() {
        let text = ModelConfig { kind: Kind::Moe, experts: 8, ..ModelConfig::default() }.to_json();
        let network = r#""network": {
            "positions": {"frequencies": "tensor2tensor", "first": 2},
            "layer_norm": {"place": "post", "last": false, "epsilon": 1e-6}, "activation": "gelu-sigmoid",
            "embeddings": {"tables": "source-apart", "scale": "one", "output_bias": true, "source_vocab_size": 70},
            "decoder": {"mixer": "ssru", "d_ffn": 1024, "heads": 4}, "gate_bias": true
        }, "block_experts": [8, 4, 2, 8, 8, 3],
        "prompts": {"source_front": ["source"], "source_end": ["end"], "decoder": ["end", {"subword": 7}, "target"]}"#;
        let mut value: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        value.extend(serde_json::from_str::<serde_json::Map<_, _>>(&format!("{{{network}}}")).unwrap());
        let text = serde_json::to_string(&value).unwrap();
        let config = ModelConfig::from_json(&text, "config.json").unwrap();
        assert_eq!(ModelConfig::from_json(&config.to_json(), "config.json").unwrap(), config);
        let network = &config.network;
        assert_eq!((network.positions.first, network.layer_norm.last, network.gate_bias), (2, false, true));
        assert_eq!(config.prompts.decoder, [Mark::End, Mark::Subword(7), Mark::Target]);
        assert!(config.prompts.has(Mark::Source) && !config.prompts.has(Mark::Zero));
        let of = |side| (config.layers(side), config.d_ffn_of(side), config.heads_of(side));
        assert_eq!((of(Side::Encoder), of(Side::Decoder)), ((6, 2048, 8), (6, 1024, 4)));
        assert_eq!(config.source_vocab_size(), 70);
        let block = |side, layer| config.block_at(side, layer).map(|block| config.strata_of_block(block).experts());
        assert_eq!([1, 3, 5].map(|layer| block(Side::Encoder, layer)), [Some(8), Some(4), Some(2)]);
        assert_eq!([1, 3, 5].map(|layer| block(Side::Decoder, layer)), [Some(8), Some(8), Some(3)]);
        assert_eq!(block(Side::Decoder, 2), None);
        let wrong = text.replace("\"epsilon\"", "\"epsilom\"");
        let error = ModelConfig::from_json(&wrong, "config.json").unwrap_err().to_string();
        assert!(error.contains("epsilom"), "{error}");
    }

    #[test]
    fn a_later_format_an_unknown_field_and_a_bad_value_are_named() {
        let text = smoe(&[4, 4]).to_json();
        let message = |text: String| ModelConfig::from_json(&text, "m/config.json").unwrap_err().to_string();
        let later = message(text.replace("\"format_version\": 2", "\"format_version\": 7, \"new\": 3"));
        assert!(later.contains("m/config.json") && later.contains('7') && later.contains("newer"), "{later}");
        let unknown = message(text.replace("\"heads\"", "\"hedas\""));
        assert!(unknown.contains("hedas") && unknown.contains("line"), "{unknown}");
        let heads = message(text.replace("\"heads\": 8", "\"heads\": 7"));
        assert!(heads.contains("m/config.json") && heads.contains("heads = 7") && heads.contains("512"), "{heads}");
        assert!(message("{".into()).contains("m/config.json"));
    }
}
