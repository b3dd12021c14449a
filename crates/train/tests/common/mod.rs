//! What the tests of training share: a tiny corpus, a recipe, checkpoints to compare.

#![allow(dead_code)] // each test program uses its own part

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use strata_recipe::{Recipe, RecipeFile};
use strata_train::{ScoreError, Transformer};

/// Names a prepared folder to programs that a test starts.
pub const PREPARED: &str = "STRATA_TEST_PREPARED";

/// A model so small that an update takes milliseconds.
pub const RECIPE: &str = r#"
[data]
tokens_per_batch = 120
max_length = 64
[model]
kind = "smoe"
strata = [2, 3]
moe_every = 1
encoder_layers = 1
decoder_layers = 2
d_model = 16
d_ffn = 24
heads = 2
dropout = 0.2
attention_dropout = 0.1
activation_dropout = 0.1
balance_weight = 0.05
max_length = 64
[train]
updates = 20
warmup = 4
learning_rate = 5e-3
threads = 1
clip_norm = 0.7
log_every = 1
validate_every = 10
validate_sentences = 9
checkpoint_every = 10
keep_last = 10
"#;

/// A prepared folder, made once.
pub fn prepared() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        if let Some(made) = std::env::var_os(PREPARED) {
            return made.into();
        }
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!("train-", env!("CARGO_CRATE_NAME")));
        let _ = std::fs::remove_dir_all(&root);
        let (bitext, prepared) = (root.join("bitext"), root.join("prepared"));
        std::fs::create_dir_all(&root).unwrap();
        let synthetic = strata_corpus::synthetic::Options { languages: 2, pairs: 300, seed: 1 };
        strata_corpus::synthetic::generate(&synthetic, &bitext).unwrap();
        let mut options = strata_corpus::prepare::Options::new(bitext, &prepared);
        options.subwords.vocab_size = 400;
        strata_corpus::prepare::prepare(&options, &mut |_| {}).unwrap();
        prepared
    })
}

/// The recipe of a run in `output`, with some keys changed.
pub fn recipe(output: &Path, changes: &[(&str, &str)]) -> Recipe {
    let file = RecipeFile::parse(RECIPE, "ranks.toml").unwrap();
    let quoted = |path: &Path| format!("{:?}", path.to_str().unwrap());
    let mut overrides =
        vec![("data.prepared".to_string(), quoted(prepared())), ("train.output".to_string(), quoted(output))];
    overrides.extend(changes.iter().map(|(key, value)| (key.to_string(), value.to_string())));
    file.resolve(None, &overrides).unwrap()
}

/// Stands in for the measurement of BLEU.
pub fn no_bleu(_: &Recipe, _: Transformer) -> Result<f64, ScoreError> {
    Ok(0.0)
}

/// The files of a checkpoint, without the time in its state.
pub fn checkpoint(run: &Path, step: &str) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(run.join("checkpoints").join(step)).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut files: BTreeMap<String, Vec<u8>> = files.map(|p| (name(&p), std::fs::read(&p).unwrap())).collect();
    let mut state: serde_json::Value = serde_json::from_slice(&files["state.json"]).unwrap();
    state.as_object_mut().unwrap().remove("seconds").unwrap();
    files.insert("state.json".to_string(), state.to_string().into_bytes());
    // It covers the state, and recipes name their folders.
    files.remove("SHA256SUMS");
    files.remove("recipe.toml");
    files
}
