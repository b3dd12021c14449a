//! DeepL's API.

use serde_json::{Value, json};

use crate::common::http::{self, Server, TEXT, folder, get, post, post_form, translated};

#[test]
fn deepl_clients_are_answered_as_they_expect() {
    let here = folder("serve-deepl");
    let server = Server::start(&here, "../served/run");
    let wanted = translated(&here, TEXT, "");
    let text = "text=The+old+dog+sees+the+cat.";
    let found = post_form(&server, "/v2/translate", &format!("{text}&{text}&target_lang=QAA&source_lang=EN")).json();
    let one = json!({ "text": wanted, "detected_source_language": "EN", "billed_characters": 25 });
    assert_eq!(found, json!({ "translations": [one, one] }));
    let ask = json!({ "text": [TEXT], "target_lang": "qaa", "tag_handling": "html" });
    assert_eq!(post(&server, "/v2/translate", &ask).json()["translations"][0]["text"], wanted);
    let targets = get(&server, "/v2/languages?type=target").json();
    assert_eq!(targets[0], json!({ "language": "EN", "name": "English", "supports_formality": false }));
    assert_eq!(get(&server, "/v2/usage").json()["character_count"], 0);
    let bad = post(&server, "/v2/translate", &json!({ "text": [TEXT], "target_lang": "XX" }));
    assert_eq!(bad.status, 400);
    assert!(bad.json()["message"].as_str().unwrap().contains("languages: en, qaa, qab"));
}

#[test]
fn options_act_or_are_refused_by_their_name() {
    let here = folder("serve-deepl-options");
    let server = Server::start(&here, "../served/run");
    let wanted = translated(&here, TEXT, "");
    let ask = |options: serde_json::Value, text: &str| {
        let mut ask = json!({ "text": [text], "target_lang": "qaa", "source_lang": "en" });
        ask.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        post(&server, "/v2/translate", &ask)
    };
    let text = |options, text: &str| ask(options, text).json()["translations"][0]["text"].as_str().unwrap().to_string();
    let two = format!("<x>{TEXT}</x><y>{TEXT}</y>");
    assert_eq!(text(json!({ "tag_handling": "xml" }), &two), two.replace(TEXT, &wanted));
    let ignored = json!({ "tag_handling": "xml", "ignore_tags": "x" });
    let apart = format!("<p><x>{TEXT}</x></p><p>{TEXT}</p>");
    assert_eq!(text(ignored, &apart), format!("<p><x>{TEXT}</x></p><p>{wanted}</p>"));
    assert_eq!(text(json!({ "split_sentences": "0" }), TEXT), wanted);
    let formatted = |said: bool| text(json!({ "preserve_formatting": said }), TEXT);
    assert_eq!([formatted(true), formatted(false)], [wanted.clone(), wanted.clone()]);
    for (options, word) in [
        (json!({ "ignore_tags": ["x"] }), "ignore_tags"),
        (json!({ "formality": "more" }), "formality"),
        (json!({ "preserve_formatting": "x" }), "preserve_formatting"),
        (json!({ "split_sentences": "2" }), "split_sentences"),
        (json!({ "style_id": "x" }), "style_id"),
        (json!({ "model_type": "fastest" }), "model_type"),
        (json!({ "tag_handling": "xml", "text": ["<a>"] }), "XML"),
    ] {
        let answer = ask(options, "x");
        assert!(answer.status == 400 && answer.body.contains(word), "{}", answer.body);
    }
    assert_eq!(ask(json!({ "glossary_id": "x" }), "x").status, 404);
    let made = post(
        &server,
        "/v2/glossaries",
        &json!({ "name": "g", "source_lang": "en", "target_lang": "qaa", "entries": "dog\tzzz", "entries_format": "tsv" }),
    );
    assert_eq!(made.status, 201, "{}", made.body);
    let id = made.json()["glossary_id"].as_str().unwrap().to_string();
    assert!(text(json!({ "glossary_id": id }), TEXT).contains("zzz"));
    assert_eq!(get(&server, &format!("/v2/glossaries/{id}/entries")).body, "dog\tzzz");
    assert_eq!(ask(json!({ "glossary_id": id, "target_lang": "qab" }), "x").status, 400);
}

/// The answer about a file when its translation has ended, and the file.
fn document(server: &Server, name: &str, content: &str, options: &[(&str, &str)]) -> (Value, String) {
    let mut form = vec![("target_lang", "QAA"), ("source_lang", "EN")];
    form.extend(options);
    let sent = http::post_file(server, "/v2/document", name, content, &form);
    assert_eq!(sent.status, 200, "{}", sent.body);
    let [id, key] = ["document_id", "document_key"].map(|name| sent.json()[name].as_str().unwrap().to_string());
    let asked = json!({ "document_key": key });
    loop {
        let state = post(server, &format!("/v2/document/{id}"), &asked).json();
        if state["status"] != "translating" {
            return (state, post(server, &format!("/v2/document/{id}/result"), &asked).body);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn options_of_files_act_or_are_refused_and_their_translations_are_logged() {
    let here = folder("serve-deepl-files");
    let server = Server::start(&here, "../served/run");
    let (wanted, lines) = (translated(&here, TEXT, ""), TEXT.replacen(' ', "\n", 1));
    let (state, by_line) = document(&server, "a.txt", &lines, &[]);
    assert_eq!(state["status"], "done", "{state}");
    assert_ne!(by_line, wanted);
    for split in ["nonewlines", "0"] {
        let (_, whole) = document(&server, "a.txt", &lines, &[("split_sentences", split)]);
        assert_eq!(whole.split_whitespace().collect::<Vec<_>>(), wanted.split_whitespace().collect::<Vec<_>>());
    }
    let page = format!("<p>{TEXT}</p>");
    for options in [[("tag_handling", "html")], [("split_sentences", "0")], [("preserve_formatting", "1")]] {
        assert_eq!(document(&server, "a.html", &page, &options).1, page.replace(TEXT, &wanted));
    }
    for (name, option, word) in [
        ("a.html", ("tag_handling", "xml"), "tag_handling"),
        ("a.txt", ("tag_handling", "html"), "tag_handling"),
        ("a.html", ("split_sentences", "nonewlines"), "split_sentences"),
        ("a.html", ("split_sentences", "2"), "split_sentences"),
    ] {
        let form = [("target_lang", "QAA"), ("source_lang", "EN"), option];
        let answer = http::post_file(&server, "/v2/document", name, &page, &form);
        assert!(answer.status == 400 && answer.body.contains(word), "{}", answer.body);
    }
    // The model is looked for when the file is translated.
    let (state, _) = document(&server, "a.txt", TEXT, &[("model", "none")]);
    assert_eq!(state["status"], "error", "{state}");
    let log = server.stop().err;
    let entries: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let files: Vec<&Value> = entries.iter().filter(|entry: &&Value| entry["event"] == "file").collect();
    let direction =
        |entry: &&Value| entry["direction"] == "en-qaa" && entry["model"] == "run" && entry["route"] == "/v2/document";
    let (failed, done): (Vec<&Value>, Vec<&Value>) = files.into_iter().partition(|entry| entry["status"] != 200);
    assert!(done.len() == 6 && done.iter().all(direction), "{log}");
    assert!(done.iter().all(|entry| entry["sentences"].as_u64() > Some(0)), "{log}");
    assert!(failed.len() == 1 && failed[0]["status"] == 400, "{log}");
    assert!(failed[0]["message"].as_str().is_some_and(|why| why.contains("no such model")), "{log}");
    // Characters are counted once, with the request that brought them.
    assert!(done.iter().all(|entry| entry["characters"].is_null()), "{log}");
}
