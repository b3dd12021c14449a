//! Cleaning of a text block, and the key under which an English sentence is split and compared.

use std::sync::LazyLock;

use caseless::Caseless;
use regex::Regex;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::chars::{is_alphanumeric, is_decimal, is_space, is_word};

/// Section numbers in front of headings: `3.1. `, `A.2.1. `, `B.1 `.
static SECTION_NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:[A-F]\.)?\d+(?:\.\d+)*\.\s+|^[A-F](?:\.\d+)+\.\s+").expect("the pattern is a constant")
});

/// Languages written without spaces between words.
pub(crate) fn is_unspaced(language: &str) -> bool {
    matches!(language, "ja" | "zh_CN" | "zh_TW")
}

/// Zero-width characters, soft hyphens and direction marks, which only some of the translations carry.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{feff}' | '\u{ad}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202c}' | '\u{2060}')
}

/// Kana, ideographs and their full-width punctuation.
fn is_wide(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}')
}

/// One clean line: NFC, without invisible characters, white space collapsed to single spaces, no section number in
/// front; no spaces between ideographs, and none before a comma or full stop elsewhere.
pub(crate) fn clean(text: &str, language: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut push = |c: char| {
        if is_invisible(c) {
            return;
        }
        if !is_space(c) {
            line.push(c);
        } else if !line.is_empty() && !line.ends_with(' ') {
            line.push(' ');
        }
    };
    match is_nfc_quick(text.chars()) {
        IsNormalized::Yes => text.chars().for_each(&mut push),
        _ => text.nfc().for_each(&mut push),
    }
    let line = line.trim_end_matches(' ');
    let line = SECTION_NUMBER.find(line).map_or(line, |number| &line[number.end()..]);
    let line = if is_unspaced(language) { join_wide(line) } else { tighten_punctuation(line) };
    line.trim_matches(' ').to_owned()
}

/// Removes single spaces between two wide characters.
fn join_wide(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut before = None;
    let mut rest = line.chars().peekable();
    while let Some(c) = rest.next() {
        let between = c == ' ' && before.is_some_and(is_wide) && rest.peek().is_some_and(|&n| is_wide(n));
        if !between {
            out.push(c);
        }
        before = Some(c);
    }
    out
}

/// Removes the space in `word ,` and `word .` where the mark ends its token (markup between them left it there).
fn tighten_punctuation(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut before = None;
    for (i, c) in line.char_indices() {
        let mut next = line[i + c.len_utf8()..].chars();
        let stray = c == ' '
            && before.is_some_and(is_word)
            && matches!(next.next(), Some(',' | '.'))
            && matches!(next.next(), None | Some(' '));
        if !stray {
            out.push(c);
        }
        before = Some(c);
    }
    out
}

/// The key of an English sentence: NFKC, case-folded, every run of digits as `0`, words joined by single spaces.
/// Sentences with equal keys are the same sentence to the split.
pub(crate) fn sentence_key(english: &str) -> String {
    let mut key = String::with_capacity(english.len());
    let (mut in_word, mut in_digits) = (false, false);
    let mut push = |c: char| {
        if !is_alphanumeric(c) {
            (in_word, in_digits) = (false, false);
            return;
        }
        if !in_word && !key.is_empty() {
            key.push(' ');
        }
        let digit = is_decimal(c);
        if !digit {
            key.push(c);
        } else if !in_digits {
            key.push('0');
        }
        (in_word, in_digits) = (true, digit);
    };
    if english.is_ascii() {
        english.chars().for_each(|c| push(c.to_ascii_lowercase()));
    } else {
        english.nfkc().default_case_fold().for_each(push);
    }
    key
}

/// Case folding for comparing words.
pub(crate) fn fold_case(word: &str) -> String {
    if word.is_ascii() { word.to_ascii_lowercase() } else { word.chars().default_case_fold().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_and_invisible_characters() {
        assert_eq!(clean("  Save\u{a0}\n\tthe \u{200b}file\u{ad}s \u{feff}. ", "en"), "Save the files.");
        assert_eq!(clean("Cafe\u{301}", "fr"), "Café");
        assert_eq!(clean("\u{200e} \u{200f}", "fa"), "");
    }

    #[test]
    fn section_numbers_go_but_other_numbers_stay() {
        assert_eq!(clean("3.1.2. Disks", "en"), "Disks");
        assert_eq!(clean("B.4. Files", "en"), "Files");
        assert_eq!(clean("A.1.2. Files", "de"), "Files");
        assert_eq!(clean("3.1 Disks", "en"), "3.1 Disks");
        assert_eq!(clean("2 . Disks", "en"), "2. Disks", "the number is looked for before punctuation is tightened");
    }

    #[test]
    fn spaces_around_ideographs_and_punctuation() {
        assert_eq!(clean("保存 する GNOME を", "ja"), "保存する GNOME を");
        assert_eq!(clean("The file , the end .", "en"), "The file, the end.");
        assert_eq!(clean("Type .bashrc or ) .", "en"), "Type .bashrc or ) .");
    }

    #[test]
    fn keys_ignore_case_digits_and_punctuation() {
        assert_eq!(sentence_key("Press F10, then \"Stop\"."), "press f0 then stop");
        assert_eq!(sentence_key("press F2 then STOP"), "press f0 then stop");
        assert_eq!(sentence_key("Straße ﬁ snake_case ٣٤"), "strasse fi snake case 0");
        assert_eq!(sentence_key("… !"), "");
    }
}
