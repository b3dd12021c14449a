//! Files, sent and fetched.

use crate::common::http::{self, Server, TEXT, folder, get, translated};

#[test]
fn files_are_translated_and_fetched() {
    let here = folder("serve-files");
    let server = Server::start(&here, "../served/run");
    let wanted = translated(&here, TEXT, "");
    let srt = format!("1\n00:00:01,000 --> 00:00:02,500\n{TEXT}\n\n");
    for (name, content, expected) in [
        ("a.txt", format!("{TEXT}\n\n{TEXT}\n"), format!("{wanted}\n\n{wanted}\n")),
        ("a.srt", srt.clone(), srt.replace(TEXT, &wanted)),
        (
            "a.po",
            format!("msgid \"{TEXT}\"\nmsgstr \"\"\n"),
            format!("#, fuzzy\nmsgid \"{TEXT}\"\nmsgstr \"{wanted}\"\n"),
        ),
        ("a.html", format!("<p>{TEXT}</p>"), format!("<p>{wanted}</p>")),
        ("a.md", format!("# {TEXT}\n"), format!("# {wanted}\n")),
        ("a.json", format!("{{\"a\": \"{TEXT}\"}}"), format!("{{\"a\": \"{wanted}\"}}")),
        ("a.xml", format!("<a><b>{TEXT}</b><b>{TEXT}</b></a>"), format!("<a><b>{wanted}</b><b>{wanted}</b></a>")),
    ] {
        let answer =
            http::post_file(&server, "/translate_file", name, &content, &[("source", "en"), ("target", "qaa")]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let url = answer.json()["translatedFileUrl"].as_str().unwrap().to_string();
        let path = url.strip_prefix(&format!("http://{}", server.address)).unwrap();
        let extension = name.rsplit_once('.').unwrap().1;
        assert!(path.ends_with(&format!(".a.qaa.{extension}")), "the name is kept: {path}");
        assert_eq!(get(&server, path).body, expected);
    }
    for (name, content, word) in [
        ("a.exe", "x", "format not supported"),
        ("a.pdf", "x", "shapes of letters"),
        ("a.docx", "x", "no Word document"),
        ("a.srt", "x", "-->"),
        ("a.po", "x", "line 1"),
    ] {
        let answer = http::post_file(&server, "/translate_file", name, content, &[("source", "en"), ("target", "qaa")]);
        assert!(answer.status == 400 && answer.body.contains(word), "{}", answer.body);
    }
    assert_eq!(get(&server, "/download_file/..%2f..%2fetc%2fpasswd").status, 404);
}

#[test]
fn documents_are_translated_on_the_command_line_as_on_the_server() {
    let here = folder("translate-documents");
    let wanted = translated(&here, TEXT, "");
    let srt = format!("1\n00:00:01,000 --> 00:00:02,500\n{TEXT}\n");
    here.write("a.srt", &srt);
    here.write("b.html", format!("<p>{TEXT}</p>"));
    here.strata("translate ../served/run a.srt b.html --to qaa").succeeds();
    assert_eq!(here.read("a.qaa.srt"), srt.replace(TEXT, &wanted));
    assert_eq!(here.read("b.qaa.html"), format!("<p>{wanted}</p>"));
    here.strata("translate ../served/run a.srt --to qaa -o out.srt").succeeds();
    assert_eq!(here.read("out.srt"), here.read("a.qaa.srt"));
    here.write("c.srt", "no times");
    for (command, word) in [
        ("translate ../served/run c.srt --to qaa", "-->"),
        ("translate ../served/run a.srt b.html --to qaa -o out.txt", "folder"),
        ("translate ../served/run a.srt --to qaa --json", "documents"),
        ("translate ../served/run a.srt --to qaa --whole-lines", "documents"),
        ("translate ../served/run a.srt --to qaa -o a.srt", "also an input"),
        ("translate ../served/run a.pdf --to qaa", "a.pdf"),
    ] {
        let said = here.strata(command);
        assert!(said.code != Some(0) && said.err.contains(word), "{said}");
    }
    assert_eq!(here.read("a.srt"), srt);
}
