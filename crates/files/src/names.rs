//! The files that prepared folders, model folders and packed folders have in common.

/// The subword model.
pub const TOKENIZER_FILE: &str = "tokenizer.json";
/// The languages, their resource levels and the directions.
pub const LANGUAGES_FILE: &str = "languages.json";
