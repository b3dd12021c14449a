//! `strata prepare`: a folder of raw bitext becomes a prepared folder.
//!
//! ```text
//! tokenizer.json     the subword model            languages.json   languages, levels, directions
//! train/en-de.shard  token ids of both sides      report.json      what was kept, dropped, and why
//! valid/, test/      the same for held-out text   SHA256SUMS       checksums of all of it
//! text/valid.en-de.en, .de, text/test...          held-out text as it was, to score against
//! ```
//! Pair i of a held-out shard is line i of its text files. There are three passes, each linear in the corpus, and none
//! holds it in memory: clean (normalize, filter, hash), sample and train the subword model, encode. Memory goes to
//! chunks of 8,192 pairs, hashes ([`crate::dedup`]), held-out hashes ([`crate::leak`]) and the sample's words.
//!
//! The folder is written beside its place and renamed when it is complete. The same input and options give the same
//! bytes, whatever the number of threads.

mod clean;
mod encode;
mod options;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use strata_files::names::LANGUAGES_FILE;
pub use strata_files::names::TOKENIZER_FILE;
use strata_files::{Existing, FolderWriter, IoContext, thousands};

use crate::bitext::{Bitext, Found, Pair, Split, Unused, discover};
use crate::error::{Error, Result};
use crate::language::LanguageCheck;
use crate::languages::Languages;
use crate::leak::LeakIndex;
use crate::report::{LanguageReport, PairReport, Report, SplitReport, TextCounts};
use crate::sample::{Sampler, Share, shares};
use crate::subword::{SPECIALS, Subwords};
use crate::trainer;
use clean::CleanFile;

pub use options::{Directions, Options, SubwordOptions};

/// The report in a prepared folder.
pub const REPORT_FILE: &str = "report.json";

/// What a running preparation reports.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The bitext was found.
    Found {
        /// Language pairs.
        pairs: usize,
        /// Languages.
        languages: usize,
        /// Size of the files in bytes, as they are on disk.
        bytes: u64,
    },
    /// Training text of a pair is being cleaned.
    Cleaning {
        /// The language pair.
        pair: String,
        /// Lines read so far.
        pairs: u64,
    },
    /// The subword model is being trained.
    TrainingSubwords {
        /// Sentences in its sample.
        sentences: u64,
        /// Distinct words in it.
        words: usize,
        /// Size of the vocabulary to reach.
        vocab_size: usize,
    },
    /// The subword model is ready.
    Subwords {
        /// Its size, special tokens included.
        vocab_size: usize,
    },
    /// A split is being turned into token ids.
    Encoding {
        /// The split.
        split: Split,
        /// The language pair.
        pair: String,
        /// Pairs done.
        pairs: u64,
        /// Pairs in all.
        of: u64,
    },
    /// The folder is being synced and checksummed.
    Writing,
}

/// One cleaned split on its way to a shard.
struct Part {
    pair: Pair,
    split: Split,
    clean: CleanFile,
    report: SplitReport,
}

/// Prepares a corpus; see the [module](self) for what is read and written.
///
/// # Errors
/// Faulty input (missing or misaligned sides, invalid lines, an empty corpus), invalid options, an output folder that
/// exists already, a full disk. Nothing is left behind then.
pub fn prepare(options: &Options, progress: &mut dyn FnMut(Event)) -> Result<Report> {
    options.check()?;
    check_output(options)?;
    let Found { bitext, mut unused } = discover(&options.input)?;
    let bitext = select(bitext, options, &mut unused)?;
    let tags: Vec<String> =
        bitext.keys().flat_map(|p| [p.first.clone(), p.second.clone()]).collect::<BTreeSet<_>>().into_iter().collect();
    let sources = bitext.values().flat_map(BTreeMap::values);
    let bytes = sources.map(crate::bitext::Source::bytes).sum();
    progress(Event::Found { pairs: bitext.len(), languages: tags.len(), bytes });
    // An unreadable model should be reported now, not after the first pass.
    let imported = options.subwords.import.as_ref().map(|path| Subwords::import(path, &tags)).transpose()?;

    let mut folder = FolderWriter::new(&options.output)?;
    let (work, text) = (folder.path().join("work"), folder.path().join("text"));
    for made in [&work, &text].into_iter().chain(&Split::ALL.map(|split| folder.path().join(split.name()))) {
        std::fs::create_dir(made).io_context("make the folder", made)?;
    }
    let mut parts = clean_all(&bitext, options, &tags, (&work, &text), progress)?;
    let (subwords, sample) = match imported {
        Some(model) => (model, None),
        None => train_subwords(&parts, &tags, options, progress)?,
    };
    progress(Event::Subwords { vocab_size: subwords.vocab_size() });
    for part in &mut parts {
        let shard = folder.path().join(part.split.name()).join(format!("{}.shard", part.pair));
        let of = (&part.pair, part.split);
        encode::encode(of, &part.clean, &subwords, options, &shard, &mut part.report, progress)?;
    }
    let report = Report { unused, ..report(parts, options, &subwords, sample)? };
    progress(Event::Writing);
    std::fs::remove_dir_all(&work).io_context("remove", &work)?;
    folder.write(TOKENIZER_FILE, subwords.to_json().as_bytes())?;
    folder.write_json(LANGUAGES_FILE, &report.directions)?;
    folder.write_json(REPORT_FILE, &report)?;
    folder.commit(if options.overwrite { Existing::Replace } else { Existing::Refuse })?;
    Ok(report)
}

/// Refuses to replace anything but a prepared folder, and that only where it is asked for.
fn check_output(options: &Options) -> Result<()> {
    let path = options.output.as_path();
    if path.as_os_str().is_empty() {
        return Err(Error::Option { option: "output", reason: "no folder is named".to_string() });
    }
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    if !options.overwrite {
        return Err(Error::Exists { path: path.to_path_buf() });
    }
    let is_empty = std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none());
    let is_prepared = [REPORT_FILE, LANGUAGES_FILE].iter().all(|name| path.join(name).is_file());
    if !is_empty && !is_prepared {
        let reason = format!("{} is no prepared folder, so it is not replaced; name another", path.display());
        return Err(Error::Option { option: "output", reason });
    }
    Ok(())
}

/// The pairs of the wanted languages that serve a wanted direction.
fn select(mut bitext: Bitext, options: &Options, unused: &mut Vec<Unused>) -> Result<Bitext> {
    let known: BTreeSet<String> = bitext.keys().flat_map(|p| [p.first.clone(), p.second.clone()]).collect();
    let unknown = |language: &str| Error::UnknownLanguage {
        language: language.to_string(),
        known: known.iter().cloned().collect(),
    };
    if let Some(language) = options.languages.iter().find(|l| !known.contains(*l)) {
        return Err(unknown(language));
    }
    if let Directions::List(names) = &options.directions {
        for name in names {
            let Some(wanted) = Pair::parse(name) else {
                let reason = format!("`{name}` is no direction; expected SOURCE-TARGET such as en-de");
                return Err(Error::Option { option: "directions", reason });
            };
            for language in [&wanted.first, &wanted.second] {
                if !known.contains(language) {
                    return Err(unknown(language));
                }
            }
            let serves = |pair: &Pair| options.directions.used(pair).contains(&true);
            if !bitext.keys().any(|pair| serves(pair) && (pair == &wanted || pair.mirrored() == wanted)) {
                let reason = format!("there is no bitext for {name} in {}", options.input.display());
                return Err(Error::Option { option: "directions", reason });
            }
        }
    }
    let half: Vec<String> = bitext
        .keys()
        .filter(|pair| options.languages.contains(&pair.first) != options.languages.contains(&pair.second))
        .map(ToString::to_string)
        .collect();
    let wanted = |language: &String| options.languages.is_empty() || options.languages.contains(language);
    bitext.retain(|pair, splits| {
        // A pair with held-out text alone stays: it measures translation without training text (zero-shot).
        let kept = wanted(&pair.first)
            && wanted(&pair.second)
            && !splits.is_empty()
            && options.directions.used(pair).contains(&true);
        if !kept {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let why = format!("the languages or directions asked for leave {pair} out");
            unused.extend(splits.values().map(|source| Unused { file: name(source.path()), why: why.clone() }));
        }
        kept
    });
    if !bitext.values().any(|splits| splits.contains_key(&Split::Train)) {
        let mut reason = "no training bitext between the languages and directions asked for".to_string();
        if !half.is_empty() {
            reason += &format!("; both languages of a pair must be named, and there is {}", half.join(", "));
        }
        return Err(Error::Empty { path: options.input.clone(), reason });
    }
    Ok(bitext)
}

/// Cleans all splits, held-out ones first: the leak check needs them all.
fn clean_all(
    bitext: &Bitext,
    options: &Options,
    tags: &[String],
    (work, text): (&Path, &Path),
    progress: &mut dyn FnMut(Event),
) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut held = LeakIndex::new(options.leak.clone());
    for (pair, splits) in bitext {
        for (&split, source) in splits.iter().filter(|(split, _)| **split != Split::Train) {
            let (clean, report) = clean::held_out((pair, split, source), options, (work, text), &mut held)?;
            parts.push(Part { pair: pair.clone(), split, clean, report });
        }
    }
    let check = options.language_filter.clone();
    let check = check.map(|settings| LanguageCheck::new(settings, tags.iter().map(String::as_str)));
    for (pair, splits) in bitext {
        let Some(source) = splits.get(&Split::Train) else { continue };
        let (clean, report) = clean::train((pair, source), options, work, (&held, check.as_ref()), progress)?;
        parts.push(Part { pair: pair.clone(), split: Split::Train, clean, report });
    }
    if parts.iter().all(|part| part.split != Split::Train || part.clean.pairs == 0) {
        return Err(nothing_left(options, &parts));
    }
    Ok(parts)
}

/// The error for a corpus that the filters emptied.
fn nothing_left(options: &Options, parts: &[Part]) -> Error {
    let train = || parts.iter().filter(|part| part.split == Split::Train);
    let read = train().map(|part| part.report.read).sum();
    let mut dropped = BTreeMap::new();
    for (reason, n) in train().flat_map(|part| &part.report.dropped) {
        *dropped.entry(*reason).or_insert(0) += n;
    }
    let reasons: Vec<String> = dropped.iter().map(|(r, n)| format!("{} {}", thousands(*n), r.label())).collect();
    let reason =
        format!("none of the {} training pairs is left after cleaning ({})", thousands(read), reasons.join(", "));
    Error::Empty { path: options.input.clone(), reason }
}

/// What the report says of the training sample.
struct Sample {
    shares: BTreeMap<String, Share>,
    coverage: BTreeMap<String, f64>,
}

/// Second pass: samples the clean training text and trains the subword model on it.
fn train_subwords(
    parts: &[Part],
    tags: &[String],
    options: &Options,
    progress: &mut dyn FnMut(Event),
) -> Result<(Subwords, Option<Sample>)> {
    let settings = &options.subwords;
    let train = || parts.iter().filter(|part| part.split == Split::Train);
    let mut available: BTreeMap<String, u64> = tags.iter().map(|tag| (tag.clone(), 0)).collect();
    for part in train() {
        for language in [&part.pair.first, &part.pair.second] {
            *available.entry(language.clone()).or_default() += part.clean.pairs;
        }
    }
    let shares = shares(&available, settings.sample_sentences, settings.temperature);
    let mut sampler = Sampler::new(shares.clone(), settings.seed)?;
    for part in train() {
        part.clean.for_chunks(|chunk| {
            for (first, second) in chunk {
                sampler.push(&part.pair.first, first);
                sampler.push(&part.pair.second, second);
            }
            Ok(())
        })?;
    }
    let for_pieces = settings.vocab_size.saturating_sub(SPECIALS.len() + tags.len() + 256);
    let (alphabet, coverage) = sampler.alphabet(settings.character_coverage, for_pieces / 2);
    let words = sampler.words();
    drop(sampler);
    let sentences = shares.values().map(|share| share.taken).sum();
    progress(Event::TrainingSubwords { sentences, words: words.len(), vocab_size: settings.vocab_size });
    let model = trainer::train(settings.kind, settings.vocab_size, options.form, tags, &words, &alphabet)?;
    Ok((model, Some(Sample { shares, coverage })))
}

/// Sums up all parts.
fn report(parts: Vec<Part>, options: &Options, subwords: &Subwords, sample: Option<Sample>) -> Result<Report> {
    if parts.iter().all(|part| part.split != Split::Train || part.report.kept == 0) {
        return Err(nothing_left(options, &parts));
    }
    let mut pairs: BTreeMap<Pair, BTreeMap<Split, SplitReport>> = BTreeMap::new();
    let mut text: BTreeMap<String, TextCounts> = BTreeMap::new();
    for part in parts {
        if part.split == Split::Train {
            for (language, counts) in [(&part.pair.first, &part.report.first), (&part.pair.second, &part.report.second)]
            {
                text.entry(language.clone()).or_default().add(counts);
            }
        }
        pairs.entry(part.pair).or_default().insert(part.split, part.report);
    }
    let kept = |splits: &BTreeMap<Split, SplitReport>| Split::ALL.map(|s| splits.get(&s).map_or(0, |r| r.kept));
    let counts: Vec<_> =
        pairs.iter().map(|(pair, splits)| (pair.clone(), kept(splits), options.directions.used(pair))).collect();
    let directions = Languages::new(&counts, options.thresholds);
    let languages = directions.languages.iter().map(|language| {
        let text = text.get(&language.tag).copied().unwrap_or_default();
        let report = LanguageReport {
            train_pairs: language.train_pairs,
            level: language.level,
            text,
            subwords_per_sentence: text.subwords_per_sentence(),
            subwords_per_word: text.subwords_per_word(),
            characters_per_subword: text.characters_per_subword(),
            unknown_rate: text.unknown_rate(),
            byte_rate: text.byte_rate(),
            sample: sample.as_ref().and_then(|s| s.shares.get(&language.tag)).copied(),
            character_coverage: sample.as_ref().and_then(|s| s.coverage.get(&language.tag)).copied(),
            identified: options.language_filter.as_ref().map(|_| LanguageCheck::knows(&language.tag)),
        };
        (language.tag.clone(), report)
    });
    let imported = options.subwords.import.as_ref().and_then(|path| path.file_name());
    Ok(Report {
        version: 1,
        unused: Vec::new(),
        vocab_size: subwords.vocab_size(),
        subword_model: match imported {
            Some(name) => name.to_string_lossy().into_owned(),
            None => options.subwords.kind.to_string(),
        },
        languages: languages.collect(),
        pairs: pairs
            .into_iter()
            .map(|(pair, splits)| {
                let [forward, backward] = options.directions.used(&pair);
                let directions = [(forward, pair.to_string()), (backward, pair.mirrored().to_string())];
                let directions = directions.into_iter().filter(|(used, _)| *used).map(|(_, name)| name).collect();
                PairReport { pair: pair.to_string(), directions, splits }
            })
            .collect(),
        directions,
    })
}
