//! LibreTranslate's API.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use strata_documents::{HTML, Options, TEXT, extensions};

use crate::api::app::App;
use crate::api::call::Call;
use crate::api::work::{self, Ask, Sentences, Translated};
use crate::engine::{aliases, name_of};
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
    let target = call.language(params.required("target")?)?;
    let alternatives = params.number("alternatives")?.unwrap_or(0);
    let model = params.text("model")?.map(str::to_string);
    let detect = source.is_none();
    let (options, sentences) = (Options::default(), Sentences::Split);
    let ask = Ask { texts, source, target, model, format, options, sentences, glossary: None, alternatives };
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
    let (texts, _) = call.params.texts("q")?;
    let characters: usize = texts.iter().map(|text| text.chars().count()).sum();
    let most = call.app.settings.request.characters;
    if characters > most {
        return Err(ApiError::too_large(format!(
            "Invalid request: request ({characters}) exceeds text limit ({most})"
        )));
    }
    // Several texts get one answer: the languages by their mean confidence.
    let mut sums: Vec<(String, f64)> = Vec::new();
    for text in &texts {
        let Some((tag, confidence)) = call.app.models.identify(text) else { continue };
        match sums.iter_mut().find(|(other, _)| other == tag) {
            Some((_, sum)) => *sum += confidence,
            None => sums.push((tag.to_string(), confidence)),
        }
    }
    sums.sort_by(|a, b| b.1.total_cmp(&a.1));
    if sums.is_empty() {
        // As LibreTranslate does where it cannot tell.
        sums.push((call.app.models.tags().first().map_or("en", String::as_str).to_string(), 0.0));
    }
    Ok(Json(sums.iter().map(|(tag, sum)| detected(tag, sum / texts.len().max(1) as f64)).collect()))
}

/// `GET /languages`
pub async fn languages(State(app): State<Arc<App>>) -> Json<Value> {
    let language = |tag: &str| json!({ "code": tag, "name": name_of(tag), "aliases": aliases(tag), "targets": app.models.targets(tag) });
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
        "suggestions": app.settings.suggestions.is_some(),
        "supportedFilesFormat": extensions().collect::<Vec<_>>(),
    }))
}

/// `GET /health`
pub async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}
