//! `tokenizer.json` files are read by Hugging Face's library as they are by this crate, and older ones stay readable.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use strata_corpus::subword::{EOS, Subwords};
use tokenizers::Tokenizer;

const TEXT: &str = "the river carries 12 stones, and the old town sleeps.";

/// A model of each SentencePiece file, and one that another pipeline than ours cuts.
fn saved(folder: &Path) -> Vec<PathBuf> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let names = ["unigram", "unigram-bytes", "bpe", "bpe-bytes"];
    let mut sources: Vec<PathBuf> = names.iter().map(|name| data.join(format!("{name}.model"))).collect();
    let words: Vec<&str> = "[UNK] the river carries 12 stones , and old town sleeps .".split(' ').collect();
    let vocabulary: Value = words.iter().enumerate().map(|(id, word)| (word.to_string(), json!(id))).collect();
    let other = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    });
    sources.push(folder.join("other.json"));
    std::fs::write(&sources[4], other.to_string()).unwrap();
    let save = |(i, source): (usize, &PathBuf)| {
        let path = folder.join(format!("tokenizer-{i}.json"));
        Subwords::import(source, &["de", "en"]).unwrap().save(&path).unwrap();
        path
    };
    sources.iter().enumerate().map(save).collect()
}

#[test]
fn hugging_faces_library_cuts_alike() {
    let folder = tempfile::tempdir().unwrap();
    for path in saved(folder.path()) {
        let theirs = Tokenizer::from_file(&path).unwrap();
        let (ours, encoding) = (Subwords::load(&path).unwrap(), theirs.encode(TEXT, false).unwrap());
        assert_eq!(encoding.get_ids(), ours.encode(TEXT), "{}", path.display());
        assert_eq!(ours.decode(encoding.get_ids()), ours.decode(&ours.encode(TEXT)));
        // What is exported for a model: the tag is a token, the end mark comes by itself.
        let exported: Tokenizer = serde_json::from_value(ours.to_huggingface().unwrap()).unwrap();
        let encoding = exported.encode(format!("<2de>{TEXT}"), true).unwrap();
        let expected = [&[ours.tag("de").unwrap()], ours.encode(TEXT).as_slice(), &[EOS]].concat();
        assert_eq!(encoding.get_ids(), expected, "{}", path.display());
        // Readers that are stricter than this version of the library take no key besides these.
        let json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let known = "added_tokens decoder model normalizer padding post_processor pre_tokenizer truncation version";
        assert_eq!(keys, known.split(' ').collect::<Vec<_>>());
    }
}
