//! Text that is too long for the model, cut where it hurts least: at sentence ends, else at clause marks, else between
//! words.

use std::ops::Range;

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

/// Cuts `text` into parts of at most `limit` subwords as `count` counts them: their ranges in order, nothing left out
/// but the space around cuts. A part is longer than `limit` only where a single character is.
pub(crate) fn split(text: &str, limit: usize, count: &dyn Fn(&str) -> usize) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    cut_at(Cut::Sentences, text, limit, count, &mut parts);
    let start = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    parts.into_iter().map(|part| start(part)..start(part) + part.len()).collect()
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

#[cfg(test)]
mod tests {
    fn split<'a>(text: &'a str, limit: usize, count: &dyn Fn(&str) -> usize) -> Vec<&'a str> {
        super::split(text, limit, count).into_iter().map(|range| &text[range]).collect()
    }

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
}
