//! The ways of tokens through the expert blocks as numpy arrays.

use numpy::{PyArray1, PyArray2, PyArray4, PyArrayMethods};
use pyo3::prelude::*;
use strata_translate::{Part, Trace, TracedToken};

/// A sentence's tokens, and their ways through the expert blocks of the encoder (source) or of the decoder (target).
#[pyclass(frozen, get_all, module = "strata_mt")]
pub struct RoutedText {
    text: String,
    pieces: Vec<String>,
    /// The layers with an expert block, counted from 0.
    layers: Vec<usize>,
    /// `[tokens, blocks, strata, top_k]`: the chosen experts, best first; -1 where a token was not.
    experts: Py<PyArray4<i32>>,
    /// `[tokens, blocks, strata, top_k]`: the gate's probability of each; 0 where a token was not.
    weights: Py<PyArray4<f32>>,
    /// `[tokens, blocks]`: strata visited, the requested capacity.
    strata: Py<PyArray2<i32>>,
}

#[pymethods]
impl RoutedText {
    fn __repr__(&self) -> String {
        format!("RoutedText(text={:?}, pieces={:?})", self.text, self.pieces)
    }
}

/// A sentence and its translation with the routing of every token.
#[pyclass(frozen, get_all, module = "strata_mt")]
pub struct Route {
    source: Py<RoutedText>,
    target: Py<RoutedText>,
}

#[pymethods]
impl Route {
    fn __repr__(&self, py: Python<'_>) -> String {
        format!("Route(source={:?}, target={:?})", self.source.get().text, self.target.bind(py).get().text)
    }
}

/// The blocks of a side, and the room that a token's visits to one need.
#[derive(Clone)]
pub struct Blocks {
    /// The layers with an expert block.
    pub layers: Vec<usize>,
    /// Strata of a block.
    pub strata: usize,
    /// Experts chosen in a visit.
    pub top_k: usize,
}

impl Route {
    /// The route of a translated part.
    pub fn new(py: Python<'_>, part: Part, encoder: &Blocks, decoder: &Blocks) -> PyResult<Self> {
        let text = part.candidates.into_iter().next().map(|best| best.text).unwrap_or_default();
        let target = part.targets.into_iter().next().map(|target| target.trace);
        let target = target.unwrap_or_else(|| Trace { text, tokens: Vec::new() });
        Ok(Self {
            source: Py::new(py, RoutedText::new(py, part.source, encoder)?)?,
            target: Py::new(py, RoutedText::new(py, target, decoder)?)?,
        })
    }
}

impl RoutedText {
    fn new(py: Python<'_>, trace: Trace, blocks: &Blocks) -> PyResult<Self> {
        let Blocks { layers, strata: most, top_k } = blocks;
        let shape = [trace.tokens.len(), layers.len(), *most, *top_k];
        let size: usize = shape.iter().product();
        let (mut experts, mut weights) = (vec![-1_i32; size], vec![0_f32; size]);
        let mut strata = vec![0_i32; shape[0] * shape[1]];
        for (token, TracedToken { routing, .. }) in trace.tokens.iter().enumerate() {
            for block in routing {
                let Some(place) = layers.iter().position(|layer| *layer == block.layer) else { continue };
                let row = token * shape[1] + place;
                strata[row] = block.visits.len() as i32;
                for visit in block.visits.iter().filter(|visit| visit.stratum < *most) {
                    let at = (row * most + visit.stratum) * top_k;
                    for (k, (expert, weight)) in visit.experts.iter().zip(&visit.probabilities).take(*top_k).enumerate()
                    {
                        (experts[at + k], weights[at + k]) = (*expert as i32, *weight);
                    }
                }
            }
        }
        Ok(Self {
            experts: PyArray1::from_vec(py, experts).reshape(shape)?.unbind(),
            weights: PyArray1::from_vec(py, weights).reshape(shape)?.unbind(),
            strata: PyArray1::from_vec(py, strata).reshape([shape[0], shape[1]])?.unbind(),
            pieces: trace.tokens.into_iter().map(|token| token.piece).collect(),
            text: trace.text,
            layers: layers.clone(),
        })
    }
}
