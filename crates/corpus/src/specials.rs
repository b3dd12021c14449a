//! The special tokens that every subword model here begins with: padding, end mark, unknown, one tag per language.

/// Id of the padding token `<pad>`.
pub const PAD: u32 = 0;
/// Id of the end mark `</s>`.
pub const EOS: u32 = 1;
/// Id of the unknown token `<unk>`; models with byte fallback never emit it.
pub const UNKNOWN: u32 = 2;
/// Names of the special tokens before the language tags, by id.
pub const SPECIALS: [&str; 3] = ["<pad>", "</s>", "<unk>"];

/// The names of all special tokens for these languages, by id.
pub(crate) fn special_names(languages: &[String]) -> Vec<String> {
    let tags = languages.iter().map(|language| format!("<2{language}>"));
    SPECIALS.iter().map(|s| s.to_string()).chain(tags).collect()
}
