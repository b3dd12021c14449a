//! The parts that every Transformer is made of: affine maps, layer norms, attention, FFN.

use burn::tensor::Tensor;
use strata_kernels::{Activation, AttentionShape, MatmulPrecision, Offsets, attention, layer_norm, linear};
use strata_recipe::{ModelConfig, Side};

use crate::forward::Forward;
use crate::parameter::{Initializer, Use, WeightVisitor, join};

/// `x W^T + b`.
#[derive(Clone)]
pub(crate) struct Linear {
    /// `[outputs, inputs]`
    weight: Tensor<2>,
    /// `[outputs]`
    bias: Tensor<1>,
}

impl Linear {
    /// A map of shape `[outputs, inputs]`.
    pub fn new(init: &Initializer, path: &str, used: Use, shape: [usize; 2]) -> Self {
        let (weight, bias) = init.map(path, used, shape);
        Self { weight, bias }
    }

    /// `x` `[n, inputs]` -> `[n, outputs]`
    pub fn apply(&self, x: Tensor<2>, activation: Activation, products: MatmulPrecision) -> Tensor<2> {
        linear(x, self.weight.clone(), Some(self.bias.clone()), activation, products)
    }

    pub fn visit_weights(&mut self, path: &str, visitor: &mut impl WeightVisitor) {
        visitor.visit_weight(&join(path, "weight"), &mut self.weight);
        visitor.visit_weight(&join(path, "bias"), &mut self.bias);
    }
}

/// Layer norm with weight and bias.
#[derive(Clone)]
pub(crate) struct Norm {
    weight: Tensor<1>,
    bias: Tensor<1>,
    /// Added to the variance.
    epsilon: f32,
}

impl Norm {
    pub fn new(init: &Initializer, config: &ModelConfig) -> Self {
        let d = config.d_model;
        let epsilon = config.network.layer_norm.epsilon as f32;
        Self { weight: init.constant(1.0, [d]), bias: init.constant(0.0, [d]), epsilon }
    }

    pub fn apply(&self, x: Tensor<2>) -> Tensor<2> {
        layer_norm(x, self.weight.clone(), self.bias.clone(), self.epsilon)
    }

    pub fn visit_weights(&mut self, path: &str, visitor: &mut impl WeightVisitor) {
        visitor.visit_weight(&join(path, "weight"), &mut self.weight);
        visitor.visit_weight(&join(path, "bias"), &mut self.bias);
    }
}

/// The two-layer ReLU FFN.
#[derive(Clone)]
pub(crate) struct Ffn {
    fc1: Linear,
    fc2: Linear,
}

impl Ffn {
    pub fn new(init: &Initializer, path: &str, config: &ModelConfig, side: Side) -> Self {
        let (d, f) = (config.d_model, config.d_ffn_of(side));
        let map = |name: &str, shape| Linear::new(init, &join(path, name), Use::Ffn, shape);
        Self { fc1: map("fc1", [f, d]), fc2: map("fc2", [d, f]) }
    }

    /// `[n, d]` -> `[n, d]`
    pub fn apply(&self, x: Tensor<2>, forward: &mut Forward, activation_dropout: f64) -> Tensor<2> {
        let hidden = self.fc1.apply(x, Activation::Relu, forward.products);
        self.fc2.apply(forward.dropout(hidden, activation_dropout), Activation::None, forward.products)
    }

    pub fn visit_weights(&mut self, path: &str, visitor: &mut impl WeightVisitor) {
        self.fc1.visit_weights(&join(path, "fc1"), visitor);
        self.fc2.visit_weights(&join(path, "fc2"), visitor);
    }
}

/// Multi-head attention with its pre-norm; the caller adds the residual.
#[derive(Clone)]
pub(crate) struct Attention {
    norm: Norm,
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: usize,
}

/// Keys and values `[rows, d]` with the offsets of their sentences.
#[derive(Clone)]
pub(crate) struct KeysValues {
    pub keys: Tensor<2>,
    pub values: Tensor<2>,
    pub offsets: Offsets,
}

/// What the rows of one attention attend to.
pub(crate) struct Context {
    /// Where the query rows of each sentence start.
    pub queries: Offsets,
    /// The keys and values of the same sentences.
    pub over: KeysValues,
    /// Whether a row sees only itself and the rows in front of it.
    pub causal: bool,
}

impl Attention {
    /// Attention of the layers of `side`.
    pub fn new(init: &Initializer, path: &str, config: &ModelConfig, side: Side) -> Self {
        let d = config.d_model;
        let map = |name: &str, used| Linear::new(init, &join(path, name), used, [d, d]);
        Self {
            norm: Norm::new(init, config),
            query: map("query", Use::Projection),
            key: map("key", Use::Projection),
            value: map("value", Use::Projection),
            output: map("output", Use::Other),
            heads: config.heads_of(side),
        }
    }

    /// The pre-norm of this sub-layer.
    pub fn normed(&self, x: Tensor<2>) -> Tensor<2> {
        self.norm.apply(x)
    }

    /// Keys and values of already normed (or memory) rows.
    pub fn keys_values(&self, x: Tensor<2>, offsets: Offsets, products: MatmulPrecision) -> KeysValues {
        KeysValues {
            keys: self.key.apply(x.clone(), Activation::None, products),
            values: self.value.apply(x, Activation::None, products),
            offsets,
        }
    }

    /// Attention of the rows `x` `[n, d]`, which have passed the pre-norm, to `context`.
    pub fn attend(&self, x: Tensor<2>, context: Context, forward: &mut Forward, dropout: f64) -> Tensor<2> {
        let Context { queries, over, causal } = context;
        let shape = AttentionShape {
            queries,
            keys: over.offsets,
            heads: self.heads,
            causal,
            dropout: forward.rate(dropout),
            seed: forward.next_seed(),
            first: forward.first_probability,
        };
        let query = self.query.apply(x, Activation::None, forward.products);
        let mixed = attention(query, over.keys, over.values, &shape);
        self.output.apply(mixed, Activation::None, forward.products)
    }

    pub fn visit_weights(&mut self, path: &str, visitor: &mut impl WeightVisitor) {
        self.norm.visit_weights(&join(path, "norm"), visitor);
        self.query.visit_weights(&join(path, "query"), visitor);
        self.key.visit_weights(&join(path, "key"), visitor);
        self.value.visit_weights(&join(path, "value"), visitor);
        self.output.visit_weights(&join(path, "output"), visitor);
    }
}
