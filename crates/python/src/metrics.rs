//! BLEU and chrF as sacreBLEU computes them.

use pyo3::prelude::*;
use pyo3::types::PyString;
use strata_metrics::{Bleu, BleuOptions, Chrf, ChrfOptions, Metric, Scorer};
use strata_translate::scores::tokenizer;

use crate::error::exception;
use crate::texts::list;

/// A corpus's score, and the signature that makes it comparable.
#[pyclass(frozen, get_all, module = "strata_mt")]
pub struct Score {
    /// 0 to 100.
    score: f64,
    signature: String,
}

#[pymethods]
impl Score {
    fn __float__(&self) -> f64 {
        self.score
    }

    fn __repr__(&self) -> String {
        format!("Score(score={:.2}, signature={:?})", self.score, self.signature)
    }
}

/// The references: one for each hypothesis, or several sets of them.
enum References {
    /// One set.
    One(Vec<String>),
    /// Several.
    Sets(Vec<Vec<String>>),
}

impl References {
    /// The references that Python gives.
    ///
    /// # Errors
    /// A `TypeError` for all but lists of texts.
    fn of(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        match given.extract::<Vec<Bound<'_, PyAny>>>() {
            Ok(sets) if sets.first().is_some_and(|set| !set.is_instance_of::<PyString>()) => {
                sets.iter().map(|set| list("references", set)).collect::<PyResult<_>>().map(Self::Sets)
            }
            _ => list("references", given).map(Self::One),
        }
    }

    fn sets(&self) -> Vec<&[String]> {
        match self {
            Self::One(set) => vec![set],
            Self::Sets(sets) => sets.iter().map(Vec::as_slice).collect(),
        }
    }
}

/// BLEU of a corpus.
#[pyfunction]
#[pyo3(signature = (hypotheses, references, *, tokenize="13a", lowercase=false))]
pub fn bleu(
    py: Python<'_>,
    hypotheses: &Bound<'_, PyAny>,
    references: &Bound<'_, PyAny>,
    tokenize: &str,
    lowercase: bool,
) -> PyResult<Score> {
    let (hypotheses, references) = (list("hypotheses", hypotheses)?, References::of(references)?);
    py.detach(|| {
        let tokenizer = tokenizer(tokenize).map_err(|error| exception(&error))?;
        let bleu = Bleu::new(BleuOptions { tokenizer, lowercase, ..BleuOptions::default() });
        let bleu = bleu.map_err(|error| exception(&error))?;
        let sets = references.sets();
        let score = bleu.corpus(&hypotheses, &sets).map_err(|error| exception(&error))?.score;
        Ok(Score { score, signature: bleu.signature(sets.len()).to_string() })
    })
}

/// chrF2 of a corpus, or chrF2++ with `word_order=2`.
#[pyfunction]
#[pyo3(signature = (hypotheses, references, *, word_order=0, lowercase=false))]
pub fn chrf(
    py: Python<'_>,
    hypotheses: &Bound<'_, PyAny>,
    references: &Bound<'_, PyAny>,
    word_order: usize,
    lowercase: bool,
) -> PyResult<Score> {
    let (hypotheses, references) = (list("hypotheses", hypotheses)?, References::of(references)?);
    py.detach(|| {
        let chrf = Chrf::new(ChrfOptions { word_order, lowercase, ..ChrfOptions::default() });
        let chrf = chrf.map_err(|error| exception(&error))?;
        let sets = references.sets();
        let score = chrf.corpus(&hypotheses, &sets).map_err(|error| exception(&error))?.score;
        Ok(Score { score, signature: chrf.signature(sets.len()).to_string() })
    })
}
