//! The flags that get a user out of an error. Libraries say what could be done; only this program knows what it calls that.

use strata_corpus::Remedy;
use strata_store::step_name;

/// What to add to the message of an error: the flags of the remedy that it offers.
pub fn flags(error: &anyhow::Error) -> Option<String> {
    error.chain().find_map(|cause| {
        let corpus = cause.downcast_ref::<strata_corpus::Error>();
        if let Some(remedy) = corpus.and_then(strata_corpus::Error::remedy) {
            return Some(match remedy {
                Remedy::SkipInvalid => " (--skip-invalid)".to_string(),
                Remedy::Overwrite => " (--overwrite)".to_string(),
            });
        }
        let store = match cause.downcast_ref::<strata_train::Error>() {
            Some(strata_train::Error::Store(error)) => Some(error),
            Some(strata_train::Error::State { .. }) => return Some(" (--from STEP)".to_string()),
            Some(strata_train::Error::NotFinite { kept: Some(kept), .. }) => {
                let run = kept.run.display();
                return Some(format!(
                    ". Resume with: strata train --resume {run} (--from names an earlier checkpoint)"
                ));
            }
            _ => cause.downcast_ref::<strata_store::Error>(),
        };
        match store? {
            strata_store::Error::RunExists { .. } => Some(" (--resume, --overwrite)".to_string()),
            strata_store::Error::NewestDamaged { intact: Some(step), .. } => {
                Some(format!(". Pass --from {} to do so.", step_name(*step)))
            }
            _ => None,
        }
    })
}
