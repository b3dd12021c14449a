//! Files that people sent to other programs and got back wrong, with what they should be.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::archive::Archive;
use crate::limits::Limits;
use crate::testing::{said, split_at_stops};
use crate::{Options, Parts, Tags, XML, open};

/// A case's content; none where the cases are not there.
fn case(test: &str, name: &str) -> Option<Vec<u8>> {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/field/cases");
    let content = std::fs::read(folder.join(name)).ok();
    if content.is_none() {
        strata_testing::skip(test, "the cases of the field are not beside the repository");
    }
    content
}

/// A case's parts, and what becomes of it with a model that copies and with one that shouts.
fn through(name: &str, content: &[u8]) -> (Vec<String>, Vec<u8>, Vec<u8>) {
    let document = || open(name, content.to_vec(), &Options::default()).unwrap();
    let parts = Parts::new(document(), &split_at_stops).texts().to_vec();
    (parts, said(document(), &str::to_string), said(document(), &str::to_uppercase))
}

/// As text.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn markup_stays_in_its_place() {
    let test = "markup_stays_in_its_place";
    for (name, shouted) in [
        ("html-nav.html", "<nav><a href=\"1\">HOME</a><a href=\"2\">ABOUT US</a><a href=\"3\">OPEN THE FILE</a></nav>"),
        ("html-subsup.html", "<p>WATER IS H<sub>2</sub>O AND 10 M<sup>2</sup>. OPEN THE FILE<sup>1</sup>.</p>"),
        ("xml-seg.xml", "<seg>OPEN THE FILE</seg><seg>CLICK THE ICON</seg>"),
        ("xml-pi.xml", "<?php echo \"a > b\"; ?><p>OPEN THE FILE</p>"),
    ] {
        let Some(content) = case(test, name) else { return };
        let (_, copied, found) = through(name, &content);
        assert_eq!(text(copied), text(content), "{name}");
        assert_eq!(text(found).trim_end(), shouted, "{name}");
    }
}

#[test]
fn tags_to_ignore_keep_their_content() {
    let Some(content) = case("tags_to_ignore_keep_their_content", "deepl-ignore-tags.json") else { return };
    let asked: serde_json::Value = serde_json::from_slice(&content).unwrap();
    let xml = asked["text"][0].as_str().unwrap();
    let ignored =
        asked["ignore_tags"].as_array().unwrap().iter().map(|tag| tag.as_str().unwrap().to_string()).collect();
    let options = Options { tags: Tags { ignored, ..Tags::default() }, ..Options::default() };
    let found = text(said(XML.read_text(xml, &options).unwrap(), &str::to_uppercase));
    assert_eq!(found, xml.replace("Click", "CLICK").replace("now", "NOW"));
}

#[test]
fn word_documents_keep_breaks_tabs_and_fields() {
    let Some(content) = case("word_documents_keep_breaks_tabs_and_fields", "docx-br-tab-sub-field.docx") else {
        return;
    };
    let (parts, copied, shouted) = through("a.docx", &content);
    assert_eq!(
        parts,
        ["Open the file", "Click the icon", "Name:", "Open the icon", "Water is H2O here", "See page  of the file"]
    );
    let xml = |bytes: Vec<u8>| {
        let mut archive = Archive::read(bytes, &Limits::default()).unwrap();
        let number = archive.names().iter().position(|name| name == "word/document.xml").unwrap();
        archive.text(number).unwrap()
    };
    let given = xml(content);
    assert_eq!(xml(copied), given);
    // Runs are written anew: what is compared is what is in them.
    let bare = |xml: &str| {
        let xml = xml.replace(" xml:space=\"preserve\"", "").to_uppercase();
        xml.replace("</W:R><W:R>", "").replace("</W:T><W:T>", "")
    };
    assert_eq!(bare(&xml(shouted)), bare(&given));
}

#[test]
fn subtitles_keep_their_times_and_lines() {
    let test = "subtitles_keep_their_times_and_lines";
    for (name, texts) in [
        ("srt-missing-blank.srt", vec!["Open the file and more", "Close"]),
        ("srt-crlf.srt", vec!["Open the file menu and click the icon."]),
    ] {
        let Some(content) = case(test, name) else { return };
        let (parts, copied, shouted) = through(name, &content);
        let content = text(content);
        assert_eq!(parts, texts, "{name}");
        assert_eq!(text(copied), content);
        assert_eq!(text(shouted).matches("\r\n").count(), content.matches("\r\n").count());
    }
}

#[test]
fn catalogs_are_read_by_gettext() {
    let test = "catalogs_are_read_by_gettext";
    for (name, filled) in [
        (
            "po-previous-msgid.po",
            "#, fuzzy\n#| msgid \"Opn the file\"\nmsgid \"Open the file\"\nmsgstr \"Open the file\"",
        ),
        ("po-tab.po", "msgid \"Open\\tCtrl+O\"\nmsgstr \"Open\\tCtrl+O\""),
        ("po-brace.po", "msgstr \"See {x!r} at https://e.org/?v={y}\""),
    ] {
        let Some(content) = case(test, name) else { return };
        let copied = through(name, &content).1;
        assert!(text(copied.clone()).contains(filled), "{}", text(copied));
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, &copied).unwrap();
        match Command::new("msgfmt").arg("-c").arg("-o").arg("/dev/null").arg(&file).output() {
            Ok(ran) => assert!(ran.status.success(), "{name}: {}", String::from_utf8_lossy(&ran.stderr)),
            Err(_) => strata_testing::skip(test, "there is no msgfmt"),
        }
    }
}
