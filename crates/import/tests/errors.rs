//! What is wrong with a model is named, and nothing is written.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use strata_import::{Options, import};
use strata_store::Existing;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/golden").join(name)
}

/// A copy of a golden model.
fn copy(name: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("m")).unwrap();
    for entry in fs::read_dir(golden(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), dir.path().join("m").join(entry.file_name())).unwrap();
    }
    dir
}

/// The error of importing; there is nothing beside the model then.
fn refused(dir: &tempfile::TempDir) -> String {
    let options = Options { from: Some("en".into()), to: Some("de".into()) };
    let result = import(&dir.path().join("m"), &dir.path().join("out"), &options, Existing::Refuse);
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["m"], "something was left behind");
    result.unwrap_err().to_string()
}

/// The error after a change of `config.json`.
fn configured(name: &str, key: &str, value: Value) -> String {
    let dir = copy(name);
    let path = dir.path().join("m/config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(&path, config.to_string()).unwrap();
    refused(&dir)
}

#[test]
fn paths_without_a_model() {
    let dir = tempfile::tempdir().unwrap();
    let says = |path: &Path| {
        import(path, &dir.path().join("x"), &Options::default(), Existing::Refuse).unwrap_err().to_string()
    };
    assert!(says(&dir.path().join("none")).contains("it does not exist. Known are folders of Hugging Face"));
    assert!(says(dir.path()).contains("none of the files"));
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/golden/m2m100");
    let model = dir.path().join("imported");
    import(&golden, &model, &Options::default(), Existing::Refuse).unwrap();
    assert!(says(&model).contains("it is a model of Strata already"));
}

#[test]
fn options_that_are_not_supported_are_named() {
    for (name, key, value, expected) in [
        ("m2m100", "model_type", json!("t5"), "model_type = \"t5\" is not supported; supported: \"m2m_100\""),
        ("m2m100", "activation_function", json!("tanh"), "activation_function = \"tanh\" is not supported"),
        ("m2m100", "encoder_layers", json!("2"), "encoder_layers = \"2\" is not supported; supported: a whole number"),
        ("m2m100", "encoder_attention_heads", json!(3), "heads = 3 does not divide d_model = 16"),
        ("nllb-moe", "decoder_sparse_step", json!(1), "decoder_sparse_step = 1 is not supported"),
        ("nllb-moe", "second_expert_policy", json!("sampling"), "second_expert_policy = \"sampling\" is not supported"),
        ("nllb-moe", "moe_eval_capacity_token_fraction", json!(0.5), "moe_eval_capacity_token_fraction = 0.5"),
        ("marian", "normalize_before", json!(true), "normalize_before = true is not supported; supported: false"),
    ] {
        let error = configured(name, key, value);
        assert!(error.contains("config.json: ") || error.contains("heads"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}

/// Numbers of a configuration are not believed before the files are seen to have as much.
#[test]
fn sizes_beyond_any_model_or_its_files() {
    let limit = |size: &str| format!("{size} must be between 1 and");
    let quintillion = 1_000_000_000_000_000_000u64;
    for (name, key, value, expected) in [
        ("m2m100", "vocab_size", quintillion, limit("config.json: vocab_size = 1000000000000000000")),
        ("m2m100", "vocab_size", 100_000_000_000, limit("config.json: vocab_size = 100000000000")),
        ("m2m100", "vocab_size", 10_000_000, "tensor `model.shared.weight` is [".to_owned()),
        ("marian", "vocab_size", quintillion, limit("config.json: vocab_size = 1000000000000000000")),
        ("marian", "decoder_vocab_size", quintillion, "tensor `model.shared.weight` is [".to_owned()),
        ("marian-apart", "vocab_size", 10_000_000, "tensor `model.encoder.embed_tokens.weight` is [".to_owned()),
        ("marian-apart", "decoder_vocab_size", 10_000_000, "`model.decoder.embed_tokens.weight` is [".to_owned()),
        ("m2m100", "encoder_layers", quintillion, limit("config.json: encoder_layers = 1000000000000000000")),
        ("marian", "decoder_layers", 1000, "tensors, but its configuration describes 1002 layers and exp".to_owned()),
        ("m2m100", "encoder_ffn_dim", 0, limit("config.json: encoder_ffn_dim: d_ffn = 0")),
        ("m2m100", "decoder_attention_heads", 0, limit("decoder_attention_heads: network.decoder.heads = 0")),
        ("m2m100", "max_position_embeddings", u64::MAX, limit("max_length = 18446744073709551615")),
        ("m2m100", "pad_token_id", u64::MAX, "pad_token_id = 18446744073709551615 is not supported".to_owned()),
        ("nllb-moe", "num_experts", quintillion, "config.json: num_experts: experts = 1000000000000000000".to_owned()),
        ("nllb-moe", "num_experts", 60_000, "tensors, but its configuration describes 120004 layers and".to_owned()),
    ] {
        let error = configured(name, key, json!(value));
        assert!(error.contains(&expected), "{name} {key} = {value}: {error}");
    }
}

#[test]
#[cfg(unix)]
fn files_that_never_end() {
    for name in ["config.json", "vocab.json", "sentencepiece.bpe.model", "model.safetensors"] {
        let dir = copy("m2m100");
        let path = dir.path().join("m").join(name);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        assert!(!refused(&dir).is_empty());
    }
}

#[test]
fn tensors_that_do_not_fit_the_configuration() {
    let error = configured("m2m100", "encoder_ffn_dim", json!(25));
    assert!(error.contains("fc1.weight` is [24, 16], expected [25, 16]"), "{error}");
    let error = configured("m2m100", "encoder_layers", json!(3));
    assert!(error.contains("has no tensor `model.encoder.layers.2."), "{error}");
    let error = configured("m2m100", "encoder_layers", json!(1));
    assert!(error.contains("tensor `model.encoder.layers.1.") && error.contains("has no place"), "{error}");
    let error = configured("nllb-moe", "num_experts", json!(5));
    assert!(error.contains("has no tensor `model.encoder.layers.1.ffn.experts.expert_4.fc1.weight`"), "{error}");
}

#[test]
fn vocabularies_of_another_size() {
    let error = configured("m2m100", "vocab_size", json!(60));
    assert!(error.contains("the table has 60 rows"), "{error}");
    let error = configured("marian", "vocab_size", json!(50));
    assert!(error.contains("vocab.json: ") && error.contains("the table has 50 rows"), "{error}");
    let dir = copy("nllb");
    for name in ["added_tokens.json", "special_tokens_map.json"] {
        fs::remove_file(dir.path().join("m").join(name)).unwrap();
    }
    assert!(refused(&dir).contains("no list of languages"));
}

#[test]
fn shards_that_are_cut_short_or_missing() {
    let dir = copy("nllb-moe");
    let shard = dir.path().join("m/model-00002-of-00003.safetensors");
    let whole = fs::read(&shard).unwrap();
    fs::write(&shard, &whole[..whole.len() / 2]).unwrap();
    assert!(refused(&dir).contains("model-00002-of-00003.safetensors is cut short"));
    fs::remove_file(&shard).unwrap();
    assert!(refused(&dir).ends_with("model-00002-of-00003.safetensors is missing"));
    fs::remove_file(dir.path().join("m/model.safetensors.index.json")).unwrap();
    assert!(refused(&dir).contains("no weights here; looked for model.safetensors, model.safetensors.index.json"));
}

#[test]
fn weights_that_are_no_numbers() {
    let dir = copy("m2m100");
    let path = dir.path().join("m/model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(refused(&dir).contains("values that are no finite numbers"));
}

#[test]
fn a_bilingual_model_without_languages() {
    let dir = copy("marian-apart");
    let result = import(&dir.path().join("m"), &dir.path().join("out"), &Options::default(), Existing::Refuse);
    assert!(result.unwrap_err().to_string().contains("do not say what language it translates from"));
}

#[test]
fn an_existing_folder_is_kept() {
    let dir = copy("m2m100");
    fs::create_dir(dir.path().join("out")).unwrap();
    let result = import(&dir.path().join("m"), &dir.path().join("out"), &Options::default(), Existing::Refuse);
    assert!(result.unwrap_err().to_string().contains("exists already"));
    import(&dir.path().join("m"), &dir.path().join("out"), &Options::default(), Existing::Replace).unwrap();
}
