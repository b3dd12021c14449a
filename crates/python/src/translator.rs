//! The translator of Python: a model, and the threads that its calls run in.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use pyo3::prelude::*;
use pyo3::types::PyAny;
use strata_documents::{HTML, Options as Reading, Parts, worded};
use strata_recipe::SearchOptions;
use strata_store::Check;
use strata_translate::{
    Candidate, Line, Part, PieceIds, Placement, Shortfall, Stop, TranslateOptions, Translator as Library,
};

use crate::error::{Result, StrataError, exception};
use crate::models::{precision_of, python_of};
use crate::options::{Given, Sampling, Terms, options};
use crate::route::{Blocks, Route};
use crate::texts::{Texts, list};
use crate::threads::Pools;
use crate::translation::{ScoredTranslation, Translation};

/// Pairs scored between two looks at signals.
const SCORED: usize = 256;

/// A text's translation, or one for each.
#[derive(IntoPyObject)]
enum Answer {
    One(String),
    Many(Vec<String>),
}

/// A model, ready to translate.
#[pyclass(frozen, subclass, module = "strata_mt._native")]
pub struct Translator {
    library: Arc<Library>,
    pools: Pools,
    path: PathBuf,
    /// Translations may have every subword, also where the model has a shortlist.
    whole_vocabulary: bool,
    pieces: OnceLock<Arc<PieceIds>>,
}

#[pymethods]
impl Translator {
    #[new]
    #[pyo3(signature = (path, precision=None, threads=None, workers=0, *, verify=true, whole_vocabulary=false))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        precision: Option<&str>,
        threads: Option<usize>,
        workers: usize,
        verify: bool,
        whole_vocabulary: bool,
    ) -> PyResult<Self> {
        let precision = precision.map(precision_of).transpose()?;
        if threads == Some(0) || workers > 1024 {
            return Err(StrataError::new_err("choose 1 thread or more, and 0 to 1024 workers"));
        }
        let pools = Pools::new(threads.unwrap_or(0));
        let check = if verify { Check::Once } else { Check::Sizes };
        let (place, folder) = (Placement { precision, workers, check, ..Placement::default() }, path.clone());
        let library = pools.run(py, &Stop::default(), move || {
            strata_simd::Level::chosen()?;
            Ok(Library::open(&folder, &place)?)
        })?;
        Ok(Self { library: Arc::new(library), pools, path, whole_vocabulary, pieces: OnceLock::new() })
    }

    /// Translates a text, or each of several.
    #[pyo3(signature = (text, target, source=None))]
    fn translate(
        &self,
        py: Python<'_>,
        text: &Bound<'_, PyAny>,
        target: String,
        source: Option<String>,
    ) -> PyResult<Answer> {
        let (texts, one) = match Texts::of(text)? {
            Texts::One(text) => (vec![text], true),
            Texts::Many(texts) => (texts, false),
        };
        let stop = Stop::default();
        let options = self.options(SearchOptions::default(), Given::default(), &stop)?;
        let library = self.library.clone();
        let mut found = self.pools.run(py, &stop, move || {
            check(&library, source.as_deref(), &target)?;
            let lines = library.translate(&texts, source.as_deref(), &target, &options)?;
            finite("text", lines.iter().map(|line| line.shortfall))?;
            let best = lines.into_iter().filter_map(|line| line.candidates.into_iter().next());
            Ok(best.map(|best| best.text).collect::<Vec<String>>())
        })?;
        Ok(if one { Answer::One(found.pop().unwrap_or_default()) } else { Answer::Many(found) })
    }

    /// Translates texts with every option, and says all about the translations.
    #[pyo3(signature = (
        texts, target, source=None, *, beam=5, nbest=1, length_penalty=1.0, no_repeat_ngram=0, coverage_penalty=0.0,
        max_length=None, min_length=0, max_ratio=2.0, max_extra=20, prefixes=None, glossary=None, suppress=Vec::new(),
        sampling=None, vocabulary_map=None, alignment=false, whole_lines=false
    ))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of Python
    fn translate_full(
        &self,
        py: Python<'_>,
        texts: &Bound<'_, PyAny>,
        target: String,
        source: Option<String>,
        beam: usize,
        nbest: usize,
        length_penalty: f64,
        no_repeat_ngram: usize,
        coverage_penalty: f64,
        max_length: Option<usize>,
        min_length: usize,
        max_ratio: f64,
        max_extra: usize,
        prefixes: Option<Vec<String>>,
        glossary: Option<Terms>,
        suppress: Vec<String>,
        sampling: Option<Sampling>,
        vocabulary_map: Option<PathBuf>,
        alignment: bool,
        whole_lines: bool,
    ) -> PyResult<Vec<Vec<Translation>>> {
        let texts = list("texts", texts)?;
        let search = SearchOptions {
            beam,
            length_penalty,
            max_ratio,
            max_extra,
            max_length: max_length.unwrap_or(0),
            min_length,
            no_repeat_ngram,
            coverage_penalty,
            nbest,
            alignments: alignment,
            ..SearchOptions::default()
        };
        let search = sampling.map_or(search, |sampling| sampling.within(search));
        search.check().map_err(|error| exception(&error))?;
        let prefixes = prefixes.unwrap_or_else(|| vec![String::new(); texts.len()]);
        same_length("prefixes", prefixes.len(), texts.len())?;
        let stop = Stop::default();
        let given = Given { glossary, suppress, vocabulary_map, whole_lines };
        let options = self.options(search, given, &stop)?;
        let library = self.library.clone();
        let found = self.pools.run(py, &stop, move || {
            check(&library, source.as_deref(), &target)?;
            let lines: Vec<Line> = texts.iter().zip(&prefixes).map(|(text, prefix)| Line { text, prefix }).collect();
            Ok(library.translate_lines(&lines, source.as_deref(), &target, &options)?)
        })?;
        Ok(found.into_iter().map(Translation::all).collect())
    }

    /// Translates sentences that are cut into pieces already.
    #[pyo3(signature = (
        sentences, target, source=None, *, prefixes=Vec::new(), beam=5, nbest=1, length_penalty=1.0, no_repeat_ngram=0,
        max_length=None, min_length=0, sampling=None
    ))]
    #[allow(clippy::too_many_arguments)] // keyword arguments of Python
    fn translate_pieces(
        &self,
        py: Python<'_>,
        sentences: Vec<Vec<String>>,
        target: String,
        source: Option<String>,
        prefixes: Vec<Vec<String>>,
        beam: usize,
        nbest: usize,
        length_penalty: f64,
        no_repeat_ngram: usize,
        max_length: Option<usize>,
        min_length: usize,
        sampling: Option<Sampling>,
    ) -> PyResult<Vec<Vec<Translation>>> {
        let max_length = max_length.unwrap_or(0);
        let search = SearchOptions { beam, nbest, length_penalty, no_repeat_ngram, ..SearchOptions::default() };
        let search = SearchOptions { max_length, min_length, ..search };
        let search = sampling.map_or(search, |sampling| sampling.within(search));
        if !prefixes.is_empty() {
            same_length("prefixes", prefixes.len(), sentences.len())?;
        }
        let stop = Stop::default();
        let options = self.options(search, Given::default(), &stop)?;
        let (library, ids) = (self.library.clone(), self.piece_ids());
        let found = self.pools.run(py, &stop, move || {
            check(&library, source.as_deref(), &target)?;
            let task = library.task(source.as_deref(), &target, &options)?;
            let found = library.translate_pieces(&ids, &sentences, &prefixes, &task)?;
            let has_none = |best: &Candidate| best.score.is_nan().then_some(Shortfall::NotFinite);
            finite("sentence", found.iter().map(|all| all.first().and_then(has_none)))?;
            Ok(found)
        })?;
        Ok(found.into_iter().map(|all| all.into_iter().map(Translation::from).collect()).collect())
    }

    /// Translates HTML; its markup stays.
    #[pyo3(signature = (html, target, source=None))]
    fn translate_html(&self, py: Python<'_>, html: String, target: String, source: Option<String>) -> PyResult<String> {
        let (library, stop) = (self.library.clone(), Stop::default());
        let plain = self.options(SearchOptions::default(), Given::default(), &stop)?;
        self.pools.run(py, &stop, move || {
            check(&library, source.as_deref(), &target)?;
            let reading = Reading { target: Some(target.clone()), ..Reading::default() };
            let parts = Parts::new(HTML.read_text(&html, &reading)?, &|text| worded(&library, text));
            let search = SearchOptions { alignments: parts.aligned(), ..plain.search };
            let options = TranslateOptions { search, ..plain };
            let task = library.task(source.as_deref(), &target, &options)?;
            let translations = library.translate_parts(parts.texts(), &task)?;
            finite("sentence", translations.iter().map(|part| part.shortfall))?;
            Ok(parts.render_text(&translations, 0)?)
        })
    }

    /// The score of each target as the translation of its source.
    #[pyo3(signature = (sources, targets, target, source=None))]
    fn score(
        &self,
        py: Python<'_>,
        sources: &Bound<'_, PyAny>,
        targets: &Bound<'_, PyAny>,
        target: String,
        source: Option<String>,
    ) -> PyResult<Vec<ScoredTranslation>> {
        let (sources, targets) = (list("sources", sources)?, list("targets", targets)?);
        same_length("targets", targets.len(), sources.len())?;
        let (library, stop) = (self.library.clone(), Stop::default());
        let switch = stop.clone();
        let found = self.pools.run(py, &stop, move || {
            check(&library, source.as_deref(), &target)?;
            let mut found = Vec::with_capacity(sources.len());
            for (sources, targets) in sources.chunks(SCORED).zip(targets.chunks(SCORED)) {
                if switch.is_stopped() {
                    return Err(strata_runtime::Error::Stopped.into());
                }
                for scored in library.score(sources, targets, source.as_deref(), &target)? {
                    found.push(scored.map_err(|fault| format!("pair {}: {fault}", found.len()))?);
                }
            }
            Ok(found)
        })?;
        Ok(found.into_iter().map(ScoredTranslation::from).collect())
    }

    /// Each text's sentences with the way of every token through the expert blocks.
    #[pyo3(signature = (texts, target, source=None, *, beam=5))]
    fn route(
        &self,
        py: Python<'_>,
        texts: &Bound<'_, PyAny>,
        target: String,
        source: Option<String>,
        beam: usize,
    ) -> PyResult<Vec<Vec<Route>>> {
        let texts = list("texts", texts)?;
        let (library, stop) = (self.library.clone(), Stop::default());
        let search = SearchOptions { beam, routing: true, ..SearchOptions::default() };
        let options = self.options(search, Given::default(), &stop)?;
        let found: Vec<Vec<Part>> = self.pools.run(py, &stop, move || {
            check(&library, source.as_deref(), &target)?;
            let task = library.task(source.as_deref(), &target, &options)?;
            let cut = |text: &String| library.parts(text).into_iter().map(|range| text[range].to_string()).collect();
            let sentences: Vec<Vec<String>> = texts.iter().map(cut).collect();
            let found = library.translate_parts(&sentences.concat(), &task)?;
            finite("sentence", found.iter().map(|part| part.shortfall))?;
            let mut found = found.into_iter();
            Ok(sentences.iter().map(|sentences| found.by_ref().take(sentences.len()).collect()).collect())
        })?;
        let config = self.library.config();
        let blocks = |layers: usize| Blocks {
            layers: (0..layers).filter(|layer| config.is_expert_layer(*layer)).collect(),
            strata: config.block_strata().sizes().len(),
            top_k: config.top_k,
        };
        let (encoder, decoder) = (blocks(config.encoder_layers), blocks(config.decoder_layers));
        let route = |part| Route::new(py, part, &encoder, &decoder);
        found.into_iter().map(|parts| parts.into_iter().map(route).collect()).collect()
    }

    /// The ids of a text's subwords, without tag and end mark.
    fn encode(&self, text: &str) -> Vec<u32> {
        self.library.subwords().encode(text)
    }

    /// The text of subword ids.
    fn decode(&self, ids: Vec<u32>) -> PyResult<String> {
        self.check_ids(&ids)?;
        Ok(self.library.subwords().decode(&ids))
    }

    /// The pieces of subword ids, as the subword model prints them.
    fn pieces(&self, ids: Vec<u32>) -> PyResult<Vec<String>> {
        self.check_ids(&ids)?;
        Ok(ids.iter().map(|id| self.library.subwords().piece(*id)).collect())
    }

    /// The languages that the model knows.
    #[getter]
    fn languages(&self) -> Vec<String> {
        self.library.languages().languages.iter().map(|language| language.tag.clone()).collect()
    }

    /// The directions that the model was trained on: source and target.
    #[getter]
    fn directions(&self) -> Vec<(String, String)> {
        let directions = &self.library.languages().directions;
        directions.iter().map(|direction| (direction.source.clone(), direction.target.clone())).collect()
    }

    /// The model's configuration, as `config.json` has it.
    #[getter]
    fn config<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let config = serde_json::to_value(self.library.config()).map_err(|error| exception(&error))?;
        python_of(py, &config)
    }

    fn __repr__(&self) -> String {
        format!("Translator({:?}, {})", self.path.display().to_string(), self.library.config().name())
    }
}

impl Translator {
    fn check_ids(&self, ids: &[u32]) -> PyResult<()> {
        let size = self.library.subwords().vocab_size();
        match ids.iter().find(|id| **id as usize >= size) {
            Some(id) => Err(StrataError::new_err(format!("subword id {id} is outside the vocabulary of {size}"))),
            None => Ok(()),
        }
    }

    /// The options of a call that `stop` ends.
    fn options(&self, search: SearchOptions, given: Given, stop: &Stop) -> PyResult<TranslateOptions> {
        let whole_vocabulary = self.whole_vocabulary;
        Ok(TranslateOptions { whole_vocabulary, ..options(search, given, stop)? })
    }

    fn piece_ids(&self) -> Arc<PieceIds> {
        self.pieces.get_or_init(|| Arc::new(self.library.piece_ids())).clone()
    }
}

/// Refuses languages that the model does not translate between.
fn check(library: &Library, source: Option<&str>, target: &str) -> Result<()> {
    Ok(library.check_direction(source, target)?)
}

/// Refuses what a model has no finite scores for: it is no translation.
fn finite(what: &str, shortfalls: impl Iterator<Item = Option<Shortfall>>) -> Result<()> {
    let mut faults = (0..).zip(shortfalls).filter_map(|(i, found)| Some((i, found?)));
    match faults.find(|(_, found): &(usize, _)| *found == Shortfall::NotFinite) {
        Some((i, found)) => Err(format!("{what} {i}: {found}").into()),
        None => Ok(()),
    }
}

/// Refuses a list that is not as long as the texts.
fn same_length(name: &str, length: usize, texts: usize) -> PyResult<()> {
    if length == texts {
        return Ok(());
    }
    Err(StrataError::new_err(format!("{length} {name} for {texts} texts; give one for each")))
}
