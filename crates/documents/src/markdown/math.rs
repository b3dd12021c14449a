//! Dollar signs: formulas or money.

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{Event as Markdown, Options, Parser};

/// The text for the parser, which takes any two dollar signs without space inside for a formula: signs of money are
/// other ones there. All else is at the same bytes.
pub fn without_prices(text: &str, options: Options) -> Cow<'_, str> {
    if !text.contains('$') {
        return text.into();
    }
    let mut masked = String::with_capacity(text.len());
    let mut at = 0;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        if matches!(event, Markdown::InlineMath(_)) && !is_formula(text, &range) {
            for sign in [range.start, range.end - 1] {
                masked.push_str(&text[at..sign]);
                masked.push('%');
                at = sign + 1;
            }
        }
    }
    masked.push_str(&text[at..]);
    masked.into()
}

/// Whether what stands between two dollar signs is a formula: nothing is glued to them, as in `US$5` and `$5-$10`, and
/// it is no number with words, as in `$5 a day (7$)`.
fn is_formula(text: &str, range: &Range<usize>) -> bool {
    let glued = text[..range.start].ends_with(char::is_alphanumeric)
        || text[range.end..].starts_with(|c: char| c.is_alphanumeric() || "{$".contains(c));
    let inner = text[range.clone()].trim_matches('$');
    let counts = inner.starts_with(|c: char| c.is_ascii_digit()) && !inner.contains(['\\', '=', '^', '_']);
    let is_word = |word: &str| word.chars().count() > 1 && word.chars().all(char::is_alphabetic);
    !(glued || counts && inner.split_whitespace().any(is_word))
}
