//! The figures of a trained run: translations of the test set, their scores, and the routing behind them.

use std::path::{Path, PathBuf};

use strata_recipe::{Cost, Kind};
use strata_store::RunFolder;
use strata_store::checkpoint::AVERAGED_DIR;
use strata_translate::evaluate::{EvaluateOptions, Evaluation, Text, evaluate, read_texts};
use strata_translate::scores::Metrics;
use strata_translate::{Placement, TranslateOptions, Translator};

use super::file::{Planned, StudyFile, Weights};
use super::likelihood::{self, Likelihood};
use super::results::{RunResult, ShownTranslation};
use crate::analysis::{Analysis, AnalyzeOptions, Progress, analyze, colored};
use crate::error::Error;
use crate::routed::RoutedModel;

/// What measuring a run needs.
pub(crate) struct Measurement<'a> {
    pub study: &'a StudyFile,
    pub planned: &'a Planned,
    pub metrics: &'a Metrics,
    /// Where sources, translations and references are kept.
    pub translations: PathBuf,
    pub threads: usize,
}

impl Measurement<'_> {
    /// Translates, scores and analyzes, and fills in the figures of `result`. Returns the analysis, `None` for a dense
    /// model, and where the model can read none of the sentences.
    pub fn run(
        &self,
        result: &mut RunResult,
        progress: &mut dyn FnMut(&str, Progress),
    ) -> Result<Option<Analysis>, Error> {
        let recipe = &self.planned.recipe;
        let run = Path::new(&recipe.train.output);
        let model = match self.study.weights {
            Weights::Best => strata_store::resolve_model(run)?,
            Weights::Last => last_checkpoint(run)?,
            Weights::Averaged => run.join(AVERAGED_DIR),
        };
        let options = EvaluateOptions {
            split: self.study.split.clone(),
            directions: recipe.data.directions.clone(),
            limit: self.study.sentences,
            translate: TranslateOptions::from(&recipe.translate),
            keep: Some(self.translations.clone()),
        };
        let prepared = Path::new(&recipe.data.prepared);
        let translator = Translator::open(&model, &Placement::default())?;
        let evaluation = evaluate(&translator, prepared, &options, self.metrics, &mut |p| {
            progress("translating", Progress { done: p.done, of: p.of });
        })?;
        result.take_scores(&evaluation);
        let texts = read_texts(prepared, &self.study.split, &recipe.data.directions, 0)?;
        result.likelihoods.clear();
        result.examples.clear();
        for (done, text) in texts.iter().enumerate() {
            let (losses, direction) = (likelihood::losses(&translator, text)?, text.direction.name());
            let path = self.translations.join(format!("{}.{direction}.nll", self.study.split));
            likelihood::write(&path, &losses)?;
            result.likelihoods.push(Likelihood::of(&direction, &losses));
            progress("scoring", Progress { done: done + 1, of: texts.len() });
        }
        result.nll = Likelihood::mean(&result.likelihoods);
        if translator.config().kind == Kind::Dense {
            result.flops_per_token_measured = Some(Cost::of(translator.config(), None)?.flops_per_token);
            result.examples = shown(&evaluation).map(|(text, i, line)| plain(text, i, line)).collect();
            return Ok(None);
        }
        drop(translator);
        let routed = RoutedModel::open(&model, self.threads)?;
        let options = AnalyzeOptions {
            split: self.study.split.clone(),
            directions: recipe.data.directions.clone(),
            max_sentences: self.study.analysis_sentences,
            threads: self.threads,
            ..AnalyzeOptions::default()
        };
        let analysis = match analyze(&routed, prepared, &options, &mut |p| progress("routing", p)) {
            // Sentences that are too long for the model were translated in parts, and have their scores.
            Err(Error::NothingRouted { .. }) => None,
            found => Some(found?),
        };
        result.flops_per_token_measured = analysis.as_ref().map(|analysis| analysis.flops_per_token_measured);
        result.rc_encoder = analysis.as_ref().and_then(|analysis| analysis.rc_encoder);
        result.rc_decoder = analysis.as_ref().and_then(|analysis| analysis.rc_decoder);
        for (text, i, line) in shown(&evaluation) {
            let mut example = plain(text, i, line);
            let (source, target) = (&text.sources[i..=i], std::slice::from_ref(line));
            let languages = [&text.direction.source, &text.direction.target].map(String::as_str);
            if let Some((_, pair)) = routed.route(source, target, languages)?.first() {
                let tokens = colored(&routed, &text.direction, pair);
                (example.source_tokens, example.tokens) = (tokens.source, tokens.target);
            }
            result.examples.push(example);
        }
        Ok(analysis)
    }
}

/// The newest checkpoint of a run, which the link `last` may not name yet.
fn last_checkpoint(run: &Path) -> Result<PathBuf, Error> {
    let folder = RunFolder::at(run)?;
    let last = folder.steps()?.pop().ok_or_else(|| Error::Invalid(format!("{}: no checkpoint", run.display())))?;
    Ok(folder.checkpoint_path(last))
}

/// One sentence of each direction, the same for every run: the one whose length is nearest to 50 characters.
fn shown(evaluation: &Evaluation) -> impl Iterator<Item = (&Text, usize, &String)> {
    evaluation.texts.iter().filter_map(|(text, hypotheses)| {
        let best = (0..text.sources.len()).min_by_key(|i| text.sources[*i].chars().count().abs_diff(50))?;
        Some((text, best, &hypotheses[best]))
    })
}

fn plain(text: &Text, sentence: usize, translation: &str) -> ShownTranslation {
    ShownTranslation {
        direction: text.direction.name(),
        source: text.sources[sentence].clone(),
        reference: text.references[sentence].clone(),
        translation: translation.to_string(),
        source_tokens: Vec::new(),
        tokens: Vec::new(),
    }
}
