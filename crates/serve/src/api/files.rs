//! `POST /translate_file` and `GET /download_file/NAME`, as LibreTranslate has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use strata_translate::{Part, SearchOptions};

use crate::api::app::App;
use crate::api::call::Call;
use crate::api::params::Upload;
use crate::api::work::{identified, within};
use crate::documents::{File, Parts, download_type, worded};
use crate::engine::{Loaded, blocking};
use crate::error::{Answer, ApiError};

/// Sentences of a file that are in the engine at a time.
const BATCH: usize = 64;

/// Translates a file of a form; the answer says where the translation can be fetched for a while.
pub async fn translate_file(headers: HeaderMap, call: Call) -> Answer<Json<Value>> {
    let file = call.params.file.clone();
    let file =
        file.ok_or_else(|| ApiError::invalid("Invalid request: missing file parameter, as multipart/form-data"))?;
    // Files may be large when they are unpacked, so there are only so many at a time.
    let _place = call
        .app
        .files
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::busy("too many files are being translated; try again later", 5))?;
    let source = call.source_language(call.params.required("source")?)?;
    let target = call.language(call.params.required("target")?)?.to_string();
    let translated = translate(&call, &file, source, &target).await?;
    let extension = file.name.rsplit_once('.').map_or("txt", |(_, extension)| extension).to_ascii_lowercase();
    let name = call.app.downloads.keep(&format!(".{target}.{extension}"), translated);
    let name = name.map_err(|_| ApiError::internal("the translation cannot be kept"))?;
    // The server as its client addresses it: there may be another one in front.
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_string);
    let host = said("x-forwarded-host").or_else(|| said("host")).unwrap_or_default();
    let scheme = said("x-forwarded-proto").filter(|scheme| scheme == "https").unwrap_or_else(|| "http".into());
    Ok(Json(json!({ "translatedFileUrl": format!("{scheme}://{host}/download_file/{name}") })))
}

/// Translates the content of a file; one that is in the target language already stays as it is.
async fn translate(call: &Call, upload: &Upload, source: Option<String>, target: &str) -> Answer<Vec<u8>> {
    let limits = &call.app.settings.request;
    let (name, content) = (upload.name.clone(), upload.content.clone());
    let (file, text) = blocking(move || {
        let file = File::open(&name, content.to_vec())?;
        let text = file.text();
        Ok::<_, ApiError>((file, text))
    })
    .await??;
    let characters = text.chars().count();
    if characters > limits.file_characters {
        let text = format!("a file of {characters} characters; at most {} are taken", limits.file_characters);
        return Err(ApiError::too_large(text));
    }
    call.count(characters);
    let deadline = Instant::now() + limits.file_time;
    within(limits.file_time, async {
        let source = match source {
            Some(source) => source,
            None => identified(call, &text, target)?.0,
        };
        if source == target {
            return Ok(upload.content.to_vec());
        }
        let served = call.app.models.choose(call.params.text("model")?, &source, target)?;
        let loaded = call.app.models.get(&served).await?;
        let name = served.name().to_string();
        call.tell(|told| (told.direction, told.model) = (format!("{source}-{target}"), name));
        let translator = loaded.translator().clone();
        let split = move || Ok::<_, ApiError>(Parts::new(file.read()?, &|line| worded(&translator, line)));
        let document = blocking(split).await??;
        call.tell(|told| told.sentences = Some(document.texts().len()));
        let alignments = document.aligned();
        let search = SearchOptions { beam: call.app.settings.beam, alignments, ..SearchOptions::default() };
        let translations = in_batches(&loaded, document.texts(), [&source, target], search, deadline).await?;
        blocking(move || document.render(&translations, 0)).await?
    })
    .await
}

/// Translates texts batch by batch, so that a file never takes all the room; where there is none it waits.
async fn in_batches(
    loaded: &Loaded,
    texts: &[String],
    languages: [&str; 2],
    search: SearchOptions,
    deadline: Instant,
) -> Answer<Vec<Part>> {
    let mut translations = Vec::with_capacity(texts.len());
    while translations.len() < texts.len() {
        let next: Vec<String> = texts[translations.len()..].iter().take(BATCH).cloned().collect();
        let time = deadline.saturating_duration_since(Instant::now());
        match loaded.translate(next, languages, search, time).await {
            Ok(found) => translations.extend(found),
            Err(ApiError { retry_after: Some(seconds), .. }) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            Err(other) => return Err(other),
        }
    }
    Ok(translations)
}

/// Returns a translated file.
pub async fn download_file(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer<Response> {
    let content = app.downloads.get(&name).ok_or_else(|| ApiError::not_found("there is no such file any more"))?;
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let disposition = disposition.unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static(download_type(&name));
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], content).into_response())
}
