//! The characters and scripts that a subword model has pieces for, and those among them that it has hardly seen.

use std::collections::{HashMap, HashSet};

use unicode_script::{Script, UnicodeScript};

use crate::normalize::SPACE_MARK;

/// A script belongs to a model if at least this share of its pieces is written in it: a few words of Greek are in every
/// corpus, and what was seen so rarely was not learned.
const LEAST_SHARE: f64 = 0.003;

/// Characters and scripts of a vocabulary.
#[derive(Debug, Default)]
pub(crate) struct Alphabet {
    characters: HashSet<char>,
    scripts: HashSet<Script>,
    /// Characters that are pieces together with the space in front of them.
    spaced: HashSet<char>,
    /// Pieces of one character that are rarer than pieces of several.
    rare: HashSet<String>,
}

impl Alphabet {
    /// The characters of these pieces, the scripts of enough of them, and none that is rare.
    pub(crate) fn new<'a>(pieces: impl Iterator<Item = &'a str>) -> Self {
        let mut characters = HashSet::new();
        let mut scripts: HashMap<Script, usize> = HashMap::new();
        let (mut count, mut spaced) = (0, HashSet::new());
        for piece in pieces {
            count += 1;
            let mut rest = piece.chars().skip_while(|c| *c == SPACE_MARK);
            if let (true, Some(c), None) = (piece.starts_with(SPACE_MARK), rest.next(), rest.next()) {
                spaced.insert(c);
            }
            characters.extend(piece.chars());
            let letter = piece.chars().find(|c| c.is_alphabetic());
            *scripts.entry(letter.map_or(Script::Common, |c| c.script())).or_default() += 1;
        }
        let least = (count as f64 * LEAST_SHARE).max(8.0);
        let scripts = scripts.into_iter().filter(|(_, pieces)| *pieces as f64 >= least).map(|(script, _)| script);
        Self { characters, scripts: scripts.collect(), spaced, rare: HashSet::new() }
    }

    /// The same for pieces with their log probabilities. Those who make a vocabulary keep each character, however rare;
    /// pieces of several have to earn their place. What is rarer than all but the last thousandth of these was not
    /// learned.
    pub(crate) fn weighted(pieces: &[(String, f64)]) -> Self {
        let length = |piece: &str| piece.chars().filter(|c| *c != SPACE_MARK).count();
        let mut several: Vec<f64> =
            pieces.iter().filter(|(piece, _)| length(piece) > 1).map(|(_, weight)| *weight).collect();
        several.sort_by(f64::total_cmp);
        let least = several.get(several.len() / 1000).copied().unwrap_or(f64::NEG_INFINITY);
        let rare = pieces.iter().filter(|(piece, weight)| length(piece) == 1 && *weight < least);
        let rare = rare.map(|(piece, _)| piece.clone()).collect();
        Self { rare, ..Self::new(pieces.iter().map(|(piece, _)| piece.as_str())) }
    }

    /// Whether a character, behind a space or not, is a piece that was hardly ever seen.
    pub(crate) fn is_rare(&self, c: char, behind_space: bool) -> bool {
        let spaced = [SPACE_MARK, c].iter().collect::<String>();
        // A space that has a piece of its own leaves the character by itself.
        if behind_space && self.spaced.contains(&c) {
            self.rare.contains(&spaced)
        } else {
            self.rare.contains(&spaced[SPACE_MARK.len_utf8()..])
        }
    }

    /// Whether a piece is one character that was hardly ever seen.
    pub(crate) fn is_rare_piece(&self, piece: &str) -> bool {
        self.rare.contains(piece)
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

    #[test]
    fn signs_that_are_rarer_than_words_were_hardly_seen() {
        let words = (0..3000).map(|i| (format!("word{i}"), -8.0 - f64::from(i) / 1000.0));
        let signs = [("—", -13.0), ("»", -12.0), ("▁»", -6.0), ("«", -9.0), ("▁‘", -14.0), ("…", -10.9)];
        let pieces: Vec<(String, f64)> = words.chain(signs.map(|(sign, weight)| (sign.to_string(), weight))).collect();
        let alphabet = Alphabet::weighted(&pieces);
        let rare = |c: char| (alphabet.is_rare(c, false), alphabet.is_rare(c, true));
        assert_eq!((rare('—'), rare('»'), rare('«')), ((true, true), (true, false), (false, false)));
        assert_eq!((rare('‘'), rare('…'), rare('x')), ((false, true), (false, false), (false, false)));
        assert!(!Alphabet::weighted(&[("—".to_string(), -13.0)]).is_rare('—', false), "nothing to compare with");
    }
}
