//! `POST /v1/route`: a text's translation, with every token's path through the expert blocks.
//!
//! Layers, strata and experts are counted from 0, as in the names of weights.

use std::collections::BTreeSet;
use std::time::Instant;

use axum::Json;
use serde_json::{Value, json};
use strata_documents::{Options, Parts, TEXT, chosen};
use strata_recipe::ModelConfig;
use strata_translate::{Part, SearchOptions, Target, Trace, TracedToken};
use unicode_segmentation::UnicodeSegmentation;

use crate::api::call::Call;
use crate::api::work::{identified, within};
use crate::engine::blocking;
use crate::error::{Answer, ApiError};

/// Characters that are routed at once; the answer is hundreds of times as long.
const MOST_CHARACTERS: usize = 5000;

/// `POST /v1/route`
pub async fn route(call: Call) -> Answer<Json<Value>> {
    let params = &call.params;
    let text = params.required("q")?.to_string();
    let characters = text.chars().count();
    let limits = &call.app.settings.request;
    let most = limits.characters.min(MOST_CHARACTERS);
    if characters > most {
        return Err(ApiError::too_large(format!("{characters} characters; at most {most} are routed at once")));
    }
    call.count(characters);
    let (scores, alignments) = (params.flag("scores")?, params.flag("alignments")?);
    let deadline = Instant::now() + limits.time;
    within(limits.time, async {
        let target = call.language(params.required("target")?)?;
        let source = call.source_language(params.text("source")?.unwrap_or("auto"))?;
        let source = match source {
            Some(source) => source,
            None => identified(&call, &text, &target, params.text("model")?).await?.0,
        };
        call.tell(|told| told.direction = format!("{source}-{target}"));
        if source == target {
            return Ok(Json(unchanged(&text, &target)));
        }
        let served = call.app.models.choose(params.text("model")?, &source, &target)?;
        let loaded = call.app.models.get(&served).await?;
        call.tell(|told| told.model = served.name().to_string());
        let translator = loaded.translator().clone();
        let split = move || {
            let document = TEXT.read_text(&text, &Options::default())?;
            Ok::<_, ApiError>(Parts::new(document, &|line| translator.parts(line)))
        };
        let document = blocking(split).await??;
        let sentences = document.texts().len();
        call.tell(|told| told.sentences = Some(sentences));
        if sentences > limits.sentences {
            return Err(ApiError::too_large(format!(
                "{sentences} sentences; at most {} are taken at once",
                limits.sentences
            )));
        }
        let beam = call.app.settings.beam;
        let search = SearchOptions { beam, alignments, routing: true, ..SearchOptions::default() };
        let time = deadline.saturating_duration_since(Instant::now());
        let parts = loaded.translate(document.texts().to_vec(), [&source, &target], &search.into(), time).await?;
        let config = loaded.translator().config().clone();
        let name = served.name().to_string();
        let answer = blocking(move || {
            let described: Vec<Value> = parts.iter().map(|part| sentence(part, scores, alignments)).collect();
            let translated = document.render_text(&parts, 0)?;
            Ok(json!({
                "model": model(&name, &config),
                "source": source,
                "target": target,
                "translatedText": translated,
                "sentences": described,
            }))
        });
        answer.await?.map(Json)
    })
    .await
}

/// The answer for a text that is in the target language already: no model reads it.
fn unchanged(text: &str, target: &str) -> Value {
    json!({ "model": null, "source": target, "target": target, "translatedText": text, "sentences": [] })
}

/// The model's expert blocks.
fn model(name: &str, config: &ModelConfig) -> Value {
    let layers = |count: usize| (0..count).filter(|layer| config.is_expert_layer(*layer)).collect::<Vec<_>>();
    json!({
        "name": name,
        "kind": config.kind,
        "strata": config.block_strata().sizes(),
        "top_k": config.top_k,
        "encoder_layers": layers(config.encoder_layers),
        "decoder_layers": layers(config.decoder_layers),
    })
}

fn sentence(part: &Part, scores: bool, alignments: bool) -> Value {
    let Some(target) = part.targets.first() else {
        // A part in which the model sees nothing.
        return json!({ "source": { "text": chosen(part, 0), "tokens": [], "words": [] },
                       "target": { "text": chosen(part, 0), "tokens": [], "words": [] } });
    };
    let mut value = json!({ "source": side(&part.source, false), "target": side(&target.trace, scores) });
    if scores {
        value["score"] = part.candidates.first().map_or(0.0, |best| best.score).into();
    }
    if alignments {
        value["alignment"] = json!(aligned(&part.source, target));
    }
    value
}

fn side(trace: &Trace, scores: bool) -> Value {
    let token = |token: &TracedToken| {
        let blocks: Vec<Value> = token
            .routing
            .iter()
            .map(|block| {
                let visits: Vec<Value> = block
                    .visits
                    .iter()
                    .map(|v| json!({ "stratum": v.stratum, "experts": v.experts, "probabilities": v.probabilities }))
                    .collect();
                json!({ "layer": block.layer, "visits": visits })
            })
            .collect();
        let mut value = json!({ "piece": token.piece, "blocks": blocks });
        if let Some(score) = token.score.filter(|_| scores) {
            value["score"] = score.into();
        }
        value
    };
    let tokens: Vec<Value> = trace.tokens.iter().map(token).collect();
    let words: Vec<Value> = words(trace)
        .into_iter()
        .map(|word| {
            let of = word.tokens.clone().filter(|i| !trace.tokens[*i].routing.is_empty());
            let blocks: Vec<usize> =
                of.flat_map(|i| &trace.tokens[i].routing).map(|block| block.visits.len()).collect();
            // The mean over the word's tokens and their blocks.
            let strata = blocks.iter().sum::<usize>() as f64 / blocks.len().max(1) as f64;
            let strata = if blocks.is_empty() { Value::Null } else { strata.into() };
            json!({ "text": word.text, "tokens": [word.tokens.start, word.tokens.end], "strata": strata })
        })
        .collect();
    json!({ "text": trace.text, "tokens": tokens, "words": words })
}

/// A word, a punctuation mark or a space, and the tokens that make it up.
struct Word<'a> {
    text: &'a str,
    tokens: std::ops::Range<usize>,
}

/// A text's words by Unicode's rules, space included: joined they are the text.
fn words(trace: &Trace) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    for (start, text) in trace.text.split_word_bound_indices() {
        let end = start + text.len();
        let touches = |token: &TracedToken| {
            // A token's leading space does not belong to its word.
            let inner = trace.text.get(token.range.clone()).unwrap_or("");
            let from = token.range.start + inner.len() - inner.trim_start().len();
            from < end && start < token.range.end
        };
        let space = text.trim().is_empty();
        let first = trace.tokens.iter().position(|token| !space && touches(token));
        let last = trace.tokens.iter().rposition(|token| !space && touches(token));
        let tokens = first.zip(last).map_or(0..0, |(first, last)| first..last + 1);
        words.push(Word { text, tokens });
    }
    words
}

/// For each target word the source word that it attends to most, as pairs of their places (source, target), ascending.
fn aligned(source: &Trace, target: &Target) -> BTreeSet<(usize, usize)> {
    let sources = words(source);
    let mut pairs = BTreeSet::new();
    for (t, word) in words(&target.trace).iter().enumerate().filter(|(_, word)| !word.tokens.is_empty()) {
        let mass = |of: &Word<'_>| -> f32 {
            // Attention has no row for the tag.
            let rows = word.tokens.clone().filter_map(|i| target.attention.get(i.checked_sub(1)?));
            rows.flat_map(|row| row.get(of.tokens.clone()).unwrap_or(&[])).sum()
        };
        let words = sources.iter().enumerate().filter(|(_, word)| !word.tokens.is_empty());
        let best = words.map(|(s, word)| (s, mass(word))).max_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((s, mass)) = best
            && mass > 0.0
        {
            pairs.insert((s, t));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(piece: &str, range: std::ops::Range<usize>) -> TracedToken {
        TracedToken { piece: piece.into(), range, score: Some(-0.5), routing: Vec::new() }
    }

    #[test]
    fn words_are_made_of_their_tokens_and_give_the_text_again() {
        let tokens = vec![
            token("<2de>", 0..0),
            token("▁un", 0..2),
            token("used", 2..6),
            token("▁ic", 6..9),
            token("on.", 9..12),
        ];
        let trace = Trace { text: "unused icon.".into(), tokens };
        let found = words(&trace);
        assert_eq!(found.iter().map(|word| word.text).collect::<String>(), trace.text);
        let shown: Vec<_> = found.iter().map(|word| (word.text, word.tokens.clone())).collect();
        assert_eq!(shown, [("unused", 1..3), (" ", 0..0), ("icon", 3..5), (".", 4..5)]);
    }
}
