//! What is too much, too slow or malformed, and that it disturbs nobody else.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::common::http::{self, Server, TEXT, folder, get, post, raw};

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
fn clients_who_say_nothing_keep_nobody_out() {
    let here = folder("serve-silent");
    let server = Server::start(&here, "../served/run --max-connections 40");
    // An answer that nobody reads yet, and one that takes a while.
    let mut unread = http::open(&server, "GET /spec HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let long = json!({ "q": TEXT.repeat(40), "source": "en", "target": "qaa" }).to_string();
    let head = "POST /translate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ";
    let mut slow = http::open(&server, &format!("{head}{}\r\n\r\n{long}", long.len()));
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    let part = "GET /health HTTP/1.1\r\nhost: loc";
    let silent: Vec<_> = (0..300).map(|i| http::open(&server, if i % 2 == 0 { "" } else { part })).collect();
    for _ in 0..5 {
        assert_eq!(get(&server, "/health").status, 200);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!((http::read(&mut unread).status, http::read(&mut slow).status), (200, 200));
    drop(silent);
}

#[test]
fn two_lengths_end_the_connection_behind_the_answer() {
    let here = folder("serve-lengths");
    let server = Server::start(&here, "../served/run");
    let body = json!({ "q": TEXT, "source": "en", "target": "qaa" }).to_string();
    let head = "POST /translate HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 5\r\n";
    let request = format!(
        "{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\nGET /health HTTP/1.1\r\nhost: localhost\r\n\r\n",
        body.len()
    );
    // The chunks count (RFC 9112, 6.3), and what a second reader may take for another request is not read.
    let all = http::read_all(&mut http::open(&server, &request));
    assert_eq!(all.matches("HTTP/1.1 200").count(), 1, "{all}");
}

#[test]
fn a_hangup_does_not_end_the_server() {
    let here = folder("serve-hangup");
    let server = Server::start(&here, "../served/run");
    here.bash(&format!("kill -HUP {}", server.id())).succeeds();
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(get(&server, "/health").status, 200);
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
