//! Dense models of Strata's own as Pegasus of transformers: the same tensors, ids and probabilities.

use std::borrow::Cow;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use strata_corpus::Subwords;
use strata_corpus::languages::every_direction;
use strata_corpus::subword::EOS;
use strata_import::export_huggingface;
use strata_recipe::{Activation, Decoder, Kind, Mark, ModelConfig, Network, Prompts};
use strata_runtime::{Engine, Limits, Model, Precision, RandomWeights, Request, Weights};
use strata_store::{Existing, ModelFolder, ModelParts, TensorFile, TensorList};

const LANGUAGES: [&str; 2] = ["de", "en"];

/// Random weights, and which a model asked for.
struct Recorded(RandomWeights, RefCell<TensorList<'static>>);

impl Weights for Recorded {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, strata_runtime::Error> {
        let values = self.0.f32(name, shape)?.into_owned();
        if self.1.borrow().f32(name, shape).is_none() {
            self.1.borrow_mut().push_f32(name, shape, values.clone());
        }
        Ok(Cow::Owned(values))
    }
}

fn subwords() -> Subwords {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/tests/data/unigram-bytes.model");
    Subwords::import(&data, &LANGUAGES).unwrap()
}

/// Everything that Pegasus has as an option, and the usual model.
fn configs() -> [ModelConfig; 2] {
    let usual = ModelConfig {
        encoder_layers: 2,
        decoder_layers: 3,
        d_model: 16,
        d_ffn: 40,
        heads: 4,
        max_length: 64,
        vocab_size: subwords().vocab_size(),
        ..ModelConfig::default()
    };
    let decoder = Decoder { d_ffn: Some(24), heads: Some(2), ..Decoder::default() };
    let network = Network { activation: Activation::Swish, decoder, ..Network::default() };
    [ModelConfig { network, ..usual.clone() }, usual]
}

/// A model of random weights as the folder `model`, and its engine.
fn model(config: &ModelConfig, dir: &Path) -> (ModelFolder, Engine) {
    let weights = Recorded(RandomWeights::new(7), RefCell::default());
    let engine = Engine::new(Arc::new(Model::pack(config, &weights, Precision::F32).unwrap()));
    let (json, tokenizer) = (config.to_json(), subwords().to_json());
    let languages = every_direction(&LANGUAGES.map(String::from));
    let parts = ModelParts {
        config: json.as_bytes(),
        tokenizer: tokenizer.as_bytes(),
        languages: languages.as_bytes(),
        weights: &weights.1.into_inner(),
        extra: &[],
    };
    let folder = ModelFolder::write(dir.join("model"), &parts, Existing::Refuse).unwrap();
    (folder, engine)
}

fn json(path: PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_dense_model_becomes_pegasus() {
    for config in configs() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = model(&config, dir.path());
        let out = export_huggingface(&folder, &dir.path().join("out"), Existing::Refuse).unwrap();
        let options = json(out.join("config.json"));
        for (name, value) in [
            ("model_type", Value::from("pegasus")),
            ("pad_token_id", 0.into()),
            ("eos_token_id", 1.into()),
            ("decoder_start_token_id", Value::Null), // the tag of the language, which the caller gives
            ("decoder_layers", 3.into()),
            ("decoder_ffn_dim", config.network.decoder.d_ffn.unwrap_or(40).into()),
            ("vocab_size", config.vocab_size.into()),
            ("scale_embedding", true.into()),
        ] {
            assert_eq!(options[name], value, "{name}");
        }
        // Every tensor is there with the same bytes; the positions besides, which transformers would miss.
        let [ours, theirs] = [folder.file("model.safetensors"), out.join("model.safetensors")]
            .map(|file| TensorFile::open(file).unwrap());
        assert_eq!(ours.names().count() + 2, theirs.names().count());
        let positions = theirs.f32("model.decoder.embed_positions.weight", &[64, 16]).unwrap();
        assert_eq!(positions[..16], [[0.0; 8], [1.0; 8]].concat());
        assert!((positions[16] - 1f32.sin()).abs() < 1e-6 && (positions[16 + 15] - 1.0).abs() < 1e-6);
        for (name, other) in [
            ("embedding.weight", "model.shared.weight"),
            ("encoder.norm.bias", "model.encoder.layer_norm.bias"),
            ("decoder.layers.2.cross_attention.norm.weight", "model.decoder.layers.2.encoder_attn_layer_norm.weight"),
            ("decoder.layers.0.ffn.fc1.weight", "model.decoder.layers.0.fc1.weight"),
        ] {
            assert_eq!(ours.view(name).unwrap().bytes, theirs.view(other).unwrap().bytes, "{name}");
        }
    }
}

#[test]
fn other_own_models_are_refused() {
    let [_, usual] = configs();
    let experts = ModelConfig { kind: Kind::Smoe, strata: vec![2, 2], experts: 4, ..usual.clone() };
    let prompts = Prompts { source_front: vec![], source_end: vec![Mark::End], ..Prompts::default() };
    for (config, words) in [
        (experts, "no mixture of experts with the positions of SMoE-2-2"),
        (ModelConfig { prompts, ..usual.clone() }, "`prompts` in this one's config.json"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (folder, _) = model(&config, dir.path());
        let error = export_huggingface(&folder, &dir.path().join("out"), Existing::Refuse).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(!dir.path().join("out").exists());
    }
}

/// The ids that the tokenizer gives a text behind its tag, the log-probabilities of a target, and what a greedy search
/// finds with the tag as its first token.
const COMPARE: &str = r#"
import json, sys, torch, transformers
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
transformers.logging.set_verbosity_error()
folder, text, tag, target = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
tokenizer = AutoTokenizer.from_pretrained(folder)
model, loaded = AutoModelForSeq2SeqLM.from_pretrained(folder, output_loading_info=True)
model.eval()
lacking = set(loaded["missing_keys"]) - {"final_logits_bias"}
assert not lacking and not loaded["unexpected_keys"], loaded
given = tokenizer(tag + text, return_tensors="pt")
start = tokenizer.convert_tokens_to_ids(tag)
with torch.no_grad():
    logits = model(**given, decoder_input_ids=torch.tensor([[start] + target])).logits[0]
    scores = logits.log_softmax(-1)[range(len(target) + 1), target + [1]]
    found = model.generate(**given, decoder_start_token_id=start, num_beams=1, max_new_tokens=5)
print(json.dumps({"ids": given.input_ids[0].tolist(), "scores": scores.tolist(), "found": found[0].tolist()}))
"#;

#[test]
fn transformers_computes_the_same() {
    const TEST: &str = "transformers_computes_the_same";
    let python = std::env::var("STRATA_PYTHON").unwrap_or_default();
    let has = "import torch, transformers; assert transformers.__version__ == '4.57.6'";
    if !Command::new(&python).args(["-c", has]).output().is_ok_and(|probed| probed.status.success()) {
        return strata_testing::skip(TEST, "STRATA_PYTHON names no Python with torch and transformers 4.57.6");
    }
    for config in configs() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, engine) = model(&config, dir.path());
        let out = export_huggingface(&folder, &dir.path().join("out"), Existing::Refuse).unwrap();
        let (subwords, text) = (subwords(), "the river carries 12 stones, and the old town sleeps.");
        let tag = subwords.tag("de").unwrap();
        let (source, target) =
            ([&[tag], subwords.encode(text).as_slice(), &[EOS]].concat(), subwords.encode("the old"));
        let request = Request::score(source.clone(), [tag], EOS, target.clone());
        let scored = engine.translate(&[request], &Limits::default()).unwrap();
        let ran = Command::new(&python)
            .args(["-c", COMPARE])
            .args([out.as_os_str(), text.as_ref(), "<2de>".as_ref(), format!("{target:?}").as_ref()])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{error}");
        let theirs: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(theirs["ids"], Value::from(source));
        assert_eq!(theirs["found"][0], Value::from(tag));
        let scores: Vec<f32> =
            theirs["scores"].as_array().unwrap().iter().map(|s| s.as_f64().unwrap() as f32).collect();
        let ours = &scored[0][0].token_scores;
        assert_eq!(scores.len(), ours.len());
        let apart = ours.iter().zip(&scores).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-4, "{apart}: {ours:?} {scores:?}");
    }
}
