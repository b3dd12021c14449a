//! A real model that has learned to copy its source: what comes out differently was changed on the way.

use std::path::{Path, PathBuf};

use strata_documents::{Options, Parts, open, worded};
use strata_translate::{Part, Placement, SearchOptions, TranslateOptions, Translator};

fn field() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/field")
}

/// The model; none where it is not beside the repository.
fn model(test: &str) -> Option<Translator> {
    let path = field().join("copy-model");
    if !path.exists() {
        strata_testing::skip(test, "the model that copies is not beside the repository");
        return None;
    }
    Some(Translator::open(&path, &Placement::default()).unwrap())
}

/// A document through the model.
fn through(translator: &Translator, name: &str, content: &[u8]) -> Vec<u8> {
    let document = open(name, content.to_vec(), &Options::default()).unwrap();
    let parts = Parts::new(document, &|text| worded(translator, text));
    let search = SearchOptions { beam: 1, alignments: parts.aligned(), ..SearchOptions::default() };
    let task = translator.task(None, "de", &TranslateOptions::from(search)).unwrap();
    let translations: Vec<Part> = translator.translate_parts(parts.texts(), &task).unwrap();
    parts.render(&translations, 0).unwrap()
}

#[test]
fn documents_come_back_as_they_were() {
    let Some(translator) = model("documents_come_back_as_they_were") else { return };
    for name in ["html-nav.html", "xml-seg.xml", "xml-pi.xml", "srt-missing-blank.srt", "srt-crlf.srt"] {
        let content = std::fs::read(field().join("cases").join(name)).unwrap();
        let found = through(&translator, name, &content);
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(&content), "{name}");
    }
    for (name, content) in [
        (
            "a.html",
            "<p>Open  the\n <b>file</b> and <i>click </i>the icon.</p><ul><li>Save<li>Close <br>the window</ul>",
        ),
        ("a.html", "<span>Open</span><span>Close</span> <button>Save</button><button>Click the icon</button>"),
        ("a.md", "# Open the file\n\nClick **the icon** and\nclose the *window*.\n"),
        ("a.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<i>Open</i> the file\nand click the icon\n"),
        ("a.json", "{\"a\": \"Open the file\"}"),
        ("a.html", "<p>Open the dia&shy;logue &nbsp;and&#160;click.</p>"),
        ("a.html", "<p>AT&amp;T &nbsp; R&amp;D</p>"),
        ("a.html", "<p>One &nbsp; two &mdash; three &hellip; done.</p>"),
        ("a.html", "<p>\u{200f}שלום\u{200f} <b>Open</b> the file</p>"),
        ("a.html", "<p>Open\u{200e} <b>the</b>\u{200b} file</p>"),
        ("a.txt", "Open the file.\n\n\tClick the icon.  Close the window.\r\n"),
    ] {
        let found = through(&translator, name, content.as_bytes());
        assert_eq!(String::from_utf8_lossy(&found), content, "{name}");
    }
}
