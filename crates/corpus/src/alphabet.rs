//! The characters and scripts that a subword model has pieces for.

use std::collections::{HashMap, HashSet};

use unicode_script::{Script, UnicodeScript};

/// A script belongs to a model if at least this share of its pieces is written in it: a few words of Greek are in every
/// corpus, and what was seen so rarely was not learned.
const LEAST_SHARE: f64 = 0.003;

/// Characters and scripts of a vocabulary.
#[derive(Debug, Default)]
pub(crate) struct Alphabet {
    characters: HashSet<char>,
    scripts: HashSet<Script>,
}

impl Alphabet {
    /// The characters of these pieces, and the scripts of enough of them.
    pub(crate) fn new<'a>(pieces: impl Iterator<Item = &'a str>) -> Self {
        let mut characters = HashSet::new();
        let mut scripts: HashMap<Script, usize> = HashMap::new();
        let mut count = 0;
        for piece in pieces {
            count += 1;
            characters.extend(piece.chars());
            let letter = piece.chars().find(|c| c.is_alphabetic());
            *scripts.entry(letter.map_or(Script::Common, |c| c.script())).or_default() += 1;
        }
        let least = (count as f64 * LEAST_SHARE).max(8.0);
        let scripts = scripts.into_iter().filter(|(_, pieces)| *pieces as f64 >= least).map(|(script, _)| script);
        Self { characters, scripts: scripts.collect() }
    }

    /// Whether there is a piece with this character.
    pub(crate) fn has(&self, c: char) -> bool {
        self.characters.contains(&c)
    }

    /// Whether the letter's script is one of the model's; characters of no script are of all.
    pub(crate) fn has_script(&self, c: char) -> bool {
        let script = c.script();
        !c.is_alphabetic() || matches!(script, Script::Common | Script::Inherited) || self.scripts.contains(&script)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_pieces_make_no_script() {
        let latin = (0..3000).map(|i| format!("w{}", char::from(b'a' + (i % 26) as u8)));
        let pieces: Vec<String> = latin.chain(["α", "β", "при"].map(String::from)).collect();
        let alphabet = Alphabet::new(pieces.iter().map(String::as_str));
        assert!(alphabet.has('α') && alphabet.has('и') && !alphabet.has('ж'));
        assert!(
            alphabet.has_script('x')
                && alphabet.has_script('5')
                && !alphabet.has_script('α')
                && !alphabet.has_script('и')
        );
    }
}
