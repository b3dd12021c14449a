//! A server behind a proxy and by its name, and what people suggest to it.

use serde_json::json;

use crate::common::http::{self, Server, TEXT, folder, get, post};

#[test]
fn below_a_prefix_everything_is_found_and_named() {
    let here = folder("serve-prefix");
    let server = Server::start(&here, "../served/run --url-prefix /mt/ --host localhost");
    for path in ["/mt/languages", "/languages", "/mt/page.js", "/mt/spec"] {
        assert_eq!(get(&server, path).status, 200, "{path}");
    }
    assert_eq!(get(&server, "/mt").status, 308);
    let page = get(&server, "/mt/").body;
    assert!(!page.contains("href=\"/") && !page.contains("src=\"/"), "{page}");
    assert_eq!(get(&server, "/mt/spec").json()["servers"][0]["url"], "/mt");
    let fields = [("source", "en"), ("target", "qaa")];
    let answer = http::post_file(&server, "/mt/translate_file", "my report.txt", TEXT, &fields).json();
    let url = answer["translatedFileUrl"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", server.address)).unwrap();
    assert!(path.starts_with("/mt/download_file/") && path.ends_with(".my%20report.qaa.txt"), "{path}");
    assert_eq!(get(&server, path).status, 200);
}

#[test]
fn suggestions_are_lines_of_a_file_where_they_are_taken() {
    let here = folder("serve-suggest");
    let ask = json!({ "q": "The\tdog\nsees", "s": "zzz", "source": "en", "target": "qaa" });
    let closed = Server::start(&here, "../served/run");
    assert_eq!(post(&closed, "/suggest", &ask).status, 403);
    let server = Server::start(&here, "../served/run --suggestions said.tsv");
    assert_eq!(get(&server, "/frontend/settings").json()["suggestions"], true);
    assert_eq!(post(&server, "/suggest", &ask).json(), json!({ "success": true }));
    assert_eq!(post(&server, "/suggest", &ask).status, 200);
    assert_eq!(here.read("said.tsv"), "en\tqaa\tThe\\tdog\\nsees\tzzz\n".repeat(2));
    assert_eq!(post(&server, "/suggest", &json!({ "q": "a", "source": "en", "target": "qaa" })).status, 400);
}

#[test]
fn languages_are_those_of_the_model_that_is_named() {
    let here = folder("serve-model-languages");
    let server = Server::start(&here, "only=../served/run");
    let ask = |source: &str, model: &str| {
        post(&server, "/translate", &json!({ "q": TEXT, "source": source, "target": "qaa", "model": model })).status
    };
    assert_eq!(
        (ask("eng_Latn", "only"), ask("EN-gb", ""), ask("xx", "only"), ask("en", "other")),
        (200, 200, 400, 400)
    );
    assert!(get(&server, "/languages").json()[0]["aliases"].is_array());
    let named = post(&server, "/v2/languages", &json!({ "type": "target" })).json();
    assert_eq!(named, get(&server, "/v2/languages?type=target").json());
    let two = post(&server, "/detect", &json!({ "q": [TEXT, TEXT] })).json();
    assert!(two[0]["language"].is_string(), "{two}");
    let bom = http::send(
        &server.address,
        "/translate",
        "application/json",
        format!("\u{feff}{{\"q\":\"{TEXT}\",\"source\":\"en\",\"target\":\"qaa\"}}").as_bytes(),
    );
    assert_eq!(bom.status, 200, "{}", bom.body);
    let half = http::send(
        &server.address,
        "/translate",
        "application/json",
        "{\"q\":\"\\ud800\",\"source\":\"en\",\"target\":\"qaa\"}".as_bytes(),
    );
    assert!(half.status == 400 && half.body.contains("surrogate"), "{}", half.body);
}
