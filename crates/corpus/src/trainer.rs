//! Trains the shared subword model with the tokenizers crate. The same words give the same model, byte for byte,
//! whatever the machine, the number of threads and the hash seeds of the process.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::json;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::normalize::{Form, SPACE_MARK};
use crate::pieces::{Algorithm, Normalizer, PieceSpec};
use crate::subword::{SPECIALS, Subwords};

/// Which algorithm to train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A unigram language model over pieces: the usual choice for many languages.
    #[default]
    Unigram,
    /// Byte-pair encoding.
    Bpe,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Kind::Unigram => "unigram",
            Kind::Bpe => "bpe",
        })
    }
}

/// Threads of the unigram trainer. Fixed, because the order of its sums depends on it.
const THREADS: usize = 4;
/// Largest total of word counts handed to the trainers, which count in 32 bits.
const MOST_WORDS: u64 = 1 << 28;
/// Candidate pieces per piece of the vocabulary that a unigram model starts from.
const SEEDS_PER_PIECE: usize = 12;
/// Longest word that the trainers see, in characters.
const LONGEST_WORD: usize = 200;

/// Trains a model.
///
/// `words` are words as [`crate::pieces`] cuts them, with their counts; `alphabet` the characters that get a piece of
/// their own however rare (all others are left to the bytes). `vocab_size` counts special tokens, tags, the 256 bytes
/// and pieces; with little text the model comes out smaller.
///
/// # Errors
/// A vocabulary too small for the alphabet, or no words.
pub(crate) fn train(
    kind: Kind,
    vocab_size: usize,
    form: Form,
    languages: &[String],
    words: &BTreeMap<String, u64>,
    alphabet: &HashSet<char>,
) -> Result<Subwords> {
    let fixed = SPECIALS.len() + languages.len() + 256;
    let mut alphabet = alphabet.clone();
    alphabet.insert(SPACE_MARK);
    let budget = vocab_size.saturating_sub(fixed);
    if budget < alphabet.len() {
        let least = fixed + alphabet.len();
        return Err(Error::subwords(format!(
            "a vocabulary of {vocab_size} is too small: {fixed} special tokens, tags and bytes and {} characters need \
             at least {least}",
            alphabet.len()
        )));
    }
    let words = trainable(words, &alphabet);
    if words.is_empty() {
        return Err(Error::subwords("there is no text to train it on"));
    }
    let (algorithm, pieces) = match kind {
        Kind::Unigram => (Algorithm::Unigram, unigram(words, &alphabet, budget)?),
        Kind::Bpe => bpe(words, &alphabet, budget)?,
    };
    let spec = PieceSpec {
        algorithm,
        pieces,
        byte_fallback: true,
        normalizer: Normalizer::Form(form),
        dummy_prefix: true,
        classes: true,
        user_defined: Vec::new(),
    };
    Subwords::from_pieces(spec, languages)
}

/// Words cut at characters outside the alphabet and at the length limit, counts scaled down to what the trainers can
/// sum; in an order that spreads languages evenly.
fn trainable(words: &BTreeMap<String, u64>, alphabet: &HashSet<char>) -> Vec<(String, u32)> {
    let total: u64 = words.iter().map(|(word, count)| count * word.chars().count() as u64).sum();
    let divisor = total.div_ceil(MOST_WORDS).max(1);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for (word, count) in words {
        for part in word.split(|c| !alphabet.contains(&c)) {
            let characters: Vec<char> = part.chars().collect();
            for chunk in characters.chunks(LONGEST_WORD) {
                *counts.entry(chunk.iter().collect()).or_default() += count;
            }
        }
    }
    let mut counts: Vec<(String, u32)> =
        counts.into_iter().map(|(word, count)| (word, count.div_ceil(divisor) as u32)).collect();
    counts.sort_by_cached_key(|(word, _)| (xxh3_64(word.as_bytes()), word.clone()));
    counts
}

/// Trains a unigram model: pieces with log probabilities, most probable first.
fn unigram(mut words: Vec<(String, u32)>, alphabet: &HashSet<char>, budget: usize) -> Result<Vec<(String, f64)>> {
    // The trainer sums expected counts over one part of the words per thread, then over the parts by halves. The same
    // parts, in equal number to the threads and a power of two, make the same sums on every machine.
    let surplus = if words.len() >= 64 * THREADS { words.len() % THREADS } else { 0 };
    words.truncate(words.len() - surplus);
    let threads = if words.len().is_multiple_of(THREADS) { THREADS } else { 1 };
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .map_err(|e| Error::subwords(format!("cannot start training threads: {e}")))?;
    tokenizers::utils::parallelism::set_parallelism(true); // not left to an environment variable: see above
    let trainer = UnigramTrainer::builder()
        .show_progress(false)
        .vocab_size(budget as u32)
        .seed_size((budget * SEEDS_PER_PIECE).max(100_000))
        .initial_alphabet(alphabet.iter().copied().collect())
        .build()
        .map_err(Error::subwords)?;
    let mut model = Unigram::default();
    pool.install(|| trainer.do_train(words.clone(), &mut model)).map_err(Error::subwords)?;
    let mut pieces: Vec<(String, f64)> = model.iter().cloned().collect();
    settle_rare_characters(&mut pieces, &words);
    pieces.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    Ok(pieces)
}

/// Characters too rare for a score of their own get the lowest scores, 0.0001 apart, from the trainer, in the order of
/// a hash table, which differs from run to run. Gives them out again by frequency.
fn settle_rare_characters(pieces: &mut [(String, f64)], words: &[(String, u32)]) {
    let mut frequency: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in words {
        for c in word.chars() {
            *frequency.entry(c).or_default() += u64::from(*count);
        }
    }
    let lowest = pieces.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let mut rare: Vec<usize> = Vec::new();
    let mut penalty = 0.0;
    loop {
        let score = lowest + penalty; // the trainer's own arithmetic, so that scores compare equal
        let before = rare.len();
        rare.extend((0..pieces.len()).filter(|&i| pieces[i].1 == score && pieces[i].0.chars().nth(1).is_none()));
        if rare.len() == before {
            break;
        }
        penalty += 0.0001;
    }
    let mut scores: Vec<f64> = rare.iter().map(|&i| pieces[i].1).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let mut names: Vec<String> = rare.iter().map(|&i| pieces[i].0.clone()).collect();
    names.sort_by_key(|name| {
        let count = name.chars().next().and_then(|c| frequency.get(&c)).copied().unwrap_or(0);
        (std::cmp::Reverse(count), name.clone())
    });
    for ((i, name), score) in rare.into_iter().zip(names).zip(scores) {
        pieces[i] = (name, score);
    }
}

/// Trains a BPE model: its merges, and the pieces in the order of their making.
fn bpe(words: Vec<(String, u32)>, alphabet: &HashSet<char>, budget: usize) -> Result<(Algorithm, Vec<(String, f64)>)> {
    let mut alphabet: Vec<char> = alphabet.iter().copied().collect();
    alphabet.sort_unstable();
    // The trainer takes counted words only by deserialization.
    let trainer: BpeTrainer = serde_json::from_value(json!({
        "min_frequency": 2, "vocab_size": budget, "show_progress": false, "progress_format": "Silent",
        "special_tokens": [], "limit_alphabet": null, "initial_alphabet": alphabet, "max_token_length": 16,
        "continuing_subword_prefix": null, "end_of_word_suffix": null,
        "words": words.into_iter().collect::<BTreeMap<String, u32>>(),
    }))
    .map_err(Error::subwords)?;
    let mut model = BPE::default();
    tokenizers::Trainer::train(&trainer, &mut model).map_err(Error::subwords)?;
    let mut pieces: Vec<(u32, String)> = model.get_vocab().into_iter().map(|(piece, id)| (id, piece)).collect();
    pieces.sort();
    let saved = serde_json::to_value(&model).map_err(Error::subwords)?;
    let merges = Vec::deserialize(&saved["merges"]).map_err(Error::subwords)?;
    Ok((Algorithm::Bpe(merges), pieces.into_iter().map(|(_, piece)| (piece, 0.0)).collect()))
}
