//! GNOME's guides: Mallard XML, whose translations keep the element tree of the English page.

use std::collections::{BTreeMap, HashMap};

use roxmltree::{Document, Node, ParsingOptions};

/// Elements that hold no prose of the page.
const LEFT_OUT: [&str; 7] = ["credit", "license", "revision", "include", "screen", "code", "media"];
/// Elements that are a block of text.
const BLOCK: [&str; 4] = ["p", "title", "desc", "cite"];
/// Elements whose text is shown apart or is not prose; a block with one inside is not used.
const NOT_INLINE: [&str; 4] = ["media", "screen", "code", "code-block"];

/// The text blocks of a page by path, `section1/list2/item3/p1`. Blocks without text are left out, as are those with an
/// element whose text is made only when the page is viewed (a link without text). A page that is not XML has none.
pub(crate) fn parse_mallard(page: &[u8]) -> BTreeMap<String, String> {
    let mut blocks = BTreeMap::new();
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    if let Ok(text) = std::str::from_utf8(page)
        && let Ok(document) = Document::parse_with_options(text, options)
    {
        collect(document.root_element(), "", &mut blocks);
    }
    blocks
}

fn collect(parent: Node, path: &str, blocks: &mut BTreeMap<String, String>) {
    let mut nth: HashMap<&str, usize> = HashMap::new();
    for child in parent.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        if LEFT_OUT.contains(&name) {
            continue;
        }
        let nth = nth.entry(name).or_default();
        *nth += 1;
        let path = format!("{path}/{name}{nth}");
        if !BLOCK.contains(&name) {
            collect(child, &path, blocks);
        } else if let Some(text) = text_of(child).filter(|t| !t.is_empty()) {
            blocks.insert(path, text);
        }
    }
}

/// Text of an element and what is inside; keys pressed together are joined by `+`, menu steps by ` > `.
fn text_of(element: Node) -> Option<String> {
    let between = match element.tag_name().name() {
        "keyseq" => Some("+"),
        "guiseq" => Some(" > "),
        _ => None,
    };
    let mut text = String::new();
    let mut inside = 0;
    for child in element.children() {
        if child.is_text() && (between.is_none() || inside == 0) {
            text.push_str(child.text().unwrap_or_default());
        }
        if !child.is_element() {
            continue;
        }
        let name = child.tag_name().name();
        if NOT_INLINE.contains(&name) {
            return None;
        }
        let inner = text_of(child).filter(|inner| name != "link" || !inner.trim().is_empty())?;
        match between {
            Some(mark) => {
                text.push_str(if inside > 0 { mark } else { "" });
                text.push_str(inner.trim());
            }
            None => text.push_str(&inner),
        }
        inside += 1;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str) -> Vec<(String, String)> {
        let page = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?><page xmlns=\"http://projectmallard.org/1.0/\" id=\"x\">{body}</page>"
        );
        parse_mallard(page.as_bytes()).into_iter().collect()
    }

    #[test]
    fn blocks_are_keyed_by_path() {
        let body = "<info><desc>About</desc><credit><name>N</name></credit></info><title>T</title>\
            <section><p>One <!-- c -->two</p><p>Three</p><screen>x</screen></section>";
        let expected =
            [("/info1/desc1", "About"), ("/section1/p1", "One two"), ("/section1/p2", "Three"), ("/title1", "T")];
        assert_eq!(texts(body), expected.map(|(k, v)| (k.to_owned(), v.to_owned())));
    }

    #[test]
    fn keys_and_menus_are_joined() {
        let body = "<p>Press <keyseq><key>Ctrl</key> <key> C </key></keyseq> or <guiseq><gui>File</gui>\n<gui>Open</gui>\
            </guiseq>.</p>";
        assert_eq!(texts(body)[0].1, "Press Ctrl+C or File > Open.");
    }

    #[test]
    fn blocks_with_text_made_at_view_time_are_left_out() {
        assert_eq!(texts("<p>See <link xref=\"y\"/>.</p><p>A <media/> b</p><p></p>"), []);
        assert_eq!(texts("<p>See <link xref=\"y\">this</link>.</p>")[0].1, "See this.");
        assert_eq!(parse_mallard(b"<page><p>not closed</page>").len(), 0);
        assert_eq!(parse_mallard(b"\xff\xfe").len(), 0);
    }
}
