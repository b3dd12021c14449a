//! Character classes of the cleaning and cutting rules.
//!
//! The rules speak of letters, digits and words by Unicode *general category*: a word character is a letter (`L*`), a
//! number (`N*`) or `_`. That excludes combining marks, unlike `char::is_alphanumeric` and the `\w` of the `regex`
//! crate, so patterns that need a word boundary in running text spell it `[^\p{L}\p{N}_]`.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// White space, with the four information separators U+001C to U+001F that XML and HTML sources count as such.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// General category `L*`.
pub(crate) fn is_letter(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_alphabetic() } else { c.general_category_group() == GeneralCategoryGroup::Letter }
}

/// General category `M*`: combining marks, vowel signs of the Indic scripts among them.
pub(crate) fn is_mark(c: char) -> bool {
    !c.is_ascii() && c.general_category_group() == GeneralCategoryGroup::Mark
}

/// General category `Nd`: the decimal digits of any script.
pub(crate) fn is_decimal(c: char) -> bool {
    if c.is_ascii() { c.is_ascii_digit() } else { c.general_category() == GeneralCategory::DecimalNumber }
}

/// Letters and numbers.
pub(crate) fn is_alphanumeric(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    matches!(c.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
}

/// Letters, numbers and `_`.
pub(crate) fn is_word(c: char) -> bool {
    c == '_' || is_alphanumeric(c)
}

/// What words are made of: letters, and numbers that are not decimal digits (Roman numerals, `²`).
pub(crate) fn is_word_letter(c: char) -> bool {
    is_alphanumeric(c) && !is_decimal(c)
}

/// The maximal runs of [`is_word_letter`] in a text.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word_letter(c)).filter(|w| !w.is_empty())
}

/// The parts of a text between white space.
pub(crate) fn split_space(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|w| !w.is_empty())
}

/// Other digits of Unicode (`Numeric_Type=Digit`): superscripts, subscripts, circled and the like, as
/// `(first, last, value of the first)`.
const OTHER_DIGITS: [(u32, u32, u32); 21] = [
    (0xb2, 0xb3, 2),
    (0xb9, 0xb9, 1),
    (0x1369, 0x1371, 1),
    (0x19da, 0x19da, 1),
    (0x2070, 0x2070, 0),
    (0x2074, 0x2079, 4),
    (0x2080, 0x2089, 0),
    (0x2460, 0x2468, 1),
    (0x2474, 0x247c, 1),
    (0x2488, 0x2490, 1),
    (0x24ea, 0x24ea, 0),
    (0x24f5, 0x24fd, 1),
    (0x24ff, 0x24ff, 0),
    (0x2776, 0x277e, 1),
    (0x2780, 0x2788, 1),
    (0x278a, 0x2792, 1),
    (0x10a40, 0x10a43, 1),
    (0x10e60, 0x10e68, 1),
    (0x11052, 0x1105a, 1),
    (0x1f100, 0x1f100, 0),
    (0x1f101, 0x1f10a, 0),
];

/// The value of a digit of any script, 0 to 9.
pub(crate) fn digit_value(c: char) -> Option<u32> {
    if c.is_ascii() {
        return c.to_digit(10);
    }
    let code = c as u32;
    if is_decimal(c) {
        // Unicode keeps decimal digits in runs 0..9, several runs touching in places, always in whole tens.
        let mut first = code;
        while let Some(before) = char::from_u32(first - 1).filter(|&b| is_decimal(b)) {
            first = before as u32;
        }
        return Some((code - first) % 10);
    }
    OTHER_DIGITS.iter().find(|(first, last, _)| (*first..=*last).contains(&code)).map(|(first, _, v)| v + code - first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_no_word_characters() {
        assert!(is_word('é') && is_word('क') && is_word('²') && is_word('Ⅳ') && is_word('_'));
        assert!(!is_word('ि') && is_mark('ि') && !is_word('-'));
        assert_eq!(words("a1b_c Ⅳ कि").collect::<Vec<_>>(), ["a", "b", "c", "Ⅳ", "क"]);
    }

    #[test]
    fn digits_of_every_script_have_values() {
        assert_eq!(digit_value('7'), Some(7));
        assert_eq!(digit_value('٣'), Some(3));
        assert_eq!(digit_value('۹'), Some(9));
        assert_eq!(digit_value('५'), Some(5));
        assert_eq!(digit_value('𝟙'), Some(1), "the second of five runs that touch");
        assert_eq!(digit_value('𝟿'), Some(9));
        assert_eq!(digit_value('³'), Some(3));
        assert_eq!(digit_value('⑤'), Some(5));
        assert_eq!(digit_value('½'), None);
        assert_eq!(digit_value('x'), None);
    }

    #[test]
    fn spaces_include_the_separators() {
        assert_eq!(split_space("a\u{1f}b\u{a0}c\u{3000} d").collect::<Vec<_>>(), ["a", "b", "c", "d"]);
    }
}
