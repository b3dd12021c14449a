//! LibreTranslate's API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::api::app::App;
use crate::api::call::Call;
use crate::api::work::{self, Ask, Translated};
use crate::documents::{HTML, TEXT, extensions};
use crate::engine::name_of;
use crate::error::{Answer, ApiError};

/// `POST /translate`
pub async fn translate(call: Call) -> Answer<Json<Value>> {
    let params = &call.params;
    let (texts, several) = params.texts("q")?;
    let format = match params.text("format")?.unwrap_or("text") {
        "text" => &TEXT,
        "html" => &HTML,
        _ => return Err(ApiError::invalid("format must be text or html")),
    };
    let source = call.source_language(params.required("source")?)?;
    let target = call.language(params.required("target")?)?.to_string();
    let alternatives = params.number("alternatives")?.unwrap_or(0);
    let model = params.text("model")?.map(str::to_string);
    let detect = source.is_none();
    let ask = Ask { texts, source, target, model, format, alternatives };
    let found = work::translate(&call, ask).await?;
    let mut answer = Map::new();
    let mut add = |name: &str, of: &dyn Fn(&Translated) -> Value| {
        let mut values: Vec<Value> = found.iter().map(of).collect();
        let value = if several { Value::Array(values) } else { values.pop().unwrap_or_default() };
        answer.insert(name.to_string(), value);
    };
    add("translatedText", &|t| t.text.clone().into());
    if alternatives > 0 {
        add("alternatives", &|t| t.alternatives.clone().into());
    }
    if detect {
        add("detectedLanguage", &|t| detected(&t.source, t.confidence.unwrap_or(0.0)));
    }
    Ok(Json(Value::Object(answer)))
}

/// A language that was identified; the answer has its confidence in percent.
fn detected(tag: &str, confidence: f64) -> Value {
    json!({ "language": tag, "confidence": (confidence * 1000.0).round() / 10.0 })
}

/// `POST /detect`
pub async fn detect(call: Call) -> Answer<Json<Value>> {
    let (texts, several) = call.params.texts("q")?;
    let characters: usize = texts.iter().map(|text| text.chars().count()).sum();
    let most = call.app.settings.request.characters;
    if characters > most {
        return Err(ApiError::too_large(format!(
            "Invalid request: request ({characters}) exceeds text limit ({most})"
        )));
    }
    let found = |text: &String| match call.app.models.identify(text) {
        Some((tag, confidence)) => json!([detected(tag, confidence)]),
        // As LibreTranslate does where it cannot tell.
        None => json!([detected(call.app.models.tags().first().map_or("en", String::as_str), 0.0)]),
    };
    let mut answers: Vec<Value> = texts.iter().map(found).collect();
    Ok(Json(if several { Value::Array(answers) } else { answers.pop().unwrap_or_default() }))
}

/// `GET /languages`
pub async fn languages(State(app): State<Arc<App>>) -> Json<Value> {
    let language = |tag: &str| json!({ "code": tag, "name": name_of(tag), "targets": app.models.targets(tag) });
    Json(app.models.sources().into_iter().map(language).collect())
}

/// `GET /frontend/settings`
pub async fn frontend_settings(State(app): State<Arc<App>>) -> Json<Value> {
    let target =
        app.models.sources().first().and_then(|source| {
            app.models.targets(source).into_iter().find(|target| target != source).map(str::to_string)
        });
    let target = target.unwrap_or_default();
    Json(json!({
        "apiKeys": app.settings.keys.is_some(),
        "charLimit": app.settings.request.characters,
        "filesTranslation": true,
        "frontendTimeout": 500,
        "keyRequired": app.settings.keys.is_some(),
        "language": {
            "source": { "code": "auto", "name": "Auto Detect" },
            "target": { "code": target, "name": name_of(&target) },
        },
        "suggestions": false,
        "supportedFilesFormat": extensions().collect::<Vec<_>>(),
    }))
}

/// `GET /health`
pub async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
