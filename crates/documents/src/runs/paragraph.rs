//! A paragraph's text, its formatting as inline markup, and what is copied.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use crate::document::Segment;
use crate::events::{Event, Kind};
use crate::markup::{Element, Kind as ElementKind};
use crate::pairs;
use crate::running::text::Read;
use crate::xml::resolve;

/// Elements inside of each other in a paragraph; one with more is kept as it is.
const DEPTH: usize = 40;
/// Elements of a section; more begin another.
const MOST_ELEMENTS: usize = 400;

/// Where a paragraph's pieces stand in the XML.
pub struct Paragraph {
    /// From its start tag to its end tag.
    pub range: Range<usize>,
    /// Up to the end of its properties.
    pub head: Range<usize>,
    /// What breaks and tabs cut it into, each a segment.
    pub sections: Vec<Section>,
    /// Its end tag, with what belongs to it.
    pub tail: Range<usize>,
}

/// A piece of a paragraph.
#[derive(Default)]
pub struct Section {
    /// The properties of the runs that most of the text is in.
    pub base: Range<usize>,
    /// Its elements, by their marks.
    pub marks: Vec<Mark>,
    /// The break behind it.
    pub end: Option<Mark>,
}

/// What an element of a paragraph stands for. Spans are `Run` and `Around`, points `Between` and `InRun`.
pub enum Mark {
    /// Text inside of it is in runs of these properties.
    Run(Range<usize>),
    /// Holds runs: its start tag and its end tag.
    Around(Range<usize>, Range<usize>),
    /// Something between runs.
    Between(Range<usize>),
    /// Something in a run, with the run's properties.
    InRun(Range<usize>, Range<usize>),
}

/// Reads the paragraph of these events, with the text of its sections; none if there is nothing to translate in it.
pub fn read(xml: &str, prefix: &str, events: &[Event]) -> Option<(Paragraph, Vec<Segment>)> {
    let ends = ends(events);
    let name = |i: usize| match &events[i].kind {
        Kind::Open(name) | Kind::Empty(name) => name.strip_prefix(prefix),
        Kind::Text | Kind::Other | Kind::Close(_) => None,
    };
    if events.len() < 2 || ends[0] != events.len() - 1 {
        return None;
    }
    let inner = if name(1) == Some("pPr") { ends[1] + 1 } else { 1 };
    let tail = (inner..events.len() - 1).find(|i| name(*i) == Some("endParaRPr")).unwrap_or(events.len() - 1);
    let mut reading = Reading {
        prefix,
        xml,
        events,
        ends,
        done: Vec::new(),
        read: empty(),
        elements: Vec::new(),
        marks: Vec::new(),
        weights: HashMap::new(),
        holders: Vec::new(),
        field: None,
    };
    reading.content(inner..tail)?;
    if reading.field.is_some() {
        return None;
    }
    reading.section(None);
    let (sections, segments): (Vec<Section>, Vec<Segment>) = reading.done.into_iter().unzip();
    if !segments.iter().any(|segment| segment.text.chars().any(char::is_alphabetic)) {
        return None;
    }
    let (start, end) = (events[0].range.start, events[events.len() - 1].range.end);
    let head = start..events[inner - 1].range.end;
    Some((Paragraph { range: start..end, head, sections, tail: events[tail].range.start..end }, segments))
}

/// No text yet. Space beside space stays, because nothing else could hold it.
fn empty() -> Read {
    Read { keeps_space: true, ..Read::default() }
}

/// The place of each start tag's end tag; of anything else its own.
fn ends(events: &[Event]) -> Vec<usize> {
    let mut ends: Vec<usize> = (0..events.len()).collect();
    let mut open = Vec::new();
    for (i, event) in events.iter().enumerate() {
        match event.kind {
            Kind::Open(_) => open.push(i),
            Kind::Close(_) => {
                if let Some(start) = open.pop() {
                    ends[start] = i;
                }
            }
            Kind::Empty(_) | Kind::Text | Kind::Other => {}
        }
    }
    ends
}

/// Takes out elements that are nobody's parent.
fn without(elements: &mut Vec<Element>, is_out: impl Fn(&Element) -> bool) {
    // The place of each among those that are kept.
    let places: Vec<usize> =
        elements.iter().scan(0, |n, element| Some(std::mem::replace(n, *n + usize::from(!is_out(element))))).collect();
    elements.retain(|element| !is_out(element));
    for element in elements {
        element.parent = element.parent.map(|parent| places[parent]);
    }
}

/// A paragraph that is being read.
struct Reading<'a> {
    prefix: &'a str,
    xml: &'a str,
    events: &'a [Event<'a>],
    ends: Vec<usize>,
    /// The sections that have ended.
    done: Vec<(Section, Segment)>,
    read: Read,
    elements: Vec<Element>,
    marks: Vec<Mark>,
    /// Bytes of text by the properties of their runs, and where these stand first.
    weights: HashMap<&'a str, (usize, Range<usize>)>,
    /// Elements that hold runs and are open.
    holders: Vec<usize>,
    /// Where a field began that has not ended, and how many are open in each other: what makes it and what it shows
    /// stay as they are.
    field: Option<(usize, usize)>,
}

impl<'a> Reading<'a> {
    /// The name of an element without its prefix; empty for anything else.
    fn name(&self, i: usize) -> &'a str {
        match &self.events[i].kind {
            Kind::Open(name) | Kind::Empty(name) => name.strip_prefix(self.prefix).unwrap_or(""),
            Kind::Text | Kind::Other | Kind::Close(_) => "",
        }
    }

    /// The bytes of an event with all that is in it.
    fn whole(&self, i: usize) -> Range<usize> {
        self.events[i].range.start..self.events[self.ends[i]].range.end
    }

    /// Ends a section at a break, which gets a segment of its own.
    fn section(&mut self, end: Option<Mark>) {
        let (marks, weights) = (std::mem::take(&mut self.marks), std::mem::take(&mut self.weights));
        let (read, mut elements) = (std::mem::replace(&mut self.read, empty()), std::mem::take(&mut self.elements));
        // The formatting of most of the text, the first of equals, needs no marks.
        let base = weights.values().max_by_key(|(weight, first)| (*weight, Reverse(first.start)));
        let base = base.map_or(0..0, |(_, first)| first.clone());
        let same = &self.xml[base.clone()];
        let is_base = |element: &Element| match &marks[element.mark] {
            Mark::Run(range) => self.xml[range.clone()] == *same,
            Mark::Around(..) | Mark::Between(_) | Mark::InRun(..) => false,
        };
        without(&mut elements, is_base);
        pairs::find(&mut elements, |mark| match &marks[mark] {
            Mark::Between(range) => Some(&self.xml[range.clone()]),
            Mark::Run(_) | Mark::Around(..) | Mark::InRun(..) => None,
        });
        self.done.push((Section { base, marks, end }, Segment::marked(read.text, elements, read.spellings)));
    }

    /// Reads what is in a paragraph or in a holder of runs; none if it is nested too deeply.
    fn content(&mut self, events: Range<usize>) -> Option<()> {
        let mut i = events.start;
        while i < events.end {
            let last = self.ends[i];
            let range = self.whole(i);
            let is_open = matches!(self.events[i].kind, Kind::Open(_));
            if self.holders.is_empty() && self.field.is_none() && self.elements.len() >= MOST_ELEMENTS {
                self.section(None);
            }
            match self.name(i) {
                "r" if is_open => self.run(i + 1..last, &range)?,
                _ if self.field.is_some() => {}
                // Of the text before it was translated.
                "proofErr" => {}
                "br" if self.holders.is_empty() => self.section(Some(Mark::Between(range))),
                "hyperlink" | "smartTag" | "ins" | "moveTo" | "dir" | "bdo" | "sdt" | "customXml" if is_open => {
                    self.holder(i)?;
                }
                _ if !self.xml[range.clone()].trim().is_empty() => self.point(Mark::Between(range)),
                _ => {}
            }
            i = last + 1;
        }
        Some(())
    }

    /// Reads an element that holds runs, with its properties as a part of its start tag; none if it is too deep, or a
    /// field begins in it and ends behind it.
    fn holder(&mut self, i: usize) -> Option<()> {
        if self.holders.len() >= DEPTH {
            return None;
        }
        let last = self.ends[i];
        let (mut first, mut close) = (i + 1, last);
        while first < last {
            let is_space = || self.xml[self.whole(first)].trim().is_empty();
            match self.name(first) {
                "sdtPr" | "sdtEndPr" | "smartTagPr" | "customXmlPr" => first = self.ends[first] + 1,
                // A content control holds its runs in an element of their own, and nothing beside it.
                "sdtContent" if matches!(self.events[first].kind, Kind::Open(_)) => {
                    close = self.ends[first];
                    first += 1;
                    break;
                }
                "" if is_space() => first += 1,
                _ => break,
            }
        }
        let open = self.events[i].range.start..self.events[first - 1].range.end;
        let number = self.open(Mark::Around(open, self.events[close].range.start..self.events[last].range.end));
        self.holders.push(number);
        self.content(first..close)?;
        if self.field.is_some() {
            return None;
        }
        self.holders.pop();
        self.elements[number].range.end = self.read.text.len();
        Some(())
    }

    /// Reads what is in a run, which is at `range`; none where a field begins in the middle of one.
    fn run(&mut self, events: Range<usize>, range: &Range<usize>) -> Option<()> {
        let mut properties = range.start..range.start;
        // Whether something of the run was read.
        let mut says = false;
        let mut i = events.start;
        while i < events.end {
            let last = self.ends[i];
            let whole = self.whole(i);
            let name = self.name(i);
            if name == "fldChar" {
                let is = |kind: &str| self.xml[whole.clone()].contains(&format!("fldCharType=\"{kind}\""));
                if is("begin") {
                    // What stands before it in its run would be written twice.
                    if self.field.is_none() && says {
                        return None;
                    }
                    let (start, depth) = self.field.unwrap_or((range.start, 0));
                    self.field = Some((start, depth + 1));
                } else if is("end")
                    && let Some((start, depth)) = self.field
                {
                    self.field = Some((start, depth - 1)).filter(|(_, depth)| *depth > 0);
                    if self.field.is_none() {
                        // The next one may begin in the same run.
                        if (last + 1..events.end).any(|i| self.name(i) == "fldChar") {
                            return None;
                        }
                        self.point(Mark::Between(start..range.end));
                        return Some(());
                    }
                }
            }
            match name {
                _ if self.field.is_some() => {}
                "" if matches!(self.events[i].kind, Kind::Text) => {}
                "rPr" => properties = whole,
                "t" if self.events[i..=last].iter().all(|event| event.kind != Kind::Other) => {
                    for event in self.events[i..=last].iter().filter(|event| event.kind == Kind::Text) {
                        self.say(&event.range, properties.clone());
                    }
                }
                "lastRenderedPageBreak" => {}
                "br" | "cr" | "tab" | "ptab" if self.holders.is_empty() => {
                    self.section(Some(Mark::InRun(properties.clone(), whole)));
                }
                _ => self.point(Mark::InRun(properties.clone(), whole)),
            }
            says |= self.field.is_none() && !matches!(name, "" | "rPr" | "lastRenderedPageBreak");
            i = last + 1;
        }
        Some(())
    }

    /// Adds text in a run of these properties.
    fn say(&mut self, said: &Range<usize>, properties: Range<usize>) {
        let start = self.read.text.len();
        self.read.add(self.xml, said, &resolve);
        let end = self.read.text.len();
        let weight = self.weights.entry(&self.xml[properties.clone()]).or_insert((0, properties.clone()));
        weight.0 += end - start;
        // Word cuts runs where nothing changes.
        let parent = self.holders.last().copied();
        if let (Some(last), Some(Mark::Run(same))) = (self.elements.last_mut(), self.marks.last())
            && last.parent == parent
            && last.range.end == start
            && self.xml[same.clone()] == self.xml[properties.clone()]
        {
            last.range.end = end;
            return;
        }
        let number = self.open(Mark::Run(properties));
        self.elements[number].range = start..end;
    }

    /// Adds a span that has not ended; gives its place among the elements.
    fn open(&mut self, mark: Mark) -> usize {
        self.point(mark);
        let place = self.elements.len() - 1;
        self.elements[place].kind = ElementKind::Span;
        place
    }

    fn point(&mut self, mark: Mark) {
        self.elements.push(Element::point(self.marks.len(), self.read.text.len(), self.holders.last().copied()));
        self.marks.push(mark);
    }
}
