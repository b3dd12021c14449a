//! Terms that must be translated in a given way: a file of `term=translation` lines.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use strata_files::IoContext;
use unicode_normalization::UnicodeNormalization;

use crate::error::Error;
use crate::layout::replaced;
use crate::normal::Normal;
use crate::sentences::is_unspaced;

/// Terms with their translations, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Glossary {
    terms: Vec<Term>,
    /// The terms that begin with a word, as [`first_word`] has it.
    by_first_word: HashMap<String, Vec<usize>>,
}

/// A term and its translation.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// As [`Normal`] writes it. It is never empty: nothing is in every text, at every place.
    source: String,
    /// As it is written where a sentence begins, if that is another way.
    capital: Option<String>,
    translation: String,
}

impl Term {
    /// A term and its translation; none if one of them says nothing, because it is empty, white space or invisible.
    pub fn new(source: &str, translation: &str) -> Option<Self> {
        let source = Normal::new(source).text.into_owned();
        if source.is_empty() || Normal::new(translation).text.is_empty() {
            return None;
        }
        let mut characters = source.chars();
        let capital = characters.next().map(|first| first.to_uppercase().chain(characters).collect::<String>());
        let capital = capital.filter(|capital| *capital != source);
        Some(Self { source, capital, translation: translation.nfc().collect() })
    }

    /// The ways in which it is written.
    fn forms(&self) -> impl Iterator<Item = &str> {
        [Some(&self.source), self.capital.as_ref()].into_iter().flatten().map(String::as_str)
    }
}

impl FromIterator<Term> for Glossary {
    fn from_iter<I: IntoIterator<Item = Term>>(terms: I) -> Self {
        let mut glossary = Self { terms: terms.into_iter().collect(), ..Self::default() };
        for (i, term) in glossary.terms.iter().enumerate() {
            for form in term.forms() {
                glossary.by_first_word.entry(first_word(form).to_string()).or_default().push(i);
            }
        }
        glossary
    }
}

impl Glossary {
    /// Reads a file of `term=translation` lines, compressed or not as its name says; skips empty lines and lines that
    /// begin with `#`, and a byte-order mark.
    ///
    /// # Errors
    /// A file that cannot be read; the first line that is not UTF-8 or not such a pair, by its number.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let mut bytes = Vec::new();
        strata_corpus::text::open(path)?.read_to_end(&mut bytes).io_context("read", path)?;
        let text = strata_files::utf8(path, bytes)?;
        let mut terms = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pair = line.split_once('=');
            let term = pair.and_then(|(term, translation)| Term::new(term, translation.trim()));
            terms.push(term.ok_or_else(|| {
                let what = format!("line {}: `{line}` is not `term=translation`", number + 1);
                Error::Text { path: path.to_path_buf(), what }
            })?);
        }
        Ok(terms.into_iter().collect())
    }

    /// The translations of the terms that occur in `text` as whole words, each once, in the order of the file. Of terms
    /// at the same place the longest wins. A term may begin with a capital letter where a sentence or the text begins.
    pub fn required(&self, text: &str) -> Vec<&str> {
        let mut terms: Vec<usize> = self.places(text).into_iter().map(|(_, i)| i).collect();
        terms.sort_unstable();
        let mut found: Vec<&str> = Vec::new();
        for i in terms {
            let translation = self.terms[i].translation.as_str();
            if !found.contains(&translation) {
                found.push(translation);
            }
        }
        found
    }

    /// Where terms are in a text whose translation is not `writable`, as a model may lack a character for it.
    pub(crate) fn unwritable(&self, text: &str, writable: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
        let places = self.places(text).into_iter();
        places.filter(|(_, i)| !writable(&self.terms[*i].translation)).map(|(place, _)| place).collect()
    }

    /// A text that is copied, with the translations of the terms in it; none if it has no term.
    pub(crate) fn applied(&self, text: &str) -> Option<String> {
        let mut places = self.places(text);
        places.sort_unstable_by_key(|(place, _)| place.start);
        let ranges: Vec<Range<usize>> = places.iter().map(|(place, _)| place.clone()).collect();
        (!places.is_empty()).then(|| replaced(text, &ranges, |i| self.terms[places[i].1].translation.as_str()))
    }

    /// Where terms are in a text as it is written, and which ones. No place is in another.
    fn places(&self, text: &str) -> Vec<(Range<usize>, usize)> {
        let normal = Normal::new(text);
        let candidates = self.candidates(&normal.text).into_iter().map(|i| (i, &self.terms[i]));
        let written = |place: Range<usize>| normal.written(&place);
        apart(all_places(&normal.text, candidates), written)
    }

    /// The terms that may be in a normal text: what one begins with stands where a word begins.
    fn candidates(&self, text: &str) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        if self.terms.is_empty() {
            return found;
        }
        let mut inside = false; // of a word
        for (at, c) in text.char_indices() {
            if !std::mem::replace(&mut inside, in_word(c)) || !inside {
                let rest = &text[at..];
                let terms = self.by_first_word.get(first_word(rest)).into_iter().flatten();
                found.extend(terms.filter(|i| self.terms[**i].forms().any(|form| rest.starts_with(form))));
            }
        }
        found
    }
}

/// All places of terms in a normal text, the longest first.
fn all_places<'a>(text: &str, terms: impl Iterator<Item = (usize, &'a Term)>) -> Vec<(Range<usize>, usize)> {
    let mut places: Vec<(Range<usize>, usize)> = Vec::new();
    for (i, term) in terms {
        places.extend(occurrences(text, &term.source).map(|at| (at..at + term.source.len(), i)));
        if let Some(capital) = &term.capital {
            let begins = |at: &usize| begins_sentence(&text[..*at]);
            places.extend(occurrences(text, capital).filter(begins).map(|at| (at..at + capital.len(), i)));
        }
    }
    places.sort_by_key(|(place, i)| (std::cmp::Reverse(place.len()), place.start, *i));
    places
}

/// Those of `places`, as they are `written`, that no place before them has a part of.
fn apart(
    places: Vec<(Range<usize>, usize)>,
    written: impl Fn(Range<usize>) -> Range<usize>,
) -> Vec<(Range<usize>, usize)> {
    let mut taken: Vec<(Range<usize>, usize)> = Vec::new();
    for (place, i) in places {
        let place = written(place);
        if taken.iter().all(|(other, _)| place.end <= other.start || other.end <= place.start) {
            taken.push((place, i));
        }
    }
    taken
}

/// Whether a character belongs to a word that ends where its letters do. Scripts without spaces have no word ends to
/// see.
fn in_word(c: char) -> bool {
    c.is_alphanumeric() && !is_unspaced(c)
}

/// The word that a text begins with, or its first character, if that is in no word.
fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !in_word(c)).unwrap_or(text.len());
    let first = text.chars().next().map_or(0, char::len_utf8);
    &text[..end.max(first)]
}

/// Where `term` is in `text` with no letter or digit touching it.
fn occurrences<'a>(text: &'a str, term: &'a str) -> impl Iterator<Item = usize> + 'a {
    let touches = |inner: Option<char>, outer: Option<char>| inner.is_some_and(in_word) && outer.is_some_and(in_word);
    let whole = move |at: &usize| {
        let before = text[..*at].chars().next_back();
        let after = text[at + term.len()..].chars().next();
        !touches(term.chars().next(), before) && !touches(term.chars().next_back(), after)
    };
    text.match_indices(term).map(|(at, _)| at).filter(whole)
}

/// Whether a sentence begins behind this text.
fn begins_sentence(before: &str) -> bool {
    let before = before.trim_end_matches(|c: char| c.is_whitespace() || "\"'“„«‘‚(¿¡".contains(c));
    before.is_empty() || before.ends_with(['.', '!', '?', '…', ':', '。', '！', '？', '-', '–', '•'])
}

#[cfg(test)]
mod tests {
    use strata_simd::random::SplitMix64;

    use super::*;
    use crate::normal::tests::random_text;

    #[test]
    fn whole_words_require_their_translation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms.txt");
        std::fs::write(&path, "# ours\nfile = Datei\n\nicon=Symbol\nfiles=Dateien\nicons=Symbol\n").unwrap();
        let glossary = Glossary::read(&path).unwrap();
        assert_eq!(glossary.required("Open the file, or its icon."), ["Datei", "Symbol"]);
        assert_eq!(glossary.required("profile files icons icon"), ["Symbol", "Dateien"]);
        assert!(glossary.required("nothing").is_empty());
    }

    fn glossary(content: &[u8]) -> Result<Glossary, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms.txt");
        std::fs::write(&path, content).unwrap();
        Glossary::read(&path)
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_term() {
        let glossary = glossary("\u{feff}icon=Symbol\r\nfile=Datei\r\n".as_bytes()).unwrap();
        assert_eq!(glossary.required("the icon of a file"), ["Symbol", "Datei"]);
    }

    #[test]
    fn a_compressed_glossary_and_one_in_utf_16_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms.txt.zst");
        std::fs::write(&path, zstd::encode_all(&b"icon=Symbol\n"[..], 1).unwrap()).unwrap();
        assert_eq!(Glossary::read(&path).unwrap().required("the icon"), ["Symbol"]);
        let utf16: Vec<u8> = "\u{feff}icon=Symbol\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(glossary(&utf16).unwrap().required("the icon"), ["Symbol"]);
    }

    #[test]
    fn of_terms_at_one_place_the_longest_wins() {
        let glossary = glossary(b"the icon=das Symbol\nicon=Ikone\n").unwrap();
        assert_eq!(glossary.required("Click the icon."), ["das Symbol"]);
        assert_eq!(glossary.required("Click the\u{a0}icon."), ["das Symbol"]);
        assert_eq!(glossary.required("Click the \n icon."), ["das Symbol"]);
        assert_eq!(glossary.required("Click the icon or an icon."), ["das Symbol", "Ikone"]);
        assert_eq!(glossary.required("an icon"), ["Ikone"]);
    }

    #[test]
    fn terms_match_at_the_start_of_a_sentence_and_in_any_normal_form() {
        let glossary = glossary("file=Datei\ncafé=Kaffeehaus\n桌子=Tisch\n".as_bytes()).unwrap();
        assert_eq!(glossary.required("File it."), ["Datei"]);
        assert_eq!(glossary.required("It is. File it."), ["Datei"]);
        assert!(glossary.required("The File menu").is_empty(), "a name");
        assert_eq!(glossary.required("a cafe\u{301} there"), ["Kaffeehaus"]);
        assert_eq!(glossary.required("the fi\u{ad}le, cafe\u{301}\u{200b}"), ["Datei", "Kaffeehaus"]);
        assert_eq!(glossary.required("这是桌子上的"), ["Tisch"], "a script without spaces");
    }

    #[test]
    fn terms_found_by_their_first_words_are_those_found_one_by_one() {
        let mut numbers = SplitMix64::new(5);
        let letters = "abAB  .-é\u{df}新开\u{94d}क";
        for _ in 0..20_000 {
            let pairs =
                (0..numbers.below(9)).filter_map(|i| Term::new(&random_text(&mut numbers, letters, 5), &i.to_string()));
            let glossary: Glossary = pairs.collect();
            let text = random_text(&mut numbers, letters, 14);
            let normal = Normal::new(&text);
            let all = all_places(&normal.text, glossary.terms.iter().enumerate());
            assert_eq!(glossary.places(&text), apart(all, |place| normal.written(&place)), "{text:?} {glossary:?}");
        }
    }

    #[test]
    fn terms_are_where_the_text_has_them_as_it_is_written() {
        let glossary = glossary("new file=N\ncafé=C\nold=O\n".as_bytes()).unwrap();
        for (text, written) in [
            ("Open the new file now.", "new file"),
            ("Open the new\u{a0}file now.", "new\u{a0}file"),
            ("Open the  new  file now.", "new  file"),
            ("Open the new\n file now.", "new\n file"),
            ("Open the new fi\u{ad}le now.", "new fi\u{ad}le"),
            ("An  old cafe\u{301} here", "cafe\u{301}"),
        ] {
            let places = glossary.unwritable(text, |translation| translation == "O");
            assert_eq!(places.iter().map(|place| &text[place.clone()]).collect::<Vec<_>>(), [written]);
            let rest = text.replace(written, if written.starts_with('n') { "N" } else { "C" }).replace("old", "O");
            assert_eq!(glossary.applied(text), Some(rest), "all else stays");
        }
        assert_eq!(glossary.applied("nothing"), None);
    }

    #[test]
    fn a_line_that_is_not_utf_8_is_named() {
        let message = glossary(b"a=b\nb\xff=c\n").unwrap_err().to_string();
        assert!(message.contains("terms.txt, line 2: not valid UTF-8"), "{message}");
    }

    #[test]
    fn a_term_that_nobody_sees_is_refused_since_it_would_be_everywhere() {
        for [term, translation] in [["\u{200b}", "X"], ["\u{ad}\u{2060} \u{feff}", "X"], ["dog", "\u{200b}"], ["", "X"]]
        {
            assert_eq!(Term::new(term, translation), None, "{term:?} {translation:?}");
            let message = glossary(format!("a=b\n{term}={translation}\n").as_bytes()).unwrap_err().to_string();
            assert!(message.contains("terms.txt: line 2: "), "{message}");
            assert!(message.ends_with("is not `term=translation`"), "{message}");
        }
        assert_eq!(glossary("\u{200b}dog=X\n".as_bytes()).unwrap().required("a dog"), ["X"]);
    }

    #[test]
    fn a_line_that_is_not_a_pair_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms.txt");
        std::fs::write(&path, "a=b\nfile Datei\n").unwrap();
        let message = Glossary::read(&path).unwrap_err().to_string();
        assert!(message.ends_with("terms.txt: line 2: `file Datei` is not `term=translation`"), "{message}");
    }
}
