//! Pages that DocBook's stylesheets wrote (the handbook, the installation guide): no ids to align by, but the same
//! sequence of blocks in every language.

use std::collections::HashMap;

use html5gum::{State, Token, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::align::{matching_blocks, similarity};
use crate::chars::split_space;

/// Elements that begin and end a block of text.
const BLOCK: [&str; 24] = [
    "p",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "li",
    "td",
    "th",
    "dt",
    "dd",
    "caption",
    "blockquote",
    "div",
    "table",
    "ul",
    "ol",
    "dl",
    "tr",
    "body",
    "tbody",
    "thead",
    "pre",
];
/// Elements without content or end tag.
const VOID: [&str; 10] = ["img", "br", "hr", "meta", "link", "input", "col", "area", "base", "wbr"];
const SKIPPED_TAGS: [&str; 5] = ["head", "script", "style", "pre", "sup"];
const SKIPPED_CLASSES: [&str; 12] = [
    "screen",
    "programlisting",
    "docnav",
    "navheader",
    "navfooter",
    "toc",
    "indexterm",
    "mediaobject",
    "footnote",
    "footnotes",
    "legalnotice",
    "index",
];
/// Two pages less alike than this are not compared: one of them has been rewritten.
const ALIKE: f64 = 0.9;
/// Shared runs of blocks shorter than this could be chance.
const SHORTEST_RUN: usize = 6;

/// A block of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageBlock {
    /// The block elements around it with their first class, outermost first: `body/div.section/p`.
    pub path: String,
    /// Its text, white space collapsed.
    pub text: String,
}

/// How many pages were compared, and how they matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageCounts {
    /// Pages that exist in both languages.
    pub compared: usize,
    /// Those whose sequences of blocks differ; their longer shared runs are used.
    pub uneven: usize,
    /// Those that differ too much to be used.
    pub dropped: usize,
}

impl std::ops::AddAssign for PageCounts {
    fn add_assign(&mut self, other: Self) {
        self.compared += other.compared;
        self.uneven += other.uneven;
        self.dropped += other.dropped;
    }
}

/// An element that is open.
struct Open {
    name: String,
    /// Its step in [`PageBlock::path`]; `None` for inline elements.
    step: Option<String>,
    skipped: bool,
}

#[derive(Default)]
struct Reader {
    blocks: Vec<PageBlock>,
    open: Vec<Open>,
    text: String,
    /// How many of the open elements are skipped.
    skipping: usize,
}

impl Reader {
    /// Ends the current block.
    fn flush(&mut self) {
        let raw = std::mem::take(&mut self.text);
        let text = split_space(&raw).collect::<Vec<_>>().join(" ");
        if !text.is_empty() && self.skipping == 0 {
            let path = self.open.iter().filter_map(|e| e.step.as_deref()).collect::<Vec<_>>().join("/");
            self.blocks.push(PageBlock { path, text });
        }
    }

    fn start(&mut self, name: &str, class: &str, id: &str) {
        if VOID.contains(&name) {
            if name == "br" {
                self.text.push(' ');
            }
            return;
        }
        let first_class = split_space(class).min();
        let skipped = SKIPPED_TAGS.contains(&name)
            || split_space(class).any(|c| SKIPPED_CLASSES.contains(&c))
            || matches!(id, "banner" | "title");
        let mut step = None;
        if BLOCK.contains(&name) {
            self.flush();
            step = (name != "pre").then(|| match first_class {
                Some(class) => format!("{name}.{class}"),
                None => name.to_owned(),
            });
        }
        self.skipping += usize::from(skipped);
        self.open.push(Open { name: name.to_owned(), step, skipped });
    }

    /// Closes the innermost element of that name and all inside it; an end tag that closes nothing is ignored.
    fn end(&mut self, name: &str) {
        if VOID.contains(&name) || !self.open.iter().any(|e| e.name == name) {
            return;
        }
        while let Some(innermost) = self.open.last() {
            if BLOCK.contains(&innermost.name.as_str()) {
                self.flush();
            }
            let Some(closed) = self.open.pop() else { break };
            self.skipping -= usize::from(closed.skipped);
            if closed.name == name {
                break;
            }
        }
    }
}

/// The blocks of a page in order, without navigation, listings, footnotes and the like.
pub(crate) fn parse_page(page: &str) -> Vec<PageBlock> {
    let mut reader = Reader::default();
    let mut tokens = Tokenizer::new(page);
    while let Some(Ok(token)) = tokens.next() {
        match token {
            Token::StartTag(tag) => {
                let name = String::from_utf8_lossy(&tag.name);
                let attribute = |key: &[u8]| {
                    tag.attributes.get(key).map(|v| String::from_utf8_lossy(&v.value).into_owned()).unwrap_or_default()
                };
                reader.start(&name, &attribute(b"class"), &attribute(b"id"));
                if tag.self_closing {
                    reader.end(&name);
                } else if matches!(&*name, "script" | "style") {
                    tokens.set_state(State::RawText);
                }
            }
            Token::EndTag(tag) => reader.end(&String::from_utf8_lossy(&tag.name)),
            Token::String(run) if reader.skipping == 0 => reader.text.push_str(&String::from_utf8_lossy(&run)),
            _ => {}
        }
    }
    reader.blocks
}

/// Pairs of blocks of the same page in two languages: all of them where the paths agree throughout, else the inside of
/// longer runs (their first and last block are left out, where a shift by one could hide).
pub(crate) fn align_pages<'e, 'x>(
    english: &'e [PageBlock],
    other: &'x [PageBlock],
    counts: &mut PageCounts,
) -> Vec<(&'e str, &'x str)> {
    counts.compared += 1;
    let pair = |(e, x): (&'e PageBlock, &'x PageBlock)| (e.text.as_str(), x.text.as_str());
    if english.len() == other.len() && english.iter().zip(other).all(|(e, x)| e.path == x.path) {
        return english.iter().zip(other).map(pair).collect();
    }
    counts.uneven += 1;
    let mut known: HashMap<&str, usize> = HashMap::new();
    let mut paths = Vec::with_capacity(english.len() + other.len()); // as numbers, which compare faster
    for block in english.iter().chain(other) {
        let next = known.len();
        paths.push(*known.entry(&block.path).or_insert(next));
    }
    let (left, right) = paths.split_at(english.len());
    let shared = matching_blocks(left, right);
    if similarity(&shared, left.len(), right.len()) < ALIKE {
        counts.dropped += 1;
        return Vec::new();
    }
    let long = shared.iter().filter(|b| b.len >= SHORTEST_RUN);
    let inside = long.flat_map(|b| (1..b.len - 1).map(|k| (b.left + k, b.right + k)));
    inside.map(|(i, j)| pair((&english[i], &other[j]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(page: &str) -> Vec<(String, String)> {
        parse_page(page).into_iter().map(|b| (b.path, b.text)).collect()
    }

    #[test]
    fn blocks_have_paths_and_inline_markup_vanishes() {
        let page = "<?xml version=\"1.0\"?><!DOCTYPE html><html><head><title>no</title></head><body>\
            <div class=\"section z\"><h2 class=\"title\">One &amp; <a id=\"i\"/>two</h2><p>A <em>b</em><br/>c\n d</p>\
            <ul><li>first<p>inner</p>tail</li></ul></div></body></html>";
        let expected = [
            ("body/div.section/h2.title", "One & two"),
            ("body/div.section/p", "A b c d"),
            ("body/div.section/ul/li", "first"),
            ("body/div.section/ul/li/p", "inner"),
            ("body/div.section/ul/li", "tail"),
        ];
        let expected: Vec<_> = expected.iter().map(|(p, t)| (p.to_string(), t.to_string())).collect();
        assert_eq!(parsed(page), expected);
    }

    #[test]
    fn navigation_listings_and_scripts_are_skipped() {
        let page = "<body><div class=\"toc\"><p>toc</p></div><p>before<pre>code <b>x</b></pre>after<sup>1</sup></p>\
            <script>if (a < b) { document.write('<p>no</p>') }</script><div id=\"banner\">no</div></p></x><p>end</p>";
        let texts: Vec<String> = parsed(page).into_iter().map(|b| b.1).collect();
        assert_eq!(texts, ["before", "after", "end"]);
    }

    fn page(paths: &str, mark: &str) -> Vec<PageBlock> {
        let block = |(i, c): (usize, char)| PageBlock { path: c.to_string(), text: format!("{mark}{i}") };
        paths.chars().enumerate().map(block).collect()
    }

    #[test]
    fn even_pages_pair_all_blocks() {
        let mut counts = PageCounts::default();
        let (a, b) = (page("hpp", "e"), page("hpp", "x"));
        assert_eq!(align_pages(&a, &b, &mut counts), [("e0", "x0"), ("e1", "x1"), ("e2", "x2")]);
        assert_eq!(counts, PageCounts { compared: 1, uneven: 0, dropped: 0 });
    }

    #[test]
    fn uneven_pages_pair_the_inside_of_long_runs() {
        let mut counts = PageCounts::default();
        let (a, b) = (page("hpplptdpp", "e"), page("hpplptdppQ", "x"));
        let pairs = align_pages(&a, &b, &mut counts);
        assert_eq!(pairs.first(), Some(&("e1", "x1")));
        assert_eq!(pairs.last(), Some(&("e7", "x7")));
        assert_eq!(pairs.len(), 7);
        assert_eq!(align_pages(&a, &page("QRSTUV", "x"), &mut counts), []);
        assert_eq!(counts, PageCounts { compared: 2, uneven: 2, dropped: 1 });
    }
}
