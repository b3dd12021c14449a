//! XML as a sequence of events, one at a time, so that what is not kept takes no memory.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::Event as Xml;

use crate::events::{Event, Kind};

/// The events of XML; their ranges follow each other without gaps.
pub struct Events<'a> {
    xml: &'a str,
    reader: Reader<&'a [u8]>,
    /// Bytes in front of the reader's.
    mark: usize,
    at: usize,
    depth: usize,
    ended: bool,
    resolve: fn(&str) -> Option<String>,
}

/// Elements inside of each other; no program writes more.
const DEPTH: usize = 1000;

impl<'a> Events<'a> {
    /// The events of a document or of a piece of one.
    pub fn new(xml: &'a str) -> Self {
        Self::knowing(xml, resolve)
    }

    /// The same with more entities than XML's, which `resolve` knows.
    pub fn knowing(xml: &'a str, resolve: fn(&str) -> Option<String>) -> Self {
        let mark = if xml.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        let mut reader = Reader::from_str(&xml[mark..]);
        // People write `AT&T`; it stays as it is.
        reader.config_mut().allow_dangling_amp = true;
        Self { xml, reader, mark, at: mark, depth: 0, ended: false, resolve }
    }

    /// The next event; none at the end.
    fn read(&mut self) -> Result<Option<Event<'a>>, String> {
        let at = self.at;
        let fault = |what: &str| format!("{what} at byte {at}");
        let event = self.reader.read_event().map_err(|_| fault("the XML is damaged"))?;
        let end =
            self.mark + usize::try_from(self.reader.buffer_position()).map_err(|_| fault("the XML is too long"))?;
        let source = &self.xml[at..end];
        let name = || Cow::Borrowed(tag_name(source));
        let kind = match &event {
            Xml::Start(_) => {
                self.depth += 1;
                if self.depth > DEPTH {
                    return Err(fault("elements are nested too deeply"));
                }
                Kind::Open(name())
            }
            Xml::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Kind::Close(name())
            }
            Xml::Empty(_) => Kind::Empty(name()),
            Xml::Text(_) => Kind::Text,
            Xml::GeneralRef(_) if (self.resolve)(source).is_some() => Kind::Text,
            // Entities of a document type are never expanded, so none can grow.
            Xml::GeneralRef(_) | Xml::CData(_) | Xml::DocType(_) | Xml::Comment(_) | Xml::Decl(_) | Xml::PI(_) => {
                Kind::Other
            }
            Xml::Eof if self.depth > 0 => return Err(fault("the XML ends early")),
            Xml::Eof => return Ok(None),
        };
        self.at = end;
        Ok(Some(Event { range: at..end, kind }))
    }
}

impl<'a> Iterator for Events<'a> {
    type Item = Result<Event<'a>, String>;

    /// What is wrong, and at which byte, is the last item.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.read().transpose();
        self.ended = !matches!(next, Some(Ok(_)));
        next
    }
}

/// The name in a tag.
fn tag_name(tag: &str) -> &str {
    let inner = tag.trim_start_matches(['<', '/']);
    &inner[..inner.find(|c: char| c.is_whitespace() || c == '/' || c == '>').unwrap_or(inner.len())]
}

/// A name without its prefix.
pub fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// What an entity or a character reference stands for; none for one that XML does not define by itself.
pub fn resolve(reference: &str) -> Option<String> {
    let name = reference.strip_prefix('&')?.strip_suffix(';')?;
    let found = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => {
            let number = name.strip_prefix('#')?;
            let number = match number.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(number).filter(|c| *c >= ' ' || c.is_ascii_whitespace())?
        }
    };
    Some(found.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_follow_each_other_and_faults_are_named() {
        let xml = "\u{feff}<?xml version='1.0'?><a b='>'>x &amp; y &no; &#65;<![CDATA[<z>]]><c/></a>AT&T";
        let events: Vec<Event> = Events::new(xml).map(Result::unwrap).collect();
        let mut at = 3;
        for event in &events {
            assert_eq!(event.range.start, at);
            at = event.range.end;
        }
        assert_eq!(at, xml.len());
        let texts: String = events.iter().filter(|e| e.kind == Kind::Text).map(|e| &xml[e.range.clone()]).collect();
        assert_eq!(texts, "x &amp; y  &#65;AT&T");
        for (xml, what) in [("<a><b></a>", "damaged"), ("<a>", "early"), ("<a", "damaged")] {
            let error = Events::new(xml).find_map(Result::err).unwrap();
            assert!(error.contains(what), "{error}");
        }
        assert!(Events::new(&"<a>".repeat(2000)).any(|event| event.is_err_and(|e| e.contains("deeply"))));
    }
}
