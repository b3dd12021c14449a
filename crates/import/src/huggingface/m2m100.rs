//! M2M100 (Fan et al., 2021), NLLB-200 (NLLB Team, 2022) and its mixture of experts: pre-norm, one table, positions
//! from 2.

use std::path::Path;

use strata_formats::open_weights;
use strata_recipe::{EmbeddingScale, Frequencies, Kind, Mark, Network, Positions, Prompts};

use super::layers::{self, BART, NLLB_MOE};
use super::tokenizer::{self, TABLES, Tokenizer};
use crate::error::Error;
use crate::options::Options;
use crate::plan::{Between, Plan};
use crate::vocabulary::Ours;
use crate::weights::Weights;

pub(super) fn plan(folder: &Path, options: &Options) -> Result<Plan, Error> {
    let mut config = super::sizes(options)?;
    let padding = options.number("pad_token_id")?;
    if padding >= config.vocab_size {
        return Err(options.unsupported("pad_token_id", &format!("an id below vocab_size, {}", config.vocab_size)));
    }
    config.network.positions = network(padding + 1).positions;
    if !options.switch("scale_embedding", true)? {
        config.network.embeddings.scale = EmbeddingScale::One;
    }
    options.must_be("tie_word_embeddings", true, true)?;
    config.prompts = prompts();
    let mut scale = 1.0;
    let mixture = options.text("model_type") == Some("nllb-moe");
    if mixture {
        scale = experts(options, &mut config)?;
    }
    let mut weights = Weights::new(open_weights(folder)?, &config)?;
    tokenizer::check_table(&weights, &TABLES, [config.vocab_size, config.d_model])?;
    let tokenizer = Tokenizer::read(folder, config.vocab_size)?;
    let origin = match (mixture, tokenizer.is_nllb) {
        (true, _) => "Hugging Face NLLB-MoE",
        (false, true) => "Hugging Face NLLB-200",
        (false, false) => "Hugging Face M2M100",
    };
    let ids = tokenizer.ids.renumber(folder)?;
    let subwords = ids.subwords(None, [&tokenizer.pieces; 2])?;
    let Ours { rows, languages, .. } = ids;

    weights.table("embedding.weight", TABLES[0], config.vocab_size, config.d_model, &rows);
    layers::add(&mut weights, &config, if mixture { NLLB_MOE } else { BART }, scale);
    // Copies of the one table, and position tables of old files.
    let positions = ["model.encoder.embed_positions.weights", "model.decoder.embed_positions.weights"];
    weights.known.extend(TABLES.into_iter().chain(positions).map(str::to_owned));
    tokenizer::name_the_table(&mut weights);
    Ok(Plan {
        origin: origin.to_owned(),
        config,
        subwords,
        languages: Between::All(languages),
        weights,
        shortlist: None,
        _unpacked: None,
    })
}

/// What is the same in all of these models, but for the activation, the scale of embeddings, what the decoder has else
/// and the bias of gates.
pub(super) fn network(first: usize) -> Network {
    let positions = Positions { frequencies: Frequencies::Tensor2tensor, first, ..Positions::default() };
    Network { positions, ..Network::default() }
}

/// The source's language in front of it, the target's behind the decoder's end mark.
pub(super) fn prompts() -> Prompts {
    Prompts { source_front: vec![Mark::Source], source_end: vec![Mark::End], decoder: vec![Mark::End, Mark::Target] }
}

/// Takes over what the configuration says of experts. Returns what their output is multiplied by.
fn experts(options: &Options, config: &mut strata_recipe::ModelConfig) -> Result<f32, Error> {
    let every = options.number("encoder_sparse_step")?;
    if options.number("decoder_sparse_step")? != every {
        return Err(options.unsupported("decoder_sparse_step", &format!("encoder_sparse_step, {every}")));
    }
    if every == 0 {
        return Err(options.unsupported("encoder_sparse_step", "1 or more; without experts the model is a m2m_100"));
    }
    if options.text("second_expert_policy").is_some_and(|policy| policy != "all") {
        return Err(options.unsupported("second_expert_policy", "\"all\""));
    }
    if options.real("moe_eval_capacity_token_fraction", 1.0)? < 1.0 {
        return Err(options.unsupported("moe_eval_capacity_token_fraction", "1.0: no token is dropped"));
    }
    options.must_be("normalize_router_prob_before_dropping", false, false)?;
    config.kind = Kind::Moe;
    config.experts = options.number("num_experts")?;
    config.top_k = 2;
    config.moe_every = every;
    config.network.gate_bias = options.switch("router_bias", false)?;
    super::check_sizes(options, config)?;
    Ok((1.0 - options.real("moe_token_dropout", 0.2)?) as f32)
}
