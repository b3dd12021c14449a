//! The files in `recipes/`: every key is in each of them with a comment, every variant resolves to the model of its
//! name.

use std::path::PathBuf;

use strata_recipe::{
    Cost, Error, ExpertDropout, Initialization, Normalization, Recipe, RecipeFile, SecondChoice, keys,
};

const PAPER: [&str; 9] =
    ["dense", "moe", "switch", "eom", "cmr", "stacked-2x4", "stacked-4x2", "smoe-4-4", "smoe-2-2-2-2"];
const LARGE: [&str; 7] = ["moe-32", "smoe-4-12", "smoe-12-4", "smoe-8-8", "smoe-4-4-8", "smoe-8-4-4", "smoe-4-4-4-4"];
const DOCS: [&str; 10] =
    ["dense", "moe", "switch", "eom", "cmr", "stacked-2x4", "smoe-4-4", "smoe-2-2-2-2", "smoe-2-6", "moe-16"];

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../recipes").join(name)
}

fn shipped() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(path("")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    files
}

fn load(name: &str, variant: Option<&str>) -> Recipe {
    Recipe::load(&path(name), variant, &[]).unwrap()
}

#[test]
fn every_file_has_every_key_with_a_comment_and_no_other() {
    assert!(shipped().len() >= 5);
    for file in shipped() {
        let text = std::fs::read_to_string(&file).unwrap();
        let base = text.split("\n[variant.").next().unwrap();
        let mut section = "";
        let mut seen = Vec::new();
        for line in base.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
                continue;
            }
            let (setting, comment) = line.split_once(" # ").unwrap_or((line, ""));
            assert!(comment.len() > 3, "{}: no comment on: {line}", file.display());
            seen.push(format!("{section}.{}", setting.split_once(" = ").unwrap().0));
        }
        assert_eq!(seen, keys().map(|key| key.name).collect::<Vec<_>>(), "{}", file.display());
    }
}

/// What the variant's name says: `moe` -> `MoE-8`, `smoe-4-12` -> `SMoE-4-12`, `stacked-2x4` -> `stacked 2x4`. The same
/// model as the authors' script trains it is `smoe-4-12-authors`.
fn model_of(variant: &str, experts: usize) -> String {
    let variant = variant.trim_end_matches("-authors");
    match variant {
        "dense" => "dense".into(),
        "moe" => format!("MoE-{experts}"),
        "switch" => format!("Switch-{experts}"),
        "eom" => format!("MoE-{experts} + EOM"),
        "cmr" => format!("CMR-{experts}"),
        _ => match variant.split_once('-').unwrap() {
            ("moe", experts) => format!("MoE-{experts}"),
            ("smoe", strata) => format!("SMoE-{strata}"),
            ("stacked", shape) => format!("stacked {shape}"),
            _ => panic!("{variant} is not named after a model"),
        },
    }
}

#[test]
fn every_variant_is_the_model_of_its_name_and_survives_being_written() {
    for file in shipped() {
        let recipes = RecipeFile::open(&file).unwrap();
        let experts = recipes.resolve(None, &[]).unwrap().model.experts;
        for variant in recipes.variants() {
            let recipe = recipes.resolve(Some(variant), &[]).unwrap();
            let config = recipe.planned_model_config().unwrap();
            assert_eq!(config.name(), model_of(variant, experts), "{}", file.display());
            let written = RecipeFile::parse(&recipe.to_toml(""), "recipe.toml").unwrap();
            assert_eq!(written.resolve(None, &[]).unwrap(), recipe);
        }
    }
}

#[test]
fn the_promised_variants_are_there() {
    let has = |file: &str, wanted: &[&str]| {
        let recipes = RecipeFile::open(&path(file)).unwrap();
        let variants: Vec<&str> = recipes.variants().collect();
        for name in wanted {
            assert!(variants.contains(name), "{file} lacks {name}: {variants:?}");
        }
    };
    has("m4.toml", &PAPER);
    for file in ["m15.toml", "opus100.toml"] {
        has(file, &PAPER);
        has(file, &LARGE);
    }
    has("docs.toml", &DOCS);
}

/// The settings of `runs/run_m4.sh` and `runs/run_m15.sh` in the authors' repository that differ from the paper's text.
#[test]
fn the_variants_of_the_authors_have_their_scripts_settings() {
    for (file, variants) in [
        ("m4.toml", ["moe-authors", "smoe-4-4-authors", "smoe-2-2-2-2-authors"]),
        ("m15.toml", ["moe-authors", "smoe-4-12-authors", "smoe-4-4-4-4-authors"]),
    ] {
        for variant in variants {
            let Recipe { data, model, train, .. } = load(file, Some(variant));
            assert_eq!((data.tokens_per_batch, train.accumulate), (4096, 32), "32 GPUs with 4,096 each");
            assert_eq!((model.second_choice, model.capacity_factor), (SecondChoice::Gumbel, 1.0));
            assert_eq!((model.initialization, model.expert_dropout), (Initialization::Fairseq, ExpertDropout::Each));
            let reference = model.normalization == Normalization::Reference;
            assert_eq!(reference, variant.starts_with("smoe"), "{variant}");
        }
    }
}

#[test]
fn the_recipes_of_the_paper_have_its_settings() {
    for (file, d_model, experts, vocabulary, learning_rate, tokens, temperature) in [
        ("m4.toml", 512, 8, 32_000, 8e-4, 13_000, 1.0),
        ("m15.toml", 1024, 16, 32_000, 8e-4, 13_000, 1.0),
        ("opus100.toml", 1024, 16, 64_000, 5e-4, 65_000, 5.0),
    ] {
        let Recipe { data, model, train, translate } = load(file, None);
        assert_eq!((data.vocabulary, data.temperature), (vocabulary, temperature));
        assert_eq!(data.tokens_per_batch * train.accumulate, tokens);
        assert_eq!((model.d_model, model.d_ffn, model.heads), (d_model, 4 * d_model, d_model / 64));
        assert_eq!((model.encoder_layers, model.decoder_layers, model.experts, model.moe_every), (6, 6, experts, 2));
        assert_eq!((model.dropout, model.attention_dropout, model.activation_dropout), (0.3, 0.1, 0.0));
        assert_eq!((train.learning_rate, train.updates, train.warmup), (learning_rate, 100_000, 8_000));
        assert_eq!((train.adam_beta1, train.adam_beta2, train.adam_eps), (0.9, 0.98, 1e-6));
        assert_eq!((train.warmup_init_lr, train.weight_decay, train.clip_norm), (1e-7, 0.0, 0.0));
        assert_eq!((train.label_smoothing, train.validate_every), (0.1, 500));
        assert_eq!((translate.search.beam, translate.search.length_penalty), (5, 1.0));
    }
    assert_eq!(load("m15.toml", Some("eom")).model.eom, 0.1);
}

#[test]
fn recipes_cost_what_the_paper_says() {
    for (file, variant, millions) in [
        ("m4.toml", "dense", 60.0),
        ("m4.toml", "smoe-2-2-2-2", 148.0),
        ("m4.toml", "cmr", 161.0),
        ("m15.toml", "dense", 209.0),
        ("m15.toml", "smoe-4-12", 963.0),
        ("m15.toml", "cmr", 1010.0),
        ("m15.toml", "moe-32", 1770.0),
    ] {
        let cost = Cost::of(&load(file, Some(variant)).planned_model_config().unwrap(), None).unwrap();
        let off = (cost.parameters as f64 / 1e6 / millions - 1.0).abs();
        assert!(off < 0.01, "{file} {variant}: {}", cost.parameters);
    }
}

#[test]
fn a_missing_file_and_one_that_is_no_text_are_named() {
    let error = Recipe::load(&path("none.toml"), None, &[]).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }) && error.to_string().contains("none.toml"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    let error = Recipe::load(&binary, None, &[]).unwrap_err().to_string();
    assert!(error.contains("binary.toml") && error.contains("UTF-8"), "{error}");
}
