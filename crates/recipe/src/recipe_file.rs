//! A recipe file: its keys with their lines, its variants, and how both become a [`Recipe`].
//!
//! ```
//! use strata_recipe::RecipeFile;
//!
//! let file = RecipeFile::parse(
//!     r#"
//!         [model]
//!         strata = [4, 4]
//!         [variant.moe]
//!         model.kind = "moe"
//!         model.strata = []
//!         model.experts = 8
//!     "#,
//!     "my.toml",
//! )?;
//! assert_eq!(file.variants().collect::<Vec<_>>(), ["moe"]);
//! assert_eq!(file.resolve(None, &[])?.planned_model_config()?.name(), "SMoE-4-4");
//! assert_eq!(file.resolve(Some("moe"), &[])?.planned_model_config()?.name(), "MoE-8");
//!
//! let error = file.resolve(Some("Moe8"), &[]).unwrap_err();
//! assert_eq!(error.to_string(), "my.toml has no variant `Moe8`; did you mean `moe`? (variants: moe)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Value;
use toml::de::{DeTable, DeValue};

use crate::agreement::{Fault, check};
use crate::error::Error;
use crate::init;
use crate::keys::{Key, SECTIONS, Values, key, keys};
use crate::model_config::ModelConfig;
use crate::recipe::Recipe;
use crate::suggest::nearest;
use crate::wording::{unknown_key, unknown_section, wrong_value};

/// A recipe as written: parsed, its keys and values checked one by one, no variant chosen yet.
#[derive(Debug, Clone)]
pub struct RecipeFile {
    origin: String,
    /// The file's name without extension, for the default run folder.
    stem: String,
    base: Settings,
    /// In the order of the file.
    variants: Vec<(String, Settings)>,
}

/// Values by key name, each with the place where it was set.
type Settings = BTreeMap<&'static str, (Value, Place)>;

/// Where a key was set.
#[derive(Debug, Clone, PartialEq)]
enum Place {
    /// Nowhere: its default holds.
    Default,
    Base(usize),
    Variant(usize),
    Override,
}

impl RecipeFile {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Io`] if it cannot be read, [`Error::NotUtf8`], otherwise as
    /// [`RecipeFile::parse`].
    pub fn open(path: &Path) -> Result<RecipeFile, Error> {
        let origin = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| Error::unreadable(origin.clone(), source))?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
            Error::NotUtf8 { path: origin.clone(), line }
        })?;
        RecipeFile::parse(&text, &origin)
    }

    /// Parses the text of a recipe; `origin` names it in errors.
    ///
    /// # Errors
    /// [`Error::Recipe`] with the line: text that is not TOML, an unknown key, a value that a key does not take.
    pub fn parse(text: &str, origin: &str) -> Result<RecipeFile, Error> {
        let reader = Reader { text, origin };
        let document = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| reader.line(span.start));
            reader.fault(line, format!("not TOML: {}", error.message().trim_end().replace('\n', "; ")))
        })?;
        let mut base = Settings::new();
        let mut variants: Vec<(usize, String, Settings)> = Vec::new();
        for (name, value) in document.get_ref() {
            let (name, at) = (name.get_ref().as_ref(), name.span().start);
            match value.get_ref().as_table() {
                Some(tables) if name == "variant" => {
                    for (name, value) in tables {
                        let (name, at) = (name.get_ref().as_ref(), name.span().start);
                        let Some(sections) = value.get_ref().as_table() else {
                            let message = format!("`variant.{name}` must be a table like [variant.{name}]");
                            return Err(reader.fault(reader.line(at), message));
                        };
                        let mut settings = Settings::new();
                        for (section, value) in sections {
                            let (section, at) = (section.get_ref().as_ref(), section.span().start);
                            reader.section(section, at, value.get_ref(), Place::Variant, &mut settings)?;
                        }
                        variants.push((at, name.to_owned(), settings));
                    }
                }
                _ => reader.section(name, at, value.get_ref(), Place::Base, &mut base)?,
            }
        }
        variants.sort_by_key(|(at, ..)| *at);
        Ok(RecipeFile {
            origin: origin.to_owned(),
            stem: Path::new(origin).file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
            base,
            variants: variants.into_iter().map(|(_, name, settings)| (name, settings)).collect(),
        })
    }

    /// The names of the variants, in the order of the file.
    pub fn variants(&self) -> impl Iterator<Item = &str> {
        self.variants.iter().map(|(name, _)| name.as_str())
    }

    /// The recipe: the defaults, changed by the file, changed by the variant, changed by `overrides` (`train.updates`,
    /// `100`). A value of an override is TOML; texts need no quotes and lists no brackets. An empty `train.output`
    /// becomes `runs/FILE-VARIANT`.
    ///
    /// # Errors
    /// [`Error::UnknownVariant`]; [`Error::Override`] for an unknown key or bad value of an override; [`Error::Recipe`]
    /// for values that do not go together, with the line at fault; [`Error::NoVariant`] where a variant may mend that.
    pub fn resolve(&self, variant: Option<&str>, overrides: &[(String, String)]) -> Result<Recipe, Error> {
        self.finish(self.settings(variant, overrides)?, variant)
    }

    /// The model that training starts from, if the recipe names one (`train.init`).
    ///
    /// # Errors
    /// [`Error::UnknownVariant`], [`Error::Override`].
    pub fn init(&self, variant: Option<&str>, overrides: &[(String, String)]) -> Result<Option<String>, Error> {
        let settings = self.settings(variant, overrides)?;
        let named = settings.get("train.init").and_then(|(value, _)| value.as_str()).unwrap_or_default();
        Ok((!named.is_empty()).then(|| named.to_owned()))
    }

    /// [`RecipeFile::resolve`] for training that starts from `model`: what the recipe does not set in `[model]` is the
    /// model's, except the experts of a model that is upcycled.
    ///
    /// # Errors
    /// As [`RecipeFile::resolve`].
    pub fn resolve_from(
        &self,
        variant: Option<&str>,
        overrides: &[(String, String)],
        model: &ModelConfig,
    ) -> Result<Recipe, Error> {
        let mut settings = self.settings(variant, overrides)?;
        let upcycle = settings.get("train.upcycle").is_some_and(|(value, _)| value.as_bool() == Some(true));
        for (key, value) in init::defaults(model, upcycle) {
            if let Some((unset, Place::Default)) = settings.get_mut(key.name) {
                *unset = value;
            }
        }
        let longest = model.max_length as i64;
        if let Some((unset, Place::Default)) = settings.get_mut("data.max_length")
            && unset.as_integer().is_some_and(|default| default > longest)
        {
            *unset = Value::Integer(longest);
        }
        self.finish(settings, variant)
    }

    /// Every key with its value: the default, that of the file, of the variant or of `overrides`.
    fn settings(&self, variant: Option<&str>, overrides: &[(String, String)]) -> Result<Settings, Error> {
        let mut settings = defaults();
        settings.extend(self.base.clone());
        if let Some(name) = variant {
            let known = self.variants.iter().find(|(known, _)| known == name);
            let (_, changes) = known.ok_or_else(|| self.unknown_variant(name))?;
            settings.extend(changes.clone());
        }
        for (name, value) in overrides {
            let (key, value) = parse_override(name, value)?;
            settings.insert(key.name, (value, Place::Override));
        }
        Ok(settings)
    }

    /// The recipe of these values, which must agree with each other.
    fn finish(&self, mut settings: Settings, variant: Option<&str>) -> Result<Recipe, Error> {
        if let Some((output, _)) = settings.get_mut("train.output")
            && output.as_str() == Some("")
        {
            let suffix = variant.map_or(String::new(), |variant| format!("-{variant}"));
            *output = Value::String(format!("runs/{}{suffix}", self.stem));
        }
        let recipe = build(&settings).map_err(|message| Error::Recipe { place: self.origin.clone(), message })?;
        check(&recipe).map_err(|fault| self.locate(&fault, &settings, variant))?;
        Ok(recipe)
    }

    fn unknown_variant(&self, name: &str) -> Error {
        Error::UnknownVariant {
            origin: self.origin.clone(),
            name: name.to_owned(),
            nearest: nearest(name, self.variants()).map(str::to_owned),
            known: self.variants().map(str::to_owned).collect(),
        }
    }

    /// Adds to a contradiction the line of the key at fault, and says when it is a value that the variant did not
    /// change, or names the variants that change it where none was chosen.
    fn locate(&self, fault: &Fault, settings: &Settings, variant: Option<&str>) -> Error {
        let place = settings.get(fault.key).map_or(&Place::Default, |(_, place)| place);
        let mut message = fault.message.clone();
        if let (Some(variant), Place::Base(_)) = (variant, place) {
            let key = fault.key;
            message = format!("{message} (variant `{variant}` keeps this value; change {key} in [variant.{variant}])");
        }
        let place = match place {
            Place::Default => format!("{} (default of {})", self.origin, fault.key),
            Place::Base(line) | Place::Variant(line) => format!("{}, line {line}", self.origin),
            Place::Override => return Error::Override { setting: fault.key.to_string(), message },
        };
        let changes = |(_, settings): &&(String, Settings)| settings.contains_key(fault.key);
        let variants: Vec<String> = self.variants.iter().filter(changes).map(|(name, _)| name.clone()).collect();
        if variant.is_none() && !variants.is_empty() {
            return Error::NoVariant { place, message, variants };
        }
        Error::Recipe { place, message }
    }
}

/// Finds lines and builds errors while a text is parsed.
struct Reader<'a> {
    text: &'a str,
    origin: &'a str,
}

impl Reader<'_> {
    /// The line, from 1, of a byte offset.
    fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
    }

    fn fault(&self, line: usize, message: String) -> Error {
        Error::Recipe { place: format!("{}, line {line}", self.origin), message }
    }

    /// Checks the keys of one section (or of its part in a variant) into `settings`.
    fn section(
        &self,
        section: &str,
        at: usize,
        value: &DeValue<'_>,
        place: fn(usize) -> Place,
        settings: &mut Settings,
    ) -> Result<(), Error> {
        let line = self.line(at);
        let Some(table) = value.as_table() else {
            let message = match SECTIONS.contains(&section) {
                true => format!("`{section}` must be a section like [{section}]"),
                false => unknown_key(section),
            };
            return Err(self.fault(line, message));
        };
        if !SECTIONS.contains(&section) {
            return Err(self.fault(line, unknown_section(section)));
        }
        for (name, value) in table {
            let line = self.line(name.span().start);
            let name = format!("{section}.{}", name.get_ref());
            let key = key(&name).ok_or_else(|| self.fault(line, unknown_key(&name)))?;
            let value = plain(value.get_ref());
            let accepted = value.as_ref().and_then(|value| key.values.accept(value));
            let accepted =
                accepted.ok_or_else(|| self.fault(line, wrong_value(key.name, key.values, value.as_ref())))?;
            settings.insert(key.name, (accepted, place(line)));
        }
        Ok(())
    }
}

/// A parsed value without its spans; none if it is of a kind that no key takes.
fn plain(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(integer) => Value::Integer(i64::from_str_radix(integer.as_str(), integer.radix()).ok()?),
        DeValue::Float(float) => Value::Float(float.as_str().parse().ok()?),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Array(all) => Value::Array(all.iter().map(|value| plain(value.get_ref())).collect::<Option<_>>()?),
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}

/// The key and the value of an override.
fn parse_override(name: &str, text: &str) -> Result<(&'static Key, Value), Error> {
    let refuse = |message| Error::Override { setting: format!("{name}={text}"), message };
    let key = key(name).ok_or_else(|| refuse(unknown_key(name)))?;
    let listed = |item: fn(&str) -> String| {
        let items: Vec<String> =
            text.split(',').map(|part| item(part.trim())).filter(|item| !item.is_empty()).collect();
        format!("[{}]", items.join(", "))
    };
    let bare = !text.trim_start().starts_with(['[', '"', '\'']);
    let toml = match key.values {
        Values::Text | Values::Choice(_) if bare => Value::String(text.to_owned()).to_string(),
        Values::Counts if bare => listed(str::to_owned),
        Values::Texts if bare => listed(|item| match item {
            "" => String::new(),
            item => Value::String(item.to_owned()).to_string(),
        }),
        _ => text.to_owned(),
    };
    let value = DeValue::parse(&toml).ok().and_then(|value| plain(value.get_ref()));
    match value.as_ref().and_then(|value| key.values.accept(value)) {
        Some(value) => Ok((key, value)),
        None => Err(refuse(wrong_value(key.name, key.values, value.as_ref()))),
    }
}

/// Every key with its default.
fn defaults() -> Settings {
    let parsed = |key: &Key| DeValue::parse(key.default).ok().and_then(|value| plain(value.get_ref()));
    // A default that is no value of its key would be missed by `build`; a test holds that there is none.
    keys().filter_map(|key| Some((key.name, (key.values.accept(&parsed(key)?)?, Place::Default)))).collect()
}

/// From flat keys to the sections.
fn build(settings: &Settings) -> Result<Recipe, String> {
    let mut sections = toml::Table::new();
    for (name, (value, _)) in settings {
        let (section, leaf) = name.split_once('.').unwrap_or(("", name));
        let section = sections.entry(section).or_insert_with(|| Value::Table(toml::Table::new()));
        if let Value::Table(section) = section {
            section.insert(leaf.to_owned(), value.clone());
        }
    }
    Recipe::deserialize(sections).map_err(|error| error.message().to_owned())
}

#[cfg(test)]
mod tests;
