//! XLIFF 1.2 and 2: units without a target get one; everything else stays byte for byte.

use std::ops::Range;

use crate::document::{Document, Segment};
use crate::error::{Error, Result};
use crate::events::{Event, Kind, attribute};
use crate::limits::{Count, Limits};
use crate::markup::Piece;
use crate::running::rules::{Inline, Role, Rules};
use crate::running::{Skeleton, read_segment};
use crate::xml::{Events, local, resolve};

/// Events of a source text that are looked at; a longer one is left.
const MOST_EVENTS: usize = 2000;

struct XliffRules;

impl Rules for XliffRules {
    fn role(&self, name: &str, _tag: &str) -> Role {
        match local(name) {
            // Their content is code of the original's format.
            "bpt" | "ept" | "ph" | "it" => Role::Kept,
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
    /// The bytes that it replaces: an empty target, or none behind the source.
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

impl XliffDocument {
    /// Reads XLIFF.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the place of what is wrong; [`Error::TooLarge`].
    pub fn read(xml: &str, limits: &Limits) -> Result<Self> {
        let (mut targets, mut segments, mut marks) = (Vec::new(), Vec::new(), Vec::new());
        let mut count = Count::new(limits);
        let mut unit = Unit::default();
        // What is open: a source or target, other versions of a text, a unit that stays.
        let (mut inside, mut others, mut kept, mut units) = ("", 0usize, 0usize, 0usize);
        let mut last: Option<Event> = None;
        for event in Events::new(xml) {
            let event = event.map_err(Error::Invalid)?;
            let name = |name: &str| local(name).to_string();
            match &event.kind {
                Kind::Open(open) => match name(open).as_str() {
                    "alt-trans" | "matches" => others += 1,
                    "trans-unit" | "unit" => {
                        units += 1;
                        unit = Unit::default();
                        let stays = attribute(&xml[event.range.clone()], "translate") == Some("no");
                        kept += usize::from(kept > 0 || stays);
                    }
                    "segment" => unit = Unit::default(),
                    "source" if inside.is_empty() && others == 0 => {
                        inside = "source";
                        unit.source = Some((Vec::new(), event.range.end..event.range.end));
                        unit.prefix = prefix(&xml[event.range.clone()]);
                        unit.indent = last.filter(|e| e.kind == Kind::Text).map_or(0..0, |event| event.range);
                        last = Some(event);
                        continue;
                    }
                    "target" if inside.is_empty() && others == 0 => {
                        inside = "target";
                        unit.target = Some(Some(event.range.end..event.range.end));
                        last = Some(event);
                        continue;
                    }
                    _ => {}
                },
                Kind::Empty(empty) if name(empty) == "target" && inside.is_empty() && others == 0 => {
                    unit.target = Some(Some(event.range.clone()));
                }
                Kind::Close(close) => match name(close).as_str() {
                    "alt-trans" | "matches" => others = others.saturating_sub(1),
                    "source" if inside == "source" => {
                        inside = "";
                        unit.end = event.range.end;
                        if let Some((_, range)) = &mut unit.source {
                            range.end = event.range.start;
                        }
                    }
                    "target" if inside == "target" => inside = "",
                    "seg-source" => unit.end = event.range.end,
                    "trans-unit" | "segment" => {
                        let unit = std::mem::take(&mut unit);
                        if kept == 0
                            && let Some((events, target)) = target(xml, unit)
                        {
                            let segment = read_segment(xml, &XliffRules, &events, &mut marks);
                            count.add(&segment.text)?;
                            count.marks(marks.len())?;
                            targets.push(target);
                            segments.push(segment);
                        }
                        kept = if name(close) == "trans-unit" { kept.saturating_sub(1) } else { kept };
                    }
                    "unit" => kept = kept.saturating_sub(1),
                    _ => {}
                },
                _ => {}
            }
            if inside == "source"
                && let Some((events, _)) = &mut unit.source
                && events.len() <= MOST_EVENTS
            {
                events.push(event.clone());
            }
            if inside == "target" {
                unit.target = Some(None);
            }
            last = Some(event);
        }
        if units == 0 && !xml.contains("<xliff") {
            return Err(Error::invalid("the file is no XLIFF: it has no <xliff>"));
        }
        Ok(Self { skeleton: Skeleton::of_pieces(xml, marks), targets, segments })
    }
}

/// The prefix in a tag.
fn prefix(tag: &str) -> &str {
    let name = tag.trim_start_matches('<');
    let end = name.find(|c: char| c.is_whitespace() || c == '>').unwrap_or(name.len());
    name[..end].rfind(':').map_or("", |colon| &name[..=colon])
}

/// The target of a unit that has none with text, and the events of its source.
fn target<'a>(xml: &str, unit: Unit<'a>) -> Option<(Vec<Event<'a>>, Target)> {
    let Unit { indent, prefix, source, end, target } = unit;
    let (events, source) = source.filter(|(events, _)| !events.is_empty() && events.len() <= MOST_EVENTS)?;
    let name = format!("{prefix}target");
    let (place, before, after) = match target {
        Some(None) => return None,
        Some(Some(place)) if place.is_empty() => (place, String::new(), String::new()),
        Some(Some(place)) => {
            let open = xml[place.clone()].trim_end_matches("/>").trim_end().to_string() + ">";
            (place, open, format!("</{name}>"))
        }
        None => {
            let indent = if xml[indent.clone()].trim().is_empty() { &xml[indent] } else { "" };
            (end..end, format!("{indent}<{name}>"), format!("</{name}>"))
        }
    };
    Some((events, Target { place, before, after, source }))
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
        let fill = |g: &str, close: &str, one: &str| {
            xml.replace(".</source>\n", &format!(".</source>\n  <target>{g}</target>\n"))
                .replace("<target state=\"new\"/>", &format!("<target state=\"new\">{close}</target>"))
                .replace("<target></target>", &format!("<target>{one}</target>"))
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
}
