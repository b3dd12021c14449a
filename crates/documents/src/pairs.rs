//! Ranges of text with a tag of its own at the start and at the end, because they need not nest: bookmarks, comments,
//! codes of an XLIFF's original. Where a translation has the words in another order, starts must still come first.

use crate::events::attribute;
use crate::markup::{Element, Kind, Piece};

/// Finds the ends of ranges among the elements of a segment, whose tags `tag_of` gives by their marks, and says in each
/// where it starts.
pub fn find<'a>(elements: &mut [Element], tag_of: impl Fn(usize) -> Option<&'a str>) {
    // The starts that have no end yet.
    let mut starts: Vec<(String, usize)> = Vec::new();
    for element in elements.iter_mut().filter(|element| element.kind != Kind::Span) {
        match tag_of(element.mark).and_then(bound) {
            Some((true, range)) => starts.push((range, element.mark)),
            Some((false, range)) => {
                let start = starts.iter().rposition(|(other, _)| *other == range);
                element.behind = start.map(|place| starts.remove(place).1);
            }
            None => {}
        }
    }
}

/// Lets each range start before it ends.
pub fn put_in_order(pieces: &mut [Piece], elements: &[Element]) {
    for (element, start) in elements.iter().filter_map(|element| Some((element, element.behind?))) {
        let place = |mark: usize| pieces.iter().position(|piece| *piece == Piece::Point(mark));
        if let (Some(start), Some(end)) = (place(start), place(element.mark))
            && end < start
        {
            pieces.swap(start, end);
        }
    }
}

/// Whether a tag starts (true) or ends a range, and what tells the range from others.
fn bound(tag: &str) -> Option<(bool, String)> {
    let tag = &tag[..tag.find('>').map_or(tag.len(), |end| end + 1)];
    let name = tag.strip_prefix('<')?;
    let name = &name[..name.find(|c: char| c.is_whitespace() || "/>".contains(c)).unwrap_or(name.len())];
    let (prefix, local) = name.split_at(name.find(':').map_or(0, |colon| colon + 1));
    let by = |names: &[&str]| names.iter().find_map(|name| attribute(tag, name));
    let (starts, kind, key) = match local {
        // XLIFF 1.2 and 2.
        "bx" | "ex" => (local == "bx", "x", by(&["rid", "id"])),
        "bpt" | "ept" => (local == "bpt", "pt", by(&["rid", "id"])),
        "sc" | "sm" => (true, &local[1..], by(&["id"])),
        "ec" | "em" => (false, &local[1..], by(&["startRef"])),
        // OpenDocument.
        "annotation" | "annotation-end" => (local == "annotation", "annotation", by(&["office:name"])),
        _ => {
            // `bookmark-start` there, `bookmarkStart` in Word's documents.
            let (starts, kind) = match local.strip_suffix("tart") {
                Some(kind) => (true, kind.strip_suffix(['S', 's'])?),
                None => (false, local.strip_suffix("nd")?.strip_suffix(['E', 'e'])?),
            };
            let id = format!("{prefix}id");
            (starts, kind, by(&["text:name", "text:change-id", &id]))
        }
    };
    Some((starts, format!("{kind} {}", key?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_told_by_their_tags() {
        for (start, end) in [
            ("<bx id=\"1\" rid=\"7\"/>", "<ex id=\"2\" rid=\"7\"/>"),
            ("<bpt id=\"1\">{b}</bpt>", "<ept id=\"1\">{/b}</ept>"),
            ("<sc id=\"1\"/>", "<ec startRef=\"1\"/>"),
            ("<w:bookmarkStart w:id=\"0\" w:name=\"a\"/>", "<w:bookmarkEnd w:id=\"0\"/>"),
            ("<text:bookmark-start text:name=\"a\"/>", "<text:bookmark-end text:name=\"a\"/>"),
            (
                "<office:annotation office:name=\"a\"><p x=\"y\"/></office:annotation>",
                "<office:annotation-end office:name=\"a\"/>",
            ),
        ] {
            let (start, end) = (bound(start).unwrap(), bound(end).unwrap());
            assert_eq!((start.0, end.0, &start.1), (true, false, &end.1));
        }
        for other in ["<em>", "<end>", "<start id=\"1\">", "<b>", "</b>", "text", "", "<w:r/>", "<w:bookmarkEnd/>"] {
            assert!(bound(other).is_none_or(|(_, range)| range.starts_with(' ')), "{other}");
        }
    }
}
