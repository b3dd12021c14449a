//! Text part by part, for callers that need each part by itself, or each token with its way through the experts.
//!
//! A *part* is a sentence, or as much of one as the model takes. [`Translator::parts`] cuts text into parts and
//! [`Translator::translate_parts`] translates them. A server, which joins the sentences of many users in one batch,
//! takes the steps one by one: [`Translator::begin`] makes the work of parts, whose requests join the batch that
//! [`Translator::session`] gives.

use std::ops::Range;

use strata_corpus::frame::text_within;
use strata_runtime::{Hypothesis, Limits, Request, Session};

use crate::candidate::Candidate;
use crate::copied::joined_touching;
use crate::endings;
use crate::error::Error;
use crate::sentences::sentences;
use crate::shortfall::Shortfall;
use crate::spaces;
use crate::split::split;
use crate::stand_in::{MARK, Substituted};
use crate::task::Task;
use crate::trace::{Target, Trace};
use crate::translator::Translator;
use crate::work::Work;

/// The translations of a part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// Best first; at least one.
    pub candidates: Vec<Candidate>,
    /// The source token by token; only where routing or alignments are asked for.
    pub source: Trace,
    /// Each candidate token by token; likewise.
    pub targets: Vec<Target>,
    /// What the best candidate lacks of the source, if it seems to lack something.
    pub shortfall: Option<Shortfall>,
}

impl Part {
    /// A part that the model does not see, such as one without letters: its translation is the text itself.
    pub fn unchanged(text: &str) -> Self {
        Self { candidates: vec![Candidate { text: text.to_string(), ..Candidate::default() }], ..Self::default() }
    }

    /// The part with what the stand-ins of its source, `text`, stand for, in at most `most` candidates; none if no
    /// candidate has kept all stand-ins.
    pub(crate) fn restored(self, text: &str, substituted: &Substituted, most: usize) -> Option<Self> {
        let mut targets = self.targets.into_iter();
        let mut part = Self { source: self.source, ..Self::default() };
        for mut candidate in self.candidates {
            let target = targets.next();
            let Some(restored) = substituted.restored(&candidate.text).filter(|_| part.candidates.len() < most) else {
                continue;
            };
            let sources = word_places(&substituted.text, text, |range| substituted.original(range));
            let words = word_places(&candidate.text, &restored.text, |range| restored.moved(range));
            let moved = |(s, t): &(u32, u32)| Some((*sources.get(*s as usize)?, *words.get(*t as usize)?));
            candidate.alignment = candidate.alignment.iter().filter_map(moved).collect();
            candidate.text.clone_from(&restored.text);
            part.candidates.push(candidate);
            part.targets.extend(target.map(|mut target| {
                target.trace.text.clone_from(&restored.text);
                for token in &mut target.trace.tokens {
                    token.range = restored.moved(token.range.clone());
                }
                target
            }));
        }
        if !part.source.tokens.is_empty() {
            part.source.text = text.to_string();
            for token in &mut part.source.tokens {
                token.range = substituted.original(token.range.clone());
            }
        }
        (!part.candidates.is_empty()).then_some(part)
    }

    /// Puts the source's unusual spaces back into the candidates. Tokens then stand where they stood only if no space
    /// has another length, so traced parts stay as they are.
    pub(crate) fn restore_spaces(&mut self, source: &str) {
        if self.targets.is_empty() {
            for candidate in &mut self.candidates {
                let words = |text: &str| text.split_whitespace().count();
                // Alignments count words, of which a control between two spaces makes one more.
                let fits = |text: &String| candidate.alignment.is_empty() || words(text) == words(&candidate.text);
                if let Some(text) = spaces::restored(source, &candidate.text).filter(fits) {
                    candidate.text = text;
                }
            }
        }
    }

    /// Puts back the marks at the source's end of which a candidate lacks some.
    pub(crate) fn restore_ending(&mut self, source: &str) {
        for (i, candidate) in self.candidates.iter_mut().enumerate() {
            let Some((range, marks)) = endings::restored(source, &candidate.text) else { continue };
            candidate.text.replace_range(range.clone(), &marks);
            let Some(target) = self.targets.get_mut(i) else { continue };
            target.trace.text.clone_from(&candidate.text);
            for token in &mut target.trace.tokens {
                token.range = moved(&token.range, &range, marks.len());
            }
        }
    }
}

/// A range of a text in which what was at `old` is now `length` bytes long. A place inside of it moves to its start.
fn moved(range: &Range<usize>, old: &Range<usize>, length: usize) -> Range<usize> {
    let place = |at: usize| match at {
        at if at >= old.end => at - old.len() + length,
        at => at.min(old.start),
    };
    place(range.start)..place(range.end)
}

/// For each word of `from` the number of the word of `to` that stands at its place.
fn word_places(from: &str, to: &str, place: impl Fn(Range<usize>) -> Range<usize>) -> Vec<u32> {
    let start = |word: &str| word.as_ptr() as usize - from.as_ptr() as usize;
    let number = |word: &str| {
        let at = place(start(word)..start(word) + word.len()).start;
        let before = to.get(..at).unwrap_or(to);
        let inside = before.ends_with(|c: char| !c.is_whitespace());
        before.split_whitespace().count() as u32 - u32::from(inside)
    };
    from.split_whitespace().map(number).collect()
}

impl Translator {
    /// The parts of a line: its sentences, with those that are longer than the model has learned cut up. The space
    /// around parts belongs to none of them, and no part begins or ends inside of what is [copied](Self::copied).
    pub fn parts(&self, line: &str) -> Vec<Range<usize>> {
        let marked = Substituted::marked(line, &self.copied(line));
        let cut = |sentence: Range<usize>| {
            let shifted = move |part: Range<usize>| part.start + sentence.start..part.end + sentence.start;
            self.cut(&marked.text[sentence.clone()], self.longest()).into_iter().map(shifted)
        };
        sentences(&marked.text).into_iter().flat_map(cut).map(|part| marked.original(part)).collect()
    }

    /// A text in two halves, cut where it hurts least, but nowhere inside of what is `copied`; one if it cannot be cut.
    pub(crate) fn halves(&self, text: &str, copied: &[Range<usize>]) -> Vec<Range<usize>> {
        let marked = Substituted::marked(text, &joined_touching(text, [&self.copied(text), copied].concat()));
        let half = self.length(&marked.text).div_ceil(2) + 2;
        self.cut(&marked.text, half).into_iter().map(|part| marked.original(part)).collect()
    }

    /// The parts of a text, each of at most `limit` subwords.
    pub(crate) fn cut(&self, text: &str, limit: usize) -> Vec<Range<usize>> {
        split(text, limit, &|text| self.length(text))
    }

    /// The length of a text in subwords, with one for each mark.
    fn length(&self, text: &str) -> usize {
        if text.contains(MARK) {
            return self.subwords().encode(&text.replace(MARK, "X")).len();
        }
        self.subwords().encode(text).len()
    }

    /// Translates parts, in order.
    ///
    /// # Errors
    /// A part that is too long for the model.
    pub fn translate_parts<S: AsRef<str>>(&self, parts: &[S], task: &Task) -> Result<Vec<Part>, Error> {
        let parts: Vec<String> = parts.iter().map(|part| part.as_ref().to_string()).collect();
        self.finished(self.begin(&parts, task), task)
    }

    /// Does all rounds of a work.
    pub(crate) fn finished(&self, mut work: Work, task: &Task) -> Result<Vec<Part>, Error> {
        loop {
            let requests = work.requests();
            if requests.is_empty() {
                return Ok(work.finish());
            }
            work.take(self.backend.translate(&requests, task)?, self, task);
        }
    }

    /// A batch that requests join and leave one by one.
    ///
    /// # Errors
    /// A model that is not on the CPU.
    pub fn session(&self, limits: Limits) -> Result<Session, Error> {
        Ok(self.backend.cpu("continuous batching")?.engine.session(limits))
    }

    /// What the engine found for a request, as text.
    pub(crate) fn read(&self, request: &Request, found: Vec<Hypothesis>) -> Part {
        let candidates = self.candidates(request, &found);
        let best = found.first().filter(|best| best.routing.is_some() || best.attention.is_some());
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
        Part { candidates, source, targets: found.into_iter().map(target).collect(), shortfall: None }
    }
}
