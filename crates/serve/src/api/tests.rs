//! Requests that are nearly right, through all of the server: damaged bodies, forms and queries are refused, and none
//! is a fault of the server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use strata_hostile::Mutations;
use strata_translate::Placement;
use tower::ServiceExt;

use super::{App, Hosts, router};
use crate::settings::{ConnectionLimits, ModelSource, RequestLimits, Settings};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=limit";

/// Requests that are answered with 200: path, content type, body.
#[rustfmt::skip]
const SEEDS: [(&str, &str, &str); 24] = [
    ("/translate", JSON, r#"{"q": "The dog sees the cat.", "source": "en", "target": "qaa", "alternatives": 2}"#),
    ("/translate", JSON, r#"{"q": ["The <b>dog</b> &amp; the cat.", ""], "source": "auto", "target": "qaa", "format": "html"}"#),
    ("/translate", JSON, "\u{feff}{\"q\": \"\\ud83d\\ude00 %s \\u0000\", \"source\": \"en\", \"target\": \"qaa\", \"api_key\": \"\"}"),
    ("/translate", FORM, "q=The+dog+sees+%C3%BC.&q=The+cat&source=en&target=qaa&format=text"),
    ("/translate", MULTIPART, "--limit\r\ncontent-disposition: form-data; name=\"q\"\r\n\r\nThe dog\r\n--limit\r\ncontent-disposition: form-data; name=\"source\"\r\n\r\nen\r\n--limit\r\ncontent-disposition: form-data; name=\"target\"\r\n\r\nqaa\r\n--limit--\r\n"),
    ("/detect", JSON, r#"{"q": ["The dog", "sees"]}"#),
    ("/detect", FORM, "q=The+dog+sees+the+cat."),
    ("/v1/route", JSON, r#"{"q": "The dog.", "source": "en", "target": "qaa"}"#),
    ("/suggest", FORM, "q=The+dog&s=Ta+dogu&source=en&target=qaa"),
    ("/suggest", JSON, r#"{"q": "The\tdog", "s": "Ta\ndogu", "source": "auto", "target": "qaa"}"#),
    ("/translate_file", MULTIPART, "--limit\r\ncontent-disposition: form-data; name=\"source\"\r\n\r\nauto\r\n--limit\r\ncontent-disposition: form-data; name=\"target\"\r\n\r\nqaa\r\n--limit\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\ncontent-type: text/plain\r\n\r\nThe dog.\n\n  The cat.\r\n--limit--\r\n"),
    ("/translate_file", MULTIPART, "--limit\r\ncontent-disposition: form-data; name=\"source\"\r\n\r\nen\r\n--limit\r\ncontent-disposition: form-data; name=\"target\"\r\n\r\nqaa\r\n--limit\r\ncontent-disposition: form-data; name=\"file\"; filename=\"\u{fc}.srt\"\r\n\r\n1\n00:00:01,000 --> 00:00:02,000\n<i>The dog</i>\n\r\n--limit--\r\n"),
    ("/v2/translate", JSON, r#"{"text": ["<p>The <x>dog</x></p>"], "target_lang": "QAA", "source_lang": "EN", "tag_handling": "xml", "ignore_tags": ["x"], "splitting_tags": "p", "outline_detection": false}"#),
    ("/v2/translate", JSON, r#"{"text": ["The dog.\nThe cat."], "target_lang": "QAA", "split_sentences": "nonewlines", "formality": "prefer_more", "context": "animals", "show_billed_characters": true}"#),
    ("/v2/translate", FORM, "text=The+dog&text=The+cat%0D%0A&target_lang=QAA&source_lang=EN&split_sentences=0&auth_key=k"),
    ("/v2/translate", FORM, "text=%3Cp%3EThe+dog%3C/p%3E&target_lang=QAA&tag_handling=html&non_splitting_tags=a,b"),
    ("/v2/usage", FORM, "auth_key=k"),
    ("/v2/languages", FORM, "type=target"),
    ("/v2/document", MULTIPART, "--limit\r\ncontent-disposition: form-data; name=\"target_lang\"\r\n\r\nQAA\r\n--limit\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.html\"\r\n\r\n<p>The <b>dog</b> &amp; cat\r\n--limit--\r\n"),
    ("/v2/document", MULTIPART, "--limit\r\ncontent-disposition: form-data; name=\"target_lang\"\r\n\r\nQAA\r\n--limit\r\ncontent-disposition: form-data; name=\"filename\"\r\n\r\na.po\r\n--limit\r\ncontent-disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\nmsgid \"The dog\"\nmsgstr \"\"\n\r\n--limit--\r\n"),
    ("/v2/glossaries", JSON, r#"{"name": "animals", "source_lang": "EN", "target_lang": "QAA", "entries": "dog\tdogu\ncat\tkatu", "entries_format": "tsv"}"#),
    ("/v2/glossaries", FORM, "name=a&source_lang=EN&target_lang=QAA&entries=dog,dogu%0A%22c,at%22,katu&entries_format=csv"),
    ("/translate?q=The+dog&source=en&target=qaa&format=html", FORM, ""),
    ("/v2/translate?text=The+dog&target_lang=qaa", JSON, "{}"),
];

/// A request that is answered.
async fn post(server: &Router, path: &str, body: Value) -> (StatusCode, Value) {
    let (status, said) = answer(server, path, JSON.as_bytes(), body.to_string().into_bytes()).await.unwrap();
    (status, serde_json::from_slice(&said).unwrap())
}

/// Damaged requests of each kind.
const ROUNDS: usize = 60;

/// A server with a small model that was trained, whose requests may be small.
fn server(folder: &Path) -> Router {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../translate/tests/kept-0.1.0/model");
    let settings = Settings {
        models: vec![ModelSource { name: "model".into(), path: model }],
        placement: Placement::default(),
        beam: 1,
        most_loaded: 0,
        unload_after: None,
        released: Arc::new(|| {}),
        hosts: Vec::new(),
        url_prefix: String::new(),
        suggestions: Some(folder.join("suggestions.tsv")),
        queue: 4096,
        request: RequestLimits {
            characters: 300,
            sentences: 20,
            texts: 8,
            file_characters: 300,
            ..RequestLimits::default()
        },
        connection: ConnectionLimits { body_time: Duration::from_secs(5), ..ConnectionLimits::default() },
        keys: None,
        certificate: None,
        origins: Vec::new(),
        log: Arc::new(|_| {}),
    };
    let app = App::new(settings).unwrap();
    router(&app, Hosts::new(true, &[])).unwrap()
}

/// The answer to a request: its status, and its body; none if HTTP itself has no such request.
async fn answer(server: &Router, path: &str, kind: &[u8], body: Vec<u8>) -> Option<(StatusCode, Vec<u8>)> {
    let request = Request::post(path).header(header::HOST, "localhost").header(header::CONTENT_TYPE, kind);
    let request = request.body(Body::from(body)).ok()?;
    let answer = server.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    Some((status, answer.into_body().collect().await.unwrap().to_bytes().to_vec()))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

#[test]
fn damaged_requests_are_refused_and_no_fault_of_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let bytes = |text: &str| text.as_bytes().to_vec();
    let check = async |path: &str, kind: &[u8], body: Vec<u8>| {
        let Some((status, said)) = answer(&server, path, kind, body.clone()).await else { return false };
        let shown = (path, kind.escape_ascii().to_string(), body.escape_ascii().to_string());
        let text = String::from_utf8_lossy(&said);
        assert!(!status.is_server_error(), "{shown:?} is answered with {status}: {text}");
        let value: Value = serde_json::from_slice(&said).unwrap_or_else(|e| panic!("{shown:?}: {e}: {text}"));
        let words = ["error", "message"].into_iter().filter_map(|name| value.get(name)?.as_str());
        assert!(status.is_success() || words.count() > 0, "{shown:?} is answered with {status}: {text}");
        status.is_success()
    };
    runtime().block_on(async {
        for (number, (path, kind, body)) in SEEDS.into_iter().enumerate() {
            assert!(check(path, kind.as_bytes(), bytes(body)).await, "{path} refuses {body}");
            // Others to the same path lend their pieces.
            let others = SEEDS.iter().filter(|other| other.0 == path && other.1 == kind);
            let bodies = [bytes(body)].into_iter().chain(others.map(|(_, _, body)| bytes(body))).collect();
            for damaged in Mutations::new(bodies, number as u64).take(ROUNDS) {
                check(path, kind.as_bytes(), damaged).await;
            }
            for damaged in Mutations::new(vec![bytes(kind)], number as u64).take(ROUNDS / 4) {
                check(path, &damaged, bytes(body)).await;
            }
            for damaged in Mutations::new(vec![bytes(path)], number as u64).take(ROUNDS / 4) {
                let Ok(path) = String::from_utf8(damaged) else { continue };
                check(&path, kind.as_bytes(), bytes(body)).await;
            }
        }
        let (path, kind, body) = SEEDS[0];
        assert!(check(path, kind.as_bytes(), bytes(body)).await, "the server has had enough");
    });
}

#[test]
fn a_text_that_is_in_the_target_language_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let text = "The old dog sees the cat. \u{a0}And the cat sees the dog.";
    runtime().block_on(async {
        for source in ["auto", "en", "EN"] {
            let ask = json!({ "q": text, "source": source, "target": "en" });
            let (status, translated) = post(&server, "/translate", ask.clone()).await;
            assert_eq!((status, &translated["translatedText"]), (StatusCode::OK, &json!(text)), "{translated}");
            let (status, routed) = post(&server, "/v1/route", ask).await;
            let expected =
                json!({ "model": null, "source": "en", "target": "en", "translatedText": text, "sentences": [] });
            assert_eq!((status, routed), (StatusCode::OK, expected));
        }
        let (_, translated) = post(&server, "/v1/route", json!({ "q": text, "target": "qaa" })).await;
        assert_eq!((&translated["model"]["name"], &translated["source"]), (&json!("model"), &json!("en")));
    });
}

#[test]
fn a_model_that_is_not_there_is_named_also_where_the_language_is_to_be_found() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    runtime().block_on(async {
        for path in ["/translate", "/v1/route"] {
            for source in ["auto", "en"] {
                let ask = json!({ "q": "The dog.", "source": source, "target": "qaa", "model": "other" });
                let (status, said) = post(&server, path, ask).await;
                assert_eq!(status, StatusCode::BAD_REQUEST, "{path} {source}: {said}");
                assert_eq!(said["error"], "there is no such model; there are: model", "{path} {source}");
            }
        }
    });
}

#[test]
fn terms_of_invisible_characters_are_refused_by_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let server = server(folder.path());
    let ask = json!({ "name": "a", "source_lang": "EN", "target_lang": "QAA", "entries_format": "tsv",
                      "entries": "dog\tdogu\n\u{200b}\tX" });
    let (status, said) = runtime().block_on(post(&server, "/v2/glossaries", ask));
    assert_eq!(status, StatusCode::BAD_REQUEST, "{said}");
    assert_eq!(said["message"], "entries: line 2 is not a term and its translation");
}
