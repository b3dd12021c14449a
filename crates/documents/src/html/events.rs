//! A page as a sequence of events with their byte ranges.

use std::borrow::Cow;

use html5gum::{DefaultEmitter, Token, Tokenizer};

use crate::events::{Event, Kind};

/// Elements without an end tag.
const VOID: &[&str] = &[
    "area", "base", "br", "col", "embed", "frame", "hr", "img", "input", "link", "meta", "param", "source", "track",
    "wbr",
];

/// Hands the events of a page to `take`, in order; their ranges follow each other without gaps.
///
/// # Errors
/// The first that `take` gives.
pub fn events<'a, E>(html: &'a str, take: &mut dyn FnMut(Event<'a>) -> Result<(), E>) -> Result<(), E> {
    let mut emitter = DefaultEmitter::<usize>::new_with_span();
    emitter.naively_switch_states(true);
    let mut at = 0;
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        let name = |name: &[u8]| Cow::Owned(String::from_utf8_lossy(name).into_owned());
        let (span, kind) = match token {
            Token::String(_) | Token::Error(_) => continue,
            Token::StartTag(tag) => {
                let void = tag.self_closing || VOID.contains(&&*String::from_utf8_lossy(&tag.name.0));
                let name = name(&tag.name.0);
                (tag.span, if void { Kind::Empty(name) } else { Kind::Open(name) })
            }
            Token::EndTag(tag) => (tag.span, Kind::Close(name(&tag.name.0))),
            Token::Comment(comment) => (comment.span, Kind::Other),
            Token::Doctype(doctype) => (doctype.span, Kind::Other),
        };
        let (start, end) = (span.start.max(at), span.end.max(at));
        if start > at {
            take(Event { range: at..start, kind: Kind::Text })?;
        }
        take(Event { range: start..end, kind })?;
        at = end;
    }
    if at < html.len() {
        take(Event { range: at..html.len(), kind: Kind::Text })?;
    }
    Ok(())
}

/// What a character reference stands for: `&` with what follows it up to its semicolon. It stays as it is where HTML
/// does not know it.
pub fn resolve(reference: &str) -> Option<String> {
    let mut text = String::new();
    for token in Tokenizer::new(reference).flatten() {
        if let Token::String(string) = token {
            text.push_str(&String::from_utf8_lossy(&string.value));
        }
    }
    (text != reference).then_some(text)
}
