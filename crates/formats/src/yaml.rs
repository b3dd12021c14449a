//! The part of YAML that Marian's options are written in: a mapping of keys to scalars and to lists of scalars.
//! Anything else is refused, so that nothing is read as something that it is not.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Error;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text, a number, a boolean: as written, without quotes.
    Scalar(String),
    /// Scalars.
    List(Vec<String>),
}

/// Keys and values at the top of a file. Lines below a key that are indented further and are no list are left out: no
/// option of a model is nested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    values: BTreeMap<String, Value>,
}

impl Options {
    /// Reads a mapping; `path` is for messages.
    ///
    /// # Errors
    /// A line that is neither a key with its value nor an entry of a list; anchors, tags and block text.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let mut values: BTreeMap<String, Value> = BTreeMap::new();
        let mut last: Option<String> = None;
        for (at, line) in text.lines().enumerate() {
            let wrong = || Error::damaged(path, format!("line {}: {line:?} is not understood", at + 1));
            let content = line.trim();
            if content.is_empty() || content.starts_with('#') || content == "---" {
                continue;
            }
            if let Some(item) = content.strip_prefix("- ").or((content == "-").then_some("")) {
                let key = last.as_ref().ok_or_else(wrong)?;
                match values.get_mut(key) {
                    Some(Value::List(list)) => list.push(scalar(item).ok_or_else(wrong)?),
                    _ => return Err(wrong()),
                }
            } else if line.starts_with([' ', '\t']) {
                last.as_ref().ok_or_else(wrong)?;
            } else {
                let (key, value) = content.split_once(':').ok_or_else(wrong)?;
                if !(value.is_empty() || value.starts_with(' ')) || !key.chars().all(|c| c.is_ascii_graphic()) {
                    return Err(wrong());
                }
                let value = value.trim();
                let value = match value.strip_prefix('[').map(|list| list.strip_suffix(']')) {
                    _ if value.is_empty() => Value::List(Vec::new()),
                    None => Value::Scalar(scalar(value).ok_or_else(wrong)?),
                    Some(list) => {
                        let items = list.ok_or_else(wrong)?.split(',').map(str::trim).filter(|item| !item.is_empty());
                        Value::List(items.map(scalar).collect::<Option<_>>().ok_or_else(wrong)?)
                    }
                };
                if values.insert(key.to_owned(), value).is_some() {
                    return Err(wrong());
                }
                last = Some(key.to_owned());
            }
        }
        Ok(Self { values })
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The scalar of a key, as written.
    pub fn scalar(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::Scalar(text) => Some(text),
            Value::List(_) => None,
        }
    }
}

/// A scalar without its quotes; none for what needs more of YAML.
fn scalar(text: &str) -> Option<String> {
    for quote in ['"', '\''] {
        if let Some(inside) = text.strip_prefix(quote) {
            let inside = inside.strip_suffix(quote)?;
            return (!inside.contains([quote, '\\'])).then(|| inside.to_owned());
        }
    }
    let plain = text.split(" #").next().unwrap_or(text).trim_end();
    (!plain.starts_with(['&', '*', '!', '|', '>', '{', '[', '@', '`', '%'])).then(|| plain.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, Error> {
        Options::parse(Path::new("m.yml"), text)
    }

    #[test]
    fn options_as_marian_writes_them() {
        let text = "dim-emb: 256\ndim-vocabs:\n  - 32000\n  - 32001\ninput-types: []\npre: \"\"\npost: 'dan'\nvocabs: [a, b]\n";
        let options = parse(text).unwrap();
        assert_eq!(options.scalar("dim-emb"), Some("256"));
        assert_eq!(options.get("dim-vocabs"), Some(&Value::List(vec!["32000".into(), "32001".into()])));
        assert_eq!(options.get("input-types"), Some(&Value::List(vec![])));
        assert_eq!((options.scalar("pre"), options.scalar("post")), (Some(""), Some("dan")));
        assert_eq!(options.get("vocabs"), Some(&Value::List(vec!["a".into(), "b".into()])));
        assert_eq!(options.get("none"), None);
        // Marian writes lists without indentation too.
        assert_eq!(parse("a:\n- 1\n- 2\n").unwrap().get("a"), Some(&Value::List(vec!["1".into(), "2".into()])));
    }

    #[test]
    fn the_rest_of_yaml_is_refused_by_line() {
        for text in
            ["a: &x 1", "a: *x", "a: !!python/object x", "a: |\n  b", "- a", "a b", "a: {b: c}", "a: 1\na: 2", "a: 'b"]
        {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("m.yml is damaged (line"), "{text}: {error}");
        }
    }
}
