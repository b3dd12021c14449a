//! From options to a corpus on disk.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Instant;

use rayon::prelude::*;
use strata_files::IoContext;

use crate::corpus::build;
use crate::error::Error;
use crate::event::{Event, Stage};
use crate::extract::{English, Extracted};
use crate::languages::Language;
use crate::options::Options;
use crate::output::{self, Manifest, Requested};
use crate::packages::{self, Package, Packages};
use crate::sources::Source;
use crate::summary::{Corpus, Missing, Summary};

/// Builds the corpus in `options.output`, or verifies that it is there. `progress` is called on the caller's thread.
///
/// # Errors
/// Every [`Error`] leaves finished downloads in the cache and an earlier corpus untouched; another run continues from
/// there.
pub fn fetch_docs(options: &Options, progress: &mut dyn FnMut(Event)) -> Result<Summary, Error> {
    let started = Instant::now();
    let languages = options.resolve()?;
    let requested = Requested::new(options, &languages);
    progress(Event::Stage { stage: Stage::Verify });
    let earlier = output::read(&options.output)?;
    let whole = earlier.clone().filter(|manifest| output::verify(&options.output, manifest, &requested));
    let summary = |up_to_date, manifest: Manifest, got: Instant| Summary {
        up_to_date,
        output: options.output.clone(),
        corpus: manifest.corpus,
        packages_seconds: (got - started).as_secs_f64(),
        corpus_seconds: got.elapsed().as_secs_f64(),
    };
    if let Some(manifest) = whole.clone().filter(|_| !options.refresh && options.packages.is_none()) {
        return Ok(summary(true, manifest, started));
    }

    let names = package_names(&languages);
    let _lock = if options.packages.is_none() { Some(lock(&options.cache)?) } else { None };
    let packages = match &options.packages {
        Some(folder) => packages::from_folder(&names, folder)?,
        None => packages::with_apt(
            &packages::Request {
                names: &names,
                cache: &options.cache,
                apt_get: &options.apt_get,
                apt_cache: &options.apt_cache,
                refresh: options.refresh,
            },
            progress,
        )?,
    };
    let missing = missing(&packages, &languages);
    for Missing { package, source, languages } in missing.clone() {
        progress(Event::Missing { package, source, languages });
    }
    let got = Instant::now();
    let used: Vec<Package> = packages.have.values().map(|(package, _)| package.clone()).collect();
    if let Some(manifest) = whole.filter(|m| m.corpus.packages == used && m.corpus.missing == missing) {
        return Ok(summary(true, manifest, got));
    }

    progress(Event::Stage { stage: Stage::Extract });
    let mut extracted = extract_all(&packages, &languages, progress)?;
    let without_text: Vec<String> =
        extracted.iter().filter(|(_, e)| e.pairs.is_empty()).map(|(tag, _)| tag.clone()).collect();
    extracted.retain(|(_, e)| !e.pairs.is_empty());
    for language in without_text.clone() {
        progress(Event::NoText { language });
    }
    if extracted.is_empty() {
        return Err(Error::NoText { languages: requested.languages, packages: names });
    }

    progress(Event::Stage { stage: Stage::Write });
    let built = build(&extracted, options.low, options.held)?;
    let corpus = Corpus {
        languages: built.languages,
        without_text,
        packages: used,
        missing,
        english_sentences: built.english_sentences,
        corpus_sha256: built.sha256,
        licenses: Source::ALL.iter().map(|s| (*s, s.license().to_owned())).collect(),
    };
    let manifest = output::write(&options.output, earlier.as_ref(), requested, corpus, &built.files)?;
    Ok(summary(false, manifest, got))
}

/// Locks the cache until the file is dropped or the process dies.
fn lock(cache: &Path) -> Result<File, Error> {
    fs::create_dir_all(cache).io_context("create", cache)?;
    strata_files::try_lock(&cache.join(".lock"))?.ok_or_else(|| Error::Busy { path: cache.to_owned() })
}

/// The packages that hold text in the languages, English first.
fn package_names(languages: &[&Language]) -> Vec<String> {
    let has_text = |source: &&Source| languages.iter().any(|l| l.folder(**source).is_some());
    let mut names: Vec<String> =
        Source::ALL.iter().filter(has_text).map(|source| source.english_package().to_owned()).collect();
    names.extend(languages.iter().filter_map(|l| l.package(Source::Help)));
    names
}

/// Which languages lose text by the missing packages.
fn missing(packages: &Packages, languages: &[&Language]) -> Vec<Missing> {
    let cost = |package: &String| {
        let source = *Source::ALL.iter().find(|s| s.english_package() == package).unwrap_or(&Source::Help);
        let loses = |l: &&&Language| {
            let english_gone = source.english_package() == package && l.folder(source).is_some();
            english_gone || l.package(source).as_ref() == Some(package)
        };
        let languages = languages.iter().filter(loses).map(|l| l.tag.to_owned()).collect();
        Missing { package: package.clone(), source, languages }
    };
    packages.missing.iter().map(cost).collect()
}

/// The pairs of all languages, by tag. Works on all threads, and reports events on the caller's.
fn extract_all(
    packages: &Packages,
    languages: &[&Language],
    progress: &mut dyn FnMut(Event),
) -> Result<Vec<(String, Extracted)>, Error> {
    let path = |name: &str| -> Option<PathBuf> { packages.have.get(name).map(|(_, path)| path.clone()) };
    let mut by_size = languages.to_vec(); // large ones first, so that no thread is left with one at the end
    by_size.sort_by_key(|l| std::cmp::Reverse(l.approximate_pairs));
    let (sender, events) = mpsc::channel();
    std::thread::scope(|scope| {
        let work = scope.spawn(move || {
            let english = English::read(&|source| path(source.english_package()), languages)?;
            let extract = |language: &&Language| -> Result<(String, Extracted), Error> {
                let help = language.package(Source::Help).and_then(|name| path(&name));
                let extracted = english.extract(language, help.as_deref())?;
                let _ = sender.send((language.tag, extracted.pairs.len())); // fails only if nobody listens anymore
                Ok((language.tag.to_owned(), extracted))
            };
            let mut all = by_size.par_iter().with_max_len(1).map(extract).collect::<Result<Vec<_>, Error>>()?;
            all.sort_by(|a, b| a.0.cmp(&b.0));
            Ok(all)
        });
        for (done, (tag, pairs)) in events.iter().enumerate() {
            progress(Event::Extracted {
                language: tag.to_owned(),
                pairs,
                languages_done: done + 1,
                languages: languages.len(),
            });
        }
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
