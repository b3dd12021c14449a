//! Pieces of a text that are copied into its translation: placeholders of programs, and web addresses.

use std::ops::Range;

/// The ranges of a text's placeholders: `{name}`, `{{name}}`, `${name}`, `%s`, `%1$d`, `%(name)s`, web addresses.
pub fn placeholders(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(['{', '%', '$', 'h']).map(|i| at + i) {
        let rest = &text[start..];
        let length = match rest.as_bytes()[0] {
            b'{' => braces(rest),
            b'$' => rest[1..].starts_with('{').then(|| braces(&rest[1..])).flatten().map(|length| length + 1),
            b'%' => percent(rest),
            _ => address(rest),
        };
        match length {
            Some(length) => {
                found.push(start..start + length);
                at = start + length;
            }
            None => at = start + 1,
        }
    }
    found
}

/// The length of `{...}` or `{{...}}`; only its ends may have spaces inside.
fn braces(text: &str) -> Option<usize> {
    let double = text.starts_with("{{");
    let (open, close) = if double { (2, "}}") } else { (1, "}") };
    let end = text.find(close)?;
    let inner = text.get(open..end)?.trim();
    (inner.len() <= 64 && !inner.contains([' ', '{', '}'])).then_some(end + close.len())
}

/// The length of a printf conversion.
fn percent(text: &str) -> Option<usize> {
    let mut rest = &text[1..];
    if let Some(named) = rest.strip_prefix('(') {
        rest = &named[named.find(')')? + 1..];
    }
    let flags = rest.find(|c: char| !(c.is_ascii_digit() || "$.-+#".contains(c)))?;
    let kind = rest[flags..].chars().next()?;
    let after = rest[flags + kind.len_utf8()..].chars().next();
    let ends = !after.is_some_and(char::is_alphanumeric);
    ("sdiufxXcge@".contains(kind) && ends).then(|| text.len() - rest.len() + flags + kind.len_utf8())
}

/// The length of a web address.
fn address(text: &str) -> Option<usize> {
    if !text.starts_with("http://") && !text.starts_with("https://") {
        return None;
    }
    let end = text.find(|c: char| c.is_whitespace() || "<>\"".contains(c)).unwrap_or(text.len());
    Some(text[..end].trim_end_matches(['.', ',', ')', ';', '!', '?']).len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_distinguished_from_lookalikes() {
        let found: Vec<&str> = placeholders("100% of {a b} {x} ${y} {{ z }} %1$d %(n)s %sx https://a.b/c?d. h %")
            .into_iter()
            .map(|range| &"100% of {a b} {x} ${y} {{ z }} %1$d %(n)s %sx https://a.b/c?d. h %"[range])
            .collect();
        assert_eq!(found, ["{x}", "${y}", "{{ z }}", "%1$d", "%(n)s", "https://a.b/c?d"]);
    }
}
