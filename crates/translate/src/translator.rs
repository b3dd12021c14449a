//! Lines of text through a model: subwords, batches by tokens, beam search, text again.

use std::path::Path;

use strata_corpus::Subwords;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::prepare::TOKENIZER_FILE;
use strata_corpus::subword::{EOS, SPECIALS};
use strata_model::{BeamOptions, Packed, Transformer, beam_search, parse_device};
use strata_store::{ModelFolder, resolve_model};

use crate::error::Error;
use crate::options::Options;
use crate::split::{join, split};

/// One translation of a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The text.
    pub text: String,
    /// Sum of the subwords' log-probabilities (natural) over `subwords ^ length_penalty`; for a line that was translated in
    /// parts, the parts' mean by subwords.
    pub score: f32,
    /// Its length in subwords with the end mark.
    pub subwords: usize,
}

/// A model with its subwords and languages.
pub struct Translator {
    model: Transformer,
    subwords: Subwords,
    languages: Languages,
}

/// A part of a line, on its way to a batch.
struct Part {
    /// `<2TGT> subwords </s>`
    ids: Vec<u32>,
}

impl Translator {
    /// Loads a model folder, a checkpoint, or a run's best checkpoint onto `device` (`cpu`, `cuda:0`, ...).
    ///
    /// # Errors
    /// A missing or damaged file, a device that is not there.
    pub fn open(path: &Path, device: &str) -> Result<Self, Error> {
        let device = parse_device(device)?;
        let folder = ModelFolder::open(resolve_model(path)?)?;
        let subwords = Subwords::load(&folder.file(TOKENIZER_FILE))?;
        let languages = Languages::load(&folder.file(LANGUAGES_FILE))?;
        let mut model = Transformer::new(&folder.model_config()?, 0, &device)?;
        model.load_weights(&folder.weights()?)?;
        Ok(Self::from_parts(model, subwords, languages))
    }

    /// Puts a translator together; `model` must be without gradients.
    pub fn from_parts(model: Transformer, subwords: Subwords, languages: Languages) -> Self {
        Self { model, subwords, languages }
    }

    /// The languages that the model was trained on.
    pub fn languages(&self) -> &Languages {
        &self.languages
    }

    /// The subword model.
    pub fn subwords(&self) -> &Subwords {
        &self.subwords
    }

    /// The model.
    pub fn model(&self) -> &Transformer {
        &self.model
    }

    /// Whether the model was trained to translate into `to` (and from `from`).
    ///
    /// # Errors
    /// [`Error::Language`] with the known languages and the nearest one.
    pub fn check_direction(&self, from: Option<&str>, to: &str) -> Result<(), Error> {
        let of = |name: fn(&strata_corpus::languages::Direction) -> &String| {
            let mut known: Vec<&str> = self.languages.directions.iter().map(|d| name(d).as_str()).collect();
            known.sort_unstable();
            known.dedup();
            known
        };
        let check = |way: &'static str, language: &str, known: Vec<&str>| {
            if known.contains(&language) {
                return Ok(());
            }
            let hint = strata_recipe::nearest(language, known.iter().copied())
                .map_or(String::new(), |near| format!(" (did you mean `{near}`?)"));
            Err(Error::Language { way, language: language.to_string(), known: known.join(", "), hint })
        };
        check("into", to, of(|d| &d.target))?;
        from.map_or(Ok(()), |from| check("from", from, of(|d| &d.source)))
    }

    /// Translates lines into `to`: for each up to `options.nbest` candidates, best first. A line without text gives one empty
    /// candidate; one that is longer than the model takes is translated in parts, cut at sentence ends.
    ///
    /// # Errors
    /// [`Error::Language`]; what the model reports.
    pub fn translate<S: AsRef<str> + Sync>(
        &self,
        lines: &[S],
        to: &str,
        options: &Options,
    ) -> Result<Vec<Vec<Candidate>>, Error> {
        self.check_direction(None, to)?;
        let tag = self.subwords.tag(to).ok_or_else(|| Error::Language {
            way: "into",
            language: to.to_string(),
            known: self.subwords.languages().join(", "),
            hint: String::new(),
        })?;
        let longest = self.model.config().max_length - 2; // without the tag and the end mark
        let with_marks = |ids: Vec<u32>| Part { ids: [tag].into_iter().chain(ids).chain([EOS]).collect() };
        let mut parts: Vec<Part> = Vec::with_capacity(lines.len());
        let mut parts_of_line = Vec::with_capacity(lines.len());
        for (line, ids) in lines.iter().zip(self.subwords.encode_batch(lines)) {
            let before = parts.len();
            if ids.len() > longest {
                let pieces = split(line.as_ref(), longest, &|text| self.subwords.encode(text).len());
                parts.extend(pieces.into_iter().map(|piece| with_marks(self.subwords.encode(piece))));
            } else if !ids.is_empty() {
                parts.push(with_marks(ids));
            }
            parts_of_line.push(before..parts.len());
        }
        let translated = self.translate_parts(&parts, tag, options)?;
        Ok(parts_of_line.into_iter().map(|range| candidates(&translated[range])).collect())
    }

    fn translate_parts(&self, parts: &[Part], tag: u32, options: &Options) -> Result<Vec<Vec<Candidate>>, Error> {
        let beam = BeamOptions {
            beam: options.beam.max(1),
            length_penalty: options.length_penalty,
            nbest: options.nbest.clamp(1, options.beam.max(1)),
            max_ratio: options.max_ratio,
            max_extra: options.max_extra,
            end: EOS,
            suppressed: (0..(SPECIALS.len() + self.subwords.languages().len()) as u32)
                .filter(|id| *id != EOS)
                .collect(),
        };
        // Sentences of like length together: they end at about the same step.
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|i| std::cmp::Reverse(parts[*i].ids.len()));
        let mut results = vec![Vec::new(); parts.len()];
        let mut rest = order.as_slice();
        while !rest.is_empty() {
            let mut tokens = 0;
            let fitting = rest.iter().take_while(|i| {
                tokens += parts[**i].ids.len();
                tokens <= options.tokens_per_batch
            });
            let (batch, others) = rest.split_at(fitting.count().max(1));
            rest = others;
            let sources: Vec<&[u32]> = batch.iter().map(|i| parts[*i].ids.as_slice()).collect();
            let found = beam_search(&self.model, &Packed::from_sentences(&sources), &vec![tag; batch.len()], &beam)?;
            for (i, hypotheses) in batch.iter().zip(found) {
                results[*i] = hypotheses
                    .into_iter()
                    .map(|h| Candidate {
                        text: self.subwords.decode(&h.ids),
                        score: h.score,
                        subwords: h.ids.len() + 1,
                    })
                    .collect();
            }
        }
        Ok(results)
    }
}

/// The candidates of a line from those of its parts: the i-th of each together.
fn candidates(parts: &[Vec<Candidate>]) -> Vec<Candidate> {
    match parts {
        [] => vec![Candidate { text: String::new(), score: 0.0, subwords: 0 }],
        [one] => one.clone(),
        several => {
            let count = several.iter().map(Vec::len).min().unwrap_or(0);
            let whole = |i: usize| {
                let subwords: usize = several.iter().map(|part| part[i].subwords).sum();
                let sum: f32 = several.iter().map(|part| part[i].score * part[i].subwords as f32).sum();
                let text = join(several.iter().map(|part| part[i].text.clone()));
                Candidate { text, score: sum / subwords.max(1) as f32, subwords }
            };
            (0..count).map(whole).collect()
        }
    }
}
