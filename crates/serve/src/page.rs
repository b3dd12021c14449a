//! The web page and the description of the API: files of this crate, built into the program.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

/// The page may run and load what comes from this server as a file of its own, and nothing else; nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, content).into_response()
}

/// `GET /`
pub async fn html() -> Response {
    file("text/html; charset=utf-8", include_str!("../page/page.html"))
}

/// `GET /page.css`
pub async fn css() -> Response {
    file("text/css; charset=utf-8", include_str!("../page/page.css"))
}

/// `GET /page.js`
pub async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../page/page.js"))
}

/// `GET /spec`
pub async fn spec() -> Response {
    file("application/json", include_str!("../page/openapi.json"))
}
