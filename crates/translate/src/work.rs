//! The translation of texts under way, in rounds: what the model cannot know goes around it, and what it leaves out is
//! tried again in parts.
//!
//! A text is translated as a whole, with [stand-ins](crate::stand_in) for what is [copied](Translator::copied). Where a
//! translation has lost a stand-in, the next round translates the text between the copied pieces. Where it has lost a
//! sign such as `€`, the next round copies the sign. Where it says less than its source ([`Shortfall`]), the next round
//! translates the halves. At the end all is put together; what is still short says so.
//!
//! [`Translator::begin`] makes the work, [`Work::requests`] says what the engine has to decode next, [`Work::take`]
//! takes the results, and [`Work::finish`] gives the translations once there are no requests left.

use std::ops::Range;

use strata_corpus::frame::text_within;
use strata_recipe::Prompts;
use strata_runtime::{Hypothesis, Request};

use crate::copied::{code, joined_touching};
use crate::joined::joined;
use crate::parts::Part;
use crate::shortfall::{Shortfall, shortfall};
use crate::signs;
use crate::stand_in::{Substituted, stand_ins};
use crate::task::Task;
use crate::translator::Translator;

/// How often a text that is translated badly is cut in two.
const MOST_HALVINGS: u8 = 2;

/// Texts on their way through the engine.
pub struct Work {
    texts: Vec<Node>,
    /// Tokens in front of a source's text and behind it.
    around: [usize; 2],
}

/// A piece of a text.
enum Node {
    /// Goes into the translation as it is.
    Copied(String),
    /// Is to be decoded.
    Open(Box<Open>),
    /// Is translated.
    Done(Part),
    /// Is translated piece by piece: the pieces with their places in the text, and what the whole became before.
    Pieces { text: String, pieces: Vec<(Range<usize>, Node)>, whole: Option<Part> },
}

/// A text that is to be decoded.
struct Open {
    text: String,
    /// What the model sees, where that is another text.
    substituted: Option<Substituted>,
    /// What is copied of it.
    copied: Vec<Range<usize>>,
    request: Request,
    /// How often it may still be cut in two.
    halvings: u8,
}

impl Translator {
    /// The work of translating texts, each of them a part ([`Translator::parts`]).
    pub fn begin(&self, texts: &[String], task: &Task) -> Work {
        self.work(texts.iter().map(|text| self.node(text, "", task, MOST_HALVINGS)).collect())
    }

    fn work(&self, texts: Vec<Node>) -> Work {
        let Prompts { source_front, source_end, .. } = &self.config().prompts;
        Work { texts, around: [source_front.len(), source_end.len()] }
    }

    /// The work of translating lines, each with what its translation begins with.
    pub(crate) fn begin_lines(&self, lines: &[(&str, &str)], task: &Task) -> Work {
        let line = |(text, prefix): &(&str, &str)| {
            let parts = if task.whole_lines { self.cut(text, self.longest()) } else { self.parts(text) };
            let piece = |(i, range): (usize, Range<usize>)| {
                let prefix = if i == 0 { *prefix } else { "" };
                (range.clone(), self.node(&text[range], prefix, task, MOST_HALVINGS))
            };
            Node::Pieces {
                text: text.to_string(),
                pieces: parts.into_iter().enumerate().map(piece).collect(),
                whole: None,
            }
        };
        self.work(lines.iter().map(line).collect())
    }

    /// A text that is to be translated, or copied if it says nothing that could be.
    fn node(&self, text: &str, prefix: &str, task: &Task, halvings: u8) -> Node {
        // What a translation begins with is the caller's, so nothing is put in front of it.
        if task.whole_lines || !prefix.is_empty() {
            return self.asked(text, prefix, None, Vec::new(), task, 0);
        }
        if !says_something(text) {
            return Node::Copied(text.to_string());
        }
        let mut copied = self.copied(text);
        // What the model cannot write takes the place of copied text.
        if let Some(glossary) = &task.glossary {
            let unwritable = glossary.unwritable(text, |translation| self.writes(translation));
            copied = joined_touching(text, [copied, unwritable].concat());
        }
        self.copying(text, copied, prefix, task, halvings)
    }

    /// A text that is to be translated around what is copied of it.
    fn copying(&self, text: &str, copied: Vec<Range<usize>>, prefix: &str, task: &Task, halvings: u8) -> Node {
        if copied.is_empty() {
            return self.asked(text, prefix, None, copied, task, halvings);
        }
        let rest: String = rest(text, &copied).into_iter().map(|range| &text[range]).collect();
        if !says_something(&rest) {
            return Node::pieces(text, terms(text, &copied, task));
        }
        // Signs in front and at the end stand outside of the sentence.
        let inner = inner(text, &copied);
        if inner.len() < text.len() {
            let mut pieces = terms(text, &copied, task);
            pieces.retain(|(range, _)| range.end <= inner.start || inner.end <= range.start);
            pieces.push((inner.clone(), self.node(&text[inner], prefix, task, halvings)));
            return Node::pieces(text, pieces);
        }
        match Substituted::new(text, &copied, &stand_ins(self.subwords())) {
            Some(substituted) if self.subwords().encode(&substituted.text).len() <= self.longest() => {
                let substituted = substituted.standing_for(|copied| term(copied, task));
                self.asked(text, prefix, Some(substituted), copied, task, halvings)
            }
            _ => self.around(text, &copied, task, halvings),
        }
    }

    fn asked(
        &self,
        text: &str,
        prefix: &str,
        substituted: Option<Substituted>,
        copied: Vec<Range<usize>>,
        task: &Task,
        halvings: u8,
    ) -> Node {
        let seen = substituted.as_ref().map_or(text, |substituted| &substituted.text);
        let Some(mut request) = self.request_for(seen, self.subwords().encode(seen), prefix, task) else {
            return Node::Copied(text.to_string());
        };
        // What it attends to shows whether it was read.
        let has_options = !task.whole_lines && self.backend.cpu("").is_ok();
        request.options.alignments |= has_options;
        if has_options && substituted.is_some() && !task.search.sample {
            // Of several hypotheses one may have kept what the best has lost.
            request.options.nbest = request.options.beam.max(request.options.nbest);
        }
        Node::Open(Box::new(Open { text: text.to_string(), substituted, copied, request, halvings }))
    }

    /// A text whose copied pieces are cut out: only what is between them is translated.
    fn around(&self, text: &str, copied: &[Range<usize>], task: &Task, halvings: u8) -> Node {
        let piece = |range: Range<usize>| {
            let part = &text[range.clone()];
            let node = if says_something(part) {
                self.asked(part, "", None, Vec::new(), task, halvings)
            } else {
                Node::Copied(part.to_string())
            };
            (range, node)
        };
        Node::pieces(text, rest(text, copied).into_iter().map(piece).chain(terms(text, copied, task)).collect())
    }

    /// What becomes of a text whose translations were found.
    fn settled(&self, open: Open, mut found: Vec<Hypothesis>, task: &Task) -> Node {
        let Open { text, substituted, copied, request, halvings } = open;
        let text_of = || text_within(&self.config().prompts, request.source.len());
        let short = found.first().and_then(|best| shortfall(&request, text_of(), best));
        // What comes out of whole lines is taken as it is, if anything came out.
        let short = short.filter(|short| !task.whole_lines || *short == Shortfall::NotFinite);
        if !task.search.alignments {
            found.iter_mut().for_each(|found| found.attention = None);
        }
        let mut part = self.read(&request, found);
        if !task.traced {
            (part.source, part.targets) = Default::default();
        }
        if short == Some(Shortfall::NotFinite) {
            return Node::Done(Part { shortfall: short, ..part });
        }
        let part = match &substituted {
            None => Some(part),
            Some(substituted) => part.restored(&text, substituted, task.search.nbest),
        };
        let Some(mut part) = part else { return self.around(&text, &copied, task, halvings) };
        part.shortfall = short;
        if !task.whole_lines {
            part.restore_spaces(&text);
            part.restore_ending(&text);
        }
        let translation = part.candidates.first().map_or("", |best| best.text.as_str());
        let lost = signs::lost(&text, &copied, translation);
        if !task.whole_lines && request.prefix.is_empty() && !task.search.sample && !lost.is_empty() {
            let copied = joined_touching(&text, [copied, lost].concat());
            let again = self.copying(&text, copied, "", task, halvings);
            return Node::Pieces { pieces: vec![(0..text.len(), again)], text, whole: Some(part) };
        }
        if short.is_none() || halvings == 0 || task.search.sample {
            return Node::Done(part);
        }
        let halves = self.halves(&text, &copied);
        if halves.len() < 2 {
            return Node::Done(part);
        }
        let piece = |range: Range<usize>| (range.clone(), self.node(&text[range], "", task, halvings - 1));
        let pieces = halves.into_iter().map(piece).collect();
        Node::Pieces { text, pieces, whole: Some(part) }
    }
}

impl Work {
    /// What the engine has to decode next; nothing once all is translated.
    pub fn requests(&self) -> Vec<Request> {
        let mut requests = Vec::new();
        self.texts.iter().for_each(|node| node.requests(&mut requests));
        requests
    }

    /// Takes what was found for [`Work::requests`], in their order.
    pub fn take(&mut self, found: Vec<Vec<Hypothesis>>, translator: &Translator, task: &Task) {
        let mut found = found.into_iter();
        for node in &mut self.texts {
            node.take(&mut found, translator, task);
        }
    }

    /// The translation of each text.
    pub fn finish(self) -> Vec<Part> {
        self.texts.into_iter().map(|node| node.finish(self.around)).collect()
    }
}

impl Node {
    /// A text of which these pieces are translated, in any order.
    fn pieces(text: &str, mut pieces: Vec<(Range<usize>, Node)>) -> Self {
        pieces.sort_by_key(|(range, _)| range.start);
        Node::Pieces { text: text.to_string(), pieces, whole: None }
    }

    fn requests(&self, requests: &mut Vec<Request>) {
        match self {
            Node::Open(open) => requests.push(open.request.clone()),
            Node::Pieces { pieces, .. } => pieces.iter().for_each(|(_, node)| node.requests(requests)),
            Node::Copied(_) | Node::Done(..) => {}
        }
    }

    fn take(&mut self, found: &mut std::vec::IntoIter<Vec<Hypothesis>>, translator: &Translator, task: &Task) {
        match self {
            Node::Pieces { pieces, .. } => {
                pieces.iter_mut().for_each(|(_, node)| node.take(found, translator, task));
            }
            Node::Open(_) => {
                let Node::Open(open) = std::mem::replace(self, Node::Copied(String::new())) else { return };
                *self = translator.settled(*open, found.next().unwrap_or_default(), task);
            }
            Node::Copied(_) | Node::Done(..) => {}
        }
    }

    fn finish(self, around: [usize; 2]) -> Part {
        match self {
            Node::Copied(text) => Part::unchanged(&text),
            Node::Done(part) => part,
            // Nothing was asked of the model.
            Node::Open(open) => Part::unchanged(&open.text),
            Node::Pieces { text, pieces, whole } => {
                let pieces: Vec<(Range<usize>, Part)> =
                    pieces.into_iter().map(|(range, node)| (range, node.finish(around))).collect();
                let joined = joined(&text, &pieces, around);
                match whole {
                    // What is short in parts too may as well stay whole; the longer one says more.
                    Some(whole) if joined.shortfall.is_some() && length(&whole) >= length(&joined) => whole,
                    _ => joined,
                }
            }
        }
    }
}

fn length(part: &Part) -> usize {
    part.candidates.first().map_or(0, |best| best.text.len())
}

/// What becomes of the copied text that has terms of the glossary.
fn terms(text: &str, copied: &[Range<usize>], task: &Task) -> Vec<(Range<usize>, Node)> {
    let translated = |range: &Range<usize>| Some((range.clone(), Node::Copied(term(&text[range.clone()], task)?)));
    copied.iter().filter_map(translated).collect()
}

/// Copied text with the glossary's translations of the terms in it; none if it has none, or is written for machines.
fn term(copied: &str, task: &Task) -> Option<String> {
    task.glossary.as_ref()?.applied(copied).filter(|_| code(copied).is_empty())
}

/// Whether a text says something that can be translated: what has no letters says the same in every language.
pub(crate) fn says_something(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
}

/// What of a text is not at `copied`, without the space around it and without empty pieces.
fn rest(text: &str, copied: &[Range<usize>]) -> Vec<Range<usize>> {
    let starts = [0].into_iter().chain(copied.iter().map(|range| range.end));
    let ends = copied.iter().map(|range| range.start).chain([text.len()]);
    let trimmed = |(start, end): (usize, usize)| {
        let piece = &text[start..end];
        let from = end - piece.trim_start().len();
        (from < end).then(|| from..start + piece.trim_end().len())
    };
    starts.zip(ends).filter_map(trimmed).collect()
}

/// The text without the copied signs at its ends: what has neither letters nor digits, and all in scripts that the
/// model does not know.
fn inner(text: &str, copied: &[Range<usize>]) -> Range<usize> {
    let outside = |range: &Range<usize>| {
        let span = &text[range.clone()];
        !span.is_ascii() && !span.contains(['{', '%', '$', '<', '/', '@', '_', '.'])
    };
    let mut range = 0..text.len();
    if let Some(first) = copied.first().filter(|first| first.start == 0 && outside(first)) {
        range.start = text.len() - text[first.end..].trim_start().len();
    }
    if let Some(last) = copied.last().filter(|last| last.end == text.len() && outside(last) && last.start > range.start)
    {
        range.end = text[..last.start].trim_end().len();
    }
    range
}
