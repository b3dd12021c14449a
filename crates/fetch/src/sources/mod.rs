//! The four families of documents and how a page of each becomes text blocks that two languages can be aligned by.

mod blocks;
mod help;
mod mallard;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use blocks::PageCounts;
pub(crate) use blocks::{PageBlock, align_pages, parse_page};
pub(crate) use help::parse_help;
pub(crate) use mallard::parse_mallard;

/// Files of a package by path, `usr/share/...`.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// Where a sentence pair comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// GNOME's user and administration guides (Mallard XML), aligned by element path.
    Gnome,
    /// The Debian Administrator's Handbook (HTML), aligned by the sequence of blocks.
    Handbook,
    /// Debian's installation guide (HTML), aligned by the sequence of blocks.
    Install,
    /// LibreOffice's help (HTML), aligned by file and element id.
    Help,
}

impl Source {
    /// All sources, in the order they are listed in tables.
    pub const ALL: [Source; 4] = [Source::Help, Source::Gnome, Source::Handbook, Source::Install];

    /// A short name for tables.
    pub fn name(self) -> &'static str {
        match self {
            Source::Gnome => "gnome",
            Source::Handbook => "handbook",
            Source::Install => "install",
            Source::Help => "help",
        }
    }

    /// The licenses of its text, as its package states them. A corpus mixes them.
    pub fn license(self) -> &'static str {
        match self {
            Source::Gnome => "CC-BY-SA-3.0",
            Source::Handbook => "GPL-2.0-or-later OR CC-BY-SA-3.0",
            Source::Install => "GPL-2.0-only",
            Source::Help => "MPL-2.0",
        }
    }

    /// The package that holds its English text (and, but for [`Source::Help`], that of all languages).
    pub fn english_package(self) -> &'static str {
        match self {
            Source::Gnome => "gnome-user-docs",
            Source::Handbook => "debian-handbook",
            Source::Install => "installation-guide-amd64",
            Source::Help => "libreoffice-help-en-us",
        }
    }
}

/// A file's text; bytes that are not UTF-8 become U+FFFD, which the filters drop, and line ends become `\n`.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.into_owned() }
}
