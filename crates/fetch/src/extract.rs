//! From a language's packages to its sentence pairs: read, align, clean, cut, filter, vote.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::clean::clean;
use crate::deb;
use crate::error::Error;
use crate::filters::{DropReason, LengthRatio, broken_rule};
use crate::languages::Language;
use crate::sentences::cut;
use crate::sources::{
    Files, PageBlock, PageCounts, Source, align_pages, decode, parse_help, parse_mallard, parse_page,
};

/// How far the ratio of a sentence may stray when a paragraph is cut, and when a pair is kept.
const CUT_FACTOR: f64 = 1.8;
const KEEP_FACTOR: f64 = 2.0;

/// A translated sentence (or a paragraph whose two sides could not be cut alike).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub english: String,
    pub other: String,
    pub source: Source,
}

/// What was extracted from one language's documents.
#[derive(Debug)]
pub(crate) struct Extracted {
    /// One pair for each different English sentence, in no particular order.
    pub pairs: Vec<Pair>,
    /// Sentence pairs that passed the filters, repetitions included.
    pub kept: usize,
    /// Sentence pairs that did not, by reason.
    pub dropped: BTreeMap<DropReason, usize>,
    pub pages: PageCounts,
    /// Characters of the language for one of English, the median.
    pub ratio: f64,
}

/// Aligned blocks of a page by a key that both languages share, cleaned.
type Blocks<Key> = BTreeMap<Key, String>;

/// The English side of all sources and, of those whose package holds all languages, the other languages' files.
#[derive(Default)]
pub(crate) struct English {
    help: BTreeMap<String, Blocks<(String, u32)>>,
    gnome: BTreeMap<String, Blocks<String>>,
    handbook: BTreeMap<String, Vec<PageBlock>>,
    install: BTreeMap<String, Vec<PageBlock>>,
    files: BTreeMap<Source, Files>,
}

impl English {
    /// Reads the English packages that are there, and the files of the given languages in them.
    pub(crate) fn read(
        packages: &(dyn Fn(Source) -> Option<PathBuf> + Sync),
        languages: &[&Language],
    ) -> Result<English, Error> {
        let read = |&source: &Source| -> Result<(Source, Files), Error> {
            let Some(deb) = packages(source) else { return Ok((source, Files::new())) };
            let mut folders: Vec<&str> = languages.iter().filter_map(|l| l.folder(source)).collect();
            if source == Source::Help {
                folders.clear();
            }
            folders.push(english_folder(source));
            Ok((source, read_pages(&deb, source, &folders)?))
        };
        let files = Source::ALL.par_iter().map(read).collect::<Result<BTreeMap<_, _>, Error>>()?;
        let mut english = English { files, ..English::default() };
        let of = |source| pages_of(&english.files[&source], source, english_folder(source));
        (english.help, english.gnome) = rayon::join(
            || of(Source::Help).map(|(page, bytes)| (page, help_blocks(bytes, "en"))).collect(),
            || of(Source::Gnome).map(|(page, bytes)| (page, gnome_blocks(bytes, "en"))).collect(),
        );
        (english.handbook, english.install) = rayon::join(
            || of(Source::Handbook).map(|(page, bytes)| (page, page_blocks(bytes, "en"))).collect(),
            || of(Source::Install).map(|(page, bytes)| (page, page_blocks(bytes, "en"))).collect(),
        );
        english.files.remove(&Source::Help);
        Ok(english)
    }

    /// The sentence pairs of one language. `help` is its package of LibreOffice's help, where there is one.
    pub(crate) fn extract(&self, language: &Language, help: Option<&Path>) -> Result<Extracted, Error> {
        let mut blocks: Vec<(Source, &str, String)> = Vec::new();
        let mut pages = PageCounts::default();
        if let (Some(deb), Some(folder)) = (help, language.help) {
            let files = read_pages(deb, Source::Help, &[folder])?;
            for (page, bytes) in pages_of(&files, Source::Help, folder) {
                let Some(english) = self.help.get(&page) else { continue };
                push_shared(&mut blocks, Source::Help, english, help_blocks(bytes, language.tag));
            }
        }
        for (page, bytes) in self.pages(Source::Gnome, language) {
            let Some(english) = self.gnome.get(&page) else { continue };
            push_shared(&mut blocks, Source::Gnome, english, gnome_blocks(bytes, language.tag));
        }
        for (source, all) in [(Source::Handbook, &self.handbook), (Source::Install, &self.install)] {
            for (page, bytes) in self.pages(source, language) {
                let Some(english) = all.get(&page) else { continue };
                let other = page_blocks(bytes, language.tag);
                let aligned = align_pages(english, &other, &mut pages);
                blocks.extend(aligned.into_iter().map(|(e, x)| (source, e, x.to_owned())));
            }
        }
        blocks.retain(|(_, english, other)| !english.is_empty() && !other.is_empty());
        Ok(Extracted { pages, ..filter(&blocks, language.tag) })
    }

    fn pages<'a>(&'a self, source: Source, language: &Language) -> impl Iterator<Item = (String, &'a [u8])> {
        let files = self.files.get(&source).zip(language.folder(source));
        files.into_iter().flat_map(move |(files, folder)| pages_of(files, source, folder))
    }
}

/// Cuts blocks into sentences where both sides agree, filters, and lets the translations of a sentence vote.
fn filter(blocks: &[(Source, &str, String)], language: &str) -> Extracted {
    let ratio = LengthRatio::measure(blocks.iter().map(|(_, e, x)| (*e, x.as_str())), language);
    let (mut kept, mut dropped) = (0, BTreeMap::new());
    let mut votes: HashMap<&str, BTreeMap<&str, (usize, Source)>> = HashMap::new();
    for (source, english, other) in blocks {
        let (mut left, mut right) = (cut(english, "en"), cut(other, language));
        let agree = left.len() == right.len()
            && left.len() > 1
            && left.iter().zip(&right).all(|(e, x)| ratio.fits(e, x, CUT_FACTOR));
        if !agree {
            (left, right) = (vec![*english], vec![other.as_str()]);
        }
        for (e, x) in left.into_iter().zip(right) {
            let reason =
                broken_rule(e, x, language).or_else(|| (!ratio.fits(e, x, KEEP_FACTOR)).then_some(DropReason::Ratio));
            if let Some(reason) = reason {
                *dropped.entry(reason).or_default() += 1;
                continue;
            }
            kept += 1;
            let (count, first) = votes.entry(e).or_default().entry(x).or_insert((0, *source));
            *count += 1;
            *first = (*first).min(*source);
        }
    }
    let elect = |(english, candidates): (&str, BTreeMap<&str, (usize, Source)>)| {
        // The most frequent translation; of equally frequent ones the first in code point order.
        let (other, (_, source)) = candidates.into_iter().rev().max_by_key(|(_, (count, _))| *count)?;
        Some(Pair { english: english.to_owned(), other: other.to_owned(), source })
    };
    let pairs = votes.into_iter().filter_map(elect).collect();
    Extracted { pairs, kept, dropped, pages: PageCounts::default(), ratio: ratio.median }
}

fn push_shared<'a, Key: Ord>(
    blocks: &mut Vec<(Source, &'a str, String)>,
    source: Source,
    english: &'a Blocks<Key>,
    mut other: Blocks<Key>,
) {
    blocks.extend(english.iter().filter_map(|(key, e)| Some((source, e.as_str(), other.remove(key)?))));
}

fn help_blocks(bytes: &[u8], language: &str) -> Blocks<(String, u32)> {
    parse_help(&decode(bytes)).into_iter().map(|(key, text)| (key, clean(&text, language))).collect()
}

fn gnome_blocks(bytes: &[u8], language: &str) -> Blocks<String> {
    parse_mallard(bytes).into_iter().map(|(key, text)| (key, clean(&text, language))).collect()
}

fn page_blocks(bytes: &[u8], language: &str) -> Vec<PageBlock> {
    let mut blocks = parse_page(&decode(bytes));
    for block in &mut blocks {
        block.text = clean(&block.text, language);
    }
    blocks
}

fn english_folder(source: Source) -> &'static str {
    match source {
        Source::Help | Source::Handbook => "en-US",
        Source::Gnome => "C",
        Source::Install => "en",
    }
}

/// The folder of a language's pages of a source.
fn page_root(source: Source, folder: &str) -> String {
    match source {
        Source::Help => format!("usr/share/libreoffice/help/{folder}/text/"),
        Source::Gnome => format!("usr/share/help/{folder}/"),
        Source::Handbook => format!("usr/share/doc/debian-handbook/html/{folder}/"),
        Source::Install => format!("usr/share/doc/installation-guide-amd64/{folder}/"),
    }
}

/// Whether a file below the root is a page with prose.
fn is_page(source: Source, page: &str) -> bool {
    match source {
        Source::Help => page.ends_with(".html"),
        Source::Gnome => {
            let guide = page.strip_prefix("gnome-help/").or_else(|| page.strip_prefix("system-admin-guide/"));
            guide.is_some_and(|file| file.ends_with(".page") && !file.contains('/'))
        }
        Source::Handbook => {
            page.ends_with(".html") && !page.contains("Common_Content") && !matches!(page, "ix01.html" | "index.html")
        }
        Source::Install => page.ends_with(".html") && page != "index.html" && !page.starts_with("ape"),
    }
}

fn read_pages(deb: &Path, source: Source, folders: &[&str]) -> Result<Files, Error> {
    let roots: Vec<String> = folders.iter().map(|folder| page_root(source, folder)).collect();
    deb::read_files(deb, &|path| {
        roots.iter().any(|root| path.strip_prefix(root.as_str()).is_some_and(|page| is_page(source, page)))
    })
}

/// The pages of one folder, by their path below it.
fn pages_of<'a>(files: &'a Files, source: Source, folder: &str) -> impl Iterator<Item = (String, &'a [u8])> {
    let root = page_root(source, folder);
    files.range(root.clone()..).map_while(move |(path, bytes)| {
        path.strip_prefix(root.as_str()).map(|page| (page.to_owned(), bytes.as_slice()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(rows: &[(Source, &'static str, &str)]) -> Vec<(Source, &'static str, String)> {
        rows.iter().map(|(s, e, x)| (*s, *e, (*x).to_owned())).collect()
    }

    #[test]
    fn paragraphs_are_cut_only_where_both_sides_agree() {
        let rows = blocks(&[
            (Source::Help, "Open the file now. Then close it.", "Öffnen Sie die Datei jetzt. Dann schließen."),
            (Source::Help, "Save the text. Print it.", "Den Text speichern und drucken."),
        ]);
        let mut found: Vec<String> = filter(&rows, "de").pairs.into_iter().map(|p| p.english).collect();
        found.sort();
        assert_eq!(found, ["Open the file now.", "Save the text. Print it.", "Then close it."]);
    }

    #[test]
    fn the_most_frequent_translation_wins_then_the_first_in_order() {
        let rows = blocks(&[
            (Source::Help, "Open the file.", "Datei öffnen."),
            (Source::Install, "Open the file.", "Öffnen Sie die Datei."),
            (Source::Gnome, "Open the file.", "Öffnen Sie die Datei."),
            (Source::Help, "Save the file.", "Sichern Sie die Datei."),
            (Source::Help, "Save the file.", "Datei speichern."),
            (Source::Help, "Print", "Drucken"),
        ]);
        let mut extracted = filter(&rows, "de");
        extracted.pairs.sort_by(|a, b| a.english.cmp(&b.english));
        let pair = |english: &str, other: &str, source| Pair { english: english.into(), other: other.into(), source };
        assert_eq!(
            extracted.pairs,
            [
                pair("Open the file.", "Öffnen Sie die Datei.", Source::Gnome),
                pair("Save the file.", "Datei speichern.", Source::Help)
            ]
        );
        assert_eq!(extracted.kept, 5);
        assert_eq!(extracted.dropped, BTreeMap::from([(DropReason::FewWords, 1)]));
    }

    #[test]
    fn pages_are_told_from_other_files() {
        assert!(is_page(Source::Gnome, "gnome-help/a.page") && !is_page(Source::Gnome, "gnome-help/figures/a.page"));
        assert!(!is_page(Source::Gnome, "other-help/a.page") && !is_page(Source::Handbook, "Common_Content/a.html"));
        assert!(is_page(Source::Install, "ch01.html") && !is_page(Source::Install, "apes01.html"));
        let files = Files::from([
            ("usr/share/help/C/gnome-help/a.page".to_owned(), vec![1]),
            ("usr/share/help/Ca/gnome-help/a.page".to_owned(), vec![2]),
        ]);
        let found: Vec<_> = pages_of(&files, Source::Gnome, "C").collect();
        assert_eq!(found, [("gnome-help/a.page".to_owned(), [1].as_slice())]);
    }
}
