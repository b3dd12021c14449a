//! Translations and their parts as Python sees them.

use pyo3::prelude::*;
use strata_translate::{Candidate, Forced, Translated};

/// A subword of a translation with its natural log-probability.
#[pyclass(frozen, get_all, module = "strata_mt", from_py_object)]
#[derive(Clone)]
pub struct Token {
    piece: String,
    score: f32,
}

#[pymethods]
impl Token {
    fn __repr__(&self) -> String {
        format!("Token(piece={:?}, score={:.4})", self.piece, self.score)
    }
}

fn tokens(tokens: Vec<strata_translate::Token>) -> Vec<Token> {
    tokens.into_iter().map(|token| Token { piece: token.piece, score: token.score }).collect()
}

/// A translation of a text.
#[pyclass(frozen, get_all, module = "strata_mt")]
pub struct Translation {
    text: String,
    score: f32,
    tokens: Vec<Token>,
    /// Pairs of a source word and a word of the translation.
    alignment: Vec<(u32, u32)>,
    /// What it seems to lack of the source; of the best translation only.
    warning: Option<String>,
}

#[pymethods]
impl Translation {
    fn __str__(&self) -> &str {
        &self.text
    }

    fn __repr__(&self) -> String {
        format!("Translation(text={:?}, score={:.4})", self.text, self.score)
    }
}

impl Translation {
    /// The translations of a text, best first.
    pub fn all(translated: Translated) -> Vec<Self> {
        let mut warning = translated.shortfall.map(|shortfall| shortfall.to_string());
        let one = |candidate| Self { warning: warning.take(), ..Self::from(candidate) };
        translated.candidates.into_iter().map(one).collect()
    }
}

impl From<Candidate> for Translation {
    fn from(candidate: Candidate) -> Self {
        let Candidate { text, score, tokens: found, alignment, .. } = candidate;
        Self { text, score, tokens: tokens(found), alignment, warning: None }
    }
}

/// How probable a model finds a given translation.
#[pyclass(frozen, get_all, module = "strata_mt")]
pub struct ScoredTranslation {
    /// Mean log-probability of the subwords.
    score: f32,
    /// Their sum.
    sum: f32,
    tokens: Vec<Token>,
}

#[pymethods]
impl ScoredTranslation {
    fn __repr__(&self) -> String {
        format!("ScoredTranslation(score={:.4}, sum={:.4})", self.score, self.sum)
    }
}

impl From<Forced> for ScoredTranslation {
    fn from(forced: Forced) -> Self {
        let score = forced.sum / forced.tokens.len().max(1) as f32;
        Self { score, sum: forced.sum, tokens: tokens(forced.tokens) }
    }
}
