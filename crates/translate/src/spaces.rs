//! White space inside of a sentence that is not a plain space: the model sees and writes plain spaces alone, so others
//! are put back where the words beside them are the same in the translation.

/// The translation with the source's unusual spaces (no-break, narrow, several) between the words that had them.
pub(crate) fn restored(source: &str, translation: &str) -> Option<String> {
    let unusual = unusual(source);
    if unusual.is_empty() {
        return None;
    }
    let mut text = translation.to_string();
    let mut from = 0;
    for Unusual { before, space, after } in unusual {
        let at = find(&text, from, before, after).or_else(|| find(&text, 0, before, after));
        let Some(at) = at else { continue };
        text.replace_range(at..at + 1, space);
        from = at + space.len();
    }
    (text != translation).then_some(text)
}

/// A run of white space with the words beside it.
struct Unusual<'a> {
    before: &'a str,
    space: &'a str,
    after: &'a str,
}

fn unusual(text: &str) -> Vec<Unusual<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    let mut before = "";
    while let Some(at) = rest.find(char::is_whitespace) {
        let word = &rest[..at];
        let tail = &rest[at..];
        let behind = tail.trim_start();
        let space = &tail[..tail.len() - behind.len()];
        let after = behind.split(char::is_whitespace).next().unwrap_or("");
        before = if word.is_empty() { before } else { word };
        if space != " " && !before.is_empty() && !after.is_empty() {
            found.push(Unusual { before, space, after });
        }
        rest = behind;
    }
    found
}

/// The plain space of `text` behind `from` with both words beside it; else the one with a number, name or mark beside
/// it that stands the same in the translation.
fn find(text: &str, from: usize, before: &str, after: &str) -> Option<usize> {
    let spaces = || text[from..].match_indices(' ').map(|(i, _)| from + i);
    let left = |at: &usize| {
        let head = &text[..*at];
        head.strip_suffix(before).is_some_and(|head| head.is_empty() || head.ends_with(char::is_whitespace))
    };
    let right = |at: &usize| {
        let tail = &text[at + 1..];
        tail.strip_prefix(after).is_some_and(|tail| tail.is_empty() || tail.starts_with(char::is_whitespace))
    };
    let fixed = |word: &str| !word.chars().all(char::is_lowercase);
    spaces()
        .find(|at| left(at) && right(at))
        .or_else(|| spaces().find(|at| fixed(before) && left(at)))
        .or_else(|| spaces().find(|at| fixed(after) && right(at)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_come_back_between_the_words_that_had_them() {
        for (source, translation, expected) in [
            ("It is 5\u{a0}km long.", "Es ist 5 km lang.", "Es ist 5\u{a0}km lang."),
            ("5\u{a0}pages or 5\u{a0}lines", "5 Seiten oder 5 Zeilen", "5\u{a0}Seiten oder 5\u{a0}Zeilen"),
            ("Open  the file", "Open the file", "Open  the file"),
            ("See page\u{202f}7.", "Siehe Seite 7.", "Siehe Seite\u{202f}7."),
        ] {
            assert_eq!(restored(source, translation).as_deref(), Some(expected), "{source}");
        }
        assert_eq!(restored("a b", "a b"), None);
        assert_eq!(restored("the\u{a0}file", "die Datei"), None, "the words are other ones");
    }
}
