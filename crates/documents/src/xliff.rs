//! XLIFF 1.2 and 2: units without a target get one; everything else stays byte for byte.

#[cfg(test)]
mod tests;

use std::ops::Range;

use strata_corpus::codes::language_tag;

use crate::document::{Document, Segment};
use crate::error::{Error, Result};
use crate::events::{Event, Kind, attribute, is_kept, with_attribute};
use crate::language::check_translated;
use crate::limits::Count;
use crate::markup::Piece;
use crate::options::Options;
use crate::running::rules::{Inline, Role, Rules};
use crate::running::{Skeleton, read_segment};
use crate::xml::{Events, local, resolve};

/// Events of a source text that are looked at; a longer one is left.
const MOST_EVENTS: usize = 2000;

/// Elements that can say whether their text is to be translated.
const PARTS: [&str; 4] = ["file", "group", "unit", "trans-unit"];

struct XliffRules;

impl Rules for XliffRules {
    fn role(&self, name: &str, tag: &str) -> Role {
        match local(name) {
            // Their content is code of the original's format.
            "bpt" | "ept" | "ph" | "it" => Role::Kept,
            "mrk" if attribute(tag, "mtype") == Some("protected") => Role::Kept,
            _ => Role::Inline(Inline::Form),
        }
    }

    fn resolve(&self, reference: &str) -> Option<String> {
        resolve(reference)
    }
}

/// XLIFF that was read.
pub struct XliffDocument {
    skeleton: Skeleton,
    targets: Vec<Target>,
    segments: Vec<Segment>,
    /// Start tags that say the language translated into, and their bytes, in order.
    tags: Vec<(Range<usize>, String)>,
}

/// A target to fill, for each segment.
struct Target {
    /// The bytes that it replaces: the start tag of an empty target with the space in it, or none behind the source.
    place: Range<usize>,
    before: String,
    after: String,
    /// The source's content.
    source: Range<usize>,
}

/// A unit that is being read.
#[derive(Default)]
struct Unit<'a> {
    /// The space in front of its source.
    indent: Range<usize>,
    prefix: &'a str,
    /// The source's content, and its bytes.
    source: Option<(Vec<Event<'a>>, Range<usize>)>,
    /// The end of the source, where a target may stand.
    end: usize,
    target: Option<Found>,
}

/// A target that is there.
struct Found {
    tag: Range<usize>,
    /// Where what is in it ends.
    end: usize,
    /// Whether that is text, and not only space and marks.
    says: bool,
}

impl<'a> Unit<'a> {
    /// Adds what is in the source, as far as it is looked at.
    fn add(&mut self, event: Event<'a>) {
        if let Some((events, _)) = &mut self.source
            && events.len() <= MOST_EVENTS
        {
            events.push(event);
        }
    }
}

impl XliffDocument {
    /// Reads XLIFF.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the place of what is wrong, or for translations into another language than the one of
    /// `options`; [`Error::TooLarge`].
    pub fn read(xml: &str, options: &Options) -> Result<Self> {
        let (mut targets, mut segments, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        let mut count = Count::new(&options.limits);
        let mut reader = Reader::new(xml);
        for event in Events::new(xml) {
            let unit = reader.ended(event.map_err(Error::Invalid)?);
            if let Some((events, target)) = unit.and_then(|unit| target(xml, unit, reader.version)) {
                let segment = read_segment(xml, &XliffRules, &events, &mut marks);
                count.add(&segment.text)?;
                count.marks(marks.len())?;
                targets.push(target);
                segments.push(segment);
            }
        }
        if !reader.units && !xml.contains("<xliff") {
            return Err(Error::invalid("the file is no XLIFF: it has no <xliff>"));
        }
        let tags = reader.languages.into_iter().filter_map(|language| language.tag(xml, options).transpose());
        let tags = tags.collect::<Result<_>>()?;
        Ok(Self { skeleton: Skeleton::of_pieces(xml, marks), targets, segments, tags })
    }
}

/// An element that says the language of the targets in it.
struct Language {
    /// Its start tag.
    tag: Range<usize>,
    /// The name of its attribute.
    name: &'static str,
    /// Whether there are targets with text.
    translated: bool,
}

impl Language {
    /// The start tag that says the language of `options`, if it does not say it; with its bytes.
    fn tag(self, xml: &str, options: &Options) -> Result<Option<(Range<usize>, String)>> {
        let tag = &xml[self.tag.clone()];
        let said = attribute(tag, self.name).unwrap_or("").trim();
        if self.translated && !said.is_empty() {
            return check_translated(said, options).map(|()| None);
        }
        let anew = options.target.as_ref().map(|target| with_attribute(tag, self.name, &language_tag(target)));
        Ok(anew.filter(|anew| anew != tag).map(|anew| (self.tag, anew)))
    }
}

/// Where reading is.
struct Reader<'a> {
    xml: &'a str,
    unit: Unit<'a>,
    /// The source or the target that is open.
    inside: Option<Side>,
    /// How many elements are open that hold other versions of a text.
    others: usize,
    /// Whether the text of each open element that may say so is translated, the innermost last.
    translate: Vec<bool>,
    /// Whether there were any units.
    units: bool,
    /// The elements so far that say the language of the targets in them.
    languages: Vec<Language>,
    /// 1 or 2.
    version: u8,
    last: Option<Event<'a>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Side {
    Source,
    Target,
}

impl<'a> Reader<'a> {
    fn new(xml: &'a str) -> Self {
        let (translate, languages) = (Vec::new(), Vec::new());
        Self {
            xml,
            unit: Unit::default(),
            inside: None,
            others: 0,
            translate,
            units: false,
            languages,
            version: 2,
            last: None,
        }
    }

    /// Takes the next event; gives back the unit that ends with it, unless that one stays.
    fn ended(&mut self, event: Event<'a>) -> Option<Unit<'a>> {
        let before = self.inside;
        let mut ended = None;
        match &event.kind {
            Kind::Open(name) => self.open(local(name), &event.range),
            Kind::Empty(name) if local(name) == "target" && self.takes_sides() => {
                self.unit.target = Some(Found { tag: event.range.clone(), end: event.range.end, says: false });
            }
            Kind::Close(name) => {
                ended = self.close(local(name), &event.range);
                if PARTS.contains(&local(name)) {
                    self.translate.pop();
                }
            }
            _ => {}
        }
        match self.inside.filter(|_| self.inside == before) {
            Some(Side::Source) => self.unit.add(paired(self.xml, event.clone())),
            Some(Side::Target) if says(self.xml, &event) => {
                self.unit.target.iter_mut().for_each(|target| target.says = true);
                self.languages.last_mut().into_iter().for_each(|language| language.translated = true);
            }
            Some(Side::Target) | None => {}
        }
        self.last = Some(event);
        ended
    }

    /// Whether a source or target that begins here is the unit's own.
    fn takes_sides(&self) -> bool {
        self.inside.is_none() && self.others == 0
    }

    fn open(&mut self, name: &str, tag: &Range<usize>) {
        if PARTS.contains(&name) {
            let said = attribute(&self.xml[tag.clone()], "translate");
            // What an element does not say, the one around it does.
            let around = self.translate.last() != Some(&false);
            self.translate.push(said.map_or(around, |said| said != "no"));
        }
        match name {
            "xliff" => {
                let said = attribute(&self.xml[tag.clone()], "version");
                self.version = if said.is_some_and(|said| said.starts_with("1.")) { 1 } else { 2 };
                if self.version == 2 {
                    self.languages.push(Language { tag: tag.clone(), name: "trgLang", translated: false });
                }
            }
            "file" if self.version == 1 => {
                self.languages.push(Language { tag: tag.clone(), name: "target-language", translated: false });
            }
            "alt-trans" | "matches" => self.others += 1,
            "trans-unit" | "unit" => {
                self.units = true;
                self.unit = Unit::default();
            }
            "segment" => self.unit = Unit::default(),
            "source" if self.takes_sides() => {
                self.inside = Some(Side::Source);
                self.unit.source = Some((Vec::new(), tag.end..tag.end));
                self.unit.prefix = prefix(&self.xml[tag.clone()]);
                let space = self.last.take().filter(|event| event.kind == Kind::Text);
                self.unit.indent = space.map_or(0..0, |event| event.range);
            }
            "target" if self.takes_sides() => {
                self.inside = Some(Side::Target);
                self.unit.target = Some(Found { tag: tag.clone(), end: tag.end, says: false });
            }
            _ => {}
        }
    }

    fn close(&mut self, name: &str, tag: &Range<usize>) -> Option<Unit<'a>> {
        match name {
            "alt-trans" | "matches" => self.others = self.others.saturating_sub(1),
            "source" if self.inside == Some(Side::Source) => {
                self.inside = None;
                self.unit.end = tag.end;
                if let Some((_, range)) = &mut self.unit.source {
                    range.end = tag.start;
                }
            }
            "target" if self.inside == Some(Side::Target) => {
                self.inside = None;
                self.unit.target.iter_mut().for_each(|target| target.end = tag.start);
            }
            "seg-source" => self.unit.end = tag.end,
            "segment" | "trans-unit" => {
                let unit = std::mem::take(&mut self.unit);
                return (self.translate.last() != Some(&false)).then_some(unit);
            }
            _ => {}
        }
        None
    }
}

/// Tags at the two ends of a text that need not nest, as a start tag and an end tag: codes of the original (`<bx>`,
/// `<ex>`; in XLIFF 2 `<sc>`, `<ec>`), and marks of XLIFF 2 around text that is not to be translated (`<sm>`, `<em>`).
fn paired<'a>(xml: &'a str, event: Event<'a>) -> Event<'a> {
    let Kind::Empty(name) = &event.kind else { return event };
    let tag = &xml[event.range.clone()];
    let key = || attribute(tag, "rid").or_else(|| attribute(tag, "id"));
    let kind = match local(name) {
        "bx" => key().map(|key| Kind::Open(format!("bx {key}").into())),
        "ex" => key().map(|key| Kind::Close(format!("bx {key}").into())),
        "sc" => attribute(tag, "id").map(|id| Kind::Open(format!("sc {id}").into())),
        "ec" => attribute(tag, "startRef").map(|id| Kind::Close(format!("sc {id}").into())),
        "sm" if is_kept(tag) => attribute(tag, "id").map(|id| Kind::Open(format!("sm {id}").into())),
        "em" => attribute(tag, "startRef").map(|id| Kind::Close(format!("sm {id}").into())),
        _ => None,
    };
    Event { kind: kind.unwrap_or(event.kind), range: event.range }
}

/// Whether an event is text, or code in its place: marks alone say nothing.
fn says(xml: &str, event: &Event) -> bool {
    let source = &xml[event.range.clone()];
    match &event.kind {
        Kind::Text => !source.trim().is_empty(),
        Kind::Other => source.starts_with("<![CDATA[") || source.starts_with('&'),
        Kind::Open(name) | Kind::Empty(name) => {
            let name = local(name);
            ["x", "ph", "bx", "ex", "bpt", "ept", "it", "sc", "ec"]
                .iter()
                .any(|code| name.strip_prefix(code).is_some_and(|key| key.is_empty() || key.starts_with(' ')))
        }
        Kind::Close(_) => false,
    }
}

/// The prefix in a tag.
fn prefix(tag: &str) -> &str {
    let name = tag.trim_start_matches('<');
    let end = name.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(name.len());
    name[..end].rfind(':').map_or("", |colon| &name[..=colon])
}

/// The target of a unit that has none with text, and the events of its source.
fn target<'a>(xml: &str, unit: Unit<'a>, version: u8) -> Option<(Vec<Event<'a>>, Target)> {
    let Unit { indent, prefix, source, end, target } = unit;
    let (events, source) = source.filter(|(events, _)| !events.is_empty() && events.len() <= MOST_EVENTS)?;
    let name = format!("{prefix}target");
    let (place, before, after) = match target {
        Some(Found { says: true, .. }) => return None,
        Some(Found { tag: place, end, .. }) => {
            let tag = &xml[place.clone()];
            let (open, after) = match tag.strip_suffix("/>") {
                Some(open) => (format!("{}>", open.trim_end()), format!("</{name}>")),
                None => (tag.to_string(), String::new()),
            };
            (place.start..end, to_review(&open, version), after)
        }
        None => {
            let indent = if xml[indent.clone()].trim().is_empty() { &xml[indent] } else { "" };
            (end..end, format!("{indent}{}", to_review(&format!("<{name}>"), version)), format!("</{name}>"))
        }
    };
    Some((events, Target { place, before, after, source }))
}

/// A target's start tag that says in XLIFF 1 that a person must review the machine's translation.
fn to_review(open: &str, version: u8) -> String {
    if version == 1 { with_attribute(open, "state", "needs-review-translation") } else { open.to_string() }
}

impl Document for XliffDocument {
    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        let xml = self.skeleton.source();
        let mut out = String::with_capacity(xml.len() * 3 / 2);
        let mut at = 0;
        let mut tags = self.tags.iter().peekable();
        // The source up to a byte, with the tags in it.
        let mut copy = |at: usize, end: usize, out: &mut String| {
            let mut at = at;
            while let Some((range, tag)) = tags.next_if(|(range, _)| range.end <= end) {
                out.push_str(&xml[at..range.start]);
                out.push_str(tag);
                at = range.end;
            }
            out.push_str(&xml[at..end]);
        };
        for ((target, segment), translated) in self.targets.iter().zip(&self.segments).zip(translated) {
            copy(at, target.place.start, &mut out);
            out.push_str(&target.before);
            match translated {
                Some(pieces) => self.skeleton.pieces(segment, pieces, &mut out),
                None => out.push_str(&xml[target.source.clone()]),
            }
            out.push_str(&target.after);
            at = target.place.end;
        }
        copy(at, xml.len(), &mut out);
        Ok(out.into_bytes())
    }
}
