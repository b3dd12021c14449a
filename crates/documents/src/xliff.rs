//! XLIFF 1.2 and 2: units without a target get one; everything else stays byte for byte.

use std::ops::Range;

use crate::document::{Document, Segment};
use crate::error::{Error, Result};
use crate::events::{Event, Kind, attribute, is_kept};
use crate::limits::{Count, Limits};
use crate::markup::Piece;
use crate::running::rules::{Inline, Role, Rules};
use crate::running::{Skeleton, read_segment};
use crate::xml::{Events, local, resolve};

/// Events of a source text that are looked at; a longer one is left.
const MOST_EVENTS: usize = 2000;

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
}

/// A target to fill, for each segment.
struct Target {
    /// The bytes that it replaces: the start tag of an empty target, or none behind the source.
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
    /// An empty target; none if there is one with text.
    target: Option<Option<Range<usize>>>,
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
    /// [`Error::Invalid`] with the place of what is wrong; [`Error::TooLarge`].
    pub fn read(xml: &str, limits: &Limits) -> Result<Self> {
        let (mut targets, mut segments, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        let mut count = Count::new(limits);
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
        Ok(Self { skeleton: Skeleton::of_pieces(xml, marks), targets, segments })
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
    /// How many units are open, from the outermost one that stays.
    kept: usize,
    /// Whether there were any.
    units: bool,
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
        Self { xml, unit: Unit::default(), inside: None, others: 0, kept: 0, units: false, version: 2, last: None }
    }

    /// Takes the next event; gives back the unit that ends with it, unless that one stays.
    fn ended(&mut self, event: Event<'a>) -> Option<Unit<'a>> {
        let before = self.inside;
        let mut ended = None;
        match &event.kind {
            Kind::Open(name) => self.open(local(name), &event.range),
            Kind::Empty(name) if local(name) == "target" && self.takes_sides() => {
                self.unit.target = Some(Some(event.range.clone()));
            }
            Kind::Close(name) => ended = self.close(local(name), &event.range),
            _ => {}
        }
        match self.inside.filter(|_| self.inside == before) {
            Some(Side::Source) => self.unit.add(paired(self.xml, event.clone())),
            Some(Side::Target) => self.unit.target = Some(None),
            None => {}
        }
        self.last = Some(event);
        ended
    }

    /// Whether a source or target that begins here is the unit's own.
    fn takes_sides(&self) -> bool {
        self.inside.is_none() && self.others == 0
    }

    fn open(&mut self, name: &str, tag: &Range<usize>) {
        match name {
            "xliff" => {
                let said = attribute(&self.xml[tag.clone()], "version");
                self.version = if said.is_some_and(|said| said.starts_with("1.")) { 1 } else { 2 };
            }
            "alt-trans" | "matches" => self.others += 1,
            "trans-unit" | "unit" => {
                self.units = true;
                self.unit = Unit::default();
                let stays = attribute(&self.xml[tag.clone()], "translate") == Some("no");
                self.kept += usize::from(self.kept > 0 || stays);
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
                self.unit.target = Some(Some(tag.clone()));
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
            "target" if self.inside == Some(Side::Target) => self.inside = None,
            "seg-source" => self.unit.end = tag.end,
            "segment" => return self.end_of_unit(),
            "trans-unit" => {
                let ended = self.end_of_unit();
                self.kept = self.kept.saturating_sub(1);
                return ended;
            }
            "unit" => self.kept = self.kept.saturating_sub(1),
            _ => {}
        }
        None
    }

    fn end_of_unit(&mut self) -> Option<Unit<'a>> {
        let unit = std::mem::take(&mut self.unit);
        (self.kept == 0).then_some(unit)
    }
}

/// The marks of XLIFF 2 around text that is not to be translated and that crosses elements (`<sm>`, `<em>`), as a start
/// tag and an end tag.
fn paired<'a>(xml: &'a str, event: Event<'a>) -> Event<'a> {
    let Kind::Empty(name) = &event.kind else { return event };
    let tag = &xml[event.range.clone()];
    let kind = match local(name) {
        "sm" if is_kept(tag) => attribute(tag, "id").map(|id| Kind::Open(format!("sm {id}").into())),
        "em" => attribute(tag, "startRef").map(|id| Kind::Close(format!("sm {id}").into())),
        _ => None,
    };
    Event { kind: kind.unwrap_or(event.kind), range: event.range }
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
        Some(None) => return None,
        Some(Some(place)) => {
            let tag = &xml[place.clone()];
            let after = if tag.ends_with("/>") { format!("</{name}>") } else { String::new() };
            let open = tag.trim_end_matches('>').trim_end_matches('/').trim_end();
            (place, to_review(open, version) + ">", after)
        }
        None => {
            let indent = if xml[indent.clone()].trim().is_empty() { &xml[indent] } else { "" };
            (end..end, format!("{indent}{}>", to_review(&format!("<{name}"), version)), format!("</{name}>"))
        }
    };
    Some((events, Target { place, before, after, source }))
}

/// A target's start tag, but for its end, that says in XLIFF 1 that a person must review the machine's translation.
fn to_review(open: &str, version: u8) -> String {
    const STATE: &str = "needs-review-translation";
    if version != 1 {
        return open.to_string();
    }
    match attribute(open, "state") {
        Some(state) => {
            let start = state.as_ptr() as usize - open.as_ptr() as usize;
            format!("{}{STATE}{}", &open[..start], &open[start + state.len()..])
        }
        None => format!("{open} state=\"{STATE}\""),
    }
}

impl Document for XliffDocument {
    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        let xml = self.skeleton.source();
        let mut out = String::with_capacity(xml.len() * 3 / 2);
        let mut at = 0;
        for ((target, segment), translated) in self.targets.iter().zip(&self.segments).zip(translated) {
            out.push_str(&xml[at..target.place.start]);
            out.push_str(&target.before);
            match translated {
                Some(pieces) => self.skeleton.pieces(segment, pieces, &mut out),
                None => out.push_str(&xml[target.source.clone()]),
            }
            out.push_str(&target.after);
            at = target.place.end;
        }
        out.push_str(&xml[at..]);
        Ok(out.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{copied, shouted, translated};

    fn document(xml: &str) -> XliffDocument {
        XliffDocument::read(xml, &Limits::default()).unwrap()
    }

    #[test]
    fn units_of_xliff_1_get_their_targets() {
        let xml = "<?xml version=\"1.0\"?>\n<xliff version=\"1.2\"><file><body>\n<trans-unit id=\"1\">\n  <source>Open <g \
                   id=\"1\">the &amp; file</g><x id=\"2\"/>.</source>\n</trans-unit><trans-unit id=\"2\"><source>Done</source>\
                   <target>Fertig</target></trans-unit><trans-unit id=\"3\"><source>Close <ph id=\"1\">{name}</ph></source>\
                   <target state=\"new\"/><alt-trans><source>no</source><target>no</target></alt-trans></trans-unit>\
                   <trans-unit id=\"4\" translate=\"no\"><source>Keep</source></trans-unit><trans-unit id=\"5\"><source>1\
                   </source><target></target></trans-unit></body></file></xliff>";
        let state = " state=\"needs-review-translation\"";
        let fill = |g: &str, close: &str, one: &str| {
            xml.replace(".</source>\n", &format!(".</source>\n  <target{state}>{g}</target>\n"))
                .replace("<target state=\"new\"/>", &format!("<target{state}>{close}</target>"))
                .replace("<target></target>", &format!("<target{state}>{one}</target>"))
        };
        assert_eq!(translated(document(xml), &[]).0, ["Open the & file.", "Close {name}", "1"]);
        let close = "Close <ph id=\"1\">{name}</ph>";
        assert_eq!(copied(document(xml)), fill("Open <g id=\"1\">the &amp; file</g><x id=\"2\"/>.", close, "1"));
        let wanted = fill("OPEN <g id=\"1\">THE &amp; FILE</g><x id=\"2\"/>.", &close.replace("Close", "CLOSE"), "1");
        assert_eq!(shouted(document(xml)), wanted);
    }

    #[test]
    fn segments_of_xliff_2_get_their_targets() {
        let xml = "<xliff version=\"2.0\" xmlns=\"urn:oasis:names:tc:xliff:document:2.0\"><file id=\"f\"><unit id=\"1\"><segment>\
                   <source>Open <pc id=\"1\">it</pc>.</source></segment><segment><source>Close</source><target>Zu</target>\
                   </segment></unit><unit id=\"2\" translate=\"no\"><segment><source>Keep</source></segment></unit></file></xliff>";
        let target = "<target>Open <pc id=\"1\">it</pc>.</target>";
        assert_eq!(copied(document(xml)), xml.replace("it</pc>.</source>", &format!("it</pc>.</source>{target}")));
        assert!(XliffDocument::read("<a/>", &Limits::default()).is_err());
        assert!(XliffDocument::read("<xliff><file>", &Limits::default()).is_err());
    }

    #[test]
    fn protected_text_stays() {
        let xml = |version: &str, source: &str, target: &str| {
            let unit = |inner: &str| {
                if version == "1.2" {
                    format!("<trans-unit id=\"1\">{inner}</trans-unit>")
                } else {
                    format!("<unit id=\"1\"><segment>{inner}</segment></unit>")
                }
            };
            let inner = unit(&format!("<source>{source}</source>{target}"));
            format!("<xliff version=\"{version}\"><file>{inner}</file></xliff>")
        };
        for (version, source, wanted) in [
            (
                "1.2",
                "Open <mrk mtype=\"protected\">the file</mrk> <mrk mtype=\"seg\">now</mrk>",
                "OPEN <mrk mtype=\"protected\">the file</mrk> <mrk mtype=\"seg\">NOW</mrk>",
            ),
            ("1.2", "<mrk mtype=\"protected\">Name X</mrk> opens", "<mrk mtype=\"protected\">Name X</mrk> OPENS"),
            (
                "2.0",
                "Open <mrk id=\"1\" translate=\"no\">the <pc id=\"2\">file</pc></mrk>",
                "OPEN <mrk id=\"1\" \
             translate=\"no\">the <pc id=\"2\">file</pc></mrk>",
            ),
            (
                "2.1",
                "Open <sm id=\"m1\" translate=\"no\"/>the <pc id=\"2\">file<em startRef=\"m1\"/> now</pc>",
                "OPEN <sm id=\"m1\" translate=\"no\"/>the <pc id=\"2\">file<em startRef=\"m1\"/> NOW</pc>",
            ),
        ] {
            let found = shouted(document(&xml(version, source, "")));
            assert!(found.contains(&format!(">{wanted}</target>")), "{found}");
        }
    }
}
