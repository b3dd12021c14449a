//! Options of Python's calls as those of the library.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use strata_recipe::SearchOptions;
use strata_translate::{Glossary, Stop, Term, TranslateOptions, VocabularyMap};

use crate::error::{StrataError, exception};

/// Draw `nbest` translations of each sentence at random, whatever the `beam`, instead of searching for the best.
#[pyclass(frozen, get_all, module = "strata_mt", from_py_object)]
#[derive(Clone)]
pub struct Sampling {
    temperature: f64,
    top_k: usize,
    top_p: f64,
    seed: u64,
}

#[pymethods]
impl Sampling {
    #[new]
    #[pyo3(signature = (temperature=1.0, top_k=0, top_p=1.0, seed=1))]
    fn new(temperature: f64, top_k: usize, top_p: f64, seed: u64) -> Self {
        Self { temperature, top_k, top_p, seed }
    }

    fn __repr__(&self) -> String {
        let Self { temperature, top_k, top_p, seed } = self;
        format!("Sampling(temperature={temperature}, top_k={top_k}, top_p={top_p}, seed={seed})")
    }
}

impl Sampling {
    /// `search` with random draws.
    pub fn within(&self, search: SearchOptions) -> SearchOptions {
        let &Self { temperature, top_k, top_p, seed } = self;
        SearchOptions { sample: true, temperature, top_k, top_p, seed, ..search }
    }
}

/// A glossary: terms with their translations, or a file of `term=translation` lines.
#[derive(FromPyObject)]
pub enum Terms {
    /// A dictionary.
    Pairs(BTreeMap<String, String>),
    /// A file.
    File(PathBuf),
}

/// What a call may set beside the search.
#[derive(Default)]
pub struct Given {
    /// Words that must be translated in a given way.
    pub glossary: Option<Terms>,
    /// Pieces that are never chosen.
    pub suppress: Vec<String>,
    /// The file of `strata vocabulary`.
    pub vocabulary_map: Option<PathBuf>,
    /// Lines are single sentences.
    pub whole_lines: bool,
}

/// The options of a call that `stop` ends.
pub fn options(search: SearchOptions, given: Given, stop: &Stop) -> PyResult<TranslateOptions> {
    let glossary = match given.glossary {
        None => None,
        Some(Terms::Pairs(pairs)) => Some(pairs.iter().map(term).collect::<PyResult<Glossary>>()?),
        Some(Terms::File(path)) => Some(Glossary::read(&path).map_err(|error| exception(&error))?),
    };
    let map = given.vocabulary_map.map(|path| VocabularyMap::read(&path)).transpose().map_err(|e| exception(&e))?;
    Ok(TranslateOptions {
        glossary: glossary.map(Arc::new),
        suppress: given.suppress,
        vocabulary_map: map.map(Arc::new),
        whole_lines: given.whole_lines,
        stop: Some(stop.clone()),
        ..TranslateOptions::from(SearchOptions { beam: search.beam.max(search.nbest), ..search })
    })
}

/// A term of a dictionary.
fn term((term, translation): (&String, &String)) -> PyResult<Term> {
    Term::new(term, translation).ok_or_else(|| {
        let what = "a term and its translation need characters that can be seen";
        StrataError::new_err(format!("glossary: {{{term:?}: {translation:?}}}: {what}"))
    })
}
