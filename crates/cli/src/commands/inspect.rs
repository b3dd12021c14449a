//! `strata inspect`: what a model costs, before or after it is trained.

use std::path::{Path, PathBuf};

use clap::Args;
use strata_recipe::{Cost, ModelConfig, Recipe, render};
use strata_store::{Check, ModelFolder, resolve_model};

use crate::train::key_value;
use crate::{Outcome, print, print_json};

#[derive(Debug, Args)]
#[command(after_help = "FLOPs are of the forward pass, for each token, one multiply-add counted as two. Examples:\n  \
                        strata inspect recipes/m15.toml --variant smoe-4-12\n  \
                        strata inspect runs/quickstart --json")]
pub struct Arguments {
    /// Recipe file, or a model folder, checkpoint or run
    recipe_or_model: PathBuf,
    /// The recipe's variant
    #[arg(long)]
    variant: Option<String>,
    /// Change a key of the recipe; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let path = &arguments.recipe_or_model;
    let (config, measured) = if path.is_dir() {
        let given = arguments.variant.is_some() || !arguments.set.is_empty();
        anyhow::ensure!(!given, "{}: --variant and --set are for recipes, this is a trained model", path.display());
        trained(path)?
    } else {
        (Recipe::load(path, arguments.variant.as_deref(), &arguments.set)?.planned_model_config()?, None)
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
    let folder = ModelFolder::open_with(resolve_model(path)?, Check::Sizes)?;
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
