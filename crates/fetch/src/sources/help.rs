//! LibreOffice help pages: generated HTML whose paragraphs and headings carry the same `id` in every language.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use html5gum::{Token, Tokenizer};
use regex::Regex;

use crate::chars::is_word;

static ID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"(?:^|[^\p{L}\p{N}_])id="([^"]+)""#).expect("the pattern is a constant"));
/// Elements inside a block whose text is not prose.
static NOT_PROSE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"<(?:script|style|pre)(?:[^\p{L}\p{N}_]|$)").expect("the pattern is a constant"));
const TAGS: [&str; 7] = ["p", "h1", "h2", "h3", "h4", "h5", "h6"];

/// The text of every `<p id=..>` and `<hN id=..>` of a page, by id and how many blocks before it had that id.
///
/// The generator's pages are regular but not well-formed (paragraphs hold tables and lists), and a block reaches to
/// the next end tag of its own name whatever lies between, so tags are matched as text and not as a tree.
pub(crate) fn parse_help(page: &str) -> BTreeMap<(String, u32), String> {
    let mut blocks = BTreeMap::new();
    let mut seen: HashMap<&str, u32> = HashMap::new();
    let mut at = 0;
    while let Some(open) = page[at..].find('<').map(|i| at + i) {
        let Some((attributes, content, end)) = block(page, open) else {
            at = open + 1;
            continue;
        };
        at = end;
        let Some(id) = ID.captures(attributes).and_then(|c| c.get(1)).map(|m| m.as_str()) else { continue };
        let nth = seen.entry(id).or_default();
        *nth += 1;
        if !attributes.contains("code\"") && !NOT_PROSE.is_match(content) {
            blocks.insert((id.to_owned(), *nth), unescape(&strip_tags(&content.replace("<br", " <br"))));
        }
    }
    blocks
}

/// The block whose start tag begins at byte `open`: its attributes, its content and the byte behind its end tag.
fn block(page: &str, open: usize) -> Option<(&str, &str, usize)> {
    let tag = TAGS.iter().find(|tag| page[open + 1..].starts_with(**tag))?;
    let rest = &page[open + 1 + tag.len()..];
    if rest.chars().next().is_none_or(is_word) {
        return None; // a longer name, `<pre`
    }
    let (attributes, rest) = rest.split_once('>')?;
    let end_tag = format!("</{tag}>");
    let length = rest.find(&end_tag)?;
    let content_at = page.len() - rest.len();
    Some((attributes, &rest[..length], content_at + length + end_tag.len()))
}

/// The text without anything between `<` and the next `>`; a `<` that no `>` follows is text.
fn strip_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        let Some((_, after)) = tag.split_once('>') else { break };
        text.push_str(before);
        rest = after;
    }
    text.push_str(rest);
    text
}

/// Resolves character references.
fn unescape(text: &str) -> String {
    if !text.contains('&') {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let as_text = text.replace('<', "&lt;"); // for the tokenizer a bare `<` could open a tag
    for token in Tokenizer::new(&as_text) {
        if let Ok(Token::String(run)) = token {
            out.extend_from_slice(&run);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(page: &str) -> Vec<(String, u32, String)> {
        parse_help(page).into_iter().map(|((id, nth), text)| (id, nth, text)).collect()
    }

    #[test]
    fn blocks_are_found_by_id_and_repetition() {
        let page = "<h1 id=\"a\">Open</h1><p class=\"x\" id=\"b\">One<br>two <b>three</b></p><p>no id</p>\
                    <p id=\"b\">again</p><pre id=\"c\">code</pre>";
        assert_eq!(
            texts(page),
            [("a".into(), 1, "Open".into()), ("b".into(), 1, "One two three".into()), ("b".into(), 2, "again".into())]
        );
    }

    #[test]
    fn code_and_scripts_are_left_out_but_counted() {
        let page = "<p id=\"a\" class=\"code\">x = 1</p><p id=\"a\">text</p><p id=\"b\">y<script>1</script></p>";
        assert_eq!(texts(page), [("a".into(), 2, "text".into())]);
    }

    #[test]
    fn references_are_resolved_and_stray_brackets_kept() {
        assert_eq!(
            unescape("a &lt;b&gt; &amp; &eacute;&#233;&#xe9; &copy 1 < 2 &unknown; &"),
            "a <b> & ééé © 1 < 2 &unknown; &"
        );
        assert_eq!(strip_tags("1 < 2, <i>x</i> <"), "1 x <");
    }

    #[test]
    fn broken_pages_give_what_they_have() {
        assert_eq!(texts("<p id=\"a\">never ends"), []);
        assert_eq!(texts("<p id=\"a\">x<p id=\"b\">y</p> <h2"), [("a".into(), 1, "xy".into())]);
        assert_eq!(texts("<"), []);
    }
}
