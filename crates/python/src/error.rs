//! Errors as Python's exceptions, in the words of the command line.

use std::error::Error;

use pyo3::PyErr;
use pyo3::exceptions::PyException;

pyo3::create_exception!(
    strata_mt,
    StrataError,
    PyException,
    "What a model, a file or an option does not allow, and what to do."
);

/// What may go wrong outside of Python.
pub type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The exception of an error.
pub fn exception(error: &(dyn Error + 'static)) -> PyErr {
    StrataError::new_err(strata_files::with_causes(error))
}
