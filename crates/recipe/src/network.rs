//! How a Transformer is put together beside its sizes: what differs between the architectures of the field.
//!
//! The default is the model that Strata trains. Others are told by the same few choices, and nothing here names the
//! program that a model comes from.

use serde::{Deserialize, Serialize};

/// One of the two halves of the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Reads the source.
    #[default]
    Encoder,
    /// Writes the translation.
    Decoder,
}

impl Side {
    /// `encoder` or `decoder`: in the names of weights, in logs and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoder => "encoder",
            Self::Decoder => "decoder",
        }
    }
}

/// How the layers are put together. The default is the model that Strata trains.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// The table of positions that is added to the embeddings.
    pub positions: Positions,
    /// Where layer norms stand.
    pub layer_norm: LayerNorm,
    /// What stands between the two maps of an FFN or expert.
    pub activation: Activation,
    /// The tables of embeddings and the output layer.
    pub embeddings: Embeddings,
    /// Where the decoder differs from the encoder.
    pub decoder: Decoder,
    /// Whether the gates of expert blocks have a bias.
    pub gate_bias: bool,
}

/// Sinusoidal positions. With `f(i)` the frequency of pair `i` of the `d / 2` pairs, position `p` has `sin(p f(i))` and
/// `cos(p f(i))`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Positions {
    /// Where sines and cosines lie in a row.
    pub layout: PositionLayout,
    /// The frequencies.
    pub frequencies: Frequencies,
    /// The position of the first token.
    pub first: usize,
}

/// Where sines and cosines lie in a row of positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PositionLayout {
    /// All sines, then all cosines.
    #[default]
    Halves,
    /// Sine and cosine of a pair side by side.
    Interleaved,
}

/// The frequencies of sinusoidal positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Frequencies {
    /// `10000^(-i / (d/2))` (Vaswani et al., 2017, section 3.5).
    #[default]
    Paper,
    /// `10000^(-i / (d/2 - 1))`, so that the last is exactly 1/10000: the authors' Tensor2Tensor, fairseq, Marian.
    Tensor2tensor,
}

/// Layer norms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerNorm {
    /// In front of a sub-layer or behind it.
    pub place: NormPlace,
    /// Whether encoder and decoder end with a norm.
    pub last: bool,
    /// Added to the variance.
    pub epsilon: f64,
}

impl Default for LayerNorm {
    fn default() -> Self {
        Self { place: NormPlace::Pre, last: true, epsilon: 1e-5 }
    }
}

/// Where the norm of a sub-layer `f` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormPlace {
    /// `x + f(norm(x))`
    #[default]
    Pre,
    /// `norm(x + f(x))`
    Post,
}

/// What stands between the two maps of an FFN or expert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `max(0, x)`
    #[default]
    Relu,
    /// `x sigmoid(x)`, also known as SiLU (Ramachandran et al., 2017).
    Swish,
    /// `x P(X <= x)` for a standard normal X (Hendrycks and Gimpel, 2016).
    Gelu,
    /// Its approximation `x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))`.
    GeluTanh,
    /// Its approximation `x sigmoid(1.702 x)`.
    GeluSigmoid,
}

/// The tables of embeddings and the output layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Embeddings {
    /// Which of the tables of source, target and output are one.
    pub tables: Tables,
    /// What embeddings are multiplied by.
    pub scale: EmbeddingScale,
    /// Whether the output layer has a bias.
    pub output_bias: bool,
    /// Rows of the source's table where they are not `vocab_size`; only with a table of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_vocab_size: Option<usize>,
}

/// Which of the tables of source, target and output are one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tables {
    /// All three: `embedding`.
    #[default]
    Shared,
    /// Target and output: `embedding`. The source has `source_embedding`.
    SourceApart,
    /// Source and target: `embedding`. The output layer has `output`.
    OutputApart,
    /// None: `source_embedding`, `embedding` for the target, `output`.
    Apart,
}

impl Tables {
    /// Whether the source has a table of its own.
    pub fn source_apart(self) -> bool {
        matches!(self, Self::SourceApart | Self::Apart)
    }

    /// Whether the output layer has a table of its own.
    pub fn output_apart(self) -> bool {
        matches!(self, Self::OutputApart | Self::Apart)
    }
}

/// What embeddings are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EmbeddingScale {
    /// `sqrt(d_model)`
    #[default]
    SqrtD,
    /// Nothing.
    One,
}

/// Where the decoder differs from the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Decoder {
    /// How a token sees those in front of it.
    pub mixer: Mixer,
    /// Inner width of its FFNs and experts; none = `d_ffn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub d_ffn: Option<usize>,
    /// Attention heads; none = `heads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<usize>,
}

/// How a target token sees those in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mixer {
    /// Self-attention.
    #[default]
    Attention,
    /// A simpler simple recurrent unit (Kim et al., 2019): `f = sigmoid(W_f x + b_f)`, `c = f c' + (1 - f) (W x + b)`
    /// with the cell `c'` of the token before, and `relu(c)` comes out.
    Ssru,
}

/// A token that the model is given besides the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// The tag of the target language.
    Target,
    /// The tag of the source language.
    Source,
    /// The end mark.
    End,
    /// Padding, which some models start with.
    Padding,
    /// No token: a zero vector in place of an embedding. Only as the decoder's first.
    Zero,
    /// A subword by its id.
    Subword(u32),
}

/// What stands around the text: the layout of the encoder's input, and the tokens that the decoder reads first. Those
/// of the decoder enter neither the translation nor its score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Prompts {
    /// In front of the source.
    pub source_front: Vec<Mark>,
    /// Behind the source.
    pub source_end: Vec<Mark>,
    /// What the decoder reads first; at least one.
    pub decoder: Vec<Mark>,
}

/// `<2xx> source </s>`, and `<2xx>` for the decoder.
impl Default for Prompts {
    fn default() -> Self {
        Self { source_front: vec![Mark::Target], source_end: vec![Mark::End], decoder: vec![Mark::Target] }
    }
}

impl Prompts {
    /// Whether a mark occurs anywhere: whether the model wants to know a language, for instance.
    pub fn has(&self, mark: Mark) -> bool {
        self.source_front.iter().chain(&self.source_end).chain(&self.decoder).any(|other| *other == mark)
    }
}
