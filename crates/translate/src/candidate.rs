//! From what the engine found to text: a translation with its score, its subwords and its word alignment.

use strata_corpus::frame::text_within;
use strata_corpus::subword::EOS;
use strata_runtime::{Hypothesis, Request};

use crate::alignment::align;
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
