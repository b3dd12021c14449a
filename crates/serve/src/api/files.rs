//! `POST /translate_file` and `GET /download_file/NAME`, as LibreTranslate has them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use strata_documents::{Document, Format, Limits, Options, Parts, download_type, memory, open};
use strata_translate::{Glossary, Part, SearchOptions, TranslateOptions};
use tokio::sync::OwnedSemaphorePermit;

use crate::api::app::App;
use crate::api::call::Call;
use crate::api::params::Upload;
use crate::api::work::{Sentences, identified, warnings, within};
use crate::engine::{Loaded, blocking};
use crate::error::{Answer, ApiError};

/// Sentences of a file that are in the engine at a time.
const BATCH: usize = 64;
/// Bytes of markup that an archive may unpack to.
const UNPACKED: usize = 16 << 20;
/// Members of an archive.
const MEMBERS: usize = 5000;
/// Lines, paragraphs and tags of a file.
const SEGMENTS: usize = 100_000;
/// Bytes of memory that all files under way may take together.
pub const MEMORY: usize = 512 << 20;

/// What is asked for with a file.
pub struct AskFile {
    /// The language; none to identify it.
    pub source: Option<String>,
    /// The language to translate into.
    pub target: String,
    /// How sentences are found.
    pub sentences: Sentences,
    /// Terms that must be translated in a given way.
    pub glossary: Option<Arc<Glossary>>,
}

/// A file that was read, with the room that it takes.
pub struct ReadFile {
    /// Its characters.
    pub characters: usize,
    content: Upload,
    document: Box<dyn Document>,
    room: OwnedSemaphorePermit,
}

/// Translates a file of a form; the answer says where the translation can be fetched for a while.
pub async fn translate_file(headers: HeaderMap, call: Call) -> Answer<Json<Value>> {
    let file = call.params.file.clone();
    let file =
        file.ok_or_else(|| ApiError::invalid("Invalid request: missing file parameter, as multipart/form-data"))?;
    let source = call.source_language(call.params.required("source")?)?;
    let target = call.language(call.params.required("target")?)?;
    let name = translated_name(&file.name, &target);
    let reading = Options { target: Some(target.clone()), ..Options::default() };
    let read = read(&call, &file, None, reading).await?;
    let ask = AskFile { source, target, sentences: Sentences::Split, glossary: None };
    let TranslatedFile { content, warnings } = translate(&call, read, ask).await?;
    let name = call.app.downloads.keep(&format!(".{name}"), content);
    let name = name.map_err(|_| ApiError::internal("the translation cannot be kept"))?;
    // The server as its client addresses it: there may be another one in front.
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_string);
    let host = said("x-forwarded-host").or_else(|| said("host")).unwrap_or_default();
    let scheme = said("x-forwarded-proto").filter(|scheme| scheme == "https").unwrap_or_else(|| "http".into());
    let path = form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20");
    let prefix = &call.app.settings.url_prefix;
    let mut answer = json!({ "translatedFileUrl": format!("{scheme}://{host}{prefix}/download_file/{path}") });
    if !warnings.is_empty() {
        answer["warnings"] = warnings.into();
    }
    Ok(Json(answer))
}

/// Reads a file of `format`, or as its name says, within the limits of a request, once there is room for it.
///
/// # Errors
/// 400 for a file of another format or a damaged one, 413 for one with too much in it, 429 where there is no room.
pub async fn read(call: &Call, upload: &Upload, format: Option<&'static Format>, options: Options) -> Answer<ReadFile> {
    let characters = call.app.settings.request.file_characters;
    let limits = Limits { members: MEMBERS, unpacked: UNPACKED, characters, segments: SEGMENTS };
    let needed = memory(&upload.name, &upload.content, &limits).min(MEMORY);
    let needed = u32::try_from(needed.div_ceil(1 << 10)).unwrap_or(u32::MAX);
    let room = call.app.files.clone().try_acquire_many_owned(needed);
    let room = room.map_err(|_| ApiError::busy("too many files are being translated; try again later", 5))?;
    let (content, options) = (upload.clone(), Options { limits, ..options });
    let read = move || {
        let bytes = content.content.to_vec();
        let document = match format {
            Some(format) => format.read(bytes, &options)?,
            None => open(&content.name, bytes, &options)?,
        };
        let characters = document.segments().iter().map(|segment| segment.text.chars().count()).sum();
        Ok::<_, ApiError>(ReadFile { characters, content, document, room })
    };
    let read = blocking(read).await??;
    call.count(read.characters);
    Ok(read)
}

/// A file in another language.
pub struct TranslatedFile {
    /// Its bytes.
    pub content: Vec<u8>,
    /// What seems to be missing.
    pub warnings: Vec<String>,
}

/// Translates a file; one that is in the target language already stays as it is.
///
/// # Errors
/// 400 for a direction that there is not, 503 where it takes too long.
pub async fn translate(call: &Call, file: ReadFile, ask: AskFile) -> Answer<TranslatedFile> {
    let limits = &call.app.settings.request;
    let deadline = Instant::now() + limits.file_time;
    let ReadFile { content, document, room, .. } = file;
    let AskFile { source, target, sentences, glossary } = ask;
    let translated = within(limits.file_time, async {
        let model = call.params.text("model")?;
        let source = match source {
            Some(source) => source,
            None => identified(call, &beginning(document.as_ref()), &target, model).await?.0,
        };
        if source == target {
            return Ok(TranslatedFile { content: content.content.to_vec(), warnings: Vec::new() });
        }
        let served = call.app.models.choose(model, &source, &target)?;
        let loaded = call.app.models.get(&served).await?;
        let name = served.name().to_string();
        call.tell(|told| (told.direction, told.model) = (format!("{source}-{target}"), name));
        let translator = loaded.translator().clone();
        let document = blocking(move || Parts::new(document, &|line| sentences.of(&translator, line))).await?;
        call.tell(|told| told.sentences = Some(document.texts().len()));
        let (beam, alignments) = (call.app.settings.beam, document.aligned());
        let search = SearchOptions { beam, alignments, ..SearchOptions::default() };
        let search = TranslateOptions { glossary, ..search.into() };
        let translations = in_batches(&loaded, document.texts(), [&source, &target], &search, deadline).await?;
        let warnings = warnings(document.texts(), &translations);
        let content = blocking(move || document.render(&translations, 0)).await??;
        Ok(TranslatedFile { content, warnings })
    })
    .await;
    drop(room);
    translated
}

/// Text enough to tell its language.
fn beginning(document: &dyn Document) -> String {
    let mut text = String::new();
    for segment in document.segments() {
        text.push_str(&segment.text);
        text.push('\n');
        if text.len() > 20_000 {
            break;
        }
    }
    text
}

/// Translates texts batch by batch, so that a file never takes all the room; where there is none it waits.
async fn in_batches(
    loaded: &Loaded,
    texts: &[String],
    languages: [&str; 2],
    search: &TranslateOptions,
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

/// The name of a translated file: `report.de.docx`.
pub fn translated_name(name: &str, target: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or("");
    let name: String = name.chars().filter(|c| !c.is_control() && *c != '"').collect();
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name.as_str(), "txt"));
    let stem: String = stem.chars().take(100).collect();
    let extension: String = extension.chars().take(10).collect();
    match stem.as_str() {
        "" => format!("translation.{target}.{extension}"),
        stem => format!("{stem}.{target}.{extension}"),
    }
}

/// The header that says what a file is to be called.
pub fn disposition(name: &str) -> HeaderValue {
    let plain: String = name.chars().map(|c| if c.is_ascii() { c } else { '_' }).collect();
    let full = form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20");
    let value = HeaderValue::from_str(&format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{full}"));
    value.unwrap_or(HeaderValue::from_static("attachment"))
}

/// Returns a translated file.
pub async fn download_file(State(app): State<Arc<App>>, Path(name): Path<String>) -> Answer<Response> {
    let content = app.downloads.get(&name).ok_or_else(|| ApiError::not_found("there is no such file any more"))?;
    let kind = HeaderValue::from_static(download_type(&name));
    let file = name.split_once('.').map_or(name.as_str(), |(_, file)| file);
    Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition(file))], content).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kept_and_cannot_do_harm() {
        assert_eq!(translated_name("report.docx", "de"), "report.de.docx");
        assert_eq!(translated_name("a/b\\My.long \"name\".SRT", "zh_CN"), "My.long name.zh_CN.SRT");
        assert_eq!(translated_name("../..", "de"), "..de.");
        assert_eq!(translated_name(".txt", "de"), "translation.de.txt");
        let value = disposition("bücher.de.txt");
        assert_eq!(value, "attachment; filename=\"b_cher.de.txt\"; filename*=UTF-8''b%C3%BCcher.de.txt");
    }
}
