//! From the logits after one token to its candidates: the most probable continuations that the request allows.

use super::{Search, sampling};
use crate::kernels::{log_sum_exp, top_k};

/// Continuations of one token as (id, log-probability), best first; drawn ones in the order of the draws.
pub(crate) type Candidates = Vec<(u32, f32)>;

/// Buffers of one thread.
#[derive(Default)]
pub(crate) struct RowScratch {
    /// Ids of a hypothesis.
    ids: Vec<u32>,
    pub sampling: sampling::Buffers,
}

impl Search {
    /// Puts the candidates of pending token `i` into `out`, given its `logits` (changed) over the request's vocabulary.
    pub fn candidates(&self, i: usize, logits: &mut [f32], scratch: &mut RowScratch, out: &mut Candidates) {
        let (request, options) = (&self.request, &self.request.options);
        let subset = request.vocabulary.as_deref();
        let column = |id: u32| match subset {
            None => Some(id as usize),
            Some(ids) => ids.binary_search(&id).ok(),
        };
        let id_of = |column: u32| subset.map_or(column, |ids| ids[column as usize]);
        let log_total = log_sum_exp(logits);
        out.clear();
        let forced = self.forced();
        let known = match i.checked_sub(forced) {
            None => Some(self.nodes[self.pending[i + 1] as usize].id),
            Some(_) if request.score_only => Some(request.end),
            Some(_) => None,
        };
        if let Some(id) = known {
            out.extend(column(id).map(|at| (id, logits[at] - log_total)));
            return;
        }
        if !log_total.is_finite() {
            out.push((request.end, f32::NAN)); // `choose` ends the search with it
            return;
        }
        let open = &self.open[i - forced];
        // What a constraint needs next is a candidate, whatever the options forbid.
        let needed: Vec<(u32, f32)> = self
            .constraints
            .continuations(&open.met)
            .filter_map(|id| column(id).map(|at| (id, logits[at] - log_total)))
            .collect();
        let mut forbid = |id: u32| {
            if let Some(at) = column(id) {
                logits[at] = f32::NEG_INFINITY;
            }
        };
        request.suppressed.iter().for_each(|id| forbid(*id));
        let length = self.length + 1; // with the new token
        if length < options.min_length.min(self.longest) || !self.constraints.all_met(&open.met) {
            forbid(request.end);
        }
        if options.no_repeat_ngram > 0 {
            self.repeated(open.node, options.no_repeat_ngram, &mut scratch.ids, &mut forbid);
        }
        if options.sample {
            let first = self.step == 0;
            // All translations start from one token, so the first step draws for all of them.
            for sample in if first { 0..options.beam as u32 } else { open.sample..open.sample + 1 } {
                let drawn = sampling::draw(logits, options, sample, self.step, &mut scratch.sampling);
                out.extend(drawn.map(|column| (id_of(column), logits[column as usize] - log_total)));
            }
            return;
        }
        top_k(logits, 2 * options.beam, out);
        out.retain(|(_, logit)| *logit > f32::NEG_INFINITY);
        out.iter_mut().for_each(|(column, logit)| (*column, *logit) = (id_of(*column), *logit - log_total));
        for candidate in needed {
            if !out.iter().any(|(id, _)| *id == candidate.0) {
                out.push(candidate);
            }
        }
    }

    /// Forbids the ids that would make the last `n` tokens occur a second time.
    fn repeated(&self, node: u32, n: usize, ids: &mut Vec<u32>, forbid: &mut impl FnMut(u32)) {
        ids.clear();
        ids.extend(self.backwards(node).map(|node| node.id));
        ids.reverse();
        if ids.len() + 1 < n {
            return;
        }
        let (context, before) = (&ids[ids.len() + 1 - n..], ids.windows(n));
        for ngram in before {
            if ngram[..n - 1] == *context {
                forbid(ngram[n - 1]);
            }
        }
    }
}
