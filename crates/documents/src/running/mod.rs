//! Markup with running text in it, whatever the format: HTML, XML, OpenDocument.
//!
//! Blocks end running text ([`rules`]). What is between two of them is cut where elements stand side by side that have
//! nothing to do with each other (`groups`): each is a segment of its own, and the tags around it stay where they are.
//! What is left is running text with inline markup (`segment`), which is placed in the translation. A note in the
//! middle of a sentence is a mark there, and its text is read apart (`inset`).
//!
//! Every tag, comment and attribute of the input is copied byte for byte and occurs exactly once; translated text is
//! escaped. So nothing that a browser would run can come in by a translation.

mod groups;
mod inset;
pub mod rules;
mod segment;
pub mod text;

use std::ops::Range;

use crate::document::{Document, Escape, Segment};
use crate::error::Result;
use crate::events::{Event, Kind, is_kept};
use crate::limits::{Count, Limits};
use crate::markup::{Element, Piece};
use inset::{Inset, Open};
use rules::{Role, Rules, role_of};
pub use segment::{Mark, read as read_segment};

/// Events of running text that are looked at together; more are cut.
const MOST_EVENTS: usize = 1000;

/// A document of markup and running text.
pub struct Running {
    /// All but its segments.
    pub skeleton: Skeleton,
    /// Its segments.
    pub segments: Vec<Segment>,
}

/// A document without its segments.
pub struct Skeleton {
    source: String,
    chunks: Vec<Chunk>,
    marks: Vec<Mark>,
    /// Sorted by their starts.
    insets: Vec<Inset>,
    escape: Escape,
    /// Whether markup may stand around nothing.
    may_be_empty: bool,
}

enum Chunk {
    /// Bytes of the source that stay.
    Keep(Range<usize>),
    /// Running text: which segment it is, and its bytes of the source.
    Segment(usize, Range<usize>),
    /// What is written instead of bytes of the source.
    New(String),
}

/// Segments with their translations.
#[derive(Clone, Copy)]
struct Translated<'a> {
    segments: &'a [Segment],
    pieces: &'a [Option<Vec<Piece>>],
}

impl Skeleton {
    /// The document with its translated segments.
    pub fn write(&self, segments: &[Segment], translated: &[Option<Vec<Piece>>]) -> String {
        let mut out = String::with_capacity(self.source.len());
        self.chunks(&self.chunks, Translated { segments, pieces: translated }, &mut out);
        out
    }

    fn chunks(&self, chunks: &[Chunk], translated: Translated, out: &mut String) {
        for chunk in chunks {
            match chunk {
                Chunk::Keep(range) => self.copy(range.clone(), translated, out),
                Chunk::New(text) => out.push_str(text),
                Chunk::Segment(number, range) => {
                    match (translated.segments.get(*number), translated.pieces.get(*number)) {
                        (Some(segment), Some(Some(pieces))) => self.segment(segment, pieces, translated, out),
                        _ => self.copy(range.clone(), translated, out),
                    }
                }
            }
        }
    }

    /// Bytes of the source, with the insets among them in their translation.
    fn copy(&self, range: Range<usize>, translated: Translated, out: &mut String) {
        let mut at = range.start;
        while let Some(inset) = inset::first(&self.insets, at..range.end) {
            out.push_str(&self.source[at..inset.range.start]);
            self.chunks(&inset.chunks, translated, out);
            at = inset.range.end;
        }
        out.push_str(&self.source[at..range.end]);
    }

    /// A document of nothing but pieces, which its caller writes.
    pub fn of_pieces(source: &str, marks: Vec<Mark>) -> Self {
        Self {
            source: source.to_string(),
            chunks: Vec::new(),
            marks,
            insets: Vec::new(),
            escape: crate::markup::escape,
            may_be_empty: true,
        }
    }

    /// The source.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Writes a translated segment without insets.
    pub fn pieces(&self, segment: &Segment, pieces: &[Piece], out: &mut String) {
        self.segment(segment, pieces, Translated { segments: &[], pieces: &[] }, out);
    }

    /// Pieces whose markup stands around something: what is left empty by a translation is left out, and a link gets
    /// its source's text.
    fn filled(&self, segment: &Segment, pieces: &[Piece]) -> Vec<Piece> {
        let mut filled: Vec<Piece> = Vec::with_capacity(pieces.len());
        // Where the spans begin that are open, and whether there is something in them.
        let mut open: Vec<(usize, bool)> = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Open(_) => open.push((filled.len(), false)),
                Piece::Close(mark) => {
                    let (start, says) = open.pop().unwrap_or((0, true));
                    let tag = &self.source[self.marks[*mark].open.clone()];
                    if !says && !tag.starts_with(['[', '!', '<']) {
                        filled.remove(start);
                        continue;
                    }
                    if !says && !tag.starts_with('<') {
                        let of_mark = |element: &&Element| element.mark == *mark && tag.starts_with('[');
                        let element = segment.elements.iter().flatten().find(of_mark);
                        filled.extend(element.map(|element| Piece::Same(element.range.clone())));
                        let touches = match filled[..start].last() {
                            Some(Piece::Text(text)) => !text.ends_with(char::is_whitespace),
                            Some(Piece::Same(range)) => !segment.text[range.clone()].ends_with(char::is_whitespace),
                            _ => false,
                        };
                        if touches {
                            filled.insert(start, Piece::Text(" ".to_string()));
                        }
                    }
                    open.iter_mut().for_each(|(_, says)| *says = true);
                }
                Piece::Text(text) if text.trim().is_empty() => {}
                Piece::Same(range) if segment.text[range.clone()].trim().is_empty() => {}
                Piece::Text(_) | Piece::Same(_) | Piece::Point(_) => open.iter_mut().for_each(|(_, says)| *says = true),
            }
            filled.push(piece.clone());
        }
        filled
    }

    fn segment(&self, segment: &Segment, pieces: &[Piece], translated: Translated, out: &mut String) {
        let filled = if self.may_be_empty { Vec::new() } else { self.filled(segment, pieces) };
        let pieces = if self.may_be_empty { pieces } else { &filled };
        // Where the content of each open span begins.
        let mut open = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => {
                    let text = (self.escape)(text, begins_line(out));
                    out.push_str(&text);
                }
                Piece::Same(range) => {
                    let text = segment.written(&self.source, range, self.escape, begins_line(out));
                    out.push_str(&text);
                }
                Piece::Open(mark) => {
                    self.copy(self.marks[*mark].open.clone(), translated, out);
                    open.push(out.len());
                }
                Piece::Close(mark) => {
                    let mark = &self.marks[*mark];
                    let name = &self.source[mark.open.end..mark.close.start];
                    match open.pop() {
                        Some(start) if mark.named && out[start..] != *name => out.extend(["][", name, "]"]),
                        _ => self.copy(mark.close.clone(), translated, out),
                    }
                }
                Piece::Point(mark) => self.copy(self.marks[*mark].whole(), translated, out),
            }
        }
    }
}

/// Whether nothing but Markdown's marks of blocks stands in the last line so far.
fn begins_line(out: &str) -> bool {
    // From the end, because all of a document may be one line.
    let before = out.trim_end_matches(|c| " \t>-*+.)0123456789".contains(c));
    before.is_empty() || before.ends_with('\n')
}

impl Document for Running {
    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        Ok(self.skeleton.write(&self.segments, translated).into_bytes())
    }
}

/// Reads markup event by event.
pub struct Reader<'a> {
    source: &'a str,
    rules: &'a dyn Rules,
    /// Running text that has not ended.
    events: Vec<Event<'a>>,
    /// What is open with content that is copied: its start, its name, how many of its name are open, and whether it
    /// stands in running text.
    kept: Option<(usize, String, usize, bool)>,
    /// The insets that are open, the innermost last.
    open: Vec<Open<'a>>,
    insets: Vec<Inset>,
    chunks: Vec<Chunk>,
    segments: Vec<Segment>,
    marks: Vec<Mark>,
    count: Count<'a>,
}

impl<'a> Reader<'a> {
    /// Reads `source` by the rules of its format.
    pub fn new(source: &'a str, rules: &'a dyn Rules, limits: &'a Limits) -> Self {
        let (events, chunks, segments, marks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let (open, insets, count) = (Vec::new(), Vec::new(), Count::new(limits));
        Self { source, rules, events, kept: None, open, insets, chunks, segments, marks, count }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`].
    pub fn take(&mut self, event: Event<'a>) -> Result<()> {
        if let Some((start, name, depth, in_text)) = &mut self.kept {
            match &event.kind {
                Kind::Open(other) if other == name => *depth += 1,
                Kind::Close(other) if other == name => *depth -= 1,
                _ => {}
            }
            if *depth == 0 {
                let (range, in_text) = (*start..event.range.end, *in_text);
                let whole = Event { range: range.clone(), kind: Kind::Empty(name.clone().into()) };
                self.kept = None;
                if in_text {
                    return self.running(whole);
                }
                self.keep(range);
            }
            return Ok(());
        }
        match role_of(self.rules, self.source, &event) {
            Some(Role::Inset) => self.inset(event),
            Some(Role::KeptInset) => match event.kind {
                Kind::Open(name) => {
                    self.kept = Some((event.range.start, name.into_owned(), 1, true));
                    Ok(())
                }
                _ => self.running(event),
            },
            Some(role @ (Role::Block | Role::KeptBlock)) => {
                self.flush()?;
                let kept = role == Role::KeptBlock || is_kept(&self.source[event.range.clone()]);
                match event.kind {
                    Kind::Open(name) if kept => self.kept = Some((event.range.start, name.into_owned(), 1, false)),
                    _ => self.keep(event.range),
                }
                Ok(())
            }
            _ => self.running(event),
        }
    }

    /// Takes an event of running text.
    fn running(&mut self, event: Event<'a>) -> Result<()> {
        self.events.push(event);
        if self.events.len() > MOST_EVENTS { self.flush() } else { Ok(()) }
    }

    /// The segments so far.
    pub fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`].
    pub fn end(mut self) -> Result<Running> {
        self.flush()?;
        if let Some((start, ..)) = self.kept {
            self.keep(start..self.source.len());
        }
        self.end_insets()?;
        self.insets.sort_unstable_by_key(|inset| inset.range.start);
        let Self { source, rules, chunks, segments, marks, insets, .. } = self;
        let (escape, may_be_empty) = (rules.escape(), rules.may_be_empty());
        let skeleton = Skeleton { source: source.to_string(), chunks, marks, insets, escape, may_be_empty };
        Ok(Running { skeleton, segments })
    }

    /// Keeps bytes that follow what was taken.
    pub fn keep(&mut self, range: Range<usize>) {
        match self.chunks.last_mut() {
            Some(Chunk::Keep(last)) if last.end == range.start => last.end = range.end,
            _ => self.chunks.push(Chunk::Keep(range)),
        }
    }

    /// Writes bytes that are no running text in another way.
    pub fn write_anew(&mut self, range: Range<usize>, text: String) {
        self.insets.push(Inset { range, chunks: vec![Chunk::New(text)] });
    }

    /// Ends the running text that was taken.
    ///
    /// # Errors
    /// [`crate::Error::TooLarge`].
    pub fn flush(&mut self) -> Result<()> {
        let events = std::mem::take(&mut self.events);
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let end = last.range.end;
        let mut at = first.range.start;
        let nodes = groups::Nodes::new(self.source, self.rules, &events);
        for group in nodes.groups() {
            let range = events[group.start].range.start..events[group.end - 1].range.end;
            if range.start > at {
                self.keep(at..range.start);
            }
            at = range.end;
            let segment = segment::read(self.source, self.rules, &events[group.clone()], &mut self.marks);
            self.count.add(&segment.text)?;
            self.count.marks(self.marks.len())?;
            self.chunks.push(Chunk::Segment(self.segments.len(), range));
            self.segments.push(segment);
        }
        if end > at {
            self.keep(at..end);
        }
        Ok(())
    }
}
