//! Version 2 of the format: version 1 without the table of the embedding, whose rows are those of the output projection.

use strata_recipe::ModelConfig;
use strata_store::TensorFile;

use super::v1::{self, Header};
use crate::error::Error;
use crate::model::Model;

/// The model of the parts in `file`.
pub(super) fn load(header: &Header, config: &ModelConfig, file: &TensorFile) -> Result<Model, Error> {
    v1::load_parts(header, config, file, false)
}
