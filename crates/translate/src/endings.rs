//! Runs of marks at the end of a sentence: `?!`, `!!!`, `…?`. Models learn from text that has few of them, and often
//! write one mark where the source has two; the source's are put back.

use std::ops::Range;

use crate::sentences::is_closing;

/// A mark that ends a sentence, whatever its script, and how it is written. Several full stops are one mark.
type Mark<'a> = (char, &'a str);

/// What the translation's last marks have to be replaced by, and where they are: none unless the source ends in
/// several marks, of which the translation, which ends in at least one, lacks some.
pub(crate) fn restored(source: &str, translation: &str) -> Option<(Range<usize>, String)> {
    let wanted = marks(&source[ending(source)]);
    let range = ending(translation);
    let found = marks(&translation[range.clone()]);
    let count = |marks: &[Mark], kind: char| marks.iter().filter(|(other, _)| *other == kind).count();
    let lacks = wanted.iter().any(|(kind, _)| count(&wanted, *kind) > count(&found, *kind));
    if wanted.len() < 2 || found.is_empty() || !lacks {
        return None;
    }
    Some((range, wanted.into_iter().map(|mark| written(mark, &found)).collect()))
}

/// The marks at the end of a text, in front of quotes and brackets that close behind them.
fn ending(text: &str) -> Range<usize> {
    let end = text.trim_end_matches(|c: char| c.is_whitespace() || is_closing(c)).len();
    let mut start = end;
    for (at, c) in text[..end].char_indices().rev() {
        // A Greek question mark is written as a semicolon, which elsewhere ends no sentence.
        let greek =
            c == ';' && text[..at].ends_with(|c: char| matches!(c, '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}'));
        if kind(c).is_none() || (c == ';' && !greek) {
            break;
        }
        start = at;
    }
    start..end
}

fn marks(run: &str) -> Vec<Mark<'_>> {
    let mut marks: Vec<Mark> = Vec::new();
    let mut rest = run;
    while let Some(kind) = rest.chars().next().and_then(kind) {
        let dots = rest.len() - rest.trim_start_matches('.').len();
        let length = if dots > 1 { dots } else { rest.chars().next().map_or(0, char::len_utf8) };
        marks.push((if dots > 1 { '…' } else { kind }, &rest[..length]));
        rest = &rest[length..];
    }
    marks
}

/// The mark that a character is, in whatever script.
fn kind(c: char) -> Option<char> {
    match c {
        '.' | '。' | '｡' | '．' => Some('.'),
        '?' | '？' | '؟' | ';' | '\u{37e}' => Some('?'),
        '!' | '！' => Some('!'),
        '…' => Some('…'),
        _ => None,
    }
}

/// A mark as the translation writes it, by the marks that it has.
fn written<'a>((kind, source): Mark<'a>, found: &[Mark<'a>]) -> &'a str {
    if let Some((_, own)) = found.iter().find(|(other, _)| *other == kind) {
        return own;
    }
    let wide = found.iter().any(|(_, own)| own.contains(['。', '｡', '．', '？', '！']));
    match (kind, wide) {
        ('.', false) => ".",
        ('?', false) => "?",
        ('!', false) => "!",
        ('.', true) => "。",
        ('?', true) => "？",
        ('!', true) => "！",
        _ => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(source: &str, translation: &str) -> Option<String> {
        let (range, marks) = restored(source, translation)?;
        let mut text = translation.to_string();
        text.replace_range(range, &marks);
        Some(text)
    }

    #[test]
    fn marks_that_a_translation_lacks_come_back() {
        for (source, translation, expected) in [
            ("What now?!", "Was nun?", "Was nun?!"),
            ("What now?!", "Was nun!", "Was nun?!"),
            ("What now?!", "Was nun.", "Was nun?!"),
            ("Stop!!!", "Halt!", "Halt!!!"),
            ("Really…?", "Wirklich?", "Wirklich…?"),
            ("Really...?", "Wirklich…", "Wirklich…?"),
            ("Really?..", "Wirklich?", "Wirklich?.."),
            ("“What now?!”", "„Was nun?“", "„Was nun?!“"),
            ("(Now?!)", "(Maintenant ?)", "(Maintenant ?!)"),
            ("What now?!", "现在呢？", "现在呢？！"),
            ("What now?!", "现在呢。", "现在呢？！"),
            ("好。！", "Good.", "Good.!"),
            ("什么？！", "What?", "What?!"),
            ("What now?!", "ماذا الآن؟", "ماذا الآن؟!"),
            ("What now?!", "Και τώρα;", "Και τώρα;!"),
        ] {
            assert_eq!(put(source, translation).as_deref(), Some(expected), "{source} {translation}");
        }
    }

    #[test]
    fn what_is_there_stays() {
        for (source, translation) in [
            ("What now?!", "Was nun?!"),
            ("What now?!", "Was nun!?"),
            ("Really...?", "Wirklich…?"),
            ("What now?", "Was nun."),
            ("Wait...", "Warte."),
            ("What now?!", "Was nun"),
            ("What now?!", "Was nun;"),
            ("?!", ""),
        ] {
            assert_eq!(put(source, translation), None, "{source} {translation}");
        }
    }
}
