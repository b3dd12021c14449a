//! Characters that say nothing and that no model sees: controls, soft hyphens, marks of direction. Subword models drop
//! them, and write composed letters; text that comes back as it was has them again.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Whether a character says nothing, of those that are no white space: controls, soft hyphens, spaces without width,
/// marks of direction. Joiners are letters' own.
pub fn is_invisible(c: char) -> bool {
    let control = c.is_control() && !c.is_whitespace();
    control
        || is_embedding(c)
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2060}'..='\u{2064}'
            | '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fdd0}'..='\u{fdef}'
            | '\u{fffe}' | '\u{ffff}')
}

/// Marks of direction that stand in pairs.
fn is_embedding(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character at an end of a sentence may stand outside of it.
pub(crate) fn is_outside(c: char) -> bool {
    c.is_whitespace() || (is_invisible(c) && !is_embedding(c))
}

/// Whether a character is white space, or nothing.
pub fn is_blank(c: char) -> bool {
    c.is_whitespace() || is_invisible(c)
}

/// A word as a model writes it: composed letters, nothing invisible.
pub fn plain(word: &str) -> Cow<'_, str> {
    if word.is_ascii() && !word.bytes().any(|byte| byte.is_ascii_control()) {
        return Cow::Borrowed(word);
    }
    if word.contains(is_invisible) {
        return Cow::Owned(word.chars().filter(|c| !is_invisible(*c)).nfc().collect());
    }
    if is_nfc(word) { Cow::Borrowed(word) } else { Cow::Owned(word.nfc().collect()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_word_has_composed_letters_and_nothing_invisible() {
        for (word, expected) in [
            ("dia\u{ad}logue", "dialogue"),
            ("Cafe\u{301}", "Caf\u{e9}"),
            ("\u{200f}e\u{301}\u{200b}\u{feff}x\u{1}", "\u{e9}x"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("word", "word"),
            ("\u{200b}", ""),
        ] {
            assert_eq!(plain(word), expected);
        }
        assert!(is_blank('\u{a0}') && is_blank('\u{200e}') && !is_blank('\u{200d}') && !is_blank('x'));
        assert!(is_outside('\u{200f}') && !is_outside('\u{202b}'), "one of a pair stays in the sentence");
    }
}
