//! Text cut into sentences, and text too long for the model cut where it hurts least: at sentence ends, else at clause
//! marks, else between words.

use unicode_segmentation::UnicodeSegmentation;

/// Where text may be cut, best first.
#[derive(Clone, Copy)]
enum Cut {
    /// Unicode's sentence boundaries (UAX #29).
    Sentences,
    /// After a comma, semicolon or colon of any script.
    Clauses,
    /// Unicode's word boundaries.
    Words,
    Characters,
}

impl Cut {
    fn units(self, text: &str) -> Vec<&str> {
        match self {
            Cut::Sentences => text.split_sentence_bounds().collect(),
            Cut::Clauses => text.split_inclusive([',', ';', ':', '、', '，', '；', '：', '،', '؛']).collect(),
            Cut::Words => text.split_word_bounds().collect(),
            Cut::Characters => text.split_inclusive(|_: char| true).collect(),
        }
    }

    fn finer(self) -> Option<Cut> {
        match self {
            Cut::Sentences => Some(Cut::Clauses),
            Cut::Clauses => Some(Cut::Words),
            Cut::Words => Some(Cut::Characters),
            Cut::Characters => None,
        }
    }
}

/// Words, in lower case, whose full stop ends no sentence.
const ABBREVIATIONS: [&str; 22] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "nr", "vs", "e.g", "i.e", "cf", "fig", "ca", "approx", "resp", "bzw", "z.b",
    "d.h", "vgl", "ggf", "inkl", "mme",
];

/// The sentences of a line by Unicode's boundaries (UAX #29). These know no abbreviations, so none is put after those
/// and after initials.
pub(crate) fn sentences(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let (mut start, mut end) = (0, 0);
    for unit in line.split_sentence_bounds() {
        end += unit.len();
        let so_far = line[start..end].trim();
        if !ends_in_abbreviation(so_far) {
            if !so_far.is_empty() {
                found.push(so_far);
            }
            start = end;
        }
    }
    let rest = line[start..].trim();
    if !rest.is_empty() {
        found.push(rest);
    }
    found
}

/// Whether a text ends in an abbreviation or an initial.
fn ends_in_abbreviation(text: &str) -> bool {
    let Some(text) = text.strip_suffix('.') else { return false };
    let last = text.rsplit(|c: char| c.is_whitespace() || "([{\"'„“«".contains(c)).next().unwrap_or("");
    let mut letters = last.chars();
    let initial = letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
    initial || ABBREVIATIONS.contains(&last.to_lowercase().as_str())
}

/// Cuts `text` into parts of at most `limit` subwords as `count` counts them, in order, nothing lost but the space
/// around cuts. A part is longer than `limit` only where a single character is.
pub(crate) fn split<'a>(text: &'a str, limit: usize, count: &dyn Fn(&str) -> usize) -> Vec<&'a str> {
    let mut parts = Vec::new();
    cut_at(Cut::Sentences, text, limit, count, &mut parts);
    parts
}

fn cut_at<'a>(cut: Cut, text: &'a str, limit: usize, count: &dyn Fn(&str) -> usize, parts: &mut Vec<&'a str>) {
    let text = text.trim();
    if text.is_empty() {
        return;
    }
    if count(text) <= limit {
        parts.push(text);
        return;
    }
    let (mut start, mut end) = (0, 0); // of the part under way
    for unit in cut.units(text) {
        let next = end + unit.len();
        if end > start && count(text[start..next].trim()) > limit {
            push(cut, &text[start..end], limit, count, parts);
            start = end;
        }
        end = next;
    }
    push(cut, &text[start..end], limit, count, parts);
}

/// A part that no cut of this kind makes short enough is cut more finely.
fn push<'a>(cut: Cut, part: &'a str, limit: usize, count: &dyn Fn(&str) -> usize, parts: &mut Vec<&'a str>) {
    match cut.finer() {
        Some(finer) if count(part.trim()) > limit => cut_at(finer, part, limit, count, parts),
        _ if part.trim().is_empty() => {}
        _ => parts.push(part.trim()),
    }
}

/// Puts the translations of parts together: with spaces, but none after the full stop of a script that has no spaces.
pub(crate) fn join<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.fold(String::new(), |mut text, part| {
        if !text.is_empty() && !part.is_empty() && !text.ends_with(['。', '！', '？', '、', '，', '；', '：']) {
            text.push(' ');
        }
        text + part
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> usize {
        text.split_whitespace().count()
    }

    #[test]
    fn short_text_is_left_alone_and_long_text_is_cut_at_sentence_ends() {
        assert_eq!(split(" One two. ", 3, &words), ["One two."]);
        let text = "One two three. Four five! Six seven eight nine?";
        assert_eq!(split(text, 5, &words), ["One two three. Four five!", "Six seven eight nine?"]);
    }

    #[test]
    fn long_sentences_are_cut_at_clauses_then_words_then_characters() {
        assert_eq!(split("one two, three four five, six", 3, &words), ["one two,", "three four five,", "six"]);
        assert_eq!(split("one two three four five", 2, &words), ["one two", "three four", "five"]);
        let characters = |text: &str| text.chars().count();
        assert_eq!(split("abcdefg", 3, &characters), ["abc", "def", "g"]);
    }

    #[test]
    fn sentences_end_at_full_stops_but_not_behind_abbreviations_and_initials() {
        assert_eq!(sentences(" One. Two?  Three! "), ["One.", "Two?", "Three!"]);
        assert_eq!(sentences("Ask Dr. Who about J. Smith. He knows."), ["Ask Dr. Who about J. Smith.", "He knows."]);
        assert_eq!(sentences("彼は来た。彼女も来た！"), ["彼は来た。", "彼女も来た！"]);
        assert_eq!(sentences("See e.g. Bach"), ["See e.g. Bach"]);
        assert!(sentences("  ").is_empty());
    }

    #[test]
    fn nothing_is_lost() {
        let text = "Über 3.5 Mio. Menschen, sagt er; und so weiter. 彼は来た。彼女も来た！ Fin";
        let characters = |text: &str| text.chars().count();
        let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        for limit in 1..40 {
            let parts = split(text, limit, &characters);
            assert_eq!(bare(&parts.concat()), bare(text), "limit {limit}");
            assert!(parts.iter().all(|part| characters(part) <= limit), "limit {limit}: {parts:?}");
        }
    }

    #[test]
    fn parts_are_joined_as_their_script_writes() {
        let joined = |parts: &[&str]| join(parts.iter().copied());
        assert_eq!(joined(&["Eins.", "Zwei."]), "Eins. Zwei.");
        assert_eq!(joined(&["一。", "二。"]), "一。二。");
        assert_eq!(joined(&["", "x", ""]), "x");
    }
}
