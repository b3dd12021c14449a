//! The part of DeepL's API that its clients need for text.

use axum::Json;
use serde_json::{Value, json};

use crate::app::Call;
use crate::document::Format;
use crate::error::{Answer, ApiError};
use crate::models::name_of;
use crate::work::{self, Ask};

/// A tag as DeepL writes it.
pub fn upper(tag: &str) -> String {
    tag.replace('_', "-").to_ascii_uppercase()
}

/// `POST /v2/translate`
pub async fn translate(call: Call) -> Answer<Json<Value>> {
    let params = &call.params;
    let (texts, _) = params.texts("text")?;
    let format = match params.text("tag_handling")? {
        None => Format::Text,
        Some("html" | "xml") => Format::Html,
        Some(_) => return Err(ApiError::invalid("tag_handling must be html or xml")),
    };
    let said = params.text("source_lang")?;
    let source = said.map(|said| work::language(&call, said).map(str::to_string)).transpose()?;
    let target = work::language(&call, params.required("target_lang")?)?.to_string();
    let characters: Vec<usize> = texts.iter().map(|text| text.chars().count()).collect();
    let ask = Ask { texts, source, target, model: None, format, alternatives: 0 };
    let found = work::translate(&call, ask).await?;
    let translation = |(found, characters): (work::Translated, usize)| json!({ "detected_source_language": upper(&found.source), "text": found.text, "billed_characters": characters });
    let translations: Vec<Value> = found.into_iter().zip(characters).map(translation).collect();
    Ok(Json(json!({ "translations": translations })))
}

/// `GET /v2/languages`
pub async fn languages(call: Call) -> Answer<Json<Value>> {
    let models = &call.app.models;
    let mut tags = models.sources();
    let target = match call.params.text("type")? {
        None | Some("source") => false,
        Some("target") => true,
        Some(_) => return Err(ApiError::invalid("type must be source or target")),
    };
    if target {
        tags = tags.iter().flat_map(|source| models.targets(source).into_iter().filter(move |t| t != source)).collect();
        tags.sort_unstable();
        tags.dedup();
    }
    let language = |tag: &str| json!({ "language": upper(tag), "name": name_of(tag), "supports_formality": false });
    Ok(Json(tags.into_iter().map(language).collect()))
}

/// `GET /v2/usage`: since the server's start, of the client's key. There is no limit but the rate.
pub async fn usage(call: Call) -> Answer<Json<Value>> {
    let count = match (&call.app.settings.keys, &call.client) {
        (Some(keys), Some(client)) => keys.characters(client),
        _ => 0,
    };
    Ok(Json(json!({ "character_count": count, "character_limit": 1_000_000_000_000u64 })))
}
