//! Adam over the pieces that this rank owns.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use strata_kernels::{AdamStep, Moments, adam};
use strata_model::{InnerIfAutodiff, Transformer, WeightVisitor, push_weight, read_weight};
use strata_ranks::Ranks;
use strata_store::{TensorFile, TensorList};

use super::layout::Layout;
use super::reduce::SharedGradients;
use crate::error::Error;

/// Adam's moments for the pieces of this rank, by their places in the layout.
pub(crate) struct SharedAdam {
    ranks: Ranks,
    pub layout: Layout,
    moments: HashMap<usize, Moments<1>>,
}

impl SharedAdam {
    /// No moments yet.
    pub fn new(ranks: &Ranks, model: &mut Transformer) -> Self {
        struct Sizes(Vec<(String, usize)>);
        impl WeightVisitor for Sizes {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                self.0.push((name.to_string(), weight.dims().iter().product()));
            }
        }
        let mut sizes = Sizes(Vec::new());
        model.visit_weights(&mut sizes);
        Self { ranks: ranks.counting("weights"), layout: Layout::new(sizes.0, ranks.size()), moments: HashMap::new() }
    }

    /// Takes one step: each rank with its pieces, after which all have all new weights. A weight without a gradient
    /// counts as one of gradient zero.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn step(
        &mut self,
        model: &mut Transformer,
        mut gradients: SharedGradients,
        step: &AdamStep,
    ) -> Result<(), Error> {
        let device = model.device().inner();
        let weights = values(model);
        let mut mine = Vec::new();
        for place in self.layout.of(self.ranks.rank()) {
            let piece = &self.layout.pieces[place];
            let flat = tensor(weights[piece.weight][piece.range.clone()].to_vec(), &device);
            let moments = self
                .moments
                .remove(&place)
                .unwrap_or_else(|| Moments { first: flat.zeros_like(), second: flat.zeros_like() });
            let gradient = gradients.sums.remove(&place).map(|values| tensor(values, &device));
            let gradient = gradient.unwrap_or_else(|| flat.zeros_like());
            let (flat, moments) = adam(flat, gradient, moments, step);
            self.moments.insert(place, moments);
            mine.push(host(flat));
        }
        drop(weights);
        let weights = self.layout.collect(&self.ranks, &mine, true)?;
        replace(model, weights);
        Ok(())
    }

    /// Copies of all ranks' moments as `first.NAME` and `second.NAME`, on rank 0; nothing on the others.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn tensors(&self, model: &mut Transformer) -> Result<TensorList<'static>, Error> {
        struct Push {
            list: TensorList<'static>,
            first: std::vec::IntoIter<Vec<f32>>,
            second: std::vec::IntoIter<Vec<f32>>,
        }
        impl WeightVisitor for Push {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                for (prefix, values) in [("first.", self.first.next()), ("second.", self.second.next())] {
                    push_weight(&mut self.list, prefix, name, &weight.dims(), values.unwrap_or_default());
                }
            }
        }
        let ranks = self.ranks.counting("checkpoints");
        let of = |which: fn(&Moments<1>) -> &Tensor<1>| -> Result<std::vec::IntoIter<Vec<f32>>, Error> {
            let places = self.layout.of(self.ranks.rank());
            let mine = places.map(|place| match self.moments.get(&place) {
                Some(moments) => host(which(moments).clone()),
                None => vec![0.0; self.layout.pieces[place].range.len()],
            });
            Ok(self.layout.collect(&ranks, &mine.collect::<Vec<_>>(), false)?.into_iter())
        };
        let (first, second) = (of(|moments| &moments.first)?, of(|moments| &moments.second)?);
        let mut push = Push { list: TensorList::new(), first, second };
        if self.ranks.is_first() {
            model.visit_weights(&mut push);
        }
        Ok(push.list)
    }

    /// Takes this rank's moments from those that [`SharedAdam::tensors`] wrote, on any number of ranks.
    ///
    /// # Errors
    /// [`Error::Model`] naming a tensor that is missing or has another shape.
    pub fn load(&mut self, model: &mut Transformer, file: &TensorFile) -> Result<(), Error> {
        struct Load<'a> {
            file: &'a TensorFile,
            read: Vec<[Vec<f32>; 2]>,
            failed: Option<strata_model::Error>,
        }
        impl WeightVisitor for Load<'_> {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                let read = |prefix: &str| read_weight(self.file, prefix, name, &weight.dims());
                match (read("first."), read("second.")) {
                    (Ok(first), Ok(second)) => self.read.push([first, second]),
                    (Err(error), _) | (_, Err(error)) => drop(self.failed.get_or_insert(error)),
                }
            }
        }
        let mut load = Load { file, read: Vec::new(), failed: None };
        model.visit_weights(&mut load);
        if let Some(error) = load.failed {
            return Err(error.into());
        }
        let device = model.device().inner();
        let places: Vec<usize> = self.layout.of(self.ranks.rank()).collect();
        for place in places {
            let piece = &self.layout.pieces[place];
            let part = |values: &[f32]| tensor(values[piece.range.clone()].to_vec(), &device);
            let [first, second] = &load.read[piece.weight];
            self.moments.insert(place, Moments { first: part(first), second: part(second) });
        }
        Ok(())
    }
}

/// A plain tensor of `values`.
fn tensor(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), device)
}

/// A tensor's values on the host.
fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

/// The values of all weights, in the order of the model.
fn values(model: &mut Transformer) -> Vec<Vec<f32>> {
    struct Collect(Vec<Vec<f32>>);
    impl WeightVisitor for Collect {
        fn visit_weight<const D: usize>(&mut self, _: &str, weight: &mut Tensor<D>) {
            self.0.push(host(weight.clone().inner_if_autodiff()));
        }
    }
    let mut collect = Collect(Vec::new());
    model.visit_weights(&mut collect);
    collect.0
}

/// Gives the weights of `model` these values, in its order.
fn replace(model: &mut Transformer, values: Vec<Vec<f32>>) {
    struct Replace(std::vec::IntoIter<Vec<f32>>);
    impl WeightVisitor for Replace {
        fn visit_weight<const D: usize>(&mut self, _: &str, weight: &mut Tensor<D>) {
            if let Some(values) = self.0.next() {
                let data = TensorData::new(values, weight.dims());
                *weight = Tensor::from_data(data, &weight.device()).require_grad();
            }
        }
    }
    model.visit_weights(&mut Replace(values.into_iter()));
}
