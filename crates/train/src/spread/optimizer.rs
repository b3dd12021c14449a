//! Adam over the pieces that this rank owns.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use strata_kernels::{AdamStep, Moments, host};
use strata_model::{InnerIfAutodiff, Transformer, WeightVisitor};
use strata_ranks::Ranks;
use strata_store::TensorFile;

use super::layout::{Collect, Layout, Piece, Weight};
use super::reduce::SharedGradients;
use super::streamed::{Append, Streamed, Table};
use crate::by_weight::read_by_weight;
use crate::error::Error;
use crate::optimizer::stepped;
use crate::running_mean::{MEAN_PREFIX, RunningMean};

/// Adam's moments for the pieces of this rank, by their places in the layout, and the running mean of their weights.
pub(crate) struct SharedAdam {
    ranks: Ranks,
    pub layout: Arc<Layout>,
    /// The shape of each weight on this rank.
    shapes: Vec<Vec<usize>>,
    moments: HashMap<usize, Moments<1>>,
    mean: Option<RunningMean<usize>>,
}

impl SharedAdam {
    /// No moments yet. The experts of `model` are spread over groups of `group` ranks, 1 if all ranks hold all. `decay`
    /// is the running mean's; 0 = no mean.
    ///
    /// # Errors
    /// Of the exchange.
    pub fn new(ranks: &Ranks, group: usize, decay: f64, model: &mut Transformer) -> Result<Self, Error> {
        struct Shapes(Vec<(String, Vec<usize>)>);
        impl WeightVisitor for Shapes {
            fn visit_weight<const D: usize>(&mut self, name: &str, weight: &mut Tensor<D>) {
                self.0.push((name.to_string(), weight.dims().to_vec()));
            }
        }
        let mut shapes = Shapes(Vec::new());
        model.visit_weights(&mut shapes);
        let (names, shapes): (Vec<String>, Vec<Vec<usize>>) = shapes.0.into_iter().unzip();
        let all = gather_sizes(ranks, shapes.iter().map(|shape| shape.iter().product()))?;
        let weight = |(place, name): (usize, String)| {
            let holders = if is_spread(&name, group) { group } else { 1 };
            let stage = model.backward_stage(&name);
            Weight { name, stage, shares: all[..holders].iter().map(|of| of[place]).collect() }
        };
        let weights = names.into_iter().enumerate().map(weight).collect();
        let layout = Arc::new(Layout::new(weights, ranks.size(), group));
        let ranks = ranks.counting("weights");
        let mean = (decay > 0.0).then(|| RunningMean::new(decay));
        Ok(Self { ranks, layout, shapes, moments: HashMap::new(), mean })
    }

    /// Takes one step: each rank with its pieces, after which all have the new weights that they hold.
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
        let mut mine = Vec::new();
        for (place, flat) in self.own(model) {
            let name = &self.layout.weights[self.layout.pieces[place].weight].name;
            let gradient = gradients.sums.remove(&place).map(|values| tensor(values, &device));
            let (flat, moments) = stepped(name, flat, gradient, self.moments.remove(&place), step);
            self.moments.insert(place, moments);
            mine.push(host(flat));
        }
        let weights = self.layout.collect(&self.ranks, &mine, Collect::Holders)?;
        replace(model, weights);
        Ok(())
    }

    /// Takes the weights after `update` into the running mean, each rank those of its pieces.
    pub fn average(&mut self, model: &mut Transformer, update: u64) {
        if self.mean.is_none() {
            return;
        }
        let own = self.own(model);
        if let Some(mean) = &mut self.mean {
            own.into_iter().for_each(|(place, weights)| mean.add(place, weights, update));
        }
    }

    /// The weights of this rank's pieces, `[values]` each, in the order of the pieces, with their places.
    fn own(&self, model: &mut Transformer) -> Vec<(usize, Tensor<1>)> {
        struct Cut<'a> {
            layout: &'a Layout,
            /// Places of this rank's pieces of each weight, in the model's order.
            places: std::vec::IntoIter<Vec<usize>>,
            found: Vec<(usize, Tensor<1>)>,
        }
        impl WeightVisitor for Cut<'_> {
            fn visit_weight<const D: usize>(&mut self, _: &str, weight: &mut Tensor<D>) {
                let flat = weight.clone().inner_if_autodiff().reshape([-1]);
                for place in self.places.next().unwrap_or_default() {
                    self.found.push((place, part(&flat, &self.layout.pieces[place])));
                }
            }
        }
        let mut places = vec![Vec::new(); self.layout.weights.len()];
        for place in self.layout.of(self.ranks.rank()) {
            places[self.layout.pieces[place].weight].push(place);
        }
        let mut cut = Cut { layout: &self.layout, places: places.into_iter(), found: Vec::new() };
        model.visit_weights(&mut cut);
        cut.found.sort_unstable_by_key(|(place, _)| *place);
        cut.found
    }

    /// All ranks' moments as `first.NAME` and `second.NAME`, and the running mean behind [`MEAN_PREFIX`].
    pub fn tensors(&self) -> Streamed<'_> {
        let of = |which: fn(&Moments<1>) -> &Tensor<1>| -> Append<'_> {
            Box::new(move |place, range, data| self.push(self.moments.get(&place).map(which), place, range, data))
        };
        let mut tables = vec![
            Table { prefix: "first.", append: of(|moments| &moments.first) },
            Table { prefix: "second.", append: of(|moments| &moments.second) },
        ];
        if self.mean.is_some() {
            tables.push(self.mean_behind(MEAN_PREFIX));
        }
        self.streamed(tables, true)
    }

    /// All weights, by name.
    pub fn weights(&self, model: &mut Transformer) -> Streamed<'_> {
        let weights = values(model);
        let append: Append<'_> = Box::new(move |place, range, data| {
            data.extend_from_slice(&weights[self.layout.pieces[place].weight][range]);
        });
        self.streamed(vec![Table { prefix: "", append }], false)
    }

    /// The running mean of all weights, by name.
    pub fn mean_weights(&self) -> Streamed<'_> {
        self.streamed(vec![self.mean_behind("")], true)
    }

    fn mean_behind(&self, prefix: &'static str) -> Table<'_> {
        let append: Append<'_> = Box::new(|place, range, data| {
            let mean = self.mean.as_ref().and_then(|mean| mean.get(&place));
            self.push(mean, place, range, data);
        });
        Table { prefix, append }
    }

    fn streamed<'a>(&'a self, tables: Vec<Table<'a>>, of_owners: bool) -> Streamed<'a> {
        Streamed::new(&self.ranks.counting("checkpoints"), &self.layout, &self.shapes, tables, of_owners)
    }

    /// Appends the values `range` of the share that a piece is of, from those of the piece; zeros if it has none yet.
    fn push(&self, values: Option<&Tensor<1>>, place: usize, range: Range<usize>, data: &mut Vec<f32>) {
        let start = self.layout.pieces[place].range.start;
        match values {
            Some(values) => data.extend(host(values.clone().slice(range.start - start..range.end - start))),
            None => data.resize(data.len() + range.len(), 0.0),
        }
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
        let mine: Vec<Vec<f32>> = self.own(model).into_iter().map(|(_, weights)| host(weights)).collect();
        Ok(self.layout.collect(&self.ranks.counting("checkpoints"), &mine, Collect::First)?)
    }

    /// Takes this rank's moments and mean from a file of [`SharedAdam::tensors`], written on any number of ranks.
    ///
    /// # Errors
    /// [`Error::Model`] naming a tensor that is missing or has another shape.
    pub fn load(&mut self, model: &mut Transformer, file: &TensorFile) -> Result<(), Error> {
        let moments = read_by_weight(model, file, ["first.", "second."])?;
        let means = match self.mean.is_some() {
            true => read_by_weight(model, file, [MEAN_PREFIX])?,
            false => HashMap::new(),
        };
        let places: Vec<usize> = self.layout.of(self.ranks.rank()).collect();
        for place in places {
            let piece = &self.layout.pieces[place];
            let name = &self.layout.weights[piece.weight].name;
            if let Some([first, second]) = moments.get(name) {
                self.moments.insert(place, Moments { first: part(first, piece), second: part(second, piece) });
            }
            if let (Some(mean), Some([values])) = (&mut self.mean, means.get(name)) {
                mean.set(place, part(values, piece));
            }
        }
        Ok(())
    }
}

/// The sizes that each rank gives. In 64 bits: the stacked experts of a large block are more than 2^32 values.
fn gather_sizes(ranks: &Ranks, mine: impl Iterator<Item = usize>) -> Result<Vec<Vec<usize>>, Error> {
    let bytes: Vec<u8> = mine.flat_map(|size| (size as u64).to_le_bytes()).collect();
    let sizes = |of: Vec<u8>| of.as_chunks().0.iter().map(|size| u64::from_le_bytes(*size) as usize).collect();
    Ok(ranks.gather_bytes(&bytes)?.into_iter().map(sizes).collect())
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

/// The values of a piece, of a flattened weight's: a copy, so that the whole weight's memory is not held.
fn part(of: &Tensor<1>, piece: &Piece) -> Tensor<1> {
    of.clone().slice(piece.range.clone()) * 1.0
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_32_bits_arrive_whole() {
        std::thread::scope(|scope| {
            for ranks in Ranks::threads(2) {
                scope.spawn(move || {
                    let large = (ranks.rank() << 33) + 7;
                    let all = gather_sizes(&ranks, [3, large].into_iter()).expect("sizes");
                    assert_eq!(all, [[3, 7], [3, (1 << 33) + 7]]);
                });
            }
        });
    }
}
