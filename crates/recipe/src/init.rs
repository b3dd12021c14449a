//! Recipes whose training starts from a model (`train.init`): what they take over from it, and what must agree with it.

use toml::{Table, Value};

use crate::error::ConfigError;
use crate::keys::Key;
use crate::model_config::ModelConfig;
use crate::recipe::{ModelSection, Recipe};
use crate::rules::{Exits, Kind, Normalization};

/// The keys of `[model]` that say how large a model is.
const SIZES: [&str; 5] = ["encoder_layers", "decoder_layers", "d_model", "d_ffn", "heads"];

/// Those that say which experts there are and what goes where.
const ROUTING: [&str; 12] = [
    "kind",
    "strata",
    "experts",
    "top_k",
    "moe_every",
    "normalization",
    "visible",
    "exits",
    "random_capacity",
    "capacity_budget",
    "visit_scale",
    "learned_scale",
];

/// Those that only act on experts while they are trained. A dense model says nothing of them.
const OF_EXPERTS: [&str; 9] = [
    "capacity_factor",
    "second_choice",
    "expert_dropout",
    "eom",
    "fom",
    "cmr_gate_dropout",
    "cmr_budget",
    "cmr_weight",
    "balance_weight",
];

/// The section as TOML, by key.
fn table(section: &ModelSection) -> Table {
    // A struct of plain fields always serializes.
    Table::try_from(section).unwrap_or_default()
}

/// What the keys of `[model]` are where a recipe that starts from `model` does not set them; the experts of an upcycled
/// model are the recipe's.
pub(crate) fn defaults(model: &ModelConfig, upcycle: bool) -> impl Iterator<Item = (&'static Key, Value)> {
    let mut values = table(&ModelSection::of(model));
    let taken = move |key: &&Key| !(upcycle && [&ROUTING[..], &OF_EXPERTS].concat().contains(&key.leaf()));
    ModelSection::KEYS.iter().filter(taken).filter_map(move |key| Some((key, values.remove(key.leaf())?)))
}

impl Recipe {
    /// Checks that this recipe's model can take over the weights of `model`, from which training starts: the sizes are
    /// the same, and so is all that has to do with experts, unless `train.upcycle` makes them of a dense model.
    ///
    /// # Errors
    /// Every key that differs, with both values; a model to be upcycled that is not dense.
    pub fn check_init(&self, model: &ModelConfig) -> Result<(), ConfigError> {
        let upcycle = self.train.upcycle;
        if upcycle && model.kind != Kind::Dense {
            let message = format!(
                "train.upcycle makes experts of the FFNs of a dense model, but train.init is a {}; set it to false",
                model.name()
            );
            return Err(ConfigError { key: "kind", message });
        }
        let mut own = self.model.clone();
        if !own.strata.is_empty() {
            own.experts = own.strata.iter().sum();
        }
        let (own, theirs) = (table(&own), table(&ModelSection::of(model)));
        let routing = match (upcycle, model.kind) {
            (true, _) => &[],
            (false, Kind::Dense) => &ROUTING[..1], // the rest says nothing of a model without experts
            (false, _) => &ROUTING[..],
        };
        // Where norms stand says nothing of a model without strata.
        let says_nothing = |leaf: &str| leaf == "normalization" && model.kind != Kind::Smoe;
        let differs = |leaf: &&&str| own.get(**leaf) != theirs.get(**leaf) && !says_nothing(leaf);
        let differing: Vec<&str> = SIZES.iter().chain(routing).filter(differs).copied().collect();
        let Some(key) = differing.first() else { return Ok(()) };
        let shown = |table: &Table, leaf: &str| table.get(leaf).map_or(String::new(), Value::to_string);
        let all = differing.iter().map(|leaf| {
            let (own, theirs) = (shown(&own, leaf), shown(&theirs, leaf));
            format!("model.{leaf} = {own}, but the model that training starts from has {theirs}")
        });
        let all = all.collect::<Vec<_>>().join("; ");
        Err(ConfigError { key, message: format!("{all}; leave such keys out of the recipe: they are the model's") })
    }
}

/// Checks that a model like the recipe's can start as the dense model whose FFNs become its experts.
pub(crate) fn check_upcycling(model: &ModelSection) -> Result<(), ConfigError> {
    let fault = |key, message: String| Err(ConfigError { key, message });
    let ModelSection { kind, normalization, exits, top_k, learned_scale, .. } = *model;
    if !matches!(kind, Kind::Moe | Kind::Switch | Kind::Cmr | Kind::Smoe) {
        let message = "train.upcycle makes a dense model one of kind = \"moe\", \"switch\", \"cmr\" or \"smoe\"";
        return fault("kind", format!("{message}, not \"{kind}\""));
    }
    if kind != Kind::Smoe {
        return Ok(());
    }
    if normalization == Normalization::Reference {
        let message = "normalization = \"reference\" puts norms into the residual, where a dense model has none; with \
                       train.upcycle set \"paper\"";
        return fault("normalization", message.to_owned());
    }
    if model.strata.len() == 1 || learned_scale {
        return Ok(());
    }
    if matches!(exits, Exits::Never | Exits::Random) {
        let message = "with train.upcycle these exits make tokens visit several strata from the first update on, which \
                       starts as the dense model only with learned_scale = true; set it";
        return fault("exits", message.to_owned());
    }
    if top_k == 1 {
        let message = "top_k = 1 weighs experts by their probabilities, so that with train.upcycle strata start as the \
                       dense model only with learned_scale = true; set it, or top_k = 2";
        return fault("top_k", message.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::model_config::ModelConfig;
    use crate::network::{Mark, Network};
    use crate::recipe::ModelSection;
    use crate::recipe_file::RecipeFile;
    use crate::rules::Kind;

    fn dense() -> ModelConfig {
        ModelConfig { d_model: 64, d_ffn: 96, heads: 4, dropout: 0.25, max_length: 100, ..ModelConfig::default() }
    }

    fn set(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn what_a_recipe_does_not_set_is_the_models() {
        let file = RecipeFile::parse("[model]\ndropout = 0.1\n[train]\ninit = \"m\"\n", "r.toml").unwrap();
        assert_eq!(file.init(None, &[]).unwrap().as_deref(), Some("m"));
        let mut model = dense();
        model.network.decoder.heads = Some(2);
        model.prompts.source_end = vec![Mark::End, Mark::Source];
        let recipe = file.resolve_from(None, &[], &model).unwrap();
        recipe.check_init(&model).unwrap();
        assert_eq!(recipe.model, ModelSection { dropout: 0.1, ..ModelSection::of(&model) });
        assert_eq!(recipe.data.max_length, 100, "as long as the model can read");
        let config = recipe.model_config_like(&model, 77).unwrap();
        assert_eq!(config, ModelConfig { dropout: 0.1, vocab_size: 77, ..model });
        // The recipe of the run says it all, and needs the model no more.
        let again = RecipeFile::parse(&recipe.to_toml(""), "r.toml").unwrap().resolve(None, &[]).unwrap();
        assert_eq!(again, recipe);
    }

    #[test]
    fn experts_by_block_and_gates_with_a_bias_come_with_the_model() {
        let file = RecipeFile::parse("[train]\ninit = \"m\"\n", "r.toml").unwrap();
        let network = Network { gate_bias: true, ..Network::default() };
        let block_experts = vec![4, 2, 2, 4, 4, 3];
        let model = ModelConfig { kind: Kind::Moe, experts: 4, block_experts, network, ..dense() };
        let recipe = file.resolve_from(None, &[], &model).unwrap();
        recipe.check_init(&model).unwrap();
        assert_eq!(recipe.model_config_like(&model, 32_000).unwrap(), model);
    }

    #[test]
    fn every_key_that_differs_is_named_with_both_values() {
        let text = "[model]\nkind = \"moe\"\nexperts = 4\nd_model = 128\nheads = 4\n[train]\ninit = \"m\"\n";
        let recipe = RecipeFile::parse(text, "r.toml").unwrap().resolve_from(None, &[], &dense()).unwrap();
        let error = recipe.check_init(&dense()).unwrap_err().to_string();
        assert_eq!(
            error,
            "model.d_model = 128, but the model that training starts from has 64; model.kind = \"moe\", but the model \
             that training starts from has \"dense\"; leave such keys out of the recipe: they are the model's"
        );
        // Of a model with experts, those too; the sum of strata need not be said.
        let smoe = ModelConfig { kind: Kind::Smoe, strata: vec![2, 4], experts: 6, ..dense() };
        let of = |pairs| {
            let file = RecipeFile::parse("[train]\ninit = \"m\"\n", "r.toml").unwrap();
            file.resolve_from(None, &set(pairs), &smoe).unwrap().check_init(&smoe)
        };
        of(&[("model.experts", "0")]).unwrap();
        let error = of(&[("model.strata", "3,3"), ("model.learned_scale", "true")]).unwrap_err().to_string();
        assert!(error.contains("model.strata = [3, 3], but") && error.contains("learned_scale = true, but"), "{error}");
    }

    #[test]
    fn upcycling_takes_the_sizes_and_leaves_the_experts_to_the_recipe() {
        let text = "[model]\nstrata = [2, 6]\n[train]\ninit = \"m\"\nupcycle = true\n";
        let file = RecipeFile::parse(text, "r.toml").unwrap();
        let recipe = file.resolve_from(None, &[], &dense()).unwrap();
        recipe.check_init(&dense()).unwrap();
        let config = recipe.model_config_like(&dense(), 32_000).unwrap();
        assert_eq!(config, ModelConfig { kind: Kind::Smoe, strata: vec![2, 6], experts: 8, ..dense() });
        let moe = ModelConfig { kind: Kind::Moe, experts: 4, ..dense() };
        let error = recipe.check_init(&moe).unwrap_err().to_string();
        assert!(error.contains("but train.init is a MoE-4"), "{error}");
        for (changes, word) in [
            (&[("model.kind", "dense"), ("model.strata", "")][..], "not \"dense\""),
            (&[("model.kind", "stacked"), ("model.strata", "2,2")], "not \"stacked\""),
            (&[("model.normalization", "reference")], "set \"paper\""),
            (&[("model.exits", "never")], "learned_scale"),
            (&[("model.top_k", "1")], "or top_k = 2"),
            (&[("train.init", "")], "train.init"),
            (
                &[("model.strata", ""), ("train.upcycle", "false"), ("train.upcycle_noise", "0.1")],
                "train.upcycle_noise",
            ),
        ] {
            let error = file.resolve_from(None, &set(changes), &dense()).unwrap_err().to_string();
            assert!(error.contains(word), "{changes:?}: {error}");
        }
        let learned = set(&[("model.exits", "never"), ("model.learned_scale", "true"), ("model.top_k", "1")]);
        file.resolve_from(None, &learned, &dense()).unwrap();
    }
}
