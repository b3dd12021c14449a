//! What a run needs, opened before its folder is made.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use burn::tensor::{Device, FloatDType};
use serde_json::Value;
use strata_corpus::languages::Languages;
use strata_corpus::{HeldOut, StreamOptions, TrainStream};
use strata_files::names::{LANGUAGES_FILE, TOKENIZER_FILE};
use strata_files::{Checksums, Digest, IoContext};
use strata_kernels::MatmulPrecision;
use strata_model::parse_device_of;
use strata_ranks::Ranks;
use strata_recipe::{ModelConfig, Precision, Recipe, TrainSection};
use strata_store::Checkpoint;

use crate::error::Error;
use crate::init::Init;

/// What a run needs. All of it is opened before the run's folder is made: a recipe that cannot be trained leaves
/// nothing behind, and does not cost the earlier run that it was to replace.
pub(crate) struct Inputs {
    pub model: ModelConfig,
    pub device: Device,
    pub products: MatmulPrecision,
    pub stream: TrainStream,
    pub held_out: HeldOut,
    pub tokenizer: Vec<u8>,
    pub languages: Vec<u8>,
    /// SHA-256 of the training text.
    pub text: String,
    /// Whose weights the model starts with, if it is new and they are not random.
    pub init: Option<Init>,
}

impl Inputs {
    /// What `recipe` names, for a new model or one that goes on `from` a checkpoint, on the rank that is number `place`
    /// of those on its host.
    pub fn open(recipe: &Recipe, from: Option<&Checkpoint>, place: usize) -> Result<Self, Error> {
        let train = &recipe.train;
        let prepared = PathBuf::from(&recipe.data.prepared);
        let read = |name: &str| {
            let path = prepared.join(name);
            std::fs::read(&path).io_context("read", &path).map_err(Error::Prepared)
        };
        let tokenizer = read(TOKENIZER_FILE)?;
        let text = shards_digest(&prepared, TRAIN)?;
        if let Some(from) = from {
            same_corpus(recipe, &tokenizer, &text, from)?;
        }
        let subwords = strata_corpus::Subwords::load(&prepared.join(TOKENIZER_FILE))?;
        let named = from.is_none() && !train.init.is_empty();
        let init = if named { Some(Init::open(recipe, &subwords)?) } else { None };
        let model = match (&init, from) {
            (Some(init), _) => init.config.clone(),
            (None, None) => recipe.model_config(subwords.vocab_size())?,
            // What a recipe cannot say, the model that training started from has said.
            (None, Some(from)) => recipe.model_config_like(&from.model().model_config()?, subwords.vocab_size())?,
        };
        let device = parse_device_of(&train.device, place)?;
        let products = match train.precision {
            Precision::F32 => MatmulPrecision::F32,
            Precision::Bf16 if device.supports_dtype(FloatDType::BF16) => MatmulPrecision::Bf16,
            Precision::Bf16 => return Err(Error::NoBf16 { device: train.device.clone() }),
        };
        let device = device.autodiff();
        let options = StreamOptions {
            seed: train.seed,
            temperature: recipe.data.temperature,
            tokens_per_batch: recipe.data.tokens_per_batch,
            max_length: recipe.data.max_length.min(model.max_length),
            prompts: model.prompts.clone(),
        };
        let languages = match from {
            Some(from) => from.model().languages()?,
            None => languages(&prepared.join(LANGUAGES_FILE), options.max_length, init.as_ref())?,
        };
        let directions = &recipe.data.directions;
        let stream = TrainStream::open(&prepared, directions, options.clone())?;
        let held_out = HeldOut::open(&prepared, "valid", directions, &options, train.validate_sentences)?;
        Ok(Self { model, device, products, stream, held_out, tokenizer, languages, text, init })
    }

    /// Checks that all ranks have this program, recipe and data.
    pub fn must_be_the_same(&self, recipe: &Recipe, ranks: &Ranks) -> Result<(), Error> {
        let digest = |bytes: &[u8]| Digest::of(bytes).hex();
        // Threads as ranks need not all read it.
        static PROGRAM: OnceLock<String> = OnceLock::new();
        let read = || std::env::current_exe().and_then(std::fs::read).map_or(String::new(), |bytes| digest(&bytes));
        let (version, program) = (env!("CARGO_PKG_VERSION"), PROGRAM.get_or_init(read));
        ranks.same("program", &format!("version {version}, sha256 {program}"))?;
        let recipe = Recipe { train: TrainSection { device: String::new(), ..recipe.train.clone() }, ..recipe.clone() };
        // Without the comment that ends each line.
        let text = recipe.to_toml("");
        let keys = text.lines().map(|line| line.rsplit_once(" # ").map_or(line, |(key, _)| key.trim_end()));
        ranks.same("recipe", &keys.collect::<Vec<_>>().join("\n"))?;
        let text = [&self.tokenizer[..], &self.languages[..]].concat();
        let shards = ranks.together(shards_digest(Path::new(&recipe.data.prepared), ""))?;
        let (batches, directions) = (self.stream.batches_per_round(), self.stream.directions().len());
        let data = format!("{batches} batches of {directions} directions, subwords {}, text {shards}", digest(&text));
        ranks.same("prepared folder", &data)?;
        let init = self.init.as_ref().map(Init::digest).transpose();
        Ok(ranks.same("model to start from", &ranks.together(init)?.unwrap_or_default())?)
    }
}

/// The folder of a prepared folder with the text to learn from.
const TRAIN: &str = "train/";

/// One digest of the shards of a prepared folder whose names begin with `part`, from its checksums. The folder's report
/// differs where the same corpus was prepared twice, by where it lay.
fn shards_digest(prepared: &Path, part: &str) -> Result<String, Error> {
    let sums = Checksums::read(prepared).map_err(Error::Prepared)?;
    let mut text = Vec::new();
    for name in sums.names().filter(|name| name.starts_with(part) && name.ends_with(".shard")) {
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(&sums.listed(prepared, name).map_err(Error::Prepared)?.sha256);
    }
    Ok(Digest::of(&text).hex())
}

/// Checks that the corpus of `recipe`, with its subwords in `tokenizer` and the digest of its `text`, is what the
/// checkpoint `from` learned from.
fn same_corpus(recipe: &Recipe, tokenizer: &[u8], text: &str, from: &Checkpoint) -> Result<(), Error> {
    let prepared = PathBuf::from(&recipe.data.prepared);
    let other = |difference| {
        let (prepared, checkpoint) = (prepared.clone(), from.path().to_path_buf());
        Err(Error::OtherCorpus { prepared, checkpoint, difference })
    };
    if from.model().tokenizer()? != tokenizer {
        return other("it has other subwords");
    }
    let learned = from.state().get("text").and_then(Value::as_str);
    // What there is to compare with in a checkpoint of an earlier program. A model that was trained further has the
    // directions of both.
    let counts = |path: PathBuf| -> Result<Vec<_>, Error> {
        let directions = Languages::load(&path)?.directions.into_iter();
        Ok(directions.map(|d| (d.source, d.target, d.train)).collect())
    };
    let same = match learned {
        Some(learned) => learned == text,
        None if !recipe.train.init.is_empty() => true,
        None => counts(prepared.join(LANGUAGES_FILE))? == counts(from.model().file(LANGUAGES_FILE))?,
    };
    if same { Ok(()) } else { other("it has other text to learn from") }
}

/// The content of a model folder's `languages.json`: the corpus's and those of the model that training starts from, and
/// how long the sides are that the model learns from.
fn languages(path: &Path, max_length: usize, init: Option<&Init>) -> Result<Vec<u8>, Error> {
    let languages = Languages { max_length: Some(max_length), ..Languages::load(path)? };
    let languages = init.map_or(Ok(languages.clone()), |init| init.languages(languages))?;
    let mut bytes = serde_json::to_vec_pretty(&languages).map_err(std::io::Error::from).io_context("write", path)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use strata_files::{Existing, FolderWriter};

    use super::*;

    #[test]
    fn corpora_with_other_shards_have_other_digests() {
        let root = tempfile::tempdir().unwrap();
        let digest = |name: &str, files: &[(&str, &str)]| {
            let mut folder = FolderWriter::new(root.path().join(name)).unwrap();
            std::fs::create_dir(folder.path().join("train")).unwrap();
            files.iter().for_each(|(name, text)| folder.write(name, text.as_bytes()).unwrap());
            shards_digest(&folder.commit(Existing::Refuse).unwrap(), TRAIN).unwrap()
        };
        let one = digest("one", &[("train/en-de.shard", "a"), ("report.json", "one")]);
        assert_eq!(one, digest("two", &[("train/en-de.shard", "a"), ("valid/en-de.shard", "b")]));
        for other in [("train/en-de.shard", "b"), ("train/en-fr.shard", "a")] {
            assert_ne!(one, digest(other.0.trim_start_matches("train/"), &[other]));
        }
        assert!(matches!(shards_digest(root.path(), ""), Err(Error::Prepared(_))));
    }
}
