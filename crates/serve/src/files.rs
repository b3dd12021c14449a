//! `POST /translate_file` and `GET /download_file/NAME`, as LibreTranslate has them.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::app::{App, Call};
use crate::document::Format;
use crate::error::{Answer, ApiError};
use crate::work;

/// Translates a file of a form; the answer says where the translation can be fetched for a while.
pub async fn translate_file(headers: HeaderMap, call: Call) -> Answer<Json<Value>> {
    let file = call.params.file.clone();
    let file =
        file.ok_or_else(|| ApiError::invalid("Invalid request: missing file parameter, as multipart/form-data"))?;
    let format = Format::of_file(&file.name).ok_or_else(|| {
        ApiError::invalid(format!(
            "Invalid request: file format not supported; there are {}",
            Format::EXTENSIONS.join(", ")
        ))
    })?;
    let text = String::from_utf8(file.content.to_vec()).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        ApiError::invalid(format!("line {line} of the file is not UTF-8"))
    })?;
    let source = work::source_language(&call, call.params.required("source")?)?;
    let target = work::language(&call, call.params.required("target")?)?.to_string();
    let translated = work::translate_file(&call, text, format, source, &target).await?;
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
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], content).into_response())
}
