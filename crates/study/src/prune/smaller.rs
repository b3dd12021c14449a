//! The smaller model's folder: the experts that stay under new numbers, with their rows of the gates.

use std::path::{Path, PathBuf};

use strata_recipe::{ModelConfig, Side};
use strata_store::{Existing, ModelFolder, ModelParts, TensorFile, TensorList};

use super::PrunePlan;
use crate::counts::{Place, places};
use crate::error::Error;

/// Writes the smaller model: a model folder like any other, with `pruned.json` that says what was kept.
///
/// # Errors
/// Weights that are missing, a folder that exists or cannot be written.
pub fn write(folder: &ModelFolder, plan: &PrunePlan, output: &Path, existing: Existing) -> Result<PathBuf, Error> {
    let file = folder.weights()?;
    let before = folder.model_config()?;
    let weights = smaller_weights(&file, &before, plan)?;
    let note = serde_json::to_string_pretty(plan)
        .map_err(|e| Error::File { place: "pruned.json".into(), what: e.to_string() })?;
    let (config, tokenizer, languages) = (plan.config.to_json(), folder.tokenizer()?, folder.languages()?);
    let parts = ModelParts {
        config: config.as_bytes(),
        tokenizer: &tokenizer,
        languages: &languages,
        weights: &weights,
        extra: &[("pruned.json", note.as_bytes())],
    };
    Ok(ModelFolder::write(output, &parts, existing)?.path().to_path_buf())
}

/// The weights under their names in the smaller model.
fn smaller_weights<'a>(file: &'a TensorFile, before: &ModelConfig, plan: &PrunePlan) -> Result<TensorList<'a>, Error> {
    let places = places(before);
    let mut weights = TensorList::new();
    for name in file.names() {
        let view = file.view(name)?;
        let Some((place, path, rest)) = in_block(name) else {
            weights.push(name, view.dtype, view.shape, view.bytes);
            continue;
        };
        let unknown = || Error::File {
            place: file.path().display().to_string(),
            what: format!("tensor `{name}` fits no expert block of config.json"),
        };
        let block = places.iter().position(|p| *p == place).ok_or_else(unknown)?;
        let (kept, strata) = (&plan.blocks[block].kept, before.strata_of_block(block));
        let mut parts = rest.splitn(3, '.');
        match (parts.next(), parts.next().and_then(|n| n.parse::<usize>().ok()), parts.next()) {
            (Some("experts"), Some(expert), Some(kind)) => {
                if let Some(now) = kept.iter().position(|e| *e == expert) {
                    weights.push(format!("{path}experts.{now}.{kind}"), view.dtype, view.shape, view.bytes);
                }
            }
            (Some("gate"), Some(stratum), Some("weight" | "bias" | "offset")) => {
                let seen = strata.visible(stratum);
                let [rows, ref rest @ ..] = *view.shape else { return Err(unknown()) };
                if rows != seen.len() {
                    return Err(unknown());
                }
                let row = view.bytes.len() / rows.max(1);
                let chosen: Vec<usize> = kept.iter().copied().filter(|e| seen.contains(e)).collect();
                let bytes: Vec<u8> =
                    chosen.iter().flat_map(|e| view.bytes[(e - seen.start) * row..][..row].iter().copied()).collect();
                weights.push(name, view.dtype, &[&[chosen.len()], rest].concat(), bytes);
            }
            _ => weights.push(name, view.dtype, view.shape, view.bytes),
        }
    }
    Ok(weights)
}

/// Splits `encoder.layers.1.block.gate.0.weight` into the block's place, `encoder.layers.1.block.` and `gate.0.weight`.
fn in_block(name: &str) -> Option<(Place, &str, &str)> {
    let mut parts = name.splitn(5, '.');
    let side = match (parts.next()?, parts.next()?) {
        ("encoder", "layers") => Side::Encoder,
        ("decoder", "layers") => Side::Decoder,
        _ => return None,
    };
    let layer = parts.next()?.parse().ok()?;
    if parts.next()? != "block" {
        return None;
    }
    let rest = parts.next()?;
    Some((Place { side, layer }, &name[..name.len() - rest.len()], rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_of_blocks_are_told_from_others() {
        let place = Place { side: Side::Decoder, layer: 3 };
        let (found, path, rest) = in_block("decoder.layers.3.block.experts.12.fc1.weight").unwrap();
        assert_eq!((found, path, rest), (place, "decoder.layers.3.block.", "experts.12.fc1.weight"));
        for other in
            ["embedding.weight", "encoder.layers.0.ffn.fc1.weight", "encoder.norm.bias", "encoder.layers.x.block.a"]
        {
            assert!(in_block(other).is_none(), "{other}");
        }
    }
}
