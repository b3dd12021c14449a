//! `strata serve` through the binary, on a port of its own: both APIs, limits, keys, what bad clients may do, and its end.

mod common;
#[path = "common/http.rs"]
mod http;

use std::time::{Duration, Instant};

use common::Folder;
use http::{Server, TEXT, folder, get, post, post_form, raw, translated};
use serde_json::{Value, json};

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
    assert_eq!(languages[0], json!({ "code": "en", "name": "English", "targets": ["en", "qaa", "qab"] }));
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
    let wanted = here.strata_reading("translate ../served/run --to qaa", lines.join("\n") + "\n").succeeds();
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
        "strata_sentences_total{model=\"run\"} 24",
        "strata_queue_sentences{model=\"run\"} 0",
        "strata_model_loaded{model=\"run\"} 1",
    ] {
        assert!(metrics.contains(line), "no `{line}` in {metrics}");
    }
}

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
fn routes_name_strata_experts_and_probabilities_of_every_token() {
    let here = folder("serve-route");
    let server = Server::start(&here, "../served/run");
    let ask =
        json!({ "q": "The old dog. A cat.", "source": "en", "target": "qaa", "scores": true, "alignments": true });
    let found = post(&server, "/v1/route", &ask).json();
    assert_eq!(found["model"]["strata"], json!([2, 2]));
    assert_eq!((&found["model"]["encoder_layers"], &found["model"]["kind"]), (&json!([1]), &json!("smoe")));
    let sentences = found["sentences"].as_array().unwrap();
    assert_eq!(sentences.len(), 2);
    let mut visits = 0;
    for sentence in sentences {
        for side in ["source", "target"] {
            let tokens = sentence[side]["tokens"].as_array().unwrap();
            assert_eq!(tokens[0]["piece"], "<2qaa>");
            let words: String =
                sentence[side]["words"].as_array().unwrap().iter().map(|word| word["text"].as_str().unwrap()).collect();
            assert_eq!(sentence[side]["text"], words);
            // The last token that is written may not have been read.
            for token in &tokens[..tokens.len() - 1] {
                let of = token["blocks"][0]["visits"].as_array().unwrap();
                assert!((1..=2).contains(&of.len()), "{token}");
                visits += of.len();
                for visit in of {
                    let experts: Vec<u64> =
                        visit["experts"].as_array().unwrap().iter().map(|e| e.as_u64().unwrap()).collect();
                    let first = 2 * visit["stratum"].as_u64().unwrap();
                    assert!(experts.len() == 2 && experts.iter().all(|e| (first..4).contains(e)), "{visit}");
                    let p: Vec<f64> =
                        visit["probabilities"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap()).collect();
                    assert!(p[0] >= p[1] && p[1] > 0.0 && p[0] + p[1] <= 1.0001, "{visit}");
                }
            }
        }
        assert!(sentence["score"].as_f64().unwrap() < 0.0);
        let words = |side: &str| sentence[side]["words"].as_array().unwrap().len() as u64;
        let pairs = sentence["alignment"].as_array().unwrap();
        assert!(
            pairs.iter().all(|p| p[0].as_u64().unwrap() < words("source") && p[1].as_u64().unwrap() < words("target"))
        );
    }
    assert!(visits > 10);
    let plain = post(&server, "/v1/route", &json!({ "q": TEXT, "target": "qaa" })).json();
    assert!(plain["sentences"][0].get("alignment").is_none() && plain["sentences"][0].get("score").is_none());
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

#[test]
fn bad_requests_are_answered_in_kind_and_disturb_nobody() {
    let here = folder("serve-bad");
    let server = Server::start(
        &here,
        "../served/run --max-characters 300 --max-sentences 5 --max-body-bytes 10000 --max-alternatives 3",
    );
    let ask = |q: Value, more: Value| {
        let mut ask = json!({ "q": q, "source": "en", "target": "qaa" });
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post(&server, "/translate", &ask)
    };
    for (answer, status, words) in [
        (ask(json!("x".repeat(301)), json!({})), 413, "exceeds text limit (300)"),
        (ask(json!("A cat. ".repeat(6)), json!({})), 413, "6 sentences; at most 5"),
        (ask(json!(vec!["a"; 200]), json!({})), 413, "200 texts"),
        (ask(json!("a"), json!({ "alternatives": 10_000 })), 400, "at most 3"),
        (ask(json!("a"), json!({ "alternatives": -1 })), 400, "alternatives must be"),
        (ask(json!(7), json!({})), 400, "q must be text"),
        (ask(json!("a"), json!({ "target": "xx" })), 400, "languages: en, qaa, qab"),
        (ask(json!("a"), json!({ "target": "<script>" })), 400, "this is not supported"),
        (
            ask(json!("a"), json!({ "source": "qaa", "target": "qab" })),
            400,
            "not available as a target language from qaa",
        ),
        (ask(json!("a"), json!({ "format": "docx" })), 400, "format"),
        (ask(json!("a"), json!({ "model": "other" })), 400, "there are: run"),
        (post(&server, "/translate", &json!({ "source": "en", "target": "qaa" })), 400, "missing q parameter"),
        (
            raw(
                &server,
                "POST /translate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n{\"q",
            ),
            400,
            "no JSON",
        ),
        (
            raw(
                &server,
                "POST /translate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1073741824\r\n\r\n",
            ),
            413,
            "larger than",
        ),
        (get(&server, "/translate"), 405, "another method"),
        (get(&server, "/../../etc/passwd"), 404, "no such path"),
        (get(&server, "/page.css/../../Cargo.toml"), 404, "no such path"),
        (get(&server, "/nothing"), 404, "/spec"),
    ] {
        assert_eq!(answer.status, status, "{words}: {}", answer.body);
        let error = answer.json()["error"].as_str().unwrap().to_string();
        assert!(error.contains(words), "no `{words}` in {error}");
    }
    // Too many headers, or too large ones, are no request at all.
    let many: String = (0..200).map(|i| format!("x-{i}: y\r\n")).collect();
    assert_eq!(raw(&server, &format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n")).status, 431);
    let large = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    assert_eq!(raw(&server, &large).status, 431);
    assert_eq!(raw(&server, "nonsense\r\n\r\n").status, 400);
    assert_eq!(ask(json!(TEXT), json!({})).status, 200);
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let here = folder("serve-log");
    let server = Server::start(&here, "../served/run");
    // A pipe holds 64 KiB; these are some 150 bytes each.
    for i in 0..800 {
        assert_eq!(get(&server, "/health").status, 200, "request {i}");
    }
}

#[test]
fn slow_clients_are_cut_off() {
    let here = folder("serve-slow");
    let server = Server::start(&here, "../served/run --client-seconds 1");
    let start = Instant::now();
    let mut headers = http::open(&server, "POST /translate HTTP/1.1\r\nhost: localhost\r\n");
    let mut body = http::open(
        &server,
        "POST /translate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    );
    assert_eq!(http::read(&mut body).status, 408);
    let rest = http::read_all(&mut headers);
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert_eq!(get(&server, "/health").status, 200);
}

#[test]
fn keys_are_asked_for_and_their_rates_hold() {
    let here = folder("serve-keys");
    let made = here.strata("serve --new-key alice --rate 3").succeeds();
    let (key, line) = (made.out.trim(), made.err.lines().last().unwrap());
    here.write("keys.txt", format!("# ours\n{line}\n"));
    assert!(!line.contains(key));
    let server = Server::start(&here, "../served/run --keys keys.txt");
    let ask = json!({ "q": "A cat.", "source": "en", "target": "qaa" });
    let mut with_key = ask.clone();
    with_key["api_key"] = key.into();
    assert_eq!(post(&server, "/translate", &ask).status, 403);
    let mut wrong = ask.clone();
    wrong["api_key"] = "wrong".into();
    assert_eq!(post(&server, "/translate", &wrong).json()["error"], "Invalid API key");
    assert_eq!(post(&server, "/translate", &with_key).status, 200);
    let deepl =
        "GET /v2/usage HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: DeepL-Auth-Key KEY\r\n\r\n";
    assert_eq!(raw(&server, &deepl.replace("KEY", key)).json()["character_count"], 6);
    assert_eq!(raw(&server, &deepl.replace("KEY", "k")).status, 403);
    assert_eq!(post(&server, "/translate", &with_key).status, 200);
    let refused = post(&server, "/translate", &with_key);
    assert_eq!(refused.status, 429, "{}", refused.body);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(get(&server, "/languages").status, 200);
    here.write("bad.txt", "alice 12\n");
    here.refuses("serve ../served/run --keys bad.txt --port 0", &["bad.txt", "line 1", "--new-key"]);
}

#[test]
fn beyond_the_queue_there_is_429_and_the_rest_is_served() {
    let here = folder("serve-overload");
    let server = Server::start(&here, "../served/run --queue 8 --beam 12");
    let text = "The old dog sees the cat in the garden of the house. ".repeat(4);
    let ask = json!({ "q": text, "source": "en", "target": "qaa" });
    let answers: Vec<http::Answer> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..40).map(|_| scope.spawn(|| post(&server, "/translate", &ask))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (served, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!served.is_empty() && !refused.is_empty(), "{} served", served.len());
    for answer in refused {
        assert_eq!(answer.status, 429, "{}", answer.body);
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    }
    let first = &served[0].body;
    assert!(served.iter().all(|answer| answer.body == *first));
    let metrics = get(&server, "/metrics").body;
    assert!(metrics.contains("strata_queue_sentences{model=\"run\"} 0"), "{metrics}");
}

#[test]
fn a_client_that_goes_away_gives_its_room_back() {
    let here = folder("serve-gone");
    let server = Server::start(&here, "../served/run --beam 48 --max-sentences 2000 --max-characters 200000");
    let body = json!({ "q": "The old dog sees the cat in the garden. ".repeat(1500), "source": "en", "target": "qaa" })
        .to_string();
    let head = format!(
        "POST /translate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let gone = http::open(&server, &(head + &body));
    let queued = || {
        let metrics = get(&server, "/metrics").body;
        let line = metrics.lines().find(|line| line.starts_with("strata_queue_sentences{")).map(str::to_string);
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
    };
    let until = |what: &dyn Fn(u64) -> bool| {
        let start = Instant::now();
        while !what(queued()) {
            assert!(start.elapsed() < Duration::from_secs(30), "{} sentences in the queue", queued());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    until(&|queued| queued > 1000);
    drop(gone);
    until(&|queued| queued == 0);
    let ended = server.stop();
    assert!(ended.err.contains("\"status\":499"), "{ended}");
}

#[test]
fn told_to_stop_it_finishes_what_is_under_way() {
    let here = folder("serve-stop");
    let mut server = Server::start(&here, "../served/run --beam 24 --drain-seconds 600 --max-seconds 600");
    let ask = json!({ "q": "The old dog sees the cat in the garden. ".repeat(100), "source": "en", "target": "qaa" });
    let answer = std::thread::scope(|scope| {
        let (address, ask) = (server.address.clone(), &ask);
        let asked = scope.spawn(move || http::post_to(&address, "/translate", ask));
        let start = Instant::now();
        while !get(&server, "/metrics").body.contains("strata_queue_sentences{model=\"run\"} 100") {
            assert!(start.elapsed() < Duration::from_secs(30), "the request did not come in");
        }
        server.terminate();
        asked.join().unwrap()
    });
    assert_eq!(answer.status, 200);
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn several_models_are_loaded_when_they_are_asked_for() {
    let here = folder("serve-several");
    here.strata("export ../served/run --output packed").succeeds();
    let server = Server::start(&here, "first=../served/run second=packed");
    let loaded = |name: &str| {
        let line = format!("strata_model_loaded{{model=\"{name}\"}} 1");
        get(&server, "/metrics").body.contains(&line)
    };
    assert!(!loaded("first") && !loaded("second"));
    let mut ask = json!({ "q": TEXT, "source": "en", "target": "qaa", "model": "second" });
    let found = post(&server, "/translate", &ask).json();
    assert!(loaded("second") && !loaded("first"));
    ask.as_object_mut().unwrap().remove("model");
    assert_eq!(post(&server, "/translate", &ask).json(), found);
    assert!(loaded("first"));
    // A model that is damaged later is this request's fault alone.
    here.refuses("serve a=../served/run a=packed --port 0", &["two models are named `a`"]);
    here.refuses("serve nowhere --port 0", &["nowhere"]);
    here.refuses("serve ../served/run --port 0 --origin example.org", &["origin"]);
    std::fs::remove_file(here.path("packed/packed.safetensors")).unwrap();
    let broken = Server::start(&here, "ok=../served/run broken=packed");
    ask["model"] = "broken".into();
    let answer = post(&broken, "/translate", &ask);
    assert_eq!(answer.status, 500, "{}", answer.body);
    assert!(!answer.body.contains("safetensors"), "{}", answer.body);
    ask["model"] = "ok".into();
    assert_eq!(post(&broken, "/translate", &ask).status, 200);
    assert!(broken.stop().err.contains("safetensors"));
}

#[test]
fn tls_is_spoken_with_the_certificate_that_is_given() {
    let here = folder("serve-tls");
    let made = here.bash(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out chain.pem -days 2 \
         -subj /CN=localhost -addext subjectAltName=DNS:localhost && curl --version",
    );
    if made.code != Some(0) {
        eprintln!("SKIPPED: this test needs the programs openssl and curl");
        return;
    }
    let server = Server::start(&here, "../served/run --tls-certificate chain.pem --tls-key key.pem");
    let port = server.address.rsplit(':').next().unwrap();
    let found = here.bash(&format!("curl -sS --cacert chain.pem https://localhost:{port}/health")).succeeds();
    assert_eq!(found.json(), json!({ "status": "ok" }));
    // Who does not trust the certificate, or speaks no TLS, gets nothing.
    assert_ne!(here.bash(&format!("curl -sS https://localhost:{port}/health")).code, Some(0));
    assert_ne!(here.bash(&format!("curl -sS http://localhost:{port}/health")).code, Some(0));
    here.refuses(
        "serve ../served/run --tls-certificate key.pem --tls-key key.pem --port 0",
        &["key.pem", "PEM certificate"],
    );
    here.refuses("serve ../served/run --tls-certificate nowhere --tls-key key.pem --port 0", &["nowhere"]);
}

#[test]
fn pages_of_other_origins_may_call_only_if_told_so() {
    let here = folder("serve-cors");
    let preflight = "OPTIONS /translate HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\norigin: https://example.org\r\n\
                     access-control-request-method: POST\r\n\r\n";
    let closed = Server::start(&here, "../served/run");
    assert_eq!(raw(&closed, preflight).header("access-control-allow-origin"), None);
    let open = Server::start(&here, "../served/run --origin https://example.org");
    assert_eq!(raw(&open, preflight).header("access-control-allow-origin"), Some("https://example.org"));
    let page = get(&open, "/");
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    // The page loads only what is there.
    for part in page.body.split(['"', '\'']).filter(|part| part.starts_with("/page")) {
        assert_eq!(get(&open, part).status, 200, "{part}");
    }
    assert!(!page.body.contains("<script>") && !page.body.contains("style=") && !page.body.contains("onclick"));
    let spec = get(&open, "/spec").json();
    for path in ["/translate", "/detect", "/languages", "/v1/route", "/v2/translate", "/translate_file", "/health"] {
        assert!(spec["paths"][path].is_object(), "{path} is not described");
    }
}

/// The interpreter that `STRATA_SERVE_PYTHON` names, if it has these modules.
fn python(here: &Folder, modules: &str) -> Option<String> {
    let python = std::env::var("STRATA_SERVE_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = here.bash(&format!("\"{python}\" -c 'import {modules}'")).code == Some(0);
    if !found {
        eprintln!("SKIPPED: this test needs a Python with {modules}; STRATA_SERVE_PYTHON names one");
    }
    found.then_some(python)
}

#[test]
fn other_peoples_clients_work_unchanged() {
    let here = folder("serve-clients");
    let Some(python) = python(&here, "libretranslatepy, deepl") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/serve_clients.py");
    let server = Server::start(&here, "../served/run");
    here.bash(&format!("\"{python}\" {script} http://{} en qaa '{TEXT}'", server.address)).succeeds();
    let made = here.strata("serve --new-key alice").succeeds();
    here.write("keys.txt", made.err.lines().last().unwrap());
    let server = Server::start(&here, "../served/run --keys keys.txt");
    let run = |key: &str| here.bash(&format!("\"{python}\" {script} http://{} en qaa '{TEXT}' {key}", server.address));
    let said = run(made.out.trim()).succeeds();
    assert!(said.out.contains("deepl usage: "), "{said}");
    assert_ne!(run("wrong").code, Some(0));
}

#[test]
fn answers_are_as_the_description_says() {
    let here = folder("serve-schemathesis");
    let Some(python) = python(&here, "schemathesis") else { return };
    let server = Server::start(&here, "../served/run");
    let url = format!("http://{}", server.address);
    // Languages are named one by one, but not every direction is translated: 400 is right for some requests that fit.
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                  negative_data_rejection,unsupported_method";
    let options = "--phases examples,coverage,fuzzing --max-examples 20 --seed 1 --request-timeout 60";
    let run = format!("\"{python}\" -m schemathesis.cli run {url}/spec --url {url} --checks {checks} {options}");
    let ran = here.bash(&run);
    assert_eq!(ran.code, Some(0), "{ran}");
    // Nobody read the server's log meanwhile.
    assert_eq!(get(&server, "/health").status, 200);
}
