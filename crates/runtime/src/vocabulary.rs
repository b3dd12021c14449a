//! From the decoder's output to candidates: the output projection, over the whole vocabulary or a request's shortlist,
//! a few rows at a time so that logits stay in the cache.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::linear::Linear;
use crate::model::Model;
use crate::parallel::room;
use crate::product::{Scratch, plain};
use crate::search::{Candidates, RowScratch, Search};

/// Rows whose logits exist at a time.
const CHUNK: usize = 64;

/// Buffers of the projection, and its result.
#[derive(Default)]
pub(crate) struct Projection {
    /// Candidates of each row; may be longer than the rows.
    pub candidates: Vec<Candidates>,
    /// `[CHUNK, vocabulary]`
    logits: Vec<f32>,
    /// The search (by its place) and the pending token of each row.
    owners: Vec<(u32, u32)>,
    scratch: Vec<RowScratch>,
    /// The output projection's columns of each shortlist of the last step, by the address of its ids, which are kept so
    /// that no other list gets it.
    parts: HashMap<usize, (Arc<[u32]>, Linear)>,
}

/// The rows of a step.
pub(crate) struct Rows<'a, S> {
    /// `[rows, d]`
    pub hidden: &'a [f32],
    /// The searches whose pending tokens the rows are.
    pub searches: &'a S,
}

impl Projection {
    /// Finds the candidates of all rows.
    pub fn run<'a, S, I>(&mut self, model: &Model, rows: Rows<'_, S>, scratch: &mut [Scratch])
    where
        S: Fn() -> I,
        I: Iterator<Item = &'a Search>,
    {
        let d = model.config.d_model;
        let searches: Vec<&Search> = (rows.searches)().collect();
        self.owners.clear();
        for (place, search) in searches.iter().enumerate() {
            self.owners.extend((0..search.pending() as u32).map(|i| (place as u32, i)));
        }
        room(&mut self.candidates, self.owners.len());
        self.scratch.resize_with(scratch.len(), RowScratch::default);
        self.select(model, &searches);
        let mut start = 0;
        for group in searches.chunk_by(|a, b| same(vocabulary(a), vocabulary(b))) {
            let part = vocabulary(group[0]).map(address);
            let end = start + group.iter().map(|search| search.pending()).sum::<usize>();
            while start < end {
                let chunk = start..end.min(start + CHUNK);
                start = chunk.end;
                let hidden = &rows.hidden[chunk.start * d..chunk.end * d];
                self.project(model, hidden, chunk, part, &searches, scratch);
            }
        }
    }

    /// Keeps the columns of the shortlists of `searches`, and no others.
    fn select(&mut self, model: &Model, searches: &[&Search]) {
        let wanted: HashMap<usize, &Arc<[u32]>> =
            searches.iter().filter_map(|search| vocabulary(search)).map(|ids| (address(ids), ids)).collect();
        self.parts.retain(|at, _| wanted.contains_key(at));
        for (at, ids) in wanted {
            self.parts.entry(at).or_insert_with(|| (ids.clone(), model.output.select(ids)));
        }
    }

    fn project(
        &mut self,
        model: &Model,
        hidden: &[f32],
        chunk: Range<usize>,
        part: Option<usize>,
        searches: &[&Search],
        scratch: &mut [Scratch],
    ) {
        let threads = scratch.len();
        let output = part.map_or(&model.output, |part| &self.parts[&part].1);
        let width = output.outputs();
        let logits = room(&mut self.logits, chunk.len() * width);
        output.apply(hidden, chunk.len(), logits, plain(threads), &mut scratch[0]);
        let piece = chunk.len().div_ceil(threads);
        let candidates = &mut self.candidates[chunk.clone()];
        let owners = &self.owners[chunk];
        let work =
            |logits: &mut [f32], candidates: &mut [Candidates], owners: &[(u32, u32)], scratch: &mut RowScratch| {
                for ((logits, out), (search, i)) in logits.chunks_exact_mut(width).zip(candidates).zip(owners) {
                    searches[*search as usize].candidates(*i as usize, logits, scratch, out);
                }
            };
        if threads == 1 {
            return work(logits, candidates, owners, &mut self.scratch[0]);
        }
        rayon::scope(|scope| {
            let work = &work;
            let rows = logits.chunks_mut(piece * width).zip(candidates.chunks_mut(piece)).zip(owners.chunks(piece));
            for (((logits, candidates), owners), scratch) in rows.zip(&mut self.scratch) {
                scope.spawn(move |_| work(logits, candidates, owners, scratch));
            }
        });
    }
}

fn vocabulary(search: &Search) -> Option<&Arc<[u32]>> {
    search.request().vocabulary.as_ref()
}

fn address(ids: &Arc<[u32]>) -> usize {
    ids.as_ptr().addr()
}

fn same(a: Option<&Arc<[u32]>>, b: Option<&Arc<[u32]>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
