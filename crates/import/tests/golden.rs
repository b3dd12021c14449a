//! Tiny random models of transformers (`bench/golden_hf.py`), imported: the same ids, the same probabilities, the same
//! translations of the same text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use strata_corpus::Subwords;
use strata_corpus::frame::Frame;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::subword::EOS;
use strata_formats::{Safetensors, Tensors, open_weights};
use strata_import::{Options, import};
use strata_recipe::SearchOptions;
use strata_runtime::{Engine, Hypothesis, Limits, Model, Precision, Request};
use strata_store::{Existing, ModelFolder};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/golden").join(name)
}

/// An imported model with what transformers computes with it.
struct Imported {
    _dir: tempfile::TempDir,
    folder: ModelFolder,
    subwords: Subwords,
    engine: Engine,
    golden: Value,
    logits: Safetensors,
    /// Our id of each of theirs.
    ours: Vec<u32>,
}

impl Imported {
    fn new(name: &str, table: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let source = golden(name);
        let options = Options { from: Some("en".into()), to: Some("de".into()) };
        import(&source, &dir.path().join("model"), &options, Existing::Refuse).unwrap();
        let folder = ModelFolder::open(dir.path().join("model")).unwrap();
        let subwords = Subwords::load(&folder.file("tokenizer.json")).unwrap();
        let engine = Engine::new(Arc::new(Model::load(&folder, Precision::F32).unwrap()));
        let golden = serde_json::from_slice(&std::fs::read(source.join("golden.json")).unwrap()).unwrap();
        let logits = Safetensors::open(&source.join("golden.safetensors")).unwrap();
        // Weights are random, so that a row of the table tells which id it belongs to.
        let weights = open_weights(&source).unwrap();
        let shape = weights.info(table).unwrap().shape;
        let theirs = weights.f32(table, &shape).unwrap();
        let file = folder.weights().unwrap();
        let rows = file.view("embedding.weight").unwrap().shape[0];
        let ours = file.f32("embedding.weight", &[rows, shape[1]]).unwrap();
        let place = |row: &[f32]| ours.chunks(shape[1]).position(|other| other == row).unwrap() as u32;
        let ours = theirs.chunks(shape[1]).map(place).collect();
        Self { _dir: dir, folder, subwords, engine, golden, logits, ours }
    }

    fn ids(&self, theirs: &Value) -> Vec<u32> {
        theirs.as_array().unwrap().iter().map(|id| self.ours[id.as_u64().unwrap() as usize]).collect()
    }

    /// The text of a case without its tag, and its frame.
    fn frame<'a>(&self, case: &'a Value) -> (&'a str, Frame) {
        let text = case["text"].as_str().unwrap();
        let (target, text) = match text.strip_prefix(">>").and_then(|text| text.split_once("<< ")) {
            Some((target, text)) => (Some(target), text),
            None => (case["target"].as_str(), text),
        };
        let tag = |language: Option<&str>| self.subwords.tag(language?);
        let prompts = self.folder.model_config().unwrap().prompts;
        (text, Frame::new(&prompts, tag(case["source"].as_str()), tag(target)).unwrap())
    }

    fn check(&self) {
        for (number, case) in self.golden["cases"].as_array().unwrap().iter().enumerate() {
            let (text, frame) = self.frame(case);
            let source: Vec<u32> = frame.source(self.subwords.encode(text)).collect();
            assert_eq!(source, self.ids(&case["ids"]), "{text}");
            assert_eq!(frame.prompt(), self.ids(&case["prompt"]), "{text}");
            let wanted = self.subwords.encode_target(TARGETS[number]);
            assert_eq!(wanted, self.ids(&case["wanted"]), "{}", TARGETS[number]);
            self.check_probabilities(number, Request::score(source.clone(), frame.prompt(), EOS, wanted));
            for beam in case["beams"].as_array().unwrap() {
                self.check_beam(beam, &source, frame.prompt());
            }
        }
    }

    /// The probabilities of a forced target, which need every logit.
    fn check_probabilities(&self, number: usize, request: Request) {
        let wanted: Vec<u32> = request.prefix.iter().copied().chain([EOS]).collect();
        let name = format!("logits.{number}");
        // The first sentences have their logits.
        let Some(shape) = self.logits.info(&name).map(|info| info.shape) else { return assert!(number > 0) };
        let logits = self.logits.f32(&name, &shape).unwrap();
        let found = self.engine.translate(&[request], &Limits::default()).unwrap();
        for ((row, id), score) in logits.chunks(shape[1]).zip(&wanted).zip(&found[0][0].token_scores) {
            let most = row.iter().copied().fold(f32::MIN, f32::max);
            let sum: f32 = row.iter().map(|logit| (logit - most).exp()).sum();
            let theirs = self.ours.iter().position(|ours| ours == id).unwrap();
            let expected = row[theirs] - most - sum.ln();
            assert!((score - expected).abs() < 1e-4, "{name}: {score} {expected}");
        }
    }

    fn check_beam(&self, beam: &Value, source: &[u32], prompt: &[u32]) {
        let options = &beam["options"];
        let width = options["num_beams"].as_u64().unwrap() as usize;
        let nbest = options["num_return_sequences"].as_u64().unwrap_or(1) as usize;
        let length_penalty = options["length_penalty"].as_f64().unwrap_or(1.0);
        let max_length = self.golden["new_tokens"].as_u64().unwrap() as usize;
        let search = SearchOptions { beam: width, nbest, length_penalty, max_length, ..SearchOptions::default() };
        let mut request = Request::new(source.to_vec(), prompt, EOS, search);
        request.suppressed = self.ids(&self.golden["suppressed"]).into();
        let found = self.engine.translate(&[request], &Limits::default()).unwrap().remove(0);
        let last = |ids: &Value| self.ours[ids.as_array().unwrap().last().unwrap().as_u64().unwrap() as usize];
        let theirs = beam["ids"].as_array().unwrap().iter().zip(beam["texts"].as_array().unwrap());
        let theirs: Vec<_> = theirs.enumerate().filter(|(_, (ids, _))| last(ids) == EOS).collect();
        let length = |ids: &Value| ids.as_array().unwrap().len();
        let longest = theirs.iter().map(|(_, (ids, _))| length(ids)).max();
        // What the length cut off is for each program to decide. Where the last step ends more hypotheses than there is
        // room for, transformers keeps the best of all, this engine those that ended earlier, as fairseq does.
        for (rank, (ids, text)) in
            theirs.into_iter().filter(|(rank, (ids, _))| *rank == 0 || Some(length(ids)) < longest)
        {
            let wanted = self.ids(ids);
            let same = |hypothesis: &&Hypothesis| wanted.strip_suffix(&[EOS]) == Some(&hypothesis.ids[..]);
            let hypothesis = if rank == 0 { found.first().filter(same) } else { found.iter().find(same) };
            let hypothesis = hypothesis.unwrap_or_else(|| panic!("{options}: no {text} {wanted:?} in {found:#?}"));
            assert_eq!(self.subwords.decode(&hypothesis.ids), text.as_str().unwrap().trim());
            if let Some(score) = beam["scores"][rank].as_f64() {
                assert!((f64::from(hypothesis.score) - score).abs() < 1e-4, "{} {score}", hypothesis.score);
            }
        }
    }
}

const TARGETS: [&str; 4] =
    ["Das Haus ist klein.", "Wir lesen ein Buch im Garten.", "Bitte die Datei öffnen!", "Kleines zählt"];

#[test]
fn m2m100() {
    let model = Imported::new("m2m100", "model.shared.weight");
    model.check();
    let languages = Languages::load(&model.folder.file(LANGUAGES_FILE)).unwrap();
    assert_eq!((languages.languages.len(), languages.directions.len()), (100, 9900));
}

#[test]
fn nllb() {
    let model = Imported::new("nllb", "model.shared.weight");
    model.check();
    assert_eq!(model.subwords.languages().len(), 202);
}

#[test]
fn nllb_moe() {
    for name in ["nllb-moe", "nllb-moe-bias"] {
        Imported::new(name, "model.shared.weight").check();
    }
}

#[test]
fn marian() {
    Imported::new("marian", "model.shared.weight").check();
    Imported::new("marian-apart", "model.decoder.embed_tokens.weight").check();
}
