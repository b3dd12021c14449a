//! The speed of translating a text with a model, for comparison with other programs on the same text.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use strata_corpus::subword::encoder_input;
use strata_runtime::bench::Times;
use strata_runtime::{Limits, Request};

use crate::backend::{Backend, search_options};
use crate::error::Error;
use crate::options::Options;
use crate::translator::Translator;

/// Times of [`Translator::speed`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Kind of model.
    pub model: String,
    /// `f32` or `int8`.
    pub precision: &'static str,
    /// As asked for.
    pub batch: usize,
    /// As asked for.
    pub beam: usize,
    /// Lines translated.
    pub sentences: usize,
    /// Subwords of all translations, without end marks.
    pub tokens: usize,
    /// Target subwords per second of the best run, from subwords to subwords.
    pub tokens_per_second: f64,
    /// The same of the median run.
    pub tokens_per_second_median: f64,
    /// Target subwords per second of the best run from text to text: cutting into subwords and joining them included.
    pub text_tokens_per_second: f64,
    /// The same of the median run.
    pub text_tokens_per_second_median: f64,
    /// Median time of a line alone, from text to text; with batch 1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p50_ms: Option<f64>,
    /// The time that 95 of 100 lines stay below; with batch 1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p95_ms: Option<f64>,
}

/// Seconds of a run's searches together, and of each of its calls from text to text.
#[derive(Default)]
struct Run {
    search: f64,
    calls: Vec<f64>,
}

impl Translator {
    /// Translates `lines` into `to` `runs` times after once untimed, `batch` sentences at a time (1: each by a call of its own).
    /// Gives the times, and the translations.
    ///
    /// # Errors
    /// [`Error::Language`]; a model that runs on another device than the CPU; no line, or one that is empty or too long for the
    /// model.
    pub fn speed(
        &self,
        lines: &[String],
        to: &str,
        options: &Options,
        batch: usize,
        runs: usize,
    ) -> Result<(Speed, Vec<String>), Error> {
        let Backend::Engine(cpu) = &self.backend else {
            return Err(Error::Unsupported("speed is measured with the CPU engine only; use --device cpu".into()));
        };
        let tag = self.tag(to)?;
        if lines.is_empty() {
            return Err(Error::Unsupported("there is no line to translate".into()));
        }
        for (number, ids) in (1..).zip(self.subwords().encode_batch(lines)) {
            let (length, most) = (ids.len(), self.longest());
            if !(1..=most).contains(&length) {
                let number: usize = number;
                return Err(Error::Unsupported(format!(
                    "line {number} has {length} subwords; lines that are timed have 1 to {most} with this model"
                )));
            }
        }
        let search = Arc::new(search_options(options, &self.allowed(to, options)?));
        let hypotheses = batch.max(1) * search.beam;
        let limits = Limits { source_tokens: usize::MAX, hypotheses, ..cpu.limits() };
        let mut texts = Vec::new();
        let (mut timed, mut tokens) = (Vec::new(), 0);
        for _ in 0..=runs.max(1) {
            let mut run = Run::default();
            (texts, tokens) = (Vec::with_capacity(lines.len()), 0);
            for part in lines.chunks(if batch <= 1 { 1 } else { lines.len() }) {
                let started = Instant::now();
                let request = |ids: Vec<u32>| Request::new(encoder_input(tag, ids).collect(), tag, search.clone());
                let requests: Vec<Request> = self.subwords().encode_batch(part).into_iter().map(request).collect();
                let searching = Instant::now();
                let found = cpu.engine.translate(&requests, &limits)?;
                run.search += searching.elapsed().as_secs_f64();
                texts.extend(found.iter().map(|found| self.subwords().decode(&found[0].ids)));
                run.calls.push(started.elapsed().as_secs_f64());
                tokens += found.iter().map(|found| found[0].ids.len()).sum::<usize>();
            }
            timed.push(run);
        }
        timed.remove(0);
        let search = Times::new(timed.iter().map(|run| run.search).collect());
        let all = Times::new(timed.iter().map(|run| run.calls.iter().sum()).collect());
        let calls = Times::new(timed.into_iter().flat_map(|run| run.calls).collect());
        let latency = |share: f64| (batch <= 1).then(|| calls.quantile(share) * 1e3);
        let rate = |seconds: f64| tokens as f64 / seconds;
        let speed = Speed {
            model: self.config().name(),
            precision: cpu.engine.model().precision().name(),
            batch,
            beam: options.beam,
            sentences: lines.len(),
            tokens,
            tokens_per_second: rate(search.best()),
            tokens_per_second_median: rate(search.median()),
            text_tokens_per_second: rate(all.best()),
            text_tokens_per_second_median: rate(all.median()),
            latency_p50_ms: latency(0.5),
            latency_p95_ms: latency(0.95),
        };
        Ok((speed, texts))
    }
}
