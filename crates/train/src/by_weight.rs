//! Tensors that a file holds for each weight of a model, such as an optimizer's moments.

use std::collections::HashMap;

use burn::tensor::{Tensor, TensorData};
use strata_model::{InnerIfAutodiff, Transformer, WeightVisitor, read_weight};
use strata_store::TensorFile;

use crate::error::Error;

/// For each weight of the model, by its name, the tensors of `file` with these prefixes before that name: flattened, on
/// the weight's device.
///
/// # Errors
/// [`Error::Model`] naming a tensor that is missing or has another shape.
pub(crate) fn read_by_weight<const N: usize>(
    model: &mut Transformer,
    file: &TensorFile,
    prefixes: [&str; N],
) -> Result<HashMap<String, [Tensor<1>; N]>, Error> {
    struct Read<'a, const N: usize> {
        file: &'a TensorFile,
        prefixes: [&'a str; N],
        found: Result<HashMap<String, [Tensor<1>; N]>, strata_model::Error>,
    }
    impl<const N: usize> WeightVisitor for Read<'_, N> {
        fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
            let Ok(found) = &mut self.found else { return };
            let device = weight.clone().inner_if_autodiff().device();
            let read = |prefix: &str| read_weight(self.file, prefix, name, &weight.dims());
            let values: Result<Vec<Vec<f32>>, _> = self.prefixes.into_iter().map(read).collect();
            match values {
                Ok(mut values) => {
                    let tensor = |i: usize| {
                        let values = std::mem::take(&mut values[i]);
                        let count = values.len();
                        Tensor::from_data(TensorData::new(values, [count]), &device)
                    };
                    found.insert(name.to_string(), std::array::from_fn(tensor));
                }
                Err(error) => self.found = Err(error),
            }
        }
    }
    let mut read = Read { file, prefixes, found: Ok(HashMap::new()) };
    model.visit_weights(&mut read);
    Ok(read.found?)
}
