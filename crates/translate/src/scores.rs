//! BLEU and chrF of one direction, with the signatures that make them comparable.

use std::path::{Path, PathBuf};

use serde::Serialize;
use strata_metrics::{Bleu, BleuOptions, BleuScore, Chrf, ChrfOptions, Metric, Scorer, Tokenizer};

use crate::error::Error;

/// The metrics of an evaluation.
#[derive(Clone, Debug)]
pub struct Metrics {
    bleu: Bleu,
    chrf2: Chrf,
    chrf2pp: Chrf,
}

/// Corpus scores from 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Scores {
    /// BLEU.
    pub bleu: f64,
    /// chrF2.
    pub chrf2: f64,
    /// chrF2++.
    pub chrf2pp: f64,
}

/// What a BLEU score is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BleuParts {
    /// Smoothed n-gram precisions in percent, one for each order.
    pub precisions: Vec<f64>,
    /// 1, or less where the hypotheses are shorter than the references.
    pub brevity_penalty: f64,
    /// Hypothesis length over reference length.
    pub ratio: f64,
    /// Tokens in the hypotheses.
    pub hypothesis_length: u64,
    /// Tokens in the references closest in length.
    pub reference_length: u64,
    /// Matched n-grams, one count for each order.
    pub matches: Vec<u64>,
    /// N-grams of the hypotheses, one count for each order.
    pub ngrams: Vec<u64>,
}

impl From<&BleuScore> for BleuParts {
    fn from(score: &BleuScore) -> Self {
        Self {
            precisions: score.precisions.clone(),
            brevity_penalty: score.brevity_penalty,
            ratio: score.ratio(),
            hypothesis_length: score.hypothesis_length,
            reference_length: score.reference_length,
            matches: score.matches.clone(),
            ngrams: score.ngrams.clone(),
        }
    }
}

/// How the scores were computed, as sacreBLEU writes it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Signatures {
    /// Of BLEU.
    pub bleu: String,
    /// Of chrF2.
    pub chrf2: String,
    /// Of chrF2++.
    pub chrf2pp: String,
}

impl Metrics {
    /// BLEU with this tokenizer, chrF2 and chrF2++.
    ///
    /// # Errors
    /// None with the options used here.
    pub fn new(tokenizer: Tokenizer) -> Result<Self, Error> {
        Self::cased(BleuOptions { tokenizer, ..BleuOptions::default() }, false)
    }

    /// BLEU with these options, chrF2 and chrF2++ in lower case or not.
    ///
    /// # Errors
    /// Options that BLEU does not have.
    pub fn cased(bleu: BleuOptions, chrf_lowercase: bool) -> Result<Self, Error> {
        let chrf = |options| Chrf::new(ChrfOptions { lowercase: chrf_lowercase, ..options });
        Ok(Self {
            bleu: Bleu::new(bleu)?,
            chrf2: chrf(ChrfOptions::chrf2())?,
            chrf2pp: chrf(ChrfOptions::chrf2_plus_plus())?,
        })
    }

    /// BLEU.
    pub fn bleu(&self) -> &Bleu {
        &self.bleu
    }

    /// chrF2.
    pub fn chrf2(&self) -> &Chrf {
        &self.chrf2
    }

    /// chrF2++.
    pub fn chrf2pp(&self) -> &Chrf {
        &self.chrf2pp
    }

    /// Scores hypotheses against references, line by line.
    ///
    /// # Errors
    /// No lines, or sides of different length.
    pub fn score<H: AsRef<str>, R: AsRef<str>>(&self, hypotheses: &[H], references: &[R]) -> Result<Scores, Error> {
        Ok(Scores {
            bleu: self.bleu.corpus(hypotheses, &[references])?.score,
            chrf2: self.chrf2.corpus(hypotheses, &[references])?.score,
            chrf2pp: self.chrf2pp.corpus(hypotheses, &[references])?.score,
        })
    }

    /// The signatures of [`Metrics::score`].
    pub fn signatures(&self) -> Signatures {
        Signatures {
            bleu: self.bleu.signature(1).to_string(),
            chrf2: self.chrf2.signature(1).to_string(),
            chrf2pp: self.chrf2pp.signature(1).to_string(),
        }
    }
}

/// SentencePiece models that are tokenizers by name, and their files in sacreBLEU's folder of models.
const NAMED: [(&str, &str); 3] = [
    ("flores101", "sacrebleu_tokenizer_spm.model"),
    ("flores200", "flores200sacrebleuspm"),
    ("spBLEU-1K", "spbleu-1k_tokenizer_spm.model"),
];

/// The tokenizer of BLEU that a user names: `13a`, `intl`, `zh`, `char`, `none`, `flores101`, `flores200`, `spBLEU-1K`,
/// or `spm:FILE` for any SentencePiece model. The models of those with a name are where sacreBLEU keeps them, in
/// `~/.sacrebleu/models`; give one as `flores200:FILE` if it is elsewhere.
///
/// # Errors
/// An unknown name, or a model that cannot be read.
pub fn tokenizer(name: &str) -> Result<Tokenizer, Error> {
    let (kind, file) = match name.split_once(':') {
        Some((kind, file)) => (kind, Some(PathBuf::from(file))),
        None => (name, None),
    };
    if let Some((name, kept)) = NAMED.iter().find(|(name, _)| *name == kind) {
        return sentencepiece(name, &file.unwrap_or_else(|| kept_by_sacrebleu(kept)), name);
    }
    match (kind, file) {
        ("spm", Some(file)) => {
            let stem = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            sentencepiece(&format!("spm-{stem}"), &file, "spm")
        }
        _ => Ok(name.parse()?),
    }
}

fn kept_by_sacrebleu(model: &str) -> PathBuf {
    let home = std::env::var_os("SACREBLEU").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".sacrebleu")));
    home.unwrap_or_default().join("models").join(model)
}

/// The tokenizer of a model under the name that signatures show; `kind` is how a user names it.
fn sentencepiece(name: &str, file: &Path, kind: &str) -> Result<Tokenizer, Error> {
    if !file.is_file() {
        let what = format!("there is no SentencePiece model; give one as {kind}:FILE");
        return Err(Error::Text { path: file.to_path_buf(), what });
    }
    let model = strata_corpus::Subwords::load_sentencepiece(file)?;
    Ok(Tokenizer::custom(name, move |segment| Ok(model.pieces(segment).join(" "))))
}
