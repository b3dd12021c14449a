//! One step of the search: which candidates stay open and which are finished.
//!
//! The rules are those of the model crate's beam search. An end mark counts only among the best `beam` candidates
//! (fairseq; Ott et al., 2019). The search is over with `beam` finished hypotheses (when sampling, with all that are
//! drawn) or at the longest length. Equal scores keep the order of hypotheses and ids.

use super::candidates::Candidates;
use super::{Done, NONE, Node, Open, Search};

/// A continuation of an open hypothesis.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    hypothesis: u32,
    id: u32,
    log_p: f32,
    sum: f32,
    /// Place before sorting: decides among equal sums.
    place: u32,
    /// Tokens of constraints that the hypothesis has met with it.
    progress: u32,
}

impl Search {
    /// Chooses among the continuations of each open hypothesis, and puts the new open ones into `next`. Returns whether
    /// the search is over.
    pub(super) fn choose(&mut self, continuations: &[Candidates]) -> bool {
        let mut candidates = std::mem::take(&mut self.order);
        candidates.clear();
        for (hypothesis, (open, continuations)) in self.open.iter().zip(continuations).enumerate() {
            for (id, log_p) in continuations {
                let place = candidates.len() as u32;
                let (hypothesis, sum) = (hypothesis as u32, open.sum + log_p);
                candidates.push(Candidate { hypothesis, id: *id, log_p: *log_p, sum, place, progress: 0 });
            }
        }
        self.next.clear();
        // Scores that are no numbers choose nothing. The sentence ends here, and its own score says why.
        if let Some(fault) = candidates.iter().find(|candidate| candidate.sum.is_nan()).copied() {
            self.finish_with(&fault);
            self.order = candidates;
            return true;
        }
        let sampling = self.request.options.sample;
        if !sampling {
            candidates.sort_unstable_by(|a, b| b.sum.total_cmp(&a.sum).then(a.place.cmp(&b.place)));
        }
        let at_limit = self.length + 1 >= self.longest;
        if sampling {
            self.take_all(&candidates, at_limit);
        } else if self.constraints.is_empty() {
            self.take_best(&candidates, at_limit);
        } else {
            self.take_by_progress(&mut candidates, at_limit);
        }
        let stuck = self.next.is_empty() && self.done.is_empty();
        if stuck {
            // Every continuation is forbidden, so the open hypotheses are the answer.
            for open in 0..self.open.len() {
                let (node, sum) = (self.open[open].node, self.open[open].sum);
                self.finished(node, None, sum, self.length.max(1), NONE);
            }
        }
        self.order = candidates;
        at_limit || self.next.is_empty() || self.done.len() >= self.request.options.width()
    }

    /// Plain beam search.
    fn take_best(&mut self, candidates: &[Candidate], at_limit: bool) {
        let (beam, end) = (self.request.options.beam, self.request.end);
        for (rank, candidate) in candidates.iter().enumerate() {
            if self.next.len() == beam || self.done.len() >= beam {
                break;
            }
            if candidate.id != end && !at_limit {
                self.extend(candidate, 0);
            } else if rank < beam {
                self.finish_with(candidate);
            }
        }
    }

    /// Sampling: takes every token that was drawn.
    fn take_all(&mut self, candidates: &[Candidate], at_limit: bool) {
        let first = self.step == 0;
        for candidate in candidates {
            if candidate.id == self.request.end || at_limit {
                self.finish_with(candidate);
            } else {
                let sample = if first { candidate.place } else { self.open[candidate.hypothesis as usize].sample };
                self.extend(candidate, sample);
            }
        }
    }

    /// Constrained beam search: shares the beam among hypotheses that have met more and less of the constraints.
    fn take_by_progress(&mut self, candidates: &mut [Candidate], at_limit: bool) {
        let (beam, end, stages) = (self.request.options.beam, self.request.end, self.constraints.stages());
        let mut met = Vec::new();
        let mut counts = vec![0usize; stages + 1];
        for candidate in candidates.iter_mut() {
            met.clone_from(&self.open[candidate.hypothesis as usize].met);
            if candidate.id != end {
                self.constraints.advance(&mut met, candidate.id);
            }
            candidate.progress = self.constraints.progress(&met) as u32;
            if candidate.id != end && !at_limit {
                counts[candidate.progress as usize] += 1;
            }
        }
        let mut slots = share(beam, &counts);
        let mut rank = 0; // among candidates that have met all constraints
        for candidate in candidates.iter() {
            let complete = candidate.progress as usize == stages;
            if candidate.id != end && !at_limit {
                let slots = &mut slots[candidate.progress as usize];
                if *slots > 0 {
                    *slots -= 1;
                    self.extend(candidate, 0);
                }
            } else if complete && rank < beam && self.done.len() < beam {
                self.finish_with(candidate);
            }
            rank += usize::from(complete);
        }
    }

    /// Keeps a candidate open.
    fn extend(&mut self, candidate: &Candidate, sample: u32) {
        let node = self.push_node(candidate);
        let parent = &self.open[candidate.hypothesis as usize];
        let mut met = parent.met.clone();
        self.constraints.advance(&mut met, candidate.id);
        self.next.push(Open { node, sum: candidate.sum, sample, met });
    }

    /// Finishes with an end mark, or with any token at the longest length.
    fn finish_with(&mut self, candidate: &Candidate) {
        let attention = self.attention_row(self.forced() + candidate.hypothesis as usize);
        let (node, end) = if candidate.id == self.request.end {
            (self.open[candidate.hypothesis as usize].node, Some(candidate.log_p))
        } else {
            (self.push_node(candidate), None)
        };
        self.finished(node, end, candidate.sum, self.length + 1, if end.is_some() { attention } else { NONE });
    }

    fn finished(&mut self, node: u32, end: Option<f32>, sum: f32, length: usize, end_attention: u32) {
        let options = &self.request.options;
        let mut score = sum / (length as f32).powf(options.length_penalty as f32);
        if options.coverage_penalty > 0.0 {
            score += options.coverage_penalty as f32 * self.coverage(node, end_attention);
        }
        let read = self.nodes[node as usize].row != NONE;
        self.done.push(Done { node, read, end, score });
    }

    fn push_node(&mut self, candidate: &Candidate) -> u32 {
        let parent = self.open[candidate.hypothesis as usize].node;
        let attention = self.attention_row(self.forced() + candidate.hypothesis as usize);
        let node = Node { parent, id: candidate.id, log_p: candidate.log_p, row: NONE, attention, reached: 0 };
        self.nodes.push(node);
        self.nodes.len() as u32 - 1
    }
}

/// Shares `beam` among stages with `counts` candidates each: evenly among those that have any, the remainder to the
/// furthest stages, and what a stage cannot use to the furthest that can.
fn share(beam: usize, counts: &[usize]) -> Vec<usize> {
    let stages = counts.iter().filter(|count| **count > 0).count();
    let mut slots = vec![0; counts.len()];
    if stages == 0 {
        return slots;
    }
    let (each, mut more) = (beam / stages, beam % stages);
    let mut left = beam;
    for (slots, count) in slots.iter_mut().zip(counts).rev().filter(|(_, count)| **count > 0) {
        let extra = usize::from(more > 0);
        more -= extra;
        *slots = (each + extra).min(*count);
        left -= *slots;
    }
    for (slots, count) in slots.iter_mut().zip(counts).rev() {
        let more = left.min(count - *slots);
        *slots += more;
        left -= more;
    }
    slots
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn slots_are_shared_among_the_stages_that_have_candidates() {
        assert_eq!(share(6, &[9, 0, 9, 9]), [2, 0, 2, 2]);
        assert_eq!(share(5, &[9, 9, 9]), [1, 2, 2]);
        assert_eq!(share(2, &[9, 9, 9]), [0, 1, 1]);
        assert_eq!(share(6, &[9, 1, 1]), [4, 1, 1]);
        assert_eq!(share(6, &[1, 9, 1]), [1, 4, 1]);
        assert_eq!(share(4, &[0, 0]), [0, 0]);
    }
}
