//! SentencePiece models cut text exactly as SentencePiece itself does. The expected pieces come from its Python
//! package; `data/make_sentencepiece.py` makes them, also from your own text (variable STRATA_SENTENCEPIECE).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use strata_corpus::subword::{Subwords, UNKNOWN};

fn folders() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::iter::once(own).chain(std::env::var_os("STRATA_SENTENCEPIECE").map(PathBuf::from)).collect()
}

fn models(folder: &Path) -> Vec<PathBuf> {
    let mut models: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "model"))
        .collect();
    models.sort();
    assert!(models.len() >= 6, "{folder:?} has too few models");
    models
}

/// Text, its pieces, its text again after decoding.
type Case = (String, Vec<String>, String);

fn cases(model: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(model.with_extension("jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn pieces_and_decoded_text_are_those_of_sentencepiece() {
    let mut differing: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in folders() {
        for path in models(&folder) {
            let model = Subwords::load_sentencepiece(&path).unwrap();
            let cases = cases(&path);
            for (text, pieces, decoded) in &cases {
                let got = model.pieces(text);
                let wrong = differing.entry(format!("{} ({} cases)", path.display(), cases.len())).or_default();
                if &got != pieces {
                    wrong.push(format!("{text:?}\n  expected {pieces:?}\n  got      {got:?}"));
                }
                let ids = model.encode(text);
                if !ids.contains(&UNKNOWN) && &model.decode(&ids) != decoded {
                    wrong.push(format!("decoded {text:?}: expected {decoded:?}, got {:?}", model.decode(&ids)));
                }
            }
        }
    }
    for (model, wrong) in &differing {
        println!("{model}: {} differ", wrong.len());
        wrong.iter().take(5).for_each(|w| println!("  {w}"));
    }
    assert!(differing.values().all(Vec::is_empty));
}

#[test]
fn saved_and_loaded_models_cut_alike_under_the_projects_ids() {
    let folder = tempfile::tempdir().unwrap();
    for path in models(&folders()[0]) {
        let model = Subwords::import(&path, &["nb", "de", "en"]).unwrap();
        assert_eq!(model.languages(), ["de", "en", "nb"]);
        let specials: Vec<String> = (0..6).map(|id| model.piece(id)).collect();
        assert_eq!(specials, ["<pad>", "</s>", "<unk>", "<2de>", "<2en>", "<2nb>"]);
        assert_eq!((model.tag("de"), model.tag("nb"), model.tag("fr")), (Some(3), Some(5), None));
        let saved = folder.path().join("tokenizer.json");
        model.save(&saved).unwrap();
        let loaded = Subwords::load(&saved).unwrap();
        assert_eq!(loaded.to_json(), model.to_json());
        for (text, pieces, _) in cases(&path) {
            let ids = model.encode(&text);
            assert_eq!(loaded.encode(&text), ids, "{text:?}");
            assert!(ids.iter().all(|id| *id == UNKNOWN || *id > 5), "special token out of text {text:?}");
            let names: Vec<String> = ids.iter().map(|id| loaded.piece(*id)).collect();
            if !ids.contains(&UNKNOWN) {
                assert_eq!(names, pieces, "{text:?}");
            }
        }
    }
}

#[test]
fn damaged_files_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(&models(&folders()[0])[0]).unwrap();
    let path = folder.path().join("m.model");
    for bytes in [&b""[..], b"text", &whole[..whole.len() / 2], &whole[1..]] {
        std::fs::write(&path, bytes).unwrap();
        let error = Subwords::load_sentencepiece(&path).unwrap_err().to_string();
        assert!(error.contains("m.model"), "{error}");
    }
    for i in (0..whole.len()).step_by(whole.len() / 300) {
        let mut bytes = whole.clone();
        bytes[i] ^= 0x5A;
        std::fs::write(&path, bytes).unwrap();
        if let Ok(model) = Subwords::load_sentencepiece(&path) {
            model.pieces("the river carries क़ ﬁne ½ text");
        }
    }
    assert!(
        Subwords::load_sentencepiece(&folder.path().join("absent.model")).unwrap_err().to_string().contains("absent")
    );
}
