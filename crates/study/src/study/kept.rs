//! What a study keeps on disk of each run: `results/ID.json` its figures, `results/ID.analysis.json` its routing,
//! `translations/ID` its translations.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use strata_recipe::{Recipe, RecipeFile};

use super::Study;
use super::claims::{Claim, claim, wait_for};
use super::file::{Planned, StudyFile};
use super::results::RunResult;
use crate::analysis::Analysis;
use crate::error::Error;

/// What `results/ID.json` holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// What was measured, as a comment line, and the recipe: figures of another study must not pass for ours.
    made_from: String,
    result: RunResult,
}

/// The recipe without what changes no figure: threads, the folder, and the device, which changes at most the last
/// digits. Runs of two recipes that are equal so are the same run.
pub(crate) fn essence(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    recipe.train.threads = 0;
    "cpu".clone_into(&mut recipe.train.device);
    recipe.train.output = String::new();
    recipe
}

/// Whether figures were `made_from` this recipe, measured so. Recipes are compared by what they say: a key that did not
/// exist when the run was made has its default, and comments may be worded anew.
fn is_made_from(made_from: &str, recipe: &Recipe, measured: &str) -> bool {
    let Some((heading, text)) = made_from.split_once('\n') else { return false };
    let made = RecipeFile::parse(text, "made_from").and_then(|file| file.resolve(None, &[]));
    heading.strip_prefix("# ") == Some(measured) && made.is_ok_and(|made| essence(&made) == essence(recipe))
}

impl Study {
    /// The analysis of a run that is done; `None` for a dense model.
    ///
    /// # Errors
    /// A damaged file.
    pub fn analysis(&self, planned: &Planned) -> Result<Option<Analysis>, Error> {
        read_json(&self.analysis_path(planned))
    }

    /// Where the translations of a run are.
    pub(super) fn translations(&self, planned: &Planned) -> PathBuf {
        self.file.output.join("translations").join(&planned.id)
    }

    /// Where the analysis of a run is.
    pub(super) fn analysis_path(&self, planned: &Planned) -> PathBuf {
        self.file.output.join("results").join(format!("{}.analysis.json", planned.id))
    }

    fn result_path(&self, planned: &Planned) -> PathBuf {
        self.file.output.join("results").join(format!("{}.json", planned.id))
    }

    /// What figures depend on besides the recipe.
    fn measured(&self) -> String {
        let StudyFile { split, sentences, analysis_sentences, weights, .. } = &self.file;
        format!("{split} {sentences} {analysis_sentences} {weights:?} nll {}", self.corpus)
    }

    /// Writes the figures of a run.
    pub(super) fn keep(&self, planned: &Planned, result: &RunResult) -> Result<(), Error> {
        let made_from = essence(&planned.recipe).to_toml(&self.measured());
        Ok(strata_files::write_json(self.result_path(planned), &Kept { made_from, result: result.clone() })?)
    }

    /// The figures of a run; none if there are none of this recipe, measured as this study measures.
    pub(super) fn kept(&self, planned: &Planned) -> Result<Option<RunResult>, Error> {
        let kept: Option<Kept> = read_json(&self.result_path(planned))?;
        let kept = kept.filter(|kept| is_made_from(&kept.made_from, &planned.recipe, &self.measured()));
        Ok(kept.map(|kept| {
            let mut result = kept.result;
            // Earlier programs wrote 0 for the loss of nothing.
            result.likelihoods.iter_mut().filter(|of| of.subwords == 0).for_each(|of| of.nll = None);
            result
        }))
    }

    /// Claims a run for this process; none if another has it.
    pub(super) fn claim_run(&self, planned: &Planned) -> Result<Option<Claim>, Error> {
        claim(&self.file.output.join("results").join(format!("{}.lock", planned.id)))
    }

    /// Claims the files that are made from all results, as soon as no other process writes them.
    pub(super) fn claim_report(&self) -> Result<Claim, Error> {
        wait_for(&self.file.output.join("results").join(".report.lock"))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_came_later_and_new_words_make_no_other_run() {
        let file = RecipeFile::parse("[model]\nkind = \"dense\"", "a.toml").expect("a recipe of defaults");
        let mut recipe = file.resolve(None, &[]).expect("a recipe");
        recipe.train.output = "runs/a".to_owned();
        let made_from = essence(&recipe).to_toml("test 20");
        assert!(is_made_from(&made_from, &recipe, "test 20"));
        assert!(!is_made_from(&made_from, &recipe, "test 50"), "measured otherwise");
        let older = made_from.lines().skip(1).filter(|line| !line.starts_with("patience"));
        let older = older.map(|line| line.replace("# ", "# once said: ")).collect::<Vec<_>>().join("\n");
        let older = format!("# test 20\n{older}");
        assert!(is_made_from(&older, &recipe, "test 20"), "{older}");
        recipe.train.learning_rate *= 2.0;
        assert!(!is_made_from(&older, &recipe, "test 20"), "another rate");
    }
}
