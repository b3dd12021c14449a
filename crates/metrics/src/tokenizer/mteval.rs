//! The tokenizers of NIST's scripts mteval-v13a and mteval-v14 (international), as sacreBLEU simplifies them.
//!
//! Both are a chain of substitutions of one or two neighboring characters, each from left to right and without overlap
//! (so `,,` is seen as one pair, not as two). A scan over characters does the same without regular expressions.

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::text::collapse_spaces;

/// `13a`: undoes four character entities, then splits at ASCII punctuation.
pub(super) fn tokenize_13a(segment: &str) -> String {
    let mut text = segment.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    if text.contains('&') {
        // One after the other, as the original does: `&amp;lt;` becomes `<`.
        text = text.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    }
    split_western(&format!(" {text} "))
}

/// The part that `13a` and `zh` share: splits at ASCII punctuation; full stops and commas stay in numbers.
pub(super) fn split_western(text: &str) -> String {
    let mut chars = Vec::with_capacity(text.len() + text.len() / 4);
    for c in text.chars() {
        match c {
            '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/' => chars.extend([' ', c, ' ']),
            _ => chars.push(c),
        }
    }
    let chars = after_first(&chars, |a, b| !a.is_ascii_digit() && matches!(b, '.' | ','));
    let chars = before_second(&chars, |a, b| matches!(a, '.' | ',') && !b.is_ascii_digit());
    let chars = after_first(&chars, |a, b| a.is_ascii_digit() && b == '-');
    collapse_spaces(&chars.into_iter().collect::<String>())
}

/// `intl`: splits at punctuation not between numbers and at every symbol, by Unicode general category.
pub(super) fn tokenize_intl(segment: &str) -> String {
    use GeneralCategoryGroup::{Number, Punctuation, Symbol};
    let is = |c: char, group| c.general_category_group() == group;
    let chars: Vec<char> = segment.chars().collect();
    let chars = after_first(&chars, |a, b| is(b, Punctuation) && !is(a, Number));
    let chars = before_second(&chars, |a, b| is(a, Punctuation) && !is(b, Number));
    let mut spaced = String::with_capacity(2 * segment.len());
    for c in chars {
        if is(c, Symbol) {
            spaced.extend([' ', c, ' ']);
        } else {
            spaced.push(c);
        }
    }
    collapse_spaces(&spaced)
}

/// Where `pair(a, b)` holds for neighbors, writes `a`, space, `b`, space.
fn after_first(chars: &[char], pair: impl Fn(char, char) -> bool) -> Vec<char> {
    substitute_pairs(chars, pair, |a, b| [a, ' ', b, ' '])
}

/// Where `pair(a, b)` holds for neighbors, writes space, `a`, space, `b`.
fn before_second(chars: &[char], pair: impl Fn(char, char) -> bool) -> Vec<char> {
    substitute_pairs(chars, pair, |a, b| [' ', a, ' ', b])
}

fn substitute_pairs(
    chars: &[char],
    pair: impl Fn(char, char) -> bool,
    written: impl Fn(char, char) -> [char; 4],
) -> Vec<char> {
    let mut out = Vec::with_capacity(chars.len() + chars.len() / 4);
    let mut rest = chars;
    while let [a, tail @ ..] = rest {
        match tail {
            [b, after @ ..] if pair(*a, *b) => {
                out.extend(written(*a, *b));
                rest = after;
            }
            _ => {
                out.push(*a);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn western_punctuation() {
        assert_eq!(
            tokenize_13a("It costs $1,000.50 (or 3-4%), he's told."),
            "It costs $ 1,000.50 ( or 3 - 4 % ) , he's told ."
        );
        assert_eq!(tokenize_13a("&quot;a&quot; &amp;lt; b<skipped>c-\nd\ne"), "\" a \" < bcd e");
        assert_eq!(tokenize_13a("wait... what,, 5.,6"), "wait . . . what , , 5 . , 6");
        assert_eq!(tokenize_13a(""), "");
    }

    #[test]
    fn international_punctuation() {
        assert_eq!(tokenize_intl("«Öl» kostet 3,50 € – 1999."), "« Öl » kostet 3,50 € – 1999.");
        assert_eq!(tokenize_intl("¿Qué? ٣٫٥ 你好。x²."), "¿ Qué ? ٣٫٥ 你好 。 x².");
    }
}
