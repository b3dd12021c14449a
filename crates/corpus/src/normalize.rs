//! Unicode normalization of a sentence, and the key under which two sentences count as the same text.
//!
//! A normalized sentence has one Unicode form (NFC or NFKC), single spaces between words, none at the ends, and no
//! character that readers cannot see but a subword model would have to learn. Normalizing twice changes nothing.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};

/// The Unicode normalization form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Canonical composition: one encoding for what looks the same. The default: it loses nothing that a reader sees.
    #[default]
    Nfc,
    /// Compatibility composition: also folds full-width letters, ligatures, superscripts (what SentencePiece does).
    Nfkc,
    /// Leave letters as they are; whitespace and invisible characters are still cleaned.
    None,
}

/// The character that stands for a space inside subwords (U+2581, as in SentencePiece).
pub(crate) const SPACE_MARK: char = '\u{2581}';

/// A character that is deleted: controls, soft hyphen, zero-width space and joiner-less marks, bidirectional marks,
/// byte-order marks, noncharacters. U+200C and U+200D stay: Persian, Indic scripts and emoji need them.
fn is_deleted(c: char) -> bool {
    matches!(c,
        '\u{00}'..='\u{08}' | '\u{0E}'..='\u{1F}' | '\u{7F}'..='\u{84}' | '\u{86}'..='\u{9F}' | '\u{AD}'
        | '\u{180E}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{FDD0}'..='\u{FDEF}'
        | '\u{FFFE}' | '\u{FFFF}')
}

/// The same set as a regular expression, for readers of `tokenizer.json` other than this crate.
const DELETED_REGEX: &str = r"[\x{00}-\x{08}\x{0E}-\x{1F}\x{7F}-\x{84}\x{86}-\x{9F}\x{AD}\x{180E}\x{200B}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2060}-\x{2064}\x{2066}-\x{206F}\x{FEFF}\x{FFF9}-\x{FFFB}\x{FDD0}-\x{FDEF}\x{FFFE}\x{FFFF}]";
/// Unicode's White_Space as a regular expression.
const WHITE_SPACE_REGEX: &str =
    r"[\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}]+";

impl Form {
    /// Normalizes a sentence: deletes invisible characters, brings it to this form, joins runs of white space to one
    /// space, trims. U+2581, which subwords use for the space, becomes its look-alike `_`, so that decoding is exact.
    pub fn normalize<'a>(self, text: &'a str) -> Cow<'a, str> {
        if is_clean_ascii(text) {
            return Cow::Borrowed(text);
        }
        let text = if text.chars().any(|c| is_deleted(c) || c == SPACE_MARK) {
            Cow::Owned(
                text.chars()
                    .filter(|&c| !is_deleted(c))
                    .map(|c| if c == SPACE_MARK { '_' } else { c })
                    .collect::<String>(),
            )
        } else {
            Cow::Borrowed(text)
        };
        let text = match self {
            Form::Nfc if is_nfc_quick(text.chars()) != IsNormalized::Yes => Cow::Owned(text.nfc().collect::<String>()),
            Form::Nfkc if is_nfkc_quick(text.chars()) != IsNormalized::Yes => {
                Cow::Owned(text.nfkc().collect::<String>())
            }
            _ => text,
        };
        if has_clean_spaces(&text) {
            return text;
        }
        let mut out = String::with_capacity(text.len());
        for word in text.split_whitespace() {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(word);
        }
        Cow::Owned(out)
    }

    /// The normalizer as the `normalizer` of a Hugging Face `tokenizer.json`.
    pub(crate) fn to_json(self) -> Value {
        let replace =
            |pattern: Value, content: &str| json!({"type": "Replace", "pattern": pattern, "content": content});
        let mut steps =
            vec![replace(json!({"Regex": DELETED_REGEX}), ""), replace(json!({"String": SPACE_MARK.to_string()}), "_")];
        match self {
            Form::Nfc => steps.push(json!({"type": "NFC"})),
            Form::Nfkc => steps.push(json!({"type": "NFKC"})),
            Form::None => {}
        }
        steps.push(replace(json!({"Regex": WHITE_SPACE_REGEX}), " "));
        steps.push(json!({"type": "Strip", "strip_left": true, "strip_right": true}));
        json!({"type": "Sequence", "normalizers": steps})
    }
}

/// Printable ASCII with single inner spaces: most lines of many languages, left untouched without a copy.
fn is_clean_ascii(text: &str) -> bool {
    text.bytes().all(|b| (b' '..0x7F).contains(&b)) && has_clean_spaces(text)
}

fn has_clean_spaces(text: &str) -> bool {
    let mut before_is_space = true; // so that a leading space is not clean
    for c in text.chars() {
        let is_space = c == ' ';
        if (is_space && before_is_space) || (!is_space && c.is_whitespace()) {
            return false;
        }
        before_is_space = is_space;
    }
    text.is_empty() || !before_is_space
}

/// What remains of a sentence when case, punctuation, digits, spaces and compatibility forms are ignored: its letters.
/// Two sentences with the same non-empty key are the same text for the check of train against held-out data.
/// Returns the letters and their number; CJK ones count twice, as they say more.
pub fn letters_key(text: &str) -> (String, usize) {
    let mut key = String::with_capacity(text.len());
    let mut weight = 0;
    let mut push = |c: char| {
        if c.is_alphabetic() {
            key.push(c);
            weight += if matches!(c, '\u{2E80}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7AF}' | '\u{20000}'..='\u{3FFFF}') {
                2
            } else {
                1
            };
        }
    };
    if text.is_ascii() {
        text.chars().for_each(|c| push(c.to_ascii_lowercase()));
    } else {
        text.nfkc().flat_map(char::to_lowercase).for_each(push);
    }
    (key, weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cleans_what_readers_cannot_see() {
        let cases = [
            ("plain text", "plain text"),
            ("  two\t spaces\u{A0}\u{3000}here \r", "two spaces here"),
            ("\u{FEFF}mark", "mark"),
            ("soft\u{AD}hyphen zero\u{200B}width", "softhyphen zerowidth"),
            ("می\u{200C}خواهم", "می\u{200C}خواهم"), // the non-joiner is spelling in Persian
            ("\u{202B}bidi\u{202C}", "bidi"),
            ("bell\u{7}", "bell"),
            ("e\u{301}", "é"),
            ("e\u{200B}\u{301}", "é"), // composes across a deleted character
            ("\u{2581}low", "_low"),
            ("", ""),
            (" \u{200B} ", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(Form::Nfc.normalize(text), expected, "{text:?}");
        }
        assert_eq!(Form::Nfc.normalize("ﬁ Ａ"), "ﬁ Ａ");
        assert_eq!(Form::Nfkc.normalize("ﬁ Ａ"), "fi A");
        assert_eq!(Form::None.normalize(" e\u{301}  x"), "e\u{301} x");
    }

    #[test]
    fn key_ignores_case_punctuation_and_digits() {
        assert_eq!(letters_key("Table 5: The END!").0, letters_key("table 17 — the end").0);
        assert_eq!(letters_key("Straße Ａ").0, "straßea");
        assert_eq!(letters_key("日本語。"), ("日本語".into(), 6));
        assert_eq!(letters_key("12 %"), (String::new(), 0));
    }

    proptest! {
        #[test]
        fn normalizing_twice_changes_nothing(text in "\\PC*|[ \\t\u{85}\u{200B}\u{AD}a-cé\u{301}ﬁ가ᄀ\u{1161}\u{2581}]*") {
            for form in [Form::Nfc, Form::Nfkc, Form::None] {
                let once = form.normalize(&text).into_owned();
                prop_assert_eq!(form.normalize(&once), once.as_str());
                prop_assert!(has_clean_spaces(&once) && !once.contains(SPACE_MARK));
            }
        }
    }
}
