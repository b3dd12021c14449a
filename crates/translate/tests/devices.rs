//! The CPU engine against the model's own plain beam search: the same text from both.

mod common;

use common::Corpus;
use strata_model::{Transformer, parse_device};
use strata_translate::{SearchOptions, TranslateOptions, Translator};

#[test]
fn engine_and_model_translate_alike() {
    let corpus = Corpus::new();
    let config = corpus.config();
    let mut model = Transformer::new(&config, 5, &parse_device("cpu").unwrap()).unwrap();
    let engine = Translator::from_weights(&config, &model.weights(), corpus.subwords(), corpus.languages()).unwrap();
    let plain = Translator::from_model(model, corpus.subwords(), corpus.languages());
    let search = SearchOptions { beam: 3, nbest: 3, max_ratio: 1.0, max_extra: 4, ..SearchOptions::default() };
    for tokens_per_batch in [1, 4096] {
        let options = TranslateOptions { tokens_per_batch, whole_lines: true, ..TranslateOptions::from(search) };
        let ours = engine.translate(&corpus.lines, None, &corpus.to, &options).unwrap();
        let theirs = plain.translate(&corpus.lines, None, &corpus.to, &options).unwrap();
        assert_eq!(ours.len(), corpus.lines.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let (ours, theirs) = (&ours.candidates, &theirs.candidates);
            assert_eq!((ours.len(), theirs.len()), (3, 3));
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert_eq!((&ours.text, ours.subwords), (&theirs.text, theirs.subwords));
                assert!((ours.score - theirs.score).abs() < 1e-3, "{ours:?} {theirs:?}");
            }
        }
    }
}

#[test]
fn other_devices_refuse_what_plain_beam_search_does_not_have() {
    let corpus = Corpus::new();
    let model = Transformer::new(&corpus.config(), 5, &parse_device("cpu").unwrap()).unwrap();
    let plain = Translator::from_model(model, corpus.subwords(), corpus.languages());
    for search in [
        SearchOptions { alignments: true, ..SearchOptions::default() },
        SearchOptions { sample: true, ..SearchOptions::default() },
        SearchOptions { max_length: 5, ..SearchOptions::default() },
    ] {
        let refused = plain.translate(&corpus.lines, None, &corpus.to, &search.into()).unwrap_err().to_string();
        assert!(refused.contains("plain beam search only") && refused.contains("the device cpu"), "{refused}");
    }
    let lines = [strata_translate::Line { text: &corpus.lines[0], prefix: "the" }];
    assert!(plain.translate_lines(&lines, None, &corpus.to, &TranslateOptions::default()).is_err());
    let refused = plain.score(&corpus.lines, &corpus.lines, None, &corpus.to).unwrap_err().to_string();
    assert_eq!(refused, "forced decoding needs the device cpu");
}
