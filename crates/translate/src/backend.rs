//! What decodes: the CPU engine, or the model itself on another device.

use std::collections::BTreeSet;
use std::sync::Arc;

use strata_corpus::subword::EOS;
use strata_model::{BeamOptions, Packed, Transformer, beam_search};
use strata_recipe::ModelConfig;
use strata_runtime::{Engine, Hypothesis, Limits, Model, Request, SearchOptions};

use crate::error::Error;
use crate::options::{More, Options};

/// One sentence on its way to a batch.
pub(crate) struct Job {
    /// As `encoder_input` gives it.
    pub source: Vec<u32>,
    /// Subwords that the translation begins with.
    pub prefix: Vec<u32>,
    /// Sequences that must occur in it.
    pub constraints: Vec<Vec<u32>>,
}

/// One translation of a sentence, in subwords.
pub(crate) struct Decoded {
    /// Without tag and end mark.
    pub ids: Vec<u32>,
    pub score: f32,
    /// Log-probabilities of the ids and of the end mark; empty from the model itself.
    pub token_scores: Vec<f32>,
    /// Attention of each id to each source position, where alignments are asked for.
    pub attention: Vec<Vec<f32>>,
}

impl From<Hypothesis> for Decoded {
    fn from(found: Hypothesis) -> Self {
        let Hypothesis { ids, score, token_scores, attention, .. } = found;
        Self { ids, score, token_scores, attention: attention.unwrap_or_default() }
    }
}

/// Which subwords a translation may have.
pub(crate) struct Allowed {
    /// Ids that never occur.
    pub suppressed: Vec<u32>,
    /// The only ids computed, ascending; `None`: all.
    pub vocabulary: Option<Arc<[u32]>>,
}

/// Runs a model.
pub(crate) enum Backend {
    Engine(Box<Cpu>),
    Model(Box<Transformer>),
}

/// The CPU engine, and how many batches it works on side by side; 0 leaves that to it.
pub(crate) struct Cpu {
    pub engine: Engine,
    pub workers: usize,
}

impl Cpu {
    /// An engine for `model`.
    pub fn new(model: Model, workers: usize) -> Self {
        Self { engine: Engine::new(Arc::new(model)), workers }
    }

    pub fn limits(&self) -> Limits {
        Limits { threads: rayon::current_num_threads(), workers: self.workers, ..Limits::default() }
    }
}

impl Backend {
    pub fn config(&self) -> &ModelConfig {
        match self {
            Self::Engine(cpu) => cpu.engine.model().config(),
            Self::Model(model) => model.config(),
        }
    }

    /// Translates sentences into the language of `tag`.
    pub fn translate(
        &self,
        jobs: &[Job],
        tag: u32,
        allowed: &Allowed,
        options: &Options,
    ) -> Result<Vec<Vec<Decoded>>, Error> {
        match self {
            Self::Engine(cpu) => cpu.translate(jobs, tag, allowed, options),
            Self::Model(model) => with_model(model, jobs, tag, &allowed.suppressed, options),
        }
    }

    /// Log-probabilities of given translations `(source, target)`, subword by subword and of the end mark.
    pub fn score(&self, pairs: Vec<(Vec<u32>, Vec<u32>)>, tag: u32) -> Result<Vec<Vec<f32>>, Error> {
        let Self::Engine(cpu) = self else {
            return Err(Error::Unsupported("forced decoding runs on the CPU only; use --device cpu".into()));
        };
        let options = Arc::new(SearchOptions { beam: 1, end: EOS, ..SearchOptions::default() });
        let request = |(source, target)| Request::score(source, tag, target, options.clone());
        let requests: Vec<Request> = pairs.into_iter().map(request).collect();
        let found = cpu.engine.translate(&requests, &cpu.limits())?;
        Ok(found.into_iter().map(|h| h.into_iter().next().map(|h| h.token_scores).unwrap_or_default()).collect())
    }
}

impl Cpu {
    fn translate(
        &self,
        jobs: &[Job],
        tag: u32,
        allowed: &Allowed,
        options: &Options,
    ) -> Result<Vec<Vec<Decoded>>, Error> {
        let search = Arc::new(search_options(options, allowed));
        let request = |job: &Job| {
            let mut request = Request::new(job.source.clone(), tag, with_forced(&search, job));
            request.prefix.clone_from(&job.prefix);
            request.constraints.clone_from(&job.constraints);
            request
        };
        let requests: Vec<Request> = jobs.iter().map(request).collect();
        let limits = Limits { source_tokens: options.tokens_per_batch, ..self.limits() };
        let found = self.engine.translate(&requests, &limits)?;
        Ok(found.into_iter().map(|hypotheses| hypotheses.into_iter().map(Decoded::from).collect()).collect())
    }
}

/// The engine's options for a search as `options` say.
pub(crate) fn search_options(options: &Options, allowed: &Allowed) -> SearchOptions {
    let More { max_length, min_length, no_repeat_ngram, coverage_penalty, sampling, alignment, .. } = options.more;
    let beam = options.beam.max(1);
    SearchOptions {
        beam,
        length_penalty: options.length_penalty,
        nbest: options.nbest.clamp(1, beam),
        max_ratio: options.max_ratio,
        // A length that is asked for takes the place of the one that follows from the source.
        max_extra: max_length.unwrap_or(options.max_extra),
        max_length,
        min_length,
        end: EOS,
        suppressed: allowed.suppressed.as_slice().into(),
        vocabulary: allowed.vocabulary.clone(),
        no_repeat_ngram,
        coverage_penalty,
        sampling,
        attention: alignment,
        ..SearchOptions::default()
    }
}

/// `search`, whose vocabulary, where it is restricted, also has what `job` forces.
fn with_forced(search: &Arc<SearchOptions>, job: &Job) -> Arc<SearchOptions> {
    let forced = || job.prefix.iter().chain(job.constraints.iter().flatten()).copied();
    match &search.vocabulary {
        Some(ids) if forced().any(|id| ids.binary_search(&id).is_err()) => {
            let all: BTreeSet<u32> = ids.iter().copied().chain(forced()).collect();
            Arc::new(SearchOptions { vocabulary: Some(all.into_iter().collect()), ..SearchOptions::clone(search) })
        }
        _ => search.clone(),
    }
}

/// Plain beam search on the model's own device, in batches of like length.
fn with_model(
    model: &Transformer,
    jobs: &[Job],
    tag: u32,
    suppressed: &[u32],
    options: &Options,
) -> Result<Vec<Vec<Decoded>>, Error> {
    if options.more != More::default() || jobs.iter().any(|job| !job.prefix.is_empty()) {
        return Err(Error::Unsupported(
            "this device has plain beam search only: prefixes, glossaries, sampling, alignments and limits of length or \
             repetition need --device cpu"
                .into(),
        ));
    }
    let beam = BeamOptions {
        beam: options.beam.max(1),
        length_penalty: options.length_penalty,
        nbest: options.nbest.clamp(1, options.beam.max(1)),
        max_ratio: options.max_ratio,
        max_extra: options.max_extra,
        end: EOS,
        suppressed: suppressed.to_vec(),
    };
    // Sentences of like length together: they end at about the same step.
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(jobs[*i].source.len()));
    let mut results: Vec<Vec<Decoded>> = (0..jobs.len()).map(|_| Vec::new()).collect();
    let mut rest = order.as_slice();
    while !rest.is_empty() {
        let mut tokens = 0;
        let fitting = rest.iter().take_while(|i| {
            tokens += jobs[**i].source.len();
            tokens <= options.tokens_per_batch
        });
        let (batch, others) = rest.split_at(fitting.count().max(1));
        rest = others;
        let sources: Vec<&[u32]> = batch.iter().map(|i| jobs[*i].source.as_slice()).collect();
        let found = beam_search(model, &Packed::from_sentences(&sources), &vec![tag; batch.len()], &beam)?;
        for (i, hypotheses) in batch.iter().zip(found) {
            results[*i] = hypotheses
                .into_iter()
                .map(|h| Decoded { ids: h.ids, score: h.score, token_scores: Vec::new(), attention: Vec::new() })
                .collect();
        }
    }
    Ok(results)
}
