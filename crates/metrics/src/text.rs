//! Whitespace and lower case as Python defines them, which sacreBLEU inherits.

/// True for what Python's `str.split()` and `str.strip()` treat as whitespace: Unicode's White_Space
/// and the four ASCII information separators.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Non-empty words between whitespace, as Python's `str.split()`.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Words joined by one space each.
pub(crate) fn collapse_spaces(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    for word in words(text) {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_python_white_space_only() {
        let text = "a\u{1c}b\u{1f}c\u{85}d\u{a0}e\u{3000}f\u{200b}g\u{180e}h\u{feff}i \t\r\n";
        assert_eq!(words(text).collect::<Vec<_>>(), ["a", "b", "c", "d", "e", "f\u{200b}g\u{180e}h\u{feff}i"]);
        assert_eq!(collapse_spaces("  a \u{2028} b\n"), "a b");
    }
}
