//! The web page and the API's description, which are files in `page/`, built into the program.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api::app::App;
use crate::api::deepl::upper;
use crate::error::{Answer, ApiError};

/// The page may run and load files of this server, and nothing else; no other page may frame it.
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
    file("text/html; charset=utf-8", include_str!("../../page/page.html"))
}

/// `GET /page.css`
pub async fn css() -> Response {
    file("text/css; charset=utf-8", include_str!("../../page/page.css"))
}

/// `GET /page.js`
pub async fn script() -> Response {
    file("text/javascript; charset=utf-8", include_str!("../../page/page.js"))
}

/// `GET /spec`: the API's description (OpenAPI), with the languages of the models.
pub async fn spec(State(app): State<Arc<App>>) -> Answer<Json<Value>> {
    describe(app.models.tags(), &app.settings.url_prefix)
        .map(Json)
        .map_err(|_| ApiError::internal("the description of the API is damaged"))
}

fn describe(tags: &[String], prefix: &str) -> Result<Value, serde_json::Error> {
    let mut spec: Value = serde_json::from_str(include_str!("../../page/openapi.json"))?;
    let auto = ["auto".to_string()];
    let upper: Vec<String> = tags.iter().map(|tag| upper(tag)).collect();
    if !prefix.is_empty() {
        spec["servers"][0]["url"] = prefix.into();
    }
    let schemas = &mut spec["components"]["schemas"];
    schemas["Language"]["enum"] = json!(tags);
    schemas["Source"]["enum"] = auto.iter().chain(tags).cloned().collect();
    schemas["DeeplLanguage"]["enum"] = json!(upper);
    Ok(spec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_names_the_languages_and_every_reference_is_there() {
        let spec = describe(&["de".into(), "zh_CN".into()], "").unwrap();
        let schemas = &spec["components"]["schemas"];
        assert_eq!(schemas["Source"]["enum"], json!(["auto", "de", "zh_CN"]));
        assert_eq!(schemas["DeeplLanguage"]["enum"], json!(["DE", "ZH-CN"]));
        let text = spec.to_string();
        let references: Vec<&str> = text.split("#/components/schemas/").skip(1).collect();
        assert!(references.len() > 10);
        for reference in references {
            let name = reference.split('"').next().unwrap();
            assert!(schemas[name].is_object(), "{name} is not described");
        }
    }
}
