//! The flags that get a user out of an error. Libraries say what could be done; only this program knows what it calls
//! that.

use std::error::Error;
use std::path::Path;

use strata_corpus::Remedy;
use strata_store::step_name;

/// What to add to the message of an error: the flags of the remedy that it offers.
pub fn flags(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        of_corpus(cause).or_else(|| of_training(cause)).or_else(|| of_languages(cause)).or_else(|| of_rest(cause))
    })
}

fn of_corpus(cause: &(dyn Error + 'static)) -> Option<String> {
    let remedy = cause.downcast_ref::<strata_corpus::Error>()?.remedy()?;
    Some(match remedy {
        Remedy::SkipInvalid => " (--skip-invalid)".to_string(),
        Remedy::Overwrite => " (--overwrite)".to_string(),
    })
}

#[cfg(feature = "train")]
fn of_training(cause: &(dyn Error + 'static)) -> Option<String> {
    use strata_train::Error as Train;
    match cause.downcast_ref()? {
        Train::Store(error) => of_store(error),
        Train::RecipeFile(error) => of_recipe(error),
        Train::OtherSubwords { model, .. } => Some(format!(" (strata prepare --subword-model {})", model.display())),
        Train::OtherCorpus { .. } => Some(" (--set data.prepared=DIR)".to_string()),
        Train::State { .. } | Train::EndsEarlier { .. } => Some(" (--from STEP)".to_string()),
        Train::NotFinite { kept: Some(kept), .. } => {
            let run = kept.run.display();
            Some(format!(". Resume with: strata train --resume {run} (--from names an earlier checkpoint)"))
        }
        _ => None,
    }
}

#[cfg(not(feature = "train"))]
fn of_training(_: &(dyn Error + 'static)) -> Option<String> {
    None
}

/// The languages that a model's files or its input do not say.
fn of_languages(cause: &(dyn Error + 'static)) -> Option<String> {
    let side = match (cause.downcast_ref(), cause.downcast_ref()) {
        (Some(strata_translate::Error::NoSource { .. }), _) => "from",
        (_, Some(strata_import::Error::NoLanguage { what: "from", .. })) => "from",
        (_, Some(strata_import::Error::NoLanguage { .. })) => "to",
        _ => return None,
    };
    Some(format!(" (--{side} LANG)"))
}

fn of_rest(cause: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = cause.downcast_ref() {
        return of_store(error);
    }
    if let Some(error) = cause.downcast_ref() {
        return of_server(error);
    }
    of_recipe(cause.downcast_ref()?)
}

/// What to type for a run in this folder.
pub fn new_run(folder: &Path) -> String {
    format!("strata train RECIPE --output {}", folder.display())
}

fn of_store(error: &strata_store::Error) -> Option<String> {
    match error {
        strata_store::Error::NoRunYet { path } => Some(format!(". Start one with: {}", new_run(path))),
        strata_store::Error::ModelNotRun { path, run, step, .. } => {
            let model = path.display();
            let Some(run) = run else { return Some(format!(": strata train RECIPE --init {model}")) };
            let from = step.map_or(String::new(), |step| format!(" --from {step}"));
            Some(format!(": strata train --resume {}{from}", run.display()))
        }
        strata_store::Error::RunExists { .. } => Some(" (--resume, --overwrite)".to_string()),
        strata_store::Error::NewestDamaged { intact: Some(step), .. } => {
            Some(format!(". Pass --from {} to do so.", step_name(*step)))
        }
        _ => None,
    }
}

fn of_server(error: &strata_serve::Error) -> Option<String> {
    match error {
        strata_serve::Error::KeyLine { fault: strata_serve::KeyFault::Form, .. } => {
            Some(" (--new-key NAME)".to_string())
        }
        strata_serve::Error::NoKeys { .. } => Some("; `strata serve --new-key NAME` makes one".to_string()),
        _ => None,
    }
}

fn of_recipe(error: &strata_recipe::Error) -> Option<String> {
    match error {
        strata_recipe::Error::Override { setting, .. } => Some(format!(" (--set {setting})")),
        strata_recipe::Error::NoVariant { .. } => Some(" (--variant NAME)".to_string()),
        strata_recipe::Error::UnknownVariant { known, .. } if known.is_empty() => {
            Some("; leave out --variant".to_string())
        }
        _ => None,
    }
}
