//! A model's weights as named tensors of a file. Memory stacks the experts of a block in one tensor; files name each
//! expert by its index in the block, so that a checkpoint does not depend on the layout in memory.

use std::borrow::Cow;
use std::collections::HashSet;

use burn::tensor::{Tensor, TensorData};
use strata_kernels::host;
use strata_store::{TensorFile, TensorList};

use crate::error::Error;
use crate::parameter::WeightVisitor;
use crate::transformer::Transformer;

/// The names in a file of weight `name` and the shape of each of its tensors. Experts are stacked: `experts.*` from the
/// first on, `experts.4*` from number 4.
pub(crate) fn in_file(name: &str, shape: &[usize]) -> Vec<(String, Vec<usize>)> {
    let first = name.split_once('*').map_or("", |(before, _)| &before[without_number(before).len()..]);
    experts_in_file(name, first.parse().unwrap_or(0), shape)
}

/// The same for a stack of experts that begins with number `first`, whichever the name says.
pub fn experts_in_file(name: &str, first: usize, shape: &[usize]) -> Vec<(String, Vec<usize>)> {
    let Some((before, after)) = name.split_once('*') else { return vec![(name.to_string(), shape.to_vec())] };
    let path = without_number(before);
    (first..first + shape[0]).map(|e| (format!("{path}{e}{after}"), shape[1..].to_vec())).collect()
}

fn without_number(path: &str) -> &str {
    path.trim_end_matches(|c: char| c.is_ascii_digit())
}

/// Appends weight `name` with `values` to `list`, stacked experts one by one, each name behind `prefix`.
pub fn push_weight(list: &mut TensorList<'static>, prefix: &str, name: &str, shape: &[usize], values: Vec<f32>) {
    let parts = in_file(name, shape);
    let each = values.len() / parts.len().max(1);
    for (i, (name, shape)) in parts.into_iter().enumerate() {
        let values = values[i * each..(i + 1) * each].to_vec();
        list.push_f32(format!("{prefix}{name}"), &shape, Cow::Owned(values));
    }
}

/// The values of weight `name` of `shape` from a file: the inverse of [`push_weight`].
///
/// # Errors
/// [`Error::Store`] naming the tensor that is missing or has another shape.
pub fn read_weight(file: &TensorFile, prefix: &str, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
    let mut values = Vec::with_capacity(shape.iter().product());
    for (name, shape) in in_file(name, shape) {
        values.extend_from_slice(&file.f32(&format!("{prefix}{name}"), &shape)?);
    }
    Ok(values)
}

impl Transformer {
    /// Copies of all weights, by name.
    pub fn weights(&mut self) -> TensorList<'static> {
        struct Collect(TensorList<'static>);
        impl WeightVisitor for Collect {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                push_weight(&mut self.0, "", name, &weight.dims(), host(weight.clone().inner_if_autodiff()));
            }
        }
        let mut collect = Collect(TensorList::new());
        self.visit_weights(&mut collect);
        collect.0
    }

    /// Replaces all weights by those of `file`, which has all experts.
    ///
    /// # Errors
    /// [`Error::Store`] naming a tensor that is missing or has another shape; [`Error::Input`] naming one that the
    /// model lacks.
    pub fn load_weights(&mut self, file: &TensorFile) -> Result<(), Error> {
        self.replace_weights(file, |name, shape, _, used| {
            in_file(name, shape).iter().for_each(|(name, _)| used(name));
            read_weight(file, "", name, shape)
        })
    }

    /// Replaces each weight, by its name and shape, by what `values` makes of `file`. It gets the present values too,
    /// and reports the tensors that it uses.
    ///
    /// # Errors
    /// Those of `values`; [`Error::Input`] for a tensor that it does not use.
    pub(crate) fn replace_weights<F>(&mut self, file: &TensorFile, values: F) -> Result<(), Error>
    where
        F: FnMut(&str, &[usize], &dyn Fn() -> Vec<f32>, &mut dyn FnMut(&str)) -> Result<Vec<f32>, Error>,
    {
        struct Replace<F> {
            values: F,
            used: HashSet<String>,
            failed: Option<Error>,
        }
        impl<F> WeightVisitor for Replace<F>
        where
            F: FnMut(&str, &[usize], &dyn Fn() -> Vec<f32>, &mut dyn FnMut(&str)) -> Result<Vec<f32>, Error>,
        {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                if self.failed.is_some() {
                    return;
                }
                let shape = weight.dims();
                let present = || host(weight.clone().inner_if_autodiff());
                let mut used = |name: &str| {
                    self.used.insert(name.to_string());
                };
                match (self.values)(name, &shape, &present, &mut used) {
                    Ok(values) => {
                        let device = weight.device();
                        let new = Tensor::from_data(TensorData::new(values, shape), &device);
                        *weight = if device.is_autodiff() { new.require_grad() } else { new };
                    }
                    Err(error) => self.failed = Some(error),
                }
            }
        }
        let mut replace = Replace { values, used: HashSet::new(), failed: None };
        self.visit_weights(&mut replace);
        if let Some(error) = replace.failed {
            return Err(error);
        }
        // The experts of other shares are no mistake.
        let elsewhere = |name: &str| !self.share.is_all() && name.contains(".experts.");
        match file.names().find(|name| !replace.used.contains(*name) && !elsewhere(name)) {
            Some(name) => Err(Error::Input(format!(
                "{}: tensor `{name}` belongs to no weight of this model; config.json and the weights do not fit together",
                file.path().display()
            ))),
            None => Ok(()),
        }
    }
}

/// A tensor without its autodiff graph, whether or not it has one.
pub trait InnerIfAutodiff {
    /// The plain tensor.
    fn inner_if_autodiff(self) -> Self;
}

impl<const D: usize> InnerIfAutodiff for Tensor<D> {
    fn inner_if_autodiff(self) -> Self {
        if self.is_autodiff() { self.inner() } else { self }
    }
}
