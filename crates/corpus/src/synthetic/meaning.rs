//! What a sentence says, in no language: drawn at random, from the counts of words alone.

use crate::sampling::hash;

/// Words of each kind that the languages have.
pub const NOUNS: usize = 36;
pub const ADJECTIVES: usize = 18;
pub const VERBS: usize = 22;
pub const DETERMINERS: usize = 4;
pub const NUMERALS: usize = 5;
pub const PREPOSITIONS: usize = 5;
pub const ADVERBS: usize = 5;

/// A noun phrase; numbers are indices into the lists of words.
#[derive(Clone, Copy)]
pub struct Phrase {
    pub determiner: usize,
    pub numeral: Option<usize>,
    pub adjective: Option<usize>,
    pub noun: usize,
    pub plural: bool,
}

/// What a sentence says.
#[derive(Clone, Copy)]
pub struct Meaning {
    pub subject: Phrase,
    pub verb: usize,
    pub past: bool,
    pub negated: bool,
    pub object: Phrase,
    pub place: Option<(usize, Phrase)>,
    pub adverb: Option<usize>,
}

impl Meaning {
    /// The meaning of the sentence `number`.
    pub fn draw(seed: u64, number: u64) -> Self {
        let mut draws = Draws::new([seed, number, 0]);
        Meaning {
            subject: draws.phrase(false),
            verb: draws.below(VERBS),
            past: draws.chance(40),
            negated: draws.chance(20),
            object: draws.phrase(false),
            place: draws.chance(40).then(|| (draws.below(PREPOSITIONS), draws.phrase(true))),
            adverb: draws.chance(30).then(|| draws.below(ADVERBS)),
        }
    }
}

/// Draws small numbers, each from a seed, a number and a count.
pub struct Draws([u64; 3]);

impl Draws {
    /// Starts at a seed, a number and a count.
    pub fn new(start: [u64; 3]) -> Self {
        Draws(start)
    }

    /// A number below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        self.0[2] += 1;
        (hash(&self.0) % count as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn phrase(&mut self, plain: bool) -> Phrase {
        let plural = self.chance(35);
        Phrase {
            determiner: self.below(DETERMINERS),
            numeral: (plural && self.chance(40)).then(|| self.below(NUMERALS)),
            adjective: self.chance(if plain { 20 } else { 45 }).then(|| self.below(ADJECTIVES)),
            noun: self.below(NOUNS),
            plural,
        }
    }
}

/// A sentence of words: a capital at the start, a full stop at the end.
pub fn sentence(words: &[String]) -> String {
    let text = words.join(" ");
    let mut letters = text.chars();
    let first: String = letters.next().map_or(String::new(), |c| c.to_uppercase().collect());
    first + letters.as_str() + "."
}
