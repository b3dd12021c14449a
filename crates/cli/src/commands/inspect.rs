//! `strata inspect`: what a model costs, before or after it is trained.

use std::path::{Path, PathBuf};

use clap::Args;
use strata_recipe::{Cost, ModelConfig, Recipe, render};
use strata_store::Check;

use crate::output::{print, print_json};
use crate::overrides::Overrides;
use crate::{Outcome, model};

/// Show parameters and FLOPs of a recipe or a model
#[derive(Debug, Args)]
#[command(after_help = "FLOPs are those of the forward pass per token; a multiply-add counts as two.")]
pub struct Arguments {
    /// Recipe file, or a model folder, checkpoint or run
    #[arg(value_name = "RECIPE|MODEL")]
    recipe_or_model: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let path = &arguments.recipe_or_model;
    let (config, measured) = if path.is_dir() {
        anyhow::ensure!(
            arguments.overrides.is_empty(),
            "{}: --variant and --set are for recipes, this is a trained model",
            path.display()
        );
        trained(path)?
    } else {
        let Overrides { variant, set } = &arguments.overrides;
        (Recipe::load(path, variant.as_deref(), set)?.planned_model_config()?, None)
    };
    let cost = Cost::of(&config, measured.as_deref())?;
    if arguments.json {
        print_json(&cost)?;
    } else {
        print(&render(&config, &cost))?;
    }
    Ok(Outcome::Done)
}

/// The configuration of a trained model, and the requested capacity of its blocks at the last validation.
fn trained(path: &Path) -> anyhow::Result<(ModelConfig, Option<Vec<f64>>)> {
    let folder = model::open(path, Check::Sizes)?;
    let state = strata_store::checkpoint::STATE_FILE;
    let measured = if folder.file(state).exists() {
        let state = folder.json(state)?;
        state["requested_capacity"]
            .as_array()
            .map(|blocks| blocks.iter().filter_map(serde_json::Value::as_f64).collect())
    } else {
        None
    };
    Ok((folder.model_config()?, measured))
}
