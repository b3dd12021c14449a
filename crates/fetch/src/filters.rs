//! Which aligned sentence pairs are kept: rules against markup, labels, untranslated or misaligned text.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::chars::{digit_value, is_decimal, is_letter, is_mark, split_space, words};
use crate::clean::{fold_case, is_unspaced, sentence_key};

/// Why a sentence pair was dropped, in the order the rules are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DropReason {
    /// Tags, entities, escapes or unresolved placeholders are left in the text, or it is the label of a figure or
    /// table.
    MarkupOrLabel,
    /// Fewer than two English words, or none on the other side.
    FewWords,
    /// More than 120 words, or than 900 English or 1,100 other characters.
    TooLong,
    /// Both sides are the same sentence.
    Identical,
    /// Fewer than half of the English characters are letters.
    NotProse,
    /// The translation is not in the script of its language.
    Script,
    /// The translation holds mostly English words.
    Untranslated,
    /// The numbers of the two sides differ.
    Numbers,
    /// The lengths do not fit the language's usual ratio.
    Ratio,
}

static MARKUP: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"</?[a-zA-Z][^<>]*>|&[a-zA-Z]{2,8};|&#\d+;|%PRODUCT|\$\[|",
        r"(?:^|[^\p{L}\p{N}_])[BIFCEL]<|\\f[BIR]|\x{fffd}"
    ))
    .expect("the pattern is a constant")
});
static LABEL: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:Chapter|Appendix|Table|Figure|Part|Example)\s+[\dA-Z]").expect("the pattern is a constant")
});
/// A run of six lower-case Latin words.
static LATIN_RUN: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?:^|[^\p{L}\p{N}_])(?:[a-z]{2,}[ ,]+){6}").expect("the pattern is a constant"));

/// The blocks of Unicode a language's own script lies in; `None` for languages in Latin script.
fn script_of(language: &str) -> Option<&'static [(u32, u32)]> {
    Some(match language {
        "ru" | "uk" | "sr" => &[(0x400, 0x52f), (0x1c80, 0x1c8f), (0x2de0, 0x2dff), (0xa640, 0xa69f)],
        "el" => &[(0x370, 0x3ff), (0x1f00, 0x1fff)],
        "ar" | "fa" => &[(0x600, 0x6ff), (0x750, 0x77f), (0x870, 0x8ff), (0xfb50, 0xfdff), (0xfe70, 0xfefe)],
        "he" => &[(0x591, 0x5ff), (0xfb1d, 0xfb4f)],
        "hi" | "mr" => &[(0x900, 0x97f), (0xa8e0, 0xa8ff)],
        "pa" => &[(0xa00, 0xa7f)],
        "gu" => &[(0xa80, 0xaff)],
        "ta" => &[(0xb80, 0xbff)],
        "te" => &[(0xc00, 0xc7f)],
        "kn" => &[(0xc80, 0xcff)],
        "km" => &[(0x1780, 0x17ff), (0x19e0, 0x19ff)],
        "dz" => &[(0xf00, 0xfff)],
        "ko" => &[
            (0x1100, 0x11ff),
            (0x302e, 0x302f),
            (0x3130, 0x318f),
            (0xa960, 0xa97f),
            (0xac00, 0xd7ff),
            (0xffa0, 0xffdc),
        ],
        "ja" => &[
            (0x3041, 0x30ff),
            (0x31f0, 0x31ff),
            (0x3400, 0x4dbf),
            (0x4e00, 0x9fff),
            (0xf900, 0xfaff),
            (0xff66, 0xff9f),
            (0x1b000, 0x1b16f),
            (0x20000, 0x323af),
        ],
        "zh_CN" | "zh_TW" => &[(0x3400, 0x4dbf), (0x4e00, 0x9fff), (0xf900, 0xfaff), (0x20000, 0x323af)],
        _ => return None,
    })
}

/// Whether enough of the letters and marks are of the language's own script (always, for Latin-script languages).
pub(crate) fn in_script(text: &str, language: &str) -> bool {
    let Some(blocks) = script_of(language) else { return true };
    let (mut own, mut all) = (0_u32, 0_u32);
    for c in text.chars().filter(|&c| is_letter(c) || is_mark(c)) {
        let code = c as u32;
        all += 1;
        own += u32::from(blocks.iter().any(|(first, last)| (*first..=*last).contains(&code)));
    }
    let needed = if is_unspaced(language) || language == "ko" { 0.15 } else { 0.3 };
    all > 0 && f64::from(own) / f64::from(all) >= needed
}

/// The numbers in a text as ASCII digits, whatever script they are written in.
fn numbers(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut run = String::new();
    for c in text.chars() {
        match digit_value(c).and_then(|v| char::from_digit(v, 10)) {
            Some(digit) => run.push(digit),
            None if !run.is_empty() => {
                found.insert(std::mem::take(&mut run));
            }
            None => {}
        }
    }
    if !run.is_empty() {
        found.insert(run);
    }
    found
}

fn numbers_differ(english: &str, other: &str, english_chars: usize) -> bool {
    if !english.chars().chain(other.chars()).any(|c| is_decimal(c) || digit_value(c).is_some()) {
        return false;
    }
    let (a, b) = (numbers(english), numbers(other));
    let all = a.union(&b).count();
    let unshared = a.symmetric_difference(&b).count();
    // One number missing from a long sentence is more often spelled out than misaligned.
    unshared as f64 > 0.5 * all as f64 && !(all == 1 && english_chars > 60)
}

fn untranslated(english: &str, other: &str, language: &str) -> bool {
    if script_of(language).is_some() {
        return LATIN_RUN.is_match(other);
    }
    let english: Vec<String> = words(english).map(fold_case).collect();
    if english.len() < 4 {
        return false;
    }
    let other: BTreeSet<String> = words(other).map(fold_case).collect();
    let shared = english.iter().filter(|w| other.contains(*w)).count();
    shared as f64 / english.len() as f64 > 0.6
}

/// The first rule a cleaned pair breaks, but for [`DropReason::Ratio`], which needs the language's own ratio.
pub(crate) fn broken_rule(english: &str, other: &str, language: &str) -> Option<DropReason> {
    if MARKUP.is_match(english) || MARKUP.is_match(other) || LABEL.is_match(english) {
        return Some(DropReason::MarkupOrLabel);
    }
    if words(english).take(2).count() < 2 || words(other).next().is_none() {
        return Some(DropReason::FewWords);
    }
    let (english_chars, other_chars) = (english.chars().count(), other.chars().count());
    let longest = split_space(english).count().max(split_space(other).count());
    if longest > 120 || english_chars > 900 || other_chars > 1100 {
        return Some(DropReason::TooLong);
    }
    if sentence_key(english) == sentence_key(other) {
        return Some(DropReason::Identical);
    }
    let letters = english.chars().filter(|&c| is_letter(c)).count();
    let spaces = english.chars().filter(|&c| c == ' ').count();
    if (letters as f64) < 0.5 * (english_chars - spaces) as f64 {
        return Some(DropReason::NotProse);
    }
    if !in_script(other, language) {
        return Some(DropReason::Script);
    }
    if untranslated(english, other, language) {
        return Some(DropReason::Untranslated);
    }
    numbers_differ(english, other, english_chars).then_some(DropReason::Numbers)
}

/// How many characters a language needs for one of English, and which pairs are too far from that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LengthRatio {
    pub median: f64,
}

impl LengthRatio {
    /// The median over pairs with more than 40 English characters that are translated at all; 1 where there are none.
    pub(crate) fn measure<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>, language: &str) -> LengthRatio {
        let mut ratios: Vec<f64> = pairs
            .filter_map(|(english, other)| {
                let chars = english.chars().count();
                let translated = chars > 40
                    && english != other
                    && in_script(other, language)
                    && sentence_key(english) != sentence_key(other);
                translated.then(|| other.chars().count() as f64 / chars as f64)
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        LengthRatio { median: ratios.get(ratios.len() / 2).copied().unwrap_or(1.0) }
    }

    /// Whether the pair's ratio lies within `factor` of the median, either way; short sentences get 1.0 more.
    pub(crate) fn fits(&self, english: &str, other: &str, factor: f64) -> bool {
        let chars = english.chars().count();
        let ratio = other.chars().count() as f64 / chars as f64 / self.median;
        let factor = if chars > 40 { factor } else { factor + 1.0 };
        (1.0 / factor..=factor).contains(&ratio)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(english: &str, other: &str, language: &str) -> Option<DropReason> {
        broken_rule(english, other, language)
    }

    #[test]
    fn good_pairs_pass() {
        assert_eq!(reason("Open the file.", "Öffnen Sie die Datei.", "de"), None);
        assert_eq!(reason("Open the file.", "Откройте файл.", "ru"), None);
        assert_eq!(reason("Open the 12 files.", "۱۲ پرونده را باز کنید.", "fa"), None, "numbers in another script");
        assert_eq!(reason("Some text of <?> here.", "Etwas Text von <?> hier.", "de"), None);
    }

    #[test]
    fn each_rule_drops_what_it_says() {
        use DropReason::*;
        assert_eq!(reason("Open <b>it</b> now.", "Jetzt öffnen.", "de"), Some(MarkupOrLabel));
        assert_eq!(reason("Open it now.", "Jetzt %PRODUCTNAME öffnen.", "de"), Some(MarkupOrLabel));
        assert_eq!(reason("The B<bold> text.", "Der fette Text.", "de"), Some(MarkupOrLabel));
        assert_eq!(reason("Table 3 shows the disks.", "Tabelle 3 zeigt die Platten.", "de"), Some(MarkupOrLabel));
        assert_eq!(reason("Open", "Öffnen", "de"), Some(FewWords));
        assert_eq!(reason("Open it", "12", "de"), Some(FewWords));
        assert_eq!(reason(&"word ".repeat(121), "Wort", "de"), Some(TooLong));
        assert_eq!(reason(&"long".repeat(120), &"und so ".repeat(158), "de"), Some(FewWords));
        assert_eq!(reason("a long word here", &"lang ".repeat(110).repeat(2), "de"), Some(TooLong));
        assert_eq!(reason("GNOME Files 3", "gnome files 4", "de"), Some(Identical));
        assert_eq!(reason("a b 1 + 2 - (3) == 4 ... !!", "eins und zwei", "de"), Some(NotProse));
        assert_eq!(reason("Open the file.", "Otwieranie pliku ф.", "ru"), Some(Script));
        assert_eq!(reason("Open the small file now.", "Open the small file jetzt.", "de"), Some(Untranslated));
        let half = "Откройте файл и сохраните его в папке the rest was left in english here";
        assert_eq!(reason("Open the file and save it.", half, "ru"), Some(Untranslated));
        assert_eq!(reason("Press key 12.", "Taste 13 drücken.", "de"), Some(Numbers));
    }

    #[test]
    fn one_missing_number_is_forgiven_in_a_long_sentence() {
        let english = "This sentence is long enough that its 2 could have been spelled out by them.";
        assert_eq!(reason(english, "Dieser Satz ist so lang, dass man zwei auch ausschreiben kann.", "de"), None);
    }

    #[test]
    fn the_ratio_is_the_median_of_long_translated_pairs() {
        let english = "x".repeat(50);
        let others: Vec<String> = [40, 50, 100].iter().map(|&n| "y".repeat(n)).collect();
        let pairs = others.iter().map(|o| (english.as_str(), o.as_str())).chain([("short", "z")]);
        let ratio = LengthRatio::measure(pairs, "de");
        assert_eq!(ratio.median, 1.0);
        assert!(ratio.fits(&english, &"y".repeat(100), 2.0) && !ratio.fits(&english, &"y".repeat(101), 2.0));
        assert!(ratio.fits("four", &"y".repeat(12), 2.0) && !ratio.fits("four", &"y".repeat(13), 2.0));
        assert_eq!(LengthRatio::measure(std::iter::empty(), "de").median, 1.0);
    }
}
