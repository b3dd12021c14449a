//! The figures of a corpus, for people and for its manifest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::filters::DropReason;
use crate::packages::Package;
use crate::sources::{PageCounts, Source};
use crate::split::Part;

/// What a fetch did and what the corpus holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Whether everything was there already, with the right digests.
    pub up_to_date: bool,
    /// The folder of the corpus.
    pub output: PathBuf,
    /// What it holds.
    #[serde(flatten)]
    pub corpus: Corpus,
    /// How long it took to get the packages, in seconds.
    pub packages_seconds: f64,
    /// How long it took to read, align, filter, split and write, in seconds.
    pub corpus_seconds: f64,
}

/// The figures of a corpus; the same packages and options always give the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Corpus {
    /// One row a language, largest first.
    pub languages: Vec<LanguageSummary>,
    /// Languages asked for that the packages had no text in.
    pub without_text: Vec<String>,
    /// The packages it was built from.
    pub packages: Vec<Package>,
    /// Packages that do not exist in this release.
    pub missing: Vec<Missing>,
    /// Different English sentences (by their key, see the crate's documentation) over all languages and parts.
    pub english_sentences: usize,
    /// SHA-256 over the content of all files written, languages by tag, parts in order, English first.
    pub corpus_sha256: String,
    /// Licenses of the text, by source. A file mixes them.
    pub licenses: BTreeMap<Source, String>,
}

/// A package that this release does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Its name.
    pub package: String,
    /// The source it belongs to.
    pub source: Source,
    /// The requested languages that lose text by it.
    pub languages: Vec<String>,
}

/// One language's share of the corpus. Counts of pairs are of different English sentences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LanguageSummary {
    /// Its tag.
    pub language: String,
    /// Pairs for training.
    pub train: usize,
    /// Pairs for validation.
    pub valid: usize,
    /// Pairs for testing.
    pub test: usize,
    /// Pairs held back, written or not.
    pub held: usize,
    /// Pairs by source, all parts.
    pub sources: BTreeMap<Source, usize>,
    /// Sentence pairs that passed the filters, with repetitions.
    pub kept: usize,
    /// Sentence pairs that did not pass, with repetitions, by reason.
    pub dropped: BTreeMap<DropReason, usize>,
    /// Paragraphs left out because their sentences belong to different parts.
    pub across_parts: usize,
    /// Pages compared block by block.
    pub pages: PageCounts,
    /// Characters per English character, the median.
    pub length_ratio: f64,
    /// English words in a sentence, on average.
    pub english_words: f64,
}

impl LanguageSummary {
    /// Pairs in all parts.
    pub fn pairs(&self) -> usize {
        self.train + self.valid + self.test + self.held
    }

    pub(crate) fn count(&mut self, part: Part) -> &mut usize {
        match part {
            Part::Train => &mut self.train,
            Part::Valid => &mut self.valid,
            Part::Test => &mut self.test,
            Part::Held => &mut self.held,
        }
    }
}
