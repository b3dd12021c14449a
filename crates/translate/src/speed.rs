//! The speed of translating a text with a model, for comparison with other programs on the same text.

use std::time::Instant;

use serde::Serialize;
use strata_runtime::Limits;
use strata_runtime::bench::Times;

use crate::error::Error;
use crate::options::TranslateOptions;
use crate::translator::Translator;

/// Times of [`Translator::speed`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Speed {
    /// Kind of model.
    pub model: String,
    /// `f32`, `bf16` or `int8`.
    pub precision: &'static str,
    /// Sentences at a time.
    pub batch: usize,
    /// Hypotheses of each.
    pub beam: usize,
    /// Lines translated.
    pub sentences: usize,
    /// Subwords of all translations, without end marks.
    pub tokens: usize,
    /// Target subwords per second of the best run, from subwords to subwords.
    pub tokens_per_second: f64,
    /// The same of the median run.
    pub tokens_per_second_median: f64,
    /// Target subwords per second of the best run, from text to text: encoding and decoding of subwords included.
    pub text_tokens_per_second: f64,
    /// The same of the median run.
    pub text_tokens_per_second_median: f64,
    /// Median time of one line, from text to text; with batch 1 only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_p50_ms: Option<f64>,
    /// 95th percentile of the time of one line; with batch 1 only.
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
    /// Translates `lines` into `to` `runs` times after one untimed run, `batch` sentences at a time (1: a call for each
    /// line). Returns the times and the translations.
    ///
    /// # Errors
    /// What [`Translator::task`] refuses; a model that is not on the CPU; no line, or one that is empty or too long for
    /// the model.
    pub fn speed(
        &self,
        lines: &[String],
        from: Option<&str>,
        to: &str,
        options: &TranslateOptions,
        batch: usize,
        runs: usize,
    ) -> Result<(Speed, Vec<String>), Error> {
        let cpu = self.backend.cpu("the speed of translation")?;
        // As other programs do it: a line is a sentence.
        let task = self.task(from, to, &TranslateOptions { whole_lines: true, ..options.clone() })?;
        self.check_lines(lines)?;
        let hypotheses = batch.max(1) * task.search.width();
        let limits = Limits { source_tokens: usize::MAX, hypotheses, ..cpu.limits() };
        let (mut timed, mut texts, mut tokens) = (Vec::new(), Vec::new(), 0);
        for _ in 0..=runs.max(1) {
            let mut run = Run::default();
            (texts, tokens) = (Vec::with_capacity(lines.len()), 0);
            for call in lines.chunks(if batch <= 1 { 1 } else { lines.len() }) {
                let call: Vec<(&str, &str)> = call.iter().map(|text| (text.as_str(), "")).collect();
                let started = Instant::now();
                let mut work = self.begin_lines(&call, &task);
                loop {
                    let requests = work.requests();
                    if requests.is_empty() {
                        break;
                    }
                    let searching = Instant::now();
                    let found = cpu.engine.translate(&requests, &limits)?;
                    run.search += searching.elapsed().as_secs_f64();
                    work.take(found, self, &task);
                }
                let found = work.finish();
                run.calls.push(started.elapsed().as_secs_f64());
                let best = found.into_iter().filter_map(|part| part.candidates.into_iter().next());
                texts.extend(best.map(|best| {
                    tokens += best.subwords - 1;
                    best.text
                }));
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
            beam: task.search.beam,
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

    /// Refuses lines that are not one part each.
    fn check_lines(&self, lines: &[String]) -> Result<(), Error> {
        if lines.is_empty() {
            return Err(Error::Unsupported("there is no line to translate".into()));
        }
        let most = self.longest();
        let lengths = self.subwords().encode_batch(lines).into_iter().map(|ids| ids.len());
        match lengths.enumerate().find(|(_, length)| !(1..=most).contains(length)) {
            Some((i, length)) => Err(Error::Unsupported(format!(
                "line {} has {length} subwords; lines that are timed have 1 to {most} with this model",
                i + 1
            ))),
            None => Ok(()),
        }
    }
}
