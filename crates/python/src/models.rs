//! Models in other forms.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyAny;
use serde_json::Value;
use strata_runtime::{PackedFolder, Precision};
use strata_store::{Existing, ModelFolder, resolve_model};
use strata_translate::{export_ctranslate2, export_packed};

use crate::error::{Result, StrataError, exception};

/// JSON as Python's dictionaries and lists.
pub fn python_of<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    py.import("json")?.call_method1("loads", (value.to_string(),))
}

/// The precision of that name.
pub fn precision_of(name: &str) -> PyResult<Precision> {
    name.parse().map_err(|error: strata_runtime::InvalidPrecision| StrataError::new_err(error.to_string()))
}

/// Writes a model in another form.
#[pyfunction]
#[pyo3(signature = (model, output, *, format="packed", precision="f32", vocabulary_map=None))]
pub fn export(
    py: Python<'_>,
    model: PathBuf,
    output: PathBuf,
    format: &str,
    precision: &str,
    vocabulary_map: Option<PathBuf>,
) -> PyResult<PathBuf> {
    let precision = precision_of(precision)?;
    if !matches!(format, "packed" | "ctranslate2" | "huggingface") {
        return Err(StrataError::new_err(format!("format `{format}`: choose packed, ctranslate2 or huggingface")));
    }
    if format != "packed" && precision != Precision::F32 {
        let instead = if format == "ctranslate2" { "compute_type=\"int8\"" } else { "dtype=torch.bfloat16" };
        return Err(StrataError::new_err(format!(
            "format `{format}` holds f32; pass {instead} or another where it is loaded"
        )));
    }
    if PackedFolder::is_at(&model) {
        return Err(StrataError::new_err(format!(
            "{} is a packed folder, made for translation alone; name the model, checkpoint or run that it was exported \
             from",
            model.display()
        )));
    }
    if vocabulary_map.is_some() && format != "packed" {
        return Err(StrataError::new_err("vocabulary_map: only a packed folder holds one"));
    }
    let written = || -> Result<PathBuf> {
        let folder = ModelFolder::open(resolve_model(&model)?)?;
        Ok(match format {
            "packed" => export_packed(&folder, precision, vocabulary_map.as_deref(), &output, Existing::Refuse)?,
            "ctranslate2" => export_ctranslate2(&folder, &output, Existing::Refuse)?,
            _ => strata_import::export_huggingface(&folder, &output, Existing::Refuse)?,
        })
    };
    py.detach(written).map_err(|error| exception(&*error))
}

/// Turns a model of another program into a model folder.
#[pyfunction]
#[pyo3(signature = (model, output, *, source=None, target=None))]
pub fn import_model<'py>(
    py: Python<'py>,
    model: PathBuf,
    output: PathBuf,
    source: Option<String>,
    target: Option<String>,
) -> PyResult<Bound<'py, PyAny>> {
    let options = strata_import::Options { from: source, to: target };
    let summary = py
        .detach(|| strata_import::import(&model, &output, &options, Existing::Refuse))
        .map_err(|error| exception(&error))?;
    let summary = serde_json::to_value(&summary).map_err(|error| exception(&error))?;
    python_of(py, &summary)
}
