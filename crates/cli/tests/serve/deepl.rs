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
