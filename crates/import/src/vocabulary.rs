//! From the ids of another program to those of this one: padding, end mark, unknown, tags, then all others in their
//! order.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use strata_corpus::{ImportedVocabulary, Subwords};

use crate::error::Error;

/// The ids of a model as another program numbers them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Theirs {
    /// Names by id; none for rows that no token has. As many as the table has rows.
    pub names: Vec<Option<String>>,
    /// The id of padding, if there is one.
    pub pad: Option<usize>,
    pub end: usize,
    pub unknown: usize,
    /// Tags of languages: language and id.
    pub tags: BTreeMap<String, usize>,
    /// Ids of tokens that are no text, besides the above.
    pub control: Vec<usize>,
}

/// The same ids in this program's order.
#[derive(Clone, Debug)]
pub(crate) struct Ours {
    /// Their id of each of ours; none for padding that they do not have.
    pub rows: Arc<[Option<usize>]>,
    /// Languages with a tag, sorted.
    pub languages: Vec<String>,
    /// Names behind special tokens and tags.
    pub names: Vec<String>,
    /// Which of them are no text.
    pub hidden: Vec<String>,
}

impl Ours {
    /// The subword model: these ids are the target's, and the source's too unless it has others. `pieces` are the
    /// SentencePiece models that cut source and target.
    ///
    /// # Errors
    /// A model of a kind that is not supported, or a name that is repeated.
    pub fn subwords(&self, source: Option<&Self>, pieces: [&[u8]; 2]) -> Result<Subwords, Error> {
        let [source_pieces, target_pieces] = pieces;
        Ok(Subwords::import_vocabulary(ImportedVocabulary {
            languages: &self.languages,
            names: self.names.clone(),
            source_names: source.map(|source| source.names.clone()),
            hidden: self.hidden.clone(),
            source: source_pieces,
            target: (source_pieces != target_pieces).then_some(target_pieces),
        })?)
    }
}

impl Theirs {
    /// Renumbers; `path` is for messages.
    ///
    /// # Errors
    /// A token that lies outside the table, or two that are one.
    pub fn renumber(self, path: &Path) -> Result<Ours, Error> {
        let special: Vec<usize> =
            self.pad.into_iter().chain([self.end, self.unknown]).chain(self.tags.values().copied()).collect();
        let mut taken = HashSet::new();
        for id in &special {
            if *id >= self.names.len() || !taken.insert(*id) {
                let what =
                    format!("the special token {id} is outside the table of {} rows, or repeated", self.names.len());
                return Err(Error::mismatch(path, what));
            }
        }
        let mut rows = vec![self.pad, Some(self.end), Some(self.unknown)];
        rows.extend(self.tags.values().map(|id| Some(*id)));
        let control: HashSet<usize> = self.control.into_iter().collect();
        let (mut names, mut hidden) = (Vec::new(), Vec::new());
        for (id, name) in self.names.into_iter().enumerate().filter(|(id, _)| !taken.contains(id)) {
            rows.push(Some(id));
            let is_text = name.is_some() && !control.contains(&id);
            let name = name.unwrap_or_else(|| format!("<unused {id}>"));
            if !is_text {
                hidden.push(name.clone());
            }
            names.push(name);
        }
        Ok(Ours { rows: rows.into(), languages: self.tags.into_keys().collect(), names, hidden })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_tokens_come_first_and_the_rest_keeps_its_order() {
        let names = ["<s>", "<pad>", "</s>", "<unk>", "a", "b", "__de__", "__af__"];
        let mut theirs = Theirs {
            names: names.iter().map(|name| Some((*name).to_owned())).chain([None]).collect(),
            pad: Some(1),
            end: 2,
            unknown: 3,
            tags: [("de".to_owned(), 6), ("af".to_owned(), 7)].into(),
            control: vec![0],
        };
        let ours = theirs.clone().renumber(Path::new("m")).unwrap();
        assert_eq!(*ours.rows, [1, 2, 3, 7, 6, 0, 4, 5, 8].map(Some));
        assert_eq!(ours.languages, ["af", "de"]);
        assert_eq!(ours.names, ["<s>", "a", "b", "<unused 8>"]);
        assert_eq!(ours.hidden, ["<s>", "<unused 8>"]);
        theirs.pad = Some(9);
        assert!(
            theirs.clone().renumber(Path::new("m")).unwrap_err().to_string().contains("outside the table of 9 rows")
        );
        theirs.pad = None;
        assert_eq!(theirs.renumber(Path::new("m")).unwrap().rows[..3], [None, Some(2), Some(3)]);
    }
}
