//! What the tests share: a small model of random weights, and the subwords and languages of a generated corpus.
#![allow(dead_code)] // each test program uses its own part

use std::path::Path;

use strata_corpus::Subwords;
use strata_corpus::languages::{LANGUAGES_FILE, Languages};
use strata_corpus::prepare::{Options, TOKENIZER_FILE, prepare};
use strata_corpus::synthetic;
use strata_recipe::{Kind, ModelConfig};
use strata_translate::evaluate::read_texts;

/// A prepared corpus of three languages, and sentences of it.
pub struct Corpus {
    folder: tempfile::TempDir,
    /// English test sentences.
    pub lines: Vec<String>,
    /// A language to translate into.
    pub to: String,
}

impl Corpus {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (bitext, prepared) = (folder.path().join("bitext"), folder.path().join("prepared"));
        let generated = synthetic::Options { languages: 2, pairs: 500, ..synthetic::Options::default() };
        synthetic::generate(&generated, &bitext).unwrap();
        let mut options = Options::new(&bitext, &prepared);
        options.subwords.vocab_size = 400;
        prepare(&options, &mut |_| {}).unwrap();
        let texts = read_texts(&prepared, "test", &[], 40).unwrap();
        let text = texts.into_iter().find(|text| text.direction.source == "en").unwrap();
        Self { folder, lines: text.sources, to: text.direction.target }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.folder.path()).join("prepared").join(name)
    }

    pub fn subwords(&self) -> Subwords {
        Subwords::load(&self.file(TOKENIZER_FILE)).unwrap()
    }

    pub fn languages(&self) -> Languages {
        Languages::load(&self.file(LANGUAGES_FILE)).unwrap()
    }

    pub fn config(&self) -> ModelConfig {
        ModelConfig {
            kind: Kind::Smoe,
            strata: vec![2, 2],
            encoder_layers: 2,
            decoder_layers: 2,
            d_model: 32,
            d_ffn: 48,
            heads: 2,
            vocab_size: self.subwords().vocab_size(),
            max_length: 64,
            ..ModelConfig::default()
        }
    }
}
