//! What a caller says about a document's tags.

use std::collections::HashSet;

use crate::running::rules::{Inline, Role};

/// What a caller says about a document's tags, as DeepL's API does; names with their prefixes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    /// Their content is copied.
    pub ignored: HashSet<String>,
    /// They end running text.
    pub splitting: HashSet<String>,
    /// They never do.
    pub non_splitting: HashSet<String>,
    /// Whether the others may: elements that stand side by side without text between them.
    pub detects_outline: bool,
}

/// Nothing is said.
impl Default for Tags {
    fn default() -> Self {
        let none = HashSet::new;
        Self { ignored: none(), splitting: none(), non_splitting: none(), detects_outline: true }
    }
}

impl Tags {
    /// The role of an element that is named.
    pub fn role(&self, name: &str) -> Option<Role> {
        if self.ignored.contains(name) {
            return Some(Role::Kept);
        }
        if self.splitting.contains(name) {
            return Some(Role::Block);
        }
        self.non_splitting.contains(name).then_some(Role::Inline(Inline::Form))
    }
}
