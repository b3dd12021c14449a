//! What a user can ask of a search: one table of options for recipes, the command line, the server and the library.

use serde::{Deserialize, Serialize};
use toml::Value;

use crate::error::ConfigError;
use crate::keys::{Key, Values};
use crate::wording::wrong_value;

/// Far beyond any sentence, and low enough that lengths never overflow.
const LONGEST: u64 = 1 << 20;
/// The widest beam.
const MOST_HYPOTHESES: u64 = 1024;

/// Writes [`SearchOptions`]: the struct, its defaults, the keys that recipes have, and the check of every value.
macro_rules! search_options {
    (
        recipe { $($key:ident: $key_type:ty = $key_default:literal, $key_values:expr, $key_meaning:literal;)* }
        output { $($out:ident: $out_type:ty = $out_default:literal, $out_values:expr, $out_meaning:literal;)* }
    ) => {
        /// How to search, and what to give back. Lengths are in subwords, the end mark included.
        ///
        /// A recipe's `[translate]` has all but the last three, which say what to give back and change no translation.
        #[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct SearchOptions {
            $(#[doc = $key_meaning] pub $key: $key_type,)*
            $(#[doc = $out_meaning] #[serde(skip)] pub $out: $out_type,)*
        }

        impl Default for SearchOptions {
            fn default() -> Self {
                Self { $($key: $key_default,)* $($out: $out_default,)* }
            }
        }

        impl SearchOptions {
            /// The options that a recipe's `[translate]` has.
            pub const KEYS: &'static [Key] = &[
                $(Key {
                    name: concat!("translate.", stringify!($key)),
                    values: $key_values,
                    default: stringify!($key_default),
                    meaning: $key_meaning,
                },)*
            ];

            /// Checks every value.
            ///
            /// # Errors
            /// [`ConfigError`] with the name of the first option whose value cannot be, and what it takes.
            pub fn check(&self) -> Result<(), ConfigError> {
                $(check(stringify!($key), $key_values, self.$key.value())?;)*
                $(check(stringify!($out), $out_values, self.$out.value())?;)*
                Ok(())
            }
        }
    };
}

search_options! {
    recipe {
        beam: usize = 5, Values::count(1, MOST_HYPOTHESES), "hypotheses kept by beam search; 1 = greedy";
        length_penalty: f64 = 1.0, Values::NonNegative, "scores are divided by length^length_penalty";
        max_ratio: f64 = 2.0, Values::NonNegative, "longest translation = max_ratio x source + max_extra";
        max_extra: usize = 20, Values::count(0, LONGEST), "subwords; see max_ratio";
        max_length: usize = 0, Values::count(0, LONGEST), "longest translation whatever the source; 0 = by max_ratio";
        min_length: usize = 0, Values::count(0, LONGEST), "shortest translation, as far as the longest allows";
        no_repeat_ngram: usize = 0, Values::count(0, LONGEST), "no sequence of this many subwords twice; 0 = off";
        coverage_penalty: f64 = 0.0, Values::NonNegative, "weight of the penalty on untranslated source words; 0 = off";
        sample: bool = false, Values::Flag, "draw translations at random instead of searching for the best";
        temperature: f64 = 1.0, Values::Positive, "sample: logits are divided by this";
        top_k: usize = 0, Values::count(0, u32::MAX as u64), "sample: only from the k most probable subwords; 0 = all";
        top_p: f64 = 1.0, Values::PositiveShare, "sample: only from the most probable that reach this probability";
        seed: u64 = 1, Values::count(0, i64::MAX as u64), "sample: the same seed draws the same";
    }
    output {
        nbest: usize = 1, Values::count(1, MOST_HYPOTHESES), "translations given back, the best first: at most `beam`, or as many as are drawn";
        alignments: bool = false, Values::Flag, "give each subword's attention to the source, and the words it aligns";
        routing: bool = false, Values::Flag, "give every token's way through the expert blocks";
    }
}

impl SearchOptions {
    /// Hypotheses side by side: those of the beam, or the translations to draw.
    pub fn width(&self) -> usize {
        if self.sample { self.nbest } else { self.beam }
    }
}

/// One value against what its option takes.
fn check(name: &'static str, values: Values, value: Value) -> Result<(), ConfigError> {
    match values.accept(&value) {
        Some(_) => Ok(()),
        None => Err(ConfigError { key: name, message: wrong_value(name, values, Some(&value)) }),
    }
}

/// The value of an option as a recipe writes it.
trait Setting {
    fn value(self) -> Value;
}

impl Setting for usize {
    fn value(self) -> Value {
        (self as u64).value()
    }
}

impl Setting for u64 {
    fn value(self) -> Value {
        Value::Integer(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl Setting for f64 {
    fn value(self) -> Value {
        Value::Float(self)
    }
}

impl Setting for bool {
    fn value(self) -> Value {
        Value::Boolean(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good_and_every_bad_value_is_named() {
        let plain = SearchOptions::default();
        assert_eq!(plain.check(), Ok(()));
        let refused = |change: fn(&mut SearchOptions)| {
            let mut options = plain;
            change(&mut options);
            options.check().expect_err("an error").message
        };
        assert_eq!(refused(|o| o.beam = 0), "beam = 0 must be an integer from 1 to 1024");
        assert_eq!(refused(|o| o.nbest = 5000), "nbest = 5000 must be an integer from 1 to 1024");
        assert_eq!(refused(|o| o.length_penalty = -1.0), "length_penalty = -1.0 must be a number, 0 or more");
        assert_eq!(refused(|o| o.max_ratio = f64::NAN), "max_ratio = nan must be a number, 0 or more");
        assert!(refused(|o| o.coverage_penalty = f64::INFINITY).starts_with("coverage_penalty = inf must be"));
        assert!(refused(|o| o.max_length = usize::MAX).starts_with("max_length = "));
        assert_eq!(refused(|o| o.temperature = 0.0), "temperature = 0.0 must be a number above 0");
        assert_eq!(refused(|o| o.top_p = 0.0), "top_p = 0.0 must be a number above 0, at most 1");
        assert!(refused(|o| o.top_p = 1.5).starts_with("top_p = 1.5 must be"));
        assert_eq!(SearchOptions { seed: u64::MAX, top_k: 7, sample: true, ..plain }.check(), Ok(()));
    }
}
