//! Models that were imported, written for transformers again: what is imported of that has the same bits, and
//! transformers computes the same with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use strata_corpus::Subwords;
use strata_import::{Options, export_huggingface, import};
use strata_recipe::{Kind, ModelConfig};
use strata_store::{Existing, ModelFolder};

const MODELS: [&str; 4] = ["m2m100", "nllb", "nllb-moe", "nllb-moe-bias"];

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/tests/golden").join(name)
}

/// A golden model imported to `model` of a folder, and exported to `out`.
fn exported(name: &str, dir: &Path) -> ModelFolder {
    let model = dir.join("model");
    import(&golden(name), &model, &Options::default(), Existing::Refuse).unwrap();
    let folder = ModelFolder::open(&model).unwrap();
    export_huggingface(&folder, &dir.join("out"), Existing::Refuse).unwrap();
    folder
}

#[test]
fn what_was_exported_is_imported_with_the_same_bits() {
    for name in MODELS {
        let dir = tempfile::tempdir().unwrap();
        let folder = exported(name, dir.path());
        let again = dir.path().join("again");
        import(&dir.path().join("out"), &again, &Options::default(), Existing::Refuse).unwrap();
        let again = ModelFolder::open(&again).unwrap();
        assert_eq!(again.model_config().unwrap(), folder.model_config().unwrap(), "{name}");
        let [ours, theirs] = [&folder, &again].map(|folder| folder.weights().unwrap());
        assert!(ours.names().eq(theirs.names()), "{name}");
        for tensor in ours.names() {
            // An NLLB-MoE's scale of experts is in their weights since the first import.
            assert_eq!(ours.view(tensor).unwrap().bytes, theirs.view(tensor).unwrap().bytes, "{name}: {tensor}");
        }
        let [subwords, others] =
            [&folder, &again].map(|folder| Subwords::load(&folder.file("tokenizer.json")).unwrap());
        assert_eq!(subwords.languages(), others.languages());
        for text in ["The house is small.", "Wir lesen ein Buch  im Garten.", "Öffnen! \u{1F600} x"] {
            assert_eq!(subwords.encode(text), others.encode(text), "{name}: {text}");
        }
        let pieces = |subwords: &Subwords| (0..subwords.vocab_size() as u32).map(|id| subwords.piece(id)).collect();
        let [ours, theirs]: [Vec<String>; 2] = [pieces(&subwords), pieces(&others)];
        // Rows without a token are named after their place.
        let unnamed = |name: &&String| !name.starts_with("<unused ");
        assert!(ours.iter().filter(unnamed).eq(theirs.iter().filter(unnamed)), "{name}");
        assert_eq!(subwords.control_ids(), others.control_ids(), "{name}");
    }
}

#[test]
fn models_of_other_architectures_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let folder = exported("nllb-moe", dir.path());
    let config = folder.model_config().unwrap();
    let says = |config: ModelConfig| {
        let changed = dir.path().join("changed");
        let _ = fs::remove_dir_all(&changed);
        fs::create_dir(&changed).unwrap();
        for name in ["model.safetensors", "tokenizer.json", "languages.json"] {
            fs::copy(folder.file(name), changed.join(name)).unwrap();
        }
        fs::write(changed.join("config.json"), config.to_json()).unwrap();
        let sums: String = ["config.json", "model.safetensors", "tokenizer.json", "languages.json"]
            .iter()
            .map(|name| {
                let bytes = fs::read(changed.join(name)).unwrap();
                format!("{}  {name}\n", strata_files::Digest::of(bytes).hex())
            })
            .collect();
        fs::write(changed.join("SHA256SUMS"), sums).unwrap();
        let folder = ModelFolder::open(&changed).unwrap();
        let error = export_huggingface(&folder, &dir.path().join("refused"), Existing::Refuse).unwrap_err();
        assert!(!dir.path().join("refused").exists());
        error.to_string()
    };
    for (change, word) in [
        (Box::new(|c: &mut ModelConfig| c.network.positions.first = 0) as Box<dyn Fn(&mut ModelConfig)>, "`network`"),
        (
            Box::new(|c: &mut ModelConfig| {
                (c.kind, c.experts, c.network, c.prompts) = (Kind::Dense, 0, Default::default(), Default::default());
            }),
            "subwords are those of an imported model",
        ),
        (Box::new(|c: &mut ModelConfig| c.prompts = Default::default()), "`prompts`"),
        (Box::new(|c: &mut ModelConfig| c.top_k = 1), "a token uses two"),
        (Box::new(|c: &mut ModelConfig| c.block_experts = vec![4, 3]), "equally many experts"),
        (Box::new(|c: &mut ModelConfig| (c.kind, c.top_k) = (Kind::Switch, 1)), "this one is Switch-4"),
        (Box::new(|c: &mut ModelConfig| c.d_ffn += 1), "fc1.weight"),
    ] {
        let mut config = config.clone();
        change(&mut config);
        let error = says(config);
        assert!(error.contains(word), "no {word} in {error}");
    }
    let error = export_huggingface(&folder, folder.path(), Existing::Replace).unwrap_err().to_string();
    assert!(error.contains("would replace the model"), "{error}");
}

/// The logits of the golden models and those of the exported ones, for the same text.
const COMPARE: &str = r#"
import sys, torch, transformers
from transformers import AutoModelForSeq2SeqLM, M2M100Tokenizer, NllbTokenizer
transformers.logging.set_verbosity_error()
golden, exported, text, source, target = sys.argv[1:6]
found = []
for folder in (golden, exported):
    kind = M2M100Tokenizer if source == "en" else NllbTokenizer
    tokenizer = kind.from_pretrained(folder, src_lang=source, tgt_lang=target)
    model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()
    ids = tokenizer(text).input_ids
    tag = tokenizer.get_lang_id(target) if source == "en" else tokenizer.convert_tokens_to_ids(target)
    words = tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text))
    assert 3 not in words and tag > 3, (words, tag)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids]), decoder_input_ids=torch.tensor([[2, tag] + words])).logits[0]
    size = logits.shape[-1]
    names = {tokenizer.convert_ids_to_tokens(i): i for i in range(size)}
    names = {name: i for name, i in names.items() if tokenizer.convert_tokens_to_ids(name) == i}
    assert len(names) > 100
    found.append((tokenizer.convert_ids_to_tokens(ids), names, logits))
(tokens, names, logits), (others, other_names, other_logits) = found
assert tokens == others, (tokens, others)
assert names.keys() == other_names.keys(), names.keys() ^ other_names.keys()
order = list(names)
difference = logits[:, [names[n] for n in order]] - other_logits[:, [other_names[n] for n in order]]
assert difference.abs().max() < 1e-4, difference.abs().max()
print("same", len(order), float(difference.abs().max()))
"#;

#[test]
fn transformers_computes_the_same_with_what_was_exported() {
    const TEST: &str = "transformers_computes_the_same_with_what_was_exported";
    let python = std::env::var("STRATA_PYTHON").unwrap_or_default();
    let has = "import torch, transformers, sentencepiece; assert transformers.__version__ == '4.57.6'";
    if !Command::new(&python).args(["-c", has]).output().is_ok_and(|probed| probed.status.success()) {
        return strata_testing::skip(TEST, "STRATA_PYTHON names no Python with torch and transformers 4.57.6");
    }
    for name in MODELS {
        let dir = tempfile::tempdir().unwrap();
        exported(name, dir.path());
        let [from, to] = if name == "m2m100" { ["en", "de"] } else { ["eng_Latn", "deu_Latn"] };
        let ran = Command::new(&python)
            .args(["-c", COMPARE])
            .args([golden(name), dir.path().join("out")])
            .args(["The house is small.", from, to])
            .output()
            .unwrap();
        let (said, error) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        assert!(ran.status.success() && said.starts_with("same"), "{name}: {said}{error}");
    }
}
