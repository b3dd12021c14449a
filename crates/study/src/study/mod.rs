//! `strata study`: a grid of training runs with everything else equal, one after another on each device, measured and
//! compared.
//!
//! Everything is on disk after every step: `OUTPUT/runs/ID` is an ordinary run of `strata train`,
//! `OUTPUT/translations/ID` holds its translations, `OUTPUT/results/ID.json` its figures. A study that is run again
//! resumes where it stopped and repeats nothing. Several processes of one study share its runs.

mod begun;
mod claims;
mod compare;
mod conditions;
mod csv;
mod differences;
mod equal;
mod file;
mod kept;
mod likelihood;
mod log;
mod measure;
pub mod results;
mod running;
mod seeds;
mod steps;
mod training;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use strata_corpus::Subwords;
use strata_files::IoContext;
use strata_files::names::{LANGUAGES_FILE, TOKENIZER_FILE};
use strata_metrics::Tokenizer;
use strata_recipe::{Cost, Recipe};
use strata_translate::evaluate::read_texts;
use strata_translate::scores::Metrics;

use crate::analysis::Progress;
use crate::error::Error;
use results::{RunResult, Status, StudyResult};

pub use equal::{Budget, Equal};
pub use file::{Condition, Measure, Planned, Primary, RunEntry, Step, StudyFile, Weights, differences};
pub use likelihood::{Likelihood, Loss, losses};
pub use training::{Trained, Trainer};

/// Something that happened in a study.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A run is started, resumed or measured.
    Begun {
        /// Its place in the plan, from 1.
        number: usize,
        /// Runs in all.
        of: usize,
        /// The run.
        planned: &'a Planned,
        /// The device it is trained on, unless that is the recipe's.
        device: Option<&'a str>,
    },
    /// A line of output from the training of the run of this id.
    Line(&'a str, &'a str),
    /// The id of the run being measured, the step (`translating`, `scoring` or `routing`), and its progress.
    Measuring(&'a str, &'a str, Progress),
    /// The run of this id decides whether the study goes on, and another process has it.
    Waiting(&'a str),
    /// A run ended, done or not.
    Over(&'a RunResult),
    /// The study ends here: a condition of a step does not hold, and which.
    Ended(&'a str),
    /// The study stops before the next step: runs of the step of this name, or of one before, are not over, so its
    /// conditions are open.
    Undecided(&'a str),
}

/// A study under way.
pub struct Study {
    file: StudyFile,
    plan: Vec<Planned>,
    /// In the order of the plan; locked while the files made from all results are written.
    results: Mutex<Vec<RunResult>>,
    /// Whether each run had failed before: this process tries it again, but not what fails in another meanwhile.
    failed_before: Vec<bool>,
    metrics: Metrics,
    /// Checksums of the corpus's `tokenizer.json` and `languages.json`.
    corpus: String,
}

impl Study {
    /// Reads a study and its results so far. `overrides` change keys of all recipes.
    ///
    /// # Errors
    /// A fault in the study's file or in a recipe, or a missing corpus.
    pub fn open(path: &Path, overrides: &[(String, String)]) -> Result<Self, Error> {
        let file = StudyFile::open(path)?;
        let plan = file.plan(overrides)?;
        let prepared = plan.first().map_or(String::new(), |planned| planned.recipe.data.prepared.clone());
        if let Some(other) = plan.iter().find(|planned| planned.recipe.data.prepared != prepared) {
            let what = format!(
                "run `{}` has data.prepared = {:?} where others have {prepared:?}; a study compares on one corpus",
                other.name, other.recipe.data.prepared
            );
            return Err(Error::File { place: path.display().to_string(), what });
        }
        let tokenizer = Path::new(&prepared).join(TOKENIZER_FILE);
        if !tokenizer.exists() {
            let what = format!(
                "no {TOKENIZER_FILE} there; data.prepared must name a folder that `strata prepare` wrote: \
                 strata prepare BITEXT --output {prepared}"
            );
            return Err(Error::File { place: prepared, what });
        }
        check_texts(&file.split, &plan)?;
        let vocabulary = Subwords::load(&tokenizer)?.vocab_size();
        let checksum = |name: &str| strata_files::Digest::of_file(Path::new(&prepared).join(name));
        let corpus = format!("{:x?} {:x?}", checksum(TOKENIZER_FILE)?.sha256, checksum(LANGUAGES_FILE)?.sha256);
        let baseline = plan.iter().find(|planned| planned.name == file.baseline).map(|p| p.recipe.clone());
        let metrics = Metrics::new(Tokenizer::default())?;
        let mut study = Self { file, plan, results: Mutex::default(), failed_before: Vec::new(), metrics, corpus };
        for planned in &study.plan {
            let mut result = match study.kept(planned)? {
                Some(result) => result,
                None => waiting(planned, vocabulary, baseline.as_ref())?,
            };
            if result.status != Status::Done {
                // A study that was killed kept no result of its last run, but the run's folder tells how far it came.
                take_training(planned, &mut result)?;
                if result.status == Status::Waiting && result.updates > 0 {
                    result.status = Status::Interrupted;
                }
            }
            study.lock().push(result);
        }
        study.failed_before = study.results().iter().map(|result| result.status == Status::Failed).collect();
        Ok(study)
    }

    /// The runs, in the order of training.
    pub fn plan(&self) -> &[Planned] {
        &self.plan
    }

    /// The folder of the study.
    pub fn output(&self) -> &Path {
        &self.file.output
    }

    /// The recipe's file.
    pub fn recipe(&self) -> PathBuf {
        self.file.recipe_path()
    }

    /// The study's devices.
    pub fn devices(&self) -> &[String] {
        &self.file.devices
    }

    /// The figures of each run, in the order of the plan.
    pub fn results(&self) -> Vec<RunResult> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RunResult>> {
        lock(&self.results)
    }

    /// All figures, with means over seeds and differences from the baseline.
    ///
    /// # Errors
    /// Translations that cannot be read.
    pub fn result(&self) -> Result<StudyResult, Error> {
        self.result_of(&self.lock())
    }

    fn result_of(&self, results: &[RunResult]) -> Result<StudyResult, Error> {
        let signatures = self.metrics.signatures();
        Ok(StudyResult {
            study: self.file.path.display().to_string(),
            prepared: self.plan.first().map_or(String::new(), |planned| planned.recipe.data.prepared.clone()),
            split: self.file.split.clone(),
            baseline: self.file.baseline.clone(),
            primary: self.file.primary.clone(),
            ended: self.ended(results)?,
            signatures: vec![signatures.bleu, signatures.chrf2],
            systems: compare::systems(results),
            comparisons: self.comparisons(results)?,
            runs: results.to_vec(),
        })
    }

    /// Hours that a run takes on one device, by the speed that the study's file states for the baseline and by FLOPs
    /// per token. Both sides of a pair are read; batches are counted as full.
    pub fn hours(&self, planned: &Planned, result: &RunResult) -> Option<f64> {
        let results = self.lock();
        let baseline = results.iter().find(|run| run.name == self.file.baseline)?.flops_per_token as f64;
        let (data, train) = (&planned.recipe.data, &planned.recipe.train);
        let tokens = 2.0 * train.updates as f64 * (data.tokens_per_batch * train.accumulate) as f64;
        Some(tokens * result.flops_per_token as f64 / baseline / self.file.tokens_per_second? / 3600.0)
    }

    /// The steps of the study, in order.
    pub fn steps(&self) -> &[Step] {
        &self.file.steps
    }

    /// Writes `study.json`, `study.csv` and the report `study.html` into the study's folder, with the figures that
    /// other processes have kept since this one read them.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn write(&self) -> Result<StudyResult, Error> {
        let _claim = self.claim_report()?;
        let mut results = self.lock();
        for (planned, result) in self.plan.iter().zip(results.iter_mut()).filter(|(_, r)| r.status != Status::Done) {
            if let Some(kept) = self.kept(planned)? {
                *result = kept;
            }
        }
        let result = self.result_of(&results)?;
        let mut analyses = Vec::new();
        for (planned, result) in self.plan.iter().zip(results.iter()).filter(|(_, r)| r.status == Status::Done) {
            analyses.extend(self.analysis(planned)?.map(|analysis| (result.id.clone(), analysis)));
        }
        let page = crate::report::of_study(&result, &analyses)?;
        strata_files::write_file(self.file.output.join("study.html"), page.as_bytes())?;
        strata_files::write_json(self.file.output.join("study.json"), &result)?;
        strata_files::write_file(self.file.output.join("study.csv"), csv::render(&result).as_bytes())?;
        if let Some(figures) = &self.file.figures {
            std::fs::create_dir_all(figures).io_context("make the folder", figures)?;
            strata_files::write_file(figures.join("study.csv"), csv::render(&result).as_bytes())?;
            strata_files::write_file(figures.join("comparisons.csv"), csv::comparisons(&result).as_bytes())?;
        }
        Ok(result)
    }
}

/// Locks, even after a thread panicked with the lock held: what the study's locks guard is consistent at all times.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that the corpus has text of the split in the directions of every run. Otherwise a study would train for
/// hours and fail only when it measures.
fn check_texts(split: &str, plan: &[Planned]) -> Result<(), Error> {
    let mut checked: Vec<&[String]> = Vec::new();
    for Planned { recipe, .. } in plan {
        let directions = &recipe.data.directions[..];
        if !checked.contains(&directions) {
            read_texts(Path::new(&recipe.data.prepared), split, directions, 0)?;
            checked.push(directions);
        }
    }
    Ok(())
}

/// The result of a run that has not started.
fn waiting(planned: &Planned, vocabulary: usize, baseline: Option<&Recipe>) -> Result<RunResult, Error> {
    let cost = Cost::of(&planned.recipe.model_config(vocabulary)?, None)?;
    Ok(RunResult {
        id: planned.id.clone(),
        name: planned.name.clone(),
        seed: planned.seed,
        model: cost.name,
        status: Status::Waiting,
        reason: None,
        differs: baseline.map_or(Vec::new(), |baseline| file::differing_keys(&planned.recipe, baseline)),
        parameters: cost.parameters,
        flops_per_token: cost.flops_per_token,
        flops_per_token_measured: None,
        rc_encoder: None,
        rc_decoder: None,
        updates: 0,
        best_loss: None,
        best_update: None,
        train_seconds: 0.0,
        tokens_per_second: None,
        dropped: 0,
        translate_seconds: 0.0,
        directions: Vec::new(),
        averages: Vec::new(),
        nll: None,
        likelihoods: Vec::new(),
        curve: Vec::new(),
        examples: Vec::new(),
    })
}

/// Takes the figures of the training from the run's folder.
fn take_training(planned: &Planned, result: &mut RunResult) -> Result<(), Error> {
    let log = log::read(Path::new(&planned.recipe.train.output))?;
    (result.curve, result.tokens_per_second, result.dropped) = (log.curve, log.tokens_per_second, log.dropped);
    if let Some(state) = training::state(planned)? {
        (result.updates, result.train_seconds) = (state.update, state.seconds);
        (result.best_loss, result.best_update) = (state.best.map(|best| best.loss), state.best.map(|best| best.update));
    }
    Ok(())
}
