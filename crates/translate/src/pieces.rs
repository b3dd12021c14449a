//! Sentences that other programs have cut into subwords already.

use std::collections::HashMap;

use strata_corpus::subword::UNKNOWN;

use crate::candidate::Candidate;
use crate::error::Error;
use crate::task::Task;
use crate::translator::Translator;

/// The ids of pieces by their names.
#[derive(Clone, Debug)]
pub struct PieceIds(HashMap<String, u32>);

impl PieceIds {
    /// The ids of pieces; those that the vocabulary does not have are unknown words.
    fn of<S: AsRef<str>>(&self, pieces: &[S]) -> Vec<u32> {
        pieces.iter().map(|piece| self.0.get(piece.as_ref()).copied().unwrap_or(UNKNOWN)).collect()
    }
}

impl Translator {
    /// The ids of all pieces; of pieces with one name the first.
    pub fn piece_ids(&self) -> PieceIds {
        let mut ids = HashMap::new();
        for id in 0..self.subwords().vocab_size() as u32 {
            ids.entry(self.subwords().piece(id)).or_insert(id);
        }
        PieceIds(ids)
    }

    /// Translates sentences given as pieces, without tags and end mark: nothing is cut, copied or tried again. The i-th
    /// translation begins with `prefixes[i]`, if there is one.
    ///
    /// # Errors
    /// A sentence or prefix that is too long for the model, a model that cannot do what `task` asks.
    pub fn translate_pieces<S: AsRef<str>>(
        &self,
        ids: &PieceIds,
        sentences: &[Vec<S>],
        prefixes: &[Vec<S>],
        task: &Task,
    ) -> Result<Vec<Vec<Candidate>>, Error> {
        let (mut requests, mut places) = (Vec::new(), Vec::new());
        for (i, sentence) in sentences.iter().enumerate().filter(|(_, sentence)| !sentence.is_empty()) {
            let mut request = self.request_of(ids.of(sentence), task);
            request.prefix = prefixes.get(i).map_or_else(Vec::new, |prefix| ids.of(prefix));
            requests.push(request);
            places.push(i);
        }
        let found = self.backend.translate(&requests, task)?;
        let mut candidates = vec![vec![Candidate::default()]; sentences.len()];
        for ((i, request), found) in places.into_iter().zip(&requests).zip(&found) {
            candidates[i] = self.candidates(request, found);
        }
        Ok(candidates)
    }
}
