//! DeepL's API.

use serde_json::json;

use crate::common::http::{Server, TEXT, folder, get, post, post_form, translated};

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
    for (options, word) in [
        (json!({ "ignore_tags": ["x"] }), "ignore_tags"),
        (json!({ "formality": "more" }), "formality"),
        (json!({ "preserve_formatting": true }), "preserve_formatting"),
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
