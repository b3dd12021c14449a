//! Text part by part, for callers that need each part by itself, or each token with its way through the experts.
//!
//! A *part* is a sentence, or as much of one as the model takes. [`Translator::parts`] cuts text into parts and
//! [`Translator::translate_parts`] translates them. A server, which joins the sentences of many users in one batch,
//! takes the steps one by one: [`Translator::requests`] makes the engine's requests for parts, [`Translator::session`]
//! gives the batch that requests join, and [`Requests::read`] turns what comes out into text.

use std::ops::Range;

use strata_corpus::frame::text_within;
use strata_runtime::{Hypothesis, Limits, Request, Session};

use crate::candidate::Candidate;
use crate::error::Error;
use crate::split::{sentences, split};
use crate::task::Task;
use crate::trace::{Target, Trace};
use crate::translator::Translator;

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

impl Part {
    /// A part that the model does not see, such as one without subwords: its translation is the text itself.
    pub fn unchanged(text: &str) -> Self {
        Self { candidates: vec![Candidate { text: text.to_string(), ..Candidate::default() }], ..Self::default() }
    }
}

/// Parts, each with the engine's request for it; none for a part without subwords, which needs no translation.
#[derive(Clone, Debug)]
pub struct Requests<S> {
    parts: Vec<(S, Option<Request>)>,
}

impl<S: AsRef<str>> Requests<S> {
    /// What the engine is to translate, in the order of the parts.
    pub fn sent(&self) -> Vec<Request> {
        self.parts.iter().filter_map(|(_, request)| request.clone()).collect()
    }

    /// The parts' translations, from what the engine found for [`Requests::sent`], in that order.
    pub fn read(self, translator: &Translator, found: Vec<Vec<Hypothesis>>) -> Vec<Part> {
        let mut found = found.into_iter();
        let read = |(part, request): (S, Option<Request>)| match request {
            Some(request) => translator.read(&request, found.next().unwrap_or_default()),
            None => Part::unchanged(part.as_ref()),
        };
        self.parts.into_iter().map(read).collect()
    }
}

impl Translator {
    /// The parts of a line: its sentences, with those that are too long for the model cut up. The space around parts
    /// belongs to none of them.
    pub fn parts(&self, line: &str) -> Vec<Range<usize>> {
        let count = |text: &str| self.subwords().encode(text).len();
        let start = |part: &str| part.as_ptr() as usize - line.as_ptr() as usize;
        let parts = sentences(line).into_iter().flat_map(|sentence| split(sentence, self.longest(), &count));
        parts.map(|part| start(part)..start(part) + part.len()).collect()
    }

    /// Translates parts, in order.
    ///
    /// # Errors
    /// A part that is too long for the model.
    pub fn translate_parts<S: AsRef<str>>(&self, parts: &[S], task: &Task) -> Result<Vec<Part>, Error> {
        let requests = self.requests(parts, task);
        let found = self.backend.translate(&requests.sent(), task.tokens_per_batch)?;
        Ok(requests.read(self, found))
    }

    /// The engine's requests for parts.
    pub fn requests<S: AsRef<str>>(&self, parts: impl IntoIterator<Item = S>, task: &Task) -> Requests<S> {
        let request = |part: S| {
            let request = self.request(part.as_ref(), task);
            (part, request)
        };
        Requests { parts: parts.into_iter().map(request).collect() }
    }

    /// A batch that requests join and leave one by one.
    ///
    /// # Errors
    /// A model that is not on the CPU.
    pub fn session(&self, limits: Limits) -> Result<Session, Error> {
        Ok(self.backend.cpu("continuous batching")?.engine.session(limits))
    }

    /// What the engine found for a request, as text.
    pub fn read(&self, request: &Request, found: Vec<Hypothesis>) -> Part {
        let candidates = self.candidates(request, &found);
        let best = found.first().filter(|_| request.options.routing || request.options.alignments);
        let Some(best) = best else { return Part { candidates, ..Part::default() } };
        let routing = best.routing.as_ref().map_or_else(Vec::new, |routing| routing.source.clone());
        let text = text_within(&self.config().prompts, request.source.len());
        let source = self.trace(&request.source, text, &[], routing);
        let target = |found: Hypothesis| {
            let ids: Vec<u32> = request.prompt.last().copied().into_iter().chain(found.ids).collect();
            let routing = found.routing.unwrap_or_default().target;
            let trace = self.trace(&ids, 1..ids.len(), &found.token_scores, routing);
            Target { trace, attention: found.attention.unwrap_or_default() }
        };
        Part { candidates, source, targets: found.into_iter().map(target).collect() }
    }
}
