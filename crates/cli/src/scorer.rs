//! BLEU during training: the scorer that `strata_train` asks for, made with `strata_translate`.

use std::path::Path;

use strata_corpus::Subwords;
use strata_corpus::languages::Languages;
use strata_files::names::{LANGUAGES_FILE, TOKENIZER_FILE};
use strata_recipe::{Recipe, is_cpu};
use strata_train::ScoreError;
use strata_translate::evaluate::{EvaluateOptions, evaluate};
use strata_translate::scores::{Metrics, tokenizer};
use strata_translate::{TranslateOptions, Translator};

/// Refuses a search that the recipe's device does not have, before training and not at the first validation.
///
/// # Errors
/// Keys of `[translate]` that need the CPU engine, where BLEU is measured on another device.
pub fn check_scorer(recipe: &Recipe) -> anyhow::Result<()> {
    let measured_elsewhere = !is_cpu(&recipe.train.device) && recipe.train.validate_bleu_every > 0;
    if measured_elsewhere && !TranslateOptions::from(&recipe.translate).is_plain() {
        anyhow::bail!(
            "train.device = {:?} measures BLEU by plain beam search, but [translate] asks for more; keep to beam, \
             length_penalty, max_ratio and max_extra there, or set train.validate_bleu_every = 0",
            recipe.train.device
        );
    }
    Ok(())
}

/// Mean BLEU of `model` over the directions of the recipe's validation text; a [`strata_train::Scorer`].
pub fn validation_bleu(recipe: &Recipe, model: strata_train::Transformer) -> Result<f64, ScoreError> {
    let prepared = Path::new(&recipe.data.prepared);
    let subwords = Subwords::load(&prepared.join(TOKENIZER_FILE))?;
    let languages = Languages::load(&prepared.join(LANGUAGES_FILE))?;
    let options = EvaluateOptions {
        split: "valid".to_string(),
        directions: recipe.data.directions.clone(),
        limit: recipe.train.validate_bleu_sentences,
        translate: TranslateOptions::from(&recipe.translate),
        keep: None,
    };
    let metrics = Metrics::new(tokenizer("13a")?)?;
    let translator = Translator::of_training(model, subwords, languages)?;
    let found = evaluate(&translator, prepared, &options, &metrics, &mut |_| {})?;
    Ok(found.averages.last().map_or(0.0, |all| all.scores.bleu))
}
