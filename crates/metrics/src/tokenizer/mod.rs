//! The tokenizers of BLEU. Each maps a segment to text whose tokens stand between white space.

mod mteval;
mod zh;

use std::{borrow::Cow, fmt, str::FromStr, sync::Arc};

use crate::error::MetricError;

/// What a caller-supplied tokenizer reports when it fails.
pub type TokenizeError = Box<dyn std::error::Error + Send + Sync>;

/// A tokenizer that the caller supplies, such as the SentencePiece model `flores200`.
pub trait Tokenize: Send + Sync {
    /// The name in signatures (`tok:NAME`). A score is comparable with sacreBLEU's only if the name is sacreBLEU's
    /// and the tokens are too.
    fn name(&self) -> &str;

    /// Tokens of one segment, separated by spaces. Trailing white space of the segment is already gone.
    ///
    /// # Errors
    /// Whatever the implementation reports; it ends the scoring.
    fn tokenize(&self, segment: &str) -> Result<String, TokenizeError>;
}

/// A tokenizer of BLEU, named as in sacreBLEU.
#[derive(Clone, Default)]
pub enum Tokenizer {
    /// `13a`: as the script mteval-v13a, for Western languages; WMT's usual one and the default.
    #[default]
    V13a,
    /// `intl`: as mteval-v14 with international tokenization, splitting at Unicode punctuation and symbols.
    Intl,
    /// `zh`: every Chinese character a token, the rest as `13a`.
    Zh,
    /// `char`: every character a token.
    Char,
    /// `none`: the segment is tokenized already.
    None,
    /// One that the caller supplies.
    Custom(Arc<dyn Tokenize>),
}

impl Tokenizer {
    /// Wraps a function from a segment to its tokens, separated by spaces, under the name shown in signatures.
    pub fn custom<F>(name: impl Into<String>, function: F) -> Self
    where
        F: Fn(&str) -> Result<String, TokenizeError> + Send + Sync + 'static,
    {
        struct Named<F>(String, F);
        impl<F: Fn(&str) -> Result<String, TokenizeError> + Send + Sync> Tokenize for Named<F> {
            fn name(&self) -> &str {
                &self.0
            }
            fn tokenize(&self, segment: &str) -> Result<String, TokenizeError> {
                (self.1)(segment)
            }
        }
        Tokenizer::Custom(Arc::new(Named(name.into(), function)))
    }

    /// The name in signatures.
    pub fn name(&self) -> &str {
        match self {
            Tokenizer::V13a => "13a",
            Tokenizer::Intl => "intl",
            Tokenizer::Zh => "zh",
            Tokenizer::Char => "char",
            Tokenizer::None => "none",
            Tokenizer::Custom(tokenizer) => tokenizer.name(),
        }
    }

    /// Tokens of one segment, separated by white space.
    ///
    /// # Errors
    /// [`MetricError::Tokenizer`] when a caller-supplied tokenizer fails.
    pub fn tokenize<'a>(&self, segment: &'a str) -> Result<Cow<'a, str>, MetricError> {
        Ok(match self {
            Tokenizer::V13a => mteval::tokenize_13a(segment).into(),
            Tokenizer::Intl => mteval::tokenize_intl(segment).into(),
            Tokenizer::Zh => zh::tokenize(segment).into(),
            Tokenizer::Char => characters(segment).into(),
            Tokenizer::None => segment.into(),
            Tokenizer::Custom(tokenizer) => tokenizer
                .tokenize(segment)
                .map_err(|source| MetricError::Tokenizer {
                    name: tokenizer.name().to_owned(),
                    text: segment.chars().take(80).collect(),
                    source,
                })?
                .into(),
        })
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Tokenizer {
    type Err = MetricError;

    /// Finds a built-in tokenizer by its name.
    fn from_str(name: &str) -> Result<Self, MetricError> {
        Ok(match name {
            "13a" => Tokenizer::V13a,
            "intl" => Tokenizer::Intl,
            "zh" => Tokenizer::Zh,
            "char" => Tokenizer::Char,
            "none" => Tokenizer::None,
            "ja-mecab" | "ko-mecab" => return Err(MetricError::NoMecab { name: name.to_owned() }),
            _ => return Err(MetricError::UnknownTokenizer { name: name.to_owned() }),
        })
    }
}

/// The characters of a segment with a space between each two.
fn characters(segment: &str) -> String {
    let mut spaced = String::with_capacity(2 * segment.len());
    for (position, c) in segment.chars().enumerate() {
        if position > 0 {
            spaced.push(' ');
        }
        spaced.push(c);
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_unknown_ones_refused() {
        for name in ["13a", "intl", "zh", "char", "none"] {
            assert_eq!(name.parse::<Tokenizer>().unwrap().name(), name);
        }
        let message = "flores200".parse::<Tokenizer>().unwrap_err().to_string();
        assert!(message.contains("`flores200`") && message.contains("13a, intl"), "{message}");
        for name in ["ja-mecab", "ko-mecab"] {
            let message = name.parse::<Tokenizer>().unwrap_err().to_string();
            assert!(message.starts_with(&format!("the tokenizer `{name}` needs MeCab")), "{message}");
            assert!(message.contains("char") && message.contains("none"), "{message}");
        }
    }

    #[test]
    fn custom_tokenizers_report_the_segment_they_fail_on() {
        let tokenizer = Tokenizer::custom("picky", |_| Err("no model".into()));
        let message = tokenizer.tokenize("hello").unwrap_err().to_string();
        assert_eq!(message, "tokenizer `picky` failed on \"hello\": no model");
    }

    #[test]
    fn characters_keep_combining_marks_apart() {
        assert_eq!(Tokenizer::Char.tokenize("ae\u{301} 😀").unwrap(), "a e \u{301}   😀");
    }
}
