//! Shortlists: which target subwords a sentence may have, by its source subwords. Models of Firefox come with one; a
//! model folder then holds it as `shortlist.safetensors`, and so does a packed folder.
//!
//! The file has three U32 tensors: `always` `[n]`, the ids that every translation may have; `offsets` `[source ids +
//! 1]` and `ids` `[m]`: those of source id `s` are `ids[offsets[s]..offsets[s + 1]]`.

use std::path::Path;

use safetensors::tensor::TensorView;
use strata_files::Error as FilesError;

use crate::error::Error;
use crate::tensors::{Dtype, TensorFile};

/// The name of the file.
pub const SHORTLIST_FILE: &str = "shortlist.safetensors";

/// A shortlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortlist {
    always: Vec<u32>,
    /// `[source ids + 1]`, ascending from 0.
    offsets: Vec<u32>,
    ids: Vec<u32>,
}

impl Shortlist {
    /// A shortlist of `always`, the ids that every translation may have, and of the ids of each source id.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 2^32 ids.
    pub fn new(always: Vec<u32>, lists: &[Vec<u32>]) -> Result<Self, Error> {
        let mut offsets = vec![0];
        for end in lists.iter().scan(0, |end, list| {
            *end += list.len();
            Some(*end)
        }) {
            let end = u32::try_from(end);
            offsets.push(end.map_err(|_| Error::Invalid("a shortlist of more than 2^32 ids".to_owned()))?);
        }
        Ok(Self { always, offsets, ids: lists.concat() })
    }

    /// Reads the shortlist of a folder, if it has one, for a model with so many source and target ids.
    ///
    /// # Errors
    /// [`strata_files::Error::Damaged`] for a file that is not a shortlist, or is another model's; the I/O error.
    pub fn read(folder: &Path, source: usize, target: usize) -> Result<Option<Self>, Error> {
        let path = folder.join(SHORTLIST_FILE);
        if !path.exists() {
            return Ok(None);
        }
        let file = TensorFile::open(&path)?;
        let numbers = |name: &str| -> Result<Vec<u32>, Error> {
            let shape = file.view(name)?.shape.to_vec();
            let view = file.expect(name, Dtype::U32, &[shape.iter().product()])?;
            Ok(view.bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
        };
        let list = Self { always: numbers("always")?, offsets: numbers("offsets")?, ids: numbers("ids")? };
        let damaged = |what: String| Err(FilesError::Damaged { path: path.clone(), what }.into());
        let ends =
            list.offsets.first() == Some(&0) && list.offsets.last().map(|end| *end as usize) == Some(list.ids.len());
        if !ends || !list.offsets.is_sorted() {
            return damaged("its offsets do not ascend from the first id to the last".to_owned());
        }
        let lists = list.offsets.len() - 1;
        if lists != source {
            return damaged(format!("it has lists for {lists} source ids, the model has {source}"));
        }
        match list.always.iter().chain(&list.ids).find(|id| **id as usize >= target) {
            Some(id) => damaged(format!("it has the target id {id}, the model has {target}")),
            None => Ok(Some(list)),
        }
    }

    /// The content of the file.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what the format cannot hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let invalid = |e: safetensors::SafeTensorError| Error::Invalid(format!("cannot write {SHORTLIST_FILE}: {e}"));
        let mut tensors = Vec::new();
        for (name, numbers) in [("always", &self.always), ("ids", &self.ids), ("offsets", &self.offsets)] {
            let view = TensorView::new(Dtype::U32, vec![numbers.len()], bytemuck::cast_slice(numbers));
            tensors.push((name, view.map_err(invalid)?));
        }
        safetensors::serialize(tensors, None).map_err(invalid)
    }

    /// What a translation of `source` may have, ascending. Source ids that are not the model's add nothing.
    pub fn of(&self, source: &[u32]) -> Vec<u32> {
        let list = |id: &u32| -> &[u32] {
            match self.offsets.get(*id as usize..*id as usize + 2) {
                Some(&[start, end]) => &self.ids[start as usize..end as usize],
                _ => &[],
            }
        };
        let mut ids = self.always.clone();
        source.iter().for_each(|id| ids.extend_from_slice(list(id)));
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> Shortlist {
        Shortlist::new(vec![1, 4], &[vec![], vec![3], vec![7, 2, 4]]).unwrap()
    }

    #[test]
    fn a_sentence_has_the_ids_of_its_subwords() {
        for (source, ids) in [(&[][..], &[1, 4][..]), (&[2, 0, 2], &[1, 2, 4, 7]), (&[1, 9, u32::MAX], &[1, 3, 4])] {
            assert_eq!(list().of(source), ids);
        }
    }

    #[test]
    fn a_shortlist_comes_back_and_one_of_another_model_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SHORTLIST_FILE);
        assert_eq!(Shortlist::read(folder.path(), 3, 8).unwrap(), None);
        let bytes = list().to_bytes().unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Shortlist::read(folder.path(), 3, 8).unwrap(), Some(list()));
        let says = |source, target| Shortlist::read(folder.path(), source, target).unwrap_err().to_string();
        assert!(says(4, 8).contains("lists for 3 source ids, the model has 4"), "{}", says(4, 8));
        assert!(says(3, 7).contains("the target id 7, the model has 7"), "{}", says(3, 7));
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(says(3, 8).contains("cut short"), "{}", says(3, 8));
        // Offsets come last: 0, 0, 1, 4.
        let mut turned = bytes;
        let at = turned.len() - 8;
        turned[at] = 5;
        std::fs::write(&path, turned).unwrap();
        assert!(says(3, 8).contains("offsets"), "{}", says(3, 8));
    }
}
