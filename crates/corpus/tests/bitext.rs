//! Reading bitext: every layout that is accepted, and every fault with the file and line it names.

use std::fs;
use std::io::Write;
use std::path::Path;

use strata_corpus::Error;
use strata_corpus::bitext::{MAX_LINE_BYTES, Pair, RawPair, Source, Split, discover};

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    fs::write(folder.join(name), bytes).unwrap();
}

/// The two sides of a pair, or what is wrong with its line.
type Sides = Result<(String, String), Error>;

fn read_all(source: &Source) -> Result<Vec<Sides>, Error> {
    let mut reader = source.open()?;
    let mut pairs = Vec::new();
    while let Some(pair) = reader.next_pair()? {
        pairs.push(match pair {
            RawPair::Text(a, b) => Ok((a, b)),
            RawPair::Bad(e) => Err(e),
        });
    }
    Ok(pairs)
}

fn good(source: &Source) -> Vec<(String, String)> {
    read_all(source).unwrap().into_iter().map(|p| p.unwrap()).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
}

#[test]
fn plain_gz_zst_and_tsv_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = ("one\ntwo\n\nfour", "eins\nzwei\nleer\nvier\n");
    write(folder.path(), "train.en-de.en", a);
    write(folder.path(), "train.en-de.de", b);
    // Two gzip members, as `cat a.gz b.gz` makes, and two zstd frames.
    let mut gz = Vec::new();
    for part in ["one\ntw", "o\n\nfour\n"] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(part.as_bytes()).unwrap();
        gz.extend(encoder.finish().unwrap());
    }
    write(folder.path(), "train.en-nl.en.gz", gz);
    let frames = [zstd::encode_all("eins\n".as_bytes(), 1), zstd::encode_all("zwei\nleer\nvier\n".as_bytes(), 1)];
    write(folder.path(), "train.en-nl.nl.zst", frames.map(Result::unwrap).concat());
    write(folder.path(), "train.de-zh_CN.tsv", "\u{FEFF}one\teins\r\ntwo\tzwei\r\n\tleer\r\nfour\tvier");
    write(folder.path(), "valid.en-de.en", "v\n");
    write(folder.path(), "valid.en-de.de", "w\n");
    write(folder.path(), "README.md", "not bitext");
    write(folder.path(), "train.en-de.fr", "not a side of this pair");
    let bitext = discover(folder.path()).unwrap().bitext;
    let names: Vec<String> = bitext.keys().map(Pair::to_string).collect();
    assert_eq!(names, ["de-zh_CN", "en-de", "en-nl"]);
    let expected = owned(&[("one", "eins"), ("two", "zwei"), ("", "leer"), ("four", "vier")]);
    for (pair, splits) in &bitext {
        assert_eq!(good(&splits[&Split::Train]), expected, "{pair}");
    }
    assert_eq!(good(&bitext[&Pair::parse("en-de").unwrap()][&Split::Valid]), owned(&[("v", "w")]));
}

#[test]
fn sides_that_differ_name_both_files_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "train.en-de.en", "a\nb\nc\nd\n");
    write(folder.path(), "train.en-de.de", "a\nb");
    let bitext = discover(folder.path()).unwrap().bitext;
    let error = read_all(&bitext[&Pair::parse("en-de").unwrap()][&Split::Train]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("train.en-de.en has 4 lines") && text.contains("train.en-de.de has 2:"), "{text}");
}

#[test]
fn bad_lines_name_file_line_and_byte() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "train.en-de.en", b"fine\nab\xFFc\nlast\n");
    write(folder.path(), "train.en-de.de", [b"fine\nx\n".as_slice(), &vec![b'x'; MAX_LINE_BYTES + 9], b"\n"].concat());
    write(folder.path(), "train.en-fr.tsv", "a\tb\nonly one\na\tb\tc\n");
    let bitext = discover(folder.path()).unwrap().bitext;
    let pairs = read_all(&bitext[&Pair::parse("en-de").unwrap()][&Split::Train]).unwrap();
    assert!(pairs[0].is_ok());
    let text = pairs[1].as_ref().unwrap_err().to_string();
    assert!(text.contains("train.en-de.en, line 2") && text.contains("byte 3"), "{text}");
    let text = pairs[2].as_ref().unwrap_err().to_string();
    assert!(text.contains("train.en-de.de, line 3: longer than"), "{text}");
    let pairs = read_all(&bitext[&Pair::parse("en-fr").unwrap()][&Split::Train]).unwrap();
    assert!(pairs[0].is_ok());
    assert!(pairs[1].as_ref().unwrap_err().to_string().contains("line 2: 1 tab-separated columns"));
    assert!(pairs[2].as_ref().unwrap_err().to_string().contains("line 3: 3 tab-separated columns"));
}

#[test]
fn folders_that_cannot_be_used_say_why() {
    let folder = tempfile::tempdir().unwrap();
    assert!(discover(&folder.path().join("absent")).unwrap_err().to_string().contains("absent"));
    assert!(discover(folder.path()).unwrap_err().to_string().contains("no bitext for training"));
    write(folder.path(), "valid.en-de.tsv", "a\tb\n");
    assert!(discover(folder.path()).unwrap_err().to_string().contains("no bitext for training"));
    write(folder.path(), "train.en-de.en.gz", "");
    let text = discover(folder.path()).unwrap_err().to_string();
    assert!(text.contains("train.en-de.en.gz has no counterpart") && text.contains("train.en-de.de"), "{text}");
    write(folder.path(), "train.en-de.de", "");
    assert!(discover(folder.path()).is_ok());
    write(folder.path(), "train.en-de.de.zst", "");
    assert!(matches!(discover(folder.path()), Err(Error::Ambiguous { .. })));
    fs::remove_file(folder.path().join("train.en-de.de.zst")).unwrap();
    write(folder.path(), "train.de-en.tsv", "");
    assert!(matches!(discover(folder.path()), Err(Error::Ambiguous { .. })));
}

#[test]
fn damaged_compression_is_an_error_not_a_short_corpus() {
    let folder = tempfile::tempdir().unwrap();
    let whole = zstd::encode_all("a\tb\n".repeat(100_000).as_bytes(), 1).unwrap();
    write(folder.path(), "train.en-de.tsv.zst", &whole[..whole.len() - 7]);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all("a\tb\n".repeat(1000).as_bytes()).unwrap();
    let whole = encoder.finish().unwrap();
    write(folder.path(), "train.en-fr.tsv.gz", &whole[..whole.len() - 7]);
    for splits in discover(folder.path()).unwrap().bitext.values() {
        let error = read_all(&splits[&Split::Train]).unwrap_err();
        assert!(matches!(error, Error::Files(strata_files::Error::Io { .. })), "{error}");
    }
}
