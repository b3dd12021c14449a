//! The subword model of a trained model cuts further text, with tags for further languages.

use std::path::{Path, PathBuf};

use serde_json::json;
use strata_corpus::languages::Languages;
use strata_corpus::prepare::{Options, prepare};
use strata_corpus::subword::{ImportedVocabulary, Subwords};
use strata_corpus::{subword::sentencepiece_names, synthetic};

const TEXT: &str = "the river carries 12 stones, and the old town sleeps.";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// A model folder's `tokenizer.json` of each form: pieces, another program's pipeline, another program's vocabulary.
fn models(root: &Path) -> Vec<PathBuf> {
    let words: Vec<&str> = "[UNK] the river carries 12 stones , and old town sleeps .".split(' ').collect();
    let vocabulary: serde_json::Value =
        words.iter().enumerate().map(|(i, word)| (word.to_string(), json!(i))).collect();
    let other = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "[UNK]"},
    });
    let pipeline = root.join("other.json");
    std::fs::write(&pipeline, other.to_string()).unwrap();
    let bytes = std::fs::read(data("unigram.model")).unwrap();
    let languages = ["de".to_string(), "en".to_string()];
    let imported = ImportedVocabulary {
        languages: &languages,
        names: sentencepiece_names(&bytes).unwrap().split_off(3),
        source_names: None,
        hidden: vec![],
        source: &bytes,
        target: None,
    };
    let of = |file: &Path| Subwords::import(file, &languages).unwrap();
    let models = [of(&data("bpe-bytes.model")), of(&pipeline), Subwords::import_vocabulary(imported).unwrap()];
    let folders = models.iter().enumerate().map(|(i, model)| {
        let folder = root.join(format!("model-{i}"));
        std::fs::create_dir(&folder).unwrap();
        model.save(&folder.join("tokenizer.json")).unwrap();
        folder
    });
    folders.collect()
}

#[test]
fn every_form_of_model_takes_further_languages_and_cuts_text_as_before() {
    let root = tempfile::tempdir().unwrap();
    for folder in models(root.path()) {
        let model = || Subwords::load(&folder.join("tokenizer.json")).unwrap();
        let grown = Subwords::import(&folder, &["uk", "en", "cs"]).unwrap();
        assert_eq!(grown.languages(), ["cs", "de", "en", "uk"]);
        let saved = folder.join("grown.json");
        grown.save(&saved).unwrap();
        let grown = Subwords::load(&saved).unwrap();
        let ids = grown.ids_in(model()).unwrap();
        assert_eq!(ids.len(), grown.vocab_size());
        assert_eq!(ids[..7], [Some(0), Some(1), Some(2), None, Some(3), Some(4), None]);
        let of_old: Vec<u32> = grown.encode(TEXT).iter().map(|id| ids[*id as usize].unwrap()).collect();
        assert_eq!(of_old, model().encode(TEXT), "{}", folder.display());
        // Nothing new: the same model, the same ids.
        let same = Subwords::import(&folder, &["de"]).unwrap();
        assert_eq!(same.to_json(), model().to_json());
        assert!(same.ids_in(model()).unwrap().into_iter().eq((0..model().vocab_size() as u32).map(Some)));
    }
}

#[test]
fn other_subwords_are_told_apart() {
    let of = |name: &str, languages: &[&str]| Subwords::import(&data(name), languages).unwrap();
    let wrong = |new: Subwords, old: Subwords| new.ids_in(old).unwrap_err();
    let error = wrong(of("unigram.model", &["de", "en"]), of("unigram.model", &["cs", "de", "uk"]));
    assert_eq!(error, "no tag for cs, uk");
    let error = wrong(of("unigram.model", &["de"]), of("unigram-bytes.model", &["de"]));
    assert!(error.contains("besides special tokens and tags, not "), "{error}");
    let json = of("bpe-bytes.model", &["de"]).to_json();
    let changed = |from: &str, to: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        assert!(json.contains(from), "{from}");
        std::fs::write(&path, json.replacen(from, to, 1)).unwrap();
        Subwords::load(&path).unwrap()
    };
    let rules = changed("\"remove_extra_whitespaces\": true", "\"remove_extra_whitespaces\": false");
    let error = wrong(rules, of("bpe-bytes.model", &["de"]));
    assert!(error.contains("other rules"), "{error}");
}

#[test]
fn a_language_of_the_model_under_another_code_is_no_further_one() {
    let model = || Subwords::import(&data("unigram.model"), &["deu_Latn", "eng_Latn", "por_Latn"]).unwrap();
    let error = model().with_further_languages(&["en", "uk"]).unwrap_err().to_string();
    assert!(error.contains("`en` is the model's `eng_Latn`; rename them, as train.eng_Latn-..."), "{error}");
    assert_eq!(model().with_further_languages(&["pt-BR"]).unwrap().languages().len(), 4);
}

#[test]
fn a_corpus_is_prepared_with_the_subwords_of_an_earlier_one() {
    let root = tempfile::tempdir().unwrap();
    let made = |languages, name: &str| {
        let bitext = root.path().join(name);
        synthetic::generate(&synthetic::Options { languages, pairs: 200, seed: 3 }, &bitext).unwrap();
        bitext
    };
    let mut options = Options::new(made(1, "one"), root.path().join("first"));
    options.subwords.vocab_size = 400;
    prepare(&options, &mut |_| {}).unwrap();
    let mut options = Options::new(made(2, "two"), root.path().join("second"));
    options.subwords.import = Some(root.path().join("first"));
    let report = prepare(&options, &mut |_| {}).unwrap();
    assert_eq!(report.subword_model, "first");
    let load = |name: &str| Subwords::load(&root.path().join(name).join("tokenizer.json")).unwrap();
    assert_eq!(load("second").languages(), ["en", "qaa", "qab"]);
    assert_eq!(load("second").ids_in(load("first")).unwrap()[5], None);
    // Languages of the model that the text does not have keep their tags.
    let mut options = Options::new(root.path().join("one"), root.path().join("third"));
    options.subwords.import = Some(root.path().join("second"));
    prepare(&options, &mut |_| {}).unwrap();
    assert_eq!(load("third").to_json(), load("second").to_json());
    let languages = Languages::load(&root.path().join("third/languages.json")).unwrap();
    assert_eq!(languages.tags(), ["en", "qaa"]);
}
