//! OpenDocument's elements: paragraphs and headings are blocks, spans and links are markup in them.

use crate::running::rules::{Inline, Role, Rules};
use crate::xml::resolve;

/// What OpenDocument's elements are.
pub struct OpenDocumentRules;

impl Rules for OpenDocumentRules {
    fn role(&self, name: &str, _tag: &str) -> Role {
        match name {
            "text:span" | "text:ruby" | "text:ruby-base" => Role::Inline(Inline::Form),
            "text:a" | "text:meta" => Role::Inline(Inline::Any),
            "text:s" => Role::Space,
            // What is shown in these is made by the program.
            "text:p" | "text:h" | "text:tab" | "text:line-break" => Role::Block,
            "text:note" | "draw:frame" | "draw:g" | "draw:custom-shape" | "draw:a" => Role::Inset,
            "office:annotation" => Role::KeptInset,
            "office:annotation-end" => Role::InWord,
            "office:automatic-styles" | "office:styles" | "office:font-face-decls" => Role::KeptBlock,
            "office:scripts" | "office:settings" | "office:meta" | "office:forms" | "text:tracked-changes" => {
                Role::KeptBlock
            }
            "text:note-citation" | "text:sequence-decls" | "text:variable-decls" | "text:user-field-decls" => {
                Role::KeptBlock
            }
            _ if is_mark(name) => Role::InWord,
            _ if name.starts_with("text:") && !is_structure(name) => Role::Kept,
            _ => Role::Block,
        }
    }

    fn resolve(&self, reference: &str) -> Option<String> {
        resolve(reference)
    }
}

/// Marks of places in text.
fn is_mark(name: &str) -> bool {
    ["text:bookmark", "text:reference-mark", "text:change", "text:soft-page-break", "text:toc-mark"]
        .iter()
        .any(|mark| name.starts_with(mark))
        && name != "text:bookmark-ref"
}

/// What holds paragraphs: lists, sections, indexes, notes. The other elements of `text:` are fields.
fn is_structure(name: &str) -> bool {
    let structure = [
        "list",
        "section",
        "index",
        "note",
        "numbered-paragraph",
        "table-of-content",
        "bibliography",
        "illustration-index",
        "object-index",
        "table-index",
        "user-index",
        "alphabetical-index",
        "outline",
        "soft-page",
        "tracked",
        "line",
    ];
    name.strip_prefix("text:").is_some_and(|name| structure.iter().any(|kind| name.starts_with(kind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::running::Running;
    use crate::testing::{copied, shouted, translated};
    use crate::xml::read_by;

    fn document(xml: &str) -> Running {
        read_by(xml, &OpenDocumentRules, resolve, &Options::default()).unwrap()
    }

    #[test]
    fn notes_frames_and_comments_do_not_cut_their_sentence() {
        let xml = "<text:p>The dog<text:note><text:note-citation>a</text:note-citation><text:note-body><text:p>A <text:span>small\
                   </text:span> note<office:annotation><text:p>keep</text:p></office:annotation> here.</text:p><text:p>Two.</text:p>\
                   </text:note-body></text:note> barks<office:annotation><dc:date>keep</dc:date><text:p>keep</text:p>\
                   </office:annotation> at <draw:frame><draw:image/></draw:frame>cats<draw:frame><draw:text-box><text:p>In a box\
                   <draw:frame><draw:text-box><text:p>and another</text:p></draw:text-box></draw:frame> here.</text:p>\
                   </draw:text-box></draw:frame>.</text:p><text:p><draw:frame><draw:image/></draw:frame>A picture.</text:p>";
        let texts = translated(document(xml), &[]).0;
        let expected =
            ["A small note here.", "Two.", "and another", "In a box here.", "The dog barks at cats.", "A picture."];
        assert_eq!(texts, expected);
        assert_eq!(copied(document(xml)), xml);
        let loud = shouted(document(xml));
        let same = loud.to_lowercase() == xml.to_lowercase() && loud.matches("keep").count() == 3;
        assert!(same && loud.contains("DOG<text:note>") && loud.contains("</draw:frame>CATS<draw:frame>"), "{loud}");
    }

    #[test]
    fn notes_that_nest_or_do_not_end_lose_nothing() {
        let deep = format!("<text:p>a {}b{} c</text:p>", "<text:note>a ".repeat(40), "</text:note>".repeat(40));
        let empty = "<text:p>One <text:note></text:note><text:note/> two<office:annotation/>.</text:p>";
        for xml in [deep.as_str(), empty] {
            assert_eq!(copied(document(xml)), *xml);
        }
    }
}
