//! JSON: every string that is a value is translated, names are not; everything else stays byte for byte.

use std::ops::Range;

use crate::document::{Document, Segment};
use crate::error::{Error, Result};
use crate::limits::{Count, Limits};
use crate::markup::Piece;
use crate::text::lines;

/// JSON that was read.
pub struct JsonDocument {
    json: String,
    strings: Vec<Value>,
    /// The lines of all strings.
    segments: Vec<Segment>,
}

/// A string that is a value.
struct Value {
    /// With its quotes.
    range: Range<usize>,
    /// Its lines among the segments.
    lines: Range<usize>,
}

impl JsonDocument {
    /// Reads JSON.
    ///
    /// # Errors
    /// [`Error::Invalid`] with the place of what is wrong; [`Error::TooLarge`].
    pub fn read(json: &str, limits: &Limits) -> Result<Self> {
        let fault = |error: serde_json::Error| Error::Invalid(fault(&error));
        serde_json::from_str::<serde::de::IgnoredAny>(json).map_err(fault)?;
        let mut document = Self { json: json.to_string(), strings: Vec::new(), segments: Vec::new() };
        let mut count = Count::new(limits);
        let mut at = 0;
        while let Some(start) = json[at..].find('"').map(|i| at + i) {
            let end = string_end(json, start);
            at = end;
            if json[end..].trim_start().starts_with(':') {
                continue;
            }
            let text: String = serde_json::from_str(&json[start..end]).map_err(fault)?;
            if !text.chars().any(char::is_alphabetic) {
                continue;
            }
            let first = document.segments.len();
            document.segments.extend(lines(&text));
            document.segments[first..].iter().try_for_each(|segment| count.add(&segment.text))?;
            document.strings.push(Value { range: start..end, lines: first..document.segments.len() });
        }
        Ok(document)
    }
}

/// What is wrong with JSON, and where; never with its text.
pub fn fault(error: &serde_json::Error) -> String {
    let place = format!("line {} column {}", error.line(), error.column());
    let said = error.to_string();
    match () {
        () if said.contains("surrogate") || said.contains("unexpected end of hex escape") => {
            format!("JSON with half a character (a lone surrogate in a `\\u` escape): {place}")
        }
        () => format!("no JSON: {place}"),
    }
}

/// The end of the string that begins at a quote.
fn string_end(json: &str, start: usize) -> usize {
    let mut escaped = false;
    for (i, byte) in json.bytes().enumerate().skip(start + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    json.len()
}

impl Document for JsonDocument {
    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn write(&self, translated: &[Option<Vec<Piece>>]) -> Result<Vec<u8>> {
        let mut json = String::with_capacity(self.json.len());
        let mut at = 0;
        for Value { range, lines } in &self.strings {
            let translated = translated.get(lines.clone()).unwrap_or(&[]);
            if translated.iter().all(Option::is_none) {
                continue;
            }
            let lines = self.segments[lines.clone()].iter().zip(translated);
            let text: String = lines.map(|(line, translated)| line.text_of(translated.as_deref())).collect();
            json.push_str(&self.json[at..range.start]);
            json.push_str(&serde_json::Value::String(text).to_string());
            at = range.end;
        }
        json.push_str(&self.json[at..]);
        Ok(json.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{copied, shouted, translated};

    fn read(json: &str) -> Result<JsonDocument> {
        JsonDocument::read(json, &Limits::default())
    }

    #[test]
    fn values_are_translated_and_names_are_not() {
        let json =
            "{\n  \"open : it\" : \"Open \\\"it\\\".\\nNow \\u00fc\", \"n\": [1, \"2\", \"yes\", {\"a\": null}]}\n";
        assert_eq!(translated(read(json).unwrap(), &[]).0, ["Open \"it\".", "Now ü", "yes"]);
        assert_eq!(copied(read(json).unwrap()), json);
        let wanted = json.replace("Open \\\"it\\\".\\nNow \\u00fc", "OPEN \\\"IT\\\".\\nNOW Ü").replace("yes", "YES");
        assert_eq!(shouted(read(json).unwrap()), wanted);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        let fault = |json: &str| read(json).err().unwrap().to_string();
        assert!(fault("{\"a\": \"\\ud800\"}").contains("lone surrogate"), "{}", fault("{\"a\": \"\\ud800\"}"));
        assert!(fault("{\n\"secret\"}").contains("line 2") && !fault("{\n\"secret\"}").contains("secret"));
        assert!(read(&"[".repeat(100_000)).is_err());
    }
}
