//! The Python module `strata_mt._native`; `python/strata_mt` is the package around it.
//!
//! Translation runs without Python's lock, in threads of its own, so that other Python threads go on and Ctrl-C is
//! heard. Nothing here prints, and no setting of the process is changed.

#![forbid(unsafe_code)]

mod error;
mod metrics;
mod models;
mod options;
mod route;
mod texts;
mod threads;
mod translation;
mod translator;

/// What Python sees.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::error::StrataError;
    #[pymodule_export]
    use crate::metrics::{Score, bleu, chrf};
    #[pymodule_export]
    use crate::models::{export, import_model};
    #[pymodule_export]
    use crate::options::Sampling;
    #[pymodule_export]
    use crate::route::{Route, RoutedText};
    #[pymodule_export]
    use crate::translation::{ScoredTranslation, Token, Translation};
    #[pymodule_export]
    use crate::translator::Translator;

    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
