//! HTML in, HTML out: what is between block elements is translated as running text, and the markup inside of it is put where the
//! translation's words stand that the marked words became (`crate::markup`).
//!
//! Every tag, comment and attribute of the input is copied byte for byte and occurs exactly once; translated text is escaped. So
//! nothing that a browser would run can come in by a translation.

use strata_translate::Part;

use crate::document::{Cut, Document};
use crate::html_events::{Event, closing, events, is_block};
use crate::markup::{Element, Segment};

/// Elements inside of each other whose places are looked for in running text; deeper ones stand where they stood.
const DEPTH: usize = 40;
/// Tags in one piece of running text; one with more is kept as it is.
const MOST_ELEMENTS: usize = 400;

/// A page, or a piece of one.
pub struct HtmlDocument {
    pieces: Vec<Piece>,
    parts: Vec<String>,
}

enum Piece {
    Keep(String),
    /// Running text, and the number of its first part.
    Running(Segment, usize),
}

impl HtmlDocument {
    /// Cuts a page into running text and the rest.
    pub fn new(html: &str, cut: Cut<'_>) -> Self {
        let mut document = Self { pieces: Vec::new(), parts: Vec::new() };
        let events = events(html);
        let mut running: Vec<&Event> = Vec::new();
        let mut i = 0;
        while i < events.len() {
            let event = &events[i];
            let (ends, opaque) = match event {
                Event::Open(_, name, _, opaque) => (is_block(name), is_block(name) && *opaque),
                Event::Close(_, name) => (is_block(name), false),
                _ => (false, false),
            };
            if !ends {
                running.push(event);
                i += 1;
                continue;
            }
            document.run(html, &std::mem::take(&mut running), cut);
            let last = if opaque { closing(&events, i) } else { i };
            document.pieces.push(Piece::Keep(html[event.range().start..events[last].range().end].to_string()));
            i = last + 1;
        }
        document.run(html, &running, cut);
        document
    }

    /// Adds running text.
    fn run(&mut self, html: &str, events: &[&Event], cut: Cut<'_>) {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return };
        let range = first.range().start..last.range().end;
        let segment = if events.len() > MOST_ELEMENTS { Segment::default() } else { segment(html, events, cut) };
        if segment.parts.is_empty() {
            self.pieces.push(Piece::Keep(html[range].to_string()));
            return;
        }
        let first = self.parts.len();
        self.parts.extend(segment.parts.iter().map(|part| segment.text[part.clone()].to_string()));
        self.pieces.push(Piece::Running(segment, first));
    }
}

/// Running text with its markup.
fn segment(html: &str, events: &[&Event], cut: Cut<'_>) -> Segment {
    let mut text = String::new();
    let mut elements: Vec<Element> = Vec::new();
    // Elements that are open: the name and the number.
    let mut open: Vec<(&str, usize)> = Vec::new();
    // The number of the outermost element whose content stays as it is, and where its content begins in the page.
    let mut opaque: Option<(usize, usize)> = None;
    for event in events {
        let raw = &html[event.range()];
        match event {
            Event::Text(_, decoded) => {
                for c in decoded.chars() {
                    let space = c.is_ascii_whitespace();
                    if !space {
                        text.push(c);
                    } else if !text.ends_with(' ') {
                        text.push(' ');
                    }
                }
            }
            Event::Open(_, name, void, is_opaque) if opaque.is_none() => {
                elements.push(Element::point(raw, text.len(), parent(&open)));
                if !void && open.len() < DEPTH {
                    open.push((name, elements.len() - 1));
                    if *is_opaque {
                        opaque = Some((elements.len() - 1, event.range().end));
                    }
                }
            }
            // Inside of what stays as it is, tags are content; but its own end must be found.
            Event::Open(_, name, false, _) if open.len() < 2 * DEPTH => open.push((name, usize::MAX)),
            Event::Close(_, name) => {
                let Some(place) = open.iter().rposition(|(other, _)| other == name) else {
                    if opaque.is_none() {
                        elements.push(Element::point(raw, text.len(), parent(&open)));
                    }
                    continue;
                };
                let number = open[place].1;
                if number == usize::MAX {
                    open.truncate(place);
                    continue;
                }
                if opaque.is_some_and(|(outer, _)| number != outer) {
                    // An end tag of an element around: what stays as it is was not closed, so it ends with the text.
                    continue;
                }
                // Elements that were not closed before stay points.
                open.truncate(place);
                elements[number].close = raw.to_string();
                elements[number].range.end = text.len();
                if let Some((_, content)) = opaque.take() {
                    elements[number].verbatim = Some(html[content..event.range().start].to_string());
                }
            }
            Event::Open(..) => {}
            Event::Other(_) if opaque.is_none() => {
                elements.push(Element::point(raw, text.len(), parent(&open)));
            }
            Event::Other(_) => {}
        }
    }
    if let (Some((number, content)), Some(last)) = (opaque, events.last()) {
        elements[number].verbatim = Some(html[content..last.range().end].to_string());
        elements[number].range.end = text.len();
    }
    Segment::new(text, elements, cut)
}

/// The innermost element that is open.
fn parent(open: &[(&str, usize)]) -> Option<usize> {
    open.last().map(|(_, number)| *number)
}

impl Document for HtmlDocument {
    fn parts(&self) -> &[String] {
        &self.parts
    }

    fn aligned(&self) -> bool {
        true
    }

    fn render(&self, translations: &[Part], choice: usize) -> String {
        let mut html = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Keep(kept) => html.push_str(kept),
                Piece::Running(segment, first) => {
                    let parts = first + segment.parts.len();
                    html.push_str(&segment.render(translations.get(*first..parts).unwrap_or(&[]), choice));
                }
            }
        }
        html
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::{cut_at_stops, part};

    /// Translates every part to itself, without alignments.
    fn same(html: &str) -> String {
        let document = HtmlDocument::new(html, &cut_at_stops);
        let parts: Vec<Part> = document.parts().iter().map(|text| part(text)).collect();
        document.render(&parts, 0)
    }

    fn parts(html: &str) -> Vec<String> {
        HtmlDocument::new(html, &cut_at_stops).parts
    }

    #[test]
    fn running_text_is_found_and_the_rest_is_not_translated() {
        let html = "<!DOCTYPE html><html><head><title>A &amp; B</title><style>p{x:y}</style><script>if(a<b)c()</script></head>\
                    <body><p class=\"x\">One <b>two</b>\n three. Four.</p><pre>keep this</pre><p translate=no>kept</p>\
                    <ul><li>five<li>six<br>seven</ul><!-- a comment --><code>x</code></body></html>";
        assert_eq!(parts(html), ["A & B", "One two three.", "Four.", "five", "six", "seven", "x"]);
        assert_eq!(same(html), html.replace("\n three", " three"));
    }

    #[test]
    fn scripts_do_not_come_in_by_a_translation() {
        let document = HtmlDocument::new("<p>Hello <b>you</b></p>", &cut_at_stops);
        let bad = part("<script>alert(1)</script> & <img src=x onerror=y>");
        let html = document.render(&[bad], 0);
        assert!(!html.contains("<script") && !html.contains("<img") && html.contains("&lt;script&gt;"), "{html}");
        assert!(html.starts_with("<p>") && html.contains("<b>") && html.ends_with("</p>"), "{html}");
    }

    #[test]
    fn code_stays_byte_for_byte() {
        for code in
            ["<code>a &lt; <i>b</i></code>", "<span translate=\"no\">Name X</span>", "<kbd class='k'>Ctrl</kbd>"]
        {
            let html = format!("<p>Type {code} now</p>");
            let document = HtmlDocument::new(&html, &cut_at_stops);
            let found = document.render(&[part("Schreiben Sie etwas anderes jetzt")], 0);
            assert_eq!(found.matches(code).count(), 1, "{found}");
        }
    }

    #[test]
    fn odd_pages_stay_whole() {
        for html in [
            "",
            "<",
            "a < b",
            "<p",
            "</p>",
            "<b>x",
            "x</b>y",
            "<code>x",
            "<b><i>x</b>y</i>",
            "<script>x",
            "<!-- x",
            "&",
            "&amp;",
            "<p>\u{fffd}ü</p>",
            "<a href='>'>x</a>",
            "<textarea>a <b> c</textarea>",
            "<svg><p>x</p></svg>",
        ] {
            let found = same(html);
            let brackets = |text: &str| text.matches('<').count() + text.matches("&lt;").count();
            assert_eq!(brackets(&found), brackets(html), "{html} became {found}");
        }
        let deep = "<b>".repeat(300) + "x" + &"</b>".repeat(90);
        assert_eq!(same(&deep).matches("<b>").count(), 300);
    }

    /// Tags and comments as they stand, sorted.
    fn tags(html: &str) -> Vec<String> {
        let mut tags: Vec<String> = events(html)
            .iter()
            .filter(|event| !matches!(event, Event::Text(..)))
            .map(|event| html[event.range()].to_string())
            .collect();
        tags.sort();
        tags
    }

    /// Two placeholders and an empty link that all lay claim to the same words.
    #[test]
    fn siblings_that_claim_the_same_words_do_not_overlap() {
        let html = "{name}<a href=#><a href=#> </a>{name}</a>";
        let document = HtmlDocument::new(html, &cut_at_stops);
        let translations: Vec<Part> = document.parts().iter().map(|_| part("&a&.&}aaa}&a")).collect();
        assert_eq!(tags(&document.render(&translations, 0)), tags(html));
    }

    proptest! {
        #[test]
        fn any_text_is_taken(html in ".{0,40}", more in "[<>/a!\\-\"'= p&;\u{fc}\r\n]{0,40}") {
            for html in [&html, &more, &(more.clone() + &html)] {
                HtmlDocument::new(html, &cut_at_stops).render(&[], 0);
            }
        }

        #[test]
        fn every_tag_is_there_once_whatever_the_translation_says(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "<b>", "</b>", "<i class=\"a>b\">", "</i>", "<p>", "</p>", "<br>", "<img src=x>", "<code>", "</code>", "word ",
                    "Two. ", "{name}", "&lt;", "<!-- c -->", "<a href=#>", "</a>", " ", "x<y",
                ]),
                0..30,
            ),
            said in "[a-z<>&{}. ]{0,40}",
        ) {
            let html = pieces.concat();
            let document = HtmlDocument::new(&html, &cut_at_stops);
            let translations: Vec<Part> = document.parts().iter().map(|_| part(&said)).collect();
            let found = document.render(&translations, 0);
            prop_assert_eq!(tags(&found), tags(&html), "{} became {}", html, found);
        }
    }
}
