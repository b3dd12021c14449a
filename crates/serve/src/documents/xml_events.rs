//! XML as a sequence of events with their byte ranges.

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::Event as Xml;

/// A tag, or a piece of text.
pub struct Event {
    /// Its bytes.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind,
}

/// What an event is. Names have their prefixes.
pub enum Kind {
    /// A start tag.
    Open(String),
    /// An end tag.
    Close,
    /// An empty-element tag.
    Empty(String),
    /// Text, decoded.
    Text(String),
    /// A comment, a declaration or a processing instruction.
    Other,
}

/// The place of the end tag that belongs to the start tag at `open`; `open` itself for any other event.
pub fn closing(events: &[Event], open: usize) -> usize {
    if !matches!(events[open].kind, Kind::Open(_)) {
        return open;
    }
    let mut depth = 0usize;
    for (i, event) in events.iter().enumerate().skip(open) {
        match event.kind {
            Kind::Open(_) => depth += 1,
            Kind::Close => depth -= 1,
            _ => continue,
        }
        if depth == 0 {
            return i;
        }
    }
    events.len() - 1
}

/// The events of a file; their ranges follow each other without gaps.
///
/// # Errors
/// What is wrong, and at which byte.
pub fn events(xml: &str) -> Result<Vec<Event>, String> {
    let mark = if xml.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut reader = Reader::from_str(&xml[mark..]);
    let mut events = Vec::new();
    let mut at = mark;
    let mut depth = 0usize;
    loop {
        let fault = |what: &str| format!("{what} at byte {at}");
        let event = reader.read_event().map_err(|_| fault("the XML is damaged"))?;
        let kind = match &event {
            Xml::Start(tag) => Kind::Open(tag.name().into_inner().to_string()),
            Xml::End(_) => Kind::Close,
            Xml::Empty(tag) => Kind::Empty(tag.name().into_inner().to_string()),
            Xml::Text(text) => Kind::Text(text.xml10_content().into_owned()),
            Xml::CData(text) => Kind::Text(text.xml10_content().into_owned()),
            Xml::GeneralRef(name) => Kind::Text(match &**name {
                "amp" => "&".into(),
                "lt" => "<".into(),
                "gt" => ">".into(),
                "quot" => "\"".into(),
                "apos" => "'".into(),
                _ => name.resolve_char_ref().ok().flatten().ok_or_else(|| fault("an entity that is not known"))?.into(),
            }),
            // Custom entities are used for attacks (entity expansion); no office program writes them.
            Xml::DocType(_) => return Err(fault("a document type, which is not taken,")),
            Xml::Comment(_) | Xml::Decl(_) | Xml::PI(_) => Kind::Other,
            Xml::Eof if depth > 0 => return Err(fault("the XML ends early")),
            Xml::Eof => return Ok(events),
        };
        match kind {
            Kind::Open(_) => depth += 1,
            Kind::Close => depth = depth.saturating_sub(1),
            _ => {}
        }
        let end = mark + usize::try_from(reader.buffer_position()).map_err(|_| fault("the XML is too long"))?;
        events.push(Event { range: at..end, kind });
        at = end;
    }
}
