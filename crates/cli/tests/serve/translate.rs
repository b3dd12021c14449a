//! Texts and HTML through LibreTranslate's API.

use serde_json::{Value, json};

use crate::common::http::{Server, TEXT, folder, get, post, post_form, translated};

#[test]
fn texts_are_translated_as_by_the_command() {
    let here = folder("serve-translate");
    let server = Server::start(&here, "../served/run");
    let wanted = translated(&here, TEXT, "");
    let found = post(&server, "/translate", &json!({ "q": TEXT, "source": "en", "target": "qaa" }));
    assert_eq!((found.status, &found.json()), (200, &json!({ "translatedText": wanted })));
    let form = post_form(&server, "/translate", "q=The+old+dog+sees+the+cat.&source=en&target=qaa&format=text");
    assert_eq!(form.json(), json!({ "translatedText": wanted }));
    // Several texts, lines and sentences; the space between them stays.
    let texts = ["  The old dog sees the cat. The old dog sees the cat.\n\n1, 2, 3\n", ""];
    let found = post(&server, "/translate", &json!({ "q": texts, "source": "en", "target": "qaa" })).json();
    assert_eq!(found["translatedText"], json!([format!("  {wanted} {wanted}\n\n1, 2, 3\n"), ""]));
    // The same language is no work.
    let found = post(&server, "/translate", &json!({ "q": TEXT, "source": "en", "target": "en" })).json();
    assert_eq!(found["translatedText"], TEXT);
    let ended = server.stop();
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(!ended.err.contains("dog") && !ended.err.contains(wanted.as_str()), "the log has the users' text: {ended}");
    let lines: Vec<Value> = ended.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let first = lines.iter().find(|line| line["event"] == "request").unwrap();
    assert_eq!((&first["route"], &first["status"]), (&json!("/translate"), &json!(200)));
    assert_eq!(
        (&first["direction"], &first["sentences"], &first["model"]),
        (&json!("en-qaa"), &json!(1), &json!("run"))
    );
}

#[test]
fn alternatives_are_the_next_best_and_auto_finds_the_language() {
    let here = folder("serve-alternatives");
    let server = Server::start(&here, "../served/run");
    let nbest = translated(&here, TEXT, "--nbest 6");
    let best: Vec<&str> = nbest.lines().map(|line| line.split(" ||| ").nth(1).unwrap()).collect();
    let ask = json!({ "q": TEXT, "source": "auto", "target": "qaa", "alternatives": 5 });
    let found = post(&server, "/translate", &ask).json();
    assert_eq!(found["translatedText"], best[0]);
    let mut others: Vec<&str> = Vec::new();
    best[1..].iter().filter(|text| **text != best[0]).for_each(|text| {
        if !others.contains(text) {
            others.push(text);
        }
    });
    assert_eq!(found["alternatives"], json!(others));
    assert_eq!(found["detectedLanguage"]["language"], "en");
    let found = post(&server, "/detect", &json!({ "q": TEXT })).json();
    assert_eq!(found[0]["language"], "en");
    assert!(found[0]["confidence"].as_f64().unwrap() > 0.0);
    let languages = get(&server, "/languages").json();
    assert_eq!(
        languages[0],
        json!({ "code": "en", "aliases": [], "name": "English", "targets": ["en", "qaa", "qab"] })
    );
    assert_eq!(languages.as_array().unwrap().len(), 3);
    let settings = get(&server, "/frontend/settings").json();
    assert_eq!((&settings["keyRequired"], &settings["charLimit"]), (&json!(false), &json!(20_000)));
    assert_eq!(get(&server, "/health").json(), json!({ "status": "ok" }));
}

#[test]
fn many_clients_get_the_same_as_one() {
    let here = folder("serve-many");
    let server = Server::start(&here, "../served/run --threads 2");
    let lines: Vec<String> = here.read("../bitext/test.en-qaa.en").lines().take(24).map(str::to_string).collect();
    // Some may be reported as short: this model has hardly learnt anything.
    let wanted = here.strata_reading("translate ../served/run --to qaa", lines.join("\n") + "\n");
    assert!(matches!(wanted.code, Some(0 | 1)), "{wanted}");
    let wanted: Vec<&str> = wanted.out.lines().collect();
    let asks: Vec<Value> = lines.iter().map(|q| json!({ "q": q, "source": "en", "target": "qaa" })).collect();
    let found: Vec<String> = std::thread::scope(|scope| {
        let server = &server;
        let ask = |ask| scope.spawn(move || post(server, "/translate", ask).json());
        let threads: Vec<_> = asks.iter().map(ask).collect();
        threads.into_iter().map(|t| t.join().unwrap()["translatedText"].as_str().unwrap().to_string()).collect()
    });
    assert_eq!(found, wanted);
    let metrics = get(&server, "/metrics").body;
    for line in [
        "strata_http_requests_total{route=\"/translate\",status=\"200\"} 24",
        "strata_queue_sentences{model=\"run\"} 0",
        "strata_model_loaded{model=\"run\"} 1",
    ] {
        assert!(metrics.contains(line), "no `{line}` in {metrics}");
    }
    // What comes back short is tried again in pieces.
    let sentences = metrics.lines().find_map(|line| line.strip_prefix("strata_sentences_total{model=\"run\"} "));
    assert!(sentences.is_some_and(|count| count.parse::<u32>().unwrap() >= 24), "{metrics}");
}

#[test]
fn html_keeps_its_tags_and_nothing_comes_in() {
    let here = folder("serve-html");
    let server = Server::start(&here, "../served/run");
    let html =
        "<p class=\"a\">The <b>old dog</b> sees <code>x &lt; y</code> the cat.</p><script>alert(1)</script><img src=x>";
    let found =
        post(&server, "/translate", &json!({ "q": html, "source": "en", "target": "qaa", "format": "html" })).json();
    let found = found["translatedText"].as_str().unwrap();
    for tag in
        ["<p class=\"a\">", "<b>", "</b>", "<code>x &lt; y</code>", "</p>", "<script>alert(1)</script>", "<img src=x>"]
    {
        assert_eq!(found.matches(tag).count(), 1, "{tag} in {found}");
    }
    assert_eq!(found.matches('<').count(), html.matches('<').count());
}
