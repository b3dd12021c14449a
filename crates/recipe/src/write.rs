//! A resolved recipe as TOML: self-contained, every key with its comment, for the folder of a run.

use std::fmt::Write;

use toml::Value;

use crate::keys::{SECTIONS, keys};
use crate::recipe::Recipe;

impl Recipe {
    /// This recipe as TOML, without variants. `heading` becomes comment lines at the top, e.g. where it came from.
    /// Reading it again gives an equal recipe.
    pub fn to_toml(&self, heading: &str) -> String {
        let mut text = String::new();
        for line in heading.lines() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{}", format!("# {line}").trim_end());
        }
        // A struct of plain fields always serializes.
        let recipe = Value::try_from(self).unwrap_or_else(|_| Value::Table(toml::Table::new()));
        for section in SECTIONS {
            let _ = writeln!(text, "{}[{section}]", if text.is_empty() { "" } else { "\n" });
            for key in keys().filter(|key| key.section() == section) {
                if let Some(value) = recipe.get(section).and_then(|section| section.get(key.leaf())) {
                    let setting = format!("{} = {value}", key.leaf());
                    let _ = writeln!(text, "{setting:<32} # {}", key.meaning);
                }
            }
        }
        text
    }
}
