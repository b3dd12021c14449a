//! A page as a sequence of events with their byte ranges, and the kinds of HTML's elements.

use std::ops::Range;

use html5gum::{DefaultEmitter, Token, Tokenizer};

/// Elements that end running text. All others, also unknown ones, are part of it.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "base",
    "blockquote",
    "body",
    "br",
    "caption",
    "center",
    "col",
    "colgroup",
    "dd",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "frame",
    "frameset",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "head",
    "header",
    "hgroup",
    "hr",
    "html",
    "legend",
    "li",
    "link",
    "main",
    "menu",
    "meta",
    "nav",
    "ol",
    "optgroup",
    "option",
    "p",
    "search",
    "section",
    "select",
    "summary",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "title",
    "tr",
    "ul",
];
/// Elements that end running text and whose content is copied.
const OPAQUE_BLOCKS: &[&str] = &[
    "applet",
    "audio",
    "canvas",
    "iframe",
    "math",
    "noembed",
    "noframes",
    "noscript",
    "object",
    "plaintext",
    "pre",
    "script",
    "style",
    "svg",
    "template",
    "textarea",
    "video",
    "xmp",
];
/// Elements of running text whose content is copied.
const OPAQUE_INLINE: &[&str] = &["code", "kbd", "samp", "tt", "var"];
/// Elements without an end tag.
const VOID: &[&str] = &[
    "area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
];

/// Whether an element ends running text.
pub fn is_block(name: &str) -> bool {
    BLOCKS.contains(&name) || OPAQUE_BLOCKS.contains(&name)
}

/// A tag, a comment, or a piece of text.
pub enum Event {
    /// Text, decoded.
    Text(Range<usize>, String),
    /// A start tag: its name, whether it is void (has no end tag), whether its content is copied.
    Open(Range<usize>, String, bool, bool),
    /// An end tag.
    Close(Range<usize>, String),
    /// A comment or a doctype.
    Other(Range<usize>),
}

impl Event {
    /// Its bytes in the page.
    pub fn range(&self) -> Range<usize> {
        match self {
            Self::Text(range, _) | Self::Open(range, ..) | Self::Close(range, _) | Self::Other(range) => range.clone(),
        }
    }
}

/// The events of a page; their ranges follow each other without gaps.
pub fn events(html: &str) -> Vec<Event> {
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    emitter.naively_switch_states(true);
    let mut events = Vec::new();
    let mut text = String::new();
    let mut at = 0;
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        let (span, event): (_, Box<dyn FnOnce(Range<usize>) -> Event>) = match token {
            Token::String(string) => {
                text.push_str(&String::from_utf8_lossy(&string.value.0));
                continue;
            }
            Token::Error(_) => continue,
            Token::StartTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name.0).into_owned();
                let value = |key: &[u8]| {
                    tag.attributes.get(key).map(|value| String::from_utf8_lossy(&value.value.0).into_owned())
                };
                let kept = value(b"translate").is_some_and(|value| value.eq_ignore_ascii_case("no"))
                    || value(b"class")
                        .is_some_and(|value| value.split_whitespace().any(|class| class == "notranslate"));
                let opaque = kept || OPAQUE_INLINE.contains(&name.as_str()) || OPAQUE_BLOCKS.contains(&name.as_str());
                let void = tag.self_closing || VOID.contains(&name.as_str());
                (tag.span, Box::new(move |range| Event::Open(range, name, void, opaque)))
            }
            Token::EndTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name.0).into_owned();
                (tag.span, Box::new(move |range| Event::Close(range, name)))
            }
            Token::Comment(comment) => (comment.span, Box::new(Event::Other)),
            Token::Doctype(doctype) => (doctype.span, Box::new(Event::Other)),
        };
        let (start, end) = (span.start.max(at), span.end.max(at));
        if start > at {
            events.push(Event::Text(at..start, std::mem::take(&mut text)));
        }
        text.clear();
        events.push(event(start..end));
        at = end;
    }
    if at < html.len() {
        events.push(Event::Text(at..html.len(), text));
    }
    events
}

/// The place of the end tag that belongs to the start tag at `open`; the last event if there is none.
pub fn closing(events: &[Event], open: usize) -> usize {
    let Event::Open(_, name, void, _) = &events[open] else { return open };
    if *void {
        return open;
    }
    let mut depth = 0;
    for (i, event) in events.iter().enumerate().skip(open) {
        match event {
            Event::Open(_, other, false, _) if other == name => depth += 1,
            Event::Close(_, other) if other == name => {
                depth -= 1;
                if depth == 0 {
                    return i;
                }
            }
            _ => {}
        }
    }
    events.len() - 1
}
