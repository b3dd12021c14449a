//! DeepL's glossaries: terms that must be translated in a given way, kept in memory until the server stops.

use std::sync::{Arc, Mutex};

use axum::Json;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use strata_translate::{Glossary, Term};

use crate::api::call::Call;
use crate::api::random::{name, now};
use crate::error::{Answer, ApiError};
use crate::lock::lock;

/// Glossaries at a time; beyond that none are made.
const MOST: usize = 1000;
/// Bytes of all glossaries together.
const MOST_BYTES: usize = 16 << 20;

/// All glossaries of a server.
#[derive(Debug, Default)]
pub struct Glossaries(Mutex<Vec<Entry>>);

/// A glossary.
#[derive(Clone, Debug)]
struct Entry {
    id: String,
    /// Who may use it: the client's name, where keys are required.
    owner: Option<String>,
    name: String,
    source: String,
    target: String,
    created: String,
    terms: Vec<(String, String)>,
    glossary: Arc<Glossary>,
}

impl Entry {
    fn described(&self) -> Value {
        json!({
            "glossary_id": self.id,
            "ready": true,
            "name": self.name,
            "source_lang": self.source.replace('_', "-").to_ascii_lowercase(),
            "target_lang": self.target.replace('_', "-").to_ascii_lowercase(),
            "creation_time": self.created,
            "entry_count": self.terms.len(),
        })
    }

    fn bytes(&self) -> usize {
        self.terms.iter().map(|(term, translation)| term.len() + translation.len() + 64).sum()
    }
}

fn owner(call: &Call) -> Option<String> {
    call.client.as_ref().map(|client| client.name.clone())
}

/// The glossary of this number, if it is the client's.
fn find(call: &Call, id: &str) -> Answer<Entry> {
    let owner = owner(call);
    let glossaries = lock(&call.app.glossaries.0);
    let found = glossaries.iter().find(|entry| entry.id == id && entry.owner == owner);
    found.cloned().ok_or_else(|| ApiError::not_found("there is no such glossary"))
}

/// The glossary that a translation asks for.
///
/// # Errors
/// 400 for one of another direction, or without the source language; 404 for one that is not there.
pub fn asked(call: &Call, source: Option<&str>, target: &str) -> Answer<Option<Arc<Glossary>>> {
    let Some(id) = call.params.text("glossary_id")? else { return Ok(None) };
    let source = source.ok_or_else(|| ApiError::invalid("glossary_id needs source_lang"))?;
    let entry = find(call, id)?;
    if entry.source != source || entry.target != target {
        let text = format!("the glossary is for {} to {}", entry.source, entry.target);
        return Err(ApiError::invalid(text));
    }
    Ok(Some(entry.glossary))
}

/// `POST /v2/glossaries`
pub async fn create_glossary(call: Call) -> Answer<(StatusCode, Json<Value>)> {
    let params = &call.params;
    let said = params.required("name")?.to_string();
    let source = call.language(params.required("source_lang")?)?;
    let target = call.language(params.required("target_lang")?)?;
    let entries = params.required("entries")?;
    let pairs = match params.required("entries_format")? {
        "tsv" => tsv(entries),
        "csv" => csv(entries),
        _ => return Err(ApiError::invalid("entries_format must be tsv or csv")),
    }
    .map_err(|line| ApiError::invalid(format!("entries: line {line} is not a term and its translation")))?;
    if pairs.is_empty() {
        return Err(ApiError::invalid("entries: there is none"));
    }
    let (terms, found): (Vec<(String, String)>, Vec<Term>) = pairs.into_iter().unzip();
    let id = name().map_err(ApiError::internal)?;
    // As DeepL's numbers are written.
    let id = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
    let glossary = Arc::new(found.into_iter().collect());
    let entry = Entry { id, owner: owner(&call), name: said, source, target, created: now(), terms, glossary };
    let described = entry.described();
    let mut glossaries = lock(&call.app.glossaries.0);
    let bytes: usize = glossaries.iter().chain([&entry]).map(Entry::bytes).sum();
    if glossaries.len() >= MOST || bytes > MOST_BYTES {
        return Err(ApiError::too_large("there is no room for another glossary; delete some"));
    }
    glossaries.push(entry);
    Ok((StatusCode::CREATED, Json(described)))
}

/// `GET /v2/glossaries`
pub async fn list_glossaries(call: Call) -> Json<Value> {
    let owner = owner(&call);
    let glossaries = lock(&call.app.glossaries.0);
    let mine: Vec<Value> = glossaries.iter().filter(|entry| entry.owner == owner).map(Entry::described).collect();
    Json(json!({ "glossaries": mine }))
}

/// `GET /v2/glossaries/{id}`
pub async fn glossary(Path(id): Path<String>, call: Call) -> Answer<Json<Value>> {
    find(&call, &id).map(|entry| Json(entry.described()))
}

/// `GET /v2/glossaries/{id}/entries`, as lines of tab-separated values.
pub async fn glossary_entries(Path(id): Path<String>, call: Call) -> Answer<Response> {
    let entry = find(&call, &id)?;
    let lines: Vec<String> = entry.terms.iter().map(|(term, translation)| format!("{term}\t{translation}")).collect();
    Ok(([(header::CONTENT_TYPE, "text/tab-separated-values; charset=utf-8")], lines.join("\n")).into_response())
}

/// `DELETE /v2/glossaries/{id}`
pub async fn delete_glossary(Path(id): Path<String>, call: Call) -> Answer<StatusCode> {
    find(&call, &id)?;
    lock(&call.app.glossaries.0).retain(|entry| entry.id != id);
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v2/glossary-language-pairs`
pub async fn glossary_languages(call: Call) -> Json<Value> {
    let models = &call.app.models;
    let lower = |tag: &str| tag.replace('_', "-").to_ascii_lowercase();
    let mut pairs = Vec::new();
    for source in models.sources() {
        let targets = models.targets(source).into_iter().filter(|target| *target != source);
        pairs.extend(targets.map(|target| json!({ "source_lang": lower(source), "target_lang": lower(target) })));
    }
    Json(json!({ "supported_languages": pairs }))
}

/// A term and its translation as they are sent, and as they are looked for.
type Pair = ((String, String), Term);

/// Terms, one a line, with a tab between a term and its translation; otherwise the number of a line.
fn tsv(text: &str) -> Result<Vec<Pair>, usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(i, line)| pair(line.split('\t').map(str::to_string)).ok_or(i + 1)).collect()
}

/// Terms, one a line, with a comma between, in quotes where they hold one; languages may follow.
fn csv(text: &str) -> Result<Vec<Pair>, usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(i, line)| pair(values(line).into_iter()).ok_or(i + 1)).collect()
}

fn pair(mut values: impl Iterator<Item = String>) -> Option<Pair> {
    let (term, translation) = (values.next()?.trim().to_string(), values.next()?.trim().to_string());
    let found = Term::new(&term, &translation)?;
    Some(((term, translation), found))
}

/// The values of a line of CSV.
fn values(line: &str) -> Vec<String> {
    let (mut values, mut quoted) = (vec![String::new()], false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let last = values.len() - 1;
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => values[last].push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(String::new()),
            c => values[last].push(c),
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_are_read_from_both_formats() {
        let terms = |pairs: &[(&str, &str)]| -> Vec<Pair> {
            pairs.iter().map(|(a, b)| (((*a).into(), (*b).into()), Term::new(a, b).unwrap())).collect()
        };
        assert_eq!(
            tsv("file\tDatei\r\n\nthe icon\tdas Symbol\n"),
            Ok(terms(&[("file", "Datei"), ("the icon", "das Symbol")]))
        );
        assert_eq!(tsv("file\tDatei\nicon"), Err(2));
        assert_eq!(csv("\"a, \"\"b\"\"\",c,EN,DE\n"), Ok(terms(&[("a, \"b\"", "c")])));
        assert_eq!(csv("a"), Err(1));
        // Characters that nobody sees are no term.
        assert_eq!(tsv("a\tb\n\n\u{200b}\tX"), Err(3));
        assert_eq!(csv("\u{2060},X"), Err(1));
        assert_eq!(csv("a,\"\u{ad}\""), Err(1));
    }
}
