//! API keys and their rates.

use serde_json::json;

use crate::common::http::{Server, folder, get, post, raw};
use crate::common::new_key;

#[test]
fn keys_are_asked_for_and_their_rates_hold() {
    let here = folder("serve-keys");
    // The line is on standard output, which may go to the file as it is; the key is not, and -q hides neither.
    let made = here.strata("serve --new-key alice --rate 3 -q").succeeds();
    let (key, line) = new_key(&made);
    let key = key.as_str();
    here.write("keys.txt", format!("# ours\n{}", made.out));
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
    let ended = server.stop();
    let logged = |status: &str| ended.err.lines().rfind(|line| line.contains(status)).unwrap().to_string();
    let refused = logged("\"status\":429");
    assert!(refused.contains("\"key\":\"alice\"") && refused.contains("this key may send 3 requests"), "{refused}");
    assert!(logged("\"status\":403").contains("Invalid API key"), "{ended}");
    here.write("bad.txt", "alice 12\n");
    here.refuses("serve ../served/run --keys bad.txt --port 0", &["bad.txt", "line 1", "--new-key"]);
}
