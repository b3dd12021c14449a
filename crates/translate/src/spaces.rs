//! What a model neither sees nor writes: white space that is not a plain space, invisible characters, letters that are
//! not composed. All are put back where the words beside them, or with them, are the same in the translation.

use std::ops::Range;

use crate::invisible::{is_blank, plain};

/// The translation with the source's unusual spaces (no-break, narrow, several) between the words that had them, and
/// with the source's way to write a word (soft hyphens, marks of direction, letters and accents apart).
pub(crate) fn restored(source: &str, translation: &str) -> Option<String> {
    let words = words(source);
    let gaps = words.windows(2).map(|pair| pair[0].end..pair[1].start).filter(|gap| &source[gap.clone()] != " ");
    let odd = words.iter().map(|word| &source[word.clone()]).filter(|word| plain(word) != **word);
    let mut text = translation.to_string();
    respace(&mut text, source, &words, gaps);
    respell(&mut text, odd);
    (text != translation).then_some(text)
}

/// The words of a text: what stands between white space and the invisible characters beside it. Invisible characters
/// elsewhere belong to a word.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut at = 0;
    // Each run has what is blank, and one character behind it but at the end of the text.
    for run in text.split_inclusive(|c: char| !is_blank(c)) {
        let visible = run.trim_start_matches(is_blank).len();
        let inside = !run.contains(char::is_whitespace);
        let start = if inside { at } else { at + run.len() - visible };
        at += run.len();
        match words.last_mut() {
            Some(last) if inside => last.end = at,
            _ if visible == 0 => {}
            _ => words.push(start..at),
        }
    }
    words
}

/// Puts unusual spaces, at `gaps` between `words` of the source, into the text.
fn respace(text: &mut String, source: &str, words: &[Range<usize>], gaps: impl Iterator<Item = Range<usize>>) {
    let mut from = 0;
    for gap in gaps {
        let behind = words.partition_point(|word| word.start < gap.end);
        let (before, after) = (plain(&source[words[behind - 1].clone()]), plain(&source[words[behind].clone()]));
        let at = find(text, from, &before, &after).or_else(|| find(text, 0, &before, &after));
        let Some(at) = at else { continue };
        text.replace_range(at..at + 1, &source[gap.clone()]);
        from = at + gap.len();
    }
}

/// Writes the words of the text as the source's `odd` ones with the same letters are written.
fn respell<'a>(text: &mut String, odd: impl Iterator<Item = &'a str>) {
    let mut from = 0;
    for word in odd {
        let seen = plain(word);
        let alone = |at: usize| {
            let ends = |c: Option<char>| c.is_none_or(is_blank);
            ends(text[..at].chars().next_back()) && ends(text[at + seen.len()..].chars().next())
        };
        let first = |from: usize| text[from..].match_indices(&*seen).map(|(i, _)| from + i).find(|at| alone(*at));
        let Some(at) = first(from).or_else(|| first(0)).filter(|_| !seen.is_empty()) else { continue };
        text.replace_range(at..at + seen.len(), word);
        from = at + word.len();
    }
}

/// The plain space of `text` behind `from` with both words beside it; else the one with a number, name or mark beside
/// it that stands the same in the translation.
fn find(text: &str, from: usize, before: &str, after: &str) -> Option<usize> {
    // One of several spaces is none that has to be put right.
    let alone = |at: &usize| !text[..*at].ends_with(is_blank) && !text[at + 1..].starts_with(is_blank);
    let spaces = || text[from..].match_indices(' ').map(|(i, _)| from + i).filter(alone);
    let left = |at: &usize| {
        let head = &text[..*at];
        head.strip_suffix(before).is_some_and(|head| head.is_empty() || head.ends_with(char::is_whitespace))
    };
    let right = |at: &usize| {
        let tail = &text[at + 1..];
        tail.strip_prefix(after).is_some_and(|tail| tail.is_empty() || tail.starts_with(char::is_whitespace))
    };
    let fixed = |word: &str| !word.chars().all(char::is_lowercase);
    spaces()
        .find(|at| left(at) && right(at))
        .or_else(|| spaces().find(|at| fixed(before) && left(at)))
        .or_else(|| spaces().find(|at| fixed(after) && right(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_come_back_between_the_words_that_had_them() {
        for (source, translation, expected) in [
            ("It is 5\u{a0}km long.", "Es ist 5 km lang.", "Es ist 5\u{a0}km lang."),
            ("5\u{a0}pages or 5\u{a0}lines", "5 Seiten oder 5 Zeilen", "5\u{a0}Seiten oder 5\u{a0}Zeilen"),
            ("Open  the file", "Open the file", "Open  the file"),
            ("See page\u{202f}7.", "Siehe Seite 7.", "Siehe Seite\u{202f}7."),
        ] {
            assert_eq!(restored(source, translation).as_deref(), Some(expected), "{source}");
        }
        for (source, translation, expected) in [
            ("Open the dia\u{ad}logue.", "Open the dialogue.", "Open the dia\u{ad}logue."),
            ("Open\u{200b}the x\u{200b} file", "Openthe x file", "Open\u{200b}the x\u{200b} file"),
            ("Cafe\u{301} at e\u{301}", "at Caf\u{e9}", "at Cafe\u{301}"),
            ("שלום\u{200f} עולם", "שלום עולם", "שלום\u{200f} עולם"),
            ("Open \u{0} file", "Open file", "Open \u{0} file"),
            ("\u{202b}Open\u{202c} the", "Open the", "\u{202b}Open\u{202c} the"),
            ("so\u{ad}ft  so\u{ad}ft", "soft soft", "so\u{ad}ft  so\u{ad}ft"),
        ] {
            assert_eq!(restored(source, translation).as_deref(), Some(expected), "{source:?}");
        }
        assert_eq!(restored("dia\u{ad}logue", "Dialog"), None, "another word");
        assert_eq!(restored("a b", "a b"), None);
        assert_eq!(restored("{x}  // Open", "{x}  // Open"), None, "they came back already");
        assert_eq!(restored("the\u{a0}file", "die Datei"), None, "the words are other ones");
    }
}
