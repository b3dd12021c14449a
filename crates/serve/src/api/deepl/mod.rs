//! DeepL's API: text, files, glossaries.

mod documents;
mod glossaries;
mod options;

use axum::Json;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::api::work::{self, Ask, Translated};
use crate::engine::name_of;
use crate::error::{Answer, ApiError};

pub use documents::{Documents, document_result, document_status, upload_document};
pub use glossaries::{
    Glossaries, create_glossary, delete_glossary, glossary, glossary_entries, glossary_languages, list_glossaries,
};

/// A tag as DeepL writes it.
pub fn upper(tag: &str) -> String {
    tag.replace('_', "-").to_ascii_uppercase()
}

/// `POST /v2/translate`
pub async fn translate(call: Call) -> Answer<Json<Value>> {
    let params = &call.params;
    let (texts, _) = params.texts("text")?;
    let options::Handling { format, options, sentences } = options::handling(params)?;
    let said = params.text("source_lang")?;
    let source = said.map(|said| call.language(said)).transpose()?;
    let target = call.language(params.required("target_lang")?)?;
    let glossary = glossaries::asked(&call, source.as_deref(), &target)?;
    let model = params.text("model")?.map(str::to_string);
    let characters: Vec<usize> = texts.iter().map(|text| text.chars().count()).collect();
    let ask = Ask { texts, source, target, model, format, options, sentences, glossary, alternatives: 0 };
    let found = work::translate(&call, ask).await?;
    let translation = |(found, characters): (Translated, usize)| {
        json!({
            "detected_source_language": upper(&found.source),
            "text": found.text,
            "billed_characters": characters,
        })
    };
    let translations: Vec<Value> = found.into_iter().zip(characters).map(translation).collect();
    Ok(Json(json!({ "translations": translations })))
}

/// `GET` and `POST /v2/languages`
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

/// `GET` and `POST /v2/usage`: characters since the server's start, by the client's key. Only requests per minute are
/// limited.
pub async fn usage(call: Call) -> Answer<Json<Value>> {
    let count = match (&call.app.settings.keys, &call.client) {
        (Some(keys), Some(client)) => keys.characters(client),
        _ => 0,
    };
    Ok(Json(json!({ "character_count": count, "character_limit": 1_000_000_000_000u64 })))
}
