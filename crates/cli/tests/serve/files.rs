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
    ] {
        let answer =
            http::post_file(&server, "/translate_file", name, &content, &[("source", "en"), ("target", "qaa")]);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let url = answer.json()["translatedFileUrl"].as_str().unwrap().to_string();
        let path = url.strip_prefix(&format!("http://{}", server.address)).unwrap();
        assert_eq!(get(&server, path).body, expected);
    }
    for (name, content, word) in [
        ("a.exe", "x", "format not supported"),
        ("a.docx", "x", "no Word document"),
        ("a.srt", "x", "-->"),
        ("a.po", "x", "line 1"),
    ] {
        let answer = http::post_file(&server, "/translate_file", name, content, &[("source", "en"), ("target", "qaa")]);
        assert!(answer.status == 400 && answer.body.contains(word), "{}", answer.body);
    }
    assert_eq!(get(&server, "/download_file/..%2f..%2fetc%2fpasswd").status, 404);
}
