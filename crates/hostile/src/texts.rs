//! Texts that models and runs are described in, and subword models.

use strata_corpus::Subwords;
use strata_corpus::languages::Languages;
use strata_recipe::{ModelConfig, RecipeFile};
use strata_translate::Glossary;

use crate::{Target, in_file, kept_files, texts};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("\u{fffd}")
}

/// Recipes.
pub const RECIPE: Target = Target {
    name: "recipe",
    run: |bytes| {
        let Ok(recipe) = RecipeFile::parse(text(bytes), "recipe.toml") else { return false };
        let variants: Vec<&str> = recipe.variants().collect();
        variants.into_iter().for_each(|variant| drop(recipe.resolve(Some(variant), &[])));
        let _ = recipe.resolve(None, &[]);
        true
    },
    seeds: || kept_files(["../recipes/quickstart.toml", "../recipes/docs.toml"]),
};

/// Descriptions of models.
pub const CONFIG: Target = Target {
    name: "config",
    run: |bytes| ModelConfig::from_json(text(bytes), "config.json").is_ok_and(|config| config.validate().is_ok()),
    seeds: || {
        kept_files(["runtime/tests/packed-v2/dense-f32/config.json", "runtime/tests/packed-v2/smoe-int8/config.json"])
    },
};

/// The languages of models.
pub const LANGUAGES: Target = Target {
    name: "languages",
    run: |bytes| in_file(bytes, |path| Languages::load(path).is_ok()),
    seeds: || kept_files(["translate/tests/kept-0.1.0/model/languages.json"]),
};

/// Subword models as they lie in model folders.
pub const TOKENIZER: Target = Target {
    name: "tokenizer",
    run: |bytes| in_file(bytes, |path| Subwords::load(path).is_ok_and(|subwords| cuts(&subwords))),
    seeds: || kept_files(["translate/tests/kept-0.1.0/model/tokenizer.json"]),
};

/// SentencePiece's models.
pub const SENTENCEPIECE: Target = Target {
    name: "sentencepiece",
    run: |bytes| in_file(bytes, |path| Subwords::load_sentencepiece(path).is_ok_and(|subwords| cuts(&subwords))),
    seeds: || {
        kept_files([
            "corpus/tests/data/unigram-plain.model",
            "corpus/tests/data/unigram-bytes.model",
            "corpus/tests/data/bpe-open.model",
        ])
    },
};

/// Cuts text and puts it together.
fn cuts(subwords: &Subwords) -> bool {
    let ids = subwords.encode("Open the file 你好 \u{ad}e\u{301}!");
    let _ = subwords.decode(&ids);
    true
}

/// Glossaries.
pub const GLOSSARY: Target = Target {
    name: "glossary",
    run: |bytes| in_file(bytes, |path| Glossary::read(path).is_ok()),
    seeds: || texts(["\u{feff}file=Datei\r\n# note\nthe file menu=Dateimenü\n"]),
};
