//! What a caller asks of the engine, and what it gets.

use std::sync::Arc;

use strata_recipe::{ModelConfig, SearchOptions};

use crate::error::Error;
use crate::routing::Routing;

/// One sentence to translate.
#[derive(Clone, Debug)]
pub struct Request {
    /// Subword ids with what the model wants in front of and behind the text: a tag, the end mark.
    pub source: Vec<u32>,
    /// What the decoder reads first, such as the tag; neither in the translation nor in its score. As many tokens as
    /// [`Prompts::decoder`](strata_recipe::Prompts) has; where that has a zero vector, the id is not looked at.
    pub prompt: Vec<u32>,
    /// Id of the end mark.
    pub end: u32,
    /// How to search, and what to give back.
    pub options: SearchOptions,
    /// Subwords that the translation must begin with.
    pub prefix: Vec<u32>,
    /// Sequences of subwords that must occur in the translation, each at least once; they may overlap.
    pub constraints: Vec<Vec<u32>>,
    /// Ids that the search never chooses: padding, unknown, language tags. Prefix and constraints may have them.
    pub suppressed: Arc<[u32]>,
    /// Only these ids, ascending, can be chosen; probabilities are relative to them. `None` is the whole vocabulary.
    /// Requests that share one `Arc` share the work.
    pub vocabulary: Option<Arc<[u32]>>,
    /// The prefix is the whole translation, and only its score is wanted.
    pub score_only: bool,
}

impl Request {
    /// A request without prefix, constraints and limits of the vocabulary.
    pub fn new(source: Vec<u32>, prompt: impl Into<Vec<u32>>, end: u32, options: SearchOptions) -> Self {
        Self {
            source,
            prompt: prompt.into(),
            end,
            options,
            prefix: Vec::new(),
            constraints: Vec::new(),
            suppressed: Arc::new([]),
            vocabulary: None,
            score_only: false,
        }
    }

    /// Asks for the score of the translation `target`, given without the end mark, which is scored too.
    pub fn score(source: Vec<u32>, prompt: impl Into<Vec<u32>>, end: u32, target: Vec<u32>) -> Self {
        let options = SearchOptions { beam: 1, ..SearchOptions::default() };
        Self { prefix: target, score_only: true, ..Self::new(source, prompt, end, options) }
    }

    /// The most hypotheses that the request keeps at a time.
    pub(crate) fn width(&self) -> usize {
        self.options.width().max(self.prompt.len() + self.prefix.len())
    }

    /// The longest translation, end mark included.
    pub(crate) fn longest(&self, model: &ModelConfig) -> usize {
        if self.score_only {
            return self.prefix.len() + 1;
        }
        let SearchOptions { max_ratio, max_extra, max_length, .. } = self.options;
        let asked = match max_length {
            0 => ((self.source.len() as f32 * max_ratio as f32) as usize).saturating_add(max_extra),
            given => given,
        };
        asked.clamp(1, model.max_length).max(self.needed()) // `check` refuses more than the model takes
    }

    /// The shortest length that holds prefix, constraints and end mark.
    fn needed(&self) -> usize {
        self.prefix.len() + self.constraints.iter().map(Vec::len).sum::<usize>() + 1
    }

    /// Checks that the request fits the model.
    ///
    /// # Errors
    /// [`Error::Config`] for an option's value, [`Error::Request`] for anything else, saying what does not fit.
    pub(crate) fn check(&self, model: &ModelConfig) -> Result<(), Error> {
        let fault = |text: String| Err(Error::Request(text));
        let most = model.max_length;
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
        let (prompt, expected) = (self.prompt.len(), model.prompts.decoder.len());
        if prompt != expected {
            return fault(format!("a prompt of {prompt} tokens; the decoder of this model reads {expected} first"));
        }
        let subset = self.vocabulary.as_deref().unwrap_or(&[]);
        let ids = self.prompt.iter().chain([&self.end]).chain(self.forced()).chain(&*self.suppressed).chain(subset);
        for (size, id) in [(model.source_vocab_size(), self.source.iter().max()), (model.vocab_size, ids.max())] {
            if let Some(id) = id.filter(|id| **id as usize >= size) {
                return fault(format!(
                    "subword id {id} is outside the model's vocabulary of {size}; text and model use different subword \
                     models"
                ));
            }
        }
        if self.forced().any(|id| *id == self.end) {
            return fault("prefix and constraints cannot have the end mark; leave it out".to_owned());
        }
        if self.constraints.iter().any(Vec::is_empty) {
            return fault("a constraint without subwords; leave it out".to_owned());
        }
        self.options.check()?;
        if self.options.sample && !self.constraints.is_empty() {
            return fault("constraints need a search; they cannot be combined with sampling".to_owned());
        }
        self.check_vocabulary()
    }

    /// The ids that the translation must have: those of prefix and constraints.
    fn forced(&self) -> impl Iterator<Item = &u32> {
        self.prefix.iter().chain(self.constraints.iter().flatten())
    }

    fn check_vocabulary(&self) -> Result<(), Error> {
        let fault = |text: String| Err(Error::Request(text));
        let Some(vocabulary) = &self.vocabulary else { return Ok(()) };
        if !vocabulary.is_sorted_by(|a, b| a < b) {
            return fault("the vocabulary must be ascending and without repetitions; sort it".to_owned());
        }
        match self.forced().chain([&self.end]).find(|id| vocabulary.binary_search(id).is_err()) {
            Some(id) => {
                fault(format!("subword id {id} is needed, but the request's vocabulary does not have it; add it"))
            }
            None => Ok(()),
        }
    }
}

/// One translation of a sentence.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hypothesis {
    /// Subword ids without the first tag and the end mark.
    pub ids: Vec<u32>,
    /// Sum of the log-probabilities over `length ^ length_penalty`, and the coverage penalty.
    pub score: f32,
    /// Natural log-probability of each of `ids`, then that of the end mark unless the translation was cut at the
    /// longest length.
    pub token_scores: Vec<f32>,
    /// `[ids, source]`, with [`SearchOptions::alignments`]: each id's attention to each source position, the mean over
    /// the heads of the last decoder layer.
    pub attention: Option<Vec<Vec<f32>>>,
    /// With [`SearchOptions::routing`]: each token's way through the expert blocks.
    pub routing: Option<Routing>,
}
