//! Firefox's translation models in Mozilla's Remote Settings: a list of records, each with a file, its size and
//! SHA-256.
//!
//! A pair has a model, one or two vocabularies and a shortlist, in one or more versions.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use strata_files::{Digest, IoContext, create_dirs, rename, wait_for_lock};

use super::error::Error;
use super::{Event, Fetched, Options, Source, is_there, languages, programs, size};

/// Mozilla's server.
pub(super) const ADDRESS: &str = "https://firefox.settings.services.mozilla.com";
const COLLECTION: &str = "v1/buckets/main/collections/translations-models/records";
/// More than the server's lists have by far.
const LIST_BYTES: u64 = 64 << 20;
/// The largest file that is taken; models have up to some 60 MB.
const FILE_BYTES: u64 = 2 << 30;

/// What the server says of itself.
#[derive(Deserialize)]
struct Server {
    capabilities: Capabilities,
}

#[derive(Deserialize)]
struct Capabilities {
    attachments: Attachments,
}

#[derive(Deserialize)]
struct Attachments {
    base_url: String,
}

#[derive(Deserialize)]
struct Records {
    data: Vec<Record>,
}

/// A file of a model.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    name: String,
    from_lang: String,
    to_lang: String,
    version: String,
    file_type: String,
    attachment: Attachment,
}

#[derive(Clone, Deserialize)]
struct Attachment {
    hash: String,
    size: u64,
    location: String,
}

/// Gets the newest version of a pair.
pub(super) fn fetch(options: &Options, progress: &mut dyn FnMut(Event)) -> Result<Fetched, Error> {
    let store = options.store.trim_end_matches('/');
    create_dirs(&options.cache)?;
    let Server { capabilities } = ask(options, &format!("{store}/v1/"))?;
    let Records { data } = ask(options, &format!("{store}/{COLLECTION}"))?;
    let records = newest(&data, &options.pair).ok_or_else(|| {
        let known: BTreeSet<String> = data.iter().map(|record| pair(record).to_lowercase()).collect();
        Error::UnknownPair { pair: options.pair.clone(), origin: store.to_owned(), known: known.into_iter().collect() }
    })?;
    let first = &records[0];
    for record in &records {
        check(record, store)?;
    }
    let name = format!("{}-{}-{}", Source::Mozilla.name(), pair(first), first.version);
    let folder = options.cache.join(&name);
    create_dirs(&folder)?;
    // Two processes would both write to one file that is on its way. Beside the folder, which holds the model alone.
    let _alone = wait_for_lock(&options.cache.join(format!("{name}.lock")))?;
    for record in &records {
        let address =
            format!("{}/{}", capabilities.attachments.base_url.trim_end_matches('/'), record.attachment.location);
        download(options, record, &address, &folder, progress)?;
    }
    Ok(Fetched {
        source: Source::Mozilla,
        version: first.version.clone(),
        from: first.from_lang.clone(),
        to: first.to_lang.clone(),
        bytes: records.iter().map(|record| record.attachment.size).sum(),
        folder,
    })
}

fn pair(record: &Record) -> String {
    format!("{}-{}", record.from_lang, record.to_lang)
}

/// The files of the newest version of a pair that has a model.
fn newest(records: &[Record], wanted: &str) -> Option<Vec<Record>> {
    languages(wanted)?;
    let of_pair = || records.iter().filter(|record| pair(record).eq_ignore_ascii_case(wanted));
    let models = of_pair().filter(|record| record.file_type == "model");
    let version = &models.max_by(|a, b| by_version(&a.version, &b.version))?.version;
    Some(of_pair().filter(|record| record.version == *version).cloned().collect())
}

/// By the numbers of versions, so that 1.10 is newer than 1.9; a version is newer than its own previews, `2.0a1`.
fn by_version(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| -> Vec<(u64, bool, String)> {
        let part = |part: &str| {
            let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = part.split_at(digits);
            (number.parse().unwrap_or(0), rest.is_empty(), rest.to_owned())
        };
        version.split('.').map(part).collect()
    };
    parts(a).cmp(&parts(b))
}

/// Names and sizes come from a server: none may lead out of the folder, or fill the disk.
fn check(record: &Record, store: &str) -> Result<(), Error> {
    let plain = |text: &str| {
        !text.is_empty()
            && !text.starts_with('.')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let reason = match record {
        _ if ![&record.name, &record.version, &record.from_lang, &record.to_lang]
            .into_iter()
            .all(|text| plain(text)) =>
        {
            format!("{:?} {:?} cannot be the name of a file", record.name, record.version)
        }
        _ if record.attachment.size > FILE_BYTES => format!("{} has {} bytes", record.name, record.attachment.size),
        _ => return Ok(()),
    };
    Err(Error::NotAStore { address: store.to_owned(), reason })
}

/// The server's answer to a question.
fn ask<T: DeserializeOwned>(options: &Options, address: &str) -> Result<T, Error> {
    let file = tempfile::NamedTempFile::new_in(&options.cache).io_context("write to", &options.cache)?;
    programs::curl(&options.curl, address, file.path(), LIST_BYTES, &mut || ())?;
    let bytes = fs::read(file.path()).io_context("read", file.path())?;
    serde_json::from_slice(&bytes).map_err(|e| Error::NotAStore { address: address.to_owned(), reason: e.to_string() })
}

fn download(
    options: &Options,
    record: &Record,
    address: &str,
    folder: &Path,
    progress: &mut dyn FnMut(Event),
) -> Result<(), Error> {
    let (path, part) = (folder.join(&record.name), folder.join(format!("{}.part", record.name)));
    let expected = record.attachment.hash.to_ascii_lowercase();
    if is_there(&path, &expected)? {
        return Ok(());
    }
    let bytes = record.attachment.size;
    // One that is longer than it should be cannot be gone on with; one of the right length needs no server.
    let so_far = if part.is_file() { size(&part)? } else { 0 };
    if so_far > bytes {
        fs::remove_file(&part).io_context("remove", &part)?;
    }
    if so_far != bytes {
        programs::curl(&options.curl, address, &part, bytes, &mut || {
            let done = fs::metadata(&part).map_or(0, |data| data.len());
            progress(Event::Download { file: record.name.clone(), done, bytes });
        })?;
    }
    let found = Digest::of_file(&part)?.hex();
    if found != expected {
        fs::remove_file(&part).io_context("remove", &part)?;
        return Err(Error::Digest { file: address.to_owned(), found, expected });
    }
    Ok(rename(&part, &path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, from: &str, version: &str, kind: &str) -> Record {
        Record {
            name: name.into(),
            from_lang: from.into(),
            to_lang: "pt".into(),
            version: version.into(),
            file_type: kind.into(),
            attachment: Attachment { hash: String::new(), size: 1, location: "x".into() },
        }
    }

    #[test]
    fn the_newest_version_with_a_model_is_taken() {
        let records = [
            record("model.bin", "en", "1.9", "model"),
            record("vocab.spm", "en", "1.9", "vocab"),
            record("model.bin", "en", "1.10", "model"),
            record("vocab.spm", "en", "1.10", "vocab"),
            record("vocab.spm", "en", "2.0", "vocab"),
            record("model.bin", "en", "1.10a1", "model"),
            record("model.bin", "es", "3.0", "model"),
        ];
        let found = newest(&records, "EN-pt").unwrap();
        assert_eq!(
            found.iter().map(|r| (&*r.name, &*r.version)).collect::<Vec<_>>(),
            [("model.bin", "1.10"), ("vocab.spm", "1.10")]
        );
        assert!(newest(&records, "en-de").is_none() && newest(&records, "en").is_none());
    }

    #[test]
    fn names_stay_in_the_folder() {
        for name in ["../x", "/etc/passwd", ".bashrc", "a\\b", ""] {
            assert!(check(&record(name, "en", "1.0", "model"), "s").is_err(), "{name}");
            assert!(check(&record("model.bin", "en", name, "model"), "s").is_err(), "{name}");
        }
        assert!(check(&record("model.enpt.intgemm.alphas.bin", "en", "1.0", "model"), "s").is_ok());
    }
}
