//! Small models of other architectures: each option of `network` and `prompts` alone, and those of known programs.

use strata_recipe::{
    Activation, Decoder, EmbeddingScale, Embeddings, Frequencies, Kind, LayerNorm, Mark, Mixer, ModelConfig, Network,
    NormPlace, PositionLayout, Positions, Prompts, Tables,
};

use super::small;

/// Each with its name.
pub fn shapes() -> Vec<(&'static str, ModelConfig)> {
    let mut all = single_options();
    all.extend(known_programs());
    all
}

fn with(network: Network) -> ModelConfig {
    ModelConfig { network, ..small() }
}

fn moe(network: Network) -> ModelConfig {
    ModelConfig { kind: Kind::Moe, experts: 4, ..with(network) }
}

fn single_options() -> Vec<(&'static str, ModelConfig)> {
    let plain = Network::default;
    let positions =
        |layout, frequencies, first| with(Network { positions: Positions { layout, frequencies, first }, ..plain() });
    let layer_norm = |place, last, epsilon| Network { layer_norm: LayerNorm { place, last, epsilon }, ..plain() };
    let activation = |activation| with(Network { activation, ..plain() });
    let embeddings = |tables, output_bias, source_vocab_size| Network {
        embeddings: Embeddings { tables, output_bias, source_vocab_size, ..Embeddings::default() },
        ..plain()
    };
    let decoder = |mixer, d_ffn, heads| Network { decoder: Decoder { mixer, d_ffn, heads }, ..plain() };
    let prompts = |source_front, source_end, decoder| ModelConfig {
        prompts: Prompts { source_front, source_end, decoder },
        ..small()
    };
    let scale = Embeddings { scale: EmbeddingScale::One, ..Embeddings::default() };
    let switch = ModelConfig { kind: Kind::Switch, top_k: 1, ..moe(layer_norm(NormPlace::Post, true, 1e-5)) };
    let smoe = ModelConfig { kind: Kind::Smoe, strata: vec![2, 2], ..with(Network { gate_bias: true, ..plain() }) };
    let cmr = Network { activation: Activation::Swish, ..decoder(Mixer::Attention, Some(32), None) };
    vec![
        ("interleaved", positions(PositionLayout::Interleaved, Frequencies::Paper, 0)),
        ("tensor2tensor", positions(PositionLayout::Halves, Frequencies::Tensor2tensor, 0)),
        ("from 2", positions(PositionLayout::Interleaved, Frequencies::Tensor2tensor, 2)),
        ("post-norm", with(layer_norm(NormPlace::Post, true, 1e-5))),
        ("post-norm, no last norm", with(layer_norm(NormPlace::Post, false, 1e-5))),
        ("no last norm", with(layer_norm(NormPlace::Pre, false, 1e-5))),
        ("epsilon", with(layer_norm(NormPlace::Pre, true, 0.1))),
        ("post-norm moe", moe(layer_norm(NormPlace::Post, true, 1e-5))),
        ("post-norm switch", switch),
        ("swish", activation(Activation::Swish)),
        ("gelu", activation(Activation::Gelu)),
        ("gelu-tanh", activation(Activation::GeluTanh)),
        ("gelu-sigmoid", activation(Activation::GeluSigmoid)),
        ("gelu in experts", moe(Network { activation: Activation::Gelu, ..plain() })),
        ("cmr with swish and another d_ffn", ModelConfig { kind: Kind::Cmr, ..moe(cmr) }),
        ("output bias", with(embeddings(Tables::Shared, true, None))),
        ("source apart", with(embeddings(Tables::SourceApart, false, None))),
        ("source of another size", with(embeddings(Tables::SourceApart, false, Some(40)))),
        ("output apart", with(embeddings(Tables::OutputApart, true, None))),
        ("all apart", with(embeddings(Tables::Apart, true, Some(31)))),
        ("no embedding scale", with(Network { embeddings: scale, ..plain() })),
        ("ssru", with(decoder(Mixer::Ssru, None, None))),
        ("ssru with experts", moe(decoder(Mixer::Ssru, None, None))),
        ("d_ffn and heads of the decoder", with(decoder(Mixer::Attention, Some(40), Some(4)))),
        ("d_ffn of the decoder's experts", moe(decoder(Mixer::Attention, Some(40), None))),
        ("gate bias", moe(Network { gate_bias: true, ..plain() })),
        ("gate bias of strata", smoe),
        ("experts by block", ModelConfig { block_experts: vec![2, 4], ..moe(plain()) }),
        ("two tokens first", prompts(vec![Mark::Source], vec![Mark::End], vec![Mark::End, Mark::Target])),
        ("tags behind", prompts(vec![], vec![Mark::End, Mark::Source, Mark::Target], vec![Mark::Padding])),
        ("no tags", prompts(vec![], vec![], vec![Mark::Subword(7), Mark::Subword(5), Mark::Subword(3)])),
        ("zero vector", prompts(vec![], vec![Mark::End], vec![Mark::Zero])),
        ("zero vector and a tag", prompts(vec![], vec![Mark::End], vec![Mark::Zero, Mark::Target])),
    ]
}

/// What these programs' models are, all options together.
fn known_programs() -> Vec<(&'static str, ModelConfig)> {
    let frequencies = Frequencies::Tensor2tensor;
    let fairseq = Positions { frequencies, first: 2, ..Positions::default() };
    let post = LayerNorm { place: NormPlace::Post, last: false, epsilon: 1e-6 };
    let nllb_prompts = Prompts {
        source_front: vec![Mark::Source],
        source_end: vec![Mark::End],
        decoder: vec![Mark::End, Mark::Target],
    };
    let nllb = Network { positions: fairseq, gate_bias: true, ..Network::default() };
    let nllb = ModelConfig { eom: 0.2, prompts: nllb_prompts, ..moe(nllb) };
    let marian = |mixer, activation, tables| Network {
        positions: Positions { frequencies, ..Positions::default() },
        layer_norm: post,
        activation,
        embeddings: Embeddings { tables, output_bias: true, ..Embeddings::default() },
        decoder: Decoder { mixer, ..Decoder::default() },
        gate_bias: false,
    };
    let marian_prompts = Prompts { source_front: vec![], source_end: vec![Mark::End], decoder: vec![Mark::Zero] };
    let browser = marian(Mixer::Ssru, Activation::Relu, Tables::Shared);
    let opus = marian(Mixer::Attention, Activation::Swish, Tables::Apart);
    let opus_prompts = Prompts { decoder: vec![Mark::Padding], ..marian_prompts.clone() };
    let opennmt = Network {
        positions: Positions { layout: PositionLayout::Interleaved, frequencies, first: 1 },
        activation: Activation::Gelu,
        embeddings: Embeddings { tables: Tables::Apart, output_bias: true, ..Embeddings::default() },
        ..Network::default()
    };
    let start = Prompts { source_front: vec![], source_end: vec![], decoder: vec![Mark::Subword(3)] };
    vec![
        ("NLLB-MoE", nllb),
        ("Firefox", ModelConfig { prompts: marian_prompts, encoder_layers: 3, ..with(browser) }),
        ("OPUS-MT", ModelConfig { prompts: opus_prompts, ..with(opus) }),
        ("OpenNMT", ModelConfig { prompts: start, ..with(opennmt) }),
    ]
}
