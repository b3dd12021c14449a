//! Runs a study: each device of each process takes the next run that nobody has, trains and measures it, and keeps its
//! figures.

use std::cmp;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::claims::Claim;
use super::conditions::Verdict;
use super::file::Planned;
use super::measure::Measurement;
use super::results::{RunResult, Status};
use super::training::{Trained, Trainer};
use super::{Event, Study, lock, take_training};
use crate::error::Error;

/// How often to look whether another process is done with a run.
pub(super) const POLL: Duration = Duration::from_secs(1);

/// Whether `only` names the run, or nothing.
fn is_wanted(planned: &Planned, only: &[String]) -> bool {
    only.is_empty() || only.contains(&planned.name) || only.contains(&planned.id)
}

impl Study {
    /// Trains and measures what is not done yet: the entries named in `only`, or all if it is empty. Each of the
    /// trainer's devices takes the next run of the plan as soon as it is free. A run that fails is recorded and does
    /// not stop the others. Results are written after every run. Without `only`, the study ends after a step whose
    /// conditions do not hold, and stops before the next one where they cannot be decided yet.
    ///
    /// # Errors
    /// Results that cannot be written, or losses that cannot be read; no further run is started then.
    pub fn run(
        &self,
        trainer: &Trainer,
        only: &[String],
        stop: &AtomicBool,
        events: &mut (dyn FnMut(&Event) + Send),
    ) -> Result<(), Error> {
        let events = Mutex::new(events);
        let tell = |event: &Event| lock(&events)(event);
        let last = self.plan.iter().map(|planned| planned.step).max().unwrap_or(0);
        for step in 0..=last {
            self.run_step(step, trainer, only, stop, &tell)?;
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if !only.is_empty() {
                continue;
            }
            match self.verdict(step, &self.results())? {
                Verdict::GoOn => {}
                Verdict::End(why) => {
                    tell(&Event::Ended(&why));
                    break;
                }
                Verdict::Open(step) => {
                    tell(&Event::Undecided(&step));
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether a step has conditions.
    fn is_conditional(&self, step: usize) -> bool {
        self.file.steps.get(step).is_some_and(|step| !step.go_on_if.is_empty())
    }

    /// How many of the runs named in `only`, or of all if it is empty, nobody has and are neither done nor failed: an
    /// interrupted training, or runs that the study stopped before.
    ///
    /// # Errors
    /// A lock file that cannot be made or locked.
    pub fn left(&self, only: &[String]) -> Result<usize, Error> {
        let mut left = 0;
        for (planned, result) in self.plan.iter().zip(self.results()) {
            let is_over = matches!(result.status, Status::Done | Status::Failed);
            if !is_over && is_wanted(planned, only) && self.claim_run(planned)?.is_some() {
                left += 1;
            }
        }
        Ok(left)
    }

    /// Trains and measures the runs of one step. Where its conditions are decided by those of earlier steps too, what
    /// other processes have left of those is waited for, or taken over.
    fn run_step(
        &self,
        step: usize,
        trainer: &Trainer,
        only: &[String],
        stop: &AtomicBool,
        tell: &(dyn Fn(&Event) + Sync),
    ) -> Result<(), Error> {
        let results = self.results();
        // Whether the study goes on is decided by all runs so far, also by those that other processes train.
        let waits = self.is_conditional(step);
        let wanted = |planned: &Planned, status: Status| match planned.step.cmp(&step) {
            cmp::Ordering::Equal => is_wanted(planned, only) && status != Status::Done,
            cmp::Ordering::Less => waits && only.is_empty() && matches!(status, Status::Waiting | Status::Interrupted),
            cmp::Ordering::Greater => false,
        };
        let left = (0..self.plan.len()).filter(|&i| wanted(&self.plan[i], results[i].status)).collect();
        let left = Mutex::new(left);
        let work = |device: Option<&str>| -> Result<(), Error> {
            let done = self.work(&left, trainer, device, waits, stop, tell);
            if done.is_err() {
                lock(&left).clear();
            }
            done
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

    /// Trains and measures one after another what is `left` of a step and no other process or device has. With `waits`
    /// it stays until others are done with theirs, or take over what they leave.
    fn work(
        &self,
        left: &Mutex<Vec<usize>>,
        trainer: &Trainer,
        device: Option<&str>,
        waits: bool,
        stop: &AtomicBool,
        tell: &dyn Fn(&Event),
    ) -> Result<(), Error> {
        let mut told = false;
        while !stop.load(Ordering::Relaxed) {
            if let Some((i, _claim)) = self.take(left)? {
                self.run_one(i, trainer, device, stop, tell)?;
                continue;
            }
            let Some(&elsewhere) = lock(left).first() else { break };
            if !waits {
                break;
            }
            if !told {
                tell(&Event::Waiting(&self.plan[elsewhere].id));
                told = true;
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// The first run of `left` that nobody has, now this process's and out of `left`. Runs that were done elsewhere
    /// leave the list too.
    fn take(&self, left: &Mutex<Vec<usize>>) -> Result<Option<(usize, Claim)>, Error> {
        let mut left = lock(left);
        let mut at = 0;
        while let Some(&i) = left.get(at) {
            let Some(claim) = self.claim_run(&self.plan[i])? else {
                at += 1;
                continue;
            };
            left.remove(at);
            let found = self.kept(&self.plan[i])?;
            let is_over = |now: &RunResult| match now.status {
                Status::Done => true,
                Status::Failed => !self.failed_before[i],
                Status::Waiting | Status::Interrupted => false,
            };
            match found {
                Some(now) if is_over(&now) => self.lock()[i] = now,
                _ => return Ok(Some((i, claim))),
            }
        }
        Ok(None)
    }

    /// Waits until no other process has a run of this study.
    ///
    /// # Errors
    /// A lock file that cannot be made or locked.
    pub fn wait_for_others(&self, stop: &AtomicBool) -> Result<(), Error> {
        for planned in &self.plan {
            while !stop.load(Ordering::Relaxed) && self.claim_run(planned)?.is_none() {
                std::thread::sleep(POLL);
            }
        }
        Ok(())
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
            if result.status == Status::Done {
                result.status = Status::Failed;
            }
            result.reason.get_or_insert_with(|| error.to_string());
        }
        self.keep(planned, &result)?;
        tell(&Event::Over(&result));
        self.lock()[i] = result;
        self.write()?;
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
            // Nor is there one of an earlier measurement then.
            None => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(strata_files::Error::io("remove", &path, error).into())
                }
                _ => Ok(()),
            },
        }
    }
}
