//! Markup as a sequence of events, whatever the format.

use std::borrow::Cow;
use std::ops::Range;

/// A tag, a piece of text, or something else.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<'a> {
    /// Its bytes in the source.
    pub range: Range<usize>,
    /// What it is.
    pub kind: Kind<'a>,
}

/// What an event is. Names have their prefixes; HTML's are in lower case.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind<'a> {
    /// Text as it is written, with its entities.
    Text,
    /// A start tag.
    Open(Cow<'a, str>),
    /// An end tag.
    Close(Cow<'a, str>),
    /// A tag of an element without content.
    Empty(Cow<'a, str>),
    /// A comment, a declaration, a processing instruction, a CDATA section, an entity that is not known.
    Other,
}

/// The value of a tag's attribute as it is written, by its name with its prefix; names are compared without case.
pub fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = tag.trim_start_matches('<').trim_end_matches('>').trim_end_matches('/');
    rest = &rest[rest.find(char::is_whitespace)?..];
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '/');
        let end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
        if end == 0 {
            return None;
        }
        let (found, behind) = rest.split_at(end);
        // One without a value has an empty one directly behind its name.
        let mut value = &behind[..0];
        rest = behind.trim_start();
        if let Some(said) = rest.strip_prefix('=') {
            let said = said.trim_start();
            let quote = said.chars().next().filter(|c| "\"'".contains(*c));
            let length = match quote {
                Some(quote) => said[1..].find(quote).map_or(said.len(), |end| end + 2),
                None => said.find(char::is_whitespace).unwrap_or(said.len()),
            };
            value = match quote {
                Some(quote) => said[1..length].strip_suffix(quote).unwrap_or(&said[1..length]),
                None => &said[..length],
            };
            rest = &said[length..];
        }
        if found.eq_ignore_ascii_case(name) {
            return Some(value);
        }
    }
}

/// A start tag with an attribute of this value, in the place of its own or behind its last.
pub fn with_attribute(tag: &str, name: &str, value: &str) -> String {
    if let Some(found) = attribute(tag, name) {
        let start = found.as_ptr() as usize - tag.as_ptr() as usize;
        let (before, after) = (&tag[..start], &tag[start + found.len()..]);
        let has_value = before.trim_end().ends_with(['"', '\'', '=']);
        return if has_value { format!("{before}{value}{after}") } else { format!("{before}=\"{value}\"{after}") };
    }
    let end = tag.trim_end_matches('>').trim_end_matches('/').trim_end().len();
    format!("{} {name}=\"{value}\"{}", &tag[..end], &tag[end..])
}

/// Whether a tag says that its content is not to be translated.
pub fn is_kept(tag: &str) -> bool {
    attribute(tag, "translate")
        .or_else(|| attribute(tag, "its:translate"))
        .is_some_and(|v| v.eq_ignore_ascii_case("no"))
        || attribute(tag, "class").is_some_and(|v| v.split_whitespace().any(|class| class == "notranslate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_set_where_they_are() {
        for (tag, wanted) in [
            ("<html lang=\"en\" id='a'>", "<html lang=\"de\" id='a'>"),
            ("<html id=a lang=en>", "<html id=a lang=de>"),
            ("<html lang = '' >", "<html lang = 'de' >"),
            ("<html lang>", "<html lang=\"de\">"),
            ("<html lang id=\"a\">", "<html lang=\"de\" id=\"a\">"),
            ("<html>", "<html lang=\"de\">"),
            ("<x id='1' />", "<x id='1' lang=\"de\" />"),
        ] {
            assert_eq!(with_attribute(tag, "lang", "de"), wanted);
        }
    }

    #[test]
    fn attributes_are_found_however_they_are_written() {
        let tag = "<a href='x y' Class=\"b notranslate\" checked q=1/>";
        let found = |name| attribute(tag, name);
        assert_eq!((found("href"), found("q"), found("checked")), (Some("x y"), Some("1"), Some("")));
        assert_eq!((found("x"), found("y"), attribute("<b>", "b")), (None, None, None));
        assert!(is_kept(tag) && is_kept("<b translate=no>") && !is_kept("<b class=x>"));
        for odd in ["<a =", "<a b='", "<a b= >", "<a b=\"", "<", "<a '=' c>"] {
            attribute(odd, "zz");
        }
    }
}
