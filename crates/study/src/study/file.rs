//! The file of a study: which variants of a recipe to compare, with which seeds, and on what to measure them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use strata_recipe::{Recipe, RecipeFile};
use toml::Value;

use super::equal::{Equal, Vocabularies};
pub use super::steps::{Condition, Measure, Primary, Step};
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
    /// What is to be decided, written down before the first run.
    #[serde(default)]
    pub primary: Primary,
    /// The runs in steps, each with conditions for going on; none: all runs, seed by seed.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Source and target subwords per second at which one of the baseline's runs trains, for the hours of a plan.
    pub tokens_per_second: Option<f64>,
    /// Folder that gets `study.csv` and `comparisons.csv` after every run, to be kept with the code.
    pub figures: Option<PathBuf>,
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
    /// Another run that this one costs as much as: sets `train.updates`.
    pub equal: Option<Equal>,
}

/// What all runs of a plan are made from.
struct Shared<'a> {
    file: RecipeFile,
    /// The study's `[set]`.
    of_all: Vec<(String, String)>,
    /// Of the command line.
    overrides: &'a [(String, String)],
    vocabularies: Vocabularies,
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

/// The splits whose text a prepared folder keeps, to score against.
const HELD_OUT: [&str; 2] = ["test", "valid"];

/// Whether these are one or more different seeds.
fn are_seeds(seeds: &[u64]) -> bool {
    !seeds.is_empty() && (1..seeds.len()).all(|i| !seeds[..i].contains(&seeds[i]))
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
    /// The place of its step; 0 in a study without steps.
    pub step: usize,
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
            if !are_seeds(self.seeds_of(run)) {
                return Err(self.fault(format!("run `{name}` needs one or more different seeds")));
            }
        }
        self.check_split()?;
        self.check_name("baseline", &self.baseline)?;
        for run in &self.runs {
            if let Some(equal) = &run.equal {
                self.check_name(&format!("run `{}`: equal.to", run.name), &equal.to)?;
            }
        }
        for place in 0..self.steps.len() {
            self.check_step(place)?;
        }
        let in_step = |run: &&RunEntry| self.steps.iter().any(|step| step.runs.contains(&run.name));
        if let Some(run) = self.runs.iter().find(|run| !self.steps.is_empty() && !in_step(run)) {
            return Err(self.fault(format!("run `{}` is in no step; name it in one, or remove it", run.name)));
        }
        let positive = |value: f64| value > 0.0 && value.is_finite();
        if !positive(self.primary.difference) || self.tokens_per_second.is_some_and(|speed| !positive(speed)) {
            return Err(self.fault("primary.difference and tokens_per_second must be above 0".into()));
        }
        Ok(())
    }

    /// That the split is one that `strata prepare` holds text out for.
    fn check_split(&self) -> Result<(), Error> {
        if HELD_OUT.contains(&self.split.as_str()) {
            return Ok(());
        }
        let hint =
            strata_recipe::nearest(&self.split, HELD_OUT).map_or(String::new(), |n| format!("; did you mean {n:?}?"));
        Err(self.fault(format!(
            "split = {:?} must be {}{hint}",
            self.split,
            HELD_OUT.map(|n| format!("{n:?}")).join(" or ")
        )))
    }

    /// A step: that it has runs, and conditions on runs that are over by then.
    fn check_step(&self, place: usize) -> Result<(), Error> {
        let Step { name, runs, seeds, go_on_if } = &self.steps[place];
        let step = format!("step `{name}`:");
        for name in runs {
            self.check_name(&format!("{step} run"), name)?;
        }
        if runs.is_empty() {
            return Err(self.fault(format!("{step} it has no runs; name one, or remove the step")));
        }
        if seeds.as_ref().is_some_and(|seeds| !are_seeds(seeds)) {
            return Err(self.fault(format!("{step} needs one or more different seeds, or none of its own: no `seeds`")));
        }
        for Condition { higher, lower, by } in go_on_if {
            for (side, name) in [("higher", higher), ("lower", lower)] {
                self.check_name(&format!("{step} {side}"), name)?;
                if !self.steps[..=place].iter().any(|step| step.runs.contains(name)) {
                    let what = "is in none of the steps up to this one, so it has no figures yet";
                    return Err(self.fault(format!("{step} {side} `{name}` {what}")));
                }
            }
            if !by.is_finite() {
                return Err(self.fault(format!("{step} by = {by} must be a number")));
            }
        }
        Ok(())
    }

    /// That a run of this name exists.
    fn check_name(&self, what: &str, name: &str) -> Result<(), Error> {
        let names: Vec<&str> = self.runs.iter().map(|run| run.name.as_str()).collect();
        if names.contains(&name) {
            return Ok(());
        }
        let near = strata_recipe::nearest(name, names.iter().copied());
        let hint = near.map_or(String::new(), |near| format!("; did you mean `{near}`?"));
        Err(self.fault(format!("{what} `{name}` is none of the runs{hint} (runs: {})", names.join(", "))))
    }

    /// The path of the recipe, from where strata is run.
    pub fn recipe_path(&self) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(&self.recipe)
    }

    /// All training runs in order: step by step, in each every entry with its first seed, then those with a second one,
    /// and so on, so that the whole comparison is there before its spread over seeds. `overrides` come last and apply
    /// to all.
    ///
    /// # Errors
    /// An invalid recipe, with the name of the run.
    pub fn plan(&self, overrides: &[(String, String)]) -> Result<Vec<Planned>, Error> {
        let file = RecipeFile::open(&self.recipe_path())?;
        let of_all = flat(&self.set).map_err(|key| self.fault(format!("[set] has no value for `{key}`")))?;
        let whole = Step {
            name: String::new(),
            runs: self.runs.iter().map(|run| run.name.clone()).collect(),
            seeds: None,
            go_on_if: Vec::new(),
        };
        let steps = if self.steps.is_empty() { std::slice::from_ref(&whole) } else { &self.steps[..] };
        let shared = Shared { file, of_all, overrides, vocabularies: Vocabularies::default() };
        let mut plan: Vec<Planned> = Vec::new();
        for (place, step) in steps.iter().enumerate() {
            let runs = || step.runs.iter().filter_map(|name| self.runs.iter().find(|run| run.name == *name));
            let seeds = |run| step.seeds.as_deref().unwrap_or_else(|| self.seeds_of(run));
            let most = runs().map(|run| seeds(run).len()).max().unwrap_or(0);
            for turn in 0..most {
                for run in runs() {
                    let Some(&seed) = seeds(run).get(turn) else { continue };
                    if !plan.iter().any(|planned| planned.name == run.name && planned.seed == seed) {
                        plan.push(self.planned(&shared, run, seed, place)?);
                    }
                }
            }
        }
        Ok(plan)
    }

    fn seeds_of<'a>(&'a self, run: &'a RunEntry) -> &'a [u64] {
        run.seeds.as_ref().unwrap_or(&self.seeds)
    }

    fn planned(&self, shared: &Shared, run: &RunEntry, seed: u64, step: usize) -> Result<Planned, Error> {
        let Shared { file, of_all, overrides, vocabularies } = shared;
        let id = format!("{}.seed{seed}", run.name);
        let own = flat(&run.set).map_err(|key| self.fault(format!("run `{}` sets no value for `{key}`", run.name)))?;
        let mut set: Vec<(String, String)> = of_all.iter().chain(&own).chain(*overrides).cloned().collect();
        if let Some((key, _)) = set.iter().find(|(key, _)| key == "train.seed" || key == "train.output") {
            let instead = if key == "train.seed" { "give `seeds`" } else { "the study makes a folder for each run" };
            return Err(self.fault(format!("run `{}`: {key} cannot be set in a study; {instead}", run.name)));
        }
        let folder = self.output.join("runs").join(&id);
        let folder = folder.to_str().ok_or_else(|| self.fault("output: recipes hold paths in UTF-8 only".into()))?;
        set.push(("train.seed".into(), seed.to_string()));
        set.push(("train.output".into(), Value::from(folder).to_string()));
        let resolve = |run: &RunEntry, set: &[(String, String)]| {
            file.resolve(run.variant.as_deref(), set).map_err(|e| self.fault(format!("run `{}`: {e}", run.name)))
        };
        let mut recipe = resolve(run, &set)?;
        if let Some(equal) = &run.equal
            && let Some(other) = self.runs.iter().find(|other| other.name == equal.to)
        {
            if other.equal.is_some() {
                let what = "sets its own budget by another run; name that one";
                return Err(self.fault(format!("run `{}`: equal.to `{}` {what}", run.name, other.name)));
            }
            let theirs = flat(&other.set)
                .map_err(|key| self.fault(format!("run `{}` sets no value for `{key}`", other.name)))?;
            let theirs: Vec<(String, String)> = of_all.iter().chain(&theirs).chain(*overrides).cloned().collect();
            let updates = equal.updates(&recipe, &resolve(other, &theirs)?, vocabularies);
            let updates = updates.map_err(|e| self.fault(format!("run `{}`: {e}", run.name)))?;
            set.push(("train.updates".into(), updates.to_string()));
            recipe = resolve(run, &set)?;
        }
        if self.weights == Weights::Averaged && !recipe.train.averages() {
            let what = "weights = \"averaged\" needs train.average_last or train.average_decay above 0; set one, or \
                        measure \"best\"";
            return Err(self.fault(format!("run `{}`: {what}", run.name)));
        }
        Ok(Planned { id, name: run.name.clone(), variant: run.variant.clone(), seed, step, recipe, set })
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

/// The keys in which a recipe differs from another, each with the values of both.
pub fn differences(recipe: &Recipe, other: &Recipe) -> Vec<(String, String, String)> {
    let table = |recipe: &Recipe| match Value::try_from(recipe) {
        Ok(Value::Table(table)) => flat(&table).unwrap_or_default(),
        _ => Vec::new(),
    };
    let pairs = table(recipe).into_iter().zip(table(other));
    pairs.filter(|(one, other)| one != other).map(|((key, one), (_, other))| (key, one, other)).collect()
}

/// The keys, other than those of the model, the seed and the output, in which a recipe differs from another.
pub fn differing_keys(recipe: &Recipe, baseline: &Recipe) -> Vec<String> {
    let free = |key: &str| key.starts_with("model.") || key == "train.seed" || key == "train.output";
    let differ = differences(recipe, baseline).into_iter().filter(|(key, ..)| !free(key));
    differ.map(|(key, value, theirs)| format!("{key} = {value} (baseline: {theirs})")).collect()
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

    /// Every study of the repository can be planned, and a baseline's setting differs from a run's only where meant.
    #[test]
    fn shipped_studies_can_be_planned() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../studies");
        let mut found = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let study = StudyFile::open(&path).unwrap();
            let plan = study.plan(&[]).unwrap();
            assert!(plan.len() > 10);
            found += 1;
            if path.ends_with("second.toml") {
                let flops = plan.iter().find(|planned| planned.name == "moe-8-flops").unwrap();
                // Of 5,000 updates, 3.2 MFLOP a token: 0.45 more visits of 6 blocks.
                assert!((5500..6500).contains(&flops.recipe.train.updates), "{}", flops.recipe.train.updates);
                let of_first = plan.iter().filter(|planned| planned.step == 0).count();
                assert_eq!((of_first, study.steps.len()), (4, 6));
            }
        }
        assert_eq!(found, 6);
    }

    #[test]
    fn steps_order_runs_and_make_none_twice() {
        let text = format!(
            "{HEAD}[[runs]]\nname = \"moe-8\"\nvariant = \"moe\"\n[[runs]]\nname = \"smoe\"\n\
             [[steps]]\nname = \"look\"\nruns = [\"smoe\", \"moe-8\"]\nseeds = [1]\n\
             go_on_if = [{{ higher = \"moe-8\", lower = \"smoe\", by = 0.1 }}]\n\
             [[steps]]\nname = \"all\"\nruns = [\"moe-8\", \"smoe\"]\nseeds = [1, 2]\n\
             [primary]\nmeasure = \"bleu\"\ndifference = 0.3\n"
        );
        let (study, _folder) = open(&text).unwrap();
        assert_eq!((study.primary.measure, study.primary.difference), (Measure::Bleu, 0.3));
        let plan = study.plan(&[]).unwrap();
        let order: Vec<(&str, usize)> = plan.iter().map(|p| (p.id.as_str(), p.step)).collect();
        assert_eq!(order, [("smoe.seed1", 0), ("moe-8.seed1", 0), ("moe-8.seed2", 1), ("smoe.seed2", 1)]);
    }

    #[test]
    fn budgets_set_updates() {
        let run_with = |set: &str, equal: &str| {
            let text = format!(
                "{HEAD}[set]\n{set}train.updates = 1000\n[[runs]]\nname = \"smoe\"\n\
                 [[runs]]\nname = \"moe-8\"\nvariant = \"moe\"\nequal = {{ to = \"smoe\", {equal} }}\n"
            );
            let (study, _folder) = open(&text)?;
            let plan = study.plan(&[]).map_err(|e| e.to_string())?;
            let [smoe, moe] = &plan[..] else { panic!("{plan:?}") };
            let flops = |recipe: &Recipe| {
                let prepared = strata_corpus::Subwords::load(&Path::new(&recipe.data.prepared).join("tokenizer.json"));
                let vocabulary = prepared.map_or(recipe.data.vocabulary, |subwords| subwords.vocab_size());
                let config = recipe.model_config(vocabulary).unwrap();
                strata_recipe::Cost::of(&config, None).unwrap().flops_per_token as f64
            };
            Ok::<_, String>((moe.recipe.train.updates, flops(&smoe.recipe) / flops(&moe.recipe)))
        };
        let run = |equal: &str| run_with("", equal);
        let (updates, ratio) = run("budget = \"flops\"").unwrap();
        assert_eq!(updates, (1000.0 * ratio).round() as u64);
        assert!(ratio > 1.05, "{ratio}");
        // RC 1 costs what the MoE costs, and the uniform 1.5 is what the ratio above is for.
        assert_eq!(run("budget = \"flops\", requested_capacity = 1.0").unwrap().0, 1000);
        assert_eq!(run("budget = \"flops\", requested_capacity = 1.5").unwrap().0, updates);
        assert_eq!(run("budget = \"time\", speed = 1.25").unwrap().0, 1250);
        // The vocabulary of the prepared folder counts, not the planned one.
        let prepared = concat!(env!("CARGO_MANIFEST_DIR"), "/../translate/tests/kept-0.1.0/model");
        let (of_prepared, ratio) = run_with(&format!("data.prepared = {prepared:?}\n"), "budget = \"flops\"").unwrap();
        assert_eq!(of_prepared, (1000.0 * ratio).round() as u64);
        assert_ne!(of_prepared, updates);
        for (equal, words) in [
            ("budget = \"time\"", "needs speed"),
            ("budget = \"flops\", speed = 1.0", "goes with"),
            ("budget = \"flops\", requested_capacity = 9.0", "not between 1 and 2"),
        ] {
            let error = run(equal).unwrap_err();
            assert!(error.contains(words) && error.contains("moe-8"), "{error}");
        }
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
        let step = |step: &str| format!("{HEAD}{run}[[steps]]\nname = \"s\"\n{step}\n");
        refused(&step("runs = [\"moe-9\"]"), &["step `s`", "did you mean `moe-8`"]);
        refused(&step("runs = []"), &["step `s`", "no runs"]);
        refused(&step("runs = [\"moe-8\"]\nseeds = []"), &["step `s`", "different seeds"]);
        refused(&step("runs = [\"moe-8\"]\nseeds = [2, 2]"), &["step `s`", "different seeds"]);
        let other = format!("{HEAD}{run}[[runs]]\nname = \"b\"\n[[steps]]\nname = \"s\"\nruns = [\"moe-8\"]\n");
        refused(&other, &["run `b` is in no step"]);
        let later =
            "go_on_if = [{ higher = \"b\", lower = \"moe-8\", by = 1.0 }]\n[[steps]]\nname = \"t\"\nruns = [\"b\"]\n";
        refused(&format!("{other}{later}"), &["step `s`: higher `b`", "no figures yet"]);
        refused(&format!("{HEAD}split = \"tset\"\n{run}"), &["\"tset\"", "did you mean \"test\"?"]);
        refused(&format!("{HEAD}split = \"train\"\n{run}"), &["must be \"test\" or \"valid\""]);
        let condition = "runs = [\"moe-8\"]\ngo_on_if = [{ higher = \"x\", lower = \"moe-8\", by = 1.0 }]";
        refused(&step(condition), &["step `s`", "higher `x`"]);
        refused(&format!("{HEAD}tokens_per_second = 0.0\n{run}"), &["tokens_per_second"]);
        let equal = "equal = { budget = \"flops\", to = \"moe-8\" }";
        refused(&format!("{HEAD}{run}{equal}\n"), &["equal.to", "name that one"]);
    }
}
