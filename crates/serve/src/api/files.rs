//! `POST /translate_file` and `GET /download_file/NAME`, as LibreTranslate has them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::{App, Call};
use crate::error::{Answer, ApiError};
use crate::work;

/// Translates a file of a form; the answer says where the translation can be fetched for a while.
pub async fn translate_file(headers: HeaderMap, call: Call) -> Answer<Json<Value>> {
    let file = call.params.file.clone();
    let file =
        file.ok_or_else(|| ApiError::invalid("Invalid request: missing file parameter, as multipart/form-data"))?;
    // Of files that are large when they are unpacked there are only so many at a time.
    let _place = call
        .app
        .files
        .clone()
        .try_acquire_owned()
        .map_err(|_| ApiError::busy("too many files are being translated; try again later", 5))?;
    let source = work::source_language(&call, call.params.required("source")?)?;
    let target = work::language(&call, call.params.required("target")?)?.to_string();
    let translated = work::translate_file(&call, &file, source, &target).await?;
    let extension = file.name.rsplit_once('.').map_or("txt", |(_, extension)| extension).to_ascii_lowercase();
    let name = call.app.downloads.keep(&format!(".{target}.{extension}"), translated);
    let name = name.map_err(|_| ApiError::internal("the translation cannot be kept"))?;
    // As the client addresses the server, which may be behind another one.
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_string);
    let host = said("x-forwarded-host").or_else(|| said("host")).unwrap_or_default();
    let scheme = said("x-forwarded-proto").filter(|scheme| scheme == "https").unwrap_or_else(|| "http".into());
    Ok(Json(json!({ "translatedFileUrl": format!("{scheme}://{host}/download_file/{name}") })))
}

/// Gives a translated file.
pub async fn download_file(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer<Response> {
    let content = app.downloads.get(&name).ok_or_else(|| ApiError::not_found("there is no such file any more"))?;
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    let disposition = disposition.unwrap_or(HeaderValue::from_static("attachment"));
    let kind = match name.ends_with(".docx") {
        true => HeaderValue::from_static("application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        false => HeaderValue::from_static("text/plain; charset=utf-8"),
    };
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], content).into_response())
}
