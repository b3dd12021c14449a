//! A paragraph's text, its formatting as inline markup, and what is copied.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use crate::documents::document::{Segment, push_collapsed};
use crate::documents::markup::{Element, Kind as ElementKind};
use crate::documents::xml_events::{Event, Kind, closing};

/// Elements inside of each other in a paragraph, and all of them; a paragraph with more is kept as it is.
const DEPTH: usize = 40;
const MOST_ELEMENTS: usize = 400;

/// Where a paragraph's pieces stand in the XML.
pub struct Paragraph {
    /// From its start tag to its end tag.
    pub range: Range<usize>,
    /// Up to the end of its properties.
    pub head: Range<usize>,
    /// The properties of the runs that most of the text is in.
    pub base: Range<usize>,
    /// Its elements, by their marks.
    pub marks: Vec<Mark>,
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

/// Reads the paragraph of these events; none if there is nothing to translate in it, or too much to place.
pub fn read(xml: &str, prefix: &str, events: &[Event]) -> Option<(Paragraph, Segment)> {
    let mut reading = Reading {
        prefix,
        xml,
        text: String::new(),
        elements: Vec::new(),
        marks: Vec::new(),
        weights: HashMap::new(),
        holders: Vec::new(),
        field: None,
    };
    let inner = match events.get(1).map(|event| &event.kind) {
        Some(Kind::Open(name) | Kind::Empty(name)) if *name == format!("{prefix}pPr") => closing(events, 1) + 1,
        _ => 1,
    };
    let head = events[0].range.start..events.get(inner - 1)?.range.end;
    reading.content(&events[inner..events.len() - 1])?;
    let Reading { text, mut elements, marks, weights, field, .. } = reading;
    if field.is_some() || elements.len() > MOST_ELEMENTS || !text.chars().any(char::is_alphabetic) {
        return None;
    }
    // The formatting of most of the text, the first of equals, needs no marks.
    let base = weights.values().max_by_key(|(weight, first)| (*weight, Reverse(first.start)))?.1.clone();
    let same = &xml[base.clone()];
    without(&mut elements, |element| matches!(&marks[element.mark], Mark::Run(range) if xml[range.clone()] == *same));
    let range = events[0].range.start..events.last()?.range.end;
    Some((Paragraph { range, head, base, marks }, Segment::marked(text, elements)))
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
    text: String,
    elements: Vec<Element>,
    marks: Vec<Mark>,
    /// Bytes of text by the properties of their runs, and where these stand first.
    weights: HashMap<&'a str, (usize, Range<usize>)>,
    /// Elements that hold runs and are open.
    holders: Vec<usize>,
    /// Where a field began that has not ended: what makes it and what it shows stay as they are.
    field: Option<usize>,
}

impl<'a> Reading<'a> {
    /// Reads what is in a paragraph or in a holder of runs; none if it is nested too deeply.
    fn content(&mut self, events: &[Event]) -> Option<()> {
        let mut i = 0;
        while i < events.len() {
            let last = closing(events, i);
            let range = events[i].range.start..events[last].range.end;
            let name = match &events[i].kind {
                Kind::Open(name) | Kind::Empty(name) => name.strip_prefix(self.prefix).unwrap_or(""),
                Kind::Text(_) | Kind::Other | Kind::Close => "",
            };
            let is_open = matches!(events[i].kind, Kind::Open(_));
            match name {
                "r" if is_open => self.run(&events[i + 1..last], &range),
                _ if self.field.is_some() => {}
                // Of the text before it was translated.
                "proofErr" => {}
                "hyperlink" | "smartTag" | "ins" | "sdt" | "sdtContent" | "customXml" if is_open => {
                    if self.holders.len() >= DEPTH {
                        return None;
                    }
                    let mark = Mark::Around(events[i].range.clone(), events[last].range.clone());
                    let number = self.open(mark);
                    self.holders.push(number);
                    self.content(&events[i + 1..last])?;
                    self.holders.pop();
                    self.elements[number].range.end = self.text.len();
                }
                _ if !self.xml[range.clone()].trim().is_empty() => self.point(Mark::Between(range)),
                _ => {}
            }
            i = last + 1;
        }
        Some(())
    }

    /// Reads what is in a run, which is at `range`.
    fn run(&mut self, events: &[Event], range: &Range<usize>) {
        let mut properties = range.start..range.start;
        let mut i = 0;
        while i < events.len() {
            let last = closing(events, i);
            let whole = events[i].range.start..events[last].range.end;
            let (Kind::Open(name) | Kind::Empty(name)) = &events[i].kind else {
                i = last + 1;
                continue;
            };
            let name = name.strip_prefix(self.prefix).unwrap_or("");
            if name == "fldChar" {
                let is = |kind: &str| self.xml[whole.clone()].contains(&format!("fldCharType=\"{kind}\""));
                if is("begin") && self.field.is_none() {
                    self.field = Some(range.start);
                    return;
                }
                if is("end")
                    && let Some(start) = self.field.take()
                {
                    self.point(Mark::Between(start..range.end));
                    return;
                }
            }
            match name {
                _ if self.field.is_some() => {}
                "rPr" => properties = whole,
                "t" => {
                    for event in &events[i..=last] {
                        if let Kind::Text(text) = &event.kind {
                            self.say(text, properties.clone());
                        }
                    }
                }
                "lastRenderedPageBreak" => {}
                _ => self.point(Mark::InRun(properties.clone(), whole)),
            }
            i = last + 1;
        }
    }

    /// Adds text in a run of these properties.
    fn say(&mut self, said: &str, properties: Range<usize>) {
        let start = self.text.len();
        push_collapsed(&mut self.text, said);
        let weight = self.weights.entry(&self.xml[properties.clone()]).or_insert((0, properties.clone()));
        weight.0 += self.text.len() - start;
        // Word cuts runs where nothing changes.
        let parent = self.holders.last().copied();
        if let (Some(last), Some(Mark::Run(same))) = (self.elements.last_mut(), self.marks.last())
            && last.parent == parent
            && last.range.end == start
            && self.xml[same.clone()] == self.xml[properties.clone()]
        {
            last.range.end = self.text.len();
            return;
        }
        let number = self.open(Mark::Run(properties));
        self.elements[number].range = start..self.text.len();
    }

    /// Adds a span that has not ended; gives its place among the elements.
    fn open(&mut self, mark: Mark) -> usize {
        self.point(mark);
        let place = self.elements.len() - 1;
        self.elements[place].kind = ElementKind::Span;
        place
    }

    fn point(&mut self, mark: Mark) {
        self.elements.push(Element::point(self.marks.len(), self.text.len(), self.holders.last().copied()));
        self.marks.push(mark);
    }
}
