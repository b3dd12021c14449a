//! Adam over the pieces that this rank owns.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use strata_kernels::{AdamStep, Moments, adam};
use strata_model::{InnerIfAutodiff, Transformer, WeightVisitor, push_weight};
use strata_ranks::Ranks;
use strata_store::{TensorFile, TensorList};

use super::layout::{Collect, Layout, Weight};
use super::reduce::SharedGradients;
use crate::by_weight::read_by_weight;
use crate::error::Error;
use crate::running_mean::{RunningMean, decay_at, mixed};

/// Adam's moments for the pieces of this rank, by their places in the layout, and their running mean.
pub(crate) struct SharedAdam {
    ranks: Ranks,
    pub layout: Layout,
    moments: HashMap<usize, Moments<1>>,
    /// `train.average_decay`; 0 = no mean.
    decay: f64,
    mean: HashMap<usize, Tensor<1>>,
}

impl SharedAdam {
    /// No moments yet. The experts of `model` are spread over groups of `group` ranks, 1 if all ranks hold all.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn new(ranks: &Ranks, group: usize, decay: f64, model: &mut Transformer) -> Result<Self, Error> {
        struct Sizes(Vec<(String, u32)>);
        impl WeightVisitor for Sizes {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                self.0.push((name.to_string(), weight.dims().iter().product::<usize>() as u32));
            }
        }
        let mut sizes = Sizes(Vec::new());
        model.visit_weights(&mut sizes);
        let all = ranks.gather(&sizes.0.iter().map(|(_, values)| *values).collect::<Vec<u32>>())?;
        let weight = |(place, (name, _)): (usize, (String, u32))| {
            let holders = if is_spread(&name, group) { group } else { 1 };
            Weight { name, shares: all[..holders].iter().map(|of| of[place] as usize).collect() }
        };
        let layout = Layout::new(sizes.0.into_iter().enumerate().map(weight).collect(), ranks.size(), group);
        Ok(Self { ranks: ranks.counting("weights"), layout, moments: HashMap::new(), decay, mean: HashMap::new() })
    }

    /// Takes one step: each rank with its pieces, after which all have the new weights that they hold. A weight without
    /// a gradient counts as one of gradient zero.
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
        let weights = self.layout.collect(&self.ranks, &mine, Collect::Holders)?;
        replace(model, weights);
        Ok(())
    }

    /// Takes the weights after `update` into the running mean, each rank those of its pieces.
    pub fn average(&mut self, model: &mut Transformer, update: u64) {
        if self.decay == 0.0 {
            return;
        }
        let (device, weights) = (model.device().inner(), values(model));
        for place in self.layout.of(self.ranks.rank()) {
            let piece = &self.layout.pieces[place];
            let flat = tensor(weights[piece.weight][piece.range.clone()].to_vec(), &device);
            let mean = mixed(self.mean.remove(&place), flat, decay_at(self.decay, update));
            self.mean.insert(place, mean);
        }
    }

    /// Copies of all ranks' moments as `first.NAME` and `second.NAME`, and of the running mean behind
    /// [`RunningMean::PREFIX`], on rank 0; nothing on the others.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn tensors(&self, model: &mut Transformer) -> Result<TensorList<'static>, Error> {
        let of = |which: fn(&Moments<1>) -> &Tensor<1>| {
            self.on_first(|place| self.moments.get(&place).map(|moments| host(which(moments).clone())))
        };
        let (first, second) = (of(|moments| &moments.first)?, of(|moments| &moments.second)?);
        let mut list = TensorList::new();
        self.append(&mut list, model, vec![("first.", first.into_iter()), ("second.", second.into_iter())]);
        if self.decay > 0.0 {
            self.append(&mut list, model, vec![(RunningMean::PREFIX, self.mean()?.into_iter())]);
        }
        Ok(list)
    }

    /// All weights, by name, on rank 0; nothing on the others.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn weights(&self, model: &mut Transformer) -> Result<TensorList<'static>, Error> {
        let (mut list, weights) = (TensorList::new(), self.whole(model)?);
        self.append(&mut list, model, vec![("", weights.into_iter())]);
        Ok(list)
    }

    /// The running mean of all weights, by name, on rank 0; nothing on the others.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn mean_weights(&self, model: &mut Transformer) -> Result<TensorList<'static>, Error> {
        let (mut list, mean) = (TensorList::new(), self.mean()?);
        self.append(&mut list, model, vec![("", mean.into_iter())]);
        Ok(list)
    }

    /// A model with all experts on rank 0, for what it does alone.
    ///
    /// # Errors
    /// Of the exchange; [`Error::Model`] if no such model can be made.
    pub fn whole_model(&self, model: &mut Transformer) -> Result<Option<Transformer>, Error> {
        let weights = self.whole(model)?;
        if !self.ranks.is_first() {
            return Ok(None);
        }
        let mut whole = Transformer::new(model.config(), 0, &model.device().inner())?;
        replace(&mut whole, weights);
        Ok(Some(whole))
    }

    /// The values of all weights on rank 0.
    fn whole(&self, model: &mut Transformer) -> Result<Vec<Vec<f32>>, Error> {
        let weights = values(model);
        self.on_first(|place| {
            let piece = &self.layout.pieces[place];
            Some(weights[piece.weight][piece.range.clone()].to_vec())
        })
    }

    fn mean(&self) -> Result<Vec<Vec<f32>>, Error> {
        self.on_first(|place| self.mean.get(&place).map(|mean| host(mean.clone())))
    }

    /// Values by weight on rank 0, from those of each rank's pieces; zeros where there are none.
    fn on_first(&self, of: impl Fn(usize) -> Option<Vec<f32>>) -> Result<Vec<Vec<f32>>, Error> {
        let zeros = |place: usize| vec![0.0; self.layout.pieces[place].range.len()];
        let mine = self.layout.of(self.ranks.rank()).map(|place| of(place).unwrap_or_else(|| zeros(place)));
        Ok(self.layout.collect(&self.ranks.counting("checkpoints"), &mine.collect::<Vec<_>>(), Collect::First)?)
    }

    /// Appends values by weight to `list`, named behind prefixes, on rank 0.
    fn append(
        &self,
        list: &mut TensorList<'static>,
        model: &mut Transformer,
        values: Vec<(&'static str, std::vec::IntoIter<Vec<f32>>)>,
    ) {
        struct Push<'a> {
            list: &'a mut TensorList<'static>,
            values: Vec<(&'static str, std::vec::IntoIter<Vec<f32>>)>,
        }
        impl WeightVisitor for Push<'_> {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                for (prefix, values) in &mut self.values {
                    let values = values.next().unwrap_or_default();
                    // Of spread experts rank 0 holds the first; all of them are written.
                    let mut shape = weight.dims();
                    let expert: usize = shape[1..].iter().product();
                    if name.contains('*') {
                        shape[0] = values.len().checked_div(expert).unwrap_or(shape[0]);
                    }
                    push_weight(self.list, prefix, name, &shape, values);
                }
            }
        }
        if self.ranks.is_first() {
            model.visit_weights(&mut Push { list, values });
        }
    }

    /// Takes this rank's moments and mean from those that [`SharedAdam::tensors`] wrote, on any number of ranks.
    ///
    /// # Errors
    /// [`Error::Model`] naming a tensor that is missing or has another shape.
    pub fn load(&mut self, model: &mut Transformer, file: &TensorFile) -> Result<(), Error> {
        let moments = read_by_weight(model, file, ["first.", "second."])?;
        let means = match self.decay > 0.0 {
            true => read_by_weight(model, file, [RunningMean::PREFIX])?,
            false => HashMap::new(),
        };
        let places: Vec<usize> = self.layout.of(self.ranks.rank()).collect();
        for place in places {
            let piece = &self.layout.pieces[place];
            let name = &self.layout.weights[piece.weight].name;
            // A copy, so that the whole weight's memory is free afterwards.
            let part = |of: &Tensor<1>| of.clone().slice(piece.range.clone()) * 1.0;
            if let Some([first, second]) = moments.get(name) {
                self.moments.insert(place, Moments { first: part(first), second: part(second) });
            }
            if let Some([mean]) = means.get(name) {
                self.mean.insert(place, part(mean));
            }
        }
        Ok(())
    }
}

/// Whether weight `name` is of experts that are spread over groups of `group` ranks.
fn is_spread(name: &str, group: usize) -> bool {
    group > 1 && name.contains('*')
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
                let (data, device) = (TensorData::new(values, weight.dims()), weight.device());
                let new = Tensor::from_data(data, &device);
                *weight = if device.is_autodiff() { new.require_grad() } else { new };
            }
        }
    }
    model.visit_weights(&mut Replace(values.into_iter()));
}
