//! The file of a study: which variants of a recipe to compare, with which seeds, and on what to measure them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use strata_recipe::{Recipe, RecipeFile};
use toml::Value;

use crate::error::Error;

/// A study as its file describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyFile {
    /// The recipe whose variants are compared; relative to the study's file.
    pub recipe: PathBuf,
    /// Folder of the study: runs, translations, results and the report.
    pub output: PathBuf,
    /// The run with which the others are compared.
    pub baseline: String,
    /// Seeds of each run that does not name its own.
    #[serde(default = "first_seed")]
    pub seeds: Vec<u64>,
    /// Devices to train on, one run at a time each; a device named twice trains two. Empty: the recipe's device.
    #[serde(default)]
    pub devices: Vec<String>,
    /// `test` or `valid`: the split that is translated and analyzed.
    #[serde(default = "test_split")]
    pub split: String,
    /// Sentences of each direction that are translated, the first ones; 0 for all.
    #[serde(default)]
    pub sentences: usize,
    /// Sentences of each direction whose routing is recorded, the first ones; 0 for all.
    #[serde(default)]
    pub analysis_sentences: usize,
    /// The weights that are measured.
    #[serde(default)]
    pub weights: Weights,
    /// Keys of the recipe that are changed for all runs.
    #[serde(default)]
    pub set: toml::Table,
    /// What is compared.
    pub runs: Vec<RunEntry>,
    /// Where the study was read from.
    #[serde(skip)]
    pub path: PathBuf,
}

/// One system to compare; it is trained once for each seed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunEntry {
    /// Its name in tables; followed by the seed, the name of a run's folder.
    pub name: String,
    /// The recipe's variant.
    pub variant: Option<String>,
    /// Its seeds, in place of the study's.
    pub seeds: Option<Vec<u64>>,
    /// Keys of the recipe that are changed for this run.
    #[serde(default)]
    pub set: toml::Table,
}

/// Which weights of a run are measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// The checkpoint with the best validation loss.
    #[default]
    Best,
    /// The newest checkpoint.
    Last,
    /// The mean of the last checkpoints (`train.average_last`).
    Averaged,
}

fn first_seed() -> Vec<u64> {
    vec![1]
}

fn test_split() -> String {
    "test".to_string()
}

/// One training run of a study.
#[derive(Clone, Debug)]
pub struct Planned {
    /// `moe-8.seed1`: its folder's name.
    pub id: String,
    /// The name of its entry.
    pub name: String,
    /// The recipe's variant.
    pub variant: Option<String>,
    /// The seed of all its random numbers.
    pub seed: u64,
    /// The whole recipe; its `train.output` is the run's folder.
    pub recipe: Recipe,
    /// The overrides of the recipe, seed and output included.
    pub set: Vec<(String, String)>,
}

impl StudyFile {
    /// Reads and checks a study.
    ///
    /// # Errors
    /// A file that cannot be read; otherwise what is wrong, with the line.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let text = strata_files::read_text(path)?;
        let mut study: StudyFile = toml::from_str(&text).map_err(|e| {
            let line = e.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Error::File {
                place: format!("{}, line {line}", path.display()),
                what: e.message().trim_end().replace('\n', "; "),
            }
        })?;
        study.path = path.to_path_buf();
        study.check()?;
        Ok(study)
    }

    fn fault(&self, what: String) -> Error {
        Error::File { place: self.path.display().to_string(), what }
    }

    fn check(&self) -> Result<(), Error> {
        if self.runs.is_empty() {
            return Err(self.fault("it has no [[runs]]; name at least one".into()));
        }
        for (i, run) in self.runs.iter().enumerate() {
            let name = &run.name;
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
                return Err(self.fault(format!(
                    "`{name}` cannot be the name of a run: it names a folder; use letters, digits, -, _, + and ."
                )));
            }
            if self.runs[..i].iter().any(|other| other.name == *name) {
                return Err(self.fault(format!("two runs are named `{name}`; rename one")));
            }
            let seeds = run.seeds.as_ref().unwrap_or(&self.seeds);
            if seeds.is_empty() || (1..seeds.len()).any(|i| seeds[..i].contains(&seeds[i])) {
                return Err(self.fault(format!("run `{name}` needs one or more different seeds")));
            }
        }
        if !self.runs.iter().any(|run| run.name == self.baseline) {
            let names: Vec<&str> = self.runs.iter().map(|run| run.name.as_str()).collect();
            let near = strata_recipe::nearest(&self.baseline, names.iter().copied());
            let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
            return Err(self.fault(format!(
                "baseline `{}` is none of the runs{hint} (runs: {})",
                self.baseline,
                names.join(", ")
            )));
        }
        Ok(())
    }

    /// The path of the recipe, from where strata is run.
    pub fn recipe_path(&self) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(&self.recipe)
    }

    /// All training runs in order: every entry with its first seed, then those with a second one, and so on, so that
    /// the whole comparison is there before its spread over seeds. `overrides` come last and apply to all.
    ///
    /// # Errors
    /// An invalid recipe, with the name of the run.
    pub fn plan(&self, overrides: &[(String, String)]) -> Result<Vec<Planned>, Error> {
        let file = RecipeFile::open(&self.recipe_path())?;
        let of_all = flat(&self.set).map_err(|key| self.fault(format!("[set] has no value for `{key}`")))?;
        let most = self.runs.iter().map(|run| self.seeds_of(run).len()).max().unwrap_or(0);
        let mut plan = Vec::new();
        for turn in 0..most {
            for run in &self.runs {
                let Some(&seed) = self.seeds_of(run).get(turn) else { continue };
                plan.push(self.planned(&file, run, seed, &of_all, overrides)?);
            }
        }
        Ok(plan)
    }

    fn seeds_of<'a>(&'a self, run: &'a RunEntry) -> &'a [u64] {
        run.seeds.as_ref().unwrap_or(&self.seeds)
    }

    fn planned(
        &self,
        file: &RecipeFile,
        run: &RunEntry,
        seed: u64,
        of_all: &[(String, String)],
        overrides: &[(String, String)],
    ) -> Result<Planned, Error> {
        let id = format!("{}.seed{seed}", run.name);
        let own = flat(&run.set).map_err(|key| self.fault(format!("run `{}` sets no value for `{key}`", run.name)))?;
        let mut set: Vec<(String, String)> = of_all.iter().chain(&own).chain(overrides).cloned().collect();
        if let Some((key, _)) = set.iter().find(|(key, _)| key == "train.seed" || key == "train.output") {
            let instead = if key == "train.seed" { "give `seeds`" } else { "the study makes a folder for each run" };
            return Err(self.fault(format!("run `{}`: {key} cannot be set in a study; {instead}", run.name)));
        }
        let folder = self.output.join("runs").join(&id);
        let folder = folder.to_str().ok_or_else(|| self.fault("output: recipes hold paths in UTF-8 only".into()))?;
        set.push(("train.seed".into(), seed.to_string()));
        set.push(("train.output".into(), Value::from(folder).to_string()));
        let recipe =
            file.resolve(run.variant.as_deref(), &set).map_err(|e| self.fault(format!("run `{}`: {e}", run.name)))?;
        if self.weights == Weights::Averaged && recipe.train.average_last == 0 {
            let what = "weights = \"averaged\" needs train.average_last above 0; set it, or measure \"best\"";
            return Err(self.fault(format!("run `{}`: {what}", run.name)));
        }
        Ok(Planned { id, name: run.name.clone(), variant: run.variant.clone(), seed, recipe, set })
    }
}

/// The dotted keys of a `[set]` table in the order of the file, with their values as TOML. The error is a key without a
/// value.
fn flat(table: &toml::Table) -> Result<Vec<(String, String)>, String> {
    fn walk(prefix: &str, table: &toml::Table, into: &mut Vec<(String, String)>) -> Result<(), String> {
        for (key, value) in table {
            let key = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Table(inner) if inner.is_empty() => return Err(key),
                Value::Table(inner) => walk(&key, inner, into)?,
                value => into.push((key, value.to_string())),
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    walk("", table, &mut found)?;
    Ok(found)
}

/// The keys, other than those of the model, the seed and the output, in which a recipe differs from another.
pub fn differing_keys(recipe: &Recipe, other: &Recipe) -> Vec<String> {
    let table = |recipe: &Recipe| match Value::try_from(recipe) {
        Ok(Value::Table(table)) => flat(&table).unwrap_or_default(),
        _ => Vec::new(),
    };
    let others = table(other);
    let free = |key: &str| key.starts_with("model.") || key == "train.seed" || key == "train.output";
    table(recipe)
        .into_iter()
        .zip(others)
        .filter(|(one, other)| one != other && !free(&one.0))
        .map(|((key, value), (_, other))| format!("{key} = {value} (baseline: {other})"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECIPE: &str = "[data]\nprepared = \"p\"\n[model]\nstrata = [4, 4]\nexperts = 8\n[variant.moe]\nmodel.kind = \"moe\"\nmodel.strata = []\n";

    fn open(text: &str) -> Result<(StudyFile, tempfile::TempDir), String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("recipe.toml"), RECIPE).unwrap();
        let path = folder.path().join("study.toml");
        std::fs::write(&path, text).unwrap();
        StudyFile::open(&path).map(|study| (study, folder)).map_err(|e| e.to_string())
    }

    const HEAD: &str = "recipe = \"recipe.toml\"\noutput = \"out\"\nbaseline = \"moe-8\"\n";

    #[test]
    fn runs_come_seed_by_seed_with_their_settings() {
        let text = format!(
            "{HEAD}seeds = [1, 7]\n[set]\ntrain.updates = 30\n[[runs]]\nname = \"moe-8\"\nvariant = \"moe\"\n\
             [[runs]]\nname = \"smoe\"\nseeds = [1]\nset = {{ model.normalization = \"reference\", train.updates = 40 }}\n"
        );
        let (study, _folder) = open(&text).unwrap();
        let plan = study.plan(&[("train.warmup".into(), "5".into())]).unwrap();
        let ids: Vec<&str> = plan.iter().map(|p| p.id.as_str()).collect();
        assert_eq!(ids, ["moe-8.seed1", "smoe.seed1", "moe-8.seed7"]);
        assert_eq!((plan[2].recipe.train.seed, plan[2].recipe.train.output.as_str()), (7, "out/runs/moe-8.seed7"));
        assert_eq!(plan[1].recipe.model.normalization, strata_recipe::Normalization::Reference);
        let updates: Vec<u64> = plan.iter().map(|p| p.recipe.train.updates).collect();
        assert_eq!((updates, plan[0].recipe.train.warmup), (vec![30, 40, 30], 5));
        assert_eq!(differing_keys(&plan[1].recipe, &plan[0].recipe), ["train.updates = 40 (baseline: 30)"]);
        assert!(differing_keys(&plan[2].recipe, &plan[0].recipe).is_empty());
        // `strata train` with these settings makes the very same recipe.
        let file = RecipeFile::open(&study.recipe_path()).unwrap();
        assert_eq!(file.resolve(Some("moe"), &plan[0].set).unwrap(), plan[0].recipe);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let run = "[[runs]]\nname = \"moe-8\"\n";
        let refused = |text: &str, words: &[&str]| {
            let message = match open(text) {
                Ok((study, _folder)) => study.plan(&[]).unwrap_err().to_string(),
                Err(message) => message,
            };
            assert!(words.iter().all(|word| message.contains(word)) && !message.contains('\n'), "{message}");
        };
        refused("recipe = [", &["study.toml, line 1"]);
        refused(&format!("{HEAD}basline = 3\n{run}"), &["line 4", "basline"]);
        refused(&format!("{HEAD}seeds = [1, 1]\n{run}"), &["moe-8", "different seeds"]);
        refused(&format!("{HEAD}runs = []\n"), &["no [[runs]]"]);
        refused(&format!("{HEAD}{run}{run}"), &["two runs are named `moe-8`"]);
        refused(&format!("{HEAD}[[runs]]\nname = \"a/b\"\n"), &["`a/b`", "folder"]);
        refused(&format!("{HEAD}[[runs]]\nname = \"moe-9\"\n"), &["did you mean `moe-9`"]);
        refused(&format!("{HEAD}{run}variant = \"mo\"\n"), &["run `moe-8`", "did you mean `moe`"]);
        refused(&format!("{HEAD}{run}set = {{ train.seed = 4 }}\n"), &["train.seed", "give `seeds`"]);
        refused(&format!("{HEAD}{run}set = {{ train.update = 4 }}\n"), &["run `moe-8`", "train.update"]);
        refused(&format!("{HEAD}weights = \"averaged\"\n{run}"), &["average_last"]);
    }
}
