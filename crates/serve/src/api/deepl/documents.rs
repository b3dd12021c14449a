//! DeepL's translation of files: sent, asked about until it is done, and fetched.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use strata_documents::{Options, download_type};

use crate::api::call::Call;
use crate::api::deepl::{glossaries, options};
use crate::api::files::{self, AskFile};
use crate::api::observe::beginning;
use crate::api::random::name;
use crate::error::{Answer, ApiError};
use crate::lock::lock;
use crate::log::{Entry, Told};

/// How long a file waits to be fetched.
const KEPT: Duration = Duration::from_secs(600);
/// Files at a time, done or under way; beyond that the oldest of those that are done go.
const MOST: usize = 256;

/// Files under way and done.
#[derive(Debug, Default)]
pub struct Documents(Mutex<VecDeque<Document>>);

#[derive(Debug)]
struct Document {
    id: String,
    key: String,
    since: Instant,
    state: State,
}

impl Document {
    /// How long it is kept in its state. An entry outlives its file, so that clients learn what became of it, and a
    /// translation that never ends is dropped after `most`.
    fn kept(&self, most: Duration) -> Duration {
        2 * KEPT + if matches!(self.state, State::Translating) { most } else { Duration::ZERO }
    }
}

/// How far a file is.
#[derive(Clone, Debug)]
enum State {
    Translating,
    /// Its characters, and the name by which it is fetched.
    Done(usize, String),
    Failed(String),
}

impl Documents {
    /// Takes a file, whose translation takes `most` at most.
    ///
    /// # Errors
    /// 429 where all files are under way.
    fn begin(&self, most: Duration) -> Answer<(String, String)> {
        let (id, key) = (name().map_err(ApiError::internal)?, name().map_err(ApiError::internal)?);
        let mut documents = lock(&self.0);
        documents.retain(|document| document.since.elapsed() < document.kept(most));
        if documents.len() >= MOST {
            let ended = documents.iter().position(|document| !matches!(document.state, State::Translating));
            let full = || ApiError::busy("too many files are being translated; try again later", 5);
            documents.remove(ended.ok_or_else(full)?);
        }
        let (since, state) = (Instant::now(), State::Translating);
        documents.push_back(Document { id: id.clone(), key: key.clone(), since, state });
        Ok((id, key))
    }

    fn end(&self, id: &str, state: State) {
        if let Some(document) = lock(&self.0).iter_mut().find(|document| document.id == id) {
            (document.state, document.since) = (state, Instant::now());
        }
    }

    fn state(&self, id: &str, key: &str) -> Answer<State> {
        let documents = lock(&self.0);
        let found = documents.iter().find(|document| document.id == id && document.key == key);
        found.map(|document| document.state.clone()).ok_or_else(|| ApiError::not_found("there is no such document"))
    }
}

/// `POST /v2/document`
pub async fn upload_document(call: Call) -> Answer<Json<Value>> {
    let params = &call.params;
    let mut upload = params.file.clone().ok_or_else(|| ApiError::invalid("there is no file"))?;
    if let Some(said) = params.text("filename")? {
        upload.name = said.to_string();
    }
    let source = params.text("source_lang")?.map(|said| call.language(said)).transpose()?;
    let target = call.language(params.required("target_lang")?)?;
    if params.is_said("output_format") {
        return Err(ApiError::invalid("output_format is not supported: a file keeps its format; leave it out"));
    }
    let handling = options::handling(params)?;
    let format = handling.of_file(&upload.name)?;
    let reading = Options { target: Some(target.clone()), ..handling.options };
    let glossary = glossaries::asked(&call, source.as_deref(), &target)?;
    // What is wrong with the file is said at once; so is that there is no room.
    let file = files::read(&call, &upload, format, reading).await?;
    let (id, key) = call.app.documents.begin(call.app.settings.request.file_time)?;
    let answer = json!({ "document_id": id, "document_key": key });
    let app = call.app.clone();
    tokio::spawn(async move {
        let start = Instant::now();
        let ask = AskFile { source, target: target.clone(), sentences: handling.sentences, glossary };
        let characters = file.characters;
        let translated = files::translate(&call, file, ask).await;
        let kept = translated.and_then(|translated| {
            let name = files::translated_name(&upload.name, &target);
            app.downloads.keep(&format!(".{name}"), translated.content).map_err(ApiError::internal)
        });
        let (state, status, reason) = match kept {
            Ok(name) => (State::Done(characters, name), StatusCode::OK, String::new()),
            Err(error) => (State::Failed(error.message.clone()), error.status, error.message),
        };
        // The request that brought the file has its characters.
        let told = Told { characters: None, ..call.told() };
        let entry = told.entry("file", status.as_u16(), start.elapsed());
        (app.settings.log)(&Entry { message: beginning(&reason), ..entry });
        app.documents.end(&id, state);
    });
    Ok(Json(answer))
}

/// `POST /v2/document/{id}`
pub async fn document_status(Path(id): Path<String>, call: Call) -> Answer<Json<Value>> {
    let state = call.app.documents.state(&id, call.params.required("document_key")?)?;
    Ok(Json(match state {
        State::Translating => json!({ "document_id": id, "status": "translating", "seconds_remaining": 1 }),
        State::Done(characters, _) => json!({ "document_id": id, "status": "done", "billed_characters": characters }),
        State::Failed(why) => json!({ "document_id": id, "status": "error", "message": why, "error_message": why }),
    }))
}

/// `POST /v2/document/{id}/result`
pub async fn document_result(Path(id): Path<String>, call: Call) -> Answer<Response> {
    let name = match call.app.documents.state(&id, call.params.required("document_key")?)? {
        State::Done(_, name) => name,
        State::Translating => return Err(ApiError::unavailable("the document is not translated yet", 1)),
        State::Failed(why) => return Err(ApiError::invalid(why)),
    };
    let content =
        call.app.downloads.get(&name).ok_or_else(|| ApiError::not_found("there is no such document any more"))?;
    let file = name.split_once('.').map_or(name.as_str(), |(_, file)| file);
    let kind = HeaderValue::from_static(download_type(file));
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, files::disposition(file))], content)
        .into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_under_way_are_kept_and_the_oldest_that_are_done_make_room() {
        let documents = Documents::default();
        let most = Duration::from_secs(3000);
        let files: Vec<(String, String)> = (0..MOST).map(|_| documents.begin(most).unwrap()).collect();
        let refused = documents.begin(most).unwrap_err();
        assert_eq!((refused.status, refused.retry_after), (StatusCode::TOO_MANY_REQUESTS, Some(5)));
        documents.end(&files[7].0, State::Failed(String::new()));
        documents.begin(most).unwrap();
        let is_there = |i: usize| documents.state(&files[i].0, &files[i].1).is_ok();
        assert!(is_there(0) && !is_there(7));
        // After the time in which a file is fetched, but not after that of its translation.
        let Some(before) = Instant::now().checked_sub(2 * KEPT + Duration::from_secs(1)) else { return };
        documents.end(&files[9].0, State::Failed(String::new()));
        lock(&documents.0).iter_mut().for_each(|document| document.since = before);
        documents.begin(most).unwrap();
        assert!(is_there(0) && !is_there(9));
    }
}
