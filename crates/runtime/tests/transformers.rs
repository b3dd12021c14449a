//! The engine against transformers (Hugging Face) on tiny models of its architectures, which `bench/golden_hf.py`
//! makes: the same probabilities, and the same translations by beam search. Weights and ids are used as they are there.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use strata_recipe::{
    Activation, Embeddings, Frequencies, Kind, LayerNorm, Mark, ModelConfig, Network, NormPlace, Positions, Prompts,
    Tables,
};
use strata_runtime::{Engine, Error, Hypothesis, Limits, Model, Precision, Request, SearchOptions, Weights};
use strata_store::TensorFile;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a golden file")).expect("JSON")
}

fn number(value: &Value, key: &str) -> usize {
    value[key].as_u64().unwrap_or_else(|| panic!("{key}")) as usize
}

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().expect("ids").iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

/// Weights by this project's names from files with those of transformers.
struct Files(Vec<TensorFile>);

impl Files {
    fn open(folder: &Path) -> Self {
        let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
        let weights = entries.filter(|path| {
            let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            name.starts_with("model") && name.ends_with(".safetensors")
        });
        Self(weights.map(|path| TensorFile::open(path).expect("weights")).collect())
    }

    fn with(&self, name: &str) -> Option<&TensorFile> {
        self.0.iter().find(|file| file.view(name).is_ok())
    }

    /// The first of several names that a file has.
    fn first(&self, names: &[String]) -> Option<(String, &TensorFile)> {
        names.iter().find_map(|name| Some((name.clone(), self.with(name)?)))
    }
}

/// The names that transformers has for a weight, in one of its models or another.
fn theirs(name: &str) -> Vec<String> {
    let whole = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    match name {
        "embedding.weight" => return whole(&["model.shared.weight", "model.decoder.embed_tokens.weight"]),
        "source_embedding.weight" => return whole(&["model.encoder.embed_tokens.weight"]),
        "output.weight" => return whole(&["lm_head.weight"]),
        "output.bias" | "embedding.bias" => return whole(&["final_logits_bias"]),
        _ => {}
    }
    let mut names = vec![format!("model.{name}")];
    for (ours, theirs) in [
        ("self_attention.norm", &["self_attn_layer_norm"][..]),
        ("cross_attention.norm", &["encoder_attn_layer_norm", "cross_attention_layer_norm"]),
        ("ffn.norm", &["final_layer_norm", "ff_layer_norm"]),
        ("block.norm.0", &["ff_layer_norm"]),
        ("coder.norm", &["coder.layer_norm"]),
        ("self_attention", &["self_attn"]),
        ("cross_attention.", &["encoder_attn.", "cross_attention."]),
        (".query.", &[".q_proj."]),
        (".key.", &[".k_proj."]),
        (".value.", &[".v_proj."]),
        (".output.", &[".out_proj."]),
        (".ffn.fc", &[".fc", ".ffn.fc"]),
        ("block.experts.", &["ffn.experts.expert_"]),
        ("block.gate.0", &["ffn.router.classifier"]),
    ] {
        names = names.iter().flat_map(|name| theirs.iter().map(|theirs| name.replace(ours, theirs))).collect();
    }
    names
}

impl Weights for Files {
    fn f32(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>, Error> {
        let names = theirs(name);
        let (found, file) = self.first(&names).unwrap_or_else(|| panic!("{name}: none of {names:?}"));
        let view = file.view(&found)?;
        // The bias of the output is a matrix of one row there.
        assert_eq!(view.shape.iter().product::<usize>(), shape.iter().product::<usize>(), "{name}");
        Ok(file.f32(&found, view.shape)?)
    }
}

/// The configuration that a `config.json` of transformers means.
fn configuration(theirs: &Value) -> ModelConfig {
    let kind = theirs["model_type"].as_str().expect("model_type");
    let [d_ffn, decoder_d_ffn] = ["encoder_ffn_dim", "decoder_ffn_dim"].map(|key| number(theirs, key));
    let [heads, decoder_heads] = ["encoder_attention_heads", "decoder_attention_heads"].map(|key| number(theirs, key));
    let mut network = Network::default();
    (network.decoder.d_ffn, network.decoder.heads) = (Some(decoder_d_ffn), Some(decoder_heads));
    let mut config = ModelConfig {
        encoder_layers: number(theirs, "encoder_layers"),
        decoder_layers: number(theirs, "decoder_layers"),
        d_model: number(theirs, "d_model"),
        d_ffn,
        heads,
        vocab_size: number(theirs, "vocab_size"),
        max_length: number(theirs, "max_position_embeddings"),
        ..ModelConfig::default()
    };
    if kind == "marian" {
        let shared = theirs["share_encoder_decoder_embeddings"] == true;
        network.layer_norm = LayerNorm { place: NormPlace::Post, last: false, epsilon: 1e-5 };
        network.activation =
            if theirs["activation_function"] == "swish" { Activation::Swish } else { Activation::Relu };
        let tables = if shared { Tables::Shared } else { Tables::Apart };
        network.embeddings = Embeddings { tables, output_bias: true, ..Embeddings::default() };
        config.prompts = Prompts { source_front: vec![], source_end: vec![], decoder: vec![Mark::Padding] };
    } else {
        network.positions = Positions { frequencies: Frequencies::Tensor2tensor, first: 2, ..Positions::default() };
        let decoder = vec![Mark::End, Mark::Target];
        config.prompts = Prompts { source_front: vec![], source_end: vec![], decoder };
    }
    if kind == "nllb-moe" {
        (config.kind, config.experts) = (Kind::Moe, number(theirs, "num_experts"));
        config.moe_every = number(theirs, "encoder_sparse_step");
        config.eom = theirs["moe_token_dropout"].as_f64().expect("a share");
        network.gate_bias = theirs["router_bias"] == true;
    }
    config.network = network;
    config
}

/// A golden model in this engine, with what transformers computed.
struct Golden {
    name: &'static str,
    engine: Engine,
    theirs: Value,
    golden: Value,
    logits: TensorFile,
}

impl Golden {
    fn open(name: &'static str, precision: Precision) -> Self {
        let folder = folder(name);
        let theirs = json(&folder.join("config.json"));
        let model = Model::pack(&configuration(&theirs), &Files::open(&folder), precision).expect("a model");
        let golden = json(&folder.join("golden.json"));
        let logits = TensorFile::open(folder.join("golden.safetensors")).expect("logits");
        Self { name, engine: Engine::new(Arc::new(model)), theirs, golden, logits }
    }

    fn end(&self) -> u32 {
        number(&self.theirs, "eos_token_id") as u32
    }

    fn translate(&self, requests: &[Request]) -> Vec<Vec<Hypothesis>> {
        self.engine.translate(requests, &Limits::default()).expect("translations")
    }

    fn cases(&self) -> impl Iterator<Item = &Value> {
        self.golden["cases"].as_array().expect("cases").iter()
    }

    /// Log-probabilities of the whole vocabulary behind `target[..at]`.
    fn next(&self, case: &Value, target: &[u32], at: usize) -> Vec<f32> {
        let (source, prompt) = (ids(&case["ids"]), ids(&case["prompt"]));
        let vocabulary = self.engine.model().config().vocab_size as u32;
        let request = |id: u32| {
            // The end mark is scored behind every target.
            let more = (id != self.end()).then_some(id);
            let target = target[..at].iter().copied().chain(more).collect();
            Request::score(source.clone(), prompt.clone(), self.end(), target)
        };
        let found = self.translate(&(0..vocabulary).map(request).collect::<Vec<_>>());
        found.iter().map(|found| found[0].token_scores[at]).collect()
    }

    /// The distance of each log-probability from that of transformers.
    fn distances(&self) -> Vec<f32> {
        let mut distances = Vec::new();
        for (i, case) in self.cases().take(self.logits.names().count()).enumerate() {
            let target = ids(&case["wanted"]);
            let vocabulary = self.engine.model().config().vocab_size;
            let logits = self.logits.f32(&format!("logits.{i}"), &[target.len() + 1, vocabulary]).expect("logits");
            for (at, logits) in logits.chunks(vocabulary).enumerate() {
                let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let total = top + logits.iter().map(|logit| (logit - top).exp()).sum::<f32>().ln();
                let found = self.next(case, &target, at);
                distances.extend(found.iter().zip(logits).map(|(found, logit)| (found - (logit - total)).abs()));
            }
        }
        distances
    }

    /// Beam searches with the options of transformers find its translations. Of several it keeps the best of all that
    /// end in the last step, and this engine the first, so only the best is compared.
    fn same_translations(&self) {
        for case in self.cases() {
            let prompt = ids(&case["prompt"]);
            for beams in case["beams"].as_array().expect("searches") {
                let options = &beams["options"];
                let beam = number(options, "num_beams");
                let options = SearchOptions {
                    beam,
                    nbest: options["num_return_sequences"].as_u64().unwrap_or(1) as usize,
                    length_penalty: options["length_penalty"].as_f64().unwrap_or(1.0),
                    max_ratio: 0.0,
                    max_extra: number(&self.golden, "new_tokens"),
                    ..SearchOptions::default()
                };
                let mut request = Request::new(ids(&case["ids"]), prompt.clone(), self.end(), options);
                request.suppressed = ids(&self.golden["suppressed"]).into();
                let found = self.translate(&[request]).remove(0);
                let expected: Vec<Vec<u32>> = beams["ids"].as_array().expect("translations").iter().map(ids).collect();
                let with_end = |found: &Hypothesis| {
                    let ended = found.token_scores.len() > found.ids.len();
                    found.ids.iter().copied().chain(ended.then_some(self.end())).collect::<Vec<u32>>()
                };
                assert_eq!(found.len(), expected.len(), "{} {}", self.name, case["text"]);
                let (found, expected) = (with_end(&found[0]), &expected[0]);
                assert_eq!(&found, expected, "{} {}: {}", self.name, case["text"], beams["options"]);
            }
        }
    }
}

const MODELS: [&str; 6] = ["m2m100", "nllb", "nllb-moe", "nllb-moe-bias", "marian", "marian-apart"];

#[test]
fn probabilities_are_those_of_transformers() {
    for name in MODELS {
        let exact = Golden::open(name, Precision::F32).distances();
        let largest = exact.iter().copied().fold(0.0, f32::max);
        assert!(largest < 1e-4, "{name}: log-probabilities are up to {largest} from those of transformers");
        // Eight bits are coarse beside the large weights of these models.
        let rounded = Golden::open(name, Precision::Int8).distances();
        let mean = rounded.iter().sum::<f32>() / rounded.len() as f32;
        assert!(mean > largest && mean < 0.3, "{name}: in int8 {mean} on average");
    }
}

#[test]
fn beam_search_finds_the_translations_of_transformers() {
    MODELS.into_iter().for_each(|name| Golden::open(name, Precision::F32).same_translations());
}
