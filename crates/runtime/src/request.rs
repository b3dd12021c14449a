//! What a caller asks for and what it gets.

use std::sync::Arc;

use strata_recipe::ModelConfig;

use crate::error::Error;
use crate::routing::Routing;

/// How to search. Lengths are in subwords, the end mark included.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchOptions {
    /// Hypotheses kept for each sentence; 1 is greedy. With sampling: translations drawn.
    pub beam: usize,
    /// Scores are divided by `length ^ length_penalty`.
    pub length_penalty: f32,
    /// Translations given back for each sentence, at most `beam`.
    pub nbest: usize,
    /// Longest translation: `max_ratio * source + max_extra`, and at most the model's.
    pub max_ratio: f32,
    /// See `max_ratio`.
    pub max_extra: usize,
    /// Longest translation whatever the source is.
    pub max_length: Option<usize>,
    /// Shortest translation, as far as the longest allows: the end mark is not chosen before.
    pub min_length: usize,
    /// Id of the end mark.
    pub end: u32,
    /// Ids that a translation never has: padding, unknown, language tags. A forced prefix and constraints may have them.
    pub suppressed: Arc<[u32]>,
    /// No sequence of this many subwords occurs twice in a translation; 0 is off.
    pub no_repeat_ngram: usize,
    /// Beta of the coverage penalty (Wu et al., 2016, equation 14): finished translations score
    /// `beta * sum over source tokens of ln(min(1, attention))` more, with the mean over heads of the last decoder layer's
    /// attention summed over the translation. 0 is off.
    pub coverage_penalty: f32,
    /// Draw translations instead of searching for the best ones.
    pub sampling: Option<Sampling>,
    /// Give the source position that each subword attends to most.
    pub alignment: bool,
    /// Give each subword's whole attention to the source.
    pub attention: bool,
    /// Give the routing of every token.
    pub routing: bool,
    /// Only these ids, ascending, can be chosen; probabilities are relative to them. None is the whole vocabulary. Requests
    /// that share one `Arc` share the work.
    pub vocabulary: Option<Arc<[u32]>>,
}

/// How to draw translations.
///
/// Subword `t` (from 0) of translation `s` (from 0) is drawn by inverting the cumulative distribution at
/// `mix(mix(seed, s), t) / 2^64`, where `mix` is SplitMix64 of a seed and a count. So it depends on the request alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by it; above 0.
    pub temperature: f32,
    /// Only so many of the most probable subwords can be drawn; 0 is no limit.
    pub top_k: usize,
    /// Only the most probable subwords that together reach this probability can be drawn (Holtzman et al., 2020); 1 is no limit.
    pub top_p: f32,
    /// Seed of the random numbers.
    pub seed: u64,
}

/// Beam 5, as in the papers that Strata follows.
impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            beam: 5,
            length_penalty: 1.0,
            nbest: 1,
            max_ratio: 2.0,
            max_extra: 20,
            max_length: None,
            min_length: 0,
            end: 0,
            suppressed: Arc::new([]),
            no_repeat_ngram: 0,
            coverage_penalty: 0.0,
            sampling: None,
            alignment: false,
            attention: false,
            routing: false,
            vocabulary: None,
        }
    }
}

/// One sentence to translate.
#[derive(Clone, Debug)]
pub struct Request {
    /// Subword ids with the tag and the end mark.
    pub source: Vec<u32>,
    /// The decoder's first token: the tag.
    pub first: u32,
    /// Subwords that the translation must begin with.
    pub prefix: Vec<u32>,
    /// Sequences of subwords that must occur in the translation, each at least once; they may overlap.
    pub constraints: Vec<Vec<u32>>,
    /// How to search; shared by the requests of a call.
    pub options: Arc<SearchOptions>,
    /// The prefix is the whole translation: only its score is wanted.
    pub(crate) score_only: bool,
}

impl Request {
    /// A request without prefix and constraints.
    pub fn new(source: Vec<u32>, first: u32, options: Arc<SearchOptions>) -> Self {
        Self { source, first, prefix: Vec::new(), constraints: Vec::new(), options, score_only: false }
    }

    /// Asks for the score of the translation `target`, given without the end mark, which is scored too.
    pub fn score(source: Vec<u32>, first: u32, target: Vec<u32>, options: Arc<SearchOptions>) -> Self {
        Self { prefix: target, score_only: true, ..Self::new(source, first, options) }
    }

    /// Hypotheses that the request may have under way.
    pub(crate) fn width(&self) -> usize {
        let beam = if self.score_only { 1 } else { self.options.beam };
        beam.max(self.prefix.len() + 1)
    }

    /// The longest translation.
    pub(crate) fn longest(&self, model: &ModelConfig) -> usize {
        if self.score_only {
            return self.prefix.len() + 1;
        }
        let options = &self.options;
        let by_source = (self.source.len() as f32 * options.max_ratio) as usize + options.max_extra;
        let longest = by_source.clamp(1, model.max_length).min(options.max_length.unwrap_or(usize::MAX).max(1));
        longest.max(self.needed()) // not above the model's: checked
    }

    /// The least length that holds prefix, constraints and end mark.
    fn needed(&self) -> usize {
        self.prefix.len() + self.constraints.iter().map(Vec::len).sum::<usize>() + 1
    }

    /// Checks that the request fits the model.
    ///
    /// # Errors
    /// [`Error::Request`] saying what does not fit.
    pub(crate) fn check(&self, model: &ModelConfig) -> Result<(), Error> {
        let fault = |text: String| Err(Error::Request(text));
        let (options, most) = (&*self.options, model.max_length);
        if self.source.is_empty() {
            return fault("a source without subwords; give at least its end mark".to_owned());
        }
        if self.source.len() > most {
            return fault(format!("a sentence of {} subwords; this model takes at most {most}", self.source.len()));
        }
        if self.needed() > most {
            return fault(format!(
                "prefix, constraints and end mark are {} subwords; this model writes at most {most}",
                self.needed()
            ));
        }
        let constraints = self.constraints.iter().flatten();
        let ids = self.source.iter().chain([&self.first, &options.end]).chain(&self.prefix).chain(constraints);
        let subset = options.vocabulary.as_deref().unwrap_or(&[]);
        if let Some(id) = ids.chain(&*options.suppressed).chain(subset).find(|id| **id as usize >= model.vocab_size) {
            return fault(format!(
                "subword id {id} is outside the model's vocabulary of {}; text and model use different subword models",
                model.vocab_size
            ));
        }
        if self.prefix.contains(&options.end) || self.constraints.iter().flatten().any(|id| *id == options.end) {
            return fault("prefix and constraints cannot have the end mark; leave it out".to_owned());
        }
        if self.constraints.iter().any(Vec::is_empty) {
            return fault("a constraint without subwords; leave it out".to_owned());
        }
        self.check_options()?;
        self.check_vocabulary()
    }

    fn check_options(&self) -> Result<(), Error> {
        let fault = |text: String| Err(Error::Request(text));
        let options = &*self.options;
        if options.beam == 0 || options.beam > MOST_HYPOTHESES {
            return fault(format!("beam = {} must be between 1 and {MOST_HYPOTHESES}", options.beam));
        }
        for (name, value) in [
            ("length_penalty", options.length_penalty),
            ("max_ratio", options.max_ratio),
            ("coverage_penalty", options.coverage_penalty),
        ] {
            if !value.is_finite() || value < 0.0 {
                return fault(format!("{name} = {value} must be a number, 0 or more"));
            }
        }
        let Some(sampling) = options.sampling else { return Ok(()) };
        if !sampling.temperature.is_finite() || sampling.temperature <= 0.0 {
            return fault(format!("temperature = {} must be above 0", sampling.temperature));
        }
        if !(sampling.top_p > 0.0 && sampling.top_p <= 1.0) {
            return fault(format!("top_p = {} must be above 0 and at most 1", sampling.top_p));
        }
        if !self.constraints.is_empty() {
            return fault("constraints need a search; they cannot be combined with sampling".to_owned());
        }
        Ok(())
    }

    fn check_vocabulary(&self) -> Result<(), Error> {
        let fault = |text: String| Err(Error::Request(text));
        let Some(vocabulary) = &self.options.vocabulary else { return Ok(()) };
        if !vocabulary.is_sorted_by(|a, b| a < b) {
            return fault("the vocabulary must be ascending and without repetitions; sort it".to_owned());
        }
        let needed = self.prefix.iter().chain(self.constraints.iter().flatten()).chain([&self.options.end]);
        match needed.into_iter().find(|id| vocabulary.binary_search(id).is_err()) {
            Some(id) => {
                fault(format!("subword id {id} is needed, but the request's vocabulary does not have it; add it"))
            }
            None => Ok(()),
        }
    }
}

/// The widest beam.
const MOST_HYPOTHESES: usize = 4096;

/// One translation of a sentence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hypothesis {
    /// Subword ids without the first tag and the end mark.
    pub ids: Vec<u32>,
    /// Sum of the log-probabilities over `length ^ length_penalty`, and the coverage penalty.
    pub score: f32,
    /// Natural log-probability of each of `ids`, then that of the end mark where the translation did not stop at the longest
    /// length.
    pub token_scores: Vec<f32>,
    /// On request: the source position that each of `ids` attends to most.
    pub alignment: Option<Vec<u32>>,
    /// On request: the attention of each of `ids` to each source position, the mean over heads of the last decoder layer.
    pub attention: Option<Vec<Vec<f32>>>,
    /// On request: which experts each token asked for.
    pub routing: Option<Routing>,
}
