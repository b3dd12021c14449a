//! Models that CTranslate2 converted (`ctranslate2/make.py`) against the same model from Hugging Face's folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use strata_corpus::Subwords;
use strata_corpus::frame::Frame;
use strata_corpus::subword::EOS;
use strata_import::{Options, Summary, import};
use strata_recipe::SearchOptions;
use strata_runtime::{Engine, Limits, Model, Precision, Request};
use strata_store::{Existing, ModelFolder};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

fn golden() -> PathBuf {
    tests().join("../../runtime/tests/golden/marian-apart")
}

/// Copies the files of a folder into another.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Imports a folder as `name` in `dir`.
fn imported(dir: &Path, source: &Path, name: &str) -> Summary {
    let options = Options { from: Some("en".into()), to: Some("de".into()) };
    import(source, &dir.join(name), &options, Existing::Refuse).unwrap()
}

/// The folder of a converted model with its SentencePiece models beside it.
fn converted(dir: &Path, name: &str) -> PathBuf {
    let folder = dir.join(format!("ct2-{name}"));
    copy(&tests().join("ctranslate2").join(name), &folder);
    for pieces in ["source.spm", "target.spm"] {
        fs::copy(golden().join(pieces), folder.join(pieces)).unwrap();
    }
    folder
}

/// Hypotheses as pieces, with their scores, of each text.
fn translations(model: &Path, texts: &[&str]) -> Vec<Vec<(Vec<String>, f32)>> {
    let folder = ModelFolder::open(model).unwrap();
    let subwords = Subwords::load(&folder.file("tokenizer.json")).unwrap();
    let frame = Frame::new(&folder.model_config().unwrap().prompts, None, None).unwrap();
    let engine = Engine::new(Arc::new(Model::load(&folder, Precision::F32).unwrap()));
    // The longest of CTranslate2 does not count the end mark.
    let options = SearchOptions { beam: 4, nbest: 4, max_length: 13, ..SearchOptions::default() };
    let request =
        |text: &&str| Request::new(frame.source(subwords.encode(text)).collect(), frame.prompt(), EOS, options);
    let requests: Vec<Request> = texts.iter().map(request).collect();
    let found = engine.translate(&requests, &Limits::default()).unwrap();
    let pieces = |ids: &[u32]| ids.iter().map(|id| subwords.piece(*id)).collect();
    found.iter().map(|all| all.iter().map(|best| (pieces(&best.ids), best.score)).collect()).collect()
}

#[test]
fn translations_are_those_of_ctranslate2() {
    let dir = tempfile::tempdir().unwrap();
    let expected: Value =
        serde_json::from_slice(&fs::read(tests().join("ctranslate2/expected.json")).unwrap()).unwrap();
    let expected = expected.as_array().unwrap();
    let texts: Vec<&str> = expected.iter().map(|line| line["text"].as_str().unwrap()).collect();
    for (name, near) in [("f32", 1e-4), ("f16", 2e-2)] {
        let summary = imported(dir.path(), &converted(dir.path(), name), name);
        assert_eq!((summary.origin.as_str(), summary.layers), ("CTranslate2", [2, 2]));
        for (found, line) in translations(&dir.path().join(name), &texts).iter().zip(expected) {
            let best: Vec<String> = serde_json::from_value(line["hypotheses"][0].clone()).unwrap();
            let score = line["scores"][0].as_f64().unwrap();
            let (pieces, found) = &found[0];
            if best.len() == 12 {
                continue; // cut off, which each program does in its own way
            }
            assert_eq!(*pieces, best, "{name}: {}", line["text"]);
            assert!((f64::from(*found) - score).abs() < near, "{name}: {found} {score}");
        }
    }
}

#[test]
fn int8_weights_are_within_half_a_step() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["f32", "int8"] {
        imported(dir.path(), &converted(dir.path(), name), name);
    }
    let weights = |name: &str| ModelFolder::open(dir.path().join(name)).unwrap().weights().unwrap();
    let (exact, rounded) = (weights("f32"), weights("int8"));
    for map in
        ["encoder.layers.1.ffn.fc1", "decoder.layers.0.self_attention.value", "decoder.layers.1.cross_attention.key"]
    {
        let name = format!("{map}.weight");
        let shape = exact.view(&name).unwrap().shape.to_vec();
        let (exact, rounded) = (exact.f32(&name, &shape).unwrap(), rounded.f32(&name, &shape).unwrap());
        for (exact, rounded) in exact.chunks(shape[1]).zip(rounded.chunks(shape[1])) {
            let most = exact.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 0.51 * most / 127.0;
            assert!(exact.iter().zip(rounded).all(near), "{name}");
        }
    }
}

#[test]
fn folders_that_lack_something() {
    let dir = tempfile::tempdir().unwrap();
    let folder = converted(dir.path(), "f32");
    let says =
        |options: &Options| import(&folder, &dir.path().join("x"), options, Existing::Refuse).unwrap_err().to_string();
    assert!(says(&Options::default()).contains("do not say what language it translates from"));
    let options = Options { from: Some("en".into()), to: Some("de".into()) };
    fs::remove_file(folder.join("source.spm")).unwrap();
    assert!(says(&options).contains("no SentencePiece model in the folder"));
    let list = folder.join("shared_vocabulary.json");
    fs::write(&list, r#"["</s>", "<unk>", "a"]"#).unwrap();
    fs::copy(golden().join("source.spm"), folder.join("source.spm")).unwrap();
    assert!(says(&options).contains("model.bin: tensor `decoder/embeddings/weight` is ["), "{}", says(&options));
    assert!(!dir.path().join("x").exists());
}

/// A model file with another shape, and as many zeros, for one of its variables of floats.
fn reshaped(model: &[u8], name: &str, shape: &[u32]) -> Vec<u8> {
    let name = [name.as_bytes(), b"\0"].concat();
    let start = model.windows(name.len()).position(|bytes| bytes == name).unwrap() + name.len();
    let header = start + 1 + 4 * usize::from(model[start]) + 5;
    let length = u32::from_le_bytes(model[header - 4..header].try_into().unwrap()) as usize;
    let bytes = 4 * shape.iter().product::<u32>();
    let sizes: Vec<u8> = shape.iter().flat_map(|size| size.to_le_bytes()).collect();
    let variable = [&[shape.len() as u8][..], &sizes, &[0], &bytes.to_le_bytes(), &vec![0; bytes as usize]].concat();
    [&model[..start], &variable, &model[header + length..]].concat()
}

#[test]
fn shapes_that_no_model_has() {
    let dir = tempfile::tempdir().unwrap();
    let folder = converted(dir.path(), "f32");
    let path = folder.join("model.bin");
    let whole = fs::read(&path).unwrap();
    let (table, positions) = ("decoder/embeddings/weight", "decoder/position_encodings/encodings");
    let options = Options { from: Some("en".into()), to: Some("de".into()) };
    for (changes, expected) in [
        (&[(table, &[59][..])][..], "the table `decoder/embeddings/weight` is [59], not [tokens, width]"),
        (&[(table, &[59, 0])], "decoder/embeddings/weight: d_model = 0 must be between 1 and"),
        (&[(table, &[0, 70_000])], "decoder/embeddings/weight: d_model = 70000 must be between 1 and"),
        (&[(table, &[59, 0]), (positions, &[48, 0])], "decoder/embeddings/weight: d_model = 0 must be between 1 and"),
        (&[(positions, &[48])], "encodings` are [48], not [tokens, 16]"),
        (&[(positions, &[48, 0])], "encodings` are [48, 0], not [tokens, 16]"),
        (&[(positions, &[48, 8])], "encodings` are [48, 8], not [tokens, 16]"),
        (&[(positions, &[0, u32::MAX])], "encodings` are [0, 4294967295], not [tokens, 16]"),
        (&[(positions, &[0, 16])], "max_length = 0 must be between 1 and"),
        (&[(positions, &[2, 16])], "encodings` are no sines and cosines"),
    ] {
        let changed = changes.iter().fold(whole.clone(), |model, (name, shape)| reshaped(&model, name, shape));
        fs::write(&path, changed).unwrap();
        let error = import(&folder, &dir.path().join("x"), &options, Existing::Refuse).unwrap_err().to_string();
        assert!(error.contains("model.bin: ") || expected.starts_with("max_length"), "{error}");
        assert!(error.contains(expected), "{error}");
    }
}
