//! LibreTranslate's API.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};
use strata_corpus::codes::aliases;
use strata_documents::{HTML, Options, TEXT, extensions};

use crate::api::app::App;
use crate::api::call::Call;
use crate::api::work::{self, Ask, Sentences, Translated, check_texts};
use crate::engine::{blocking, name_of};
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
    if found.iter().any(|t| !t.warnings.is_empty()) {
        add("warnings", &|t| t.warnings.clone().into());
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
    check_texts(&texts, &call.app.settings.request)?;
    let app = call.app.clone();
    blocking(move || {
        let found = texts.iter().filter_map(|text| Some((app.models.identify(text)?, text.chars().count())));
        let languages = averaged(found.map(|((tag, confidence), length)| (tag, confidence, length)));
        if languages.is_empty() {
            // As LibreTranslate does where it cannot tell.
            let first = app.models.tags().first().map_or("en", String::as_str);
            return Json(json!([detected(first, 0.0)]));
        }
        Json(languages.into_iter().map(|(tag, confidence)| detected(tag, confidence)).collect())
    })
    .await
}

/// One list for all texts, as LibreTranslate gives it: each language with its mean confidence, that of most text first.
fn averaged<'a>(found: impl Iterator<Item = (&'a str, f64, usize)>) -> Vec<(&'a str, f64)> {
    // Of each language: the sum of its confidences, its texts, their characters.
    let mut languages: BTreeMap<&str, (f64, usize, usize)> = BTreeMap::new();
    for (tag, confidence, length) in found {
        let (sum, texts, characters) = languages.entry(tag).or_default();
        (*sum, *texts, *characters) = (*sum + confidence, *texts + 1, *characters + length);
    }
    let mut averages: Vec<(&str, f64, f64)> = languages
        .into_iter()
        .map(|(tag, (sum, texts, characters))| (tag, sum / texts as f64, sum / texts as f64 * characters as f64))
        .collect();
    averages.sort_by(|a, b| b.2.total_cmp(&a.2));
    averages.into_iter().map(|(tag, confidence, _)| (tag, confidence)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_of_several_texts_are_one_list() {
        let found = [("en", 0.8, 10), ("de", 0.9, 30), ("en", 0.4, 10)];
        let averages = averaged(found.into_iter());
        assert_eq!(averages.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), ["de", "en"]);
        assert!((averages[1].1 - 0.6).abs() < 1e-9);
        assert!(averaged(std::iter::empty()).is_empty());
    }
}
