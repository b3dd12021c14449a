//! Which held-out sentences of a prepared folder: options of `evaluate` and `analyze`.

use clap::Args;

/// A part of the held-out text.
#[derive(Debug, Args)]
pub struct Selection {
    /// test or valid
    #[arg(long, default_value = "test")]
    pub split: String,
    /// Only these directions, comma-separated, such as en-de,de-en [default: all]
    #[arg(long, value_delimiter = ',', value_name = "DIRECTIONS")]
    pub directions: Vec<String>,
    /// Only the first N sentences of each direction [default: all]
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N", value_parser = crate::flags::count)]
    pub max_sentences: usize,
}
