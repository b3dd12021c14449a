//! WordprocessingML, the XML of Word's text: paragraphs of runs, each with its own formatting.
//!
//! A paragraph's running text is translated as one. The formatting of most of it is that of the translation; runs with another, and
//! what holds runs (links, insertions), go around the words that attend to theirs, as HTML's inline markup does
//! (`crate::markup`). What is no text (pictures, tabs, notes, fields, bookmarks) is copied byte for byte, once, at its place.

use std::collections::HashMap;
use std::ops::Range;

use strata_translate::Part;

use crate::document::Cut;
use crate::markup::{Element, Segment};
use crate::xml_events::{Event, Kind, closing, events};

/// Elements inside of each other in a paragraph, and pieces of one; a paragraph with more is kept as it is.
const DEPTH: usize = 40;
const MOST_ELEMENTS: usize = 400;

/// A member with text.
pub struct Story {
    xml: String,
    /// What is in front of the names of its elements: `w:`.
    prefix: String,
    pieces: Vec<Piece>,
}

enum Piece {
    /// Bytes that stay.
    Keep(Range<usize>),
    Paragraph(Box<Paragraph>),
}

struct Paragraph {
    /// From its start tag to its end tag.
    range: Range<usize>,
    /// Up to the end of its properties.
    head: Range<usize>,
    text: String,
    elements: Vec<Element>,
    /// What `<0>`, `<1>`... stand for.
    marks: Vec<Mark>,
    /// The properties of the run that most of the text is in.
    base: Range<usize>,
    segment: Segment,
    /// Its first part among the story's.
    first: usize,
}

/// What a tag in the rendered text stands for.
#[derive(Clone)]
enum Mark {
    /// Text inside of it is in runs of these properties.
    Run(Range<usize>),
    /// Holds runs: its start tag and its end tag.
    Holder(Range<usize>, Range<usize>),
    /// Something between runs.
    Keep(Range<usize>),
    /// Something in a run, with the run's properties.
    InRun(Range<usize>, Range<usize>),
}

impl Story {
    /// Finds the paragraphs of a member.
    ///
    /// # Errors
    /// What is wrong with its XML, and at which byte.
    pub fn read(xml: String) -> Result<Self, String> {
        let events = events(&xml)?;
        let root = events.iter().find_map(|event| match &event.kind {
            Kind::Open(name) | Kind::Empty(name) => Some(name.clone()),
            _ => None,
        });
        let root = root.ok_or("there is no element")?;
        let prefix = root.rsplit_once(':').map_or(String::new(), |(prefix, _)| format!("{prefix}:"));
        let name = format!("{prefix}p");
        let mut story = Self { pieces: Vec::new(), prefix, xml };
        let mut kept = 0;
        let mut i = 0;
        while i < events.len() {
            if !matches!(&events[i].kind, Kind::Open(open) if *open == name) {
                i += 1;
                continue;
            }
            let last = closing(&events, i);
            let range = events[i].range.start..events[last].range.end;
            if let Some(paragraph) = story.paragraph(&events[i..=last]) {
                story.pieces.push(Piece::Keep(kept..range.start));
                story.pieces.push(Piece::Paragraph(Box::new(paragraph)));
                kept = range.end;
            }
            i = last + 1;
        }
        story.pieces.push(Piece::Keep(kept..story.xml.len()));
        Ok(story)
    }

    /// The texts of its paragraphs.
    pub fn paragraphs(&self) -> impl Iterator<Item = String> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Paragraph(paragraph) => Some(paragraph.text.clone()),
            Piece::Keep(_) => None,
        })
    }

    /// Cuts its paragraphs, and adds their parts.
    pub fn cut(&mut self, cut: Cut<'_>, parts: &mut Vec<String>) {
        let start = parts.len();
        for piece in &mut self.pieces {
            let Piece::Paragraph(paragraph) = piece else { continue };
            let elements = std::mem::take(&mut paragraph.elements);
            paragraph.segment = Segment::new(paragraph.text.clone(), elements, cut);
            paragraph.first = parts.len() - start;
            let segment = &paragraph.segment;
            parts.extend(segment.parts.iter().map(|part| segment.text[part.clone()].to_string()));
        }
    }

    /// The XML with translations of its parts.
    pub fn render(&self, translations: &[Part], choice: usize) -> String {
        let mut xml = String::with_capacity(self.xml.len());
        for piece in &self.pieces {
            match piece {
                Piece::Keep(range) => xml.push_str(&self.xml[range.clone()]),
                Piece::Paragraph(paragraph) if paragraph.segment.parts.is_empty() => {
                    xml.push_str(&self.xml[paragraph.range.clone()]);
                }
                Piece::Paragraph(paragraph) => {
                    let parts = paragraph.first..paragraph.first + paragraph.segment.parts.len();
                    let marked = paragraph.segment.render(translations.get(parts).unwrap_or(&[]), choice);
                    xml.push_str(&self.xml[paragraph.head.clone()]);
                    self.runs(paragraph, &marked, &mut xml);
                    xml.push_str(&format!("</{}p>", self.prefix));
                }
            }
        }
        xml
    }

    /// Writes rendered text as runs.
    fn runs(&self, paragraph: &Paragraph, marked: &str, xml: &mut String) {
        let prefix = &self.prefix;
        // The properties of the text, the innermost last.
        let mut around = vec![paragraph.base.clone()];
        let mut rest = marked;
        while !rest.is_empty() {
            // Text is escaped, so every `<` begins a mark.
            let Some(tag) = rest.strip_prefix('<') else {
                let end = rest.find('<').unwrap_or(rest.len());
                let text: String = rest[..end].chars().filter(|c| !c.is_control()).collect();
                let properties = around.last().map_or("", |range| &self.xml[range.clone()]);
                let run =
                    format!("<{prefix}r>{properties}<{prefix}t xml:space=\"preserve\">{text}</{prefix}t></{prefix}r>");
                xml.push_str(&run);
                rest = &rest[end..];
                continue;
            };
            let (said, after) = tag.split_once('>').unwrap_or((tag, ""));
            rest = after;
            let (closes, number) = said.strip_prefix('/').map_or((false, said), |number| (true, number));
            let Some(mark) = number.parse().ok().and_then(|number: usize| paragraph.marks.get(number)) else {
                continue;
            };
            match mark {
                Mark::Run(properties) if !closes => around.push(properties.clone()),
                Mark::Run(_) => drop(around.pop()),
                Mark::Holder(open, close) => {
                    xml.push_str(&self.xml[if closes { close.clone() } else { open.clone() }]);
                }
                Mark::Keep(range) => xml.push_str(&self.xml[range.clone()]),
                Mark::InRun(properties, range) => {
                    let (properties, raw) = (&self.xml[properties.clone()], &self.xml[range.clone()]);
                    xml.push_str(&format!("<{prefix}r>{properties}{raw}</{prefix}r>"));
                }
            }
        }
    }

    /// Reads a paragraph; none if there is nothing to translate in it, or too much to place.
    fn paragraph(&self, events: &[Event]) -> Option<Paragraph> {
        let mut reading = Reading {
            prefix: &self.prefix,
            xml: &self.xml,
            text: String::new(),
            elements: Vec::new(),
            marks: Vec::new(),
            weights: HashMap::new(),
            holders: Vec::new(),
            field: None,
        };
        let mut inner = 1;
        if let Some(Kind::Open(name)) = events.get(1).map(|event| &event.kind)
            && *name == format!("{}pPr", self.prefix)
        {
            inner = 1 + closing(&events[1..], 0) + 1;
        } else if let Some(Kind::Empty(name)) = events.get(1).map(|event| &event.kind)
            && *name == format!("{}pPr", self.prefix)
        {
            inner = 2;
        }
        let head = events[0].range.start..events.get(inner - 1)?.range.end;
        reading.content(&events[inner..events.len() - 1])?;
        let Reading { text, mut elements, marks, weights, field, .. } = reading;
        if field.is_some() || elements.len() > MOST_ELEMENTS || !text.chars().any(char::is_alphabetic) {
            return None;
        }
        // The formatting of most of the text, the first of equals, needs no marks.
        let base = weights.values().max_by_key(|(weight, first)| (*weight, std::cmp::Reverse(first.start)))?.1.clone();
        let same = self.xml[base.clone()].to_string();
        let is_base = |element: &Element| {
            let number = element.open.trim_matches(['<', '>']).parse::<usize>();
            matches!(number.ok().and_then(|n| marks.get(n)), Some(Mark::Run(range)) if self.xml[range.clone()] == same)
        };
        // A run is nobody's parent, so that only places among the elements change.
        let kept: Vec<bool> = elements.iter().map(|element| !is_base(element)).collect();
        let places: Vec<usize> =
            kept.iter().scan(0, |n, kept| Some(std::mem::replace(n, *n + usize::from(*kept)))).collect();
        for element in &mut elements {
            element.parent = element.parent.map(|parent| places[parent]);
        }
        let mut kept = kept.into_iter();
        elements.retain(|_| kept.next().unwrap_or(true));
        let range = events[0].range.start..events.last()?.range.end;
        Some(Paragraph { range, head, text, elements, marks, base, segment: Segment::default(), first: 0 })
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
                    let mark = Mark::Holder(events[i].range.clone(), events[last].range.clone());
                    let number = self.open(mark);
                    self.holders.push(number);
                    self.content(&events[i + 1..last])?;
                    self.holders.pop();
                    self.elements[number].range.end = self.text.len();
                }
                _ if !self.xml[range.clone()].trim().is_empty() => self.point(Mark::Keep(range)),
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
                    self.point(Mark::Keep(start..range.end));
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
        for c in said.chars() {
            let space = c.is_ascii_whitespace();
            if !space {
                self.text.push(c);
            } else if !self.text.ends_with(' ') {
                self.text.push(' ');
            }
        }
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

    /// Adds an element with a start and an end, which is not known yet.
    fn open(&mut self, mark: Mark) -> usize {
        let number = self.marks.len();
        let element = Element::point(&format!("<{number}>"), self.text.len(), self.holders.last().copied());
        self.marks.push(mark);
        self.elements.push(Element { close: format!("</{number}>"), ..element });
        self.elements.len() - 1
    }

    fn point(&mut self, mark: Mark) {
        let element = Element::point(&format!("<{}>", self.marks.len()), self.text.len(), self.holders.last().copied());
        self.marks.push(mark);
        self.elements.push(element);
    }
}

#[cfg(test)]
#[path = "wordml_tests.rs"]
mod tests;
