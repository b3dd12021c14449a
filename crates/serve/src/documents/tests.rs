//! Each format from its bytes to a translation's, with everything in it that must stay.
//!
//! The translations are the source's words from back to front, so that markup has to move.

use strata_translate::Part;

use crate::documents::archive::Archive;
use crate::documents::testing::{reversed, split_at_stops};
use crate::documents::{File, Parts};

/// The parts of a file, and its translation.
fn translated(name: &str, content: &[u8]) -> (Vec<String>, Vec<u8>) {
    let document = File::open(name, content.to_vec()).unwrap().read().unwrap();
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
        &[
            "Old dogs",
            "The old dog sees x < y the {name} cat.",
            "Two big cats!",
            "No.",
            "Open & close the file",
            "1 > 0",
        ],
        "<h1>DOGS OLD</h1>\n<p class=\"a\">CAT. {name} THE <code>x &lt; y</code> SEES <b><i>DOG</i> OLD</b> THE \
         <a href=\"#\">CATS! BIG</a> TWO<br>NO.</p><pre>keep this</pre><!-- end --><p><img src=x><b>FILE THE CLOSE \
         &amp; OPEN<p>0 &gt; 1</p>",
    );
}

#[test]
fn subtitles() {
    check(
        "a.srt",
        "1\n00:00:01,000 --> 00:00:02,500\nThe old dog\nsees a cat. Yes.\n\n2\n00:00:03,000 --> 00:00:04,000 X1:1\r\n- 1 \
         -\r\n\r\n",
        &["The old dog sees a cat.", "Yes.", "- 1 -"],
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
        "<w:r><w:t xml:space=\"preserve\">MENOW. &amp; {name} OF </w:t></w:r><w:hyperlink r:id=\"4\"><w:r><w:rPr><w:b/>\
         </w:rPr><w:t xml:space=\"preserve\">MANUAL OLD</w:t></w:r></w:hyperlink><w:r><w:t xml:space=\"preserve\"> THE READ \
         </w:t></w:r><w:r><w:tab/></w:r><w:bookmarkStart/><w:r><w:rPr><w:i/></w:rPr><w:t xml:space=\"preserve\">ENDS. IT\
         </w:t></w:r>",
    );
    let (parts, bytes) = translated("a.docx", &Archive::of(&[("word/document.xml", &given)]));
    assert_eq!(parts, ["Read the old manual of {name} & menow.", "It ends."]);
    let content = Archive::read(bytes).unwrap().content(0, 10_000).unwrap();
    assert_eq!(String::from_utf8(content).unwrap(), expected);
}
