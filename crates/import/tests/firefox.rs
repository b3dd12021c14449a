//! A real Firefox model, imported, against a plain statement of the same model in another language.
//!
//! `STRATA_FIREFOX` names a folder with `model.XXYY.*.bin` and `vocab.*.spm`, and `source.txt` with the greedy
//! translations of its lines by that statement in `expected.txt`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use strata_corpus::Subwords;
use strata_corpus::frame::Frame;
use strata_corpus::subword::EOS;
use strata_import::{Options, import};
use strata_recipe::SearchOptions;
use strata_runtime::{Engine, Limits, Model, Precision, Request};
use strata_store::{Existing, ModelFolder};

#[test]
fn translations_are_those_of_the_reference() {
    let Ok(source) = std::env::var("STRATA_FIREFOX") else {
        return strata_testing::skip("translations_are_those_of_the_reference", "STRATA_FIREFOX names no model");
    };
    let source = Path::new(&source);
    let dir = tempfile::tempdir().unwrap();
    let summary = import(source, &dir.path().join("m"), &Options::default(), Existing::Refuse).unwrap();
    assert_eq!((summary.origin.as_str(), summary.directions), ("Firefox / Bergamot", 1));
    let folder = ModelFolder::open(&summary.model).unwrap();
    let subwords = Subwords::load(&folder.file("tokenizer.json")).unwrap();
    let frame = Frame::new(&folder.model_config().unwrap().prompts, None, None).unwrap();
    let engine = Engine::new(Arc::new(Model::load(&folder, Precision::F32).unwrap()));
    let read = |name: &str| fs::read_to_string(source.join(name)).unwrap();
    let (text, expected) = (read("source.txt"), read("expected.txt"));
    let request = |line: &str| {
        let options = SearchOptions { beam: 1, max_ratio: 3.0, ..SearchOptions::default() };
        let mut request = Request::new(frame.source(subwords.encode(line)).collect(), frame.prompt(), EOS, options);
        request.suppressed = subwords.control_ids().into();
        request
    };
    let requests: Vec<Request> = text.lines().map(request).collect();
    let found = engine.translate(&requests, &Limits::default()).unwrap();
    let found: Vec<String> = found.iter().map(|best| subwords.decode(&best[0].ids)).collect();
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(found.len(), expected.len());
    let other: Vec<_> = found.iter().zip(&expected).filter(|(found, expected)| found != *expected).collect();
    // Sums in another order decide ties otherwise.
    assert!(other.len() * 50 <= expected.len(), "{other:#?}");
}
