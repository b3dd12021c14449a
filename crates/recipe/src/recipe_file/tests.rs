//! Variants, overrides, and what is said about a recipe that cannot be.

use super::*;
use crate::{Kind, Precision};

const BASE: &str = "\
[data]
directions = [\"en-de\"]

[model]
kind = \"smoe\"
strata = [4, 4]
experts = 8

[train]
updates = 1_000
learning_rate = 1

[variant.moe]
model.kind = \"moe\"
model.strata = []

[variant.smoe-2-6]
model.strata = [2, 6]
train.updates = 2000

[variant.dense.model]
kind = \"dense\"
strata = []
";

fn parse(text: &str) -> Result<RecipeFile, Error> {
    RecipeFile::parse(text, "my/r.toml")
}

fn set(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

/// The message about a text that cannot be parsed, or resolved without a variant.
fn refusal(text: &str) -> String {
    parse(text).and_then(|file| file.resolve(None, &[])).expect_err("should be refused").to_string()
}

fn override_refusal(key: &str, value: &str) -> String {
    parse(BASE).unwrap().resolve(None, &set(&[(key, value)])).expect_err("should be refused").to_string()
}

#[test]
fn defaults_fill_what_is_not_said() {
    let recipe = parse("[model]\nstrata = [4, 4]").unwrap().resolve(None, &[]).unwrap();
    assert_eq!(recipe.train.updates, 100_000);
    assert_eq!(recipe.train.adam_beta2, 0.98);
    assert_eq!(recipe.train.precision, Precision::F32);
    assert_eq!(recipe.translate.search.beam, 5);
    assert_eq!(recipe.planned_model_config().unwrap().d_model, 512);
    assert_eq!(defaults().len(), keys().count());
}

#[test]
fn a_variant_changes_only_its_keys() {
    let file = parse(BASE).unwrap();
    assert_eq!(file.variants().collect::<Vec<_>>(), ["moe", "smoe-2-6", "dense"]);
    let (base, two_six) = (file.resolve(None, &[]).unwrap(), file.resolve(Some("smoe-2-6"), &[]).unwrap());
    assert_eq!(two_six.model.strata, [2, 6]);
    assert_eq!((base.train.updates, two_six.train.updates), (1_000, 2_000));
    assert_eq!(two_six.train.learning_rate, 1.0);
    assert_eq!(two_six.data, base.data);
    assert_eq!(file.resolve(Some("moe"), &[]).unwrap().planned_model_config().unwrap().name(), "MoE-8");
    let dense = file.resolve(Some("dense"), &[]).unwrap().planned_model_config().unwrap();
    assert_eq!((dense.kind, dense.experts), (Kind::Dense, 0));
}

#[test]
fn an_override_wins_over_a_variant_and_needs_no_quotes() {
    let overrides = set(&[
        ("train.updates", "7"),
        ("train.device", "cuda:0"),
        ("train.precision", "bf16"),
        ("model.strata", "1,7"),
        ("model.top_k", "1"),
        ("data.languages", "de, fr"),
        ("data.directions", "[\"en-fr\"]"),
        ("train.learning_rate", "5e-4"),
    ]);
    let recipe = parse(BASE).unwrap().resolve(Some("smoe-2-6"), &overrides).unwrap();
    assert_eq!((recipe.train.updates, recipe.train.device.as_str()), (7, "cuda:0"));
    assert_eq!((recipe.model.strata, recipe.model.top_k), (vec![1, 7], 1));
    assert_eq!((recipe.data.languages, recipe.data.directions), (vec!["de".into(), "fr".into()], vec!["en-fr".into()]));
    assert_eq!((recipe.train.precision, recipe.train.learning_rate), (Precision::Bf16, 5e-4));
    let empty = parse(BASE).unwrap().resolve(Some("moe"), &set(&[("data.directions", "")])).unwrap();
    assert!(empty.data.directions.is_empty());
}

#[test]
fn the_run_folder_is_named_after_file_and_variant() {
    let output = |variant, overrides| parse(BASE).unwrap().resolve(variant, &set(overrides)).unwrap().train.output;
    assert_eq!(output(None, &[]), "runs/r");
    assert_eq!(output(Some("smoe-2-6"), &[]), "runs/r-smoe-2-6");
    assert_eq!(output(Some("smoe-2-6"), &[("train.output", "x")]), "x");
}

#[test]
fn a_resolved_recipe_is_written_and_read_again_equal() {
    let overrides = set(&[("train.device", "a \"quoted\" one\\"), ("train.learning_rate", "0.1234567890123456")]);
    let recipe = parse(BASE).unwrap().resolve(Some("smoe-2-6"), &overrides).unwrap();
    let text = recipe.to_toml("From my/r.toml, variant smoe-2-6.\nNot a second one.");
    assert!(text.starts_with("# From my/r.toml, variant smoe-2-6.\n# Not a second one.\n\n[data]\n"), "{text}");
    let again = RecipeFile::parse(&text, "runs/x/recipe.toml").unwrap();
    assert_eq!(again.variants().count(), 0);
    assert_eq!(again.resolve(None, &[]).unwrap(), recipe);
    assert!(keys().all(|key| text.contains(&format!("\n{} = ", key.leaf()))));
}

#[test]
fn unknown_variant() {
    let file = parse(BASE).unwrap();
    let message = |name| file.resolve(Some(name), &[]).unwrap_err().to_string();
    assert_eq!(
        message("smoe_2_6"),
        "my/r.toml has no variant `smoe_2_6`; did you mean `smoe-2-6`? (variants: moe, smoe-2-6, dense)"
    );
    assert_eq!(message("zebra"), "my/r.toml has no variant `zebra` (variants: moe, smoe-2-6, dense)");
    let none = parse("").unwrap().resolve(Some("moe"), &[]).unwrap_err().to_string();
    assert_eq!(none, "my/r.toml has no variant `moe`, nor any other");
}

#[test]
fn unknown_keys_name_the_line_and_the_nearest() {
    let cases = [
        ("[train]\nupdate = 3", "my/r.toml, line 2: unknown key `train.update`; did you mean `train.updates`?"),
        ("[train]\n\n\nheads = 3", "my/r.toml, line 4: unknown key `train.heads`; did you mean `model.heads`?"),
        ("[model]\ndorpout = 0.1", "my/r.toml, line 2: unknown key `model.dorpout`; did you mean `model.dropout`?"),
        ("[model]\nd-model = 8", "my/r.toml, line 2: unknown key `model.d-model`; did you mean `model.d_model`?"),
        ("updates = 3", "my/r.toml, line 1: unknown key `updates`; did you mean `train.updates`?"),
        ("[trian]\nupdates = 3", "my/r.toml, line 1: unknown section `trian`; did you mean `train`?"),
        (
            "[variant.a]\nmodel.stratta = [4]",
            "my/r.toml, line 2: unknown key `model.stratta`; did you mean `model.strata`?",
        ),
        ("[variant.a]\nstrata = [4]", "my/r.toml, line 2: unknown key `strata`; did you mean `model.strata`?"),
        ("[variants.a]", "my/r.toml, line 1: unknown section `variants`; did you mean `variant`?"),
    ];
    for (text, message) in cases {
        assert_eq!(refusal(text), message);
    }
    // Near is only what stands in the same table.
    for text in ["[train]\nfoo = 1", "[train]\nembedings = 1", "[model]\nlearnin_rate = 1"] {
        let far = refusal(text);
        assert!(far.contains("(keys of [") && !far.contains("did you mean"), "{far}");
    }
    let far = refusal("[translate]\nxxxxxxxxx = 1");
    assert!(far.contains("(keys of [translate]: beam, length_penalty,"), "{far}");
    let far = refusal("[xxxxxxxx]");
    assert!(far.contains("(sections: data, model, train, translate, variant)"), "{far}");
}

#[test]
fn wrong_values_name_the_line_and_what_is_expected() {
    let cases = [
        ("[train]\nupdates = 0", "my/r.toml, line 2: train.updates = 0 must be an integer, 1 or more"),
        ("[train]\nupdates = 1e5", "my/r.toml, line 2: train.updates = 100000.0 must be an integer, 1 or more"),
        ("[train]\nlearning_rate = -1", "my/r.toml, line 2: train.learning_rate = -1 must be a number above 0"),
        ("[train]\nlearning_rate = nan", "my/r.toml, line 2: train.learning_rate = nan must be a number above 0"),
        (
            "[model]\ndropout = \"0.3\"",
            "my/r.toml, line 2: model.dropout = \"0.3\" must be a probability, at least 0 and below 1",
        ),
        ("[model]\nstrata = 4", "my/r.toml, line 2: model.strata = 4 must be a list of integers like [4, 4]"),
        (
            "[model]\nstrata = [4, \"x\"]",
            "my/r.toml, line 2: model.strata = [4, \"x\"] must be a list of integers like [4, 4]",
        ),
        ("[train]\ndevice = 0", "my/r.toml, line 2: train.device = 0 must be a text in quotes"),
        ("[train]\nseed = 1979-05-27", "my/r.toml, line 2: train.seed must be an integer, 0 or more"),
        ("[train]\nseed = 99999999999999999999", "my/r.toml, line 2: train.seed must be an integer, 0 or more"),
        (
            "[variant.a]\n\ntranslate.beam = 0",
            "my/r.toml, line 3: translate.beam = 0 must be an integer from 1 to 1024",
        ),
        ("train = 3", "my/r.toml, line 1: `train` must be a section like [train]"),
        ("[variant]\na = 3", "my/r.toml, line 2: `variant.a` must be a table like [variant.a]"),
    ];
    for (text, message) in cases {
        assert_eq!(refusal(text), message);
    }
    let kind = refusal("[model]\nkind = \"smeo\"");
    assert!(kind.contains("one of \"dense\", \"moe\"") && kind.ends_with("did you mean \"smoe\"?"), "{kind}");
}

#[test]
fn text_that_is_not_toml_names_the_line() {
    for (text, line) in
        [("[train]\nupdates = ", 2), ("[train\n", 1), ("[train]\nupdates = 1\nupdates = 2", 3), ("a b", 1)]
    {
        let message = refusal(text);
        assert!(message.starts_with(&format!("my/r.toml, line {line}: not TOML: ")), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }
}

#[test]
fn bad_overrides_name_the_option() {
    let cases = [
        ("train.update", "7", "unknown key `train.update`; did you mean `train.updates`?"),
        ("train.updates", "x", "train.updates must be an integer, 1 or more"),
        ("train.updates", "-1", "train.updates = -1 must be an integer, 1 or more"),
        ("model.strata", "4,x", "model.strata must be a list of integers like [4, 4]"),
        ("", "1", "unknown key `` (sections: data, model, train, translate, variant)"),
    ];
    for (key, value, message) in cases {
        assert_eq!(override_refusal(key, value), message);
    }
    assert!(override_refusal("model.heads", "7").starts_with("[model] heads = 7 does not divide"));
}

#[test]
fn impossible_strata_name_the_line() {
    let empty = refusal("[model]\nkind = \"smoe\"\nstrata = []");
    assert!(empty.starts_with("my/r.toml, line 3: [model] strata is empty"), "{empty}");
    let zero = refusal("[model]\nkind = \"smoe\"\nstrata = [4, 0]");
    assert!(zero.starts_with("my/r.toml, line 3: [model] strata = [4, 0]: stratum 2 has no experts"), "{zero}");
    let few = refusal("[model]\ntop_k = 2\nstrata = [4, 1]");
    assert!(few.starts_with("my/r.toml, line 2: [model] top_k = 2 is more than the last stratum"), "{few}");
    let default_k = refusal("[model]\nstrata = [4, 1]");
    assert!(default_k.starts_with("my/r.toml (default of model.top_k): [model] top_k = 2"), "{default_k}");
    let cmr = refusal("[model]\nkind = \"cmr\"\nexperts = 8\nstrata = [4, 4]");
    assert!(cmr.starts_with("my/r.toml, line 4: [model] strata = [4, 4], but kind \"cmr\" has no strata"), "{cmr}");
    let sum = refusal("[model]\nexperts = 9\nstrata = [4, 4]");
    assert!(sum.starts_with("my/r.toml, line 2: [model] experts = 9, but strata = [4, 4] have 8"), "{sum}");
}

#[test]
fn a_value_that_a_variant_forgot_to_change_says_so() {
    let text = "[model]\nstrata = [4, 4]\nexperts = 8\n[variant.moe]\nmodel.kind = \"moe\"";
    let message = parse(text).unwrap().resolve(Some("moe"), &[]).unwrap_err().to_string();
    assert!(
        message.starts_with("my/r.toml, line 2: [model] strata = [4, 4], but kind \"moe\" has no strata"),
        "{message}"
    );
    assert!(message.ends_with("(variant `moe` keeps this value; change model.strata in [variant.moe])"), "{message}");
}

#[test]
fn values_that_contradict_each_other() {
    let cases = [
        ("[data]\nmax_length = 600", "line 2: data.max_length = 600 is more than model.max_length = 512"),
        ("[data]\ndirections = [\"ende\"]", "line 2: data.directions: \"ende\" is not a direction"),
        ("[data]\ndirections = [\"de-de\"]", "line 2: data.directions: \"de-de\" is not a direction"),
        ("[train]\nwarmup_init_lr = 1.0", "line 2: train.warmup_init_lr = 1 is more than train.learning_rate"),
        ("[train]\naverage_last = 5", "line 2: train.average_last = 5 is more than train.keep_last = 3"),
        (
            "[train]\naverage_last = 2\naverage_decay = 0.99",
            "line 3: train.average_decay = 0.99 and train.average_last",
        ),
    ];
    for (text, message) in cases {
        let refusal = refusal(&format!("{text}\n[model]\nstrata = [4, 4]"));
        assert!(refusal.starts_with(&format!("my/r.toml, {message}")), "{refusal}");
    }
}
