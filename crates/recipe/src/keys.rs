//! The table of every key of a recipe: name, values, default, meaning.

use std::fmt::{self, Write};

use toml::Value;

use crate::recipe::{DataSection, ModelSection, TrainSection, TranslateSection};
use crate::search_options::SearchOptions;

/// One key of a recipe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Section and key, e.g. `train.updates`.
    pub name: &'static str,
    /// The values it takes.
    pub values: Values,
    /// The default, as TOML.
    pub default: &'static str,
    /// Its meaning, in one line.
    pub meaning: &'static str,
}

/// The values that a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Values {
    /// An integer.
    Count {
        /// The smallest value.
        least: u64,
        /// The largest value.
        most: u64,
    },
    /// A list of integers, 0 or more.
    Counts,
    /// A number, at least 0 and below 1.
    Probability,
    /// A number from 0 to 1.
    Share,
    /// A number above 0, at most 1.
    PositiveShare,
    /// A number above 0.
    Positive,
    /// A number, 0 or more.
    NonNegative,
    /// `true` or `false`.
    Flag,
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// One of these texts.
    Choice(&'static [&'static str]),
}

impl Values {
    /// An integer from `least` to `most`.
    pub const fn count(least: u64, most: u64) -> Values {
        Values::Count { least, most }
    }

    /// The value in the type that the key's field has (an integer becomes a number where one is expected), or none if
    /// the key does not take it.
    pub(crate) fn accept(self, value: &Value) -> Option<Value> {
        let number = |value: &Value| match *value {
            Value::Integer(integer) => Some(integer as f64),
            Value::Float(float) if float.is_finite() => Some(float),
            _ => None,
        };
        let number_if = |possible: fn(f64) -> bool| number(value).filter(|&n| possible(n)).map(Value::Float);
        match self {
            Values::Count { least, most } => match *value {
                Value::Integer(n) if u64::try_from(n).is_ok_and(|n| (least..=most).contains(&n)) => Some(value.clone()),
                _ => None,
            },
            Values::Counts => match value {
                Value::Array(all) if all.iter().all(|n| matches!(n, Value::Integer(n) if *n >= 0)) => {
                    Some(value.clone())
                }
                _ => None,
            },
            Values::Probability => number_if(|n| (0.0..1.0).contains(&n)),
            Values::Share => number_if(|n| (0.0..=1.0).contains(&n)),
            Values::PositiveShare => number_if(|n| n > 0.0 && n <= 1.0),
            Values::Positive => number_if(|n| n > 0.0),
            Values::NonNegative => number_if(|n| n >= 0.0),
            Values::Flag => value.is_bool().then(|| value.clone()),
            Values::Text => value.is_str().then(|| value.clone()),
            Values::Texts => match value {
                Value::Array(all) if all.iter().all(Value::is_str) => Some(value.clone()),
                _ => None,
            },
            Values::Choice(choices) => value.as_str().filter(|text| choices.contains(text)).map(|_| value.clone()),
        }
    }
}

/// What is expected, as the end of a sentence: `an integer from 1 to 4096`.
impl fmt::Display for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Values::Count { least, most } if *most >= 1_000_000_000_000 => write!(f, "an integer, {least} or more"),
            Values::Count { least, most } => write!(f, "an integer from {least} to {most}"),
            Values::Counts => f.write_str("a list of integers like [4, 4]"),
            Values::Probability => f.write_str("a probability, at least 0 and below 1"),
            Values::Share => f.write_str("a number from 0 to 1"),
            Values::PositiveShare => f.write_str("a number above 0, at most 1"),
            Values::Positive => f.write_str("a number above 0"),
            Values::NonNegative => f.write_str("a number, 0 or more"),
            Values::Flag => f.write_str("true or false"),
            Values::Text => f.write_str("a text in quotes"),
            Values::Texts => f.write_str("a list of texts like [\"de\", \"fr\"]"),
            Values::Choice(choices) => {
                let quoted: Vec<String> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
                write!(f, "one of {}", quoted.join(", "))
            }
        }
    }
}

impl Key {
    /// The section, e.g. `train`.
    pub fn section(&self) -> &'static str {
        self.name.split_once('.').map_or("", |(section, _)| section)
    }

    /// The key within its section, e.g. `updates`.
    pub fn leaf(&self) -> &'static str {
        self.name.split_once('.').map_or(self.name, |(_, leaf)| leaf)
    }
}

/// The sections that have keys, in the order of a written recipe.
pub const SECTIONS: [&str; 4] = ["data", "model", "train", "translate"];

/// Every key, section by section.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    let translate = [SearchOptions::KEYS, TranslateSection::KEYS];
    [DataSection::KEYS, ModelSection::KEYS, TrainSection::KEYS].into_iter().chain(translate).flatten()
}

/// The key of a name like `train.updates`.
pub fn key(name: &str) -> Option<&'static Key> {
    keys().find(|key| key.name == name)
}

/// The table of keys for people.
pub fn render_keys() -> String {
    let mut text = String::new();
    for section in SECTIONS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "[{section}]");
        for key in keys().filter(|key| key.section() == section) {
            let default = format!("{} = {}", key.leaf(), key.default);
            let _ = writeln!(text, "{default:<32} {}", key.meaning);
            let _ = writeln!(text, "{:<32} ({})", "", key.values);
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_has_keys_and_no_name_occurs_twice() {
        let mut names: Vec<&str> = keys().map(|key| key.name).collect();
        assert!(keys().all(|key| SECTIONS.contains(&key.section())));
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn every_default_is_a_value_that_its_key_takes() {
        for key in keys() {
            let value: Value = format!("v = {}", key.default).parse::<toml::Table>().unwrap().remove("v").unwrap();
            assert!(key.values.accept(&value).is_some(), "{} = {}", key.name, key.default);
        }
    }

    #[test]
    fn values_are_accepted_within_their_bounds_only() {
        let accepted = |values: Values, toml: &str| {
            let value = format!("v = {toml}").parse::<toml::Table>().unwrap().remove("v").unwrap();
            values.accept(&value).is_some()
        };
        let cases = [
            (Values::count(1, 3), &["1", "3"][..], &["0", "4", "-1", "1.0", "\"1\"", "[1]"][..]),
            (Values::Counts, &["[]", "[0, 4]"], &["[-1]", "[1.5]", "4", "[\"4\"]"]),
            (Values::Probability, &["0", "0.5"], &["1", "1.0", "-0.1", "nan", "true"]),
            (Values::Share, &["0", "1", "0.5"], &["1.1", "nan"]),
            (Values::PositiveShare, &["1e-9", "1"], &["0", "1.1", "nan"]),
            (Values::Positive, &["1e-9", "3"], &["0", "-1", "inf", "nan"]),
            (Values::NonNegative, &["0", "3"], &["-1", "inf"]),
            (Values::Flag, &["true", "false"], &["0", "\"true\""]),
            (Values::Text, &["\"\""], &["1", "[]"]),
            (Values::Texts, &["[]", "[\"a\"]"], &["[1]", "\"a\""]),
            (Values::Choice(&["a", "b"]), &["\"a\""], &["\"c\"", "1", "\"\""]),
        ];
        for (values, good, bad) in cases {
            for toml in good {
                assert!(accepted(values, toml), "{values} should take {toml}");
            }
            for toml in bad {
                assert!(!accepted(values, toml), "{values} should refuse {toml}");
            }
        }
    }

    #[test]
    fn the_rendered_table_has_every_key_and_default() {
        let text = render_keys();
        for key in keys() {
            assert!(text.contains(&format!("{} = {}", key.leaf(), key.default)) && text.contains(key.meaning));
        }
    }
}
