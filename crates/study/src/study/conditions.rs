//! Whether a study goes on after a step: by the means of its systems, for likelihoods over the sentences that both
//! systems of a condition have.

use super::Study;
use super::file::{Condition, Measure, Planned};
use super::likelihood::{self, Loss};
use super::results::{RunResult, Status};
use crate::error::Error;

/// What the conditions of a step say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All of them hold, or there is none.
    GoOn,
    /// The study ends after this step, and why.
    End(String),
    /// They cannot be decided: runs of this step or of one before are not over. The name of the step.
    Open(String),
}

impl Study {
    /// Whether the study goes on after a step.
    ///
    /// # Errors
    /// Losses that cannot be read.
    pub(super) fn verdict(&self, step: usize, results: &[RunResult]) -> Result<Verdict, Error> {
        let Some(conditions) = self.file.steps.get(step).filter(|step| !step.go_on_if.is_empty()) else {
            return Ok(Verdict::GoOn);
        };
        if !is_complete(&self.plan, step, results) {
            return Ok(Verdict::Open(conditions.name.clone()));
        }
        for condition in &conditions.go_on_if {
            if let Some(failed) = self.failed(condition, results)? {
                return Ok(Verdict::End(format!("the study ends after step `{}`: {failed}", conditions.name)));
            }
        }
        Ok(Verdict::GoOn)
    }

    /// Why the study has ended before its last step, as far as its complete steps tell.
    ///
    /// # Errors
    /// Losses that cannot be read.
    pub(super) fn ended(&self, results: &[RunResult]) -> Result<Option<String>, Error> {
        for step in 0..self.file.steps.len() {
            match self.verdict(step, results)? {
                Verdict::GoOn => {}
                Verdict::End(why) => return Ok(Some(why)),
                Verdict::Open(_) => break,
            }
        }
        Ok(None)
    }

    /// Why a condition does not hold; none if it does.
    fn failed(&self, condition: &Condition, results: &[RunResult]) -> Result<Option<String>, Error> {
        let (measure, Condition { higher, lower, .. }) = (self.file.primary.measure, condition);
        let mean =
            |name: &str| mean(measure, name, results).ok_or_else(|| format!("`{name}` has no {}", measure.name()));
        let means = match (mean(higher), mean(lower)) {
            (Ok(above), Ok(below)) => [above, below],
            (Err(missing), _) | (_, Err(missing)) => return Ok(Some(missing)),
        };
        if measure != Measure::Nll {
            return Ok(condition.fails(measure, means));
        }
        Ok(match self.common_likelihoods([higher, lower], results)? {
            Some(means) => condition.fails(measure, means),
            None => Some(format!("there is no sentence that all runs of `{higher}` and `{lower}` have an NLL of")),
        })
    }

    /// The means of two systems in NLL, over the sentences that no run of either left out.
    fn common_likelihoods(&self, names: [&String; 2], results: &[RunResult]) -> Result<Option<[f64; 2]>, Error> {
        let runs = names.map(|name| -> Vec<(&Planned, &RunResult)> {
            let all = self.plan.iter().zip(results);
            all.filter(|(_, result)| result.name == *name && has(Measure::Nll, result)).collect()
        });
        let all = || runs.iter().flatten();
        let Some((_, first)) = all().next() else { return Ok(None) };
        let mut common: Vec<&str> = first.likelihoods.iter().map(|of| of.direction.as_str()).collect();
        common.retain(|name| all().all(|(_, run)| run.likelihoods.iter().any(|of| of.direction == *name)));
        let read = |(planned, _): &(&Planned, &RunResult)| -> Result<Vec<Vec<Loss>>, Error> {
            common.iter().map(|direction| self.losses(planned, direction)).collect()
        };
        let [higher, lower] = runs.each_ref().map(|runs| runs.iter().map(read).collect::<Result<Vec<_>, Error>>());
        let (higher, lower) = (higher?, lower?);
        let lengths = |run: &Vec<Vec<Loss>>| run.iter().map(Vec::len).collect::<Vec<_>>();
        let mut of_all =
            all().zip(higher.iter().chain(&lower)).map(|((_, result), losses)| (&result.id, lengths(losses)));
        let expected = of_all.next().map(|(_, lengths)| lengths);
        if let Some((id, _)) = of_all.find(|(_, lengths)| Some(lengths) != expected.as_ref()) {
            return Err(self.other_corpus(id));
        }
        Ok(likelihood::common_means([&higher, &lower]))
    }
}

/// Whether the runs of a step and of all steps before it are over.
fn is_complete(plan: &[Planned], step: usize, results: &[RunResult]) -> bool {
    let over = |result: &RunResult| matches!(result.status, Status::Done | Status::Failed);
    plan.iter().zip(results).all(|(planned, result)| planned.step > step || over(result))
}

/// Whether a run is done and has the figure.
fn has(measure: Measure, run: &RunResult) -> bool {
    run.status == Status::Done && measure.of(run).is_some()
}

/// The mean of a system over its seeds.
fn mean(measure: Measure, name: &str, results: &[RunResult]) -> Option<f64> {
    let done = results.iter().filter(|run| run.name == name && has(measure, run));
    let figures: Vec<f64> = done.filter_map(|run| measure.of(run)).collect();
    (!figures.is_empty()).then(|| figures.iter().sum::<f64>() / figures.len() as f64)
}
