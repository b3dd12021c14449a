//! Lines of text through a model, all at once: cut into parts, translated in batches, put together.

use crate::candidate::Candidate;
use crate::error::Error;
use crate::options::TranslateOptions;
use crate::parts::Part;
use crate::shortfall::Shortfall;
use crate::translator::Translator;

/// A line to translate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line<'a> {
    /// The text.
    pub text: &'a str,
    /// What the translation begins with.
    pub prefix: &'a str,
}

/// A line's translation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Translated {
    /// Best first; at least one.
    pub candidates: Vec<Candidate>,
    /// What the best candidate lacks of the line, if it seems to lack something.
    pub shortfall: Option<Shortfall>,
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
    ) -> Result<Vec<Translated>, Error> {
        let lines: Vec<Line> = lines.iter().map(|text| Line { text: text.as_ref(), ..Line::default() }).collect();
        self.translate_lines(&lines, from, to, options)
    }

    /// Translates lines into `to`: for each up to `nbest` candidates, best first. Lines are cut into sentences, and
    /// those that are longer than the model has learned at clause ends; what is between the sentences stays as it is.
    /// With [`TranslateOptions::whole_lines`] a line is only cut if it is too long.
    ///
    /// # Errors
    /// What [`Translator::task`] refuses; a prefix that is too long for the model.
    pub fn translate_lines(
        &self,
        lines: &[Line],
        from: Option<&str>,
        to: &str,
        options: &TranslateOptions,
    ) -> Result<Vec<Translated>, Error> {
        let mut task = self.task(from, to, options)?;
        task.traced = false;
        let lines: Vec<(&str, &str)> = lines.iter().map(|line| (line.text, line.prefix)).collect();
        let parts = self.finished(self.begin_lines(&lines, &task), &task)?;
        let line = |part: Part| Translated { candidates: part.candidates, shortfall: part.shortfall };
        Ok(parts.into_iter().map(line).collect())
    }
}
