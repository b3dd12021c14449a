//! `POST /suggest`: a better translation that somebody proposes, as a line of a file, for later training.

use std::fs::OpenOptions;
use std::io::Write;

use axum::Json;
use serde_json::{Value, json};

use crate::api::call::Call;
use crate::engine::blocking;
use crate::error::{Answer, ApiError};

/// Bytes of the file; beyond that nothing is added.
const MOST_BYTES: u64 = 256 << 20;

/// Adds a line of source language, target language, text and suggestion, with tabs between.
pub async fn suggest(call: Call) -> Answer<Json<Value>> {
    let params = &call.params;
    let Some(path) = call.app.settings.suggestions.clone() else {
        return Err(ApiError::forbidden("suggestions are not taken here; the server's --suggestions allows them"));
    };
    let (text, suggestion) = (params.required("q")?, params.required("s")?);
    let characters = text.chars().count() + suggestion.chars().count();
    let most = call.app.settings.request.characters;
    if characters > most {
        return Err(ApiError::too_large(format!(
            "Invalid request: request ({characters}) exceeds text limit ({most})"
        )));
    }
    let source = call.source_language(params.required("source")?)?.unwrap_or_else(|| "auto".into());
    let target = call.language(params.required("target")?)?;
    let line = [source.as_str(), &target, text, suggestion].map(escaped).join("\t") + "\n";
    let add = move || {
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        if file.metadata()?.len() > MOST_BYTES {
            return Err(std::io::Error::other("the file is full"));
        }
        // One write, so that lines of several requests do not mix.
        file.write_all(line.as_bytes())
    };
    let added = blocking(add).await?;
    added.map_err(|error| ApiError::internal(format!("the suggestion cannot be stored: {error}")))?;
    Ok(Json(json!({ "success": true })))
}

/// A value of a line: tabs, line ends and backslashes are written as `\t`, `\n`, `\r` and `\\`.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_column_of_one_line() {
        assert_eq!(escaped("a\tb\r\nc\\"), "a\\tb\\r\\nc\\\\");
    }
}
