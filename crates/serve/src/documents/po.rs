//! GNU gettext catalogues: messages without a translation get one and are marked fuzzy; everything else stays byte for byte.

use std::fmt::Write;

use strata_translate::Part;

use crate::document::{Cut, Document, TextDocument, chosen};
use crate::error::{Answer, ApiError};

/// A catalogue.
#[derive(Debug)]
pub struct PoDocument {
    entries: Vec<Entry>,
    parts: Vec<String>,
}

/// Lines that belong together.
#[derive(Debug)]
struct Entry {
    lines: Vec<String>,
    /// Fields to fill: the line of each `msgstr`, its keyword, and the text to translate.
    fill: Vec<(usize, String, TextDocument)>,
}

/// A keyword's string: where it begins, the keyword, and its content.
struct Field {
    line: usize,
    keyword: String,
    text: String,
}

impl PoDocument {
    /// Reads a catalogue.
    ///
    /// # Errors
    /// 400 with the first line that is none of a catalogue's.
    pub fn new(text: &str, cut: Cut<'_>) -> Answer<Self> {
        let mut document = Self { entries: Vec::new(), parts: Vec::new() };
        let mut first = 1;
        for lines in entries(text) {
            let fields = fields(&lines, first)?;
            first += lines.len();
            let of = |keyword: &str| fields.iter().find(|field| field.keyword == keyword);
            let mut fill = Vec::new();
            if let Some(id) = of("msgid").filter(|id| !id.text.is_empty()) {
                for field in fields.iter().filter(|f| f.keyword.starts_with("msgstr") && f.text.is_empty()) {
                    let plural = of("msgid_plural").filter(|_| !field.keyword.ends_with("[0]"));
                    let inner = TextDocument::new(&plural.unwrap_or(id).text, cut);
                    document.parts.extend_from_slice(inner.parts());
                    fill.push((field.line, field.keyword.clone(), inner));
                }
            }
            document.entries.push(Entry { lines, fill });
        }
        Ok(document)
    }
}

/// Groups of lines with the empty lines behind them.
fn entries(text: &str) -> Vec<Vec<String>> {
    let mut entries: Vec<Vec<String>> = Vec::new();
    let mut ended = true;
    for line in text.split_inclusive('\n') {
        let empty = line.trim().is_empty();
        if ended && !empty {
            entries.push(Vec::new());
        }
        ended = empty;
        match entries.last_mut() {
            Some(entry) => entry.push(line.to_string()),
            None => entries.push(vec![line.to_string()]),
        }
    }
    entries
}

fn fields(lines: &[String], first: usize) -> Answer<Vec<Field>> {
    let mut fields: Vec<Field> = Vec::new();
    for (i, line) in lines.iter().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |what: &str| ApiError::invalid(format!("line {}: {what}", first + i));
        let quoted = line.find('"').ok_or_else(|| fault("not a line of a gettext catalogue"))?;
        let (keyword, string) = (line[..quoted].trim(), unquote(&line[quoted..]));
        let string = string.ok_or_else(|| fault("a string that does not end"))?;
        if keyword.is_empty() {
            let field = fields.last_mut().ok_or_else(|| fault("a string without a keyword"))?;
            field.text.push_str(&string);
        } else if keyword.starts_with("msg") && !keyword.contains(' ') {
            fields.push(Field { line: i, keyword: keyword.to_string(), text: string });
        } else {
            return Err(fault("not a line of a gettext catalogue"));
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
            '\\' => match characters.next()? {
                'n' => string.push('\n'),
                't' => string.push('\t'),
                'r' => string.push('\r'),
                other => string.push(other),
            },
            other => string.push(other),
        }
    }
    None
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            '"' | '\\' => quoted.extend(['\\', c]),
            other => quoted.push(other),
        }
    }
    quoted + "\""
}

impl Document for PoDocument {
    fn parts(&self) -> &[String] {
        &self.parts
    }

    fn render(&self, translations: &[Part], choice: usize) -> String {
        let mut text = String::new();
        let mut first = 0;
        for entry in &self.entries {
            // A machine's translation is to be looked at by a person, which is what `fuzzy` says.
            let mut marked = entry.fill.is_empty();
            let flags = entry.lines.iter().position(|line| line.starts_with("#,"));
            let id = entry.lines.iter().position(|line| line.trim_start().starts_with("msg"));
            for (i, line) in entry.lines.iter().enumerate() {
                if !marked && flags == Some(i) {
                    let has = line.contains("fuzzy");
                    text.push_str(&if has { line.clone() } else { line.replacen("#,", "#, fuzzy,", 1) });
                    marked = true;
                    continue;
                }
                if !marked && flags.is_none() && id == Some(i) {
                    text.push_str("#, fuzzy\n");
                    marked = true;
                }
                match entry.fill.iter().find(|(at, ..)| *at == i) {
                    Some((_, keyword, inner)) => {
                        let found =
                            inner.put_together(|i| translations.get(first + i).map_or("", |part| chosen(part, choice)));
                        let end = &line[line.trim_end().len()..];
                        // Writing to a string does not fail.
                        let _ = write!(text, "{keyword} {}{end}", quote(&found));
                        first += inner.parts().len();
                    }
                    None => text.push_str(line),
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{cut_at_stops, part};

    const CATALOGUE: &str = r##"# header
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
        let document = PoDocument::new(CATALOGUE, &cut_at_stops).unwrap();
        assert_eq!(document.parts(), ["Open %s.", "a \"file\"", "%d files."]);
        let found = document.render(&[part("%s öffnen."), part("eine \"Datei\""), part("%d Dateien.")], 0);
        let wanted = CATALOGUE
            .replace("#: a.c:1\n#, c-format", "#: a.c:1\n#, fuzzy, c-format")
            .replace("\"Open %s.\"\nmsgstr \"\"", "\"Open %s.\"\nmsgstr \"%s öffnen.\"")
            .replace("\n\n#, c-format\nmsgid \"a", "\n\n#, fuzzy, c-format\nmsgid \"a")
            .replace("msgstr[0] \"\"", r#"msgstr[0] "eine \"Datei\"\n""#)
            .replace("msgstr[1] \"\"", "msgstr[1] \"%d Dateien.\"");
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_catalogue_that_is_translated_stays_as_it_is_and_a_line_that_is_none_is_named() {
        let text = "\nmsgid \"a\"\nmsgstr \"b\"\n\n#~ msgid \"old\"\n";
        assert_eq!(PoDocument::new(text, &cut_at_stops).unwrap().render(&[], 0), text);
        for (text, at) in [("hello", "line 1"), ("\nmsgid \"a", "line 2"), ("# x\n\"a\"", "line 2")] {
            let error = PoDocument::new(text, &cut_at_stops).unwrap_err().message;
            assert!(error.contains(at), "{text}: {error}");
        }
    }
}
