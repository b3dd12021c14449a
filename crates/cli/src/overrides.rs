//! Which variant of a recipe, with which keys changed: options of every command that takes a recipe.

use std::path::Path;

use anyhow::Context;
use clap::Args;

/// A recipe's variant and changes to its keys.
#[derive(Debug, Args)]
pub struct Overrides {
    /// Variant of the recipe
    #[arg(long, value_name = "NAME")]
    pub variant: Option<String>,
    /// Change a key of the recipe; repeatable
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
}

impl Overrides {
    /// Whether neither is given.
    pub fn is_empty(&self) -> bool {
        self.variant.is_none() && self.set.is_empty()
    }
}

/// Parses `KEY=VALUE`.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    Ok((key.trim().to_string(), value.trim().to_string()))
}

/// A text as TOML: JSON's strings are TOML's basic strings.
pub fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A path as TOML.
///
/// # Errors
/// The path is not UTF-8.
pub fn quoted_path(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().with_context(|| format!("{}: recipes hold paths in UTF-8 only", path.display()))?;
    Ok(quoted(text))
}
