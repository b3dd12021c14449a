//! Lines of text through a model, all at once: cut into parts, translated in batches, put together.

use std::ops::Range;

use strata_runtime::{Hypothesis, Request};

use crate::candidate::{Candidate, whole};
use crate::error::Error;
use crate::options::TranslateOptions;
use crate::split::split;
use crate::task::Task;
use crate::translator::Translator;

/// A line to translate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line<'a> {
    /// The text.
    pub text: &'a str,
    /// What the translation begins with.
    pub prefix: &'a str,
}

/// Lines cut into parts, with the parts' requests.
pub(crate) struct Batch<'a> {
    /// The text of each part.
    texts: Vec<&'a str>,
    /// The request of each part.
    pub requests: Vec<Request>,
    /// The parts of each line.
    parts: Vec<Range<usize>>,
}

impl Translator {
    /// [`Translator::translate_lines`] for lines without prefixes.
    ///
    /// # Errors
    /// As there.
    pub fn translate<S: AsRef<str>>(
        &self,
        lines: &[S],
        from: Option<&str>,
        to: &str,
        options: &TranslateOptions,
    ) -> Result<Vec<Vec<Candidate>>, Error> {
        let lines: Vec<Line> = lines.iter().map(|text| Line { text: text.as_ref(), ..Line::default() }).collect();
        self.translate_lines(&lines, from, to, options)
    }

    /// Translates lines into `to`: for each up to `nbest` candidates, best first. A line without text gives one empty
    /// candidate; one that is longer than the model takes is translated in parts, cut at sentence ends.
    ///
    /// # Errors
    /// What [`Translator::task`] refuses; a prefix that is too long for the model.
    pub fn translate_lines(
        &self,
        lines: &[Line],
        from: Option<&str>,
        to: &str,
        options: &TranslateOptions,
    ) -> Result<Vec<Vec<Candidate>>, Error> {
        let task = self.task(from, to, options)?;
        let batch = self.batch(lines, &task);
        let found = self.backend.translate(&batch.requests, task.tokens_per_batch)?;
        Ok(self.lines(&batch, &found))
    }

    /// Cuts lines into parts and makes the parts' requests.
    pub(crate) fn batch<'a>(&self, lines: &[Line<'a>], task: &Task) -> Batch<'a> {
        let mut batch = Batch { texts: Vec::new(), requests: Vec::new(), parts: Vec::with_capacity(lines.len()) };
        let texts: Vec<&str> = lines.iter().map(|line| line.text).collect();
        for (line, ids) in lines.iter().zip(self.subwords().encode_batch(&texts)) {
            let first = batch.requests.len();
            let mut push = |text, ids, prefix| {
                if let Some(request) = self.request_for(text, ids, prefix, task) {
                    batch.texts.push(text);
                    batch.requests.push(request);
                }
            };
            if ids.len() <= self.longest() {
                push(line.text, ids, line.prefix);
            } else {
                let count = |text: &str| self.subwords().encode(text).len();
                for (i, part) in split(line.text, self.longest(), &count).into_iter().enumerate() {
                    push(part, self.subwords().encode(part), if i == 0 { line.prefix } else { "" });
                }
            }
            batch.parts.push(first..batch.requests.len());
        }
        batch
    }

    /// The candidates of each line, from what was found for each part.
    pub(crate) fn lines(&self, batch: &Batch, found: &[Vec<Hypothesis>]) -> Vec<Vec<Candidate>> {
        let parts: Vec<Vec<Candidate>> =
            batch.requests.iter().zip(found).map(|(request, found)| self.candidates(request, found)).collect();
        let line = |range: &Range<usize>| whole(&batch.texts[range.clone()], &parts[range.clone()]);
        batch.parts.iter().map(line).collect()
    }
}
