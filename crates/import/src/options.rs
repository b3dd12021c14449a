//! Options of a configuration, read strictly: what is not supported is an error that names it.

use std::path::{Path, PathBuf};

use serde_json::Value;
use strata_files::regular;

use crate::error::Error;

/// A JSON object of options.
pub(crate) struct Options {
    path: PathBuf,
    json: Value,
}

impl Options {
    /// Reads a file.
    ///
    /// # Errors
    /// A file that is missing or no JSON object.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = regular::read(path)?;
        match serde_json::from_slice(&bytes) {
            Ok(json @ Value::Object(_)) => Ok(Self { path: path.to_path_buf(), json }),
            Ok(_) => Err(Error::mismatch(path, "it is no JSON object")),
            Err(e) => Err(Error::mismatch(path, format!("it is not JSON: {e}"))),
        }
    }

    /// Reads a file if it is there.
    ///
    /// # Errors
    /// As [`Options::read`].
    pub fn read_if_there(path: &Path) -> Result<Option<Self>, Error> {
        path.exists().then(|| Self::read(path)).transpose()
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All options.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.json.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of an option; null where it is not there.
    pub fn get(&self, key: &str) -> &Value {
        &self.json[key]
    }

    /// A whole number.
    ///
    /// # Errors
    /// An option that is missing or something else.
    pub fn number(&self, key: &str) -> Result<usize, Error> {
        let number = self.json[key].as_u64().and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| self.unsupported(key, "a whole number"))
    }

    /// A real number, `default` where it is not there.
    ///
    /// # Errors
    /// Something else.
    pub fn real(&self, key: &str, default: f64) -> Result<f64, Error> {
        match &self.json[key] {
            Value::Null => Ok(default),
            value => value.as_f64().ok_or_else(|| self.unsupported(key, "a number")),
        }
    }

    /// A switch, `default` where it is not there.
    ///
    /// # Errors
    /// Something else.
    pub fn switch(&self, key: &str, default: bool) -> Result<bool, Error> {
        match &self.json[key] {
            Value::Null => Ok(default),
            value => value.as_bool().ok_or_else(|| self.unsupported(key, "true or false")),
        }
    }

    /// A switch that may only have one position.
    ///
    /// # Errors
    /// The other one.
    pub fn must_be(&self, key: &str, default: bool, only: bool) -> Result<(), Error> {
        if self.switch(key, default)? == only { Ok(()) } else { Err(self.unsupported(key, &only.to_string())) }
    }

    /// Text, if it is there.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.json[key].as_str()
    }

    /// That an option has a value that Strata does not compute.
    pub fn unsupported(&self, key: &str, supported: &str) -> Error {
        let value = match &self.json[key] {
            Value::Null => "(missing)".to_owned(),
            value => value.to_string(),
        };
        Error::Option { path: self.path.clone(), option: key.to_owned(), value, supported: supported.to_owned() }
    }
}
