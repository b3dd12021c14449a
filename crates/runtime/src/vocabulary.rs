//! From the decoder's output to candidates: the output projection, over the whole vocabulary or a request's shortlist.
//!
//! Logits exist a block of columns at a time. While a block is in the cache, each row's search takes from it what it
//! asks for, so the whole is never written to memory.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::linear::{Linear, Rows};
use crate::model::Model;
use crate::parallel::{over_rows, room};
use crate::product::{PANEL, Scratch};
use crate::search::{Answer, Candidates, Question, SamplingBuffers, Search};

/// Rows that are multiplied together.
const CHUNK: usize = 64;

/// Columns of a block, whose logits for [`CHUNK`] rows stay in a core's cache beside the weights. A row's sum of
/// exponentials is that of its blocks' sums, so scores depend on it in their last bits.
const BLOCK: usize = 32 * PANEL;

/// Pieces of the vocabulary for each thread, so that a thread that is held up does not hold up all.
const PIECES: usize = 4;

/// Buffers of the projection, and its result.
#[derive(Default)]
pub(crate) struct Projection {
    /// Candidates of each row; may be longer than the rows.
    pub candidates: Vec<Candidates>,
    /// The search (by its place) and the pending token of each row.
    owners: Vec<(u32, u32)>,
    /// Of each row of a chunk.
    questions: Vec<Question>,
    /// `[pieces, rows]` of a chunk.
    answers: Vec<Answer>,
    /// `[CHUNK, BLOCK]` for each thread.
    logits: Vec<Vec<f32>>,
    ids: Vec<u32>,
    /// The output projection's columns of each shortlist of the last step, by the address of its ids, which are kept so
    /// that no other list gets it.
    parts: HashMap<usize, (Arc<[u32]>, Linear)>,
}

impl Projection {
    /// Finds the candidates of all rows: `hidden` `[rows, d]` belongs to the pending tokens of `searches`, in order.
    pub fn run(&mut self, model: &Model, hidden: &[f32], searches: &[&Search], scratch: &mut [Scratch]) {
        let d = model.config.d_model;
        self.owners.clear();
        for (place, search) in searches.iter().enumerate() {
            self.owners.extend((0..search.pending() as u32).map(|i| (place as u32, i)));
        }
        room(&mut self.candidates, self.owners.len());
        self.select(model, searches);
        let mut start = 0;
        for group in searches.chunk_by(|a, b| same(vocabulary(a), vocabulary(b))) {
            let part = vocabulary(group[0]).map(address);
            let end = start + group.iter().map(|search| search.pending()).sum::<usize>();
            while start < end {
                let chunk = start..end.min(start + CHUNK);
                start = chunk.end;
                let hidden = &hidden[chunk.start * d..chunk.end * d];
                self.project(model, hidden, chunk, part, searches, scratch);
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
        let output = part.map_or(&model.output, |part| &self.parts[&part].1);
        let (rows, threads) = (chunk.len(), output.threads(chunk.len(), scratch.len()));
        let blocks = output.outputs().div_ceil(BLOCK);
        let pieces = if threads == 1 { 1 } else { blocks.min(threads * PIECES) };
        let owners = &self.owners[chunk.clone()];
        let questions = room(&mut self.questions, rows);
        for (question, (search, i)) in questions.iter_mut().zip(owners) {
            searches[*search as usize].ask(*i as usize, &mut self.ids, question);
        }
        let answers = room(&mut self.answers, pieces * rows);
        answers.iter_mut().for_each(Answer::clear);
        let hidden = output.rows(hidden, rows, threads, &mut scratch[0]);
        ask_all(output, hidden, questions, answers, room(&mut self.logits, threads));
        let (first, next) = answers.split_at_mut(rows);
        for (row, (answer, question)) in first.iter_mut().zip(&*questions).enumerate() {
            next.iter_mut().skip(row).step_by(rows).for_each(|next| answer.append(question, next));
        }
        let cost = if questions.iter().any(|question| question.all) { output.outputs() } else { blocks };
        over_rows(&mut self.candidates[chunk], 1, threads, cost, |row, candidates| {
            let mut buffers = SamplingBuffers::default();
            for (row, out) in (row..).zip(candidates) {
                let (search, i) = owners[row];
                searches[search as usize].candidates(i as usize, &questions[row], &first[row], &mut buffers, out);
            }
        });
    }
}

/// Finds the `answers` `[pieces, rows]` to `questions` in the product of `hidden` with `output`, on a thread for each
/// of the buffers `logits`.
fn ask_all(output: &Linear, hidden: Rows<'_>, questions: &[Question], answers: &mut [Answer], logits: &mut [Vec<f32>]) {
    let (rows, threads) = (questions.len(), logits.len());
    let (blocks, pieces) = (output.outputs().div_ceil(BLOCK), answers.len() / rows);
    let cut = |piece: usize| blocks * piece / pieces;
    let mut work: Vec<(usize, &mut [Answer])> = answers.chunks_mut(rows).enumerate().collect();
    // The fewer the rows, the longer the runs of weights that are read without a pause.
    let together = CHUNK / rows;
    // Threads that take turns go through blocks that follow one another, each in its own share.
    let share = pieces.div_ceil(threads);
    work.sort_by_key(|(piece, _)| piece % share);
    let queue = Mutex::new(work.into_iter());
    let run = |logits: &mut Vec<f32>| {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((piece, answers)) = next else { return };
            for first in (cut(piece)..cut(piece + 1)).step_by(together) {
                let blocks = first..cut(piece + 1).min(first + together);
                ask_blocks(output, hidden, blocks, questions, answers, logits);
            }
        }
    };
    match logits {
        [logits] => run(logits),
        [first, others @ ..] => rayon::scope(|scope| {
            let run = &run;
            others.iter_mut().for_each(|logits| scope.spawn(move |_| run(logits)));
            run(first);
        }),
        [] => {}
    }
}

/// Adds to each row's answer what is in some blocks, whose logits exist together.
fn ask_blocks(
    output: &Linear,
    hidden: Rows<'_>,
    blocks: Range<usize>,
    questions: &[Question],
    answers: &mut [Answer],
    logits: &mut Vec<f32>,
) {
    let columns = blocks.start * BLOCK..output.outputs().min(blocks.end * BLOCK);
    let logits = room(logits, questions.len() * columns.len());
    output.columns(hidden, columns.start / PANEL..columns.end.div_ceil(PANEL), logits);
    for ((logits, answer), question) in logits.chunks_exact_mut(columns.len()).zip(answers).zip(questions) {
        for (first, block) in columns.clone().step_by(BLOCK).zip(logits.chunks_mut(BLOCK)) {
            answer.add(question, first as u32, block);
        }
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
