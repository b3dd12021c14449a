//! Terms that must be translated in a given way: a file of `term=translation` lines.

use std::path::Path;

use crate::error::Error;

/// Terms with their translations, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Glossary {
    terms: Vec<(String, String)>,
}

/// Terms with their translations.
impl FromIterator<(String, String)> for Glossary {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(terms: I) -> Self {
        Self { terms: terms.into_iter().collect() }
    }
}

impl Glossary {
    /// Reads a file of `term=translation` lines; skips empty lines and lines that begin with `#`.
    ///
    /// # Errors
    /// A file that cannot be read; the first line that is not such a pair, by its number.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = strata_files::read_text(path)?;
        let mut terms = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pair = line.split_once('=').map(|(term, translation)| (term.trim(), translation.trim()));
            match pair.filter(|(term, translation)| !term.is_empty() && !translation.is_empty()) {
                Some((term, translation)) => terms.push((term.to_string(), translation.to_string())),
                None => {
                    let what = format!("line {}: `{line}` is not `term=translation`", number + 1);
                    return Err(Error::Text { path: path.to_path_buf(), what });
                }
            }
        }
        Ok(Self { terms })
    }

    /// The translations of the terms that occur in `text` as whole words, each once.
    pub fn required(&self, text: &str) -> Vec<&str> {
        let mut found: Vec<&str> = Vec::new();
        for (term, translation) in &self.terms {
            if occurs(term, text) && !found.contains(&translation.as_str()) {
                found.push(translation);
            }
        }
        found
    }
}

/// Whether `term` is in `text` with no letter or digit touching it.
fn occurs(term: &str, text: &str) -> bool {
    text.match_indices(term).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + term.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_require_their_translation() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms.txt");
        std::fs::write(&path, "# ours\nfile = Datei\n\nicon=Symbol\nfiles=Dateien\nicons=Symbol\n").unwrap();
        let glossary = Glossary::read(&path).unwrap();
        assert_eq!(glossary.required("Open the file, or its icon."), ["Datei", "Symbol"]);
        assert_eq!(glossary.required("profile files icons icon"), ["Symbol", "Dateien"]);
        assert!(glossary.required("nothing").is_empty());
    }

    #[test]
    fn a_line_that_is_not_a_pair_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("terms.txt");
        std::fs::write(&path, "a=b\nfile Datei\n").unwrap();
        let message = Glossary::read(&path).unwrap_err().to_string();
        assert!(message.ends_with("terms.txt: line 2: `file Datei` is not `term=translation`"), "{message}");
    }
}
