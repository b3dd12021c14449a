//! Errors in the words of the command line: libraries name an option as their settings do, users know its flag.

use std::str::FromStr;

use strata_recipe::ConfigError;

/// A whole number, whose range the command checks.
pub fn count(text: &str) -> Result<usize, String> {
    number(text)
}

/// The same for numbers that count nothing, such as seeds.
pub fn seed(text: &str) -> Result<u64, String> {
    number(text)
}

fn number<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "write a whole number, 0 or more".to_string())
}

/// `beam = 0 must be ...` as `--beam 0 must be ...`.
pub fn of_config(error: &ConfigError) -> anyhow::Error {
    let rest = error.message.strip_prefix(&format!("{} =", error.key)).unwrap_or(&error.message);
    anyhow::anyhow!("--{}{rest}", error.key.replace('_', "-"))
}

/// `option subwords.vocab_size: ...` as `--vocab-size: ...`.
pub fn of_corpus(error: strata_corpus::Error) -> anyhow::Error {
    match error {
        strata_corpus::Error::Option { option, reason } => match flag(option) {
            Some(flag) => anyhow::anyhow!("--{flag}: {reason}"),
            None => strata_corpus::Error::Option { option, reason }.into(),
        },
        error => error.into(),
    }
}

/// The flag of an option of `strata prepare`, `strata fetch synthetic` and `strata fetch dictionaries`.
fn flag(option: &str) -> Option<&str> {
    Some(match option {
        "languages" | "pairs" | "words" | "steps" | "directions" | "output" => option,
        "limits.max_character_ratio" => "max-length-ratio",
        "subwords.vocab_size" => "vocab-size",
        "subwords.temperature" => "subword-temperature",
        "subwords.sample_sentences" => "subword-sentences",
        "subwords.character_coverage" => "character-coverage",
        _ => return None,
    })
}
