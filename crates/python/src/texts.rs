//! Python's texts as those of the library, and what is said to anything else.

use pyo3::exceptions::{PyTypeError, PyUnicodeEncodeError};
use pyo3::prelude::*;
use pyo3::types::PyString;

/// One text, or several.
pub enum Texts {
    /// A `str`.
    One(String),
    /// A sequence of them.
    Many(Vec<String>),
}

impl Texts {
    /// The texts that Python gives.
    ///
    /// # Errors
    /// A `TypeError` for all else, also for what UTF-8 cannot hold.
    pub fn of(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let texts = if given.is_instance_of::<PyString>() {
            given.extract().map(Self::One)
        } else {
            given.extract().map(Self::Many)
        };
        texts.map_err(|error| refused(given.py(), "texts", "a str or a sequence of str", error))
    }
}

/// A list of texts, the argument `name`.
///
/// # Errors
/// A `TypeError` for all else, also for a text alone and for what UTF-8 cannot hold.
pub fn list(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    given.extract().map_err(|error| refused(given.py(), name, "a sequence of str", error))
}

/// The error about an argument that is not `what` it must be. What other code raises meanwhile goes on as it is.
fn refused(py: Python<'_>, name: &str, what: &str, error: PyErr) -> PyErr {
    if error.is_instance_of::<PyUnicodeEncodeError>(py) {
        return PyTypeError::new_err(format!("{name} must be {what}, without lone surrogates"));
    }
    if !error.is_instance_of::<PyTypeError>(py) {
        return error;
    }
    PyTypeError::new_err(format!("{name} must be {what}"))
}
