//! GNU gettext catalogs: messages without a translation get one and are marked fuzzy; everything else stays byte for
//! byte.

use std::fmt::Write;
use std::ops::Range;

use crate::document::{Document, Segment};
use crate::error::{Error, Result};
use crate::language::{check_translated, locale};
use crate::limits::Count;
use crate::markup::Piece;
use crate::options::Options;
use crate::text::lines;

/// A catalog that was read.
#[derive(Debug)]
pub struct PoDocument {
    entries: Vec<Entry>,
    /// The lines of all messages to translate.
    segments: Vec<Segment>,
}

/// Lines that belong together.
#[derive(Debug)]
struct Entry {
    lines: Vec<String>,
    fill: Vec<Fill>,
}

/// A `msgstr` to fill.
#[derive(Debug)]
struct Fill {
    /// Its line in the entry.
    line: usize,
    keyword: String,
    /// The segments of its message.
    segments: Range<usize>,
}

/// A keyword's string: where it begins, the keyword, and its content.
struct Field {
    line: usize,
    keyword: String,
    text: String,
}

impl PoDocument {
    /// Reads a catalog.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the first line that does not belong in a catalog, or for translations into another
    /// language than the one of `options`; [`Error::TooLarge`].
    pub fn read(text: &str, options: &Options) -> Result<Self> {
        let mut document = Self { entries: Vec::new(), segments: Vec::new() };
        let mut count = Count::new(&options.limits);
        // Where the header says the language, and whether there are translations.
        let (mut language, mut translations) = (None, false);
        let mut first = 1;
        for lines in entries(text) {
            let fields = fields(&lines, first)?;
            first += lines.len();
            let before = document.segments.len();
            let fill = document.fill(&fields);
            let is_header = fields.iter().any(|field| field.keyword == "msgid" && field.text.is_empty());
            let is_filled = |field: &Field| field.keyword.starts_with("msgstr") && !field.text.is_empty();
            if is_header {
                let said = |(at, line): (usize, &String)| Some((document.entries.len(), at, said_in(line)?));
                language = language.or_else(|| lines.iter().enumerate().find_map(said));
            } else {
                translations |= fields.iter().any(is_filled);
            }
            document.segments[before..].iter().try_for_each(|segment| count.add(&segment.text))?;
            document.entries.push(Entry { lines, fill });
        }
        if let Some((entry, at, said)) = language
            && let Some(target) = &options.target
        {
            let line = &mut document.entries[entry].lines[at];
            if translations && !line[said.clone()].trim().is_empty() {
                check_translated(&line[said], options)?;
            } else {
                line.replace_range(said, &format!(" {}", locale(target)));
            }
        }
        Ok(document)
    }

    /// Adds the messages of an entry's empty translations.
    fn fill(&mut self, fields: &[Field]) -> Vec<Fill> {
        let of = |keyword: &str| fields.iter().find(|field| field.keyword == keyword);
        let Some(id) = of("msgid").filter(|id| !id.text.is_empty()) else { return Vec::new() };
        let empty = fields.iter().filter(|field| field.keyword.starts_with("msgstr") && field.text.is_empty());
        let forms = fields.iter().filter(|field| field.keyword.starts_with("msgstr[")).count();
        let fill = |field: &Field| {
            // A language with one form uses it for every number.
            let plural = of("msgid_plural").filter(|_| forms == 1 || !field.keyword.ends_with("[0]"));
            let start = self.segments.len();
            self.segments.extend(lines(&plural.unwrap_or(id).text));
            Fill { line: field.line, keyword: field.keyword.clone(), segments: start..self.segments.len() }
        };
        empty.map(fill).collect()
    }

    /// The text of a message, translated.
    fn message(&self, fill: &Fill, translated: &[Option<Vec<Piece>>]) -> String {
        let segments = fill.segments.clone();
        segments.map(|i| self.segments[i].text_of(translated.get(i).and_then(Option::as_deref))).collect()
    }
}

/// Where a line of a header says the catalog's language, with the space around it.
fn said_in(line: &str) -> Option<Range<usize>> {
    if line.trim_start().starts_with('#') {
        return None;
    }
    // All fields may stand in one line.
    let field = ["\"Language:", "\\nLanguage:"].into_iter().find_map(|field| Some(line.find(field)? + field.len()));
    let start = field?;
    line[start..].find("\\n").map(|length| start..start + length)
}

/// The lines of each message with the empty lines behind them. Between messages there need be none.
fn entries(text: &str) -> Vec<Vec<String>> {
    let mut entries: Vec<Vec<String>> = vec![Vec::new()];
    let (mut ended, mut filled) = (false, false);
    let mut comments = 0; // lines of comments at the end of a message, which may be the next one's
    for line in text.split_inclusive('\n') {
        let said = line.trim();
        let begins = said.starts_with("msgctxt") || (said.starts_with("msgid") && !said.starts_with("msgid_plural"));
        let last = entries.last_mut().map_or(0, |entry| entry.len());
        if (ended && !said.is_empty()) || (filled && begins) {
            let taken = if ended { 0 } else { comments };
            let next = entries.last_mut().map(|entry| entry.split_off(last - taken)).unwrap_or_default();
            entries.push(next);
            filled = false;
        }
        filled |= said.starts_with("msgstr");
        comments = if said.starts_with('#') { comments + 1 } else { 0 };
        ended = said.is_empty();
        if let Some(entry) = entries.last_mut() {
            entry.push(line.to_string());
        }
    }
    entries
}

fn fields(lines: &[String], first: usize) -> Result<Vec<Field>> {
    let mut fields: Vec<Field> = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |what: &str| Error::invalid(format!("line {}: {what}", first + i));
        let quoted = line.find('"').ok_or_else(|| fault("not a line of a gettext catalog"))?;
        let (keyword, string) = (line[..quoted].trim(), unquote(&line[quoted..]));
        let string = string.ok_or_else(|| fault("a string that does not end"))?;
        if keyword.is_empty() {
            let field = fields.last_mut().ok_or_else(|| fault("a string without a keyword"))?;
            field.text.push_str(&string);
        } else if keyword.starts_with("msg") && !keyword.contains(' ') {
            fields.push(Field { line: i, keyword: keyword.to_string(), text: string });
        } else {
            return Err(fault("not a line of a gettext catalog"));
        }
    }
    Ok(fields)
}

fn unquote(text: &str) -> Option<String> {
    let inner = text.strip_prefix('"')?;
    let mut string = String::new();
    let mut characters = inner.chars();
    while let Some(c) = characters.next() {
        match c {
            '"' => return characters.as_str().trim().is_empty().then_some(string),
            '\\' => characters = escaped(characters.as_str(), &mut string)?.chars(),
            other => string.push(other),
        }
    }
    None
}

/// Characters with an escape of one letter, as in C.
const ESCAPES: [(char, char); 11] = [
    ('n', '\n'),
    ('t', '\t'),
    ('r', '\r'),
    ('a', '\u{7}'),
    ('b', '\u{8}'),
    ('v', '\u{b}'),
    ('f', '\u{c}'),
    ('"', '"'),
    ('\\', '\\'),
    ('?', '?'),
    ('\'', '\''),
];

/// Reads what follows a backslash, and gives the rest.
fn escaped<'a>(text: &'a str, string: &mut String) -> Option<&'a str> {
    let c = text.chars().next()?;
    if let Some((_, meant)) = ESCAPES.iter().find(|(letter, _)| *letter == c) {
        string.push(*meant);
        return Some(&text[c.len_utf8()..]);
    }
    let (digits, radix, most) = match c {
        'x' => (&text[1..], 16, 2),
        '0'..='7' => (text, 8, 3),
        // Not an escape of C; it stays as it is.
        _ => {
            string.push('\\');
            return Some(text);
        }
    };
    let end = digits.char_indices().take(most).find(|(_, c)| !c.is_digit(radix)).map_or(most, |(i, _)| i);
    let number = digits.get(..end.min(digits.len())).and_then(|digits| u32::from_str_radix(digits, radix).ok())?;
    // A byte beyond ASCII is a part of a character, which no text has by itself.
    string.push(char::from_u32(number).filter(char::is_ascii)?);
    digits.get(end..)
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match ESCAPES.iter().find(|(_, meant)| *meant == c && !"?'".contains(c)) {
            Some((letter, _)) => quoted.extend(['\\', *letter]),
            None => quoted.push(c),
        }
    }
    quoted + "\""
}

impl Document for PoDocument {
    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        let mut text = String::new();
        for entry in &self.entries {
            // `fuzzy`: a person must review the machine's translation.
            let mut marked = entry.fill.is_empty();
            let flags = entry.lines.iter().position(|line| line.starts_with("#,"));
            // Flags stand in front of the message's earlier text, `#|`.
            let is_message = |line: &String| line.starts_with("#|") || line.trim_start().starts_with("msg");
            let id = entry.lines.iter().position(is_message);
            for (i, line) in entry.lines.iter().enumerate() {
                if !marked && flags == Some(i) {
                    let has = line.contains("fuzzy");
                    text.push_str(&if has { line.clone() } else { line.replacen("#,", "#, fuzzy,", 1) });
                    marked = true;
                    continue;
                }
                if !marked && flags.is_none() && id == Some(i) {
                    text.push_str("#, fuzzy");
                    text.push_str(if line.ends_with("\r\n") { "\r\n" } else { "\n" });
                    marked = true;
                }
                match entry.fill.iter().find(|fill| fill.line == i) {
                    Some(fill) => {
                        let end = &line[line.trim_end().len()..];
                        // Writing to a string does not fail.
                        let _ = write!(text, "{} {}{end}", fill.keyword, quote(&self.message(fill, translated)));
                    }
                    None => text.push_str(line),
                }
            }
        }
        Ok(text.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::translated;

    const CATALOG: &str = r##"# header
msgid ""
msgstr ""
"Language: de\n"

#: a.c:1
#, c-format
msgid "Open %s."
msgstr ""

msgid "Done."
msgstr "Fertig."

#, c-format
msgid "a \"file\"\n"
msgid_plural "%d files."
msgstr[0] ""
msgstr[1] ""
"##;

    #[test]
    fn empty_messages_are_filled_and_marked() {
        let document = PoDocument::read(CATALOG, &Options::default()).unwrap();
        let (parts, found) = translated(document, &["%s öffnen.", "eine \"Datei\"", "%d Dateien."]);
        assert_eq!(parts, ["Open %s.", "a \"file\"", "%d files."]);
        let wanted = CATALOG
            .replace("#: a.c:1\n#, c-format", "#: a.c:1\n#, fuzzy, c-format")
            .replace("\"Open %s.\"\nmsgstr \"\"", "\"Open %s.\"\nmsgstr \"%s öffnen.\"")
            .replace("\n\n#, c-format\nmsgid \"a", "\n\n#, fuzzy, c-format\nmsgid \"a")
            .replace("msgstr[0] \"\"", r#"msgstr[0] "eine \"Datei\"\n""#)
            .replace("msgstr[1] \"\"", "msgstr[1] \"%d Dateien.\"");
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_translated_catalog_stays_as_it_is_and_a_malformed_line_is_named() {
        let text = "\nmsgid \"a\"\nmsgstr \"b\"\n\n#~ msgid \"old\"\n";
        assert_eq!(translated(PoDocument::read(text, &Options::default()).unwrap(), &[]).1, text);
        for (text, at) in [("hello", "line 1"), ("\nmsgid \"a", "line 2"), ("# x\n\"a\"", "line 2")] {
            let error = PoDocument::read(text, &Options::default()).unwrap_err().to_string();
            assert!(error.contains(at), "{text}: {error}");
        }
    }

    #[test]
    fn the_only_form_is_that_of_many() {
        let found = filled("msgid \"One file.\"\nmsgid_plural \"%d files.\"\nmsgstr[0] \"\"\n");
        assert!(found.ends_with("msgstr[0] \"%d files.\"\n"), "{found}");
    }

    #[test]
    fn the_header_says_the_language_of_the_translations() {
        let into = |text: &str, target: &str| {
            let options = Options { target: Some(target.to_string()), ..Options::default() };
            PoDocument::read(text, &options).map(crate::testing::copied)
        };
        let catalog = |said: &str, translation: &str| {
            format!(
                "msgid \"\"\nmsgstr \"\"\n\"X: y\\n\"\n\"Language:{said}\\n\"\n\nmsgid \"Open\"\nmsgstr \"\"\n\nmsgid \
                 \"Close\"\nmsgstr \"{translation}\"\n"
            )
        };
        let says = |text: &str, said: &str| text.contains(&format!("\"Language: {said}\\n\"\n"));
        assert!(says(&into(&catalog(" ", ""), "zho_Hant").unwrap(), "zh_TW"));
        assert!(says(&into(&catalog(" en", ""), "pb").unwrap(), "pt_BR"));
        assert!(says(&into(&catalog("", "Zu"), "deu_Latn").unwrap(), "de"));
        assert!(says(&into(&catalog(" de_AT", "Zu"), "de").unwrap(), "de_AT"));
        let fault = into(&catalog(" fr", "Zu"), "de").unwrap_err().to_string();
        assert!(fault.contains("into fr, not de"), "{fault}");
        // What is no code says nothing, and a script may be said after a sign.
        for (said, target) in [(" German", "de"), (" LANGUAGE", "de"), (" sr@latin", "sr_Latn")] {
            assert!(says(&into(&catalog(said, "Zu"), target).unwrap(), said.trim()), "{said}");
        }
        // Comments say nothing either.
        let comment = "# \"Language: fr\\n\"\n";
        assert!(says(&into(&format!("{comment}{}", catalog(" de", "Zu")), "de").unwrap(), "de"));
        // All of the header may stand in one line.
        let line =
            |said: &str| format!("msgid \"\"\nmsgstr \"X: y\\nLanguage: {said}\\nZ: a\\n\"\n\nmsgid \"Open\"\nmsgstr");
        let found = into(&format!("{} \"\"\n", line("en")), "de").unwrap();
        assert!(found.contains("X: y\\nLanguage: de\\nZ: a\\n\"\n"), "{found}");
        assert!(into(&format!("{} \"Ouvrir\"\n", line("fr")), "de").is_err());
    }

    fn filled(text: &str) -> String {
        crate::testing::copied(PoDocument::read(text, &Options::default()).unwrap())
    }

    #[test]
    fn escapes_of_c_are_understood_and_tabs_stay() {
        let text = "msgid \"Open\\tCtrl+O \\x41\\101\\a\\\\n \\q \\' \\?\"\nmsgstr \"\"\n";
        let wanted = "msgstr \"Open\\tCtrl+O AA\\a\\\\n \\\\q ' ?\"";
        assert!(filled(text).contains(wanted), "{}", filled(text));
        for text in [
            "msgid \"\\",
            "msgid \"\\x\"",
            "msgid \"\\xff\"",
            "msgid \"\\x4",
            "msgid \"\\\u{fc}\"\nmsgstr \"\"",
            "msgid \"\\0\u{fc}\"",
        ] {
            let _ = PoDocument::read(text, &Options::default());
        }
    }

    #[test]
    fn messages_need_no_empty_lines_between_them() {
        let text = "msgid \"\"\nmsgstr \"\"\n\"Language: de\\n\"\n# first\nmsgid \"Open\"\nmsgstr \"Auf\"\n#: b.c\n#, c-format\n\
                    msgctxt \"menu\"\nmsgid \"Close\"\nmsgstr \"\"\nmsgid \"one\"\nmsgid_plural \"many\"\nmsgstr[0] \"\"\n\
                    msgstr[1] \"\"\n#~ msgid \"old\"\n#~ msgstr \"alt\"\n";
        let wanted = text
            .replace("#, c-format", "#, fuzzy, c-format")
            .replace("\"Close\"\nmsgstr \"\"\nmsgid", "\"Close\"\nmsgstr \"Close\"\n#, fuzzy\nmsgid")
            .replace("msgstr[0] \"\"", "msgstr[0] \"one\"")
            .replace("msgstr[1] \"\"", "msgstr[1] \"many\"");
        assert_eq!(filled(text), wanted);
    }

    #[test]
    fn the_flag_stands_in_front_of_the_earlier_message() {
        let text = "# note\r\n#: a.c:1\r\n#| msgid \"Opn\"\r\nmsgid \"Open\"\r\nmsgstr \"\"\r\n";
        let wanted = "# note\r\n#: a.c:1\r\n#, fuzzy\r\n#| msgid \"Opn\"\r\nmsgid \"Open\"\r\nmsgstr \"Open\"\r\n";
        assert_eq!(filled(text), wanted);
    }
}
