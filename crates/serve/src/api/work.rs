//! A translation from what is asked for to text: limits, languages, models, sentences, and together again.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use strata_documents::{Format, Options, Parts, worded};
use strata_translate::{Glossary, Part, SearchOptions, TranslateOptions, Translator};

use crate::api::call::Call;
use crate::engine::{Loaded, blocking};
use crate::error::{Answer, ApiError};
use crate::settings::RequestLimits;

/// What is asked for.
pub struct Ask {
    /// The texts.
    pub texts: Vec<String>,
    /// The language of all of them; none to identify the language of each.
    pub source: Option<String>,
    /// The language to translate into.
    pub target: String,
    /// The model; none for the first that has the direction.
    pub model: Option<String>,
    /// How the texts are written.
    pub format: &'static Format,
    /// What is said about their tags.
    pub options: Options,
    /// How sentences are found.
    pub sentences: Sentences,
    /// Terms that must be translated in a given way.
    pub glossary: Option<Arc<Glossary>>,
    /// Translations besides the best.
    pub alternatives: usize,
}

/// How a piece of text is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sentences {
    /// At the ends of its sentences.
    Split,
    /// Not at all, unless it is longer than the model takes.
    Whole,
}

impl Sentences {
    /// The parts of a text that say something.
    pub fn of(self, translator: &Translator, text: &str) -> Vec<Range<usize>> {
        let parts = worded(translator, text);
        let longest = translator.config().max_length.saturating_sub(2);
        match (self, parts.first(), parts.last()) {
            (Self::Whole, Some(first), Some(last)) => {
                let whole = first.start..last.end;
                let fits = translator.subwords().encode(&text[whole.clone()]).len() <= longest;
                if fits { vec![whole] } else { parts }
            }
            _ => parts,
        }
    }
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
    /// How sure that is, from 0 to 1, where it was identified.
    pub confidence: Option<f64>,
    /// What seems to be missing in the translation, with the text that it is of.
    pub warnings: Vec<String>,
}

/// Translates texts within the limits of a request.
///
/// # Errors
/// 400 and 413 for what is asked, 429 where there is no room, 503 where it takes too long.
pub async fn translate(call: &Call, ask: Ask) -> Answer<Vec<Translated>> {
    let limits = &call.app.settings.request;
    check(call, &ask)?;
    within(limits.time, translate_until(call, ask, Instant::now() + limits.time)).await
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

/// Refuses more texts, or longer ones, than a request may have; gives back their characters.
///
/// # Errors
/// 413, with the limit.
pub fn check_texts(texts: &[String], limits: &RequestLimits) -> Answer<usize> {
    let characters: usize = texts.iter().map(|text| text.chars().count()).sum();
    if texts.len() > limits.texts {
        let text = format!("{} texts; at most {} are taken at once", texts.len(), limits.texts);
        return Err(ApiError::too_large(text));
    }
    if characters > limits.characters {
        let text = format!("Invalid request: request ({characters}) exceeds text limit ({})", limits.characters);
        return Err(ApiError::too_large(text));
    }
    Ok(characters)
}

/// Refuses what is too much, and counts the rest.
fn check(call: &Call, ask: &Ask) -> Answer<()> {
    let limits = &call.app.settings.request;
    let characters = check_texts(&ask.texts, limits)?;
    if ask.alternatives > limits.alternatives {
        let text = format!("{} alternatives; at most {} are given", ask.alternatives, limits.alternatives);
        return Err(ApiError::invalid(text));
    }
    call.count(characters);
    Ok(())
}

/// A text with its source language and model. Without a model it stays as it is.
struct Placed {
    text: String,
    source: String,
    confidence: Option<f64>,
    model: Option<(String, Loaded)>,
}

impl Placed {
    fn model_name(&self) -> Option<&str> {
        self.model.as_ref().map(|(name, _)| name.as_str())
    }
}

async fn translate_until(call: &Call, ask: Ask, deadline: Instant) -> Answer<Vec<Translated>> {
    let Ask { texts, source, target, model, format, options, sentences, glossary, alternatives } = ask;
    let mut placed = Vec::with_capacity(texts.len());
    for text in texts {
        placed.push(place(call, text, source.as_deref(), &target, model.as_deref()).await?);
    }
    if let Some(first) = placed.first() {
        let name = first.model_name().unwrap_or("").to_string();
        call.tell(|told| (told.direction, told.model) = (format!("{}-{target}", first.source), name));
    }
    let options = Options { target: Some(target.clone()), ..options };
    let documents = split(&placed, format, options, sentences).await?;
    let sentences: usize = documents.iter().flatten().map(|parts| parts.texts().len()).sum();
    call.tell(|told| told.sentences = Some(sentences));
    let most = call.app.settings.request.sentences;
    if sentences > most {
        return Err(ApiError::too_large(format!("{sentences} sentences; at most {most} are taken at once")));
    }
    let alignments = documents.iter().flatten().any(Parts::aligned);
    let nbest = alternatives + 1;
    let beam = call.app.settings.beam.max(nbest);
    let search = SearchOptions { beam, nbest, alignments, ..SearchOptions::default() };
    let search = TranslateOptions { glossary, ..search.into() };
    let translations = translate_parts(&placed, &documents, &target, &search, deadline).await?;
    let results = placed.into_iter().zip(documents).zip(translations);
    blocking(move || {
        results.map(|((placed, document), parts)| put_together(placed, document, &parts, alternatives)).collect()
    })
    .await?
}

/// Finds a text's language, if it is not given, and its model, loaded.
async fn place(call: &Call, text: String, source: Option<&str>, target: &str, model: Option<&str>) -> Answer<Placed> {
    let (source, confidence) = match source {
        Some(source) => (source.to_string(), None),
        None => identified(call, &text, target, model).await.map(|(source, sure)| (source, Some(sure)))?,
    };
    if source == target {
        return Ok(Placed { text, source, confidence, model: None });
    }
    let served = call.app.models.choose(model, &source, target)?;
    let model = Some((served.name().to_string(), call.app.models.get(&served).await?));
    Ok(Placed { text, source, confidence, model })
}

/// The language of a text to translate into `target`, and how sure that is, from 0 to 1.
///
/// # Errors
/// 400 if there is no such model, or nothing is translated into `target`.
pub async fn identified(call: &Call, text: &str, target: &str, model: Option<&str>) -> Answer<(String, f64)> {
    let (app, text, wanted, model) = (call.app.clone(), text.to_owned(), target.to_owned(), model.map(str::to_owned));
    let found = move || {
        let (source, sure) = app.models.identify_source(&text, &wanted, model.as_deref())?;
        Ok((source.to_string(), sure))
    };
    blocking(found).await?
}

/// Splits the texts that have a model.
async fn split(
    placed: &[Placed],
    format: &'static Format,
    options: Options,
    sentences: Sentences,
) -> Answer<Vec<Option<Parts>>> {
    let of = |placed: &Placed| (placed.text.clone(), placed.model.as_ref().map(|(_, loaded)| loaded.clone()));
    let texts: Vec<(String, Option<Loaded>)> = placed.iter().map(of).collect();
    let split = move |(text, loaded): (String, Option<Loaded>)| {
        let Some(loaded) = loaded else { return Ok(None) };
        let document = format.read_text(&text, &options)?;
        Ok(Some(Parts::new(document, &|line| sentences.of(loaded.translator(), line))))
    };
    blocking(move || texts.into_iter().map(split).collect()).await?
}

/// The translations of each document's parts. All parts in one language for one model go to it at once, so that they
/// are admitted or turned away together.
async fn translate_parts(
    placed: &[Placed],
    documents: &[Option<Parts>],
    target: &str,
    search: &TranslateOptions,
    deadline: Instant,
) -> Answer<Vec<Vec<Part>>> {
    let mut translations: Vec<Vec<Part>> = placed.iter().map(|_| Vec::new()).collect();
    let mut left: Vec<usize> = (0..placed.len()).collect();
    while let Some(first) = left.first().map(|i| &placed[*i]) {
        let alike = |other: &Placed| other.model_name() == first.model_name() && other.source == first.source;
        let (these, others): (Vec<usize>, _) = left.into_iter().partition(|i| alike(&placed[*i]));
        left = others;
        let Some((_, loaded)) = &first.model else { continue };
        let parts_of = |i: usize| documents[i].as_ref().map_or(&[][..], Parts::texts);
        let parts: Vec<String> = these.iter().flat_map(|i| parts_of(*i)).cloned().collect();
        let time = deadline.saturating_duration_since(Instant::now());
        let mut found = loaded.translate(parts, [&first.source, target], search, time).await?.into_iter();
        for i in these {
            translations[i] = found.by_ref().take(parts_of(i).len()).collect();
        }
    }
    Ok(translations)
}

fn put_together(
    placed: Placed,
    document: Option<Parts>,
    translations: &[Part],
    alternatives: usize,
) -> Answer<Translated> {
    let Placed { text, source, confidence, .. } = placed;
    let Some(document) = document else {
        return Ok(Translated { text, source, confidence, ..Translated::default() });
    };
    let warnings = warnings(document.texts(), translations);
    let text = document.render_text(translations, 0)?;
    let mut others: Vec<String> = Vec::new();
    for choice in 1..=alternatives {
        let other = document.render_text(translations, choice)?;
        if other != text && !others.contains(&other) {
            others.push(other);
        }
    }
    Ok(Translated { text, alternatives: others, source, confidence, warnings })
}

/// What seems to be missing in the translations of parts, with the beginning of each.
pub fn warnings(parts: &[String], translations: &[Part]) -> Vec<String> {
    let short = parts.iter().zip(translations).filter_map(|(part, found)| Some((part, found.shortfall?)));
    short.map(|(part, what)| format!("{what}: {:?}", part.chars().take(40).collect::<String>())).collect()
}
