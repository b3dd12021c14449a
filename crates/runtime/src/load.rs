//! Loading a model folder: its weights are packed into the model's parts.

use std::borrow::Cow;
use std::collections::HashSet;

use strata_recipe::ModelConfig;
use strata_store::ModelFolder;

use crate::error::Error;
use crate::linear::{Linear, Precision, Shape};
use crate::model::Model;
use crate::parts::{LinearSpec, Parts};
use crate::storage::Storage;
use crate::weights::Weights;

impl Model {
    /// Loads and packs the weights of a model folder.
    ///
    /// # Errors
    /// [`Error::Store`] for a file that cannot be read, or a tensor that is missing, not finite or of another shape;
    /// [`Error::Weights`] for a tensor that belongs to no weight of the model, or a file that changed while it was
    /// read.
    pub fn load(folder: &ModelFolder, precision: Precision) -> Result<Self, Error> {
        let config = folder.model_config()?;
        let file = folder.weights()?;
        file.check_finite()?;
        let mut packer = Packer { weights: &file, precision, used: HashSet::new() };
        let model = Self::build(&config, precision, &mut packer)?;
        if let Some(change) = file.mapped().change() {
            return Err(Error::Weights(format!("{change}; load the model again when its folder is whole")));
        }
        match file.names().find(|name| !packer.used.contains(*name)) {
            Some(name) => Err(Error::Weights(format!(
                "{}: tensor `{name}` belongs to no weight of this model; config.json and the weights do not fit together",
                file.path().display()
            ))),
            None => Ok(model),
        }
    }

    /// Packs weights from any source.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration; what `weights` reports.
    pub fn pack(config: &ModelConfig, weights: &dyn Weights, precision: Precision) -> Result<Self, Error> {
        Self::build(config, precision, &mut Packer { weights, precision, used: HashSet::new() })
    }
}

/// Makes parts from weights, by name.
struct Packer<'a> {
    weights: &'a dyn Weights,
    precision: Precision,
    /// Names that were asked for.
    used: HashSet<String>,
}

impl<'a> Packer<'a> {
    /// The values of several weights of the same shape, concatenated.
    fn together(&mut self, maps: &[String], kind: &str, shape: &[usize]) -> Result<Cow<'a, [f32]>, Error> {
        let weights = self.weights;
        let names: Vec<String> = maps.iter().map(|map| format!("{map}.{kind}")).collect();
        self.used.extend(names.iter().cloned());
        if let [one] = names.as_slice() {
            return weights.f32(one, shape);
        }
        let mut all = Vec::with_capacity(names.len() * shape.iter().product::<usize>());
        for name in &names {
            all.extend_from_slice(&weights.f32(name, shape)?);
        }
        Ok(Cow::Owned(all))
    }
}

impl Parts for Packer<'_> {
    fn linear(&mut self, spec: LinearSpec<'_>) -> Result<Linear, Error> {
        let LinearSpec { maps, outputs, inputs, bias, exact, .. } = spec;
        let each = outputs / maps.len();
        let precision = if exact { Precision::F32 } else { self.precision };
        let bias = if bias { Some(self.together(maps, "bias", &[each])?.into_owned()) } else { None };
        let weight = self.together(maps, "weight", &[each, inputs])?;
        Ok(Linear::pack_stacked(&weight, bias.as_deref(), Shape { outputs, inputs, precision }, maps.len()))
    }

    fn vector(&mut self, name: &str, len: usize) -> Result<Storage<f32>, Error> {
        self.used.insert(name.to_owned());
        Ok(Storage::copy(&self.weights.f32(name, &[len])?))
    }
}
