//! The weights of the new model: each by the tensor of the other program that it is made of, read when it is written.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use strata_formats::{Element, Tensors};
use strata_recipe::ModelConfig;
use strata_store::tensors::{Dtype, TensorSource, TensorSpec};

use crate::error::Error;

/// A logit that no softmax sees.
const NEVER: f32 = -1e9;

/// What a weight is made of.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// The tensor of that shape, times a factor.
    Whole { name: String, shape: Vec<usize>, factor: f32 },
    /// The tensor `[inputs, outputs]` as `[outputs, inputs]`.
    Transposed { name: String },
    /// The columns of a tensor `[d, of]` as rows, in the order of the new ids.
    Columns { name: String, of: usize, rows: Arc<[Option<usize>]> },
    /// Rows of a tensor of `of` rows: a table, in the order of the new ids. Rows that are missing are `fill`.
    Rows { name: String, of: usize, rows: Arc<[Option<usize>]>, fill: f32 },
    /// The rows from `first` of a tensor of `of` rows.
    Part { name: String, of: usize, first: usize },
    /// Nothing: zeros, and [`NEVER`] for ids that the source does not have.
    NoBias { rows: Arc<[Option<usize>]> },
    /// Nothing: zeros.
    Zeros,
}

/// A weight of the new model.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    pub name: String,
    pub shape: Vec<usize>,
    pub origin: Origin,
}

/// The weights of the new model.
pub(crate) struct Weights {
    pub tensors: Box<dyn Tensors>,
    pub list: Vec<Weight>,
    /// Tensors of the source that no weight is made of, and that need not be.
    pub known: Vec<String>,
}

impl Weights {
    /// None yet, of a model of that configuration, whose sizes were checked.
    ///
    /// # Errors
    /// More layers and experts than the file has tensors: the list of weights would be as long as a number in another
    /// file says.
    pub fn new(tensors: Box<dyn Tensors>, config: &ModelConfig) -> Result<Self, Error> {
        let (encoder, decoder) = config.expert_blocks();
        let experts: usize = (0..encoder + decoder).map(|block| config.strata_of_block(block).experts()).sum();
        let parts = config.encoder_layers + config.decoder_layers + experts;
        let there = tensors.names().len();
        if parts > there {
            let what = format!("it has {there} tensors, but its configuration describes {parts} layers and experts");
            return Err(Error::mismatch(tensors.path(), what));
        }
        Ok(Self { tensors, list: Vec::new(), known: Vec::new() })
    }

    fn add(&mut self, name: impl Into<String>, shape: &[usize], origin: Origin) {
        self.list.push(Weight { name: name.into(), shape: shape.to_vec(), origin });
    }

    /// The weight `ours` is the tensor `theirs`.
    pub fn copy(&mut self, ours: impl Into<String>, theirs: impl Into<String>, shape: &[usize]) {
        self.scaled(ours, theirs, shape, 1.0);
    }

    /// The weight `ours` is the tensor `theirs` times `factor`.
    pub fn scaled(&mut self, ours: impl Into<String>, theirs: impl Into<String>, shape: &[usize], factor: f32) {
        self.add(ours, shape, Origin::Whole { name: theirs.into(), shape: shape.to_vec(), factor });
    }

    /// The vector `ours` is the tensor `theirs` of shape `[1, n]`.
    pub fn row(&mut self, ours: impl Into<String>, theirs: impl Into<String>, n: usize) {
        self.add(ours, &[n], Origin::Whole { name: theirs.into(), shape: vec![1, n], factor: 1.0 });
    }

    /// The map `ours` `[outputs, inputs]` is the tensor `theirs` `[inputs, outputs]`.
    pub fn transposed(&mut self, ours: impl Into<String>, theirs: impl Into<String>, outputs: usize, inputs: usize) {
        self.add(ours, &[outputs, inputs], Origin::Transposed { name: theirs.into() });
    }

    /// The table `ours` `[rows, d]` is the tensor `theirs` `[of, d]` with its rows in a new order.
    pub fn table(
        &mut self,
        ours: impl Into<String>,
        theirs: impl Into<String>,
        of: usize,
        d: usize,
        rows: &Arc<[Option<usize>]>,
    ) {
        let origin = Origin::Rows { name: theirs.into(), of, rows: rows.clone(), fill: 0.0 };
        self.add(ours, &[rows.len(), d], origin);
    }

    /// The table `ours` `[rows, d]` is the tensor `theirs` `[d, of]` with its columns in a new order.
    pub fn turned_table(
        &mut self,
        ours: impl Into<String>,
        theirs: impl Into<String>,
        of: usize,
        d: usize,
        rows: &Arc<[Option<usize>]>,
    ) {
        self.add(ours, &[rows.len(), d], Origin::Columns { name: theirs.into(), of, rows: rows.clone() });
    }

    /// The bias `ours` `[rows]` of the output layer is the tensor `theirs`, `[of]` or `[1, of]`, with its values in a
    /// new order; ids that the source does not have are never produced.
    pub fn output_bias(
        &mut self,
        ours: impl Into<String>,
        theirs: impl Into<String>,
        of: usize,
        rows: &Arc<[Option<usize>]>,
    ) {
        let origin = Origin::Rows { name: theirs.into(), of, rows: rows.clone(), fill: NEVER };
        self.add(ours, &[rows.len()], origin);
    }

    /// The bias `ours` of an output layer that has none: zeros, but ids that the source does not have are never
    /// produced.
    pub fn no_bias(&mut self, ours: impl Into<String>, rows: &Arc<[Option<usize>]>) {
        self.add(ours, &[rows.len()], Origin::NoBias { rows: rows.clone() });
    }

    /// The weight `ours` is the rows from `first` of the tensor `theirs` of `of` rows.
    pub fn part(
        &mut self,
        ours: impl Into<String>,
        theirs: impl Into<String>,
        shape: &[usize],
        of: usize,
        first: usize,
    ) {
        self.add(ours, shape, Origin::Part { name: theirs.into(), of, first });
    }

    pub fn zeros(&mut self, ours: impl Into<String>, shape: &[usize]) {
        self.add(ours, shape, Origin::Zeros);
    }

    /// Checks that every tensor that a weight is made of is there in its shape, and that no tensor is left over, which
    /// would mean that the model computes something that was not understood.
    ///
    /// # Errors
    /// The tensor.
    pub fn check(&self) -> Result<(), Error> {
        for weight in &self.list {
            let (name, shape) = match &weight.origin {
                Origin::Whole { name, shape, .. } => (name, shape.clone()),
                Origin::Transposed { name } => (name, vec![weight.shape[1], weight.shape[0]]),
                Origin::Columns { name, of, .. } => (name, vec![weight.shape[1], *of]),
                Origin::Rows { name, of, .. } => (name, self.rows_shape(name, *of, &weight.shape)),
                Origin::Part { name, of, .. } => (name, [&[*of], &weight.shape[1..]].concat()),
                Origin::NoBias { .. } | Origin::Zeros => continue,
            };
            self.tensors.expect(name, &shape)?;
        }
        let known = self.known.iter().map(String::as_str);
        let used: HashSet<&str> = self.list.iter().filter_map(|weight| weight.origin.name()).chain(known).collect();
        match self.tensors.names().into_iter().find(|name| !used.contains(name)) {
            Some(name) => {
                let what = format!("tensor `{name}` has no place in the model that its configuration describes");
                Err(Error::mismatch(self.tensors.path(), what))
            }
            None => Ok(()),
        }
    }

    /// Biases are `[of]` in some formats, `[1, of]` in others.
    fn rows_shape(&self, name: &str, of: usize, ours: &[usize]) -> Vec<usize> {
        let one_row = vec![1, of];
        if ours.len() == 1 && self.tensors.info(name).is_some_and(|info| info.shape == one_row) {
            return one_row;
        }
        [&[of], &ours[1..]].concat()
    }

    /// The values of a weight.
    fn values(&self, weight: &Weight) -> Result<Vec<f32>, Error> {
        let columns = weight.shape[1..].iter().product::<usize>().max(1);
        Ok(match &weight.origin {
            Origin::NoBias { rows } => rows.iter().map(|row| if row.is_some() { 0.0 } else { NEVER }).collect(),
            Origin::Zeros => vec![0.0; weight.shape.iter().product()],
            Origin::Whole { name, shape, factor } => {
                let mut values = self.tensors.f32(name, shape)?;
                if *factor != 1.0 {
                    values.iter_mut().for_each(|value| *value *= factor);
                }
                values
            }
            Origin::Transposed { name } => {
                let (outputs, inputs) = (weight.shape[0], weight.shape[1]);
                let theirs = self.tensors.f32(name, &[inputs, outputs])?;
                (0..outputs * inputs).map(|i| theirs[i % inputs * outputs + i / inputs]).collect()
            }
            Origin::Columns { name, of, rows } => {
                let theirs = self.tensors.f32(name, &[columns, *of])?;
                let value = |row: &Option<usize>, i: usize| row.map_or(0.0, |row| theirs[i * of + row]);
                rows.iter().flat_map(|row| (0..columns).map(move |i| (row, i))).map(|(row, i)| value(row, i)).collect()
            }
            Origin::Rows { name, of, rows, fill } => {
                let theirs = self.tensors.f32(name, &self.rows_shape(name, *of, &weight.shape))?;
                let mut values = Vec::with_capacity(rows.len() * columns);
                for row in &**rows {
                    match row {
                        Some(row) => values.extend_from_slice(&theirs[row * columns..][..columns]),
                        None => values.resize(values.len() + columns, *fill),
                    }
                }
                values
            }
            Origin::Part { name, of, first } => {
                let theirs = self.tensors.f32(name, &[&[*of], &weight.shape[1..]].concat())?;
                theirs[first * columns..][..weight.shape[0] * columns].to_vec()
            }
        })
    }

    fn finite(&self, weight: &Weight, all: bool) -> Result<(), Error> {
        if all {
            return Ok(());
        }
        let name = weight.origin.name().unwrap_or(&weight.name).to_owned();
        Err(Error::NotFinite { path: self.tensors.path().to_path_buf(), name })
    }
}

impl Origin {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Whole { name, .. }
            | Self::Transposed { name }
            | Self::Columns { name, .. }
            | Self::Rows { name, .. }
            | Self::Part { name, .. } => Some(name),
            Self::NoBias { .. } | Self::Zeros => None,
        }
    }
}

impl TensorSource for Weights {
    fn specs(&self) -> Vec<TensorSpec> {
        let spec =
            |weight: &Weight| TensorSpec { name: weight.name.clone(), dtype: Dtype::F32, shape: weight.shape.clone() };
        self.list.iter().map(spec).collect()
    }

    fn bytes(&self, index: usize) -> Result<Cow<'_, [u8]>, strata_store::Error> {
        let weight = &self.list[index];
        let outside = |error: Error| strata_store::Error::Invalid(error.to_string());
        // What is stored as it will be is not copied.
        if let Origin::Whole { name, factor, .. } = &weight.origin
            && *factor == 1.0
            && self.tensors.info(name).is_some_and(|info| info.element == Element::F32)
        {
            let bytes = self.tensors.bytes(name).map_err(|e| outside(e.into()))?;
            let finite = bytes.as_chunks::<4>().0.iter().all(|value| f32::from_le_bytes(*value).is_finite());
            self.finite(weight, finite).map_err(outside)?;
            return Ok(bytes);
        }
        let values = self.values(weight).map_err(outside)?;
        self.finite(weight, values.iter().all(|value| value.is_finite())).map_err(outside)?;
        Ok(Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect()))
    }
}
