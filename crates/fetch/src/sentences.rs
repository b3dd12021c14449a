//! Cutting a paragraph into sentences, by the punctuation of its language.

use crate::chars::{is_decimal, is_space, is_word};
use crate::clean::is_unspaced;

/// Abbreviations (without their full stop) that do not end a sentence, in several of the languages; lower case.
const ABBREVIATIONS: &str = "e.g i.e etc vs cf resp no fig dr mr st ca approx z.b d.h bzw usw bv t.ex np tzn itp itd napr \
     např tj atd pl stb ill bijv evtl ggf inkl vgl т.е т.д т.п напр см др ej ex pág núm esim ym mm π.χ κ.λπ";
/// The same, with a space inside.
const SPACED_ABBREVIATIONS: [&str; 3] = ["p. ex", "p.ex", "par ex"];
/// How much of the text before a cut is looked at for an abbreviation, in characters.
const ABBREVIATION_REACH: usize = 14;

/// Which punctuation ends sentences.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// `. ! ? …`, then a space, then an upper-case letter perhaps behind opening quotes.
    Cased,
    /// The same and the Arabic question mark, then a space, whatever follows: for scripts without case.
    Uncased,
    /// `。！？`, with no space needed.
    Wide,
    /// The danda of the Indic scripts and its Tibetan and Khmer counterparts, then a space.
    Danda,
}

impl Rule {
    fn of(language: &str) -> Rule {
        match language {
            _ if is_unspaced(language) => Rule::Wide,
            "hi" | "mr" | "pa" | "dz" | "km" => Rule::Danda,
            "ko" | "ar" | "fa" | "he" | "gu" | "ta" | "te" | "kn" => Rule::Uncased,
            _ => Rule::Cased,
        }
    }

    fn ends_sentence(self, c: char) -> bool {
        match self {
            Rule::Cased => matches!(c, '.' | '!' | '?' | '…'),
            Rule::Uncased => matches!(c, '.' | '!' | '?' | '؟' | '…'),
            Rule::Wide => matches!(c, '。' | '！' | '？'),
            Rule::Danda => matches!(c, '।' | '።' | '?' | '!' | '.'),
        }
    }

    fn closes(self, c: char) -> bool {
        match self {
            Rule::Cased | Rule::Uncased => is_closing(c),
            Rule::Wide => matches!(c, '」' | '』' | '”' | '）'),
            Rule::Danda => false,
        }
    }

    /// The gap between two sentences that a sentence end before byte `at` opens, as bytes `(start, end)`.
    fn gap(self, text: &str, at: usize) -> Option<(usize, usize)> {
        let closed = skip(text, at, |c| self.closes(c));
        if self == Rule::Wide {
            let next = text[closed..].chars().next()?;
            return (!self.closes(next) && !self.ends_sentence(next)).then_some((closed, closed));
        }
        let end = skip(text, closed, is_space);
        if end == closed {
            return None;
        }
        let first = match self {
            Rule::Cased => text[skip(text, end, is_opening)..].chars().next()?,
            _ => return text[end..].chars().next().map(|_| (closed, end)),
        };
        (is_word(first) && first != '_' && !is_decimal(first) && !first.is_ascii_lowercase()).then_some((closed, end))
    }
}

/// The byte behind the characters from `at` on that fit.
fn skip(text: &str, at: usize, fits: impl Fn(char) -> bool) -> usize {
    at + text[at..].find(|c| !fits(c)).unwrap_or(text.len() - at)
}

fn is_closing(c: char) -> bool {
    matches!(c, '"' | '”' | '»' | '’' | '\'' | ')' | ']')
}

fn is_opening(c: char) -> bool {
    matches!(c, '"' | '“' | '«' | '„' | '‘' | '(' | '[' | '¿' | '¡')
}

/// The sentences of a cleaned paragraph; a paragraph that cannot be cut is one sentence, an empty one none.
pub(crate) fn cut<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let rule = Rule::of(language);
    let mut sentences = Vec::new();
    let mut start = 0;
    let mut done = 0; // a gap that was looked at is not looked at again
    for (i, c) in text.char_indices() {
        let at = i + c.len_utf8();
        if at < done || !rule.ends_sentence(c) {
            continue;
        }
        let Some((gap, end)) = rule.gap(text, at) else { continue };
        done = end;
        if ends_in_abbreviation(&text[start..gap]) {
            continue;
        }
        let next = text[end..].trim_start_matches(is_opening).chars().next();
        if rule == Rule::Cased && next.is_some_and(char::is_lowercase) {
            continue;
        }
        sentences.push(text[start..gap].trim_matches(is_space));
        start = end;
    }
    sentences.push(text[start..].trim_matches(is_space));
    sentences.retain(|s| !s.is_empty());
    sentences
}

/// Whether a text ends in an abbreviation or an initial, perhaps behind closing quotes.
fn ends_in_abbreviation(text: &str) -> bool {
    let tail_at = text.char_indices().rev().nth(ABBREVIATION_REACH - 1).map_or(0, |(i, _)| i);
    let Some(tail) = text[tail_at..].trim_end_matches(is_closing).strip_suffix('.') else { return false };
    let tail: Vec<char> = tail.chars().map(fold).collect();
    let begins_word = |length: usize| {
        tail.len() >= length && !tail.get(tail.len().wrapping_sub(length + 1)).copied().is_some_and(is_word)
    };
    if tail.last().is_some_and(char::is_ascii_lowercase) && begins_word(1) {
        return true; // an initial
    }
    ABBREVIATIONS.split(' ').filter(|a| !a.is_empty()).chain(SPACED_ABBREVIATIONS).any(|abbreviation| {
        let length = abbreviation.chars().count();
        begins_word(length) && tail[tail.len() - length..].iter().copied().eq(abbreviation.chars())
    })
}

/// Case-blind form of one character; the dotless and dotted i of Turkish, the long s and the Kelvin sign count as
/// Latin.
fn fold(c: char) -> char {
    match c {
        'ı' | 'İ' => 'i',
        'ſ' => 's',
        '\u{212a}' => 'k',
        _ => {
            let mut lower = c.to_lowercase();
            match (lower.next(), lower.next()) {
                (Some(l), None) => l,
                _ => c,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_before_a_capital() {
        assert_eq!(cut("Open it. Save it! Done? Yes", "en"), ["Open it.", "Save it!", "Done?", "Yes"]);
        assert_eq!(cut("Open file.txt now. then wait. 3 times", "en"), ["Open file.txt now. then wait. 3 times"]);
        assert_eq!(
            cut("He said \"Stop.\" “Why?” (Because.) End", "en"),
            ["He said \"Stop.\"", "“Why?”", "(Because.)", "End"]
        );
        assert_eq!(cut("Ende. ändern. Über", "de"), ["Ende. ändern.", "Über"]);
        assert_eq!(cut("", "en"), Vec::<&str>::new());
        assert_eq!(cut("...  Wait", "en"), ["...", "Wait"]);
    }

    #[test]
    fn abbreviations_and_initials_do_not_end_them() {
        assert_eq!(cut("Use e.g. Firefox. Or E. Coli etc. Now", "en"), ["Use e.g. Firefox.", "Or E. Coli etc. Now"]);
        assert_eq!(
            cut("Siehe z.B. Abschnitt, bzw. Kapitel. Ende", "de"),
            ["Siehe z.B. Abschnitt, bzw. Kapitel.", "Ende"]
        );
        assert_eq!(cut("par ex. Debian, p. ex. Debian. Fin", "fr"), ["par ex. Debian, p. ex. Debian.", "Fin"]);
        assert_eq!(cut("Это т.е. Файл. Да", "ru"), ["Это т.е. Файл.", "Да"]);
        assert_eq!(cut("See the photo. Then", "en"), ["See the photo.", "Then"], "`no` and `o` only as whole words");
        assert_eq!(cut("(no.) Then", "en"), ["(no.) Then"]);
    }

    #[test]
    fn other_scripts_have_other_ends() {
        assert_eq!(cut("開く。「はい。」保存！？終", "ja"), ["開く。", "「はい。」", "保存！？", "終"]);
        assert_eq!(cut("खोलें। सहेजें। अंत", "hi"), ["खोलें।", "सहेजें।", "अंत"]);
        assert_eq!(cut("باز کنید. ذخیره؟ پایان", "fa"), ["باز کنید.", "ذخیره؟", "پایان"]);
        assert_eq!(cut("Abc. abc", "ko"), ["Abc.", "abc"]);
    }
}
