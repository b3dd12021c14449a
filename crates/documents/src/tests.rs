//! Each format from its bytes to a translation's, with everything in it that must stay.
//!
//! The translations are the source's words from back to front, so that markup has to move.

mod field;

use strata_translate::Part;

use crate::archive::Archive;
use crate::error::Error;
use crate::limits::Limits;
use crate::testing::{reversed, said, split_at_stops};
use crate::{Options, Parts, open};

/// The parts of a file, and its translation.
fn translated(name: &str, content: &[u8]) -> (Vec<String>, Vec<u8>) {
    let document = open(name, content.to_vec(), &Options::default()).unwrap();
    let parts = Parts::new(document, &split_at_stops);
    let translations: Vec<Part> = parts.texts().iter().map(|text| reversed(text)).collect();
    (parts.texts().to_vec(), parts.render(&translations, 0).unwrap())
}

fn check(name: &str, content: &str, parts: &[&str], expected: &str) {
    let (found, translation) = translated(name, content.as_bytes());
    assert_eq!((found, String::from_utf8(translation).unwrap()), (texts(parts), expected.to_string()), "{name}");
}

fn texts(parts: &[&str]) -> Vec<String> {
    parts.iter().map(ToString::to_string).collect()
}

#[test]
fn plain_text() {
    check(
        "a.txt",
        "  The old dog. It sees {name}.\r\n\n\t1, 2\nNo.  Yes. end",
        &["The old dog.", "It sees {name}.", "1, 2", "No.", "Yes.", "end"],
        "  DOG. OLD THE {NAME}. SEES IT\r\n\n\t2 1,\nNO.  YES. END",
    );
}

#[test]
fn html() {
    check(
        "a.html",
        "<h1>Old dogs</h1>\n<p class=\"a\">The <b>old <i>dog</i></b> sees <code>x &lt; y</code> the {name} cat. \
         Two <a href=\"#\">big cats</a>!<br>No.</p><pre>keep this</pre><!-- end --><p>Open <img src=x>&amp; close \
         <b>the file<p>1 &gt; 0</p>",
        &["Old dogs", "The old dog sees x < y the {name} cat.", "Two big cats!", "No.", "Open & close the file"],
        "<h1>DOGS OLD</h1>\n<p class=\"a\">CAT. {name} THE <code>x &lt; y</code> SEES <b><i>DOG</i> OLD</b> THE \
         <a href=\"#\">CATS! BIG</a> TWO<br>NO.</p><pre>keep this</pre><!-- end --><p>FILE <b>THE CLOSE <img \
         src=x>&amp; OPEN<p>1 &gt; 0</p>",
    );
}

#[test]
fn subtitles() {
    check(
        "a.srt",
        "1\n00:00:01,000 --> 00:00:02,500\nThe old dog\nsees a cat. Yes.\n\n2\n00:00:03,000 --> 00:00:04,000 X1:1\r\n- 1 \
         -\r\n\r\n",
        &["The old dog sees a cat.", "Yes."],
        "1\n00:00:01,000 --> 00:00:02,500\nCAT. A SEES DOG\nOLD THE YES.\n\n2\n00:00:03,000 --> 00:00:04,000 X1:1\r\n- 1 \
         -\r\n\r\n",
    );
}

#[test]
fn gettext_catalogs() {
    check(
        "a.po",
        r##"# header
msgid ""
msgstr ""
"Language: de\n"

#: a.c:1
#, c-format
msgid "Open %s now. Close it."
msgstr ""

msgid "a \"file\"\n"
msgid_plural "%d files.\nAnd more"
msgstr[0] ""
msgstr[1] ""
"##,
        &["Open %s now.", "Close it.", "a \"file\"", "%d files.", "And more"],
        r##"# header
msgid ""
msgstr ""
"Language: de\n"

#: a.c:1
#, fuzzy, c-format
msgid "Open %s now. Close it."
msgstr "NOW. %S OPEN IT. CLOSE"

#, fuzzy
msgid "a \"file\"\n"
msgid_plural "%d files.\nAnd more"
msgstr[0] "\"FILE\" A\n"
msgstr[1] "FILES. %D\nMORE AND"
"##,
    );
}

#[test]
fn word_documents() {
    let around = |paragraph: &str| {
        format!(
            "<w:document><w:body><w:p><w:pPr><w:jc/></w:pPr>{paragraph}</w:p><w:p><w:r><w:t>1</w:t></w:r></w:p></w:body>\
             </w:document>"
        )
    };
    let given = around(
        "<w:r><w:t>Read the </w:t></w:r><w:hyperlink r:id=\"4\"><w:r><w:rPr><w:b/></w:rPr><w:t>old manual</w:t></w:r>\
         </w:hyperlink><w:r><w:t xml:space=\"preserve\"> of {name} &amp; me</w:t><w:tab/></w:r><w:bookmarkStart/><w:r>\
         <w:rPr><w:i/></w:rPr><w:t>now. It ends.</w:t></w:r>",
    );
    let expected = around(
        "<w:r><w:t xml:space=\"preserve\">ME &amp; {name} OF </w:t></w:r><w:hyperlink r:id=\"4\"><w:r><w:rPr><w:b/>\
         </w:rPr><w:t xml:space=\"preserve\">MANUAL OLD</w:t></w:r></w:hyperlink><w:r><w:t xml:space=\"preserve\"> THE READ\
         </w:t></w:r><w:r><w:tab/></w:r><w:bookmarkStart/><w:r><w:rPr><w:i/></w:rPr><w:t xml:space=\"preserve\">NOW. ENDS. \
         IT</w:t></w:r>",
    );
    let (parts, bytes) = translated("a.docx", &Archive::of(&[("word/document.xml", &given)]));
    assert_eq!(parts, ["Read the old manual of {name} & me", "now.", "It ends."]);
    let content = Archive::read(bytes, &Limits::default()).unwrap().content(0).unwrap();
    assert_eq!(String::from_utf8(content).unwrap(), expected);
}

/// An archive's name, its members' names and contents, and what is translated.
type Packed = (&'static str, Vec<(&'static str, String)>, Vec<&'static str>);

/// Archives of each kind.
fn packed() -> Vec<Packed> {
    let word = |text: &str| {
        format!("<w:document xmlns:w=\"x\"><w:body><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:body></w:document>")
    };
    let slide = "<p:sld xmlns:a=\"y\" xmlns:p=\"x\"><p:txBody><a:bodyPr/><a:p><a:pPr/><a:r><a:rPr b=\"1\"/><a:t>Old dogs</a:t></a:r><a:br/>\
                 <a:r><a:t>bark</a:t></a:r><a:fld type=\"slidenum\"><a:t>3</a:t></a:fld><a:endParaRPr/></a:p></p:txBody></p:sld>";
    let odt = "<?xml version=\"1.0\"?><office:document-content><office:automatic-styles><number:text>keep</number:text>\
               </office:automatic-styles><office:body><text:h>A title</text:h><text:p>The <text:span text:style-name=\"T1\">old</text:span>\
               <text:s text:c=\"2\"/>dog<text:tab/>barks<text:bookmark text:name=\"x\"/> at page \
               <text:page-number>keep</text:page-number>.<text:line-break/>So.</text:p><text:list><text:list-item><text:p>an item</text:p>\
               </text:list-item></text:list></office:body></office:document-content>";
    let slides = "<?xml version=\"1.0\"?><office:document-content><office:body><office:presentation><draw:page draw:name=\"keep\">\
                  <draw:frame><draw:text-box><text:p>Old <text:span text:style-name=\"T1\">dogs</text:span> bark</text:p><text:list>\
                  <text:list-item><text:p>an item</text:p></text:list-item></text:list></draw:text-box></draw:frame>\
                  <draw:custom-shape><text:p/><draw:enhanced-geometry/></draw:custom-shape><presentation:notes><draw:frame>\
                  <draw:text-box><text:p>A note.</text:p></draw:text-box></draw:frame></presentation:notes></draw:page>\
                  </office:presentation></office:body></office:document-content>";
    let page = "<?xml version=\"1.0\"?><!DOCTYPE html><html xmlns=\"x\"><head><title>A title</title><style>a{}</style></head><body><p>The \
                <b>old</b>&nbsp;dog<br/>barks</p></body></html>";
    let toc = "<ncx><navMap><navPoint><navLabel><text>Chapter one</text></navLabel><content src=\"a\"/></navPoint></navMap></ncx>";
    vec![
        (
            "a.docx",
            vec![
                ("[Content_Types].xml", "<Types/>".into()),
                ("word/document.xml", word("One. Two.")),
                ("word/styles.xml", word("keep")),
                ("word/header2.xml", word("Head.")),
            ],
            vec!["One.", "Two.", "Head."],
        ),
        (
            "a.pptx",
            vec![("ppt/slides/slide1.xml", slide.into()), ("ppt/slideMasters/slideMaster1.xml", slide.into())],
            vec!["Old dogs", "bark"],
        ),
        (
            "a.odt",
            vec![("mimetype", "application/vnd.oasis.opendocument.text".into()), ("content.xml", odt.into())],
            vec!["A title", "The old dog", "barks at page keep.", "So.", "an item"],
        ),
        (
            "a.odp",
            vec![
                ("mimetype", "application/vnd.oasis.opendocument.presentation".into()),
                ("content.xml", slides.into()),
                ("styles.xml", "<office:document-styles><style:style/></office:document-styles>".into()),
            ],
            vec!["Old dogs bark", "an item", "A note."],
        ),
        (
            "a.epub",
            vec![
                ("mimetype", "application/epub+zip".into()),
                ("OEBPS/a.xhtml", page.into()),
                ("OEBPS/toc.ncx", toc.into()),
            ],
            vec!["A title", "The old\u{a0}dog", "barks", "Chapter one"],
        ),
    ]
}

#[test]
fn a_book_says_its_new_language() {
    let page = |language: &str| format!("<html xml:lang=\"{language}\"><body><p>Old dogs</p></body></html>");
    let package =
        |language: &str| format!("<package><dc:language>{language}</dc:language><dc:title>A</dc:title></package>");
    let book = Archive::of(&[("a.opf", &package("en")), ("a.xhtml", &page("en"))]);
    let options = Options { target: Some("deu_Latn".to_string()), ..Options::default() };
    let said = said(open("a.epub", book, &options).unwrap(), &str::to_uppercase);
    let mut found = Archive::read(said, &Limits::default()).unwrap();
    assert_eq!(
        (found.text(0).unwrap(), found.text(1).unwrap()),
        (package("de"), page("de").replace("Old dogs", "OLD DOGS"))
    );
}

#[test]
fn office_programs_proofread_in_the_new_language() {
    let text = |language: &str, said: &str| {
        format!(
            "<w:p><w:r><w:rPr><w:lang w:val=\"{language}\"/></w:rPr><w:t xml:space=\"preserve\">{said}</w:t></w:r></w:p>"
        )
    };
    let styles = |language: &str| format!("<w:styles><w:lang w:val=\"{language}\" w:bidi=\"ar-SA\"/></w:styles>");
    let read = |bytes: Vec<u8>| {
        let mut found = Archive::read(bytes, &Limits::default()).unwrap();
        [0, 1, 2].map(|number| found.text(number).unwrap())
    };
    let members = [("word/document.xml", text("en-US", "Old dogs")), ("word/styles.xml", styles("en-US"))];
    let header = ("word/header1.xml", text("en-US", " "));
    let members: Vec<(&str, &str)> = members.iter().chain([&header]).map(|(name, xml)| (*name, xml.as_str())).collect();
    let options = Options { target: Some("deu_Latn".to_string()), ..Options::default() };
    let document = open("a.docx", Archive::of(&members), &options).unwrap();
    let found = read(said(document, &str::to_uppercase));
    assert_eq!(found, [text("de", "OLD DOGS"), styles("de"), text("en-US", " ")]);
    // OpenDocument's styles are mostly without text.
    let styles =
        |language: &str| format!("<a><style:text-properties fo:language=\"{language}\" fo:country=\"none\"/></a>");
    let (before, after) = (styles("en"), styles("de"));
    let text = [("content.xml", "<text:p>Old dogs</text:p>"), ("styles.xml", before.as_str()), ("c", "")];
    let document = open("a.odt", Archive::of(&text), &options).unwrap();
    assert_eq!(read(said(document, &str::to_uppercase)), ["<text:p>OLD DOGS</text:p>", &after, ""]);
    // Styles that are no XML stay as they are.
    let members = [members[0], ("word/styles.xml", "<w:lang"), members[2]];
    let document = open("a.docx", Archive::of(&members), &options).unwrap();
    assert_eq!(read(said(document, &str::to_uppercase))[1], "<w:lang");
}

#[test]
fn a_book_without_pages_is_refused() {
    let options = Options { target: Some("de".to_string()), ..Options::default() };
    let book = Archive::of(&[("a.opf", "<package><dc:language>en</dc:language></package>")]);
    assert!(open("a.epub", book, &options).err().unwrap().to_string().contains("nothing in it has text"));
    // What is wrong with a package is no reason to refuse the pages.
    for package in ["<a>b</c>", "\u{1}"] {
        let book = Archive::of(&[("a.opf", package), ("a.xhtml", "<p>Old dogs</p>")]);
        let found = said(open("a.epub", book, &options).unwrap(), &str::to_uppercase);
        assert_eq!(Archive::read(found, &Limits::default()).unwrap().text(0).unwrap(), package);
    }
}

#[test]
fn archives_come_back_member_by_member() {
    for (name, members, texts) in packed() {
        let members: Vec<(&str, &str)> = members.iter().map(|(name, content)| (*name, content.as_str())).collect();
        let document = || open(name, Archive::of(&members), &Options::default()).unwrap();
        let parts = Parts::new(document(), &split_at_stops);
        assert_eq!(parts.texts(), texts, "{name}");
        let mut same = Archive::read(said(document(), &str::to_string), &Limits::default()).unwrap();
        for (i, (name, content)) in members.iter().enumerate() {
            assert_eq!(same.names()[i], *name);
            assert_eq!(same.text(i).unwrap(), *content);
        }
        let mut shouted = Archive::read(said(document(), &str::to_uppercase), &Limits::default()).unwrap();
        let found: String = (0..members.len()).map(|i| shouted.text(i).unwrap()).collect();
        let all: String = members.iter().map(|(_, content)| *content).collect();
        let bare = |xml: &str| xml.to_uppercase().replace(" XML:SPACE=\"PRESERVE\"", "");
        assert_eq!(bare(&found), bare(&all), "{name}");
        let keeps = |text: &str| text.matches("keep").count();
        assert!(found != all && keeps(&found) == keeps(&all), "{found}");
    }
}

#[test]
fn what_is_no_document_is_refused_and_a_bomb_does_not_go_off() {
    let error = |members: &[(&str, &str)]| open("a.docx", Archive::of(members), &Options::default()).err().unwrap();
    assert!(
        open("a.docx", b"nonsense".to_vec(), &Options::default())
            .err()
            .unwrap()
            .to_string()
            .contains("no Word document")
    );
    assert!(error(&[("a", "b")]).to_string().contains("no Word document"));
    assert!(error(&[("word/document.xml", "<a><b></a>")]).to_string().contains("word/document.xml: "));
    let doctype = "<!DOCTYPE a [<!ENTITY b \"c\">]><w:a>&b;</w:a>";
    assert!(matches!(error(&[("word/document.xml", doctype)]), Error::Invalid(_)));
    let spaces = format!("<w:p>{}</w:p>", " ".repeat(8 << 20));
    assert!(matches!(error(&[("word/document.xml", &spaces)]), Error::TooLarge(_)));
}

/// Nothing is kept of what has no text, however much of it there is.
#[test]
fn many_elements_take_little_memory_and_much_text_is_counted() {
    let empty = format!("<w:document>{}</w:document>", "<w:a/>".repeat(200_000));
    let limits = Limits { characters: 1000, segments: 100, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let document = open("a.xml", empty.into_bytes(), &options).unwrap();
    assert!(document.segments().is_empty());
    let paragraphs = "<w:p><w:r><w:t>a</w:t></w:r></w:p>".repeat(101);
    let many = format!("<w:document>{paragraphs}</w:document>");
    let refused = |name: &str, content: Vec<u8>| matches!(open(name, content, &options), Err(Error::TooLarge(_)));
    assert!(refused("a.docx", Archive::of(&[("word/document.xml", &many)])));
    assert!(refused("a.xml", many.into_bytes()));
    assert!(refused("a.xml", format!("<a>b {} b</a>", "<c/>".repeat(990)).into_bytes()), "tags between words");
    for name in ["a.txt", "a.html", "a.md", "a.json", "a.srt", "a.po"] {
        let content = match name {
            "a.json" => format!("[\"{}\"]", "word ".repeat(300)),
            "a.srt" => format!("00:00:01,000 --> 00:00:02,000\n{}", "word ".repeat(300)),
            "a.po" => format!("msgid \"{}\"\nmsgstr \"\"\n", "word ".repeat(300)),
            _ => "word ".repeat(300),
        };
        assert!(refused(name, content.into_bytes()), "{name}");
    }
}

/// An entity that stands for many others is never expanded.
#[test]
fn entities_of_a_document_type_stay_as_they_are() {
    let xml = "<!DOCTYPE a [<!ENTITY b \"bbb\"><!ENTITY c \"&b;&b;\">]><a>See &c; here</a>";
    let (parts, found) = translated("a.xml", xml.as_bytes());
    assert_eq!(parts, ["See here"]);
    assert!(String::from_utf8(found).unwrap().contains("&c;"));
}
