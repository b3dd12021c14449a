//! The differences of a study's systems from its baseline, in every measure.

use std::path::Path;

use strata_files::IoContext;
use strata_metrics::{Bleu, BleuOptions, Chrf, ChrfOptions, Metric, Statistics};
use strata_translate::evaluate;

use super::compare::{self, Counted, Of};
use super::likelihood::{self, Loss, Losses};
use super::results::{Comparison, RunResult, Status};
use super::{Planned, Study};
use crate::error::Error;

impl Study {
    /// Paired tests of the runs that translated the same directions as the first run that is done.
    pub(super) fn comparisons(&self, results: &[RunResult]) -> Result<Vec<Comparison>, Error> {
        let done = || self.plan.iter().zip(results).filter(|(_, result)| result.status == Status::Done);
        let Some((_, first)) = done().next() else { return Ok(Vec::new()) };
        let same = |result: &RunResult| {
            let key = |r: &RunResult| {
                r.directions.iter().map(|d| (d.of.direction.clone(), d.of.sentences)).collect::<Vec<_>>()
            };
            key(result) == key(first)
        };
        let all = first.directions.len();
        let of_groups =
            evaluate::groups(first.directions.iter().map(|d| (d.of.source.as_str(), d.of.target.as_str(), d.of.level)));
        let mut groups: Vec<Of> = of_groups.into_iter().map(|(name, directions)| Of { name, directions }).collect();
        groups.push(Of { name: "all".into(), directions: (0..all).collect() });
        groups.extend(
            first.directions.iter().enumerate().map(|(i, d)| Of { name: d.of.direction.clone(), directions: vec![i] }),
        );
        let bleu = Bleu::new(BleuOptions::default())?;
        let chrf2 = Chrf::new(ChrfOptions::chrf2())?;
        let names: Vec<String> = first.directions.iter().map(|d| d.of.direction.clone()).collect();
        let clusters = self.clusters(&names)?;
        let mut found = self.likelihoods(&groups, &clusters, &same, results)?;
        for metric in [&bleu as &dyn Metric, &chrf2] {
            let mut counted = Vec::new();
            for (planned, result) in done().filter(|(_, result)| same(result)) {
                let directions = result.directions.iter().map(|d| self.statistics(metric, planned, &d.of.direction));
                let directions = directions.collect::<Result<_, Error>>()?;
                counted.push(Counted { name: planned.name.clone(), seed: planned.seed, directions });
            }
            // The sentences that are translated are the first of each direction.
            found.extend(compare::compare(metric, &counted, &clusters, &self.file.baseline, &groups)?);
        }
        Ok(found)
    }

    /// The clusters of the sentences of these directions.
    fn clusters(&self, directions: &[String]) -> Result<Vec<Vec<usize>>, Error> {
        let Some(first) = self.plan.first() else { return Ok(Vec::new()) };
        let prepared = Path::new(&first.recipe.data.prepared);
        Ok(likelihood::clusters(&evaluate::read_texts(prepared, &self.file.split, directions, 0)?))
    }

    /// Differences of the losses of the references, over the directions of the groups.
    fn likelihoods(
        &self,
        groups: &[Of],
        clusters: &[Vec<usize>],
        wanted: &dyn Fn(&RunResult) -> bool,
        results: &[RunResult],
    ) -> Result<Vec<Comparison>, Error> {
        let mut runs = Vec::new();
        for (planned, result) in self.plan.iter().zip(results) {
            if result.status != Status::Done || !wanted(result) {
                continue;
            }
            let read = result.directions.iter().map(|d| self.losses(planned, &d.of.direction));
            let directions = read.collect::<Result<_, Error>>()?;
            runs.push(Losses { name: planned.name.clone(), seed: planned.seed, directions });
        }
        if let Some(run) =
            runs.iter().find(|run| !run.directions.iter().map(Vec::len).eq(clusters.iter().map(Vec::len)))
        {
            return Err(self.other_corpus(&run.name));
        }
        let (baseline, difference) = (&self.file.baseline, self.file.primary.difference);
        Ok(likelihood::compare(&runs, clusters, baseline, groups, difference))
    }

    /// The losses of a run's references in a direction.
    pub(super) fn losses(&self, planned: &Planned, direction: &str) -> Result<Vec<Loss>, Error> {
        likelihood::read(&self.translations(planned).join(format!("{}.{direction}.nll", self.file.split)))
    }

    /// The error that losses of a run are of other sentences than those of the study.
    pub(super) fn other_corpus(&self, run: &str) -> Error {
        let what = format!("the losses kept of `{run}` are not those of this corpus; measure the run again");
        Error::File { place: self.file.output.display().to_string(), what }
    }

    fn statistics(&self, metric: &dyn Metric, planned: &Planned, direction: &str) -> Result<Statistics, Error> {
        let lines = |kind: &str| -> Result<Vec<String>, Error> {
            let path = self.translations(planned).join(format!("{}.{direction}.{kind}", self.file.split));
            let text = std::fs::read_to_string(&path).io_context("read", &path)?;
            Ok(text.lines().map(ToString::to_string).collect())
        };
        Ok(Statistics::collect(metric, &lines("hyp")?, &[&lines("ref")?])?)
    }
}
