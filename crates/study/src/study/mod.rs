//! `strata study`: a grid of training runs with everything else equal, one after another on each device, measured and
//! compared.
//!
//! Everything is on disk after every step: `OUTPUT/runs/ID` is an ordinary run of `strata train`,
//! `OUTPUT/translations/ID` holds its translations, `OUTPUT/results/ID.json` its figures. A study that is run again
//! resumes where it stopped and repeats nothing.

mod compare;
mod csv;
mod differences;
mod equal;
mod file;
mod likelihood;
mod log;
mod measure;
pub mod results;
mod seeds;
mod steps;
mod training;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use strata_corpus::Subwords;
use strata_files::IoContext;
use strata_files::names::{LANGUAGES_FILE, TOKENIZER_FILE};
use strata_metrics::Tokenizer;
use strata_recipe::{Cost, Recipe};
use strata_translate::scores::Metrics;

use crate::analysis::{Analysis, Progress};
use crate::error::Error;
use measure::Measurement;
use results::{RunResult, Status, StudyResult};

pub use equal::{Budget, Equal};
pub use file::{Condition, Measure, Planned, Primary, RunEntry, Step, StudyFile, Weights};
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
    /// A run ended, done or not.
    Over(&'a RunResult),
    /// The study ends here: a condition of a step does not hold, and which.
    Ended(&'a str),
}

/// A study under way.
pub struct Study {
    file: StudyFile,
    plan: Vec<Planned>,
    /// In the order of the plan; locked while the files made from all results are written.
    results: Mutex<Vec<RunResult>>,
    metrics: Metrics,
    /// Checksums of the corpus's `tokenizer.json` and `languages.json`.
    corpus: String,
}

/// What `results/ID.json` holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The recipe, the corpus and what was measured: figures of another study must not pass for ours.
    made_from: String,
    result: RunResult,
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
        let vocabulary = Subwords::load(&tokenizer)?.vocab_size();
        let checksum = |name: &str| strata_files::Digest::of_file(Path::new(&prepared).join(name));
        let corpus = format!("{:x?} {:x?}", checksum(TOKENIZER_FILE)?.sha256, checksum(LANGUAGES_FILE)?.sha256);
        let baseline = plan.iter().find(|planned| planned.name == file.baseline).map(|p| p.recipe.clone());
        let metrics = Metrics::new(Tokenizer::default())?;
        let study = Self { file, plan, results: Mutex::default(), metrics, corpus };
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

    /// The results, even after a thread panicked with the lock held: they are consistent at all times.
    fn lock(&self) -> MutexGuard<'_, Vec<RunResult>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Trains and measures what is not done yet: the entries named in `only`, or all if it is empty. Each of the
    /// trainer's devices takes the next run of the plan as soon as it is free. A run that fails is recorded and does
    /// not stop the others. Results are written after every run. Without `only`, the study ends after a step whose
    /// conditions do not hold.
    ///
    /// # Errors
    /// Results that cannot be written; no further run is started then.
    pub fn run(
        &self,
        trainer: &Trainer,
        only: &[String],
        stop: &AtomicBool,
        events: &mut (dyn FnMut(&Event) + Send),
    ) -> Result<(), Error> {
        let events = Mutex::new(events);
        let tell = |event: &Event| events.lock().unwrap_or_else(PoisonError::into_inner)(event);
        let last = self.plan.iter().map(|planned| planned.step).max().unwrap_or(0);
        for step in 0..=last {
            self.run_step(step, trainer, only, stop, &tell)?;
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if only.is_empty()
                && let Some(why) = self.ends_after(step, &self.lock())
            {
                tell(&Event::Ended(&why));
                break;
            }
        }
        Ok(())
    }

    /// Why the study ends after a step; none if it goes on, or if the step is not complete.
    fn ends_after(&self, step: usize, results: &[RunResult]) -> Option<String> {
        let step = self.file.steps.get(step)?;
        let failed = step.go_on_if.iter().find_map(|condition| condition.fails(self.file.primary.measure, results))?;
        Some(format!("the study ends after step `{}`: {failed}", step.name))
    }

    /// Why the study has ended before its last step, as far as its complete steps tell.
    fn ended(&self, results: &[RunResult]) -> Option<String> {
        let complete = |step: usize| {
            let of_step = self.plan.iter().zip(results).filter(|(planned, _)| planned.step == step);
            of_step.fold(true, |all, (_, result)| all && matches!(result.status, Status::Done | Status::Failed))
        };
        (0..self.file.steps.len()).take_while(|step| complete(*step)).find_map(|step| self.ends_after(step, results))
    }

    /// Trains and measures the runs of one step.
    fn run_step(
        &self,
        step: usize,
        trainer: &Trainer,
        only: &[String],
        stop: &AtomicBool,
        tell: &(dyn Fn(&Event) + Sync),
    ) -> Result<(), Error> {
        let results = self.results();
        let wanted = |planned: &Planned| {
            planned.step == step && (only.is_empty() || only.contains(&planned.name) || only.contains(&planned.id))
        };
        let left: Vec<usize> =
            (0..self.plan.len()).filter(|&i| wanted(&self.plan[i]) && results[i].status != Status::Done).collect();
        let next = AtomicUsize::new(0);
        let work = |device: Option<&str>| -> Result<(), Error> {
            while !stop.load(Ordering::Relaxed) {
                let Some(&i) = left.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                if let Err(error) = self.run_one(i, trainer, device, stop, tell) {
                    next.store(left.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
            Ok(())
        };
        if trainer.devices.is_empty() {
            return work(None);
        }
        std::thread::scope(|scope| {
            let workers: Vec<_> =
                trainer.devices.iter().map(|device| scope.spawn(|| work(Some(device.as_str())))).collect();
            let ended =
                workers.into_iter().map(|worker| worker.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
            // Join all of them before returning the first error.
            ended.collect::<Vec<_>>().into_iter().collect()
        })
    }

    /// Trains and measures the `i`-th run of the plan and saves its result.
    fn run_one(
        &self,
        i: usize,
        trainer: &Trainer,
        device: Option<&str>,
        stop: &AtomicBool,
        tell: &dyn Fn(&Event),
    ) -> Result<(), Error> {
        let planned = &self.plan[i];
        tell(&Event::Begun { number: i + 1, of: self.plan.len(), planned, device });
        let mut result = self.lock()[i].clone();
        (result.status, result.reason) = (Status::Waiting, None);
        match trainer.train(planned, device, stop, &mut |line| tell(&Event::Line(&planned.id, line))) {
            Trained::Failed(reason) => (result.status, result.reason) = (Status::Failed, Some(reason)),
            Trained::Interrupted => result.status = Status::Interrupted,
            Trained::Finished => match self.measure(planned, &mut result, trainer.threads, tell) {
                Ok(()) => result.status = Status::Done,
                Err(error) => {
                    (result.status, result.reason) = (Status::Failed, Some(format!("measuring: {error}")));
                }
            },
        }
        // The figures of the training are useful even if it failed.
        if let Err(error) = take_training(planned, &mut result) {
            result.reason.get_or_insert_with(|| error.to_string());
        }
        self.keep(planned, &result)?;
        tell(&Event::Over(&result));
        let mut results = self.lock();
        results[i] = result;
        self.write_all(&results)?;
        Ok(())
    }

    fn measure(
        &self,
        planned: &Planned,
        result: &mut RunResult,
        threads: usize,
        tell: &dyn Fn(&Event),
    ) -> Result<(), Error> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        };
        let translations = self.translations(planned);
        let measure = Measurement { study: &self.file, planned, metrics: &self.metrics, translations, threads };
        let mut told = |what: &str, progress| tell(&Event::Measuring(&planned.id, what, progress));
        let analysis = measure.run(result, &mut told)?;
        let path = self.analysis_path(planned);
        match analysis {
            Some(analysis) => Ok(strata_files::write_json(&path, &analysis)?),
            None => Ok(()),
        }
    }

    /// The analysis of a run that is done; `None` for a dense model.
    ///
    /// # Errors
    /// A damaged file.
    pub fn analysis(&self, planned: &Planned) -> Result<Option<Analysis>, Error> {
        read_json(&self.analysis_path(planned))
    }

    fn translations(&self, planned: &Planned) -> PathBuf {
        self.file.output.join("translations").join(&planned.id)
    }

    fn analysis_path(&self, planned: &Planned) -> PathBuf {
        self.file.output.join("results").join(format!("{}.analysis.json", planned.id))
    }

    fn result_path(&self, planned: &Planned) -> PathBuf {
        self.file.output.join("results").join(format!("{}.json", planned.id))
    }

    fn made_from(&self, planned: &Planned) -> String {
        let mut recipe = planned.recipe.clone();
        // These change no figure; the device changes at most the last digits.
        recipe.train.threads = 0;
        "cpu".clone_into(&mut recipe.train.device);
        recipe.train.output = String::new();
        let StudyFile { split, sentences, analysis_sentences, weights, .. } = &self.file;
        let measured = format!("{split} {sentences} {analysis_sentences} {weights:?} nll {}", self.corpus);
        recipe.to_toml(&measured)
    }

    fn keep(&self, planned: &Planned, result: &RunResult) -> Result<(), Error> {
        let kept = Kept { made_from: self.made_from(planned), result: result.clone() };
        Ok(strata_files::write_json(self.result_path(planned), &kept)?)
    }

    fn kept(&self, planned: &Planned) -> Result<Option<RunResult>, Error> {
        let kept: Option<Kept> = read_json(&self.result_path(planned))?;
        Ok(kept.filter(|kept| kept.made_from == self.made_from(planned)).map(|kept| kept.result))
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
            ended: self.ended(results),
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

    /// Writes `study.json`, `study.csv` and the report `study.html` into the study's folder.
    ///
    /// # Errors
    /// Files that cannot be read or written.
    pub fn write(&self) -> Result<StudyResult, Error> {
        self.write_all(&self.lock())
    }

    fn write_all(&self, results: &[RunResult]) -> Result<StudyResult, Error> {
        let result = self.result_of(results)?;
        let mut analyses = Vec::new();
        for (planned, result) in self.plan.iter().zip(results).filter(|(_, r)| r.status == Status::Done) {
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

/// Reads one of our JSON files; `None` if it does not exist.
fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(strata_files::Error::io("read", path, error).into()),
    };
    let what = "it is damaged, or of another version of strata; remove it to measure the run again";
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| Error::File { place: path.display().to_string(), what: format!("{what} ({e})") })
}
