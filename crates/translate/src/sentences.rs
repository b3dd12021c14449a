//! Where sentences end: Unicode's sentence boundaries (UAX #29), less those that are none in running text.
//!
//! UAX #29 knows no abbreviations and ends a sentence at every `?` and `!`, also inside of `a?b=c` and in front of a
//! word that goes on in lower case. Of its boundaries these rules drop the wrong ones; they add none but the tab, which
//! separates columns.

use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

use crate::invisible::is_outside;

/// Words, in lower case, whose full stop ends no sentence.
#[rustfmt::skip]
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "mx", "dr", "prof", "st", "sr", "jr", "rev", "hon", "gen", "col", "capt", "lt", "sgt", "maj",
    "gov", "sen", "rep", "vs", "cf", "approx", "resp", "incl", "esp", "viz", "ca", "eg", "ie",
    "bzw", "vgl", "ggf", "inkl", "evtl", "bspw", "sog", "geb", "ca", "zzgl", "exkl", "hr", "fr", "str", "dipl", "ing",
    "mme", "mlle", "mgr", "me", "env", "av", "sra", "srta", "dña", "ud", "uds", "sig", "dott", "ecc", "avv", "sigg",
    "dhr", "mevr", "mej", "ing", "drs", "mgr", "np", "tzw", "tj", "np", "гг", "им", "проф", "акад", "тыс", "млн",
];

/// Words whose full stop ends no sentence in front of a number: `No. 5`, `Fig. 2`.
#[rustfmt::skip]
const BEFORE_NUMBERS: &[&str] = &[
    "no", "nos", "nr", "num", "fig", "figs", "abb", "tab", "vol", "p", "pp", "art", "sec", "ch", "chap", "kap", "pos",
    "tel", "par", "eq", "ed", "bd", "jg", "op", "núm", "pág", "стр", "рис", "№", "ст", "л", "n",
];

/// The sentences of a line, as ranges of its bytes, in order. White space around sentences, and what is invisible
/// there, belongs to none. Columns, which tabs separate, are sentences of their own.
pub fn sentences(line: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    for column in line.split_inclusive(separates) {
        in_column(column, at, &mut found);
        at += column.len();
    }
    found
}

/// White space that no sentence goes across: tabs and the ends of lines and paragraphs.
pub(crate) fn separates(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Adds the sentences of a column, which begins at `offset` of the line.
fn in_column(column: &str, offset: usize, found: &mut Vec<Range<usize>>) {
    let (mut start, mut end) = (0, 0);
    let mut push = |start: usize, end: usize| {
        let text = &column[start..end];
        let (from, to) =
            (end - text.trim_start_matches(is_outside).len(), start + text.trim_end_matches(is_outside).len());
        if from < to {
            found.push(offset + from..offset + to);
        }
    };
    for unit in column.split_sentence_bounds() {
        end += unit.len();
        if ends(&column[start..end], &column[end..]) {
            push(start, end);
            start = end;
        }
    }
    push(start, column.len());
}

/// Whether a sentence ends between `before`, which begins where the last one ended, and `after`.
fn ends(before: &str, after: &str) -> bool {
    let text = before.trim_end();
    let spaced = text.len() < before.len();
    let closed = text.trim_end_matches(is_closing);
    let Some(mark) = closed.chars().next_back() else { return spaced };
    let next = after.chars().take(64).find(|c| c.is_alphanumeric());
    match mark {
        '.' | '?' | '!' | '…' | '‽' if !spaced => {
            // `?` in an address ends nothing; scripts without spaces put none behind it.
            let inside = closed.trim_end_matches(['.', '?', '!', '…']).chars().next_back();
            inside.is_some_and(is_unspaced) && after.chars().next().is_some_and(is_unspaced)
        }
        '?' | '!' | '…' | '‽' => !next.is_some_and(char::is_lowercase),
        '.' => !next.is_some_and(char::is_lowercase) && !is_abbreviation(closed, next),
        _ => true,
    }
}

/// Quotes and brackets that close behind a full stop.
pub(crate) fn is_closing(c: char) -> bool {
    matches!(
        c,
        ')' | ']' | '}' | '"' | '\'' | '»' | '›' | '”' | '’' | '“' | '‘' | '」' | '』' | '）' | '】' | '*' | '_'
    )
}

/// Letters of scripts that write no space between sentences.
pub(crate) fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' | '\u{20000}'..='\u{3ffff}')
}

/// Whether the full stop at the end of a text belongs to an abbreviation, an initial or an ordinal (`3. Oktober`).
fn is_abbreviation(text: &str, next: Option<char>) -> bool {
    let Some(text) = text.strip_suffix('.') else { return false };
    let open = |c: char| c.is_whitespace() || "([{\"'„“«‚‘/".contains(c);
    let word = text.rsplit(open).next().unwrap_or("");
    let first_of_text = word.len() == text.trim_start_matches(open).len();
    let letters = word.chars().count();
    if word.is_empty() {
        return false;
    }
    if word.chars().all(|c| c.is_ascii_digit()) {
        // `1.` in front of a text is its number.
        return letters <= 2 && !first_of_text && next.is_some_and(char::is_alphabetic);
    }
    if word.split('.').all(|part| part.chars().count() == 1 && part.chars().all(char::is_alphabetic)) {
        // `J. Smith`, `e.g. Bach`, `z.B. Bach`, `the U.S. Army`; Han characters are words.
        return !word.chars().any(is_unspaced);
    }
    let word = word.to_lowercase();
    ABBREVIATIONS.contains(&word.as_str())
        || (next.is_some_and(char::is_numeric) && BEFORE_NUMBERS.contains(&word.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> Vec<&str> {
        sentences(line).into_iter().map(|range| &line[range]).collect()
    }

    #[test]
    fn sentences_end_at_full_stops_but_not_behind_abbreviations_and_initials() {
        assert_eq!(cut(" One. Two?  Three! "), ["One.", "Two?", "Three!"]);
        assert_eq!(cut("Ask Dr. Who about J. Smith. He knows."), ["Ask Dr. Who about J. Smith.", "He knows."]);
        assert_eq!(cut("彼は来た。彼女も来た！"), ["彼は来た。", "彼女も来た！"]);
        assert_eq!(cut("See e.g. Bach"), ["See e.g. Bach"]);
        assert_eq!(cut("Siehe z.B. Bach. Ende."), ["Siehe z.B. Bach.", "Ende."]);
        assert_eq!(
            cut("See No. 5 and Fig. 12a. I say no. Then go."),
            ["See No. 5 and Fig. 12a.", "I say no.", "Then go."]
        );
        assert_eq!(cut("Am 3. Oktober. Ende 1990. Dann."), ["Am 3. Oktober.", "Ende 1990.", "Dann."]);
        assert_eq!(cut("1. Open it. 2. Close it."), ["1.", "Open it.", "2.", "Close it."]);
        assert!(cut("  ").is_empty());
    }

    #[test]
    fn marks_without_space_behind_them_end_nothing_except_in_scripts_that_write_so() {
        for whole in [
            "See https://example.org/a?b=c now.",
            "x!=y",
            "{x!r}",
            "HEAD~1?x",
            "www.e.org/a?b=c",
            "a.B and C.d",
            "Use wp-login.php?action=x!now here.",
        ] {
            assert_eq!(cut(whole), [whole]);
        }
        assert_eq!(cut("你好!我们走吧?好。"), ["你好!", "我们走吧?", "好。"]);
        assert_eq!(cut("これはペンです.次の文。"), ["これはペンです.", "次の文。"]);
        assert_eq!(cut("你好。See a?b=c。"), ["你好。", "See a?b=c。"]);
    }

    #[test]
    fn a_sentence_goes_on_in_lower_case_and_ends_behind_closing_quotes() {
        assert_eq!(cut("“Stop!” he said. “Why?” “No.”"), ["“Stop!” he said.", "“Why?”", "“No.”"]);
        assert_eq!(cut("Yahoo! is here. (It was. There.) Now."), ["Yahoo! is here.", "(It was.", "There.)", "Now."]);
    }

    #[test]
    fn columns_are_sentences_of_their_own() {
        assert_eq!(cut("Name:\tOpen the file.\t\tYes"), ["Name:", "Open the file.", "Yes"]);
        assert_eq!(cut("ab\u{a0}c d\re"), ["ab\u{a0}c d", "e"]);
    }
}
