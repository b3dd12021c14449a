//! Translation part by part, for callers that run the engine's steps themselves: a server joins the sentences of many users in
//! one batch.
//!
//! A *part* is a sentence, or as much of one as the model takes. [`Translator::parts`] cuts text into parts,
//! [`Translator::request`] makes a request of the engine for one, [`Translator::session`] gives the batch that requests join, and
//! [`Translator::read`] turns what comes out into text.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::subword::{EOS, encoder_input};
use strata_runtime::{Hypothesis, Limits, PackedFolder, Request, SearchOptions, Session, TokenRouting};
use strata_store::resolve_model;

use crate::backend::{Backend, search_options};
use crate::error::Error;
use crate::options::{More, Options};
use crate::split::{sentences, split};
use crate::translator::{Candidate, Translator};

/// What is asked for with a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Hypotheses kept by beam search, at least 1.
    pub beam: usize,
    /// Translations given back, at most `beam`.
    pub nbest: usize,
    /// Give attention, and word alignments from it.
    pub alignment: bool,
    /// Give each token's way through the experts.
    pub routing: bool,
}

/// How parts are translated into one language; made once for a caller's parts.
#[derive(Clone, Debug)]
pub struct PartSearch {
    tag: u32,
    options: Arc<SearchOptions>,
}

/// A token of a traced sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedToken {
    /// Its piece, as the subword model prints it.
    pub piece: String,
    /// Where it stands in the text of [`Trace`], in bytes; empty for the tag and the end mark.
    pub range: Range<usize>,
    /// Natural log-probability; none for source tokens and for the tag.
    pub score: Option<f32>,
    /// Its way through the expert blocks, where routing was asked for. Empty for a token that the decoder wrote and never read.
    pub routing: TokenRouting,
}

/// A sentence token by token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// The text as the model sees or writes it.
    pub text: String,
    /// Source: the tag, the subwords, the end mark. Translation: the tag, the subwords.
    pub tokens: Vec<TracedToken>,
}

/// The translations of a part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Best first; at least one.
    pub candidates: Vec<Candidate>,
    /// The source token by token; only where routing or alignments are asked for.
    pub source: Trace,
    /// Each candidate token by token; likewise.
    pub targets: Vec<Target>,
}

/// A translation token by token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// Its tokens.
    pub trace: Trace,
    /// For each of its subwords (without the tag) the attention to each source token (tag and end mark included),
    /// `[target, source]`; where alignments are asked for.
    pub attention: Vec<Vec<f32>>,
}

impl Translator {
    /// The languages of the model at `path`, without loading its weights.
    ///
    /// # Errors
    /// No model there, or a damaged file.
    pub fn languages_at(path: &Path) -> Result<Languages, Error> {
        let folder = if PackedFolder::is_at(path) { path.to_path_buf() } else { resolve_model(path)? };
        Ok(Languages::load(&folder.join(LANGUAGES_FILE))?)
    }

    /// Where the parts of a line are: its sentences, those that are too long for the model in pieces. The space around parts
    /// belongs to none.
    pub fn parts(&self, line: &str) -> Vec<Range<usize>> {
        let count = |text: &str| self.subwords().encode(text).len();
        let start = |part: &str| part.as_ptr() as usize - line.as_ptr() as usize;
        let parts = sentences(line).into_iter().flat_map(|sentence| split(sentence, self.longest(), &count));
        parts.map(|part| start(part)..start(part) + part.len()).collect()
    }

    /// A batch of its own for this model.
    ///
    /// # Errors
    /// A model that is not on the CPU.
    pub fn session(&self, limits: Limits) -> Result<Session, Error> {
        match &self.backend {
            Backend::Engine(cpu) => Ok(cpu.engine.session(limits)),
            Backend::Model(_) => Err(Error::Unsupported("continuous batching runs on the CPU only".into())),
        }
    }

    /// What another program has done to the mapped file that the weights are in, if it has: what is computed with them is
    /// then worth nothing.
    pub fn change(&self) -> Option<String> {
        match &self.backend {
            Backend::Engine(cpu) => cpu.engine.model().change(),
            Backend::Model(_) => None,
        }
    }

    /// The search for translations into `to`.
    ///
    /// # Errors
    /// [`Error::Language`].
    pub fn part_search(&self, to: &str, wanted: Wanted) -> Result<PartSearch, Error> {
        let tag = self.tag(to)?;
        let options = Options {
            beam: wanted.beam,
            nbest: wanted.nbest,
            more: More { alignment: wanted.alignment, ..More::default() },
            ..Options::default()
        };
        let options = search_options(&options, &self.allowed(to, &options)?);
        let options = SearchOptions { routing: wanted.routing, ..options };
        Ok(PartSearch { tag, options: Arc::new(options) })
    }

    /// The engine's request for a part; none for one without subwords, which needs no translation.
    pub fn request(&self, part: &str, search: &PartSearch) -> Option<Request> {
        let ids = self.subwords().encode(part);
        (!ids.is_empty())
            .then(|| Request::new(encoder_input(search.tag, ids).collect(), search.tag, search.options.clone()))
    }

    /// What the engine found for a request.
    pub fn read(&self, request: &Request, hypotheses: Vec<Hypothesis>) -> Part {
        let source = &request.source;
        let mut part = Part::default();
        if let Some(best) = hypotheses.first()
            && (request.options.routing || request.options.attention)
        {
            part.source = self.trace(source, &[], best.routing.clone().unwrap_or_default().source);
            let target = |h: &Hypothesis| {
                let ids: Vec<u32> = [request.first].into_iter().chain(h.ids.iter().copied()).collect();
                let routing = h.routing.clone().unwrap_or_default().target;
                let trace = self.trace(&ids, &h.token_scores, routing);
                Target { trace, attention: h.attention.clone().unwrap_or_default() }
            };
            part.targets = hypotheses.iter().map(target).collect();
        }
        part.candidates = hypotheses.into_iter().map(|h| self.candidate(source, h.into())).collect();
        if part.candidates.is_empty() {
            part.candidates.push(Candidate::default());
        }
        part
    }

    /// The tokens of `ids`, which begin with a tag; `scores` are those of the ids behind it.
    fn trace(&self, ids: &[u32], scores: &[f32], routing: Vec<TokenRouting>) -> Trace {
        let end = if ids.len() > 1 && ids.last() == Some(&EOS) { ids.len() - 1 } else { ids.len() };
        let text = self.subwords().decode(&ids[1..end]);
        let mut routing = routing.into_iter();
        let mut tokens = Vec::with_capacity(ids.len());
        let mut at = 0;
        for (i, id) in ids.iter().enumerate() {
            let start = at;
            if (1..end).contains(&i) {
                // Bytes of a character that is not complete decode to something else: such a token ends where it began.
                let decoded = self.subwords().decode(&ids[1..=i]);
                if text.starts_with(&decoded) {
                    at = at.max(decoded.len());
                }
                if i + 1 == end {
                    at = text.len();
                }
            }
            tokens.push(TracedToken {
                piece: self.subwords().piece(*id),
                range: start..at,
                score: i.checked_sub(1).and_then(|i| scores.get(i)).copied(),
                routing: routing.next().unwrap_or_default(),
            });
        }
        Trace { text, tokens }
    }
}
