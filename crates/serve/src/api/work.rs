//! A translation from what was asked to text: languages, limits, cutting, the engine, putting together.

use std::time::{Duration, Instant};

use strata_translate::{Part, Wanted};

use crate::app::Call;
use crate::document::{Document, File, Format};
use crate::error::{Answer, ApiError};
use crate::models::{Loaded, blocking};
use crate::params::Upload;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The texts.
    pub texts: Vec<String>,
    /// The language of all of them; none is found out.
    pub source: Option<String>,
    /// The language to translate into.
    pub target: String,
    /// The model; none is the first that has the direction.
    pub model: Option<String>,
    /// How the texts are written.
    pub format: Format,
    /// Translations besides the best.
    pub alternatives: usize,
}

/// A text's translation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Translated {
    /// The best translation.
    pub text: String,
    /// Others, the better ones first, without repetitions.
    pub alternatives: Vec<String>,
    /// The language it is from.
    pub source: String,
    /// How sure that is, from 0 to 1; where it was found out.
    pub confidence: Option<f64>,
}

/// The language that a client names: its tag among the models'.
///
/// # Errors
/// 400 with the tags there are.
pub fn language<'a>(call: &'a Call, said: &str) -> Answer<&'a str> {
    call.app.models.tag(said).ok_or_else(|| {
        let known = call.app.models.tags().join(", ");
        // What a client says here may be anything, so it is not repeated unless it looks like a tag.
        let fits = said.len() <= 20 && said.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        let shown = if fits { said } else { "this" };
        ApiError::invalid(format!("{shown} is not supported; languages: {known}"))
    })
}

/// The language that a client names as the source; none for `auto`.
///
/// # Errors
/// As [`language`].
pub fn source_language(call: &Call, said: &str) -> Answer<Option<String>> {
    if said.eq_ignore_ascii_case("auto") { Ok(None) } else { language(call, said).map(|tag| Some(tag.to_string())) }
}

/// Translates texts within the limits of a request.
///
/// # Errors
/// 400 and 413 for what is asked, 429 where there is no room, 503 where it takes too long.
pub async fn translate(call: &Call, ask: Ask) -> Answer<Vec<Translated>> {
    let limits = &call.app.settings.request;
    check(call, &ask)?;
    let deadline = Instant::now() + limits.time;
    let most = limits.sentences;
    within(limits.time, translate_until(call, ask, deadline, most)).await
}

/// Runs `work` for at most `time`.
///
/// # Errors
/// 503 when the time is up; what `work` reports.
pub async fn within<T>(time: Duration, work: impl Future<Output = Answer<T>>) -> Answer<T> {
    let late = || {
        ApiError::unavailable(format!("this took longer than {} s; send less, or try again later", time.as_secs()), 30)
    };
    tokio::time::timeout(time, work).await.unwrap_or_else(|_| Err(late()))
}

/// Counts what is asked for, and refuses what is too much.
fn check(call: &Call, ask: &Ask) -> Answer<()> {
    let limits = &call.app.settings.request;
    let characters: usize = ask.texts.iter().map(|text| text.chars().count()).sum();
    if ask.texts.len() > limits.texts {
        return Err(ApiError::too_large(format!(
            "{} texts; at most {} are taken at once",
            ask.texts.len(),
            limits.texts
        )));
    }
    if characters > limits.characters {
        let text = format!("Invalid request: request ({characters}) exceeds text limit ({})", limits.characters);
        return Err(ApiError::too_large(text));
    }
    if ask.alternatives > limits.alternatives {
        let text = format!("{} alternatives; at most {} are given", ask.alternatives, limits.alternatives);
        return Err(ApiError::invalid(text));
    }
    count(call, characters);
    Ok(())
}

/// Counts characters that are let in.
pub fn count(call: &Call, characters: usize) {
    call.app.metrics.took(characters);
    call.tell(|told| told.characters = Some(characters));
    if let (Some(keys), Some(client)) = (&call.app.settings.keys, &call.client) {
        keys.count(client, characters);
    }
}

/// A text with its source language and model; without a model it stays as it is.
struct Placed {
    text: String,
    source: String,
    confidence: Option<f64>,
    loaded: Option<(String, Loaded)>,
}

async fn translate_until(call: &Call, ask: Ask, deadline: Instant, most: usize) -> Answer<Vec<Translated>> {
    let Ask { texts, source, target, model, format, alternatives } = ask;
    let mut placed = Vec::with_capacity(texts.len());
    for text in texts {
        let (source, confidence) = match &source {
            Some(source) => (source.clone(), None),
            None => found_out(call, &text, &target)?,
        };
        let loaded = if source == target {
            None
        } else {
            let served = call.app.models.choose(model.as_deref(), &source, &target)?;
            Some((served.name().to_string(), call.app.models.get(&served).await?))
        };
        placed.push(Placed { text, source, confidence, loaded });
    }
    if let Some(first) = placed.first() {
        let name = first.loaded.as_ref().map_or(String::new(), |(name, _)| name.clone());
        call.tell(|told| (told.direction, told.model) = (format!("{}-{target}", first.source), name));
    }
    let documents = read(&placed, format).await?;
    let sentences: usize = documents.iter().flatten().map(|document| document.parts().len()).sum();
    call.tell(|told| told.sentences = Some(sentences));
    if sentences > most {
        return Err(ApiError::too_large(format!("{sentences} sentences; at most {most} are taken at once")));
    }
    let aligned = documents.iter().flatten().any(|document| document.aligned());
    let nbest = alternatives + 1;
    let wanted = Wanted { beam: call.app.settings.beam.max(nbest), nbest, alignment: aligned, routing: false };
    // All parts for a model go in one piece, so that they are let in or turned away together.
    let mut translations: Vec<Vec<Part>> = placed.iter().map(|_| Vec::new()).collect();
    let mut left: Vec<usize> = (0..placed.len()).collect();
    while let Some(name) = left.first().map(|i| placed[*i].loaded.as_ref().map(|(name, _)| name.clone())) {
        let of_this = |i: &usize| placed[*i].loaded.as_ref().map(|(name, _)| name) == name.as_ref();
        let (these, others): (Vec<usize>, Vec<usize>) = left.into_iter().partition(of_this);
        left = others;
        let Some((_, loaded)) = these.first().and_then(|i| placed[*i].loaded.as_ref()) else { continue };
        let parts_of = |i: usize| documents[i].as_ref().map_or(&[][..], |document| document.parts());
        let parts: Vec<String> = these.iter().flat_map(|i| parts_of(*i)).cloned().collect();
        let time = deadline.saturating_duration_since(Instant::now());
        let mut found = loaded.translate(parts, &target, wanted, time).await?.into_iter();
        for i in these {
            translations[i] = found.by_ref().take(parts_of(i).len()).collect();
        }
    }
    let results = placed.into_iter().zip(documents).zip(translations);
    Ok(results
        .map(|((placed, document), parts)| put_together(placed, document.as_deref(), &parts, alternatives))
        .collect())
}

/// The language of a text.
fn found_out(call: &Call, text: &str, target: &str) -> Answer<(String, Option<f64>)> {
    let (source, confidence) = call.app.models.identify_source(text, target).ok_or_else(|| {
        ApiError::invalid(format!("{target} is not available as a target language; nothing is translated into it"))
    })?;
    Ok((source, Some(confidence)))
}

async fn read(placed: &[Placed], format: Format) -> Answer<Vec<Option<Box<dyn Document>>>> {
    let texts: Vec<(String, Option<Loaded>)> =
        placed.iter().map(|p| (p.text.clone(), p.loaded.as_ref().map(|(_, loaded)| loaded.clone()))).collect();
    blocking(move || {
        let read = |(text, loaded): (String, Option<Loaded>)| {
            loaded.map(|loaded| format.read(&text, loaded.translator())).transpose()
        };
        texts.into_iter().map(read).collect()
    })
    .await?
}

fn put_together(placed: Placed, document: Option<&dyn Document>, parts: &[Part], alternatives: usize) -> Translated {
    let Placed { text, source, confidence, .. } = placed;
    let Some(document) = document else { return Translated { text, source, confidence, alternatives: Vec::new() } };
    let text = document.render(parts, 0);
    let mut others: Vec<String> = Vec::new();
    for choice in 1..=alternatives {
        let other = document.render(parts, choice);
        if other != text && !others.contains(&other) {
            others.push(other);
        }
    }
    Translated { text, alternatives: others, source, confidence }
}

/// Translates a file piece by piece, so that it never takes all the room; where there is none it waits.
///
/// # Errors
/// As [`translate`].
pub async fn translate_file(call: &Call, upload: &Upload, source: Option<String>, target: &str) -> Answer<Vec<u8>> {
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
    count(call, characters);
    let deadline = Instant::now() + limits.file_time;
    within(limits.file_time, async {
        let (source, _) = match source {
            Some(source) => (source, None),
            None => found_out(call, &text, target)?,
        };
        if source == target {
            return Ok(upload.content.to_vec());
        }
        let served = call.app.models.choose(call.params.text("model")?, &source, target)?;
        let loaded = call.app.models.get(&served).await?;
        let name = served.name().to_string();
        call.tell(|told| (told.direction, told.model) = (format!("{source}-{target}"), name));
        let translator = loaded.translator().clone();
        let document = blocking(move || file.cut(&translator)).await??;
        call.tell(|told| told.sentences = Some(document.parts().len()));
        let wanted = Wanted { beam: call.app.settings.beam, nbest: 1, alignment: document.aligned(), routing: false };
        let mut parts = Vec::with_capacity(document.parts().len());
        while parts.len() < document.parts().len() {
            let next: Vec<String> = document.parts()[parts.len()..].iter().take(PIECE).cloned().collect();
            let time = deadline.saturating_duration_since(Instant::now());
            match loaded.translate(next, target, wanted, time).await {
                Ok(found) => parts.extend(found),
                Err(ApiError { retry_after: Some(seconds), .. }) => {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                }
                Err(other) => return Err(other),
            }
        }
        blocking(move || document.render_file(&parts)).await?
    })
    .await
}

/// Sentences of a file that are in the engine at a time.
const PIECE: usize = 64;
