//! Documents: read, cut into sentences, translated by a copy and by capitals, written.

use std::io::{Cursor, Write};

use strata_documents::{Document, Format, Limits, Options, Parts, open};
use strata_translate::{Candidate, Part, sentences};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::{Target, texts};

/// Documents of a program that takes a good deal of text, but no more.
fn options() -> Options {
    let limits = Limits { members: 100, unpacked: 1 << 22, characters: 1 << 20, segments: 1 << 16 };
    Options { limits, ..Options::default() }
}

/// The document with its parts as `say` says them.
fn said(document: Box<dyn Document>, say: impl Fn(&str) -> String) -> Option<Vec<u8>> {
    let words = |text: &str| -> Vec<_> {
        sentences(text).into_iter().filter(|part| text[part.clone()].chars().any(char::is_alphabetic)).collect()
    };
    let parts = Parts::new(document, &words);
    let part = |text: &String| {
        let candidate = Candidate { text: say(text), ..Candidate::default() };
        Part { candidates: vec![candidate], ..Part::default() }
    };
    let translations: Vec<Part> = parts.texts().iter().map(part).collect();
    parts.render(&translations, 0).ok()
}

/// A file through all steps.
fn file(name: &str, bytes: &[u8]) -> bool {
    let Ok(document) = open(name, bytes.to_vec(), &options()) else { return false };
    let _ = said(document, str::to_uppercase);
    true
}

/// Text through all steps; where no translation is filled in, a copy must be the text itself.
fn text(name: &str, bytes: &[u8], fills: bool) -> bool {
    let Some(format) = Format::of_file(name) else { return false };
    let text = String::from_utf8_lossy(bytes);
    let read = || format.read_text(&text, &options());
    let Ok(document) = read() else { return false };
    let copy = said(document, str::to_string);
    assert!(fills || copy.is_some_and(|copy| copy == text.as_bytes()), "a copy of a {name} differs from it");
    if let Ok(document) = read() {
        let _ = said(document, str::to_uppercase);
    }
    true
}

/// An archive with this member.
fn archive(member: &str, bytes: &[u8]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file(member, stored).expect("a member");
    zip.write_all(bytes).expect("its content");
    zip.finish().expect("an archive").into_inner()
}

/// Plain text.
pub const TEXT: Target = Target {
    name: "text",
    run: |bytes| text("a.txt", bytes, false),
    seeds: || texts(["Open the file. Click it!\r\n\tName:\tOpen\u{2028}Close\u{85}x\n", "你好。See a?b=c。"]),
};

/// Text in the encoding that it declares.
pub const ENCODED: Target = Target {
    name: "encoded",
    run: |bytes| file("a.html", bytes) | file("a.xml", bytes),
    seeds: || {
        vec![
            b"<meta charset=\"windows-1252\"><p>f\xfcr \x80</p>".to_vec(),
            b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>f\xfcr</a>".to_vec(),
            b"<meta charset=iso-2022-jp><p>\x1b$B%F\x1b(B</p>".to_vec(),
            [0xff, 0xfe].into_iter().chain("<p>für</p>".encode_utf16().flat_map(u16::to_le_bytes)).collect(),
        ]
    },
};

/// HTML.
pub const HTML: Target = Target {
    name: "html",
    run: |bytes| text("a.html", bytes, false),
    seeds: || {
        texts([
            "<!DOCTYPE html><html><head><title>A &amp; B</title><script>if(a<b)c()</script></head><body><p class=\"x\">One \
             <b>two</b>\n three.<br>Four <i>five<i>.</p><pre>keep</pre><p translate=no>kept</p><ul><li>six<li>se<b>v</b>en</ul>\
             <!-- c --><textarea>x &lt;</textarea><template><p>y</p></template></body></html>",
            "<p>Water is H<sub>2</sub>O&nbsp;and so<sup>1</sup>.</p><?php echo 1; ?><![CDATA[x]]><a href=\"1\">H</a><a>I</a>",
        ])
    },
};

/// XML.
pub const XML: Target = Target {
    name: "xml",
    run: |bytes| text("a.xml", bytes, false),
    seeds: || {
        texts([
            "<?xml version=\"1.0\"?>\n<!DOCTYPE r [<!ENTITY x \"Open\">]>\n<r xml:space=\"preserve\"><a>Open the\n file &x; \
             &#65; <![CDATA[Click <b>]]> now</a><?pi x?><!-- c --><b attr='a>b'>Close<c/>it</b></r>\n",
        ])
    },
};

/// Markdown.
pub const MARKDOWN: Target = Target {
    name: "markdown",
    run: |bytes| text("a.md", bytes, false),
    seeds: || {
        texts([
            "---\ntitle: x\n---\n# Open *it*\n\n1. Close `code` [a][r] ![i](x.png \"t\") <https://e.org>\n   - b\n\n| a | b |\n\
             |---|--:|\n| c \\| d | e |\n\n> quote\n> more\n\n```sh\nx\n```\n\n[r]: https://e.org\n\nHard  \nbreak<br>&amp; **b**[^1]\n\
             \n[^1]: note\n",
        ])
    },
};

/// JSON.
pub const JSON: Target = Target {
    name: "json",
    run: |bytes| text("a.json", bytes, false),
    seeds: || {
        texts([
            "{\"a\":\"Open the file\",\"b\":{\"c\":[\"Click\",\"\\u0066ile \\ud83d\\ude00 \\n\"]},\"n\":1.5e3,\"z\":null}",
        ])
    },
};

/// Gettext's catalogs.
pub const GETTEXT: Target = Target {
    name: "gettext",
    run: |bytes| text("a.po", bytes, true),
    seeds: || {
        texts([
            "msgid \"\"\nmsgstr \"Content-Type: text/plain; charset=UTF-8\\n\"\n\n#, c-format\n#| msgid \"Opn\"\nmsgctxt \"m\"\n\
             msgid \"Open %s\\t\\x41\"\n\"x\"\nmsgstr \"\"\nmsgid \"one\"\nmsgid_plural \"more\"\nmsgstr[0] \"\"\nmsgstr[1] \"\"\n#~ msgid \"o\"\n",
        ])
    },
};

/// XLIFF.
pub const XLIFF: Target = Target {
    name: "xliff",
    run: |bytes| text("a.xliff", bytes, true),
    seeds: || {
        texts([
            "<?xml version=\"1.0\"?><xliff version=\"1.2\"><file><body><trans-unit id=\"1\"><source>Open <g id=\"1\">it &amp;</g><x \
             id=\"2\"/>.</source></trans-unit><trans-unit id=\"2\" translate=\"no\"><source>A</source><target/></trans-unit>\
             <trans-unit id=\"3\"><source><bpt id=\"1\">&lt;b></bpt>A<ept id=\"1\"/></source><target></target></trans-unit></body>\
             </file></xliff>",
            "<xliff version=\"2.0\"><file id=\"f\"><unit id=\"1\"><segment><source>Open <pc id=\"1\">it</pc>.</source></segment>\
             <segment><source>B</source><target>Z</target></segment></unit></file></xliff>",
        ])
    },
};

/// SubRip's subtitles.
pub const SUBRIP: Target = Target {
    name: "subrip",
    run: |bytes| text("a.srt", bytes, false),
    seeds: || {
        texts([
            "1\n00:00:01,000 --> 00:00:02,000\n{\\an8}<i>Open</i> the\n<font color=\"red\">file</font>\n\n2\n00:00:03,000 --> \
             00:00:04,000\n- Yes\n- No\n",
        ])
    },
};

/// WebVTT's subtitles.
pub const WEBVTT: Target = Target {
    name: "webvtt",
    run: |bytes| text("a.vtt", bytes, false),
    seeds: || {
        texts([
            "WEBVTT\n\nNOTE x\n\nSTYLE\n::cue {}\n\nname\n00:01.000 --> 00:02.000 line:0\n<v Fred>Open <c.red>it</c></v> &amp; \
             <00:01.500>go\n",
        ])
    },
};

/// The text of Word documents.
pub const WORD: Target = Target {
    name: "word",
    run: |bytes| file("a.docx", &archive("word/document.xml", bytes)),
    seeds: || {
        texts([
            "<?xml version=\"1.0\"?><w:document xmlns:w=\"w\"><w:body><w:p><w:pPr/><w:r><w:t>Op</w:t></w:r><w:r><w:rPr><w:b/></w:rPr>\
             <w:t xml:space=\"preserve\">en the </w:t><w:tab/><w:t>file</w:t><w:br/></w:r><w:hyperlink><w:r><w:t>x</w:t></w:r>\
             </w:hyperlink><w:r><w:fldChar w:fldCharType=\"begin\"/></w:r><w:r><w:instrText>PAGE</w:instrText></w:r><w:r><w:fldChar \
             w:fldCharType=\"end\"/></w:r></w:p><w:tbl><w:tr><w:tc><w:p><w:r><w:t>A &amp; b</w:t></w:r></w:p></w:tc></w:tr></w:tbl>\
             </w:body></w:document>",
        ])
    },
};

/// The text of PowerPoint's slides.
pub const SLIDES: Target = Target {
    name: "slides",
    run: |bytes| file("a.pptx", &archive("ppt/slides/slide1.xml", bytes)),
    seeds: || {
        texts([
            "<p:sld xmlns:a=\"a\" xmlns:p=\"p\"><p:txBody><a:p><a:r><a:rPr b=\"1\"/><a:t>Open</a:t></a:r><a:r><a:t> it</a:t></a:r><a:br/>\
             <a:fld><a:t>5</a:t></a:fld></a:p></p:txBody></p:sld>",
        ])
    },
};

/// The text of OpenDocument.
pub const OPEN_DOCUMENT: Target = Target {
    name: "opendocument",
    run: |bytes| file("a.odt", &archive("content.xml", bytes)),
    seeds: || {
        texts([
            "<office:document-content xmlns:office=\"o\" xmlns:text=\"t\"><office:body><text:h>Open</text:h><text:p>Open <text:span>it\
             </text:span><text:s text:c=\"3\"/>now<text:tab/><text:note><text:note-citation>1</text:note-citation><text:note-body>\
             <text:p>Note.</text:p></text:note-body></text:note></text:p></office:body></office:document-content>",
        ])
    },
};

/// The pages of EPUB.
pub const BOOK: Target = Target {
    name: "book",
    run: |bytes| file("a.epub", &archive("OEBPS/a.xhtml", bytes)),
    seeds: || {
        texts([
            "<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\"><head><title>A</title></head><body><p>Open <i>it</i>\
             <br/>now&#160;x</p></body></html>",
        ])
    },
};

/// Archives as they are on disk.
pub const ARCHIVE: Target = Target {
    name: "archive",
    run: |bytes| file("a.docx", bytes),
    seeds: || {
        let word = (WORD.seeds)().remove(0);
        vec![archive("word/document.xml", &word), archive("word/footnotes.xml", &word)]
    },
};
