//! What browsers ask for: TLS, other origins, the page, the description.

use serde_json::json;
use strata_testing::skip;

use crate::common::http::{Server, folder, get, raw};

#[test]
fn tls_is_spoken_with_the_certificate_that_is_given() {
    let here = folder("serve-tls");
    let made = here.bash(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out chain.pem -days 2 \
         -subj /CN=localhost -addext subjectAltName=DNS:localhost && curl --version",
    );
    if made.code != Some(0) {
        return skip("tls_is_spoken_with_the_certificate_that_is_given", "needs the programs openssl and curl");
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
    let methods = raw(&open, preflight).header("access-control-allow-methods").unwrap_or_default().to_string();
    assert_eq!(methods, "GET,POST,DELETE");
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
