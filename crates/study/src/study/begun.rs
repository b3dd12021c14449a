//! Runs that were begun with settings that the study no longer has.

use std::path::Path;

use strata_recipe::Recipe;
use strata_store::checkpoint::RECIPE_FILE;

use super::file::{Planned, differences};
use super::kept::essence;
use super::results::Status;
use super::{Error, Study};

/// The settings in which the run in the planned folder differs from the plan, such as `train.updates = 6, now 9`; none
/// where no run was begun.
pub(super) fn changed(planned: &Planned) -> Result<Vec<String>, Error> {
    let path = Path::new(&planned.recipe.train.output).join(RECIPE_FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let begun = essence(&Recipe::load(&path, None, &[])?);
    let differs = differences(&begun, &essence(&planned.recipe));
    Ok(differs.into_iter().map(|(key, was, now)| format!("{key} = {was}, now {now}")).collect())
}

impl Study {
    /// Checks that every run that was begun and has no figures yet has the settings of the plan. Going on would leave
    /// it out, and write a report without it over the one that there is.
    ///
    /// # Errors
    /// The runs with the settings that differ.
    pub fn check_begun(&self) -> Result<(), Error> {
        // Their updates are computed: by another rule, or from another vocabulary, there may be others.
        let mut equal = Vec::new();
        // Runs of a study mostly differ in the same settings: those are said once.
        let mut found: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
        for (planned, result) in self.plan.iter().zip(self.results()) {
            if result.status == Status::Done {
                continue;
            }
            // A recipe that cannot be read is a fault of its run, which says so.
            let Ok(changed) = changed(planned) else { continue };
            let is_equal = self.file.runs.iter().any(|run| run.name == planned.name && run.equal.is_some());
            if is_equal && changed.iter().any(|key| key.starts_with("train.updates = ")) {
                equal.push(planned.id.as_str());
            }
            match found.iter_mut().find(|(others, _)| *others == changed) {
                _ if changed.is_empty() => {}
                Some((_, runs)) => runs.push(&planned.id),
                None => found.push((changed, vec![&planned.id])),
            }
        }
        if found.is_empty() {
            return Ok(());
        }
        let all: Vec<String> =
            found.iter().map(|(changed, runs)| format!("{}: {}", runs.join(", "), changed.join(", "))).collect();
        let by_hand = match equal.join(", ") {
            runs if runs.is_empty() => String::new(),
            runs => format!(" (train.updates of {runs} by set = {{ train.updates = N }} in place of `equal`)"),
        };
        let what = format!(
            "runs were begun with other settings ({}); to go on, set them back{by_hand}; to train these runs anew, \
             give the study another output, or remove their folders in {}",
            all.join("; "),
            self.output().join("runs").display()
        );
        Err(Error::File { place: self.file.path.display().to_string(), what })
    }
}
