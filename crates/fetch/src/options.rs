//! What is to be fetched, and where to.

use std::path::PathBuf;

use crate::error::Error;
use crate::languages::{DEFAULT_LANGUAGES, Language, language, languages};

/// Settings of [`fetch_docs`](crate::fetch_docs).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Tags of the languages to pair with English, of [`languages()`]; order and repetition do not matter.
    pub languages: Vec<String>,
    /// Folder where downloaded packages are kept.
    pub cache: PathBuf,
    /// Folder the corpus is written to.
    pub output: PathBuf,
    /// Write the `held` part too. It is set apart either way.
    pub held: bool,
    /// A language with fewer sentence pairs than this has larger shares of its sentences set apart for valid and test.
    pub low: usize,
    /// Look for newer package versions even if everything is there.
    pub refresh: bool,
    /// Take packages from this folder of .deb files instead of from apt. Their digests are recorded, not verified.
    pub packages: Option<PathBuf>,
    /// The programs `apt-get` and `apt-cache`.
    pub apt_get: PathBuf,
    /// See [`Options::apt_get`].
    pub apt_cache: PathBuf,
}

impl Options {
    /// The [default languages](DEFAULT_LANGUAGES) through the system's apt, without the held part.
    pub fn new(output: impl Into<PathBuf>, cache: impl Into<PathBuf>) -> Options {
        Options {
            languages: DEFAULT_LANGUAGES.map(String::from).to_vec(),
            cache: cache.into(),
            output: output.into(),
            held: false,
            low: 7000,
            refresh: false,
            packages: None,
            apt_get: "apt-get".into(),
            apt_cache: "apt-cache".into(),
        }
    }

    /// The languages asked for, sorted by tag.
    pub(crate) fn resolve(&self) -> Result<Vec<&'static Language>, Error> {
        let mut found = Vec::new();
        for tag in &self.languages {
            found.push(language(tag).ok_or_else(|| unknown(tag))?);
        }
        found.sort_by_key(|l| l.tag);
        found.dedup();
        if found.is_empty() { Err(Error::NoLanguages) } else { Ok(found) }
    }
}

/// The default folder for packages: `strata/docs` in the user's cache folder
/// (`$XDG_CACHE_HOME`, else `~/.cache`). `None` where there is no home.
pub fn default_cache() -> Option<PathBuf> {
    user_cache("strata/docs")
}

/// A folder in the user's cache folder.
pub(crate) fn user_cache(folder: &str) -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(base.join(folder))
}

fn unknown(tag: &str) -> Error {
    let by_name = languages().iter().find(|l| l.name.eq_ignore_ascii_case(tag)).map(|l| l.tag);
    let known: Vec<&'static str> = languages().iter().map(|l| l.tag).collect();
    let nearest = by_name.or_else(|| strata_recipe::nearest(tag, known.iter().copied()));
    Error::UnknownLanguage { tag: tag.to_owned(), nearest, known }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(tags: &[&str]) -> Result<Vec<&'static str>, Error> {
        let mut options = Options::new("out", "cache");
        options.languages = tags.iter().map(|t| (*t).to_owned()).collect();
        Ok(options.resolve()?.into_iter().map(|l| l.tag).collect())
    }

    #[test]
    fn languages_are_sorted_and_unknown_ones_refused() {
        assert_eq!(asking(&["fr", "de", "fr"]).unwrap(), ["de", "fr"]);
        assert!(matches!(asking(&[]), Err(Error::NoLanguages)));
        let message = asking(&["zh-CN"]).unwrap_err().to_string();
        assert!(message.contains("`zh-CN` (did you mean `zh_CN`?); the languages are ar, ca,"), "{message}");
        assert!(asking(&["Turkish"]).unwrap_err().to_string().contains("did you mean `tr`?"));
        assert!(!asking(&["klingon"]).unwrap_err().to_string().contains("did you mean"));
    }
}
