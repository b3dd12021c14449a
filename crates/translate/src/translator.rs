//! Lines of text through a model: subwords, batches by tokens, search, text again.

use std::path::Path;

use strata_corpus::Subwords;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::prepare::TOKENIZER_FILE;
use strata_corpus::subword::{EOS, SPECIALS, encoder_input};
use strata_model::{Transformer, parse_device};
use strata_recipe::ModelConfig;
use strata_runtime::{Model, PackedFolder, Precision};
use strata_store::{Check, ModelFolder, resolve_model};

use crate::alignment::align;
use crate::backend::{Allowed, Backend, Cpu, Decoded, Job};
use crate::error::Error;
use crate::options::Options;
use crate::split::{join, split};

/// One translation of a line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Candidate {
    /// The text.
    pub text: String,
    /// Sum of the subwords' log-probabilities (natural) over `subwords ^ length_penalty`; for a line that was translated in
    /// parts, the parts' mean by subwords.
    pub score: f32,
    /// Its length in subwords with the end mark.
    pub subwords: usize,
    /// Its subwords with their log-probabilities, the end mark last; from the CPU engine only.
    pub tokens: Vec<Token>,
    /// Pairs of a source word and the word that translates it, counted from 0 as white space separates them; where
    /// alignments are asked for.
    pub alignment: Vec<(u32, u32)>,
}

/// A subword of a translation.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Token {
    /// Its piece, as the subword model prints it.
    pub piece: String,
    /// Its natural log-probability.
    pub score: f32,
}

/// The score of a given translation.
#[derive(Clone, Debug, PartialEq)]
pub struct Forced {
    /// Sum of the tokens' scores.
    pub sum: f32,
    /// The subwords and the end mark.
    pub tokens: Vec<Token>,
}

/// A line to translate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line<'a> {
    /// The text.
    pub text: &'a str,
    /// What the translation begins with.
    pub prefix: &'a str,
}

/// Where and how a model is run.
#[derive(Clone, Debug)]
pub struct Placement {
    /// `cpu`, `cuda:0`, ...
    pub device: String,
    /// Pack the weights as 8-bit integers (CPU; a packed folder has its precision already).
    pub int8: bool,
    /// Batches that are worked on side by side, each with its share of the threads; 0: as many as there are sentences enough
    /// for (CPU).
    pub workers: usize,
}

/// On the CPU, in f32.
impl Default for Placement {
    fn default() -> Self {
        Self { device: "cpu".to_string(), int8: false, workers: 0 }
    }
}

/// A model with its subwords and languages.
pub struct Translator {
    pub(crate) backend: Backend,
    subwords: Subwords,
    languages: Languages,
}

impl Translator {
    /// Loads a model folder, a checkpoint, a run's best checkpoint, or a packed folder.
    ///
    /// # Errors
    /// A missing or damaged file, a device that is not there.
    pub fn open(path: &Path, placement: &Placement) -> Result<Self, Error> {
        let on_cpu = placement.device == "cpu";
        let (backend, folder) = if PackedFolder::is_at(path) {
            if !on_cpu {
                let what = "a packed folder runs on the CPU only; name the model folder that it was exported from";
                return Err(Error::Unsupported(format!("{}: {what}", path.display())));
            }
            // Lengths only: every start would otherwise read the whole file, which is mapped to be read as it is needed.
            let packed = PackedFolder::open(path, Check::Sizes)?;
            (Backend::Engine(Box::new(Cpu::new(Model::load_packed(&packed)?, placement.workers))), path.to_path_buf())
        } else {
            let folder = ModelFolder::open(resolve_model(path)?)?;
            let backend = if on_cpu {
                let precision = if placement.int8 { Precision::Int8 } else { Precision::F32 };
                Backend::Engine(Box::new(Cpu::new(Model::load(&folder, precision)?, placement.workers)))
            } else {
                if placement.int8 {
                    return Err(Error::Unsupported("int8 runs on the CPU only; use --device cpu".into()));
                }
                let mut model = Transformer::new(&folder.model_config()?, 0, &parse_device(&placement.device)?)?;
                model.load_weights(&folder.weights()?)?;
                Backend::Model(Box::new(model))
            };
            (backend, folder.path().to_path_buf())
        };
        let subwords = Subwords::load(&folder.join(TOKENIZER_FILE))?;
        let languages = Languages::load(&folder.join(LANGUAGES_FILE))?;
        Ok(Self { backend, subwords, languages })
    }

    /// A translator with the CPU engine for the weights that `model`, which may be in training, has now.
    ///
    /// # Errors
    /// Weights that the engine cannot use.
    pub fn with_engine(model: &mut Transformer, subwords: Subwords, languages: Languages) -> Result<Self, Error> {
        let weights = model.weights();
        let packed = Model::pack(model.config(), &weights, Precision::F32)?;
        Ok(Self { backend: Backend::Engine(Box::new(Cpu::new(packed, 0))), subwords, languages })
    }

    /// A translator that searches with the model itself, on its own device; `model` must be without gradients.
    pub fn from_parts(model: Transformer, subwords: Subwords, languages: Languages) -> Self {
        Self { backend: Backend::Model(Box::new(model)), subwords, languages }
    }

    /// The languages that the model was trained on.
    pub fn languages(&self) -> &Languages {
        &self.languages
    }

    /// The subword model.
    pub fn subwords(&self) -> &Subwords {
        &self.subwords
    }

    /// The model's configuration.
    pub fn config(&self) -> &ModelConfig {
        self.backend.config()
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

    pub(crate) fn tag(&self, to: &str) -> Result<u32, Error> {
        self.check_direction(None, to)?;
        self.subwords.tag(to).ok_or_else(|| Error::Language {
            way: "into",
            language: to.to_string(),
            known: self.subwords.languages().join(", "),
            hint: String::new(),
        })
    }

    /// Subwords of a source at most, without the tag and the end mark.
    pub(crate) fn longest(&self) -> usize {
        self.config().max_length - 2
    }

    /// [`Translator::translate_lines`] for lines without prefixes.
    ///
    /// # Errors
    /// As there.
    pub fn translate<S: AsRef<str>>(
        &self,
        lines: &[S],
        to: &str,
        options: &Options,
    ) -> Result<Vec<Vec<Candidate>>, Error> {
        let lines: Vec<Line> = lines.iter().map(|text| Line { text: text.as_ref(), ..Line::default() }).collect();
        self.translate_lines(&lines, to, options)
    }

    /// Translates lines into `to`: for each up to `options.nbest` candidates, best first. A line without text gives one empty
    /// candidate; one that is longer than the model takes is translated in parts, cut at sentence ends.
    ///
    /// # Errors
    /// [`Error::Language`]; what the model reports, such as a prefix that is too long.
    pub fn translate_lines(&self, lines: &[Line], to: &str, options: &Options) -> Result<Vec<Vec<Candidate>>, Error> {
        let tag = self.tag(to)?;
        let longest = self.longest();
        let job = |text: &str, ids: Vec<u32>, prefix: &str| Job {
            source: encoder_input(tag, ids).collect(),
            prefix: if prefix.is_empty() { Vec::new() } else { self.subwords.encode(prefix) },
            constraints: options.more.glossary.as_deref().map_or(Vec::new(), |glossary| {
                glossary.required(text).into_iter().map(|translation| self.subwords.encode(translation)).collect()
            }),
        };
        let mut jobs: Vec<Job> = Vec::with_capacity(lines.len());
        let mut texts: Vec<&str> = Vec::with_capacity(lines.len());
        let mut jobs_of_line = Vec::with_capacity(lines.len());
        let sources: Vec<&str> = lines.iter().map(|line| line.text).collect();
        for (line, ids) in lines.iter().zip(self.subwords.encode_batch(&sources)) {
            let before = jobs.len();
            if ids.len() > longest {
                let pieces = split(line.text, longest, &|text| self.subwords.encode(text).len());
                for (i, piece) in pieces.into_iter().enumerate() {
                    let prefix = if i == 0 { line.prefix } else { "" };
                    jobs.push(job(piece, self.subwords.encode(piece), prefix));
                    texts.push(piece);
                }
            } else if !ids.is_empty() {
                jobs.push(job(line.text, ids, line.prefix));
                texts.push(line.text);
            }
            jobs_of_line.push(before..jobs.len());
        }
        let decoded = self.backend.translate(&jobs, tag, &self.allowed(to, options)?, options)?;
        let parts: Vec<Vec<Candidate>> = jobs
            .iter()
            .zip(decoded)
            .map(|(job, found)| found.into_iter().map(|decoded| self.candidate(&job.source, decoded)).collect())
            .collect();
        Ok(jobs_of_line.into_iter().map(|range| whole(&texts[range.clone()], &parts[range])).collect())
    }

    /// The subwords of translations into `to`.
    pub(crate) fn allowed(&self, to: &str, options: &Options) -> Result<Allowed, Error> {
        let map = options.more.vocabulary.as_deref();
        let vocabulary = map.map(|map| map.ids(&self.subwords, to)).transpose()?;
        Ok(Allowed { suppressed: self.suppressed(&options.more.suppressed)?, vocabulary })
    }

    /// Ids that no translation has: padding, unknown, tags, and those of `pieces`.
    fn suppressed(&self, pieces: &[String]) -> Result<Vec<u32>, Error> {
        let reserved = (SPECIALS.len() + self.subwords.languages().len()) as u32;
        let mut ids: Vec<u32> = (0..reserved).filter(|id| *id != EOS).collect();
        for piece in pieces {
            let found = (reserved..self.subwords.vocab_size() as u32).find(|id| self.subwords.piece(*id) == *piece);
            ids.push(found.ok_or_else(|| {
                Error::Unsupported(format!(
                    "the subword model has no piece `{piece}` to suppress; pieces are written as in `--json`, words with \
                     \u{2581} in front"
                ))
            })?);
        }
        Ok(ids)
    }

    pub(crate) fn candidate(&self, source: &[u32], decoded: Decoded) -> Candidate {
        let Decoded { ids, score, token_scores, attention } = decoded;
        let pieces = |ids: &[u32]| -> Vec<String> { ids.iter().map(|id| self.subwords.piece(*id)).collect() };
        let alignment = if attention.is_empty() {
            Vec::new()
        } else {
            // Without the tag and the end mark, which are no words.
            let words = 1..source.len() - 1;
            let rows: Vec<&[f32]> = attention.iter().map(|row| &row[words.clone()]).collect();
            align(&pieces(&source[words.clone()]), &pieces(&ids), &rows)
        };
        let tokens = self.tokens(&ids, &token_scores);
        Candidate { text: self.subwords.decode(&ids), score, subwords: ids.len() + 1, tokens, alignment }
    }

    /// Subwords with their scores; there is one more score where the end mark was reached.
    fn tokens(&self, ids: &[u32], scores: &[f32]) -> Vec<Token> {
        let token = |(id, score): (&u32, &f32)| Token { piece: self.subwords.piece(*id), score: *score };
        ids.iter().chain([&EOS]).zip(scores).map(token).collect()
    }

    /// The score of each `targets[i]` as the translation of `sources[i]` into `to`, subword by subword; for pairs that are too
    /// long for the model, what is wrong with them.
    ///
    /// # Errors
    /// [`Error::Language`]; a device that cannot do it.
    ///
    /// # Panics
    /// If there are not as many sources as targets.
    pub fn score<S: AsRef<str> + Sync>(
        &self,
        sources: &[S],
        targets: &[S],
        to: &str,
    ) -> Result<Vec<Result<Forced, String>>, Error> {
        assert_eq!(sources.len(), targets.len(), "a target for each source");
        let (tag, longest) = (self.tag(to)?, self.longest());
        let (sources, targets) = (self.subwords.encode_batch(sources), self.subwords.encode_batch(targets));
        let mut results = Vec::with_capacity(sources.len());
        let (mut pairs, mut places) = (Vec::new(), Vec::new());
        for (i, (source, target)) in sources.iter().zip(&targets).enumerate() {
            let (length, most) = (source.len().max(target.len() + 1), longest);
            results.push(Err(format!("a side of {length} subwords; this model takes at most {most}")));
            if length <= most {
                pairs.push((encoder_input(tag, source.iter().copied()).collect(), target.clone()));
                places.push(i);
            }
        }
        for (i, scores) in places.into_iter().zip(self.backend.score(pairs, tag)?) {
            results[i] = Ok(Forced { sum: scores.iter().sum(), tokens: self.tokens(&targets[i], &scores) });
        }
        Ok(results)
    }
}

/// The candidates of a line from those of its parts, which are `texts`: the i-th of each together.
fn whole(texts: &[&str], parts: &[Vec<Candidate>]) -> Vec<Candidate> {
    match parts {
        [] => vec![Candidate::default()],
        [one] => one.clone(),
        several => {
            let count = several.iter().map(Vec::len).min().unwrap_or(0);
            let whole = |i: usize| {
                let subwords: usize = several.iter().map(|part| part[i].subwords).sum();
                let sum: f32 = several.iter().map(|part| part[i].score * part[i].subwords as f32).sum();
                let text = join(several.iter().map(|part| part[i].text.clone()));
                let tokens = several.iter().flat_map(|part| part[i].tokens.clone()).collect();
                let words = |text: &str| text.split_whitespace().count() as u32;
                let (mut source, mut target) = (0, 0);
                let mut alignment = Vec::new();
                for (part, text) in several.iter().zip(texts) {
                    alignment.extend(part[i].alignment.iter().map(|(s, t)| (source + s, target + t)));
                    (source, target) = (source + words(text), target + words(&part[i].text));
                }
                Candidate { text, score: sum / subwords.max(1) as f32, subwords, tokens, alignment }
            };
            (0..count).map(whole).collect()
        }
    }
}
