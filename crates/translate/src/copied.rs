//! What goes into a translation as it is: addresses, file names, placeholders of programs, code, and what the model's
//! vocabulary does not have.
//!
//! [`code`] finds what is written for machines, by its form; [`Translator::copied`] adds signs, emoji and words that
//! this model cannot know. All formats share these rules.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use strata_corpus::Subwords;
use unicode_segmentation::UnicodeSegmentation;

use crate::invisible::{is_invisible, plain};
use crate::sentences::is_unspaced;
use crate::translator::Translator;

/// What has marks at both ends, or stands inside of a word: code in backticks, tags, template tags, format strings.
static MARKED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let patterns = [
        r"`[^`\s](?:[^`\n]{0,78}[^`\s])?`",
        r"<!--.{0,200}?-->|</?[A-Za-z][^<>\n]{0,200}>",
        r"\{\{.{0,80}?\}\}|\{%.{0,80}?%\}|<%.{0,200}?%>|\[%.{0,80}?%\]|\[\[[^\s\[\]]{1,64}\]\]",
        // ICU messages: a plural with its forms.
        r"\{\s*\w+\s*,\s*(?:plural|select|selectordinal|number|date|time)\s*(?:,(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)?\}",
        r"[$#%@]?\{[ ]?[^\s{}]{0,64}[ ]?\}|\$\([^\s()]{1,64}\)",
        // printf; `100 % of` is none, so a space is no flag.
        r"%(?:\([^()\n]{1,64}\))(?:[-+#0]*\d*(?:\.\d+)?[a-zA-Z])?",
        r"%(?:\d{1,2}\$)?[-+#0]{0,3}(?:\d{1,3}|\*)?(?:\.(?:\d{1,3}|\*))?(?:hh|h|ll|l|L|q|j|z|t)?[diouxXeEfFgGaAcsp@n]\b{end-half}",
        r"%[\p{L}_][\p{L}\p{N}_.-]*%|\B%L?\d{1,2}\b{end-half}|%%",
        r"\$[A-Za-z_][A-Za-z0-9_]*",
        r"&(?:[A-Za-z]{2,10}|#\d{1,7}|#x[0-9A-Fa-f]{1,6});",
        // A terminal's colors.
        r"\x1b\[[0-9;]*[A-Za-z]",
        r#"\\[nrtabfv0"'\\]\B|\\[nrt]|\\u[0-9A-Fa-f]{4}"#,
    ];
    Regex::new(&patterns.join("|")).ok()
});

/// Bytes of a word that is looked at more closely.
const LONGEST_WORD: usize = 4096;
/// More ASCII letters and digits than any language has in a word.
const MOST_LETTERS: usize = 80;
/// Characters of the shortest key or identifier that is told from a word by nothing but its letters and digits.
const SHORTEST_KEY: usize = 10;

/// The ranges of what is written for machines in a text, in order: web and mail addresses, paths, file names,
/// identifiers, options, placeholders of programs and templates, tags.
pub fn code(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> =
        MARKED.as_ref().map_or_else(Vec::new, |marked| marked.find_iter(text).map(|m| m.range()).collect());
    // A tag ends a word as a space does: `<b class="x">word</b>` has one word, and no operator.
    let tags: Vec<Range<usize>> = found.iter().filter(|range| text[range.start..].starts_with('<')).cloned().collect();
    let ends = tags.iter().map(|tag| tag.start).chain([text.len()]);
    let starts = [0].into_iter().chain(tags.iter().map(|tag| tag.end));
    for (start, end) in starts.zip(ends) {
        found.extend(words(&text[start..end]).map(|word| word.start + start..word.end + start));
    }
    joined(found)
}

/// The words between white space that are written for machines.
fn words(text: &str) -> impl Iterator<Item = Range<usize>> {
    text.split_whitespace().filter_map(|word| {
        let at = word.as_ptr() as usize - text.as_ptr() as usize;
        // What is as long as a page without a space is data.
        let whole = word.len() > LONGEST_WORD || is_shortcode(word);
        let range = if whole { 0..word.len() } else { bare(word) };
        is_code(&word[range.clone()]).then(|| at + range.start..at + range.end)
    })
}

/// Sorted, with those that overlap made one.
fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut found: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match found.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => found.push(range),
        }
    }
    found
}

/// A word without the punctuation around it.
fn bare(word: &str) -> Range<usize> {
    let opening = |c: char| "([{\"'«‹„“‚‘”’»›<¿¡*,;「『（【".contains(c);
    let mut start = word.len() - word.trim_start_matches(opening).len();
    if word[start..].starts_with('.') && word[..start].ends_with('*') {
        start -= 1; // `*.txt`
    }
    let mut end = word.len();
    while let Some(last) = word[start..end].chars().next_back() {
        let inner = &word[start..end];
        let count = |c: char| inner.matches(c).count();
        let closes = match last {
            ')' => count('(') < count(')'),
            ']' => count('[') < count(']'),
            '}' => count('{') < count('}'),
            _ => ".,;:!?…\"'»›”’“‘>。，；：！？、」』）】*".contains(last),
        };
        if !closes {
            break;
        }
        end -= last.len_utf8();
    }
    start..end
}

/// Whether a word without punctuation around it is written for machines.
fn is_code(word: &str) -> bool {
    if word.len() > LONGEST_WORD {
        return word.is_ascii();
    }
    if word.len() < 2 || word.chars().all(char::is_alphabetic) {
        return is_camel_case(word) || is_data(word);
    }
    is_address(word) || is_path(word) || is_dotted(word) || is_identifier(word) || is_data(word) || has_operator(word)
}

fn is_address(word: &str) -> bool {
    let scheme = word.split_once("://").map(|(scheme, _)| scheme);
    let schemed = scheme.is_some_and(|s| {
        s.len() > 1 && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b)) && s.len() < word.len() - 3
    });
    let lower = word.to_ascii_lowercase();
    let mail = word.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty() && host.split('.').count() > 1 && host.split('.').all(|part| !part.is_empty())
    });
    schemed || mail || ["www.", "mailto:", "tel:", "data:", "urn:"].iter().any(|s| lower.starts_with(s))
}

/// `/etc`, `~/x`, `./x`, `C:\x`, `docs/`, `src/main.rs`.
fn is_path(word: &str) -> bool {
    let bytes = word.as_bytes();
    let rooted = ["/", "~/", "./", "../"].iter().find_map(|root| word.strip_prefix(root));
    let drive = bytes.len() > 2 && bytes[0].is_ascii_alphabetic() && &bytes[1..3] == b":\\";
    let tail = word.rsplit('/').next().unwrap_or("");
    rooted.is_some_and(|rest| rest.starts_with(|c: char| c.is_alphanumeric() || "._-~".contains(c)))
        || drive
        || word.starts_with("\\\\")
        || (word.matches('/').count() > 1 && word.ends_with('/'))
        || (word.contains('/') && is_dotted(tail))
}

/// `index.html?x=1`, `Node.js`, `1.2.3`, `.htaccess`, `*.txt`, `foo.bar()`.
fn is_dotted(word: &str) -> bool {
    let word = word.trim_start_matches('*').trim_end_matches("()");
    let word = word.split(['?', '#']).next().unwrap_or("");
    let word = word.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(word, |p| p.0);
    let host = word.split('/').next().unwrap_or("");
    let parts: Vec<&str> = host.split('.').collect();
    let [first, .., last] = parts.as_slice() else { return false };
    let named = |part: &str| part.chars().all(|c| c.is_alphanumeric() || "-_+~".contains(c));
    if !parts.iter().skip(1).all(|part| !part.is_empty()) || !parts.iter().all(|part| named(part)) {
        return false;
    }
    let digits = |part: &str| part.bytes().next().is_some_and(|b| b.is_ascii_digit());
    if parts.iter().all(|part| digits(part)) {
        return parts.len() > 2; // a version; two are a number
    }
    let long = last.chars().count() > 1;
    let lower = |part: &str| !part.chars().any(char::is_uppercase);
    let upper = |part: &str| !part.chars().any(char::is_lowercase);
    // `z.B`, `Ph.D` and `end.Next` are words, `main.c` and `README.TXT` are files.
    let short = last.chars().all(|c| c.is_ascii_lowercase()) && first.chars().count() > 1 && lower(first);
    last.chars().any(char::is_alphabetic)
        && ((long && (lower(last) || upper(last)) && !first.contains('\'')) || short)
        && parts.iter().any(|part| part.chars().count() > 1)
        && (first.is_empty() || first.chars().count() > 1 || long && lower(last) && last.len() < 5 && parts.len() == 2)
}

/// `snake_case`, `--option`, `@user`, `#tag`, `f()`, `0x1F`, `SHA256`, `:smile:`.
fn is_identifier(word: &str) -> bool {
    let inner = |c: char| {
        word.char_indices().any(|(i, found)| {
            let touches = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            found == c && touches(word[..i].chars().next_back()) && word[i..].chars().any(char::is_alphanumeric)
        })
    };
    let letter = |text: &str| text.starts_with(char::is_alphabetic);
    let option = word.strip_prefix("--").is_some_and(letter)
        || word.strip_prefix('-').is_some_and(|rest| rest.len() == 1 && letter(rest));
    let named = word.strip_prefix('@').or(word.strip_prefix('#'));
    let named =
        named.is_some_and(|rest| letter(rest) && rest.chars().all(|c| c.is_alphanumeric() || "_-.".contains(c)));
    let call = word.strip_suffix("()").is_some_and(letter);
    let hex = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hash = word.strip_prefix("0x").is_some_and(hex)
        || (word.len() > 6 && digits > 0 && digits < word.len() && word.split('-').all(hex));
    let number = digits > 2
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase() || b"-_.:/".contains(&b));
    inner('_')
        || word.starts_with("__")
        || option
        || named
        || call
        || hash
        || number
        || is_shortcode(word)
        || is_camel_case(word)
}

/// `dQw4w9WgXcQ`, base64: letters and digits that change between small, capital and digit at two of five places, or go
/// on for longer than a word does.
fn is_data(word: &str) -> bool {
    let kind = |byte: u8| match byte {
        b'a'..=b'z' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'0'..=b'9' => Some(2),
        b'+' | b'/' | b'=' => Some(3),
        _ => None,
    };
    let Some(kinds) = word.bytes().map(kind).collect::<Option<Vec<u8>>>() else { return false };
    // `Shift+F10` is keys to press.
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1] && !pair.contains(&3)).count();
    let mixed = kinds.contains(&2) && (kinds.contains(&0) || kinds.contains(&1));
    kinds.len() > MOST_LETTERS || (kinds.len() >= SHORTEST_KEY && mixed && 5 * changes >= 2 * kinds.len())
}

/// `:smile:`, whose colons are no punctuation.
fn is_shortcode(word: &str) -> bool {
    let named = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_+-".contains(&b))
    };
    word.strip_prefix(':').and_then(|word| word.strip_suffix(':')).is_some_and(named)
}

/// `getElementById`; `kHz` is a unit and `BenutzerInnen` a word.
fn is_camel_case(word: &str) -> bool {
    word.len() > 4
        && word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|b| b.is_ascii_alphanumeric())
        && word.bytes().any(|b| b.is_ascii_uppercase())
}

/// `x!=y`, `a->b`, `std::io`, `key=value`, `HEAD~1`, `a && b`.
fn has_operator(word: &str) -> bool {
    let operators = ["::", "->", "=>", "!=", "==", "<=", ">=", "&&", "||", ":=", "</", "/>"];
    let ascii = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || "_\"'-./[]()$".contains(c));
    let between =
        |i: usize, length: usize| ascii(word[..i].chars().next_back()) && ascii(word[i + length..].chars().next());
    operators.iter().any(|operator| word.contains(operator) && word.chars().any(char::is_alphabetic))
        || word.match_indices('=').any(|(i, _)| between(i, 1))
        || word.match_indices('~').any(|(i, _)| i > 0 && word[i + 1..].starts_with(|c: char| c.is_ascii_digit()))
        // `line\nline` has two words; its escape is copied by itself.
        || word.match_indices('\\').any(|(i, _)| between(i, 1) && !word[i + 1..].starts_with(['n', 'r', 't']))
}

impl Translator {
    /// The ranges of a text that go into its translation as they are, in order: [`code`], signs and emoji, and words
    /// with letters that the subword model has no pieces for.
    pub fn copied(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = code(text);
        if !text.is_ascii() {
            found.extend(unknown(text, self.subwords()));
            found = found.into_iter().map(|range| with_invisible(text, range)).collect();
        }
        joined_touching(text, found)
    }
}

/// A range with what is invisible on its sides: a model would drop it, and with it the space that it hides.
fn with_invisible(text: &str, range: Range<usize>) -> Range<usize> {
    let before = text[..range.start].trim_end_matches(is_invisible).len();
    let behind = text.len() - text[range.end..].trim_start_matches(is_invisible).len();
    before..behind
}

/// As [`joined`]; those that touch, or have only white space between them, become one.
pub(crate) fn joined_touching(text: &str, ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for range in joined(ranges) {
        match found.last_mut() {
            Some(last) if text[last.end..range.start].trim().is_empty() => last.end = range.end,
            _ => found.push(range),
        }
    }
    found
}

/// Signs, emoji, words that the subword model cannot know, and punctuation and words with letters that it has hardly
/// seen.
fn unknown(text: &str, subwords: &Subwords) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (start, cluster) in text.grapheme_indices(true) {
        if found.last().is_some_and(|last| start < last.end) || cluster.is_ascii() || cluster.trim().is_empty() {
            continue;
        }
        let mut range = start..start + cluster.len();
        let sign = is_sign(cluster);
        let first = plain(cluster).chars().next();
        let behind_space = !text[..start].ends_with(|c: char| !c.is_whitespace());
        // Of letters only those with case: a vocabulary cannot have learned all syllables and characters.
        let cased = first.is_some_and(|c| c.is_lowercase() || c.is_uppercase());
        let rare = |c: char| (cased || !c.is_alphanumeric()) && subwords.is_rare(c, behind_space);
        let known = !sign && subwords.knows(cluster);
        if known && !first.is_some_and(rare) {
            continue;
        }
        let letter = |c: &char| c.is_alphanumeric();
        let touched = |text: Option<char>| text.as_ref().is_some_and(letter);
        // A dash parts words, also without spaces.
        let parts = first.is_some_and(|c| matches!(c, '–' | '—' | '―' | '…'));
        let inside = touched(text[..range.start].chars().next_back()) && touched(text[range.end..].chars().next());
        // A rare character of a script without spaces is no reason to leave a whole clause untranslated.
        let word =
            first.as_ref().is_some_and(letter) && !first.is_some_and(|c| is_unspaced(c) && subwords.knows_script(c));
        if word || (inside && !sign && !parts) {
            let part = |c: &char| {
                c.is_alphanumeric() || matches!(c, '\u{300}'..='\u{36f}' | '\u{200c}' | '\u{200d}' | '-' | '\'' | '’')
            };
            let before: usize = text[..range.start].chars().rev().take_while(part).map(char::len_utf8).sum();
            let after: usize = text[range.end..].chars().take_while(part).map(char::len_utf8).sum();
            range = range.start - before..range.end + after;
            let trimmed = text[range.clone()].trim_matches(['-', '\'', '’']);
            let from = trimmed.as_ptr() as usize - text.as_ptr() as usize;
            range = from..from + trimmed.len();
        }
        if !(known && cased) || subwords.leaves_rare(&text[range.clone()]) {
            found.push(range);
        }
    }
    found
}

/// Whether a character says the same in every language, and is in no training text often enough to be learned: emoji,
/// pictures, private use.
fn is_sign(cluster: &str) -> bool {
    cluster.chars().any(|c| {
        matches!(c, '\u{fe0f}' | '\u{20e3}' | '\u{2300}'..='\u{23ff}' | '\u{2460}'..='\u{27bf}' | '\u{2900}'..='\u{2bff}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fffc}' | '\u{fffd}' | '\u{1f000}'..='\u{1faff}' | '\u{e0000}'..='\u{10ffff}')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<&str> {
        code(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn what_is_written_for_machines_is_found() {
        for (text, codes) in [
            ("See https://example.org/a?b=c&d=e now.", vec!["https://example.org/a?b=c&d=e"]),
            ("(see www.e.org/a?b=c).", vec!["www.e.org/a?b=c"]),
            (
                "Use {x!r} or wp-login.php?action=x or HEAD~1?x here.",
                vec!["{x!r}", "wp-login.php?action=x", "HEAD~1?x"],
            ),
            ("Click {ключ} now, %(имя)s and ${x}!", vec!["{ключ}", "%(имя)s", "${x}"]),
            (
                "%s of %d, %1$s: %.2f%% {{ name }} {0:>10}",
                vec!["%s", "%d", "%1$s", "%.2f", "%%", "{{ name }}", "{0:>10}"],
            ),
            ("Write to a.b@example.org, or @user.", vec!["a.b@example.org", "@user"]),
            (
                "Open /etc/hosts, ~/x.txt, C:\\a\\b and docs/index.html.",
                vec!["/etc/hosts", "~/x.txt", "C:\\a\\b", "docs/index.html"],
            ),
            (
                "Call get_name() or getElementById with --long-option=1 -v.",
                vec!["get_name()", "getElementById", "--long-option=1", "-v"],
            ),
            (
                "x!=y, std::io, key=value; version 1.2.3 of main.c",
                vec!["x!=y", "std::io", "key=value", "1.2.3", "main.c"],
            ),
            ("README.md, .htaccess and *.txt: `rm -rf x`", vec!["README.md", ".htaccess", "*.txt", "`rm -rf x`"]),
            (
                "a <b class=\"x\">word</b> &nbsp; $HOME %name% :smile: #tag",
                vec!["<b class=\"x\">", "</b>", "&nbsp;", "$HOME", "%name%", ":smile:", "#tag"],
            ),
            ("{n, plural, one {# file} other {# files}} left", vec!["{n, plural, one {# file} other {# files}}"]),
            ("line\\nline", vec!["\\n"]),
            (
                "Key dQw4w9WgXcQ, c6m+9Jm79Nx70qTyyK9b2O8meg7TGXI= now",
                vec!["dQw4w9WgXcQ", "c6m+9Jm79Nx70qTyyK9b2O8meg7TGXI="],
            ),
            ("\u{1b}[1;31mError\u{1b}[0m: no", vec!["\u{1b}[1;31m", "\u{1b}[0m"]),
        ] {
            assert_eq!(found(text), codes, "{text}");
        }
    }

    #[test]
    fn what_is_longer_than_any_word_is_data() {
        let (word, data) = ("Ab".repeat(40), "Ab".repeat(41));
        assert!(found(&word).is_empty());
        assert_eq!(found(&format!("Open {data}, now")), [data.as_str()]);
    }

    #[test]
    fn words_are_no_code() {
        for text in [
            "100% of {a b} and/or 50 % off, 3.5 or 1,000.00 at 12:30 on 1/2.",
            "E.g. the U.S. army, z.B. Bach, Ph.D. or AT&T and R&D: it's e-mail, Jean-Paul's.",
            "It ends.Next one. C++ and C# #1 $5 5% (s) file(s) etc. 1990s, 256MB, 2nd",
            "Well... yes?! No — “quoted” ‘single’ «guillemets»; 10–20 a.m.",
            "MP3 UTF-8 iOS kHz Benutzer:innen BenutzerInnen Ein-/Ausgabe",
            "Windows10Enterprise2016 1990er/2000er Access2Base Umschalt+F10 97/2000/XP Rechtsschutzversicherungsgesellschaften McDonaldsMcFlurryIPhone",
        ] {
            assert_eq!(found(text), Vec::<&str>::new(), "{text}");
        }
    }
}
