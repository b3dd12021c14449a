//! The metrics that score files, and what they find: lines as sacreBLEU prints them, and JSON.

use clap::ValueEnum;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use strata_metrics::significance::Confidence;
use strata_metrics::{Bleu, BleuScore, Chrf, ChrfScore, Metric, Scorer, Signature, Ter, TerScore};
use strata_translate::scores::{BleuParts, Metrics};

/// A metric by its name on the command line, which is sacreBLEU's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Name {
    Bleu,
    Chrf,
    #[value(name = "chrf++")]
    ChrfPlusPlus,
    Ter,
}

/// A metric with its options.
pub enum Chosen<'a> {
    Bleu(&'a Bleu),
    /// With its key in JSON, `chrf2` or `chrf2pp`.
    Chrf(&'static str, &'a Chrf),
    Ter(Ter),
}

impl<'a> Chosen<'a> {
    /// The metrics of these names, in the order that scores are printed in.
    ///
    /// # Errors
    /// No references.
    pub fn of(names: &[Name], metrics: &'a Metrics, references: usize) -> anyhow::Result<Vec<Self>> {
        let all = [
            (Name::Bleu, Self::Bleu(metrics.bleu())),
            (Name::Chrf, Self::Chrf("chrf2", metrics.chrf2())),
            (Name::ChrfPlusPlus, Self::Chrf("chrf2pp", metrics.chrf2pp())),
            (Name::Ter, Self::Ter(Ter::new(references)?)),
        ];
        Ok(all.into_iter().filter(|(name, _)| names.contains(name)).map(|(_, chosen)| chosen).collect())
    }

    /// Its key in JSON.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Bleu(_) => "bleu",
            Self::Chrf(key, _) => key,
            Self::Ter(_) => "ter",
        }
    }

    /// What counts its segments.
    pub fn metric(&self) -> &dyn Metric {
        match self {
            Self::Bleu(bleu) => *bleu,
            Self::Chrf(_, chrf) => *chrf,
            Self::Ter(ter) => ter,
        }
    }

    /// The figures of summed counts, of a corpus or of one sentence.
    pub fn figures(&self, counts: &[u64]) -> Figures {
        match self {
            Self::Bleu(bleu) => Figures::Bleu(bleu.score_of_totals(counts)),
            Self::Chrf(_, chrf) => Figures::Chrf(chrf.score_of_totals(counts)),
            Self::Ter(ter) => Figures::Ter(ter.score_of_totals(counts)),
        }
    }
}

/// A score with what it is made of.
pub enum Figures {
    Bleu(BleuScore),
    Chrf(ChrfScore),
    Ter(TerScore),
}

impl Figures {
    /// The score alone.
    pub fn score(&self) -> f64 {
        match self {
            Self::Bleu(bleu) => bleu.score,
            Self::Chrf(chrf) => chrf.score,
            Self::Ter(ter) => ter.score,
        }
    }

    /// sacreBLEU's line, with two decimals.
    pub fn line(&self, signature: &Signature, confidence: Option<Confidence>) -> String {
        match self {
            Self::Bleu(bleu) => bleu.line(Some(signature), confidence, 2),
            Self::Chrf(chrf) => chrf.line(Some(signature), confidence, 2),
            Self::Ter(ter) => ter.line(Some(signature), confidence, 2),
        }
    }
}

/// Figures of several metrics as one JSON object: each score by its key, then what BLEU and TER are made of.
pub struct ByKey(pub Vec<(&'static str, Figures)>);

impl Serialize for ByKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, figures) in &self.0 {
            map.serialize_entry(key, &figures.score())?;
        }
        for (_, figures) in &self.0 {
            match figures {
                Figures::Bleu(bleu) => map.serialize_entry("bleu_parts", &BleuParts::from(bleu))?,
                Figures::Ter(ter) => map.serialize_entry("ter_parts", &TerParts::of(ter))?,
                Figures::Chrf(_) => {}
            }
        }
        map.end()
    }
}

/// What a TER score is made of.
#[derive(Serialize)]
struct TerParts {
    edits: u64,
    /// In words, the mean of each segment's references.
    reference_length: f64,
}

impl TerParts {
    fn of(score: &TerScore) -> Self {
        Self { edits: score.edits, reference_length: score.reference_length }
    }
}
