//! Stand-ins: words that the model knows, which pass through it in place of text that it does not.
//!
//! A model of ordinary text copies a known abbreviation much more surely than `%s` or a web address: of 33 sentences
//! with one or two of them a small model kept 26 with `XML`, 16 with `X1`, 1 with `%s` (docs/measurements/text.md).
//! What comes back is checked, so nothing is lost where a stand-in is.

use std::ops::Range;

use strata_corpus::Subwords;

/// Words that stand the same in every language, the surest first.
const WORDS: [&str; 16] =
    ["XML", "HTML", "USB", "DVD", "PDF", "SQL", "Linux", "GNU", "IBM", "CNN", "BBC", "NATO", "X1", "X2", "X3", "X4"];

/// A sign of private use: neither letter nor space nor punctuation, so that nothing is cut because of it.
pub(crate) const MARK: &str = "\u{e000}";

/// The stand-ins of a subword model, the surest first: those that it has fewer pieces for.
pub(crate) fn stand_ins(subwords: &Subwords) -> Vec<&'static str> {
    let mut words: Vec<(usize, &str)> = WORDS.iter().map(|word| (subwords.encode(word).len(), *word)).collect();
    words.sort_by_key(|(pieces, _)| *pieces);
    words.into_iter().map(|(_, word)| word).collect()
}

/// A text with stand-ins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Substituted {
    /// What the model sees.
    pub text: String,
    /// Each stand-in: its place in `text`, what it stands for, and its place in the original text.
    swaps: Vec<Swap>,
}

#[derive(Clone, Debug, PartialEq)]
struct Swap {
    word: &'static str,
    range: Range<usize>,
    original: String,
    place: Range<usize>,
}

impl Substituted {
    /// `text` with a stand-in in place of each of `ranges`; none if there are more of them than stand-ins.
    pub fn new(text: &str, ranges: &[Range<usize>], words: &[&'static str]) -> Option<Self> {
        let mut free = words.iter().filter(|word| !text.contains(**word));
        let mut substituted = Self { text: String::with_capacity(text.len()), swaps: Vec::new() };
        let mut at = 0;
        for range in ranges {
            let word = free.next()?;
            substituted.text.push_str(&text[at..range.start]);
            // Inside of a word a stand-in would not be seen as one.
            let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            if touches(text[..range.start].chars().next_back()) || touches(text[range.end..].chars().next()) {
                return None;
            }
            let start = substituted.text.len();
            substituted.text.push_str(word);
            let range_of = start..substituted.text.len();
            let original = text[range.clone()].to_string();
            substituted.swaps.push(Swap { word, range: range_of, original, place: range.clone() });
            at = range.end;
        }
        substituted.text.push_str(&text[at..]);
        Some(substituted)
    }

    /// The same with other text for what `translated` has a translation of.
    pub fn standing_for(mut self, translated: impl Fn(&str) -> Option<String>) -> Self {
        for swap in &mut self.swaps {
            if let Some(translation) = translated(&swap.original) {
                swap.original = translation;
            }
        }
        self
    }

    /// `text` with one sign in place of each of `ranges`, to see where it can be cut.
    pub fn marked(text: &str, ranges: &[Range<usize>]) -> Self {
        let mut marked = Self { text: String::with_capacity(text.len()), swaps: Vec::new() };
        let mut at = 0;
        for place in ranges {
            marked.text.push_str(&text[at..place.start]);
            let start = marked.text.len();
            marked.text.push_str(MARK);
            let range = start..marked.text.len();
            marked.swaps.push(Swap { word: MARK, range, original: String::new(), place: place.clone() });
            at = place.end;
        }
        marked.text.push_str(&text[at..]);
        marked
    }

    /// The translation with what the stand-ins stand for; none unless each of them is there once.
    pub fn restored(&self, translation: &str) -> Option<Restored> {
        let mut found: Vec<(usize, &Swap)> = Vec::with_capacity(self.swaps.len());
        for swap in &self.swaps {
            let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            let mut places = translation.match_indices(swap.word);
            let (at, _) = places.next()?;
            let end = at + swap.word.len();
            if places.next().is_some()
                || touches(translation[..at].chars().next_back())
                || touches(translation[end..].chars().next())
            {
                return None;
            }
            found.push((at, swap));
        }
        found.sort_by_key(|(at, _)| *at);
        let mut restored = Restored { text: String::with_capacity(translation.len()), moves: Vec::new() };
        let mut read = 0;
        for (at, swap) in found {
            restored.text.push_str(&translation[read..at]);
            read = at + swap.word.len();
            let start = restored.text.len();
            restored.text.push_str(&swap.original);
            restored.moves.push((at..read, start..restored.text.len()));
        }
        restored.text.push_str(&translation[read..]);
        Some(restored)
    }

    /// Where a range of the text with stand-ins is in the original text.
    pub fn original(&self, range: Range<usize>) -> Range<usize> {
        moved(range, self.swaps.iter().map(|swap| (&swap.range, &swap.place)))
    }
}

/// A translation with what the stand-ins stood for.
pub(crate) struct Restored {
    pub text: String,
    /// Each stand-in's place in the translation, and in `text`.
    moves: Vec<(Range<usize>, Range<usize>)>,
}

impl Restored {
    /// Where a range of the translation is in `text`.
    pub fn moved(&self, range: Range<usize>) -> Range<usize> {
        moved(range, self.moves.iter().map(|(from, to)| (from, to)))
    }
}

/// A range after all swaps in front of it; one that touches what was swapped covers all of it.
fn moved<'a>(range: Range<usize>, swaps: impl Iterator<Item = (&'a Range<usize>, &'a Range<usize>)>) -> Range<usize> {
    let (mut start, mut end) = (range.start as isize, range.end as isize);
    let mut covered: Option<Range<usize>> = None;
    for (from, to) in swaps {
        let longer = to.end as isize - from.end as isize;
        if range.start >= from.end {
            start = range.start as isize + longer;
        }
        if range.end >= from.end {
            end = range.end as isize + longer;
        }
        if range.start < from.end && from.start < range.end {
            let covers = covered.get_or_insert_with(|| to.clone());
            covers.end = to.end;
        }
    }
    let (mut start, mut end) = (start.max(0) as usize, end.max(0) as usize);
    if let Some(covered) = covered {
        if start > covered.start || range.start == range.end {
            start = covered.start;
        }
        end = end.max(covered.end);
        start = start.min(covered.start);
    }
    start..end.max(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn substituted(text: &str, spans: &[&str]) -> Option<Substituted> {
        let mut at = 0;
        let find = |span: &&str| {
            let start = at + text[at..].find(span).unwrap();
            at = start + span.len();
            start..at
        };
        Substituted::new(text, &spans.iter().map(find).collect::<Vec<_>>(), &WORDS)
    }

    #[test]
    fn stand_ins_become_what_they_stand_for() {
        let given = substituted("Move %s to {x} with XML.", &["%s", "{x}"]).unwrap();
        assert_eq!(given.text, "Move HTML to USB with XML.");
        assert_eq!(given.restored("Mit XML nach USB (HTML).").unwrap().text, "Mit XML nach {x} (%s).");
        for lost in ["Mit XML nach USB.", "HTML HTML USB", "HTMLs und USB", ""] {
            assert!(given.restored(lost).is_none(), "{lost}");
        }
    }

    #[test]
    fn places_move_with_the_text() {
        let given = substituted("Move %s to {name}.", &["%s", "{name}"]).unwrap();
        assert_eq!(given.text, "Move XML to HTML.");
        let original = |range: Range<usize>| &"Move %s to {name}."[given.original(range)];
        assert_eq!((original(0..4), original(4..8), original(5..7)), ("Move", " %s", "%s"));
        assert_eq!(
            (original(8..11), original(11..16), original(16..17), original(17..17)),
            (" to", " {name}", ".", "")
        );
        let restored = given.restored("HTML bekommt XML.").unwrap();
        let text = |range: Range<usize>| &restored.text[restored.moved(range)];
        assert_eq!((text(0..4), text(4..12), text(12..16), text(16..17)), ("{name}", " bekommt", " %s", "."));
    }

    #[test]
    fn there_is_none_inside_of_a_word_and_where_there_are_not_enough() {
        assert!(substituted("a%sb", &["%s"]).is_none());
        assert!(substituted(&"%s ".repeat(30), &["%s"; 30]).is_none());
    }
}
