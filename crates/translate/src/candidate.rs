//! From what the engine found to text: a translation with its score, its subwords and its word alignment.

use strata_corpus::frame::text_within;
use strata_corpus::subword::EOS;
use strata_runtime::{Hypothesis, Request};

use crate::alignment::align;
use crate::split::join;
use crate::translator::Translator;

/// One translation of a line or of a part of one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// The text.
    pub text: String,
    /// Sum of the subwords' log-probabilities (natural) over `subwords ^ length_penalty`; for a line that was
    /// translated in parts, the parts' mean by subwords.
    pub score: f32,
    /// Its length in subwords with the end mark.
    pub subwords: usize,
    /// Its subwords with their log-probabilities, the end mark last; from the CPU engine only.
    pub tokens: Vec<Token>,
    /// Pairs of a source word and the word that translates it, counted from 0 as white space separates them; where
    /// alignments are asked for.
    pub alignment: Vec<(u32, u32)>,
}

/// A subword of a translation.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Token {
    /// Its piece, as the subword model prints it.
    pub piece: String,
    /// Its natural log-probability.
    pub score: f32,
}

impl Translator {
    /// The translations that the engine found for a request, best first; at least one.
    pub(crate) fn candidates(&self, request: &Request, found: &[Hypothesis]) -> Vec<Candidate> {
        let mut candidates: Vec<Candidate> = found.iter().map(|found| self.candidate(request, found)).collect();
        if candidates.is_empty() {
            candidates.push(Candidate::default());
        }
        candidates
    }

    fn candidate(&self, request: &Request, found: &Hypothesis) -> Candidate {
        let Hypothesis { ids, score, token_scores, attention, .. } = found;
        let pieces = |ids: &[u32]| -> Vec<String> { ids.iter().map(|id| self.subwords().piece(*id)).collect() };
        let alignment = attention.as_ref().map_or_else(Vec::new, |attention| {
            // Without tags and the end mark, which are no words.
            let words = text_within(&self.config().prompts, request.source.len());
            let rows: Vec<&[f32]> = attention.iter().map(|row| &row[words.clone()]).collect();
            align(&pieces(&request.source[words.clone()]), &pieces(ids), &rows)
        });
        Candidate {
            text: self.subwords().decode(ids),
            score: *score,
            subwords: ids.len() + 1,
            tokens: self.tokens(ids, token_scores),
            alignment,
        }
    }

    /// Subwords with their scores; there is one more score where the end mark was reached.
    pub(crate) fn tokens(&self, ids: &[u32], scores: &[f32]) -> Vec<Token> {
        let token = |(id, score): (&u32, &f32)| Token { piece: self.subwords().piece(*id), score: *score };
        ids.iter().chain([&EOS]).zip(scores).map(token).collect()
    }
}

/// The candidates of a line from those of its parts, whose texts are `texts`: the i-th of each together.
pub(crate) fn whole(texts: &[&str], parts: &[Vec<Candidate>]) -> Vec<Candidate> {
    match parts {
        [] => vec![Candidate::default()],
        [one] => one.clone(),
        several => {
            let count = several.iter().map(Vec::len).min().unwrap_or(0);
            (0..count).map(|i| joined(texts, &several.iter().map(|part| &part[i]).collect::<Vec<_>>())).collect()
        }
    }
}

/// One candidate of each part put together.
fn joined(texts: &[&str], parts: &[&Candidate]) -> Candidate {
    let subwords: usize = parts.iter().map(|part| part.subwords).sum();
    let sum: f32 = parts.iter().map(|part| part.score * part.subwords as f32).sum();
    let words = |text: &str| text.split_whitespace().count() as u32;
    let (mut source, mut target) = (0, 0); // words before the part
    let mut alignment = Vec::new();
    for (part, text) in parts.iter().zip(texts) {
        alignment.extend(part.alignment.iter().map(|(s, t)| (source + s, target + t)));
        (source, target) = (source + words(text), target + words(&part.text));
    }
    Candidate {
        text: join(parts.iter().map(|part| part.text.as_str())),
        score: sum / subwords.max(1) as f32,
        subwords,
        tokens: parts.iter().flat_map(|part| part.tokens.clone()).collect(),
        alignment,
    }
}
