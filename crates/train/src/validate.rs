//! The validation loss over all held-out pairs, direction by direction, without dropout; and BLEU over a sample of them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::prepare::TOKENIZER_FILE;
use strata_corpus::{HeldOut, Subwords};
use strata_model::{Forward, Transformer};
use strata_recipe::Recipe;
use strata_translate::evaluate::{EvaluateOptions, evaluate};
use strata_translate::scores::Metrics;
use strata_translate::{TranslateOptions, Translator};

use crate::batch::Tensors;
use crate::error::Error;
use crate::stats::RoutingStats;

/// Losses per target subword, in nats.
#[derive(Clone, Debug, Serialize)]
pub struct Validation {
    /// Label-smoothed, over all directions together: what `best` goes by.
    pub loss: f64,
    /// Without smoothing.
    pub nll: f64,
    /// Without smoothing, for each direction.
    pub nll_by_direction: BTreeMap<String, f64>,
    /// What the expert blocks did.
    #[serde(skip)]
    pub routing: RoutingStats,
}

/// Measures the losses of `model`, which must be without gradients, over `held_out`.
///
/// # Errors
/// [`Error::Corpus`] where the shards cannot be read.
pub fn validate(model: &Transformer, held_out: &HeldOut, smoothing: f32) -> Result<Validation, Error> {
    let mut routing = RoutingStats::default();
    let mut sums: BTreeMap<usize, (f64, u64)> = BTreeMap::new();
    let (mut loss, mut tokens) = (0.0, 0u64);
    for batch in held_out.batches() {
        let (direction, batch) = batch?;
        let tensors = Tensors::new(batch);
        let count = tensors.targets.len() as u64;
        let mut forward = Forward::inference();
        let (source, target, targets) = (&tensors.source, &tensors.target, tensors.targets.clone());
        let result = model.loss(source, target, targets, smoothing, 1.0, &mut forward);
        routing.add(&forward.blocks);
        loss += f64::from(result.loss.into_scalar::<f32>());
        tokens += count;
        let sum = sums.entry(direction).or_default();
        sum.0 += result.nll;
        sum.1 += count;
    }
    let nll: f64 = sums.values().map(|(nll, _)| nll).sum();
    let per_token = |sum: f64, tokens: u64| sum / tokens.max(1) as f64;
    Ok(Validation {
        loss: per_token(loss, tokens),
        nll: per_token(nll, tokens),
        nll_by_direction: sums
            .iter()
            .map(|(direction, (nll, tokens))| (held_out.directions()[*direction].to_string(), per_token(*nll, *tokens)))
            .collect(),
        routing,
    })
}

/// Mean BLEU over the directions of the validation set, `train.validate_bleu_sentences` sentences each, searched as the
/// recipe's `[translate]` says.
///
/// # Errors
/// A prepared folder that lost its text; what translation reports.
pub fn validation_bleu(recipe: &Recipe, mut model: Transformer) -> Result<f64, Error> {
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
    let metrics = Metrics::new(strata_translate::scores::tokenizer("13a")?)?;
    let translator = if strata_kernels::on_flex(&model.device()) {
        let config = model.config().clone();
        Translator::from_weights(&config, &model.weights(), subwords, languages)?
    } else {
        Translator::from_model(model, subwords, languages)
    };
    let found = evaluate(&translator, prepared, &options, &metrics, &mut |_| {})?;
    Ok(found.averages.last().map_or(0.0, |all| all.scores.bleu))
}
