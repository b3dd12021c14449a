use super::*;
use crate::document::Document;
use crate::events::Kind;
use crate::limits::Limits;
use crate::testing;
use crate::xml::Events;

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

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        Ok(self.story.write(&self.paragraphs, translated).into_bytes())
    }
}

fn story(xml: &str, segments: &mut Vec<Segment>) -> Result<Story> {
    let limits = Limits::default();
    Story::read(xml.to_string(), &root_prefix(xml), &mut Count::new(&limits), segments)
}

/// Whether XML can be read.
fn is_read(xml: &str) -> bool {
    story(xml, &mut Vec::new()).is_ok()
}

/// Reads XML, and gives its parts and what becomes of it with these translations.
fn translated(xml: &str, said: &[&str]) -> (Vec<String>, String) {
    let mut paragraphs = Vec::new();
    let story = story(xml, &mut paragraphs).unwrap();
    testing::translated(StoryDocument { story, paragraphs }, said)
}

fn shouted(xml: &str) -> String {
    let mut paragraphs = Vec::new();
    let story = story(xml, &mut paragraphs).unwrap();
    testing::shouted(StoryDocument { story, paragraphs })
}

#[test]
fn breaks_tabs_fields_and_notes_stay_where_they_are() {
    let text = |text: &str| format!("<w:t xml:space=\"preserve\">{text}</w:t>");
    let field = "<w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:t>12</w:t></w:r><w:r><w:fldChar w:fldCharType=\"end\"/></w:r>";
    let sub = "<w:rPr><w:vertAlign w:val=\"subscript\"/></w:rPr>";
    let note = "<w:r><w:footnoteReference w:id=\"2\"/></w:r>";
    for (paragraph, texts) in [
        (
            format!("<w:r>{}</w:r><w:r><w:br/></w:r><w:r>{}</w:r>", text("Open it"), text("Click it")),
            vec!["Open it", "Click it"],
        ),
        (
            format!("<w:r>{}</w:r><w:r>{BOLD}<w:tab/></w:r><w:r>{}</w:r>", text("Name:"), text("12")),
            vec!["Name:", "12"],
        ),
        (format!("{}{}{}", run("", "is H"), run(sub, "2"), run("", "O here")), vec!["is H2O here"]),
        (format!("{}{field}{}", run("", "See page "), run("", " of the file")), vec!["See page  of the file"]),
        (format!("{}{note}{}", run("", "The file"), run("", ", which is old")), vec!["The file, which is old"]),
    ] {
        let xml = body(&format!("<w:p><w:pPr/>{paragraph}</w:p>"));
        assert_eq!(translated(&xml, &[]).0, texts);
        let upper = [
            "Open it",
            "Click it",
            "Name:",
            "is H",
            "O here",
            "See page ",
            " of the file",
            "The file",
            ", which is old",
        ]
        .iter()
        .fold(xml.clone(), |xml, text| xml.replace(&format!(">{text}<"), &format!(">{}<", text.to_uppercase())));
        assert_eq!(shouted(&xml), upper);
    }
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
    assert_eq!(found, body(&format!("<w:p>{}</w:p>", run(BOLD, &escape("<X> & Y", false)))));
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

/// What becomes of a paragraph whose words all come in the other order.
fn reversed(content: &str) -> String {
    let mut paragraphs = Vec::new();
    let story = story(&body(&format!("<w:p>{content}</w:p>")), &mut paragraphs).unwrap();
    testing::all_reversed(StoryDocument { story, paragraphs })
}

#[test]
fn content_controls_keep_their_properties_in_front() {
    for (open, close) in [
        ("<w:sdt><w:sdtPr><w:tag/></w:sdtPr><w:sdtEndPr/> <w:sdtContent>", "</w:sdtContent></w:sdt>"),
        ("<w:smartTag><w:smartTagPr/>", "</w:smartTag>"),
        ("<w:customXml><w:customXmlPr/>", "</w:customXml>"),
        ("<w:moveTo>", "</w:moveTo>"),
    ] {
        let content = |words: &str| format!("{open}{}{close}", run("", words));
        let found = reversed(&format!("{}{}{}", run("", "open the "), content("red car"), run("", " now")));
        assert!(found.contains(&format!("{open}<w:r>")) && found.contains(close), "{found}");
        assert!(found.contains(&content("CAR RED")), "{found}");
    }
    let empty = "<w:sdt><w:sdtPr/><w:sdtContent/></w:sdt>";
    assert!(reversed(&format!("{}{empty}{}", run("", "one"), run("", " two"))).contains(empty));
}

#[test]
fn ranges_start_before_they_end() {
    let [start, end] = ["<w:bookmarkStart w:id=\"0\" w:name=\"a\"/>", "<w:bookmarkEnd w:id=\"0\"/>"];
    let found = reversed(&format!("{}{start}{}{end}{}", run("", "one "), run("", "two "), run("", "three")));
    assert!(found.find(start) < found.find(end), "{found}");
}

#[test]
fn fields_in_fields_stay() {
    let field = |kind: &str| format!("<w:r><w:fldChar w:fldCharType=\"{kind}\"/></w:r>");
    let inner = format!("{}<w:r><w:instrText>MERGEFIELD x</w:instrText></w:r>{}", field("begin"), field("end"));
    let whole = format!("{}{inner}{}{}{}", field("begin"), field("separate"), run("", "yes"), field("end"));
    let xml = body(&format!("<w:p>{}{whole}</w:p>", run("", "the answer ")));
    assert_eq!(translated(&xml, &[]).0, ["the answer"]);
    assert!(shouted(&xml).contains(&whole));
    // One that begins in the middle of a run, where what stands before it would be there twice.
    let middle =
        "<w:r><w:t>see </w:t><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:fldChar w:fldCharType=\"end\"/></w:r>";
    // Two of which one ends and the other begins in a run, and one that ends outside of what it begins in.
    let two = "<w:r><w:fldChar w:fldCharType=\"end\"/><w:fldChar w:fldCharType=\"begin\"/></w:r>";
    let two = format!("{}{two}{}{}", field("begin"), run("", "shown"), field("end"));
    let out = format!("<w:hyperlink>{}{}</w:hyperlink>{}{}", field("begin"), run("", "a"), run("", "b"), field("end"));
    for kept in [middle, &two, &out] {
        let xml = body(&format!("<w:p>{kept}</w:p>"));
        assert_eq!(translated(&xml, &[]), (vec![], xml));
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

/// What a reader sees: every letter with its formatting, and everything that is no run in between.
fn flat(xml: &str) -> String {
    let (mut flat, mut properties, mut in_text, mut in_properties) = (String::new(), String::new(), false, false);
    for event in Events::new(xml).map(std::result::Result::unwrap) {
        let raw = &xml[event.range.clone()];
        let name = match &event.kind {
            Kind::Open(name) | Kind::Close(name) | Kind::Empty(name) => name.to_string(),
            Kind::Text | Kind::Other => String::new(),
        };
        let opens = matches!(event.kind, Kind::Open(_));
        match name.as_str() {
            "w:r" => properties.clear(),
            "w:rPr" => in_properties = opens,
            "w:t" => in_text = opens,
            _ if in_properties => properties.push_str(raw),
            _ if in_text => {
                raw.chars().filter(|c| *c != ' ').for_each(|c| flat.extend([c.to_string(), properties.clone()]))
            }
            _ => flat.push_str(raw),
        }
    }
    flat
}

/// Pieces of paragraphs, each whole.
fn piece() -> impl proptest::strategy::Strategy<Value = String> {
    let field = "<w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:t>12</w:t></w:r><w:r><w:fldChar w:fldCharType=\"end\"/></w:r>";
    let mut pieces = vec![
        field.to_string(),
        "<w:bookmarkStart w:id=\"1\"/>".into(),
        "<w:ins><w:r><w:t>ins</w:t></w:r></w:ins>".into(),
    ];
    for text in ["one", " two ", "H", "2", "Three. ", "a &amp; b", ", ", "{name}"] {
        pieces.extend([
            run("", text),
            run(BOLD, text),
            format!("<w:hyperlink r:id=\"4\">{}</w:hyperlink>", run(BOLD, text)),
        ]);
    }
    for inner in ["<w:tab/>", "<w:br/>", "<w:footnoteReference w:id=\"2\"/>", "<w:drawing/>"] {
        pieces.push(format!("<w:r>{BOLD}{inner}</w:r>"));
    }
    proptest::sample::select(pieces)
}

proptest::proptest! {
    #[test]
    fn a_paragraph_stays_as_it_is_with_a_model_that_copies(pieces in proptest::collection::vec(piece(), 0..10)) {
        let xml = body(&format!("<w:p><w:pPr/>{}</w:p>", pieces.concat()));
        let mut paragraphs = Vec::new();
        let story = story(&xml, &mut paragraphs).unwrap();
        proptest::prop_assert_eq!(testing::copied(StoryDocument { story, paragraphs }), xml);
    }

    /// Two spaces beside each other, one in each of two runs, are one in a paragraph that changes.
    #[test]
    fn formatting_stays_in_place_where_every_word_changes(pieces in proptest::collection::vec(piece(), 0..10)) {
        let xml = body(&format!("<w:p><w:pPr/>{}</w:p>", pieces.concat()));
        let bare = |xml: &str| flat(xml).to_uppercase();
        proptest::prop_assert_eq!(bare(&shouted(&xml)), bare(&xml), "{}", xml);
    }
}
