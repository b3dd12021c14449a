//! A text whose parts are translated, put together: what is between the parts stays as it is.

use std::ops::Range;

/// Marks at the end of a sentence or clause in scripts that put no space behind them.
const UNSPACED: [char; 8] = ['。', '！', '？', '、', '，', '；', '：', '｡'];

/// What goes in front of a part: `gap` is what the source has between it and the part before, which is `before` in the
/// source and was `written` in the translation.
///
/// Scripts with spaces get one where the source's script has none, and the other way round; all else stays.
pub fn gap<'a>(before: &str, gap: &'a str, written: &str) -> &'a str {
    let unspaced = |text: &str| text.trim_end_matches(['」', '』', '）', '”', '"']).ends_with(UNSPACED);
    match gap {
        "" if !before.is_empty() && unspaced(before) && !unspaced(written) && !written.is_empty() => " ",
        " " if !unspaced(before) && unspaced(written) => "",
        gap => gap,
    }
}

/// The text with its parts, which are at `ranges`, replaced by their translations.
pub fn replaced<'a>(text: &str, ranges: &[Range<usize>], translation: impl Fn(usize) -> &'a str) -> String {
    laid_out(text, ranges, translation).0
}

/// As [`replaced`]; and where each translation is in it.
pub(crate) fn laid_out<'a>(
    text: &str,
    ranges: &[Range<usize>],
    translation: impl Fn(usize) -> &'a str,
) -> (String, Vec<Range<usize>>) {
    let (mut written, mut places) = (String::with_capacity(text.len()), Vec::with_capacity(ranges.len()));
    let (mut at, mut before) = (0, "");
    for (i, range) in ranges.iter().enumerate() {
        written.push_str(gap(before, &text[at..range.start], &written));
        let start = written.len();
        written.push_str(translation(i));
        places.push(start..written.len());
        (at, before) = (range.end, &text[range.clone()]);
    }
    written.push_str(&text[at..]);
    (written, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(text: &str, parts: &[(&str, &str)]) -> String {
        let mut at = 0;
        let find = |(part, _): &(&str, &str)| {
            let start = at + text[at..].find(part).unwrap();
            at = start + part.len();
            start..at
        };
        let ranges: Vec<Range<usize>> = parts.iter().map(find).collect();
        let (written, places) = laid_out(text, &ranges, |i| parts[i].1);
        assert!(places.iter().zip(parts).all(|(place, (_, said))| written[place.clone()] == **said));
        written
    }

    #[test]
    fn what_is_between_the_parts_stays() {
        assert_eq!(put("  One.\u{a0} Two.\t3 ", &[("One.", "Eins."), ("Two.", "Zwei.")]), "  Eins.\u{a0} Zwei.\t3 ");
        assert_eq!(put("(a)b", &[("a", "x"), ("b", "y")]), "(x)y");
        assert_eq!(put("一。 二。", &[("一。", "一。"), ("二。", "二。")]), "一。 二。");
    }

    #[test]
    fn space_is_as_the_script_of_the_translation_writes_it() {
        assert_eq!(put("One. Two.", &[("One.", "一。"), ("Two.", "二。")]), "一。二。");
        assert_eq!(put("One.\nTwo.", &[("One.", "一。"), ("Two.", "二。")]), "一。\n二。");
        assert_eq!(put("一。二。", &[("一。", "One."), ("二。", "Two.")]), "One. Two.");
    }
}
