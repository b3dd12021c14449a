//! Sequences that must occur in a translation (lexically constrained decoding).
//!
//! Each constraint is an automaton (Knuth, Morris and Pratt, 1977) that tracks how much of it the hypothesis ends with,
//! until it is met once and for all. So the test for "all met" is exact, and constraints may overlap. The progress of a
//! hypothesis counts the tokens of the constraints that it has met, and of the one that it is furthest into. The beam
//! is shared among hypotheses of different progress as in Post and Vilar (2018), "dynamic beam allocation".

/// The constraints of a request.
pub(super) struct Constraints {
    phrases: Vec<Phrase>,
    /// Tokens of all constraints together.
    total: usize,
}

struct Phrase {
    ids: Vec<u32>,
    /// `[i]`: the longest proper prefix that `ids[..=i]` ends with.
    fallback: Vec<u16>,
}

impl Constraints {
    pub fn new(phrases: &[Vec<u32>]) -> Self {
        let phrases: Vec<Phrase> = phrases.iter().map(|ids| Phrase::new(ids)).collect();
        Self { total: phrases.iter().map(|p| p.ids.len()).sum(), phrases }
    }

    pub fn is_empty(&self) -> bool {
        self.phrases.is_empty()
    }

    /// The state of a hypothesis that has met nothing.
    pub fn none(&self) -> Vec<u16> {
        vec![0; self.phrases.len()]
    }

    /// The state after one more token.
    pub fn advance(&self, met: &mut [u16], id: u32) {
        for (phrase, met) in self.phrases.iter().zip(met) {
            if (*met as usize) < phrase.ids.len() {
                *met = phrase.next(*met, id);
            }
        }
    }

    pub fn all_met(&self, met: &[u16]) -> bool {
        self.phrases.iter().zip(met).all(|(phrase, met)| *met as usize == phrase.ids.len())
    }

    /// Tokens of constraints that a hypothesis has met: 0 to [`Constraints::stages`].
    pub fn progress(&self, met: &[u16]) -> usize {
        let (mut whole, mut part) = (0, 0);
        for (phrase, met) in self.phrases.iter().zip(met) {
            let met = *met as usize;
            if met == phrase.ids.len() {
                whole += met;
            } else {
                part = part.max(met);
            }
        }
        whole + part
    }

    /// The progress of a hypothesis that has met all constraints.
    pub fn stages(&self) -> usize {
        self.total
    }

    /// The next token of each constraint that is not met yet.
    pub fn continuations<'a>(&'a self, met: &'a [u16]) -> impl Iterator<Item = u32> + 'a {
        self.phrases.iter().zip(met).filter_map(|(phrase, met)| phrase.ids.get(*met as usize).copied())
    }
}

impl Phrase {
    fn new(ids: &[u32]) -> Self {
        let mut phrase = Self { ids: ids.to_vec(), fallback: vec![0] };
        for i in 1..ids.len() {
            let next = phrase.next(phrase.fallback[i - 1], ids[i]);
            phrase.fallback.push(next);
        }
        phrase
    }

    /// How much of the phrase a text ends with after `id`, if it ended with `met` tokens of it before.
    fn next(&self, mut met: u16, id: u32) -> u16 {
        loop {
            if self.ids[met as usize] == id {
                return met + 1;
            }
            if met == 0 {
                return 0;
            }
            met = self.fallback[met as usize - 1];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest prefix of `phrase` that `text` ends with, or all of it once it occurred.
    fn plainly(phrase: &[u32], text: &[u32]) -> usize {
        if text.windows(phrase.len()).any(|w| w == phrase) {
            return phrase.len();
        }
        (0..phrase.len()).rev().find(|n| text.ends_with(&phrase[..*n])).unwrap_or(0)
    }

    #[test]
    fn states_are_those_of_a_plain_search_for_every_short_text() {
        let phrases = [vec![1, 1, 2], vec![1, 2, 1, 2], vec![0], vec![2, 2]];
        let constraints = Constraints::new(&phrases);
        for code in 0..3u32.pow(8) {
            let text: Vec<u32> = (0..8).map(|i| code / 3u32.pow(i) % 3).collect();
            let mut met = constraints.none();
            for (i, id) in text.iter().enumerate() {
                constraints.advance(&mut met, *id);
                for (phrase, met) in phrases.iter().zip(&met) {
                    assert_eq!(*met as usize, plainly(phrase, &text[..=i]), "{phrase:?} in {:?}", &text[..=i]);
                }
            }
        }
    }
}
