//! First pass: raw bitext to clean pairs in a working file, with counts of what was dropped and why.
//!
//! Lines are cleaned in chunks on all threads; reading, writing and counting are in order on one, so the result does
//! not depend on the threads. The working file holds `FIRST<tab>SECOND` lines: normalized text has no tabs.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use strata_files::IoContext;

use super::{Event, Options};
use crate::bitext::{Pair, RawPair, Source, Split};
use crate::dedup::{Dedup, Duplicates, pair_hash};
use crate::error::{Error, Result};
use crate::filter::Reason;
use crate::language::LanguageCheck;
use crate::leak::{Leak, LeakIndex};
use crate::report::SplitReport;

/// Pairs cleaned at a time.
pub(super) const CHUNK: usize = 8192;

/// Clean pairs in a working file.
pub(super) struct CleanFile {
    path: PathBuf,
    /// Lines that repeat earlier ones; `None` if nothing was de-duplicated.
    duplicates: Option<Duplicates>,
    /// Lines that are not duplicates.
    pub(super) pairs: u64,
}

impl CleanFile {
    /// Calls `each` with chunks of (first, second) sentences, duplicates left out.
    pub(super) fn for_chunks(&self, mut each: impl FnMut(&[(String, String)]) -> Result<()>) -> Result<()> {
        let file = File::open(&self.path).io_context("open", &self.path)?;
        let mut chunk = Vec::with_capacity(CHUNK);
        for (i, line) in BufReader::with_capacity(1 << 18, file).lines().enumerate() {
            let line = line.io_context("read", &self.path)?;
            if self.duplicates.as_ref().is_some_and(|d| d.contains(i as u64)) {
                continue;
            }
            let (first, second) = line.split_once('\t').unwrap_or((&line, ""));
            chunk.push((first.to_string(), second.to_string()));
            if chunk.len() == CHUNK {
                each(&chunk)?;
                chunk.clear();
            }
        }
        if chunk.is_empty() { Ok(()) } else { each(&chunk) }
    }
}

/// Reads chunks of raw pairs and calls `each` with the valid ones. Invalid ones are errors, or counted if they are to
/// be skipped.
fn for_raw_chunks(
    source: &Source,
    skip_invalid: bool,
    report: &mut SplitReport,
    mut each: impl FnMut(Vec<(String, String)>, &mut SplitReport) -> Result<()>,
) -> Result<()> {
    let mut reader = source.open()?;
    let mut chunk = Vec::with_capacity(CHUNK);
    while let Some(raw) = reader.next_pair()? {
        report.read += 1;
        match raw {
            RawPair::Text(first, second) => chunk.push((first, second)),
            RawPair::Bad(error) if !skip_invalid => return Err(error),
            RawPair::Bad(error) => {
                drop_one(report, Reason::Invalid);
                report.first_invalid.get_or_insert_with(|| error.to_string());
            }
        }
        if chunk.len() == CHUNK {
            each(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK)), report)?;
        }
    }
    if chunk.is_empty() { Ok(()) } else { each(chunk, report) }
}

fn drop_one(report: &mut SplitReport, reason: Reason) {
    *report.dropped.entry(reason).or_default() += 1;
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    let file = File::create(path).io_context("write", path)?;
    Ok(BufWriter::with_capacity(1 << 18, file))
}

fn write_pair(file: &mut BufWriter<File>, path: &Path, first: &str, second: &str) -> Result<()> {
    let mut write = || {
        file.write_all(first.as_bytes())?;
        file.write_all(b"\t")?;
        file.write_all(second.as_bytes())?;
        file.write_all(b"\n")
    };
    Ok(write().io_context("write", path)?)
}

/// Cleans a held-out split: keeps every pair with text on both sides, remembers it for the leak check, and also writes
/// its raw text, for scoring.
pub(super) fn held_out(
    (pair, split, source): (&Pair, Split, &Source),
    options: &Options,
    (work, text): (&Path, &Path),
    held: &mut LeakIndex,
) -> Result<(CleanFile, SplitReport)> {
    let mut report = SplitReport::default();
    let path = work.join(format!("{}.{pair}", split.name()));
    let mut clean = create(&path)?;
    let side_path = |language: &str| text.join(format!("{}.{pair}.{language}", split.name()));
    let raw_paths = [side_path(&pair.first), side_path(&pair.second)];
    let mut raw = [create(&raw_paths[0])?, create(&raw_paths[1])?];
    for_raw_chunks(source, options.skip_invalid, &mut report, |chunk, report| {
        for (first, second) in chunk {
            let (a, b) = (options.form.normalize(&first), options.form.normalize(&second));
            if a.is_empty() || b.is_empty() {
                drop_one(report, Reason::Empty);
                continue;
            }
            held.insert(split, (&pair.first, &a), (&pair.second, &b));
            write_pair(&mut clean, &path, &a, &b)?;
            for ((file, path), side) in raw.iter_mut().zip(&raw_paths).zip([&first, &second]) {
                // Some readers take a carriage return inside a line for a line end.
                writeln!(file, "{}", side.replace('\r', " ")).io_context("write", path)?;
            }
            report.kept += 1;
        }
        Ok(())
    })?;
    let flush = |file: &mut BufWriter<File>, path: &Path| file.flush().io_context("write", path);
    flush(&mut clean, &path)?;
    for (file, path) in raw.iter_mut().zip(&raw_paths) {
        flush(file, path)?;
    }
    if report.kept == 0 {
        let reason = "no pair with text on both sides; remove the file or put text into it".to_string();
        return Err(Error::Empty { path: source.path().to_path_buf(), reason });
    }
    let pairs = report.kept;
    Ok((CleanFile { path, duplicates: None, pairs }, report))
}

/// The decision on a training pair.
enum Verdict {
    Keep(String, String, u128),
    Drop(Reason, Option<Leak>),
}

/// Cleans a training split: normalizes, filters, removes leaks and duplicates.
pub(super) fn train(
    (pair, source): (&Pair, &Source),
    options: &Options,
    work: &Path,
    (held, language_check): (&LeakIndex, Option<&LanguageCheck>),
    progress: &mut dyn FnMut(Event),
) -> Result<(CleanFile, SplitReport)> {
    let judge = |(first, second): (String, String)| {
        let (a, b) = (options.form.normalize(&first), options.form.normalize(&second));
        if let Some(reason) = options.limits.check_text(&a, &b) {
            return Verdict::Drop(reason, None);
        }
        if language_check.is_some_and(|c| c.is_other(&pair.first, &a) || c.is_other(&pair.second, &b)) {
            return Verdict::Drop(Reason::Language, None);
        }
        if let Some(leak) = held.leak((&pair.first, &a), (&pair.second, &b)) {
            return Verdict::Drop(Reason::Leak, Some(leak));
        }
        let hash = pair_hash(&a, &b);
        Verdict::Keep(a.into_owned(), b.into_owned(), hash)
    };
    let mut report = SplitReport::default();
    let path = work.join(format!("train.{pair}"));
    let mut clean = create(&path)?;
    let mut dedup = options.deduplicate.then(|| Dedup::new(work));
    let mut written = 0;
    for_raw_chunks(source, options.skip_invalid, &mut report, |chunk, report| {
        let verdicts: Vec<Verdict> = chunk.into_par_iter().with_min_len(64).map(judge).collect();
        for verdict in verdicts {
            match verdict {
                Verdict::Keep(a, b, hash) => {
                    write_pair(&mut clean, &path, &a, &b)?;
                    written += 1;
                    if let Some(dedup) = &mut dedup {
                        dedup.push(hash)?;
                    }
                }
                Verdict::Drop(reason, leak) => {
                    drop_one(report, reason);
                    if let Some(leak) = leak {
                        let counts = report.leaks.entry(leak.split).or_default();
                        match (leak.by_first, leak.by_second) {
                            (true, true) => counts.both += 1,
                            (true, false) => counts.first += 1,
                            _ => counts.second += 1,
                        }
                    }
                }
            }
        }
        progress(Event::Cleaning { pair: pair.to_string(), pairs: report.read });
        Ok(())
    })?;
    clean.flush().io_context("write", &path)?;
    if report.read == 0 {
        let reason = "has no lines; remove it or put text into it".to_string();
        return Err(Error::Empty { path: source.path().to_path_buf(), reason });
    }
    let duplicates = dedup.map(Dedup::finish).transpose()?;
    let repeated = duplicates.as_ref().map_or(0, Duplicates::count);
    if repeated > 0 {
        report.dropped.insert(Reason::Duplicate, repeated);
    }
    Ok((CleanFile { path, duplicates, pairs: written - repeated }, report))
}
