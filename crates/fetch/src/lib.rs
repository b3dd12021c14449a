//! A real multilingual parallel corpus, English with up to 46 languages, from the documentation packages of Debian and
//! Ubuntu: what `strata fetch docs` does.
//!
//! Documentation is translated from catalogs, so a page in another language has the same elements as the English one.
//! Packages are downloaded with `apt-get download` (no root needed), pages are read out of them, their text blocks are
//! aligned by element ids, paths or sequence, cut into sentences where both sides agree, filtered, and split into
//! train, valid, test and held-out parts by a hash of the English sentence. So no English sentence is in two parts, in
//! any language. The result is plain text, `train.en-de.en` beside `train.en-de.de`, one sentence a line, and
//! `MANIFEST.json` with the versions and digests of all packages and files.
//!
//! The same packages give the same bytes, whatever the number of threads. A second run verifies what is there and
//! downloads nothing.
//!
//! ```no_run
//! use strata_fetch::{Event, Options, fetch_docs};
//!
//! let mut options = Options::new("corpus", "cache");
//! options.languages = vec!["de".into(), "uk".into()];
//! let summary = fetch_docs(&options, &mut |event| {
//!     if let Event::Extracted { language, pairs, .. } = event {
//!         eprintln!("{language}: {pairs} pairs");
//!     }
//! })?;
//! assert_eq!(summary.corpus.languages.len(), 2);
//! # Ok::<(), strata_fetch::Error>(())
//! ```
//!
//! | module | idea |
//! |---|---|
//! | `apt`, `packages`, `deb` | getting packages, keeping them whole, reading them |
//! | `child` | watching the programs that download |
//! | [`models`] | trained models that others publish |
//! | `sources` | a page of each kind of document as text blocks; `align` for those without ids |
//! | `clean`, `sentences`, `filters` | from blocks to sentence pairs; `chars` has their character classes |
//! | `extract`, `split`, `corpus` | one language's pairs; the split; all files |
//! | `output` | the corpus on disk and its manifest |
//!
//! The text has several licenses ([`Source::license`]), mixed within a file: do not pass the corpus on, build it where
//! it is used.

#![forbid(unsafe_code)]

mod align;
mod apt;
mod chars;
mod child;
mod clean;
mod corpus;
mod deb;
mod error;
mod event;
mod extract;
mod fetch;
mod filters;
mod languages;
pub mod models;
mod options;
mod output;
mod packages;
mod sentences;
mod sources;
mod split;
mod summary;

pub use error::Error;
pub use event::{Event, Stage};
pub use fetch::fetch_docs;
pub use filters::DropReason;
pub use languages::{DEFAULT_LANGUAGES, Language, language, languages};
pub use options::{Options, default_cache};
pub use packages::Package;
pub use sources::{PageCounts, Source};
pub use split::Part;
pub use summary::{Corpus, LanguageSummary, Missing, Summary};
