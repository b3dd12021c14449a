use super::*;
use crate::documents::document::Document;
use crate::documents::testing;
use crate::error::Answer;

const BOLD: &str = "<w:rPr><w:b/></w:rPr>";

fn run(properties: &str, text: &str) -> String {
    format!("<w:r>{properties}<w:t xml:space=\"preserve\">{text}</w:t></w:r>")
}

fn body(content: &str) -> String {
    format!("<?xml version=\"1.0\"?>\r\n<w:document xmlns:w=\"x\"><w:body>{content}</w:body></w:document>")
}

/// A story by itself.
struct StoryDocument {
    story: Story,
    paragraphs: Vec<Segment>,
}

impl Document for StoryDocument {
    fn segments(&self) -> &[Segment] {
        &self.paragraphs
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Answer<Vec<u8>> {
        Ok(self.story.write(translated).into_bytes())
    }
}

/// Whether XML can be read.
fn is_read(xml: &str) -> bool {
    Story::read(xml.to_string(), &mut Vec::new()).is_ok()
}

/// Reads XML, and gives its parts and what becomes of it with these translations.
fn translated(xml: &str, said: &[&str]) -> (Vec<String>, String) {
    let mut paragraphs = Vec::new();
    let story = Story::read(xml.to_string(), &mut paragraphs).unwrap();
    testing::translated(StoryDocument { story, paragraphs }, said)
}

#[test]
fn paragraphs_are_translated_as_one_and_keep_their_formatting() {
    let head = "<w:p w:rsidR=\"1\"><w:pPr><w:jc w:val=\"right\"/></w:pPr>";
    // Runs that are cut where nothing changes are one.
    let xml = body(&format!("{head}{}{}{}</w:p><w:p/>", run("", "Hel"), run("", "lo "), run(BOLD, "world")));
    let (parts, found) = translated(&xml, &["Hallo Welt"]);
    assert_eq!(parts, ["Hello world"]);
    // Without attention places go by proportion: the bold is at the end, as it was.
    assert_eq!(found, body(&format!("{head}{}{}</w:p><w:p/>", run("", "Hallo "), run(BOLD, "Welt"))));
    // Text that is all in one format has it wherever it came from.
    let xml = body(&format!("<w:p>{}</w:p>", run(BOLD, "A &amp; B &#x41;")));
    let (parts, found) = translated(&xml, &["<X> & Y"]);
    assert_eq!(parts, ["A & B A"]);
    assert_eq!(found, body(&format!("<w:p>{}</w:p>", run(BOLD, &escape("<X> & Y")))));
}

#[test]
fn what_is_no_text_is_there_once_as_it_was() {
    let field = format!(
        "<w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r>{}<w:r><w:fldChar w:fldCharType=\"end\"/></w:r>",
        run("", "seven")
    );
    let link = "<w:hyperlink r:id=\"rId4\">";
    let picture = "<w:drawing><a:p><w:p><w:r><w:t>in a box</w:t></w:r></w:p></a:p></w:drawing>";
    let note = "<w:footnoteReference w:id=\"2\"/>";
    let deleted = "<w:del w:id=\"9\"><w:r><w:delText>gone</w:delText></w:r></w:del>";
    let xml = body(&format!(
        "<w:p><w:bookmarkStart w:id=\"0\"/>{}{link}{}</w:hyperlink><w:r>{BOLD}<w:tab/>{picture}{note}</w:r>{deleted}{field}<w:bookmarkEnd \
         w:id=\"0\"/><w:proofErr w:type=\"spellEnd\"/></w:p>",
        run("", "Read the "),
        run(BOLD, "manual")
    ));
    let (parts, found) = translated(&xml, &["Lies nun das Handbuch"]);
    assert_eq!(parts, ["Read the manual"]);
    for piece in [&field, link, "</w:hyperlink>", picture, note, deleted, "<w:bookmarkStart w:id=\"0\"/>", "<w:tab/>"] {
        assert_eq!(found.matches(piece).count(), 1, "{piece} in {found}");
    }
    assert!(found.contains(&format!("{link}{}</w:hyperlink>", run(BOLD, "Handbuch"))), "{found}");
    assert!(!found.contains("proofErr"));
    // It is read again as it was written.
    assert!(is_read(&found));
}

#[test]
fn paragraphs_without_words_stay_byte_for_byte() {
    let content = "<w:p><w:r><w:t>1, 2</w:t></w:r></w:p><w:p><w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:t>x</w:t></w:r></w:p>\
                   <w:p><w:pPr/></w:p><w:sectPr/>";
    let xml = format!("\u{feff}{}", body(content));
    assert_eq!(translated(&xml, &[]), (vec![], xml));
    let deep = "<w:ins>".repeat(60) + &run("", "a") + &"</w:ins>".repeat(60);
    let xml = body(&format!("<w:p>{deep}</w:p>"));
    assert_eq!(translated(&xml, &[]), (vec![], xml));
}

#[test]
fn other_prefixes_are_taken_and_damaged_xml_is_refused() {
    let (parts, found) = translated("<document><p><r><t>One.</t></r></p></document>", &["Eins."]);
    assert_eq!(parts, ["One."]);
    assert_eq!(found, "<document><p><r><t xml:space=\"preserve\">Eins.</t></r></p></document>");
    for xml in ["", "<a>", "<a></b>", "<a>&nothing;</a>", "<a", "<!DOCTYPE a><a/>", "<a>&#0;</a>", "</a>"] {
        assert!(!is_read(xml), "{xml}");
    }
}

proptest::proptest! {
    #[test]
    fn every_mark_is_there_once_whatever_the_translation_says(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "<w:r><w:t>one </w:t></w:r>", "<w:r><w:rPr><w:b/></w:rPr><w:t>Two. three</w:t></w:r>", "<w:ins>", "</w:ins>",
                "<w:r><w:tab/></w:r>", "<w:bookmarkStart/>", "<w:r><w:t>{name} </w:t></w:r>",
            ]),
            0..14,
        ),
        said in "[a-z<>&0-9/. ]{0,30}",
    ) {
        let xml = body(&format!("<w:p>{}</w:p>", pieces.concat()));
        if !is_read(&xml) {
            return Ok(());
        }
        let said: Vec<&str> = std::iter::repeat_n(said.as_str(), 40).collect();
        let (_, found) = translated(&xml, &said);
        for tag in ["<w:ins>", "</w:ins>", "<w:tab/>", "<w:bookmarkStart/>"] {
            proptest::prop_assert_eq!(found.matches(tag).count(), xml.matches(tag).count(), "{} became {}", &xml, &found);
        }
        proptest::prop_assert!(is_read(&found), "{}", found);
    }
}
